"""The exact solution of a small book without excitation: every state, backwards in time.

    grid     V_k(s) = max( W_k(s), max_psi E[gain + W_k(Gamma(s, psi))] ),   one impulse a decision, as the market plays
             W_k(s) = E[ int (g(s_u) - eta Y_u^2) du + V_{k+1}(s_{t+dt}) ],   nothing decided in between
    clock    d_t W + L W - eta Y^2 + c (M W - W)^+ = 0,   decisions whenever a clock of rate c rings

The second is the penalised inequality: for c = infinity it is the quasi-variational one, and it is what the networks
solve. The states are those that can be reached. Between decisions the book is a Markov chain with generator Q; with
P = I + Q/u and a Poisson number of its steps (uniformisation) e^{Q dt} is a sum of positive terms, cut where 1e-12 of
it is left.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from arena.layout import Array
from arena.solvers.impulse.interventions import allowed, intervene
from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.states import NONE, TYPES, Branch, State, flat, unflat
from arena.solvers.impulse.transitions import transitions

LEFT = 1e-12
IDLE = -1


@njit(cache=True, error_model="numpy")
def _times(first, target, weight, vector):
    out = np.empty(first.shape[0] - 1)
    for i in range(first.shape[0] - 1):
        total = 0.0
        for k in range(first[i], first[i + 1]):
            total += weight[k] * vector[target[k]]
        out[i] = total
    return out


class Rows(NamedTuple):
    """A sparse matrix [n, n] by rows: entries `first[i]` to `first[i + 1]` of target states and weights are row i's."""

    first: Array
    target: Array
    weight: Array

    @classmethod
    def of(cls, targets: list[NDArray[Any]], weights: list[Array]) -> "Rows":
        """Columns of targets and weights, each [n]; entries of weight 0 are left out."""
        target, weight = np.stack(targets, axis=1), np.stack(weights, axis=1)
        kept = weight != 0.0
        first = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        return cls(first, target[kept].astype(np.int32), weight[kept])

    def __matmul__(self, vector: Array) -> Array:
        return np.asarray(_times(self.first, self.target, self.weight, np.ascontiguousarray(vector)))


class Chain(NamedTuple):
    """The book as a finite chain: states, one step of the uniformised chain, what a second earns, and the impulses.

    `codes` sorted [n]; `reward` g - eta Y^2 [n], ticks per second; `rate` u, 1/s; of each impulse where it is allowed
    [n], its outcomes as `Rows`, and what it gains [n].
    """

    problem: Problem
    codes: Array
    states: State
    step: Rows
    reward: Array
    rate: float
    impulses: tuple[tuple[int, Array, Rows, Array], ...]

    def at(self, state: State) -> Array:
        """The number of each state, -1 where it cannot be reached."""
        code = encode(self.problem, state)
        found = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
        return np.where(self.codes[found] == code, found, -1)


class Optimum(NamedTuple):
    """The best impulse at each decision (-1: none), and what the game is worth: `first` in each state before the first
    decision, `value` when the game begins, before the warm-up."""

    chain: Chain
    value: float
    first: Array  # W before the first decision, [n]
    policy: NDArray[Any]  # int8 [steps, n]


def encode(problem: Problem, state: State) -> Array:
    """One integer a state."""
    wide = 2 * problem.room + 2
    columns = flat(state)
    code = np.asarray(columns[0], np.int64) + problem.cap
    for i, column in enumerate(columns[1:]):
        size = problem.widest + 1 if i == 0 else wide
        code = code * size + np.where(np.asarray(column) == NONE, wide - 1, column)
    return np.asarray(code)


def decode(problem: Problem, code: Array) -> State:
    """The states of integers."""
    wide, columns, rest = 2 * problem.room + 2, [], code
    for _ in range(4 + 2 * problem.places):
        rest, digit = np.divmod(rest, wide)
        columns.append(np.where(digit == wide - 1, NONE, digit))
    rest, spread = np.divmod(rest, problem.widest + 1)
    # built from the last column: bid first
    back = columns[::-1]
    half = len(back) // 2
    return unflat([rest - problem.cap, spread, *back[:half], *back[half:]])


