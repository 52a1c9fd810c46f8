"""From played blocks to what a learner needs: returns, values, advantages and value targets of each trained role.

Rewards live on a money scale that shrinks towards the end of a game. So the critic predicts *standardised* returns:
with G_t = Σ_{s≥t} γ^{s−t} r_s, μ_t and s_t its mean and standard deviation over all columns of the batch at time t,

    V_t(x) = μ_t + s_t v(x),   δ_t = r_t + γ V_{t+1} − V_t − c_t(x)·N_t,   A_t = Σ_{k≥0} (γλ)^k δ_{t+k}
    target of v: (A_t + V_t − μ_t) / s_t

(Schulman et al. 2016, eq. 16). Advantages are normalised over the batch. μ_t is common to all columns, so it moves no
policy gradient; its error is of order 1/columns. Games end at T: V_T = 0.

Where a batch holds segments of games, returns are not known to their end and columns stand at different times. Then
μ_t and s_t are those of n = T − t independent rewards of one mean m and one variance,

    μ_t = m Σ_{k<n} γ^k,   s_t = s (Σ_{k<n} γ^{2k})^½

with m and s from the batch (s from what the longer halves of the segments earned, so that rewards that follow one
another count), and V after a segment's last decision is the critic's value there instead of 0.

N_t are the surprises of the step, orders less their mean: the market knows the mean, so E[N_t | x, u] = 0 and c·N_t is
a control variate (Glasserman 2003, section 4.1). c_t(x), what an unexpected order is worth, is affine in what the seat
holds and found by least squares, in each half of the games from the other half, so that the mean stays exactly zero.
Most of the variance of an executor's δ is the luck of arrivals (docs/notes/two_mm_one_trader.md).
"""

from collections.abc import Sequence

import numpy as np
import torch

from agents.network import Network
from arena.training.block import Track
from arena.training.surrogate import Batch, Past, Scale

LEAST_SPREAD = 1e-3
"""s_t is at least this share of its largest value, so that a nearly certain stage is not blown up to noise."""
RIDGE = 1e-4
"""Added to the normal equations, as a share of their mean diagonal: a surprise may be rare or always zero."""


def returns_to_go(rewards: np.ndarray, discount: float) -> np.ndarray:
    """G_t = r_t + γ G_{t+1}, [T, C]."""
    out = np.array(rewards, dtype=np.float64)
    for t in range(len(out) - 2, -1, -1):
        out[t] += discount * out[t + 1]
    return out


def differences(
    rewards: np.ndarray, values: np.ndarray, discount: float, after: np.ndarray | float = 0.0
) -> np.ndarray:
    """r_t + γ V_{t+1} − V_t of rewards and values [T, C]; `after` [C] is the value after the last step."""
    out = np.array(rewards, dtype=np.float64)
    out -= values
    out[:-1] += discount * values[1:]
    out[-1] += discount * after
    return out


def luck(differences: np.ndarray, surprises: np.ndarray, held: np.ndarray) -> np.ndarray:
    """c_t(x)·N_t [T, C]: the part of the differences [T, C] that the surprises [T, S, C] account for.

    `held` [T, H, C] is what c is affine in. Columns of even and of odd index are fitted by each other.
    """
    steps, _, columns = surprises.shape
    if columns < 2 or not surprises.any():
        return np.zeros_like(differences)
    terms = np.concatenate([np.ones((steps, 1, columns), np.float32), held], axis=1)
    regressors = (surprises[:, :, None] * terms[:, None]).reshape(steps, -1, columns)
    out = np.empty_like(differences)
    for own, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        x, y = regressors[:, :, other], differences[:, None, other].astype(np.float32)
        normal = (x @ x.transpose(0, 2, 1)).astype(np.float64)
        size = np.trace(normal, axis1=1, axis2=2) / normal.shape[1]
        normal += (RIDGE * size + 1e-12)[:, None, None] * np.eye(normal.shape[1])
        worth = np.linalg.solve(normal, (x @ y.transpose(0, 2, 1)).astype(np.float64))
        out[:, own] = (worth.transpose(0, 2, 1).astype(np.float32) @ regressors[:, :, own])[:, 0]
    return out


def advantages(differences: np.ndarray, discount: float, lam: float) -> np.ndarray:
    """Generalised advantage estimates [T, C] of one-step differences [T, C]."""
    out = np.array(differences, dtype=np.float64)
    for t in range(len(out) - 2, -1, -1):
        out[t] += discount * lam * out[t + 1]
    return out


