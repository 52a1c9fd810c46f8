"""One market maker's optimal option quotes when they may depend on time and inventory only.

    v_t + q g(t) - phi/2 q^2 + H_b(v(q+1) - v(q)) + H_a(v(q-1) - v(q)) = 0,    v(T, q) = -c q^2,   |q| <= Q
    H_s(d) = max over eps in [low, high] of A_s e^{-k_s eps} (eps + d),   eps* = clip(1/k_s - d, low, high)

(Fang & Xu 2025 in the corrected form: dq = dN^bid - dN^ask.) With c = psi0 E[P_T^2] this is EXACT for policies blind
to the price, since inventory is then independent of it, and a lower bound for policies that see the price
(`price`). With a temperature gamma > 0, H becomes the Gibbs gain of `gibbs`. The side whose fill would break
|q| <= Q is withdrawn: it has no quote (distance inf), no fills and no entropy. Column 0 = bid, 1 = ask.

Arguments of the kernels:

    value                 [N+1, 2Q+1]: its last row is given, the others are filled backward
    v, out                [2Q+1]: the value at one time, and its slope in time to go
    dt, per_row           a Runge-Kutta step, and how many of them lie between two rows
    rate, decay           [2]: A and k, bid and ask
    low, high             bounds of a distance
    phi, g, drift         running penalty; drift at one time; drift at every step
    table, origin, pitch  `gibbs.GainTable` of both sides; without nodes: temperature 0
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.options.option_model import OptionModel, StepFunction, profile
from arena.solvers.quoting.gibbs import NO_TABLE, Entropy, GainTable, check_domain, gain_kernel, gain_table

_FINEST = 400_000  # Runge-Kutta steps; beyond it the unclamped problem is too stiff to step through


@dataclass(frozen=True)
class Maker:
    """One maker's control problem; pairs are (bid, ask), a single number stands for both sides.

    arrival_rate A [1/time], fill_decay k [1/currency], horizon T, inventory_limit Q [lots], terminal_cost c and
    running_penalty phi [currency/lot^2 (/time)], drift g [currency/lot/time], temperature gamma [currency/time].
    Raises ValueError, a sentence, for an ill-posed problem.
    """

    arrival_rate: float | tuple[float, float]
    fill_decay: float | tuple[float, float]
    horizon: float
    inventory_limit: int
    terminal_cost: float = 0.0
    running_penalty: float = 0.0
    drift: float | StepFunction = 0.0
    min_distance: float = 0.0
    max_distance: float = math.inf
    temperature: float = 0.0
    entropy: Entropy = "uniform"

    def __post_init__(self) -> None:
        check_flow(self.arrival_rate, self.fill_decay, self.horizon, self.inventory_limit)
        for name in ("terminal_cost", "running_penalty"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be finite and at least 0, found {getattr(self, name)}")
        if math.isnan(self.min_distance) or not self.min_distance < self.max_distance:
            raise ValueError(f"min_distance {self.min_distance} must be below max_distance {self.max_distance}")
        if self.entropy not in ("uniform", "lebesgue"):
            raise ValueError(f"entropy must be uniform or lebesgue, found {self.entropy!r}")
        check_domain(self.min_distance, self.max_distance, self.temperature)

    @property
    def rates(self) -> Array:
        """A as [bid, ask]."""
        return both_sides(self.arrival_rate)

    @property
    def decays(self) -> Array:
        """k as [bid, ask]."""
        return both_sides(self.fill_decay)

    @property
    def inventory(self) -> NDArray[np.int64]:
        """-Q .. Q."""
        return np.arange(-self.inventory_limit, self.inventory_limit + 1)


class QuoteTable(NamedTuple):
    """Value and quotes on a grid: rows are times k T / N (k = 0..N), then inventories -Q..Q, then (bid, ask)."""

    times: Array  # [N+1]
    inventory: NDArray[np.int64]  # [2Q+1]
    value: Array  # [N+1, 2Q+1]
    distance: Array  # [N+1, 2Q+1, 2]; inf where the side is withdrawn


def blind_maker(option: OptionModel, terminal_penalty: float, horizon: float, **problem: object) -> Maker:
    """The Maker of a policy blind to the price: c = psi0 E[P_T^2], drift E[g(t, S_t)].

    The drift is zero when the volatilities agree, else a profile of 64 pieces.
    `problem` holds the other fields of Maker. Raises ValueError when the horizon does not end before the expiry.
    """
    if not horizon < option.expiry:
        raise ValueError(f"horizon {horizon:g} must end before the option's expiry {option.expiry:g}")
    if option.realised_vol == option.pricing_vol:
        drift = profile(0.0)
    else:
        edges = np.linspace(0.0, horizon, 65)
        drift = profile((list(edges[:-1]), [option.mean_drift(t) for t in 0.5 * (edges[1:] + edges[:-1])]))
    cost = terminal_penalty * option.second_moment(horizon)
    return Maker(horizon=horizon, terminal_cost=cost, drift=drift, **problem)  # type: ignore[arg-type]


def solve(maker: Maker, steps: int = 100) -> QuoteTable:
    """Optimal value and quotes at `steps` + 1 equally spaced times, by classical Runge-Kutta, to about 1e-9.

    Raises ValueError when the unclamped problem is too stiff to step through (`closed_form.matrix_exponential` has the
    answer).

    Whoever holds a lot bids lower and asks lower (bid and ask distance at time 0 and inventory 1):

    >>> maker = Maker(arrival_rate=100.0, fill_decay=2.0, horizon=1.0, inventory_limit=3, terminal_cost=0.1)
    >>> solve(maker).distance[0, maker.inventory == 1].round(3)
    array([[0.634, 0.46 ]])
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, found {steps}")
    value = np.empty((steps + 1, 2 * maker.inventory_limit + 1))
    value[-1] = -maker.terminal_cost * maker.inventory.astype(float) ** 2
    gap = float(np.abs(np.diff(value[-1])).max())
    reach = gap + 8.0 / float(maker.decays.min())
    for _ in range(12):
        total = fine_steps(maker, gap, steps)
        edges = np.linspace(0.0, maker.horizon, total + 1)
        drift = profile(maker.drift).integral(edges[:-1], edges[1:]) * total / maker.horizon
        _backward(value, maker.horizon / total, total // steps, maker.rates, maker.decays, maker.min_distance,
                  maker.max_distance, maker.running_penalty, drift, *gains_table(maker, reach))  # fmt: skip
        if not np.isfinite(value).all():  # off the table of gains, or unstable
            gap, reach = 2.0 * gap + 1.0 / float(maker.decays.max()), 4.0 * reach
            continue
        found = float(np.abs(np.diff(value, axis=1)).max())
        if fine_steps(maker, found, steps) <= total:
            times = np.linspace(0.0, maker.horizon, steps + 1)
            return QuoteTable(times, maker.inventory, value, quotes(maker, value))
        gap = found
    raise ValueError(f"the value differs by {gap:g} or more between neighbouring inventories; check the penalties")


