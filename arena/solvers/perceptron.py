"""Forward passes of small networks whose every bit is the row's own: not the batch's, not a library's, not a machine's.

A network of layers W_1, ..., W_L with a linear term A, seen by one row x,

    h_0 = x,   h_l = f(b_l + W_l h_(l-1)) for l < L,   u = b_L + W_L h_(L-1) + A x,   f = tanh or max(0, .)

is computed in float32 by additions, multiplications and one division, each rounded once as IEEE 754 says. A sum runs
over its inputs in their order, no product is fused into a sum, and nothing is re-associated (no `fastmath`), so there
is one result, however many rows are beside it. The matrix product of a library promises none of this: it picks its
order of summation by shape and by processor.

The loops that a compiler vectorises run over the units of a hidden layer, and over games in the last layer, which has
few units; four sums share each number loaded.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_EXACT: dict[str, Any] = {"forceinline": True, "error_model": "numpy"}
_FOUR = 4
_TILE = 32  # rows at a time: they and the weights of a layer stay in the fastest cache

_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_LARGEST = np.float32(9.25)  # tanh(9.25) rounds to 1
_TWO_LOG2E, _LN2 = np.float32(2.0 * 1.4426950408889634), np.float32(0.6931471805599453)
_MAGIC = np.float32(12582912.0)  # 1.5 * 2**23: adding it rounds to an integer that sits in the low bits
_MANTISSA_BITS, _EXPONENT_BIAS = np.int32(23), np.int32(127)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1.0 / factorial) for factorial in (2, 6, 24, 120, 720, 5040))


class Perceptrons(NamedTuple):
    """M networks of one shape, packed into what `forward` reads; see `pack`."""

    weights: NDArray[np.float32]  # [M, P]
    sizes: NDArray[np.int64]  # [L + 1]: columns of x, units of each hidden layer, outputs
    relu: bool


def pack(networks: Sequence[Mapping[str, np.ndarray]]) -> Perceptrons:
    """Pack networks given as arrays by name: `policy.<i>.weight` [out, in] and `.bias`, `linear` [out, D], `relu`.

    A row of `weights` holds for each hidden layer W transposed [in, out] and b, then [W_L, A] with rows of zeros up to
    a multiple of four, and b_L. Raises ValueError when networks differ in shape or nonlinearity.
    """
    packed = []
    for weights in networks:
        layers = linear_layers(weights)
        sizes = (layers[0][0].shape[1], *(len(bias) for _, bias in layers))
        last = np.concatenate([layers[-1][0], weights["linear"]], axis=1)
        last, bias = (np.concatenate([a, np.zeros((-len(a) % _FOUR, *a.shape[1:]))]) for a in (last, layers[-1][1]))
        parts = [part for w, b in layers[:-1] for part in (w.T.ravel(), b)] + [last.ravel(), bias]
        packed.append((sizes, bool(weights["relu"]), np.concatenate(parts).astype(np.float32)))
    if len({(sizes, relu) for sizes, relu, _ in packed}) != 1:
        raise ValueError("networks that play side by side must share layers and nonlinearity")
    sizes, relu, _ = packed[0]
    return Perceptrons(np.stack([flat for _, _, flat in packed]), np.array(sizes, np.int64), relu)


def linear_layers(weights: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight [out, in] and bias [out] of each linear layer of a policy, first to last."""
    indices = sorted({int(name.split(".")[1]) for name in weights if name.startswith("policy.")})
    return [(weights[f"policy.{i}.weight"], weights[f"policy.{i}.bias"]) for i in indices]


@njit(**_EXACT)
def tanh(x: Any) -> Any:
    """tanh x of a float32 to 2.2 units in the last place, odd, never beyond 1: E/(E + 2), E = e^(2|x|) - 1."""
    size = min(abs(x), _LARGEST)
    shifted = size * _TWO_LOG2E + _MAGIC
    n = shifted - _MAGIC
    r = (size + size) - n * _LN2  # 2|x| = n ln 2 + r
    p = _C7
    p = p * r + _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = r + (r * r) * p  # e^r - 1
    bits = (np.float32(shifted).view(np.int32) + _EXPONENT_BIAS) << _MANTISSA_BITS
    power = np.int32(bits).view(np.float32)  # 2^n
    e = power * p + (power - _ONE)
    t = e / (e + _TWO)
    return -t if x < _ZERO else t


@njit(**_EXACT)
def _add_product(x, x_row, inputs, matrix, m_row, n, y):
    """y += x M for four rows, input after input: x [4, inputs], M [inputs, n], y [4, n].

    All are flat: rows of x start every `x_row` numbers, those of M every `m_row`, those of y every n.
    """
    x0, x1, x2, x3 = x, x[x_row:], x[2 * x_row :], x[3 * x_row :]
    y0, y1, y2, y3 = y, y[n:], y[2 * n :], y[3 * n :]
    for i in range(0, inputs - 1, 2):  # two inputs for each time that a sum is loaded and stored
        row, next_row = matrix[i * m_row :], matrix[(i + 1) * m_row :]
        a0, a1, a2, a3 = x0[i], x1[i], x2[i], x3[i]
        b0, b1, b2, b3 = x0[i + 1], x1[i + 1], x2[i + 1], x3[i + 1]
        for k in range(n):
            y0[k] = (y0[k] + row[k] * a0) + next_row[k] * b0
            y1[k] = (y1[k] + row[k] * a1) + next_row[k] * b1
            y2[k] = (y2[k] + row[k] * a2) + next_row[k] * b2
            y3[k] = (y3[k] + row[k] * a3) + next_row[k] * b3
    if inputs % 2:
        i = inputs - 1
        row = matrix[i * m_row :]
        a0, a1, a2, a3 = x0[i], x1[i], x2[i], x3[i]
        for k in range(n):
            y0[k] = y0[k] + row[k] * a0
            y1[k] = y1[k] + row[k] * a1
            y2[k] = y2[k] + row[k] * a2
            y3[k] = y3[k] + row[k] * a3


