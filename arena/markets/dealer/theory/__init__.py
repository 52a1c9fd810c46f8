"""What theory says about dealer markets, and its equilibria in their seats."""
