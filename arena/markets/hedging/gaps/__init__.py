"""The exact best response in hedging markets of one contract."""