@njit(**_EXACT)
def _activate(y, relu, to):
    """to := f(y), flat and equally long."""
    if relu:
        for k in range(to.size):
            to[k] = max(y[k], _ZERO)
    else:
        for k in range(to.size):
            to[k] = tanh(y[k])


@njit(cache=True, nogil=True, error_model="numpy")
def forward(weights: Any, sizes: Any, relu: bool, who: Any, where: Any, seen: Any, out: Any) -> None:
    """Write the outputs u [K, C, W] of C cells, each played by one network, into `out`; all arrays of numbers float32.

    weights [M, P], sizes [L + 1], relu: the networks, as `pack` made them;  who [C]: the network of each cell;
    where [C]: the cell's place in seen [D, cells, W], W rows of a cell side by side.
    """
    columns, hidden, last, outputs = sizes[0], sizes[1:-1], sizes[-2], sizes[-1]
    wide = sizes[:-1].max()
    x, y = np.zeros(_TILE * wide, np.float32), np.empty(_FOUR * max(wide, _TILE), np.float32)
    both = np.zeros((last + columns) * _TILE, np.float32)  # inputs of the last layer, games-last: it has few outputs
    for c in range(who.size):
        network, cell = weights[who[c]], where[c]
        for start in range(0, seen.shape[2], _TILE):
            rows = min(_TILE, seen.shape[2] - start)
            for d in range(columns):
                for g in range(rows):
                    x[g * wide + d] = both[(last + d) * _TILE + g] = seen[d, cell, start + g]
            at, inputs = 0, columns
            for units in hidden:
                bias = network[at + inputs * units :]
                for first in range(0, rows, _FOUR):  # the last four may go beyond `rows`: that is never read
                    for g in range(_FOUR):
                        for k in range(units):
                            y[g * units + k] = bias[k]
                    _add_product(x[first * wide :], wide, inputs, network[at:], units, units, y)
                    for g in range(_FOUR):
                        to = (first + g) * wide
                        _activate(y[g * units :], relu, x[to : to + units])
                at, inputs = at + (inputs + 1) * units, units
            for g in range(rows):
                for k in range(last):
                    both[k * _TILE + g] = x[g * wide + k]
            inputs, bias = last + columns, network[network.size + -outputs // _FOUR * _FOUR :]
            for first in range(0, outputs, _FOUR):
                for k in range(_FOUR):
                    for g in range(rows):
                        y[k * rows + g] = bias[first + k]
                _add_product(network[at + first * inputs :], inputs, inputs, both, _TILE, rows, y)
                for k in range(min(_FOUR, outputs - first)):
                    for g in range(rows):
                        out[first + k, c, start + g] = y[k * rows + g]


_LOG2E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 0.693147180369123816490, 1.90821492927058770002e-10
_POWERS = tuple(1.0 / math.factorial(n) for n in range(12, 1, -1))


@njit(**_EXACT)
def _exp(x: Any) -> Any:
    """e^x of a float64 x <= 0, rounded operation by operation; 0 below -700."""
    if x < -700.0:
        return 0.0
    n = np.floor(x * _LOG2E + 0.5)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW  # x = n ln 2 + r
    p = 0.0
    for c in _POWERS:
        p = p * r + c
    return np.ldexp(1.0 + r + r * r * p, int(n))


@njit(cache=True, nogil=True, error_model="numpy")
def choose(outputs: Any, allowed: Any, uniform: Any, idle: int, gated: bool, out: Any) -> None:
    """Write the options that C cells of W rows play into `out` [C, W]: the heads of `agents.heads`, row by row.

    outputs [O, C, W];  allowed [K, C, W]: above 1/2 where an option may be played;  uniform [C, W] on (0, 1): the
    option is the first whose cumulated probability reaches it. Without `gated` probabilities are a softmax of the K
    outputs over the allowed options; with it P(idle) = 1 - d, d = 1/(1 + exp(-o_0)), and the K further outputs share d
    among the other options. Where nothing is allowed `idle` is played.
    """
    options, cells, rows = allowed.shape
    mass = np.empty(options)
    skip = 1 if gated else 0
    for c in range(cells):
        for w in range(rows):
            top, any_allowed, may_act = -np.inf, False, False
            for k in range(options):
                may = allowed[k, c, w] > 0.5
                any_allowed |= may
                if may and not (gated and k == idle):
                    may_act = True
                    top = max(top, float(outputs[k + skip, c, w]))
            total = 0.0
            for k in range(options):
                mass[k] = 0.0
                if allowed[k, c, w] > 0.5 and not (gated and k == idle):
                    mass[k] = _exp(float(outputs[k + skip, c, w]) - top)
                    total += mass[k]
            if not any_allowed:
                mass[idle] = total = 1.0
            elif gated and allowed[idle, c, w] > 0.5:
                gate = float(outputs[0, c, w])
                small = _exp(-abs(gate))
                act = (1.0 if gate >= 0.0 else small) / (1.0 + small)
                if may_act:  # the others share d, so idle weighs (1 - d)/d of all of them
                    mass[idle] = total * (1.0 - act) / act
                    total += mass[idle]
                else:
                    mass[idle] = total = 1.0
            target, reached, chosen = uniform[c, w] * total, 0.0, idle
            for k in range(options):
                if mass[k] > 0.0:
                    chosen = k
                    reached += mass[k]
                    if reached >= target:
                        break
            out[c, w] = chosen
