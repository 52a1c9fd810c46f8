"""What the limit order book is to a solver."""
