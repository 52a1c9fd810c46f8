"""Rules of trading: how quotes, orders and noise become trades, prices and accounts (numpy and numba only)."""
