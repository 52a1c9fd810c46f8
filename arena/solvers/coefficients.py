"""Coefficients of time: a number, a table `{t: [...], value: [...]}`, an expression of `t`, or any function of `t`.

`coefficient(value, name)` turns each of them into one `Coefficient`, a function of an array of times. A table is linear
between its times and constant outside them; its times are kept as `knots`, so that integrators can put a mesh point on
every kink. Expressions know numbers, `+ - * / **`, parentheses, `t`, `pi`, the functions sin, cos, exp, sqrt, log, and
min and max of two or more; nothing else is evaluated."""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from arena.layout import Array

OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "log": np.log,
}
LONGEST = 500
"""Characters of an expression: deeper nesting than these allow would exhaust the stack."""
CHOICES: dict[str, Any] = {"min": np.minimum, "max": np.maximum}


@dataclass(frozen=True)
class Coefficient:
    """One coefficient as a function of time: `Coefficient(t [n]) -> [n]`; `knots` are its kinks, `constant` its value
    if it never changes."""

    function: Callable[[Array], Array]
    knots: tuple[float, ...] = ()
    constant: float | None = None

    def __call__(self, t: Any) -> Array:
        return self.function(np.asarray(t, dtype=float))

    def at(self, t: float) -> float:
        """The value at one time."""
        return self.constant if self.constant is not None else float(self.function(np.array([t]))[0])


