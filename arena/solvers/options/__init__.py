"""Prices of options and static half-spreads."""
