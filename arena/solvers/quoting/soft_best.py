"""One side of a two-maker market under `soft_best`: who trades, and the best distances of one, both or a cartel.

    lambda_m = A softmax_m(-kappa delta) ((e^{-kappa delta_1} + e^{-kappa delta_2}) / 2)^{k/kappa},   kappa >= k

A maker whose own fill changes its value by a and whose rival's fill changes it by b maximises lambda_1 (delta_1 + a) +
lambda_2 b. With the own share s and u = 1 - s the first-order condition is

    delta_1 = R(u; b) - a,     R(u; b) = (1 + (kappa - k) u b) / (k + (kappa - k) u)

R falls in delta_1 when b k <= 1: one root, the maximum. For b k > 1 (the rival's fill is worth more than a
monopolist's margin) there are up to two local maxima, separated by the roots of a quadratic in u; both are looked
at. A withdrawn quote is inf. Kernels only: arrays and checks live in `duel`.
"""

import math

from numba import njit


@njit(cache=True, error_model="numpy")
def flow_kernel(own: float, rival: float, rate: float, k: float, kappa: float) -> tuple[float, float]:
    """Intensities (own, rival) of one side; both zero when both quotes are withdrawn."""
    best = min(own, rival)
    if best == math.inf:
        return 0.0, 0.0
    first, second = math.exp(-kappa * (own - best)), math.exp(-kappa * (rival - best))
    together = first + second
    total = rate * math.exp(-k * best) * (0.5 * together) ** (k / kappa)
    return total * first / together, total * second / together


@njit(cache=True, error_model="numpy")
def margin_kernel(u: float, b: float, k: float, kappa: float) -> float:
    """R(u; b)."""
    return (1.0 + (kappa - k) * u * b) / (k + (kappa - k) * u)


@njit(cache=True, error_model="numpy")
def respond_kernel(rival: float, a: float, b: float, low: float, high: float, k: float, kappa: float) -> float:
    """The distance in [low, high] that maximises lambda_1 (delta + a) + lambda_2 b against the rival's distance."""
    if rival == math.inf:
        return min(max(1.0 / k - a, low), high)
    ends = 1.0 / k, (1.0 + (kappa - k) * b) / kappa
    left, right, extra = min(ends) - a, max(ends) - a, kappa - k
    if b * k <= 1.0 or extra <= 0.0:
        return min(max(_root(left, right, rival, a, b, k, kappa), low), high)
    excess = kappa * extra * (b * k - 1.0)
    square, linear = extra * extra + excess, 2.0 * k * extra - excess
    inner = linear * linear - 4.0 * square * k * k
    if inner <= 0.0 or linear >= 0.0:
        return min(max(_root(left, right, rival, a, b, k, kappa), low), high)
    u_low, u_high = (-linear - math.sqrt(inner)) / (2.0 * square), (-linear + math.sqrt(inner)) / (2.0 * square)
    turn_low, turn_high = (
        rival + math.log(u_low / (1.0 - u_low)) / kappa,
        rival + math.log(u_high / (1.0 - u_high)) / kappa,
    )
    near = left  # where there is no inner maximum, the bracket's end cannot win
    if turn_low > left and turn_low + a >= margin_kernel(u_low, b, k, kappa):
        near = _root(left, min(turn_low, right), rival, a, b, k, kappa)
    far = right
    if turn_high < right and turn_high + a <= margin_kernel(u_high, b, k, kappa):
        far = _root(max(turn_high, left), right, rival, a, b, k, kappa)
    near, far = min(max(near, low), high), min(max(far, low), high)
    return near if _worth(near, rival, a, b, k, kappa) >= _worth(far, rival, a, b, k, kappa) else far


