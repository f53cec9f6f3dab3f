"""Random draws that depend on a key and on nothing else.

Every draw in the kit comes from :func:`rng`, keyed by what it is for, such as
``rng("cart", 6, "train", 123, "goal")``. The key is hashed with SHA-256 and the
stream is SplitMix64 (Steele, Lea & Flood 2014), so the same key gives the same
numbers in every process, Python version and machine. Python's ``random`` and
numpy's ``Generator`` promise that for some methods only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15


def canonical_json(value: Any) -> str:
    """JSON text with sorted keys and no spaces: equal values give equal text.

    Raises:
        ValueError: for NaN or an infinity, which JSON does not have.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: Any, length: int = 64) -> str:
    """Hex SHA-256 of ``canonical_json(value)``, cut to ``length`` characters."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()[
        :length
    ]


def seed_from(*key: Any) -> int:
    """A 64-bit whole number from a key of JSON values."""
    text = json.dumps(key, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


class Rng:
    """A stream of 64-bit numbers with the few draws that the kit needs."""

    __slots__ = ("_origin", "_state")

    def __init__(self, seed: int) -> None:
        self._origin = seed & _MASK
        self._state = self._origin

    def child(self, *key: Any) -> Rng:
        """An independent stream for ``key``, however many draws were made from this one."""
        return Rng(seed_from(self._origin, *key))

    def next64(self) -> int:
        """The next number of the stream, uniform in [0, 2^64)."""
        self._state = z = (self._state + _GAMMA) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def uniform(self) -> float:
        """A float in [0, 1) with 53 random bits."""
        return (self.next64() >> 11) * (1.0 / (1 << 53))

    def chance(self, p: float) -> bool:
        """True with probability ``p``; takes one draw whatever ``p`` is."""
        return self.uniform() < p

    def below(self, n: int) -> int:
        """A whole number in [0, n), by multiply-shift (bias below n / 2^64).

        Raises:
            ValueError: if ``n`` is less than 1.
        """
        if n < 1:
            raise ValueError(f"below(n) needs n >= 1, got {n}")
        return (self.next64() * n) >> 64

    def between(self, low: int, high: int) -> int:
        """A whole number in [low, high], both ends included."""
        return low + self.below(high - low + 1)

    def choice(self, items: Sequence[T]) -> T:
        """One of ``items``, each as likely."""
        return items[self.below(len(items))]

    def weighted(self, items: Sequence[T], weights: Sequence[int]) -> T:
        """One of ``items`` with chances in proportion to whole-number ``weights``."""
        point = self.below(sum(weights))
        for item, weight in zip(items, weights, strict=True):
            point -= weight
            if point < 0:
                return item
        raise ValueError("weights must be whole numbers with a positive sum")

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A new list with ``items`` in random order (Fisher-Yates)."""
        out = list(items)
        for i in range(len(out) - 1, 0, -1):
            j = self.below(i + 1)
            out[i], out[j] = out[j], out[i]
        return out

    def sample(self, items: Sequence[T], k: int) -> list[T]:
        """``min(k, len(items))`` different entries of ``items`` in random order."""
        n = len(items)
        k = min(k, n)
        if k * 4 >= n:
            return self.shuffled(items)[:k]
        picked: list[int] = []
        taken: set[int] = set()
        while len(picked) < k:
            i = self.below(n)
            if i not in taken:
                taken.add(i)
                picked.append(i)
        return [items[i] for i in picked]


def rng(*key: Any) -> Rng:
    """The generator for a key of JSON values, such as ``("cart", 6, "train", 123)``."""
    return Rng(seed_from(*key))


def mix64(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser on an array of uint64: shape and dtype unchanged.

    ``mix64(base + index * odd)`` gives column draws that depend on the row alone,
    which is what makes a large catalog begin with the small one.
    """
    z = values.astype(np.uint64, copy=True)
    z += np.uint64(_GAMMA)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z
