"""Finite games."""