def start_state(problem: Problem) -> State:
    """The book that a game opens with, one state; the warm-up then moves it."""
    one = np.ones(1, np.int64)
    none = [NONE * one] * problem.places
    side = [problem.top * one, problem.deep * one, *none]
    return unflat([0 * one, problem.spread * one, *side, *side])


def chain_of(problem: Problem, most: int = 5_000_000) -> Chain:
    """The chain of a book; raises ValueError where intensities move, or where it has too many states."""
    if not problem.poisson:
        raise ValueError("market.flow: found excitation; allowed is none: intensities would have to be on the grid")
    codes = _reachable(problem, most)
    states = decode(problem, codes)
    chain = Chain(problem, codes, states, Rows(codes, codes, codes), codes, 0.0, ())
    flows = [
        (event, problem.base[event] * problem.factor(event, states.spread) * np.ones(len(codes)))
        for event in range(TYPES)
    ]
    rate = float(np.sum([flow for _, flow in flows], axis=0).max())
    targets: list[NDArray[Any]] = [np.arange(len(codes))]
    weights, reward = [np.zeros(len(codes))], -problem.running(states)
    for event, flow in flows:
        for one in transitions(problem, states, event):
            share = flow * one.probability
            targets.append(_where(chain, one, share > 0))
            weights.append(share / rate)
            reward = reward + share * one.gain
    weights[0] = 1.0 - np.sum(weights, axis=0)
    step = Rows.of(targets, weights)
    impulses = []
    for action in problem.actions:
        may = np.asarray(allowed(problem, states, action))
        outcomes = intervene(problem, states, action)
        to = Rows.of(
            [_where(chain, one, may) for one in outcomes],
            [np.broadcast_to(one.probability, codes.shape) for one in outcomes],
        )
        gain = np.sum([one.probability * one.gain for one in outcomes], axis=0)
        impulses.append((action, may, to, gain))
    return chain._replace(step=step, reward=reward, rate=rate, impulses=tuple(impulses))


def _where(chain: Chain, one: Branch, counts: Array) -> Array:
    """Numbers of the states of a branch; the state itself where the branch does not count."""
    columns = zip(flat(one.state), flat(chain.states), strict=True)
    found = chain.at(unflat([np.where(counts, a, b) for a, b in columns]))
    assert (found >= 0).all()  # whatever counts has been reached
    return found


def _reachable(problem: Problem, most: int) -> Array:
    """Codes of all states that events and impulses lead to from the start."""
    known = fresh = encode(problem, start_state(problem))
    while len(fresh):
        states = decode(problem, fresh)
        found = [fresh]
        for event in range(TYPES):
            flow = problem.base[event] * problem.factor(event, states.spread) * np.ones(len(fresh))
            for one in transitions(problem, states, event):
                counts = flow * one.probability > 0
                found.append(encode(problem, unflat([np.asarray(c)[counts] for c in flat(one.state)])))
        for action in problem.actions:
            may = np.asarray(allowed(problem, states, action))
            outcomes = [
                unflat([np.asarray(c)[may] for c in flat(one.state)]) for one in intervene(problem, states, action)
            ]
            found += [encode(problem, one) for one in outcomes]
        fresh = np.setdiff1d(np.concatenate(found), known)
        known = np.union1d(known, fresh)
        if len(known) > most:
            raise ValueError(f"market.depth.room: found more than {most} states of the book; allowed is a smaller one")
    return known


def best(chain: Chain, value: Array) -> tuple[Array, NDArray[Any]]:
    """max(W, max_psi E[gain + W]) [n] and its impulse, -1 where waiting is as good."""
    top, choice = value.copy(), np.full(len(value), IDLE, np.int8)
    for action, may, to, gain in chain.impulses:
        worth = np.where(may, gain + to @ value, -np.inf)
        better = worth > top
        top[better], choice[better] = worth[better], action
    return top, choice


