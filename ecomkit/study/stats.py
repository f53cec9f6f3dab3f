"""Honest figures from scores (SPEC §14): intervals, pass@k and pass^k, paired tests.

Every result carries ``n``. Nothing here depends on a global generator: resampling takes a key of
JSON values, as :func:`ecomkit.core.seeds.rng` does, and its draws are SplitMix64 numbers turned
into indices and signs by whole-number arithmetic. Values are rounded to millionths and summed as
whole numbers, so that the order of the rows and the machine change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from statistics import NormalDist
from typing import Any

import numpy as np

from ecomkit.core.seeds import mix64, seed_from

MICROS = 1_000_000
"""Values are counted in millionths."""

BOOTSTRAP_EPISODES = 1000
"""With more episodes than this the bootstrap's limit is computed instead of drawn."""

_GAMMA = 0x9E3779B97F4A7C15
_CHUNK = 1 << 21
_EXACT_WORK = 100_000_000
"""Additions that the exact paired test may take (about a quarter of a second)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval. All three are NaN where ``n`` is 0."""

    value: float
    low: float
    high: float
    n: int
    """Trajectories behind the figure."""
    clusters: int
    """Episodes behind it; equal to ``n`` where each was played once."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two agents on the same episodes. ``difference`` is the first's mean less the second's."""

    difference: float
    low: float
    high: float
    p_value: float
    """Two-sided; NaN without a shared episode."""
    n: int
    """Shared episodes."""
    first_better: int
    second_better: int
    first: float
    """The first's mean over the shared episodes, each episode counting once."""
    second: float
    exact: bool
    """True if every assignment of signs was counted, False if they were sampled."""


def wilson(passed: int, n: int, confidence: float = 0.95) -> Estimate:
    """The Wilson score interval of a share (Wilson 1927), without continuity correction.

    Args:
        passed: successes, 0 to ``n``.
        n: independent trials.
        confidence: coverage wanted, inside (0, 1).

    Raises:
        ValueError: if the counts are impossible or ``confidence`` is no share.
    """
    if not 0 <= passed <= n:
        raise ValueError(f"passed must be from 0 to n; got {passed} of {n}")
    z = _normal_quantile(confidence)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, 0)
    share = passed / n
    low, high = _wilson_ends(share, n, z)
    return Estimate(share, low, high, n, n)


