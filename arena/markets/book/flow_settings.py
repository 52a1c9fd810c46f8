"""The background flow: twelve mutually exciting point processes, by name or by their numbers.

lambda_i(t) = F_i(spread) max(0, mu_i + sum_j int phi_ij(t - u) dN_j(u)),  phi_ij = G_ij h_ij,  int h_ij = 1, with
F_i = f(spread) for in-spread orders and 1 for all others. All kernels become sums of exponentials (`components`): the
single rate, rates common to all pairs, a rate per pair, or a power law as a mixture.
"""

from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from arena.layout import STRICT, Array
from arena.markets.book.events import TYPES
from arena.markets.book.presets import PRESETS, aapl
from arena.solvers.hawkes import mixture

Rate = Annotated[float, Field(gt=0, le=1e7)]
Base = Annotated[float, Field(ge=0, le=1e6)]
Weight = Annotated[float, Field(ge=-1e3, le=1e3)]
Rows = tuple[tuple[Weight, ...], ...]
AAPL_RATES = 16
"""Exponentials that carry all power laws of the public calibration; the worst misses by 0.003."""


class Exponential(BaseModel):
    """h(u) = rate exp(-rate u) for every pair."""

    model_config = STRICT
    kind: Literal["exponential"] = "exponential"
    rate: Rate = Field(default=5.0, description="beta, 1/s")


class Exponentials(BaseModel):
    """h(u) = sum_k weight_k rate_k exp(-rate_k u), the same for every pair."""

    model_config = STRICT
    kind: Literal["exponentials"] = "exponentials"
    rates: tuple[Rate, ...] = Field(min_length=1, max_length=32, description="1/s")
    weights: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(description="of sum 1")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.weights) != len(self.rates):
            raise ValueError(
                f"weights: found {len(self.weights)} entries; allowed is one for each of {len(self.rates)} rates"
            )
        if abs(sum(self.weights) - 1.0) > 1e-9:
            raise ValueError(f"weights: found a sum of {sum(self.weights):g}; allowed is 1")
        return self


class PerPair(BaseModel):
    """h_ij(u) = rate_ij exp(-rate_ij u)."""

    model_config = STRICT
    kind: Literal["per_pair"] = "per_pair"
    rates: tuple[tuple[Rate, ...], ...] = Field(description="12 x 12, 1/s; rows are excited, columns excite")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if wrong := _shape(self.rates, TYPES):
            raise ValueError(f"rates: {wrong}")
        return self


class PowerLaw(BaseModel):
    """h(u) = (exponent - 1) scale (1 + scale u)^-exponent, played as a mixture of exponentials."""

    model_config = STRICT
    kind: Literal["power_law"] = "power_law"
    exponent: float = Field(default=1.7, gt=1, le=20, description="beta")
    scale: Rate = Field(default=20.0, description="gamma, 1/s")
    rates: int = Field(default=8, ge=2, le=32, description="exponentials in the mixture")

    @model_validator(mode="after")
    def _check(self) -> Self:
        worst = mixture.error(self.exponent, self.scale, tuple(mixture.grid(self.scale, self.rates).tolist()))
        if worst > mixture.TOLERANCE:
            least = f"allowed is as many as keep it within {mixture.TOLERANCE}"
            raise ValueError(f"rates: found {self.rates}, which miss the power law by {worst:.3f}; {least}")
        return self


Kernel = Annotated[Exponential | Exponentials | PerPair | PowerLaw, Field(discriminator="kind")]


class InSpread(BaseModel):
    """f(s) = (s/mean)^power for a spread of s >= 2 ticks and 0 below: where there is room inside, it is used."""

    model_config = STRICT
    power: float = Field(default=0.941, ge=0, le=4, description="exponent")
    mean: float = Field(default=1.01, gt=0, le=1e4, description="average spread, ticks")


class Components(NamedTuple):
    """Kernels as sums of exponentials: lambda_i gains jump[j, k, i] at an event j, which decays at rate[k, i]."""

    rate: Array  # [K, 12], 1/s
    jump: Array  # [12, K, 12], by source, component, target
    common: bool  # whether all targets of a component share its rate


