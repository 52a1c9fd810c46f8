"""The execution game of N traders."""
