"""Impulse control of one maker in a limit order book: its quasi-variational inequality, exact and by deep Galerkin."""
