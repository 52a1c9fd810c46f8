"""Papers on the limit order book: their tables run again."""