@njit(cache=True, error_model="numpy")
def equilibrium_kernel(
    a1: float, b1: float, a2: float, b2: float, low: float, high: float, k: float, kappa: float
) -> tuple[float, float]:
    """Both makers' simultaneous best distances: a bisection-guarded secant on Delta = delta_1 - delta_2.

    nan when b k > 1 for a maker: the side game then need not have one equilibrium.
    """
    if b1 * k > 1.0 or b2 * k > 1.0:
        return math.nan, math.nan
    narrow1, narrow2 = (1.0 + (kappa - k) * b1) / kappa, (1.0 + (kappa - k) * b2) / kappa
    left = min(max(narrow1 - a1, low), high) - min(max(1.0 / k - a2, low), high)
    right = min(max(1.0 / k - a1, low), high) - min(max(narrow2 - a2, low), high)
    x = min(max(0.5 * (a2 - a1), left), right)
    for _ in range(100):
        ratio = math.exp(-kappa * abs(x))
        u1 = (1.0 if x > 0.0 else ratio) / (1.0 + ratio)  # the rival's share
        d1, slope1 = _clipped(u1, a1, b1, low, high, k, kappa)
        d2, slope2 = _clipped(1.0 - u1, a2, b2, low, high, k, kappa)
        excess = x - d1 + d2
        if excess > 0.0:
            right = x
        else:
            left = x
        if abs(excess) < 1e-15 or right - left < 1e-15:
            return d1, d2
        following = x - excess / (1.0 - kappa * u1 * (1.0 - u1) * (slope1 + slope2))
        x = following if left < following < right else 0.5 * (left + right)
    return d1, d2


@njit(cache=True, error_model="numpy")
def cartel_kernel(a1: float, a2: float, low: float, high: float, k: float, kappa: float) -> tuple[float, float]:
    """Distances that maximise lambda_1 (delta_1 + a1) + lambda_2 (delta_2 + a2): 1/k - a each, when no clamp binds.

    Subtracting the two first-order conditions gives kappa (delta_1 + a1) = kappa (delta_2 + a2). With a binding
    clamp the two distances are improved in turn until they stop.
    """
    d1, d2 = min(max(1.0 / k - a1, low), high), min(max(1.0 / k - a2, low), high)
    if d1 == 1.0 / k - a1 and d2 == 1.0 / k - a2:
        return d1, d2
    for _ in range(100):
        new1 = respond_kernel(d2, a1, d2 + a2, low, high, k, kappa)
        new2 = respond_kernel(new1, a2, new1 + a1, low, high, k, kappa)
        moved = abs(new1 - d1) + abs(new2 - d2)
        d1, d2 = new1, new2
        if moved < 1e-14:
            break
    return d1, d2


@njit(cache=True, error_model="numpy")
def _clipped(u, a, b, low, high, k, kappa):
    """clip(R(u; b) - a) and its slope in u."""
    d = margin_kernel(u, b, k, kappa) - a
    if d <= low or d >= high:
        return min(max(d, low), high), 0.0
    return d, (kappa - k) * (b * k - 1.0) / (k + (kappa - k) * u) ** 2


@njit(cache=True, error_model="numpy")
def _root(left, right, rival, a, b, k, kappa):
    """The root of delta + a - R(u(delta); b) in a bracket where it increases, by guarded Newton."""
    x = min(max(rival, left), right)
    for _ in range(100):
        ratio = math.exp(-kappa * abs(x - rival))
        u = (1.0 if x > rival else ratio) / (1.0 + ratio)
        excess = x + a - margin_kernel(u, b, k, kappa)
        if excess > 0.0:
            right = x
        else:
            left = x
        if abs(excess) < 1e-15 or right - left < 1e-15:
            return x
        bend = kappa * (kappa - k) * u * (1.0 - u) * (b * k - 1.0) / (k + (kappa - k) * u) ** 2
        following = x - excess / (1.0 - bend)
        x = following if left < following < right else 0.5 * (left + right)
    return x


@njit(cache=True, error_model="numpy")
def _worth(own, rival, a, b, k, kappa):
    mine, theirs = flow_kernel(own, rival, 1.0, k, kappa)
    return mine * (own + a) + theirs * b
