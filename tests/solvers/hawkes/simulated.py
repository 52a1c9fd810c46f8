"""Exact simulators for these tests, written plainly: by clusters (generation after generation) and by thinning."""

import numpy as np

from arena.solvers.hawkes.process import Hawkes


def clusters(process: Hawkes, end: float, rng: np.random.Generator, delay=None):
    """Times and types on [0, end] from an empty past, no kernel negative; delay(rng, n) replaces the exponentials."""
    k, m = len(process.rates), process.types
    counts = rng.poisson(process.base * end)
    types = np.repeat(np.arange(m), counts)
    times = rng.uniform(0.0, end, types.size)
    all_times, all_types = [times], [types]
    rates = np.broadcast_to(process.rates[:, None, None] if process.rates.ndim == 1 else process.rates, (k, m, m))
    while times.size:
        born = rng.poisson(process.branching[:, :, types])  # [K, M, n]
        kernel, child, parent = np.nonzero(born)
        many = born[kernel, child, parent]
        kernel, child, parent = np.repeat(kernel, many), np.repeat(child, many), np.repeat(parent, many)
        wait = rng.exponential(size=parent.size) / rates[kernel, child, types[parent]]
        if delay is not None:
            wait = delay(rng, parent.size)
        times, types = times[parent] + wait, child
        inside = times <= end
        times, types = times[inside], types[inside]
        all_times.append(times)
        all_types.append(types)
    times, types = np.concatenate(all_times), np.concatenate(all_types)
    order = np.argsort(times)
    return times[order], types[order]


def thinned(process: Hawkes, end: float, rng: np.random.Generator, factor=None):
    """Times and types by Ogata's thinning, signs allowed; `factor(t, i)` in [0, 1] multiplies an intensity."""
    k, m = len(process.rates), process.types
    rates = np.broadcast_to(process.rates[:, None, None] if process.rates.ndim == 1 else process.rates, (k, m, m))
    state, now, times, types = np.zeros((k, m, m)), 0.0, [], []
    while True:
        bound = (process.base + np.maximum(state, 0.0).sum(axis=(0, 2))).sum()
        wait = rng.exponential() / bound
        if now + wait > end:
            return np.array(times), np.array(types, dtype=int)
        now += wait
        state *= np.exp(-rates * wait)
        intensity = np.maximum(process.base + state.sum(axis=(0, 2)), 0.0)
        if factor is not None:
            intensity *= [factor(now, i) for i in range(m)]
        pick = rng.uniform() * bound
        if pick < intensity.sum():
            kind = int(np.searchsorted(np.cumsum(intensity), pick, side="right"))
            times.append(now)
            types.append(kind)
            state[:, :, kind] += process.branching[:, :, kind] * rates[:, :, kind]
