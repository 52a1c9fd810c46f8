"""Mutually exciting point processes (Hawkes): rates, moments, likelihood, fits; and how long queues last."""