def expression(text: str, name: str = "coefficient") -> Callable[[Array], Array]:
    """Turn an arithmetic expression of `t`, such as `3 + sin(2*pi*t)`, into a function.

    Raises ValueError for anything that is not arithmetic."""

    def refuse(what: str) -> ValueError:
        return ValueError(
            f"{name}: found {what} in the expression {text!r}; allowed are numbers, + - * / **, parentheses, t, pi "
            f"and {', '.join([*FUNCTIONS, *CHOICES])}"
        )

    def check(node: ast.AST) -> None:
        if isinstance(node, ast.Expression):
            check(node.body)
        elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            check(node.left)
            check(node.right)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            check(node.operand)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            assert isinstance(node.value, int | float)
            if abs(node.value) > sys.float_info.max:  # a whole number may have any number of digits
                raise refuse("a number that is not finite")
        elif isinstance(node, ast.Name) and node.id in ("t", "pi"):
            return
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            if len(node.args) != 1 or node.keywords:
                raise refuse(f"{node.func.id} with {len(node.args) + len(node.keywords)} arguments instead of one")
            check(node.args[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CHOICES:
            if len(node.args) < 2 or node.keywords:
                raise refuse(f"{node.func.id} with {len(node.args) + len(node.keywords)} arguments instead of two")
            for argument in node.args:
                check(argument)
        else:
            raise refuse(repr(ast.unparse(node)))

    def evaluate(node: Any, t: Array) -> Any:
        match node:
            case ast.Expression():
                return evaluate(node.body, t)
            case ast.BinOp():
                return OPERATORS[type(node.op)](evaluate(node.left, t), evaluate(node.right, t))
            case ast.UnaryOp():
                inner = evaluate(node.operand, t)
                return -inner if isinstance(node.op, ast.USub) else inner
            case ast.Constant():
                return np.float64(node.value)  # type: ignore[arg-type]
            case ast.Name():
                return t if node.id == "t" else np.float64(np.pi)
            case ast.Call(func=ast.Name(id=name)) if name in CHOICES:
                return reduce(CHOICES[name], [evaluate(argument, t) for argument in node.args])
            case _:
                return FUNCTIONS[node.func.id](evaluate(node.args[0], t))

    if len(text) > LONGEST:
        raise ValueError(f"{name}: found an expression of {len(text)} characters; allowed are {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise refuse("no valid arithmetic") from error
    check(tree)

    def function(t: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.broadcast_to(np.asarray(evaluate(tree, t), dtype=float), t.shape)

    return function


def vectorised(function: Callable[..., Any]) -> Callable[[Array], Array]:
    """Let a function of one time take arrays of times: directly where it already does so correctly, else one time after
    another."""

    def one_by_one(t: Array) -> Array:
        return np.array([float(function(float(x))) for x in t.ravel()]).reshape(t.shape)

    probe = np.array([0.125, 0.375, 0.875])
    try:
        whole = np.asarray(function(probe), dtype=float)
    except (
        Exception
    ):  # a scalar function fails on arrays in its own way; evaluating it time by time shows any real error
        return one_by_one
    if whole.shape not in ((), probe.shape):
        return one_by_one
    if not np.array_equal(np.broadcast_to(whole, probe.shape), one_by_one(probe), equal_nan=True):
        return one_by_one
    return lambda t: np.broadcast_to(np.asarray(function(t), dtype=float), t.shape)


def coefficient(value: Any, name: str = "coefficient") -> Coefficient:
    """Read a number, a table `{t, value}`, an expression of `t` or a function of `t` as a Coefficient.

    Raises ValueError for anything else, for a number that is not finite and for times that do not increase."""
    if isinstance(value, Coefficient):
        return value
    if isinstance(value, str):
        function = expression(value, name)
        return Coefficient(function, constant=None if "t" in _names(value) else float(function(np.zeros(1))[0]))
    if isinstance(value, Mapping):
        return _table(value, name)
    if callable(value):
        return Coefficient(vectorised(value))
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}: found {value!r}; allowed are a number, a table {{t: [...], value: [...]}}, an expression of t "
            "or a function of t"
        ) from None
    if not np.isfinite(number):
        raise ValueError(f"{name}: found {number}; a coefficient must be finite")
    return Coefficient(lambda t: np.full(t.shape, number), constant=number)


def per_player(value: Any, count: int, name: str) -> list[Coefficient]:
    """Read one coefficient for everybody, or a list with one per player; raises ValueError for another number of them
    and for what `coefficient` does not read."""
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        if len(value) != count:
            raise ValueError(
                f"{name}: found {len(value)} values for {count} players; give one value, or one per player"
            )
        return [coefficient(entry, f"{name}[{i}]") for i, entry in enumerate(value)]
    return [coefficient(value, name)] * count


def knots_of(coefficients: Sequence[Coefficient], horizon: float) -> Array:
    """All kinks strictly inside (0, horizon), sorted."""
    inside = [knot for entry in coefficients for knot in entry.knots if 0.0 < knot < horizon]
    return np.unique(np.asarray(inside, dtype=float))


def require(entry: Coefficient, horizon: float, name: str, *, least: float = -np.inf, strict: bool = False) -> None:
    """Raises ValueError unless the coefficient is finite and at least (strict: above) `least` on [0,
    horizon]."""
    t = np.union1d(np.linspace(0.0, horizon, 257), knots_of([entry], horizon))
    values = entry(t)
    if not np.all(np.isfinite(values)):
        bad = t[~np.isfinite(values)][0]
        raise ValueError(f"{name}: its value at t = {bad:.6g} is not finite")
    worst = int(np.argmin(values))
    if values[worst] < least or (strict and values[worst] <= least):
        raise ValueError(
            f"{name}: found {values[worst]:.6g} at t = {t[worst]:.6g}; it must be {'above' if strict else 'at least'} "
            f"{least:g}"
        )


def _names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(node, ast.Name)}


def _table(value: Mapping[str, Any], name: str) -> Coefficient:
    if set(value) != {"t", "value"}:
        raise ValueError(
            f"{name}: found a table with {sorted(map(str, value))}; a table has exactly the two lists t and value"
        )
    times, values = np.asarray(value["t"], dtype=float), np.asarray(value["value"], dtype=float)
    if times.ndim != 1 or times.shape != values.shape or times.size == 0:
        raise ValueError(
            f"{name}: the table has {times.size} times and {values.size} values; it needs equally many, at least one"
        )
    if not (np.all(np.isfinite(times)) and np.all(np.isfinite(values))):
        raise ValueError(f"{name}: the table holds a number that is not finite")
    if np.any(np.diff(times) <= 0.0):
        at = int(np.argmax(np.diff(times) <= 0.0))
        raise ValueError(f"{name}: the times of the table must increase; found {times[at]:g} then {times[at + 1]:g}")
    constant = float(values[0]) if np.all(values == values[0]) else None
    return Coefficient(lambda t: np.interp(t, times, values), knots=tuple(times.tolist()), constant=constant)
