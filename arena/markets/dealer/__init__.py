"""The option dealer market: makers quote a chain, executors and noise traders trade against the quotes."""
