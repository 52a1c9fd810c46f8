"""What theory says about a hedging market."""
