"""Figures of papers, drawn anew."""
