"""Training the learner through replay: a policy gradient with group-relative advantages.

Each step takes a few episodes from a :class:`~ecomkit.study.curriculum.Curriculum`, plays every one
of them several times (a group), scores the sessions as the kit scores any session, and moves the
weights towards the decisions of the better rollouts of each group. The advantage of a rollout is
its reward less the group's mean, over the group's standard deviation (GRPO, Shao et al. 2024,
section 4.1.2, one update per batch, so that no ratio needs clipping).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from ecomkit.agents.learner import play
from ecomkit.core.difficulty import LEVELS
from ecomkit.core.records import Episode, Score
from ecomkit.core.seeds import rng, seed_from
from ecomkit.episodes.draw import draw
from ecomkit.study.curriculum import Curriculum
from ecomkit.study.learner.weights import Adam, Gradient, Weights

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

REWARDS: dict[str, Callable[[Score], float]] = {
    "passed": lambda score: float(score.passed),
    "task": lambda score: score.r_task + score.passed,
    "reward": lambda score: score.reward,
}
"""What a rollout earns in training: the verdict alone; the task's reward, which pays for parts,
with one more for a pass; or the kit's reward (SPEC §8). The last one learns to save steps before
it learns to pass: at low d a look at the stock costs more in r_eff than the rare sell-out."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One training run."""

    schedule: str = "adaptive"
    """One of :data:`ecomkit.study.curriculum.SCHEDULES`."""
    environments: tuple[str, ...] = ("discovery",)
    seed: int = 0
    groups: int = 600
    """Episodes to train on; the budget."""
    group_size: int = 16
    """Rollouts of each."""
    batch: int = 4
    """Groups to an update."""
    rate: float = 0.2
    """Adam's step size."""
    decay: float = 0.02
    """Share of a weight, times ``rate``, that fades at each update."""
    floor: float = 0.02
    """Added to Adam's denominator, so that directions of little gradient move little."""
    entropy: float = 0.03
    """Weight of the decisions' entropy beside the advantage; falls to 0 at the end of the run."""
    reward: str = "passed"
    """One of :data:`REWARDS`."""
    tests: int = 30
    """Held-out episodes to each environment and difficulty."""
    looks: int = 3
    """Times that the held-out episodes are played, evenly over the run; the last is its end."""
    tested: tuple[str, ...] = ()
    """Environments that are tested; those trained on if left out."""

    def __post_init__(self) -> None:
        if self.reward not in REWARDS:
            raise ValueError(f"reward must be one of {', '.join(REWARDS)}, got {self.reward!r}")
        if self.group_size < 2:
            raise ValueError("a group needs at least two rollouts, or none is better than another")
        if min(self.groups, self.batch, self.looks) < 1 or self.tests < 0 or self.rate <= 0:
            raise ValueError(f"groups, batch and looks must be at least 1, rate above 0: {self}")


class Group(NamedTuple):
    """What became of the rollouts of one episode in training."""

    environment: str
    difficulty: int
    high: int
    """Upper end of the cell's window when the episode was taken."""
    passes: int
    rollouts: int
    reward: float
    """Mean over the rollouts."""

    @property
    def signal(self) -> bool:
        """Neither all passed nor all failed."""
        return 0 < self.passes < self.rollouts


class Look(NamedTuple):
    """Held-out episodes of one environment and difficulty, played with the best decision each."""

    groups: int
    """Groups trained on by then."""
    environment: str
    difficulty: int
    episodes: int
    passes: int
    reward: float
    """Mean over the episodes."""


