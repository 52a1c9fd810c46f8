"""What the books of every market share: the error of an identity that does not hold."""


class LedgerError(RuntimeError):
    """A conservation law failed: names game, step, account and amounts. It is a fault of the market, not of a user."""
