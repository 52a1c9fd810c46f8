"""What a dealer market is to a solver: the game of an equilibrium solver, or one maker's control problem."""
