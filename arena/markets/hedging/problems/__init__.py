"""What a hedging market is to a solver."""
