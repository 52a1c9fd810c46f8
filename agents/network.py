"""The actor-critic of one role as a plain torch module, and the frozen weights it is saved as.

Two separate networks read the same standardised observation x = (o − centre) / scale [N, D]:

    policy  o(x) [N, O]   a perceptron plus a linear term, for optimal quotes and rates are nearly linear;
                          a head (`agents.heads`) makes actions of it
    value   v(x) [N]      a standardised return

A fresh policy plays its prior: for numbers o ≈ 0, an offset of 0 to a sane baseline; for a choice the logarithms of
sane probabilities. Centre, scale and what the head needs are buffers, so a file of weights is complete: nothing but the
arrays is needed to play it.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from agents.heads import Head, Numbers, Prior, head_of
from agents.learned import LIMIT
from arena.layout import Layout

Weights = Mapping[str, np.ndarray]
"""Name of a parameter or buffer -> its values; the currency of leagues, files and runners."""


class Network(nn.Module):
    """Policy and value network of one role; sizes: D observation columns, O outputs of the policy.

    `observation` gives centre and scale; `prior` says what kind of action it is and where learning starts.
    """

    centre: torch.Tensor
    scale: torch.Tensor
    relu: torch.Tensor

    def __init__(
        self,
        observation: Layout,
        prior: Prior,
        hidden: Sequence[int] = (64, 64),
        activation: str = "tanh",
        initial_std: float = 0.5,
        seed: int = 0,
    ):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        relu = activation == "relu"
        outputs = len(prior.baseline) if isinstance(prior, Numbers) else len(prior.outputs())
        self.policy = _layers(observation.size, hidden, outputs, relu, 0.01, generator)
        self.value = _layers(observation.size, hidden, 1, relu, 1.0, generator)
        self.linear = nn.Parameter(torch.zeros(outputs, observation.size))
        frame = {"centre": observation.centre, "scale": observation.scale}
        if isinstance(prior, Numbers):
            self.log_std = nn.Parameter(torch.full((outputs,), math.log(initial_std)))
            frame |= prior._asdict()
        else:
            with torch.no_grad():
                self.policy[-1].bias.copy_(torch.as_tensor(prior.outputs()))  # type: ignore[operator]
            frame["choice"] = np.array([prior.first, prior.last, prior.idle])
        for name, values in frame.items():
            self.register_buffer(name, torch.as_tensor(np.asarray(values), dtype=torch.float32))
        self.register_buffer("relu", torch.tensor([relu]))

    def standardise(self, observation: torch.Tensor) -> torch.Tensor:
        """(o − centre) / scale, clipped to ±LIMIT; [N, D]."""
        return ((observation - self.centre) / self.scale).clamp_(-LIMIT, LIMIT)

    @property
    def head(self) -> Head:
        """What makes actions of the outputs; a view on this network's tensors."""
        names = ("choice",) if hasattr(self, "choice") else ("baseline", "reach", "log_std")
        return head_of({name: getattr(self, name) for name in names}, len(self.linear))

    def outputs(self, standardised: torch.Tensor) -> torch.Tensor:
        """What the head reads, [N, O]."""
        return self.policy(standardised) + nn.functional.linear(standardised, self.linear)

    def values(self, standardised: torch.Tensor) -> torch.Tensor:
        """Standardised values, [N]."""
        return self.value(standardised).squeeze(-1)

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of every parameter and buffer."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.state_dict().items()}

    def load(self, weights: Weights) -> None:
        """Take over saved weights; raises RuntimeError when names or shapes differ."""
        self.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in weights.items()})


def _layers(
    inputs: int, hidden: Sequence[int], outputs: int, relu: bool, gain: float, generator: torch.Generator
) -> nn.Sequential:
    """Linear layers with orthogonal weights and zero biases; the last one scaled by `gain`."""
    layers: list[nn.Module] = []
    sizes = [inputs, *hidden, outputs]
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        layer = nn.Linear(fan_in, fan_out)
        nn.init.orthogonal_(layer.weight, gain if i == len(hidden) else math.sqrt(2.0), generator=generator)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU() if relu else nn.Tanh()]
    return nn.Sequential(*layers[:-1])
