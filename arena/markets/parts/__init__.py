"""What markets share: random numbers, special functions, the underlying, coefficients of time."""
