"""The dealer market without chance, as differentiable torch arithmetic: the same step as the compiled kernels'.

One asset at a constant reference price, fluid flow, quadratic penalties. For R games at once, step h, makers' distances
d [R, M, 2] (bid, ask), traders' rates v [R, N] towards their targets:

    fill_m = h noise intensity_m(d) + sum over traders of h v share_m(d),      q_m' = q_m + fill_bid - fill_ask
    r_m = d . fill - phi h (q^2 + q q' + q'^2)/3
    r_j = -h v paid - h beta v (v + omega mean of the others) - phi h (x^2 + x x' + x'^2)/3

and -A q^2, -A x^2 at the end (arena/markets/dealer/trades.py, moves.py). Without makers the mid moves by
p = impact (net volume) in a step and a trader of l = -+h v lots pays p l/2 + p x' (mid.py). Equality with `Game`
is kept by tests/markets/dealer/gaps/test_twin.py.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.learned import LIMIT
from arena.markets.dealer.flow import offsets_of
from arena.markets.dealer.market import DealerMarket
from arena.markets.dealer.seats import QuadraticRisk
from arena.markets.dealer.settings import naive_half_spread
from arena.markets.dealer.tables import IMPACT_AT, RUNNING_AT, tables
from arena.markets.market import Act

torch_of = torch.as_tensor
DIFFERENCE = 1e-4
"""Step of the differences by which a scripted act is differentiated, in units of a column's scale."""


class State(NamedTuple):
    """What the players can see and what moves; tensors [R, ...], bid before ask."""

    inventory: torch.Tensor  # [R, M]
    remaining: torch.Tensor  # [R, N], > 0 to buy
    direction: torch.Tensor  # [R, N]
    initial_inventory: torch.Tensor  # [R, M]
    initial_remaining: torch.Tensor  # [R, N]
    distance: torch.Tensor  # [R, M, 2] of the last step
    fill: torch.Tensor  # [R, M, 2] of the last step
    executor_fill: torch.Tensor  # [R, N] of the last step

    def rows(self, index: Any) -> "State":
        """Some games only."""
        return State(*(part[index] for part in self))


def applies(market: DealerMarket) -> bool:
    """Whether a market is one of these: nothing in it is random once the start is drawn."""
    makers, flow = market.makers, market.flow
    return (
        flow.orders == "fluid"
        and one_quiet_asset(market)
        and (makers.count == 0 or (makers.inventory_limit is None and not moves(market)))
    )


def moves(market: DealerMarket) -> bool:
    """Whether trades move the mid."""
    packed = tables(market)
    return bool(packed.table[:, packed.size[IMPACT_AT]].any())


def one_quiet_asset(market: DealerMarket) -> bool:
    """Whether one asset at a constant reference price is traded without fees, with quadratic penalties."""
    makers, flow, volatility = market.makers, market.flow, market.underlying.volatility
    quadratic = isinstance(makers.risk, QuadraticRisk) and makers.hedging.kind == "none"
    quadratic = quadratic and makers.variation_aversion == 0
    return (
        [product.right for product in market.products] == ["asset"]
        and (makers.count == 0 or quadratic)
        and (volatility.model == "constant" and volatility.value == 0.0)
        and not np.any(market.loading())
        and flow.informed_share == 0.0
        and flow.intensity.model != "log_ou"
        and market.fees.maker == market.fees.taker == 0.0
    )