def quotes(maker: Maker, value: Array) -> Array:
    """Optimal distances clip(1/k - d, low, high) [..., 2Q+1, 2] of a value table [..., 2Q+1]; the mode if gamma > 0."""
    gap = np.diff(value, axis=-1)
    out = np.full((*value.shape, 2), np.inf)
    out[..., :-1, 0] = np.clip(1.0 / maker.decays[0] - gap, maker.min_distance, maker.max_distance)
    out[..., 1:, 1] = np.clip(1.0 / maker.decays[1] + gap, maker.min_distance, maker.max_distance)
    return out


def gains_table(maker: Maker, reach: float) -> GainTable:
    """The Gibbs gain of both sides for |d| <= reach, empty when the temperature is zero."""
    if maker.temperature == 0:
        return NO_TABLE
    nodes = min(max(2049, math.ceil(200 * reach * maker.decays.max())), 20_001)
    low, high = maker.min_distance, maker.max_distance
    return gain_table(reach, maker.rates, maker.decays, low, high, maker.temperature, maker.entropy, nodes)


def fine_steps(maker: Maker, gap: float, multiple_of: int) -> int:
    """Runge-Kutta steps for which (both intensities) x (step) <= 0.15, a multiple of `multiple_of` and at least 400.

    An intensity is at most A e^{-k eps} at the closest quote eps = max(low, 1/k - gap), where one lot is worth `gap`.
    Raises ValueError where intensities ask for too many steps.
    """
    closest = np.minimum(np.maximum(maker.min_distance, 1.0 / maker.decays - gap), maker.max_distance)
    fastest = float((maker.rates * np.exp(np.minimum(-maker.decays * closest, 700.0))).sum())
    wanted = max(400.0, fastest * maker.horizon / 0.15)
    if wanted > _FINEST:
        raise ValueError(
            f"intensities reach {fastest:.3g} per unit of time: raise min_distance, lower the penalties, "
            "or use the matrix exponential (equal fill decays, no clamps)"
        )
    return math.ceil(wanted / multiple_of) * multiple_of