class Flow(BaseModel):
    """A preset by name, or base rates with excitation `same` and `cross` (6 x 6) or `matrix` (12 x 12) and a kernel."""

    model_config = STRICT
    preset: Literal[tuple(PRESETS)] | None = Field(default=None, description="a named flow")  # type: ignore[valid-type]
    base: tuple[Base, ...] = Field(default=(), description="mu, 1/s: six of one side, or twelve")
    same: Rows = Field(default=(), description="what events of a side do to their own side, rows are excited")
    cross: Rows = Field(default=(), description="and to the other side")
    matrix: Rows = Field(default=(), description="G, rows are excited, columns excite; instead of same and cross")
    kernel: Kernel = Field(default=Exponential(), description="how an effect fades")
    in_spread: InSpread | None = Field(
        default=None, description="what the spread does to in-spread orders; none: the preset's, else 1.01 ticks, 0.941"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in ("base", "same", "cross", "matrix") if getattr(self, name)]
        if self.preset is not None and given:
            raise ValueError(f"preset: found '{self.preset}' with {given[0]}; allowed is a preset, or numbers")
        if self.preset is None and len(self.base) not in (TYPES // 2, TYPES):
            found = f"found {len(self.base)} entries" if self.base else "missing, and no preset"
            raise ValueError(
                f"base: {found}; allowed are 6 rates of one side, or 12; or a preset: {', '.join(PRESETS)}"
            )
        if self.matrix and (self.same or self.cross):
            raise ValueError("matrix: found with same or cross; allowed is one of the two forms")
        for name, size in (("same", 6), ("cross", 6), ("matrix", TYPES)):
            if (value := getattr(self, name)) and (wrong := _shape(value, size)):
                raise ValueError(f"{name}: {wrong}")
        radius = spectral_radius(np.maximum(self.excitation, 0.0))
        if radius >= 1.0:
            name = "matrix" if self.matrix else "same"
            raise ValueError(
                f"{name}: found excitation of spectral radius {radius:.4g}, with which events breed without end; "
                "allowed is below 1"
            )
        return self

    @property
    def plain(self) -> "Flow":
        """The same flow with a preset's numbers spelled out; the public calibration stays a preset."""
        if self.preset is None or self.preset == "aapl_src":
            return self
        return Flow.model_validate(PRESETS[self.preset])

    @property
    def inside(self) -> InSpread:
        """What the spread does to in-spread orders."""
        known = PRESETS[self.preset].get("in_spread", {}) if self.preset else {}
        return self.in_spread or InSpread(**known)

    @property
    def rates(self) -> Array:
        """Base rates mu [12], 1/s."""
        base = aapl()["base"] if self.preset == "aapl_src" else self.plain.base
        return np.array(base if len(base) == TYPES else (*base, *reversed(base)), dtype=float)

    @property
    def excitation(self) -> Array:
        """G [12, 12], the integrals of all kernels; rows are excited, columns excite."""
        out = np.zeros((TYPES, TYPES))
        if self.preset == "aapl_src":
            for source, target, norm, _, _ in aapl()["pairs"]:
                out[target, source] = norm
            return out
        if self.preset is not None:
            return self.plain.excitation
        if self.matrix:
            return np.array(self.matrix, dtype=float)
        for block, mirrored in ((self.same, False), (self.cross, True)):
            if block:
                own = np.array(block, dtype=float)
                half = slice(6, None) if mirrored else slice(0, 6)
                other = slice(0, 6) if mirrored else slice(6, None)
                out[:6, half] = own[:, ::-1] if mirrored else own
                out[6:, other] = own[::-1, ::-1] if not mirrored else own[::-1]
        return out

    def components(self) -> Components:
        """All kernels as sums of exponentials."""
        if self.preset == "aapl_src":
            return _mixed(aapl()["pairs"])
        if self.preset is not None:
            return self.plain.components()
        norm, kernel = self.excitation, self.kernel
        if isinstance(kernel, PerPair):  # component k is what event k started
            rate = np.array(kernel.rates, dtype=float).T
            return Components(rate, np.einsum("ij,ji,jk->jki", norm, rate, np.eye(TYPES)), False)
        if isinstance(kernel, PowerLaw):
            rates = mixture.grid(kernel.scale, kernel.rates)
            weights = np.array(mixture.weights(kernel.exponent, kernel.scale, tuple(rates.tolist())))
        else:
            single = isinstance(kernel, Exponential)
            rates = np.array([kernel.rate] if single else kernel.rates)  # type: ignore[union-attr]
            weights = np.ones(1) if single else np.array(kernel.weights)  # type: ignore[union-attr]
        rate = np.repeat(rates[:, None], TYPES, axis=1)
        return Components(rate, np.einsum("ij,k->jki", norm, weights * rates), True)


def spectral_radius(matrix: Array) -> float:
    """The largest absolute value of an eigenvalue."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def _mixed(pairs: tuple[tuple[int, int, float, float, float], ...]) -> Components:
    """Power laws with an exponent and a scale per pair, on common rates."""
    rates = tuple(mixture.grid(max(scale for *_, scale in pairs), AAPL_RATES).tolist())
    jump = np.zeros((TYPES, len(rates), TYPES))
    for source, target, norm, exponent, scale in pairs:
        jump[source, :, target] = norm * np.array(mixture.weights(exponent, scale, rates)) * rates
    return Components(np.repeat(np.array(rates)[:, None], TYPES, axis=1), jump, True)


def _shape(rows: tuple[tuple[float, ...], ...], size: int) -> str | None:
    if len(rows) != size or any(len(row) != size for row in rows):
        return f"found rows of {[len(row) for row in rows]} entries; allowed is {size} x {size}"
    return None