def pooled(
    totals: Any, counts: Any, *key: Any, resamples: int = 2000, confidence: float = 0.95
) -> Estimate:
    """A mean over trajectories with a bootstrap interval clustered by episode.

    Whole episodes are drawn with replacement, and the figure is the sum of their totals over the
    sum of their counts (Efron & Tibshirani 1993, ch. 8). The percentiles are the expanded ones of
    Hesterberg (2015, §4.1.2), which keep the coverage with few episodes. With more than
    :data:`BOOTSTRAP_EPISODES` the normal interval with the linearised variance of the ratio over
    clusters (Cochran 1977, §6.3) is what the bootstrap comes to, and takes no draws.

    Args:
        totals: one number an episode: the sum of the values of its trajectories.
        counts: one whole number an episode: how many trajectories it has, at least 1.
        key: JSON values that name the figure; the same key gives the same interval.
        resamples: bootstrap samples.
        confidence: coverage wanted, inside (0, 1).

    Returns:
        An estimate. Where there is one episode the ends are NaN; where all episodes have the same
        mean, the interval is that point: for shares use :func:`pooled_share`.

    Raises:
        ValueError: if the lengths differ or a count is below 1.
    """
    sums, weights = _whole(totals), np.asarray(counts, dtype=np.int64)
    if sums.shape != weights.shape or sums.ndim != 1:
        raise ValueError(f"totals {sums.shape} and counts {weights.shape} must be equally long")
    if weights.size and int(weights.min()) < 1:
        raise ValueError("every episode needs at least one trajectory")
    episodes, n = int(sums.size), int(weights.sum())
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, 0)
    value = int(sums.sum()) / (n * MICROS)
    if episodes == 1:
        return Estimate(value, math.nan, math.nan, n, 1)
    # In a fixed order, so that the order of the rows changes nothing.
    order = np.lexsort((weights, sums))
    sums, weights = sums[order], weights[order]
    if episodes > BOOTSTRAP_EPISODES:
        half = _normal_quantile(confidence) * math.sqrt(_variance(sums / MICROS, weights))
        return Estimate(value, value - half, value + half, n, episodes)
    drawn = np.empty(resamples)
    rows = max(1, _CHUNK // episodes)
    seed = seed_from("bootstrap", *key)
    for start in range(0, resamples, rows):
        stop = min(resamples, start + rows)
        picked = _below(seed, start * episodes, (stop - start) * episodes, episodes)
        picked = picked.reshape(stop - start, episodes)
        drawn[start:stop] = sums[picked].sum(axis=1) / weights[picked].sum(axis=1)
    drawn.sort()
    tail = _expanded_tail(episodes, confidence)
    low, high = _quantile(drawn, tail), _quantile(drawn, 1 - tail)
    return Estimate(value, low / MICROS, high / MICROS, n, episodes)


def pooled_share(
    passed: Any, counts: Any, *key: Any, resamples: int = 2000, confidence: float = 0.95
) -> Estimate:
    """A pass rate over trajectories that share episodes; see :func:`pooled`.

    With one trajectory an episode this is :func:`wilson`. Where every episode has the same rate,
    a bootstrap would claim certainty; then the interval is Wilson's over the *episodes*, which is
    wider than it need be. With more than :data:`BOOTSTRAP_EPISODES` it is Wilson's with the
    effective number of trials, which keeps to [0, 1] and covers near its ends (Franco, Little,
    Louis & Slud 2019).
    """
    successes = np.asarray(passed, dtype=np.int64)
    trials = np.asarray(counts, dtype=np.int64)
    if successes.shape != trials.shape or bool(np.any((successes < 0) | (successes > trials))):
        raise ValueError("passed must be from 0 to counts, one number an episode")
    n, episodes = int(trials.sum()), int(trials.size)
    if n == episodes:
        return wilson(int(successes.sum()), n, confidence)
    value = int(successes.sum()) / n if n else math.nan
    same = episodes and bool(np.all(successes * int(trials[0]) == int(successes[0]) * trials))
    if same or episodes < 2:
        span = wilson(round(value * episodes), episodes, confidence)
        return Estimate(value, min(span.low, value), max(span.high, value), n, episodes)
    if episodes > BOOTSTRAP_EPISODES:
        order = np.lexsort((trials, successes))
        spread = _variance(successes[order].astype(np.float64), trials[order])
        effective = min(float(n), value * (1 - value) / spread)
        z = _normal_quantile(confidence)
        low, high = _wilson_ends(value, effective, z)
        return Estimate(value, low, high, n, episodes)
    drawn = pooled(successes, trials, *key, resamples=resamples, confidence=confidence)
    return Estimate(value, max(0.0, drawn.low), min(1.0, drawn.high), n, episodes)


def pooled_mean(
    values: Sequence[float], episodes: Sequence[Hashable], *key: Any, **options: Any
) -> Estimate:
    """:func:`pooled` from one value and one episode id a trajectory.

    Raises:
        ValueError: if the lengths differ.
    """
    groups: dict[Hashable, list[int]] = {}
    for value, episode in zip(_whole(values).tolist(), episodes, strict=True):
        groups.setdefault(episode, []).append(value)
    totals = [sum(group) / MICROS for group in groups.values()]
    return pooled(totals, [len(group) for group in groups.values()], *key, **options)


@lru_cache(maxsize=65_536)
def pass_at_k(n: int, c: int, k: int) -> float:
    """pass@k: the chance that at least one of ``k`` trials of an episode passes.

    The unbiased estimate 1 − C(n−c, k) / C(n, k) of Chen et al. (2021, arXiv 2107.03374), in
    whole numbers and rounded once; NaN where ``n`` < ``k``.

    Args:
        n: trials of the episode.
        c: trials that passed, 0 to ``n``.
        k: trials drawn without replacement, at least 1.

    Raises:
        ValueError: if the counts are impossible.
    """
    _check_counts(n, c, k)
    if n < k:
        return math.nan
    every = math.comb(n, k)
    return (every - math.comb(n - c, k)) / every


@lru_cache(maxsize=65_536)
def pass_hat_k(n: int, c: int, k: int) -> float:
    """pass^k: the chance that all of ``k`` trials of an episode pass.

    C(c, k) / C(n, k), as in Yao et al. (2024, arXiv 2406.12045); NaN where ``n`` < ``k``. The
    arguments and errors are those of :func:`pass_at_k`.
    """
    _check_counts(n, c, k)
    return math.comb(c, k) / math.comb(n, k) if n >= k else math.nan


def mean_pass_k(
    trials: Iterable[tuple[int, int]], k: int, *key: Any, at: bool = False, **options: Any
) -> Estimate:
    """pass^k (pass@k with ``at``) averaged over the episodes that have at least ``k`` trials.

    Args:
        trials: ``(n, c)`` of each episode.
        k: trials drawn.
        key: names the figure; see :func:`pooled`.

    Returns:
        An estimate whose ``n`` and ``clusters`` are the episodes counted; episodes with fewer
        trials are left out. All NaN if none is left. An interval of one point is replaced by
        Wilson's, as in :func:`pooled_share`.
    """
    rule = pass_at_k if at else pass_hat_k
    values = [value for n, c in trials if not math.isnan(value := rule(n, c, k))]
    if all(value in (0.0, 1.0) for value in values):
        return wilson(round(sum(values)), len(values), options.get("confidence", 0.95))
    found = pooled(values, np.ones(len(values), dtype=np.int64), *key, **options)
    if found.low == found.high or found.clusters == 1:
        span = wilson(round(found.value * found.n), found.n, options.get("confidence", 0.95))
        low, high = min(span.low, found.value), max(span.high, found.value)
        return Estimate(found.value, low, high, found.n, found.clusters)
    return found


def paired_test(
    first: Mapping[str, Sequence[float]],
    second: Mapping[str, Sequence[float]],
    *key: Any,
    resamples: int = 9999,
    confidence: float = 0.95,
) -> Comparison:
    """Two agents compared on the episodes that both played: a sign-flip permutation test.

    Under the hypothesis that the agents are alike, the difference of an episode's two means is as
    likely with either sign (Fisher 1935; Good 2005, §3.7). The statistic is the mean difference,
    two-sided. All assignments of signs are counted where that is affordable; with one trial of
    pass or fail an episode this is McNemar's exact test. Otherwise ``resamples`` are drawn and
    p = (1 + as extreme) / (1 + resamples), which is never 0.

    Args:
        first: values by episode id: passes (bool, 0 or 1) or rewards, one a trial.
        second: the same for the other agent.
        key: JSON values that name the comparison; the same key gives the same result.
        resamples: sign assignments drawn where not all are counted.
        confidence: of the interval of the difference, a bootstrap over episodes; where no pair of
            passes differs, Wilson's for the share of pairs that might.
    """
    shared = sorted(e for e in first.keys() & second.keys() if len(first[e]) and len(second[e]))
    nan = math.nan
    if not shared:
        return Comparison(nan, nan, nan, nan, 0, 0, 0, nan, nan, True)
    sides = [[(_micros(by[e]), len(by[e])) for e in shared] for by in (first, second)]
    means = [math.fsum(t / count for t, count in side) / len(shared) / MICROS for side in sides]
    # Whole-number differences over one common denominator, so that ties are ties.
    common = math.lcm(*{a[1] * b[1] for a, b in zip(*sides, strict=True)})
    scale = common if common <= 10**6 else 1000
    differences = []
    for (total_a, count_a), (total_b, count_b) in zip(*sides, strict=True):
        top, bottom = total_a * count_b - total_b * count_a, count_a * count_b
        exact_part = top * (scale // bottom) if scale == common else round(top * scale / bottom)
        differences.append(exact_part)
    p_value, exact = _sign_flips(differences, key, resamples)
    spread = [value / (scale * MICROS) for value in differences]
    span = pooled(
        spread, np.ones(len(spread), dtype=np.int64), "difference", *key, confidence=confidence
    )
    low, high = span.low, span.high
    if not any(differences) and all(
        v in (0, 1) for by in (first, second) for e in shared for v in by[e]
    ):
        # No pair differs, which a bootstrap takes for certainty: as many as Wilson allows may.
        high = wilson(0, len(shared), confidence).high
        low = -high
    return Comparison(
        difference=sum(differences) / (len(shared) * scale * MICROS),
        low=low,
        high=high,
        p_value=p_value,
        n=len(shared),
        first_better=sum(value > 0 for value in differences),
        second_better=sum(value < 0 for value in differences),
        first=means[0],
        second=means[1],
        exact=exact,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979): adjusted p-values, in the order given.

    NaN stays NaN and does not count as a test.

    Raises:
        ValueError: for a p-value outside [0, 1].
    """
    tests = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    if any(not 0 <= p_values[i] <= 1 for i in tests):
        raise ValueError("p-values lie in [0, 1]")
    tests.sort(key=lambda i: p_values[i])
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(tests):
        highest = max(highest, min(1.0, (len(tests) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


# --- the parts -------------------------------------------------------------------------------


def _check_counts(n: int, c: int, k: int) -> None:
    if k < 1 or not 0 <= c <= n:
        raise ValueError(f"needs k >= 1 and 0 <= c <= n; got n={n}, c={c}, k={k}")


def _wilson_ends(share: float, n: float, z: float) -> tuple[float, float]:
    middle = (share * n + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(n * share * (1 - share) + z * z / 4)
    # At the ends the formula gives 0 and 1 up to rounding; say so exactly.
    low = 0.0 if share == 0 else min(share, max(0.0, middle - half))
    high = 1.0 if share == 1 else max(share, min(1.0, middle + half))
    return low, high


def _variance(totals: np.ndarray, counts: np.ndarray) -> float:
    """The linearised variance of sum(totals) / sum(counts) over independent clusters."""
    clusters, n = len(totals), int(counts.sum())
    rest = totals - counts * (float(totals.sum()) / n)
    return clusters / (clusters - 1) * float((rest * rest).sum()) / (n * n)


def _normal_quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1, got {confidence!r}")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _whole(values: Any) -> np.ndarray:
    """Values in millionths, int64.

    Raises:
        ValueError: for NaN, an infinity or a value that is no number of modest size.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size and not bool(np.all(np.abs(array) < 9e9)):
        raise ValueError("values must be finite and below nine thousand million")
    return np.rint(array * MICROS).astype(np.int64)


def _micros(values: Iterable[float]) -> int:
    """The sum of a few values in millionths; faster than an array."""
    try:
        return sum(round(value * MICROS) for value in values)
    except (OverflowError, ValueError):
        raise ValueError("values must be finite") from None


def _stream(seed: int, start: int, size: int) -> np.ndarray:
    """Numbers ``start`` to ``start + size`` of the SplitMix64 stream of ``seed``, uint64."""
    place = np.arange(start, start + size, dtype=np.uint64)
    return mix64(np.uint64(seed) + place * np.uint64(_GAMMA))


def _below(seed: int, start: int, size: int, n: int) -> np.ndarray:
    """Indices in [0, n), by multiply-shift on the upper half (bias below n / 2^32)."""
    upper = _stream(seed, start, size) >> np.uint64(32)
    return ((upper * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


def _expanded_tail(clusters: int, confidence: float) -> float:
    """The tail probability that widens percentiles as Student's t does a normal interval.

    The t quantile is Cornish and Fisher's first two terms, good to 1 % from 5 degrees of freedom.
    """
    z, nu = _normal_quantile(confidence), clusters - 1
    t = z + (z**3 + z) / (4 * nu) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * nu * nu)
    return NormalDist().cdf(-math.sqrt(clusters / nu) * t)


def _quantile(ordered: np.ndarray, q: float) -> float:
    """The quantile of sorted values, linear between neighbours (Hyndman & Fan's type 7)."""
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = float(ordered[below]), float(ordered[above])
    return low + (high - low) * (place - below)


def _sign_flips(
    differences: Sequence[int], key: Sequence[Any], resamples: int
) -> tuple[float, bool]:
    """The two-sided p-value of the sum of whole-number differences, and whether it is exact."""
    sizes = sorted(abs(value) for value in differences if value)
    if not sizes:
        return 1.0, True
    unit = reduce(math.gcd, sizes)
    sizes = [value // unit for value in sizes]
    seen = abs(sum(differences)) // unit
    if sizes[-1] == 1 and len(sizes) <= 100_000:
        return _sign_test(len(sizes), seen), True
    reach = sum(sizes)
    if reach * len(sizes) <= _EXACT_WORK:
        # chances[s] is the chance that the signed sum is s - reach; each size splits it in two.
        chances = np.zeros(2 * reach + 1)
        chances[reach] = 1.0
        for value in sizes:
            split = np.zeros_like(chances)
            split[value:] += chances[: len(chances) - value]
            split[: len(chances) - value] += chances[value:]
            chances = split / 2
        tail = float(chances[reach + seen :].sum()) + float(chances[: reach - seen + 1].sum())
        return min(1.0, tail), True
    while reach >= 1 << 52:  # the sums below must be exact in float64
        sizes, seen = [value // 1000 for value in sizes], seen // 1000
        reach = sum(sizes)
    weights = np.array(sizes, dtype=np.float64)
    seed = seed_from("signs", *key)
    width = -(-len(sizes) // 64)
    rows = max(1, _CHUNK // (64 * width))
    extreme = 0
    for start in range(0, resamples, rows):
        stop = min(resamples, start + rows)
        drawn = _stream(seed, start * width, (stop - start) * width).astype("<u8")
        bits = np.unpackbits(drawn.view(np.uint8).reshape(stop - start, 8 * width), axis=1)
        picked = bits[:, : len(sizes)].astype(np.float64) @ weights
        extreme += int(np.count_nonzero(np.abs(2 * picked - reach) >= seen))
    return (1 + extreme) / (1 + resamples), False


def _sign_test(n: int, seen: int) -> float:
    """The chance that ``n`` fair signs sum to at least ``seen`` or at most minus that."""
    if seen == 0:
        return 1.0
    # Sums of n signs are n - 2j; count those with j minus signs, j <= (n - seen) / 2.
    ways, total = 1, 0
    for j in range((n - seen) // 2 + 1):
        total += ways
        ways = ways * (n - j) // (j + 1)
    return 2 * total / 2**n  # Python rounds the quotient of whole numbers once
