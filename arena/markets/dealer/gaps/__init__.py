"""Exact best responses in dealer markets, an engine each."""