# ------------------------------------------------------------------------------------------------------------ the sweep


@njit(cache=True, error_model="numpy")
def slope_kernel(
    v: Array,
    out: Array,
    rate: Array,
    decay: Array,
    low: float,
    high: float,
    phi: float,
    g: float,
    table: Array,
    origin: float,
    pitch: float,
) -> None:
    """dv/dtau [2Q+1] of the HJB above."""
    limit = v.size // 2
    for i in range(v.size):
        q = i - limit
        total = q * g - 0.5 * phi * q * q
        if i + 1 < v.size:
            total += gain_kernel(v[i + 1] - v[i], 0, rate[0], decay[0], low, high, table, origin, pitch)
        if i > 0:
            total += gain_kernel(v[i - 1] - v[i], 1, rate[1], decay[1], low, high, table, origin, pitch)
        out[i] = total


@njit(cache=True, error_model="numpy")
def step_kernel(
    v: Array,
    dt: float,
    work: Array,
    rate: Array,
    decay: Array,
    low: float,
    high: float,
    phi: float,
    g: float,
    table: Array,
    origin: float,
    pitch: float,
) -> None:
    """One Runge-Kutta step backward in time, in place; work [5, 2Q+1]."""
    n = v.size
    slope_kernel(v, work[0], rate, decay, low, high, phi, g, table, origin, pitch)
    for stage in range(1, 4):
        share = 1.0 if stage == 3 else 0.5
        for i in range(n):
            work[4, i] = v[i] + share * dt * work[stage - 1, i]
        slope_kernel(work[4], work[stage], rate, decay, low, high, phi, g, table, origin, pitch)
    for i in range(n):
        v[i] += dt / 6.0 * (work[0, i] + 2.0 * work[1, i] + 2.0 * work[2, i] + work[3, i])


@njit(cache=True, error_model="numpy")
def _backward(value, dt, per_row, rate, decay, low, high, phi, drift, table, origin, pitch):
    """Fills `value` from its last row on."""
    v, work = value[-1].copy(), np.empty((5, value.shape[1]))
    for row in range(value.shape[0] - 2, -1, -1):
        for fine in range(per_row - 1, -1, -1):
            g = drift[row * per_row + fine]
            step_kernel(v, dt, work, rate, decay, low, high, phi, g, table, origin, pitch)
        value[row] = v


# --------------------------------------------------------------------------------------------------------------- checks


def both_sides(value: float | tuple[float, float]) -> Array:
    """A (bid, ask) array from a pair or one number."""
    return np.array(value if isinstance(value, tuple) else (value, value), dtype=np.float64)


def check_flow(
    arrival_rate: float | tuple[float, float],
    fill_decay: float | tuple[float, float],
    horizon: float,
    inventory_limit: int | None,
) -> None:
    """Raises ValueError unless rates, decays, horizon and the inventory bound make a well-posed problem."""
    rates, decays = both_sides(arrival_rate), both_sides(fill_decay)
    if not (np.isfinite(rates).all() and (rates >= 0).all()):
        raise ValueError(f"arrival_rate must be finite and at least 0, found {arrival_rate}")
    if not (np.isfinite(decays).all() and (decays > 0).all()):
        raise ValueError(f"fill_decay must be positive, found {fill_decay}")
    if not (math.isfinite(horizon) and horizon > 0):
        raise ValueError(f"horizon must be positive, found {horizon}")
    if inventory_limit is None or inventory_limit != int(inventory_limit) or inventory_limit < 1:
        raise ValueError(f"inventory_limit must be a whole number of at least 1 lot, found {inventory_limit}")
