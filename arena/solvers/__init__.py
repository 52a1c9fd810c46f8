"""Reference answers from theory: prices, optimal quotes, optimal execution and equilibria; no market, no learning."""
