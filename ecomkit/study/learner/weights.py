"""A linear softmax policy over options, and how it learns.

The score of an option is the sum of ``weight × feature`` over its features, where every feature
has a weight that all environments share and one of the environment's own. Options are drawn with
probability proportional to exp(score). The arithmetic is of IEEE additions, multiplications,
divisions and square roots in a fixed order and calls no libm function, so that a training run
comes out the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ecomkit.agents.learner.moves import Option
from ecomkit.core.seeds import Rng

_SQUARINGS = 12
_FLOOR = -40.0
"""Scores further than this below the best are drawn with no more than the chance of this one."""


def exp(x: float) -> float:
    """e^x for x ≤ 0, as (1 + x/4096)^4096: the same to the last bit on every machine.

    Below 0.1 % off for x > -2.8; it need not be e^x for the policy gradient to be right in
    direction, since it rises with x.
    """
    y = 1.0 + max(x, _FLOOR) / (1 << _SQUARINGS)
    for _ in range(_SQUARINGS):
        y *= y
    return y


def softmax(scores: Sequence[float]) -> list[float]:
    """Chances proportional to exp(score)."""
    top = max(scores)
    parts = [exp(score - top) for score in scores]
    total = sum(parts)
    return [part / total for part in parts]


Gradient = dict[str, float]


@dataclass(slots=True)
class Weights:
    """The policy's weights by feature name; one not named is 0."""

    values: dict[str, float] = field(default_factory=dict)

    def score(self, environment: str, option: Option) -> float:
        """The score of an option in an environment."""
        values, total = self.values, 0.0
        for name, value in option.features.items():
            if value:
                key = f"{option.name}.{name}"
                total += (values.get(key, 0.0) + values.get(f"{environment}/{key}", 0.0)) * value
        return total

    def chooser(self, environment: str, rng: Rng | None) -> SoftmaxChooser:
        """Takes decisions in one session: drawn with ``rng``, or the best without it."""
        return SoftmaxChooser(self, environment, rng)


class SoftmaxChooser:
    """Decisions of one session by :class:`Weights`; keeps the gradient of their log chance."""

    def __init__(self, weights: Weights, environment: str, rng: Rng | None) -> None:
        self.weights = weights
        self.environment = environment
        self.rng = rng
        self.gradient: Gradient = {}
        """Of the log chance of the decisions taken."""
        self.spread: Gradient = {}
        """Of their entropy."""
        self.decisions = 0

    def one(self, options: Sequence[Option]) -> int:
        """The place of the option taken."""
        return self.several(options, 1)[0]

    def several(self, options: Sequence[Option], count: int) -> list[int]:
        """Up to ``count`` places, drawn one after the other without putting back."""
        scores = [self.weights.score(self.environment, option) for option in options]
        left = list(range(len(options)))
        taken: list[int] = []
        while left and len(taken) < count:
            if self.rng is None:
                place = max(left, key=lambda one: (scores[one], -one))
            elif len(left) == 1:
                place = left[0]
            else:
                chances = softmax([scores[one] for one in left])
                place = left[self._draw(chances)]
                self._learn(options, scores, left, chances, place)
            taken.append(place)
            left.remove(place)
        self.decisions += len(taken)
        return taken

    def _draw(self, chances: Sequence[float]) -> int:
        assert self.rng is not None
        point = self.rng.uniform()
        for place, chance in enumerate(chances):
            point -= chance
            if point < 0:
                return place
        return len(chances) - 1

    def _learn(
        self,
        options: Sequence[Option],
        scores: Sequence[float],
        left: Sequence[int],
        chances: Sequence[float],
        place: int,
    ) -> None:
        """Adds this decision to the gradients.

        Of log(chance of ``place``): its features less the expected ones. Of the entropy:
        -Σ chance · (score - mean score) · features, for d log(chance) sums to nothing.
        """
        gradient, spread = self.gradient, self.spread
        mean = sum(chance * scores[one] for one, chance in zip(left, chances, strict=True))
        for one, chance in zip(left, chances, strict=True):
            share = (1.0 if one == place else 0.0) - chance
            even = chance * (mean - scores[one])
            name = options[one].name
            for feature, value in options[one].features.items():
                if value:
                    key = f"{name}.{feature}"
                    gradient[key] = gradient.get(key, 0.0) + share * value
                    spread[key] = spread.get(key, 0.0) + even * value


class Adam:
    """Adam (Kingma & Ba, 2015, algorithm 1), uphill, on the weights of a policy.

    ``tasks`` names the environment a gradient came from, whose own weights move along with the
    shared ones.
    """

    def __init__(self, weights: Weights, rate: float, decay: float = 0.0, floor: float = 1e-8):
        self.weights = weights
        self.rate, self.decay, self.floor = rate, decay, floor
        self.first: dict[str, float] = {}
        self.second: dict[str, float] = {}
        self.steps = 0

    def step(self, gradient: Mapping[str, float]) -> None:
        """One step along ``gradient``; weights that it does not name go on by their momentum."""
        self.steps += 1
        one, two = 0.9, 0.99
        scale1 = 1.0 - _power(one, self.steps)
        scale2 = 1.0 - _power(two, self.steps)
        for key in sorted({*self.first, *gradient}):
            g = gradient.get(key, 0.0)
            m = self.first[key] = one * self.first.get(key, 0.0) + (1.0 - one) * g
            v = self.second[key] = two * self.second.get(key, 0.0) + (1.0 - two) * g * g
            move = self.rate * (m / scale1) / (math.sqrt(v / scale2) + self.floor)
            old = self.weights.values.get(key, 0.0)
            self.weights.values[key] = old + move - self.rate * self.decay * old


def _power(base: float, exponent: int) -> float:
    """base^exponent by repeated multiplication."""
    out = 1.0
    for _ in range(exponent):
        out *= base
    return out