class FluidGame:
    """A market's numbers as tensors, float64, and one step of it."""

    def __init__(self, market: DealerMarket):
        makers, clock = market.makers, market.clock
        self.market, self.steps, self.dt, self.horizon = market, clock.steps, clock.dt, clock.horizon
        self.makers, self.traders = makers.count, len(market.executors)
        self.seats = [agent for role in market.roles for agent in role.agents]
        self.noise = torch_of(market.arrival_rates()[:, 0, :] * clock.dt)
        self.offset = torch_of(offsets_of(market.flow.rule, self.makers))
        packed = tables(market)
        changing = torch_of(packed.table[:-1, packed.size[RUNNING_AT] :].copy())
        self.running, self.impact, self.x_running, self.move = changing.split(
            [self.makers, self.traders, self.traders, 1], dim=1
        )
        if isinstance(makers.risk, QuadraticRisk):
            self.terminal = torch_of(np.full(self.makers, makers.risk.terminal_penalty, dtype=float))

        def column(values: Iterable[float]) -> torch.Tensor:
            return torch.tensor(list(values), dtype=torch.float64)

        own = market.executors
        self.cross = column(e.cross_impact for e in own)
        self.x_terminal = column(e.terminal_penalty for e in own)
        self.least, self.most = column(e.rate[0] for e in own), column(e.rate[1] for e in own)
        self.pays_best = torch.tensor([e.price == "best" for e in own])
        self.stops = torch.tensor([e.stop_at_target for e in own])
        self.layouts = {role.name: role for role in market.roles}

    # --- states -------------------------------------------------------------------------------------------------------

    def read(self, rows: np.ndarray) -> State:
        """The state [R games] in rows [rows, R] of a `Game`."""

        def part(name: str) -> torch.Tensor:
            shape = self.market.state.field(name).shape
            cut = rows[self.market.state.slice(name)]
            return torch_of(np.moveaxis(cut.reshape(*shape, rows.shape[1]), -1, 0).copy())

        remaining = part("remaining")
        return State(
            part("maker_inventory")[:, :, 0], remaining, part("direction"), part("initial_inventory")[:, :, 0],
            remaining + part("executor_inventory"), part("distance")[:, :, 0], part("fill")[:, :, 0],
            part("executor_fill"),
        )  # fmt: skip

    def start(self, inventory: Any, remaining: Any) -> State:
        """Games that begin with inventories [R, M] and remaining orders [R, N] (> 0 to buy)."""
        q, x = (torch.atleast_2d(torch.tensor(np.asarray(one, dtype=float))) for one in (inventory, remaining))
        half = naive_half_spread(self.market) if self.makers else 0.0
        quoted = torch.full((len(x), self.makers, 2), half, dtype=torch.float64)
        direction = torch.where(x >= 0, 1.0, -1.0).to(torch.float64)
        return State(q, x, direction, q, x, quoted, torch.zeros_like(quoted), torch.zeros_like(x))

    # --- what players see ---------------------------------------------------------------------------------------------

    def observe(self, state: State, t: float) -> dict[str, torch.Tensor]:
        """Observations [R, seats, D] by role."""
        left = self.horizon - t * self.dt
        out = {}
        for name, role in self.layouts.items():
            see = self._maker_sees if name == "maker" else self._trader_sees
            seats = [
                torch.cat([see(field.name, state, seat, left) for field in role.observation], dim=1)
                for seat in range(len(role.agents))
            ]
            low, high = torch_of(role.observation.low), torch_of(role.observation.high)
            out[name] = torch.minimum(torch.maximum(torch.stack(seats, dim=1), low), high)
        return out

    def _maker_sees(self, name: str, state: State, m: int, left: float) -> torch.Tensor:
        others = [k for k in range(self.makers) if k != m]
        if name == "time_left":
            return torch.full_like(state.inventory[:, :1], left)
        if name == "best_rival_distance":
            return state.distance[:, others].amin(dim=1)
        if name == "maker_inventory":
            return state.inventory[:, others]
        if name == "trader_remaining":
            return state.remaining
        part = getattr(state, name)[:, m]
        return part if part.ndim == 2 else part[:, None]

    def _trader_sees(self, name: str, state: State, j: int, left: float) -> torch.Tensor:
        own, way = state.remaining[:, j : j + 1], state.direction[:, j : j + 1]
        if name == "time_left":
            return torch.full_like(own, left)
        if name == "to_trade":
            return own * way
        if name == "pace":
            return own * way / left
        if name in ("best_distance", "near_distance"):
            best = state.distance.amin(dim=1)
            return best if name == "best_distance" else torch.where(way > 0, best[:, 1:], best[:, :1])
        if name == "maker_inventory":
            return state.inventory
        if name == "trader_remaining":
            return state.remaining[:, [k for k in range(self.traders) if k != j]]
        return getattr(state, name)[:, j : j + 1]

    # --- one step -----------------------------------------------------------------------------------------------------

    def step(self, state: State, action: Mapping[str, torch.Tensor], t: int) -> tuple[State, torch.Tensor]:
        """The next state and the rewards [R, seats], makers first; actions [R, seats, K] in [-1, 1] by role."""
        rate = self.rates(state, action["executor"]) if self.traders else state.remaining
        x = state.remaining
        after = state._replace(remaining=x - self.dt * rate * state.direction, executor_fill=self.dt * rate)
        if self.makers == 0:
            return after, -self._charged(state, after, rate, self._at_mid(state, after, rate, t), t)
        distance = self.distances(action["maker"])
        fill, paid = [], torch.zeros_like(rate)
        for side in range(2):
            intensity, share = self.flow(distance[:, :, side])
            toward = torch.clamp((2 * side - 1) * state.direction, min=0.0)  # 1 for who trades on this side
            orders = self.dt * rate * toward
            fill.append(self.noise[t, side] * intensity + orders.sum(dim=1, keepdim=True) * share)
            if self.traders:
                average = (share * distance[:, :, side]).sum(dim=1, keepdim=True) / share.sum(dim=1, keepdim=True)
                best = distance[:, :, side].amin(dim=1, keepdim=True)
                paid = paid + orders * torch.where(self.pays_best, best, average)
        fills, q = torch.stack(fill, dim=2), state.inventory
        after = after._replace(inventory=q + fills[:, :, 0] - fills[:, :, 1], distance=distance, fill=fills)
        rewards = (distance * fills).sum(dim=2) - _charge(q, after.inventory, self.running[t] * self.dt)
        if t + 1 == self.steps:
            rewards = rewards - self.terminal * after.inventory**2
        if self.traders:
            rewards = torch.cat([rewards, -self._charged(state, after, rate, paid, t)], dim=1)
        return after, rewards

    def _charged(self, state: State, after: State, rate: torch.Tensor, paid: torch.Tensor, t: int) -> torch.Tensor:
        """What trading at these rates costs [R, N]: `paid`, the temporary impact and the penalties."""
        signed = rate * state.direction
        count = max(self.traders - 1, 1)
        impact = signed * (signed + self.cross * (signed.sum(dim=1, keepdim=True) - signed) / count)
        due = _charge(state.remaining, after.remaining, self.x_running[t] * self.dt)
        if t + 1 == self.steps:
            due = due + self.x_terminal * after.remaining**2
        return paid + self.dt * self.impact[t] * impact + due

    def _at_mid(self, state: State, after: State, rate: torch.Tensor, t: int) -> torch.Tensor:
        """What the moving mid costs each trader [R, N]: half its move on what was bought, all of it on what is left."""
        lots = self.dt * rate * state.direction
        push = self.move[t] * (self.noise[t, 1] - self.noise[t, 0] + lots.sum(dim=1, keepdim=True))
        return push * (0.5 * lots + after.remaining)

    def distances(self, action: torch.Tensor) -> torch.Tensor:
        """Distances [R, M, 2] of makers' actions [R, M, 2], bid before ask."""
        makers = self.market.makers
        unit = action.clamp(-1.0, 1.0)
        half = makers.half_spread[0] + (unit[:, :, 0] + 1.0) * 0.5 * (makers.half_spread[1] - makers.half_spread[0])
        skew = makers.skew[0] + (unit[:, :, 1] + 1.0) * 0.5 * (makers.skew[1] - makers.skew[0])
        return torch.stack([half - skew, half + skew], dim=2).clamp(makers.min_distance, makers.max_distance)

    def rates(self, state: State, action: torch.Tensor) -> torch.Tensor:
        """Traders' rates [R, N], lots a time unit in their own direction, of actions [R, N, 1]."""
        layout = self.layouts["executor"].numbers
        low, high = float(layout.low[0]), float(layout.high[0])
        rate = low + (action[:, :, 0].clamp(-1.0, 1.0) + 1.0) * 0.5 * (high - low)
        rate = torch.minimum(torch.maximum(rate, self.least), self.most)
        left = state.remaining * state.direction
        stopping = torch.where(left > 1e-12, torch.minimum(rate, left / self.dt), torch.zeros_like(rate))
        return torch.where(self.stops, stopping, rate)

    def flow(self, distance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Intensities of noise and shares of orders [R, M] of one side at distances [R, M]: `dealer.flow`."""
        rule = self.market.flow.rule
        first, second = rule.numbers()
        best = distance.amin(dim=1, keepdim=True)
        weight = torch.exp(self.offset - (first if rule.kind == "logit" else second) * (distance - best))
        total = weight.sum(dim=1, keepdim=True)
        share = weight / total
        if rule.kind == "exponential":
            return torch.exp(-first * distance), share
        if rule.kind == "soft_best":
            return share * torch.exp(first / second * torch.log(total / self.makers) - first * best), share
        if rule.kind == "logit":
            return weight / (total + second * torch.exp(first * best)), share
        if rule.kind == "relative" and self.makers > 1:
            others = [[k for k in range(self.makers) if k != m] for m in range(self.makers)]
            rival = torch.stack([distance[:, one].amin(dim=1) for one in others], dim=1)
            intensity = torch.exp(-first * (distance - rival))
            return intensity, intensity  # an executor's order too: each maker gets its own part
        return share, share


def _charge(before: torch.Tensor, after: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The quadratic penalty over a step on a linear path."""
    return weight * (before * before + before * after + after * after) / 3.0


# --- players ----------------------------------------------------------------------------------------------------------


class NetworkPolicy:
    """The mean action of a frozen network, float64."""

    def __init__(self, weights: Mapping[str, np.ndarray]):
        names = sorted({int(name.split(".")[1]) for name in weights if name.startswith("policy.")})

        def tensor(name: str) -> torch.Tensor:
            return torch.tensor(np.asarray(weights[name], dtype=float))

        self.layers = [(tensor(f"policy.{i}.weight").T, tensor(f"policy.{i}.bias")) for i in names]
        self.centre, self.scale, self.linear = tensor("centre"), tensor("scale"), tensor("linear").T
        self.baseline, self.reach, self.relu = tensor("baseline"), tensor("reach"), bool(weights["relu"])

    def __call__(self, observation: torch.Tensor) -> torch.Tensor:
        """Actions [N, K] for observations [N, D]."""
        seen = x = ((observation - self.centre) / self.scale).clamp(-LIMIT, LIMIT)
        for weight, bias in self.layers[:-1]:
            x = torch.addmm(bias, x, weight)
            x = torch.relu(x) if self.relu else torch.tanh(x)
        weight, bias = self.layers[-1]
        return self.baseline + self.reach * (torch.addmm(bias, x, weight) + seen @ self.linear)


class _Differenced(torch.autograd.Function):
    """A scripted act, whose derivatives are central differences of its action by the observation."""

    @staticmethod
    def forward(ctx: Any, observation: torch.Tensor, act: Act, columns: int, scale: np.ndarray) -> torch.Tensor:
        ctx.save_for_backward(observation)
        ctx.about = act, columns, scale
        return _played(act, observation.detach().numpy(), columns)

    @staticmethod
    def backward(ctx: Any, *gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (observation,), (act, columns, scale) = ctx.saved_tensors, ctx.about
        seen, step = observation.numpy(), DIFFERENCE * scale
        moved = seen + np.concatenate([np.diag(step), -np.diag(step)])[:, None, :]
        moves = _played(act, moved.reshape(-1, seen.shape[1]), columns).reshape(2, len(step), len(seen), columns)
        slope = (moves[0] - moves[1]) / torch_of(2.0 * step)[:, None, None]
        return torch.einsum("dnk,nk->nd", slope, gradient[0]), None, None, None


def _played(act: Act, observation: np.ndarray, columns: int) -> torch.Tensor:
    return torch.tensor(np.asarray(act(observation, np.zeros((len(observation), columns))), dtype=float))


class ActPolicy:
    """Any act [batch, D] -> [batch, K], differentiated by differences."""

    def __init__(self, act: Act, columns: int, scale: np.ndarray):
        self.act, self.columns, self.scale = act, columns, scale

    def __call__(self, observation: torch.Tensor) -> torch.Tensor:
        """Actions [N, K] for observations [N, D]."""
        return _Differenced.apply(observation, self.act, self.columns, self.scale)
