"""A maker of the limit order book learned by sb3-contrib's MaskablePPO, which only ever picks what is allowed."""

import numpy as np
from sb3_contrib import MaskablePPO

from arena.env import single_agent
from arena.scenario import load

# Ten seconds a game, so that the example ends soon; leave the list out for the scenario as it is.
scenario = load("book_maker", ["market.clock.horizon=10", "market.clock.steps=100", "market.warm_up=5"])


def main(timesteps: int = 20_000, games: int = 20) -> dict[str, float]:
    """Learn, then play games on seeds that were not learned on: mean reward, share of decisions that act, clipped."""
    env = single_agent(scenario)
    model = MaskablePPO("MlpPolicy", env, n_steps=min(timesteps, 1000), batch_size=100, seed=1, device="cpu")
    model.learn(timesteps)
    rewards, acted, clipped, idle = [], [], 0.0, env.action_space.n - 1
    for seed in range(games):
        observation, _ = env.reset(seed=10_000 + seed)
        total, done = 0.0, False
        while not done:
            choice, _ = model.predict(observation, action_masks=env.action_masks())
            acted.append(int(choice) != idle)
            observation, reward, done, _, _ = env.step(int(choice))
            total += reward
        rewards.append(total)
        clipped += float(env.table.game.view("clipped_action")[0])
    found = {"reward": float(np.mean(rewards)), "acted": float(np.mean(acted)), "clipped": clipped}
    print(
        f"{timesteps} decisions learned: {found['reward']:+.1f} ticks a game, acts in {100 * found['acted']:.0f} % of "
        f"its decisions; {found['clipped']:.0f} choices were not allowed"
    )
    return found


if __name__ == "__main__":
    main()
