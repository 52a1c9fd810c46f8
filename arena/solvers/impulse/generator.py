"""The operators of the quasi-variational inequality on functions of a state: the generator and the best intervention.

    L W = sum_i F_i(s) lambda_i E[ gain_i + W(T_i s, lambda + alpha_i) - W(s, lambda) ] + sum_i beta (mu_i - lambda_i)
          d W/d lambda_i
    M W = max over allowed psi of E[ gain_psi + W(Gamma(s, psi), lambda + alpha_psi) ]
    min{ -d_t W - L W + eta Y^2,  W - M W } = 0,   W(T) = -kappa Y^2 - fee |Y| P_0

L leaves out d_t, which the paper's (8) and (12) count twice with (4), and has the running cost that (4) forgets. What
X + Y P gains stands beside W, so the same lines give the generator of V = X + Y P + W.
"""

from collections.abc import Callable
from typing import Any

from arena.solvers.impulse.interventions import allowed, intervene
from arena.solvers.impulse.problem import Problem
from arena.solvers.impulse.states import TYPES, State
from arena.solvers.impulse.transitions import transitions

Value = Callable[[State, int | None], Any]
"""W(state, event): at the state that an event or an own order led to, whose excitation it adds; None: as it was."""


def generator(problem: Problem, value: Value, state: State, intensity: Any) -> Any:
    """The jump part of L W [n] at intensities lambda [n, 12] or [12], without their factors F and without decay."""
    here = value(state, None)
    total = 0.0 * here
    for event in range(TYPES):
        rate = intensity[..., event] * problem.factor(event, state.spread)
        for one in transitions(problem, state, event):
            total = total + rate * one.probability * (one.gain + value(one.state, event) - here)
    return total


def interventions(problem: Problem, value: Value, state: State) -> list[tuple[int, Any, Any]]:
    """(impulse, where it is allowed, E[gain + W]) of each impulse."""
    out = []
    for action in problem.actions:
        worth = sum(
            one.probability * (one.gain + value(one.state, action)) for one in intervene(problem, state, action)
        )
        out.append((action, allowed(problem, state, action), worth))
    return out
