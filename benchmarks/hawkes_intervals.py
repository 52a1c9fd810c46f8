"""Do intervals of fitted flows cover the truth? python benchmarks/hawkes_intervals.py [--fits 200] [--seconds 600].

Each fit reads a log of the book's own background (`event_log`, seeds 0, 1, ...), spread and all, and estimates base
rates, excitation and decay rate, 79 numbers, for asks and bids share theirs. For each number the share of fits whose
95 % interval holds the truth; numbers that are 0 have intervals that end there, so they miss on one side only.
"""

import argparse
import time

import numpy as np

from arena.markets.book.event_log import background_log
from arena.markets.book.events import POST_INSIDE, TYPES
from arena.markets.book.market import Market
from arena.markets.book.tables import in_spread_factor
from arena.solvers.hawkes.events import observed
from arena.solvers.hawkes.families import Exponentials
from arena.solvers.hawkes.fit import fit

MIRROR = np.arange(TYPES)[::-1]
INSIDE = (POST_INSIDE, TYPES - 1 - POST_INSIDE)


def covered(market: Market, seed: int, seconds: float) -> tuple[np.ndarray, bool]:
    """Whether each interval of a fit holds the truth (base [6], excitation [6, 12], rate), and whether it was found."""
    log = background_log(market, seed, seconds)
    factor = in_spread_factor(market)[log.spreads.astype(int)]
    events = observed(log.times, log.types, TYPES, seconds, factor=factor, modulated=INSIDE)
    found = fit(events, Exponentials(), mirror=MIRROR)
    flow, half = market.flow, TYPES // 2
    pairs = (
        (found.base.low[:half], found.base.high[:half], flow.rates[:half]),
        (found.branching.low[0, :half], found.branching.high[0, :half], flow.excitation[:half]),
    )
    inside = [((low <= truth) & (truth <= high)).ravel() for low, high, truth in pairs]
    rate = found.shape["rate"]
    return np.concatenate([*inside, [rate.low <= flow.kernel.rate <= rate.high]]), found.converged  # type: ignore[union-attr]


def told(hits: np.ndarray, market: Market) -> str:
    """Coverage of all numbers, by kind, and number by number."""
    above = (market.flow.excitation[: TYPES // 2] > 0.0).ravel()
    share = 100 * hits.mean(axis=0)
    kinds = {"base": share[:6], "above zero": share[6:-1][above], "at zero": share[6:-1][~above], "rate": share[-1:]}
    parts = ", ".join(f"{name} {value.mean():.1f}" for name, value in kinds.items())
    good = ((share >= 90.0) & (share <= 99.0)).mean()
    both = np.concatenate([share[:6], share[6:-1][above], share[-1:]])
    return (
        f"{len(hits)} fits: all {share.mean():.1f} % ({parts}); {100 * good:.0f} % of {share.size} numbers are "
        f"covered in 90 to 99 %; of the {both.size} that are not 0 worst {both.min():.1f}, best {both.max():.1f} %"
    )


def main() -> None:
    """Fit and count; what is known so far is printed every ten fits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600.0)
    chosen = parser.parse_args()
    market = Market.model_validate({"flow": {"preset": "hawkes_exp"}, "warm_up": 0})
    hits, started, sure = [], time.process_time(), 0
    for seed in range(chosen.fits):
        one, good = covered(market, seed, chosen.seconds)
        hits.append(one)
        sure += good
        if (seed + 1) % 10 == 0 or seed + 1 == chosen.fits:
            print(f"{told(np.array(hits), market)}; {sure} at their maximum, {time.process_time() - started:.0f} CPU s",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