@dataclass(slots=True)
class Run:
    """A training run and what came of it."""

    plan: Plan
    weights: Weights
    groups: list[Group] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as JSON can hold it."""
        return {
            "plan": asdict(self.plan),
            "groups": [list(group) for group in self.groups],
            "looks": [list(look) for look in self.looks],
            "weights": dict(sorted(self.weights.values.items())),
        }


def advantages(rewards: Sequence[float]) -> list[float]:
    """(r − mean) / standard deviation within a group; all 0 where every reward is the same."""
    mean = math.fsum(rewards) / len(rewards)
    spread = math.sqrt(math.fsum((r - mean) * (r - mean) for r in rewards) / len(rewards))
    if spread < 1e-9:
        return [0.0] * len(rewards)
    return [(r - mean) / spread for r in rewards]


def rollouts(
    episode: Episode,
    catalog: Catalog,
    weights: Weights,
    plan: Plan,
    number: int,
    entropy: float = 0.0,
) -> tuple[list[bool], list[float], Gradient]:
    """A group: passed, reward, and the gradient of the expected advantage."""
    passed, rewards, earned, gradients, spreads = [], [], [], [], []
    for trial in range(plan.group_size):
        chance = rng("learner", plan.seed, number, trial)
        chooser = weights.chooser(episode.environment, chance)
        score = play(episode, catalog, chooser).score()
        passed.append(score.passed)
        rewards.append(score.reward)
        earned.append(REWARDS[plan.reward](score))
        gradients.append(chooser.gradient)
        spreads.append(chooser.spread)
    total: Gradient = {}
    for advantage, gradient, spread in zip(advantages(earned), gradients, spreads, strict=True):
        for key, value in gradient.items():
            change = (advantage * value + entropy * spread[key]) / plan.group_size
            total[key] = total.get(key, 0.0) + change
    for key, change in list(total.items()):
        total[f"{episode.environment}/{key}"] = change
    return passed, rewards, total


def train(plan: Plan, catalog: Catalog) -> Run:
    """Train from weights of zero, which decide at random.

    Args:
        plan: what to train on, how, and how long.
        catalog: with a search engine.

    Returns:
        The run: every group, the held-out pass rates, and the weights. The same plan and catalog
        give the same run on every machine.
    """
    run = Run(plan, Weights())
    adam = Adam(run.weights, plan.rate, plan.decay, plan.floor)
    curriculum = Curriculum(plan.environments, plan.schedule, seed=plan.seed)
    looks = {round(plan.groups * (n + 1) / plan.looks) for n in range(plan.looks)}
    examine(run, 0, catalog)
    batch: Gradient = {}
    for number in range(plan.groups):
        task = curriculum.next()
        high = curriculum.window(task.cell).high
        key = seed_from("learner", plan.seed, task.cell, task.difficulty, task.number)
        seed = key % (1 << 31)
        episode = draw(task.cell, task.difficulty, seed, catalog).episode
        passed, rewards, gradient = rollouts(
            episode, catalog, run.weights, plan, number, plan.entropy * (1 - number / plan.groups)
        )
        for one in passed:
            curriculum.record(task.cell, task.difficulty, one)
        mean = math.fsum(rewards) / len(rewards)
        run.groups.append(Group(task.cell, task.difficulty, high, sum(passed), len(passed), mean))
        for name, value in gradient.items():
            batch[name] = batch.get(name, 0.0) + value / plan.batch
        if (number + 1) % plan.batch == 0:
            adam.step(batch)
            batch = {}
        if number + 1 in looks:
            examine(run, number + 1, catalog)
    return run


@lru_cache(maxsize=8192)
def held_out(catalog: Catalog, environment: str, difficulty: int, number: int) -> Episode:
    """A test episode, the same for every run; its targets are in no training episode."""
    return draw(environment, difficulty, number, catalog, split="test").episode


def examine(run: Run, groups: int, catalog: Catalog) -> None:
    """Plays the held-out episodes with the best decision each and notes how many passed."""
    for environment in run.plan.tested or run.plan.environments:
        for difficulty in LEVELS:
            scores = [
                play(
                    held_out(catalog, environment, difficulty, number),
                    catalog,
                    run.weights.chooser(environment, None),
                ).score()
                for number in range(run.plan.tests)
            ]
            if scores:
                mean = math.fsum(score.reward for score in scores) / len(scores)
                passes = sum(score.passed for score in scores)
                run.looks.append(Look(groups, environment, difficulty, len(scores), passes, mean))


__all__ = ["Group", "Look", "Plan", "Run", "advantages", "held_out", "train"]
