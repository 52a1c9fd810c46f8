"""How quotes become fills: the flow rules.

A rule takes the makers' distances from the mid on one side of one product and answers with two arrays: `intensity`,
the factor by which the arrival rate is multiplied to give each maker's flow, and `share`, the probability (in fluid
flow: the fraction) with which an order that must trade goes to each maker. An absent quote has distance `ABSENT`.

Each rule is a settings class and one branch of `flow`; to add a rule, add both here. The static values (symmetric
Nash and joint-profit half-spread) are those of one side, no inventory, M makers (option_making section 9).
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from numba import njit
from pydantic import BaseModel, Field

from arena.layout import STRICT
from arena.markets.parts.special import FAST, exp, log
from arena.markets.parts.underlying import NonNegative, Positive

ABSENT = 1e6
"""Distance of a quote that is not there; far beyond any real one, and finite so that the kernels need no infinity."""


class Exponential(BaseModel):
    """lambda_m = A exp(-k d_m): one maker, or makers who do not compete."""

    model_config = STRICT
    code: ClassVar[int] = 0
    kind: Literal["exponential"]
    fill_decay: Positive = Field(description="k, 1/currency")

    def numbers(self) -> tuple[float, float]:
        """(fill_decay, sharpness) as the kernel wants them; an order that must trade prefers with sharpness k."""
        return self.fill_decay, self.fill_decay


class SoftBest(BaseModel):
    """lambda_m = A softmax_m(-kappa d) (mean_j exp(-kappa d_j))^(k/kappa): the better quote attracts more, smoothly.

    kappa = k: independent makers with A/M each; kappa to infinity: the best quote takes all.
    """

    model_config = STRICT
    code: ClassVar[int] = 1
    kind: Literal["soft_best"]
    fill_decay: Positive = Field(description="k, 1/currency: how fast total flow dries up with distance")
    sharpness: Positive = Field(description="kappa >= fill_decay, 1/currency: how sharply flow goes to the best quote")

    def numbers(self) -> tuple[float, float]:
        """(fill_decay, sharpness) as the kernel wants them."""
        return self.fill_decay, self.sharpness


class Logit(BaseModel):
    """lambda_m = A exp(-k d_m) / (w0 + sum_j exp(-k d_j)): elastic flow with an outside option of weight w0."""

    model_config = STRICT
    code: ClassVar[int] = 2
    kind: Literal["logit"]
    fill_decay: Positive = Field(description="k, 1/currency")
    outside: NonNegative = Field(default=1.0, description="weight w0 of not trading")

    def numbers(self) -> tuple[float, float]:
        """(fill_decay, outside weight) as the kernel wants them."""
        return self.fill_decay, self.outside


class Logistic(BaseModel):
    """Share softmax_m(-c d + o) of inelastic flow: the market clears (Guo & Jin, section 5)."""

    model_config = STRICT
    code: ClassVar[int] = 3
    kind: Literal["logistic"]
    sharpness: Positive = Field(description="c, 1/currency")
    offsets: tuple[float, ...] = Field(default=(), description="o per maker (none: all 0)")

    def numbers(self) -> tuple[float, float]:
        """(sharpness, sharpness) as the kernel wants them."""
        return self.sharpness, self.sharpness


class Relative(BaseModel):
    """lambda_m = A exp(-gamma (d_m - min_{j != m} d_j)): competition against the best other quote (Guo & Jin, 2-4).

    Does not clear: with M tied makers each gets the whole flow.
    """

    model_config = STRICT
    code: ClassVar[int] = 4
    kind: Literal["relative"]
    fill_decay: Positive = Field(description="gamma, 1/currency")

    def numbers(self) -> tuple[float, float]:
        """(fill_decay, fill_decay) as the kernel wants them."""
        return self.fill_decay, self.fill_decay


FlowRule = Annotated[Exponential | SoftBest | Logit | Logistic | Relative, Field(discriminator="kind")]
"""The flow rules a scenario may name."""

EXPONENTIAL, SOFT_BEST, LOGIT, LOGISTIC, RELATIVE = range(5)


@njit(fastmath=FAST, error_model="numpy")
def flow(rule, first, second, offset, distance, intensity, share, best, total):
    """Intensity factors and shares of one side of one product.

    distance, intensity, share [M, W]; best (least distance) and total [W] are scratch, best is also an answer;
    first, second are the rule's numbers, offset [M] its offsets. Absent quotes get 0 and 0.
    """
    makers = distance.shape[0]
    games = best.shape[0]
    sharpness = second
    if rule == LOGIT:
        sharpness = first
    for g in range(games):
        best[g] = distance[0, g]
    for m in range(1, makers):
        row = distance[m]
        for g in range(games):
            best[g] = min(best[g], row[g])
    for g in range(games):
        total[g] = 0.0
    for m in range(makers):
        row, weight, shift = distance[m], share[m], offset[m]
        for g in range(games):
            # present quotes have weight >= exp(-700): only absent ones must count for nothing
            weight[g] = exp(shift - sharpness * (row[g] - best[g])) if row[g] < ABSENT else 0.0
            total[g] += weight[g]
    factor = intensity[0]  # what the weights are multiplied by; the first maker's row is written last
    if rule == SOFT_BEST:
        power, inverse = first / second, 1.0 / makers
        for g in range(games):
            every = max(total[g], 1e-300)
            total[g] = 1.0 / every
            factor[g] = exp(power * log(every * inverse) - first * best[g]) * total[g]
    elif rule == LOGIT:
        for g in range(games):
            # both sides of the fraction carry exp(first best): no overflow for negative distances
            factor[g] = 1.0 / max(total[g] + second * exp(first * best[g]), 1e-300)
            total[g] = 1.0 / max(total[g], 1e-300)
    else:
        for g in range(games):
            total[g] = 1.0 / max(total[g], 1e-300)
            factor[g] = total[g]
    for k in range(makers):
        m = makers - 1 - k
        weight, out = share[m], intensity[m]
        for g in range(games):
            out[g] = weight[g] * factor[g]
            weight[g] *= total[g]
    if rule == RELATIVE:
        _relative(first, distance, intensity)
    elif rule == EXPONENTIAL:
        independent(first, distance, intensity)


@njit(fastmath=FAST, error_model="numpy")
def independent(decay, distance, intensity):
    """exp(-k d_m), 0 for an absent quote: makers who do not compete, and no order that must trade."""
    for m in range(distance.shape[0]):
        row, out = distance[m], intensity[m]
        for g in range(row.shape[0]):
            out[g] = exp(-decay * row[g]) if row[g] < ABSENT else 0.0


@njit(fastmath=FAST, error_model="numpy")
def _relative(decay, distance, intensity):
    """exp(-gamma (d_m - least other distance)); a maker who quotes alone competes with itself: factor 1."""
    makers = distance.shape[0]
    for m in range(makers):
        own, out = distance[m], intensity[m]
        for g in range(out.shape[0]):
            out[g] = ABSENT
        for j in range(makers):
            if j != m:
                other = distance[j]
                for g in range(out.shape[0]):
                    out[g] = min(out[g], other[g])
        for g in range(out.shape[0]):
            alone = out[g] >= ABSENT
            gap = 0.0 if alone else own[g] - out[g]
            out[g] = exp(-decay * gap) if own[g] < ABSENT else 0.0


def intensity_and_share(rule: FlowRule, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A rule applied to arrays of any batch: distance [..., M] (inf or `ABSENT`: no quote) to two arrays [..., M]."""
    distance = np.minimum(np.asarray(distance, dtype=float), ABSENT)
    rows = np.ascontiguousarray(distance.reshape(-1, distance.shape[-1]).T)
    intensity, share = np.empty_like(rows), np.empty_like(rows)
    scratch = np.empty((2, rows.shape[1]))
    flow(rule.code, *rule.numbers(), offsets_of(rule, len(rows)), rows, intensity, share, *scratch)
    return intensity.T.reshape(distance.shape), share.T.reshape(distance.shape)


def offsets_of(rule: FlowRule, makers: int) -> np.ndarray:
    """The rule's offset per maker [M]; zero for rules that have none."""
    offsets = getattr(rule, "offsets", ())
    return np.asarray(offsets, dtype=float) if offsets else np.zeros(makers)
