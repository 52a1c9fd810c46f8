"""Impulse control of one maker in a limit order book: the quasi-variational inequality, exactly and by deep Galerkin."""