def make_batch(
    tracks: Sequence[Track], network: Network, discount: float, lam: float, control_variate: bool = True
) -> Batch:
    """Join the tracks of one role, in the order given, and judge every decision with the network's critic.

    Raises ValueError when there is nothing to learn from or a reward is not finite.
    """
    if not sum(track.rewards.size for track in tracks):
        raise ValueError("training: an empty batch; no decision of this role was recorded")
    rewards = np.concatenate([track.rewards for track in tracks], axis=1)
    whole = not any(track.first or track.left for track in tracks)
    if not np.isfinite(rewards).all():
        raise ValueError("training: a reward is not finite; the game's parameters are out of range")
    observations = _rows([track.observations for track in tracks])
    actions = _rows([track.actions for track in tracks])
    logp = _tensor(np.concatenate([track.logp for track in tracks], axis=1).ravel())
    steps, columns = rewards.shape
    with torch.no_grad():
        predicted = torch.cat([network.values(part) for part in observations.split(8192)]).view(steps, columns).numpy()
    target = returns_to_go(rewards, discount)
    scale = _by_time(target) if whole else _by_what_is_left(rewards, tracks[0], discount)
    first = np.repeat([track.first for track in tracks], [track.rewards.shape[1] for track in tracks])
    time = first + np.arange(steps)[:, None]
    centre, spread = scale.centre[time], scale.spread[time]
    values = centre + spread * predicted
    after = _values_after(tracks, network, scale)
    step = differences(rewards, values, discount, after)
    earned = step
    if control_variate and whole:  # in segments columns stand at different times
        surprises = np.concatenate([track.surprises for track in tracks], axis=2)
        held = np.concatenate([track.observations[:, track.held] for track in tracks], axis=2)
        earned = step - luck(step, surprises, held)
    by_luck = 1.0 - float((earned * earned).sum() / max((step * step).sum(), 1e-300))
    advantage = advantages(earned, discount, lam)
    targets = (advantage + values - centre) / spread
    told = (target - centre) / spread if whole else targets
    explained = 1.0 - float((told - predicted).var() / max(told.var(), 1e-12))
    advantage = (advantage - advantage.mean()) / max(float(advantage.std()), 1e-12)
    target += after * discount ** np.arange(steps, 0, -1)[:, None]
    told_apart = _tensor(advantage.ravel()), _tensor(targets.ravel())
    return Batch(observations, actions, logp, *told_apart, explained, by_luck, Past(target, time, scale))


def _by_time(target: np.ndarray) -> Scale:
    """What whole games earned from each decision on, `target` [T, C]."""
    centre, spread = target.mean(axis=1), target.std(axis=1)
    return Scale(centre, np.maximum(spread, max(LEAST_SPREAD * spread.max(), 1e-12)))


def _by_what_is_left(rewards: np.ndarray, track: Track, discount: float) -> Scale:
    """As many independent rewards as decisions are left, with the mean and variance of these [steps, C]."""
    steps = len(rewards)
    total = track.first + steps + track.left
    ones = np.ones((total, 1))
    sums, squares = returns_to_go(ones, discount)[:, 0], returns_to_go(ones, discount**2)[:, 0]
    mean, half = float(rewards.mean(dtype=np.float64)), (steps + 1) // 2
    earned = returns_to_go(rewards - mean, discount)[:half]  # what at least half of the segment brought
    spread = float(np.sqrt((np.square(earned) / squares[total - steps :][:half, None]).mean()))
    return Scale(mean * sums, max(spread, 1e-12) * np.sqrt(squares))


def _values_after(tracks: Sequence[Track], network: Network, scale: Scale) -> np.ndarray:
    """The critic's value after each column's last decision, [C]; 0 where the game is over."""
    out = []
    for track in tracks:
        value = np.zeros(track.rewards.shape[1])
        if track.left and track.ahead is not None:
            at = track.first + len(track.rewards)
            with torch.no_grad():
                ahead = network.values(_tensor(np.ascontiguousarray(track.ahead.T)))
            value = scale.centre[at] + scale.spread[at] * ahead.numpy().astype(np.float64)
        out.append(value)
    return np.concatenate(out)


def _rows(parts: Sequence[np.ndarray]) -> torch.Tensor:
    """[T, D, C] pieces -> one [T·C, D] tensor, time-major."""
    joined = np.concatenate([part.transpose(0, 2, 1) for part in parts], axis=1)
    return _tensor(joined.reshape(-1, joined.shape[-1]))


def _tensor(values: np.ndarray) -> torch.Tensor:
    """A float32 copy in torch's own memory, which starts at a multiple of 64 bytes.

    NumPy's memory starts wherever it happens to, and some of MKL's products sum in an order that hangs on that: the
    last digits of training would differ from run to run.
    """
    return torch.tensor(values, dtype=torch.float32)
