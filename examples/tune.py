"""Self-play inside your own Ray Tune script: two learning rates, two iterations each.

python examples/tune.py
"""

from pathlib import Path

from ray import tune

from arena.scenario import load
from arena.training.ppo import SelfPlayPPO, configure

SMALL = ["training.games=64", "training.iterations=2", "league.promotion={every: 2, games: 64}"]


def main(changes: list[str], folder: Path) -> tune.ResultGrid:
    """Train the shipped scenario once per learning rate, results and checkpoints (league included) below `folder`."""
    rates = (1e-3, 3e-3)
    scenarios = [load("two_mm_one_trader", [*changes, f"training.learning_rate={rate}"]) for rate in rates]
    tuner = tune.Tuner(
        SelfPlayPPO,
        param_space=tune.grid_search([configure(scenario).to_dict() for scenario in scenarios]),
        run_config=tune.RunConfig(
            stop={"training_iteration": 2},
            storage_path=str(folder.absolute()),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
        ),
    )
    results = tuner.fit()
    for rate, result in zip(rates, results, strict=True):
        returns = result.metrics["env_runners"]["return"]
        print(f"learning rate {rate:g}:", {role: round(float(value), 3) for role, value in returns.items()})
    return results


if __name__ == "__main__":
    main(SMALL, Path("runs/tune"))
