"""One option maker, or two: optimal and equilibrium quotes."""