def terms(mean: float) -> tuple[Array, Array]:
    """Probabilities of 0, 1, ... steps, and of more than so many; cut where `LEFT` is left."""
    count = int(mean + 12.0 * np.sqrt(mean) + 30)
    logs = np.arange(count) * np.log(max(mean, 1e-300)) - mean - np.cumsum([0.0, *np.log(np.arange(1, count))])
    mass = np.exp(logs)
    above = np.maximum(1.0 - np.cumsum(mass), 0.0)
    keep = int(np.argmax(above < LEFT)) + 1 if (above < LEFT).any() else count
    return mass[:keep], above[:keep]


def earned(chain: Chain, dt: float) -> Array:
    """E[ int (g - eta Y^2) du ] [n] over a time dt in which nothing is decided."""
    _, above = terms(chain.rate * dt)
    out, reward = np.zeros(len(chain.codes)), chain.reward
    for k, later in enumerate(above):
        reward = chain.step @ reward if k else reward
        out += later * reward
    return out / chain.rate


def expected(chain: Chain, value: Array, dt: float) -> Array:
    """E[V(s_dt)] [n] when nothing is decided for a time dt."""
    out = np.zeros(len(value))
    for k, now in enumerate(terms(chain.rate * dt)[0]):
        value = chain.step @ value if k else value
        out += now * value
    return out


def solve(chain: Chain, keep: bool = True) -> Optimum:
    """The optimum on the grid of decisions."""
    problem = chain.problem
    value = np.asarray(problem.at_end(chain.states) + np.zeros(len(chain.codes)))
    policy = np.full((problem.steps if keep else 0, len(chain.codes)), IDLE, np.int8)
    paid = earned(chain, problem.dt)
    for k in reversed(range(problem.steps)):
        value, choice = best(chain, paid + expected(chain, value, problem.dt))
        if keep:
            policy[k] = choice
    return Optimum(chain, at_start(chain, value), value, policy)


def at_start(chain: Chain, value: Array) -> float:
    """The mean over the warm-up of values [n] at the first decision: nobody has orders then, so nothing is earned."""
    problem = chain.problem
    pieces = int(np.ceil(problem.warm_up))
    for _ in range(pieces):
        value = expected(chain, value, problem.warm_up / pieces)
    return float(value[chain.at(start_state(problem))][0])


def evaluate(chain: Chain, policy: Array) -> Array:
    """What a policy [steps, n] is worth before the first decision, [n]."""
    value = np.asarray(chain.problem.at_end(chain.states) + np.zeros(len(chain.codes)))
    paid = earned(chain, chain.problem.dt)
    for k in reversed(range(chain.problem.steps)):
        value = follow(chain, paid + expected(chain, value, chain.problem.dt), policy[k])
    return value


def follow(chain: Chain, value: Array, choice: Array) -> Array:
    """E[gain + W] [n] of given impulses; one that is not allowed is none."""
    out = value.copy()
    for action, may, to, gain in chain.impulses:
        out = np.where((choice == action) & may, gain + to @ value, out)
    return out


def clocked(chain: Chain, clock: float, end: Array | None = None, time: float | None = None) -> Array:
    """W [n] a time before values `end` when decisions come at a rate c: the penalised inequality by Runge & Kutta.

    Of four stages, about one step for each ring of the chain's and the decisions' clocks together. Without `end` and
    `time` the whole game.
    """
    problem = chain.problem
    time = problem.horizon if time is None else time
    steps = int(np.ceil(1.5 * time * (chain.rate + clock)))
    dt = time / steps
    value = np.asarray(problem.at_end(chain.states) + np.zeros(len(chain.codes))) if end is None else end

    def slope(w: Array) -> Array:
        flow = chain.rate * (chain.step @ w - w) + chain.reward
        return np.asarray(flow + clock * (best(chain, w)[0] - w))

    for _ in range(steps):
        one = slope(value)
        two = slope(value + 0.5 * dt * one)
        three = slope(value + 0.5 * dt * two)
        value = value + dt / 6.0 * (one + 2.0 * two + 2.0 * three + slope(value + dt * three))
    return value
