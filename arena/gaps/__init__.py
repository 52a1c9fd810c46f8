"""How far a profile is from a Nash equilibrium, in any market."""
