"""Makers and traders: open-loop and feedback equilibria, special cases, mean field."""
