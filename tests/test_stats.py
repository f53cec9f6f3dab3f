"""Statistics: published examples, scipy's implementations, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomkit.core.seeds import rng
from ecomkit.study import stats
from ecomkit.study.stats import (
    Estimate,
    holm,
    mean_pass_k,
    paired_test,
    pass_at_k,
    pass_hat_k,
    pooled,
    pooled_mean,
    pooled_share,
    wilson,
)


@pytest.mark.parametrize(
    ("passed", "n", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_newcombes_table(passed, n, low, high):
    found = wilson(passed, n)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)
    assert (found.value, found.n, found.clusters) == (passed / n, n, n)


@given(st.integers(1, 5000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_is_scipys(n, share, confidence):
    passed = round(share * n)
    found = wilson(passed, n, confidence)
    theirs = scipy.stats.binomtest(passed, n).proportion_ci(confidence, method="wilson")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert found.low <= found.value <= found.high


def test_wilson_of_nothing_and_of_the_impossible():
    nothing = wilson(0, 0)
    assert math.isnan(nothing.value) and math.isnan(nothing.low) and nothing.n == 0
    for passed, n in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="from 0 to n"):
            wilson(passed, n)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, 1.0)


def human_eval(n, c, k):
    """The estimator as printed in Chen et al. (2021), figure 3."""
    if n - c < k:
        return 1.0
    return 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))


@given(st.integers(1, 200), st.data())
def test_pass_at_k_is_human_evals(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, c, k) == pytest.approx(human_eval(n, c, k), abs=1e-9)


def test_pass_k_worked_by_hand():
    assert pass_at_k(5, 2, 1) == 0.4 == pass_hat_k(5, 2, 1)
    assert pass_at_k(4, 2, 2) == 5 / 6 and pass_hat_k(4, 2, 2) == 1 / 6
    assert pass_at_k(4, 0, 4) == 0 == pass_hat_k(4, 3, 4) and pass_hat_k(4, 4, 4) == 1
    assert math.isnan(pass_at_k(3, 3, 4)) and math.isnan(pass_hat_k(3, 3, 4))
    assert 0 < pass_hat_k(3000, 2900, 1500) < 1e-25  # neither C(n, k) fits a float
    for wrong in ((3, 4, 1), (3, -1, 1), (3, 1, 0)):
        with pytest.raises(ValueError, match="needs k"):
            pass_hat_k(*wrong)


def test_mean_pass_k_leaves_out_episodes_with_too_few_trials():
    found = mean_pass_k([(4, 4), (4, 2), (1, 1), (4, 0)], 2, "here")
    assert found.value == pytest.approx((1 + 1 / 6 + 0) / 3) and found.n == 3
    assert found.low < found.value < found.high
    assert mean_pass_k([(1, 1)], 2).n == 0 and math.isnan(mean_pass_k([], 1).value)
    sure = mean_pass_k([(4, 4)] * 10, 4)
    assert sure.value == 1 and sure.low == wilson(10, 10).low
    assert mean_pass_k([(4, 1)] * 8, 2, at=True).value == 0.5


def test_bootstrap_agrees_with_scipys():
    values = [rng("values", i).uniform() ** 2 for i in range(60)]
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = pooled(values, [1] * 60, "x", resamples=20_000)
    assert found.value == pytest.approx(np.mean(values), abs=1e-6)
    width = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert found.high == pytest.approx(theirs.high, abs=0.05 * width)
    assert width < found.high - found.low < 1.08 * width  # expanded, slightly


def test_bootstrap_counts_episodes_and_not_trajectories():
    """Eight copies of each outcome say no more than one."""
    once = [rng("once", i).below(2) for i in range(80)]
    one = pooled(once, [1] * 80, "x")
    eight = pooled([8 * value for value in once], [8] * 80, "x")
    assert (eight.value, eight.low, eight.high) == (one.value, one.low, one.high)
    assert (eight.n, eight.clusters, one.n) == (640, 80, 80)
    naive = wilson(8 * sum(once), 640)
    assert naive.high - naive.low < 0.5 * (eight.high - eight.low)
    assert pooled_share([8 * value for value in once], [8] * 80, "x").low == eight.low


def test_the_same_key_gives_the_same_interval_in_any_order():
    values = [rng("order", i).uniform() for i in range(50)]
    counts = [1 + rng("counts", i).below(3) for i in range(50)]
    found = pooled(values, counts, "a", 1)
    assert found == pooled(values[::-1], counts[::-1], "a", 1)
    assert found != pooled(values, counts, "a", 2)
    # Drift of the draws would change published intervals: pinned.
    assert pooled([1, 0, 3, 2, 2], [3] * 5, "pinned") == Estimate(
        8 / 15,
        pytest.approx(0.08500537470423222, abs=1e-12),
        pytest.approx(0.9333333333333333, abs=1e-12),
        15,
        5,
    )


def test_pooled_mean_groups_by_episode():
    found = pooled_mean([1.0, -1.0, 0.5, 0.5], ["a", "b", "a", "c"], "k")
    assert found == pooled([1.5, -1.0, 0.5], [2, 1, 1], "k")
    assert found.value == 0.25


def test_many_episodes_give_what_the_bootstrap_comes_to(monkeypatch):
    passed = [rng("many", i).below(5) for i in range(3000)]
    counts = [4 + i % 2 for i in range(3000)]
    for rule in (pooled, pooled_share):
        exact = rule(passed, counts, "k")
        monkeypatch.setattr(stats, "BOOTSTRAP_EPISODES", 10_000)
        drawn = rule(passed, counts, "k")
        monkeypatch.undo()
        width = drawn.high - drawn.low
        assert exact.low == pytest.approx(drawn.low, abs=0.04 * width)
        assert exact.high == pytest.approx(drawn.high, abs=0.04 * width)
        assert (exact.value, exact.n) == (drawn.value, drawn.n)
    rare = pooled_share([1] + [0] * 2999, [4] * 3000)
    assert 0 < rare.low < rare.value < rare.high < 0.001


def test_no_interval_claims_certainty():
    assert pooled_share([4, 4, 4], [4, 4, 4]).low == wilson(3, 3).low
    assert pooled_share([2, 2], [4, 4]).low < 0.5 < pooled_share([2, 2], [4, 4]).high
    alone = pooled_share([3], [4])
    assert alone.low < 0.75 < alone.high and alone.clusters == 1
    assert math.isnan(pooled([1.0], [1]).low)
    assert math.isnan(pooled([], []).value) and math.isnan(pooled_share([], []).value)
    for totals, counts in (([1], [0]), ([1, 2], [1])):
        with pytest.raises(ValueError):
            pooled(totals, counts)
    for bad in (math.nan, math.inf, 1e18):
        with pytest.raises(ValueError, match="finite"):
            pooled([bad, 1], [1, 1])
    with pytest.raises(ValueError, match="0 to counts"):
        pooled_share([2], [1])


def test_darwins_maize():
    """Fisher (1935, §21): 1,726 of the 32,768 assignments of signs are as extreme."""
    # Cross- less self-fertilised heights, in eighths of an inch.
    pairs = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    first = {str(i): [value] for i, value in enumerate(pairs)}
    found = paired_test(first, {key: [0] for key in first})
    assert found.exact and found.p_value == pytest.approx(1726 / 32768, abs=1e-12)
    assert found.difference == pytest.approx(314 / 15)
    assert (found.n, found.first_better, found.second_better) == (15, 13, 2)


def test_one_trial_of_pass_or_fail_is_mcnemars_test():
    for better, worse, even in ((9, 1, 30), (5, 5, 0), (40, 22, 3), (700, 600, 50)):
        outcomes = [(1, 0)] * better + [(0, 1)] * worse + [(1, 1)] * even
        first = {str(i): [a] for i, (a, _) in enumerate(outcomes)}
        second = {str(i): [b] for i, (_, b) in enumerate(outcomes)}
        found = paired_test(first, second)
        want = scipy.stats.binomtest(better, better + worse).pvalue
        assert found.exact and found.p_value == pytest.approx(want, rel=1e-9)
        assert found.p_value == paired_test(second, first).p_value


def test_several_trials_agree_with_scipys_permutation_test():
    draw = rng("trials")
    first = {str(i): [draw.below(2) for _ in range(1 + i % 3)] for i in range(12)}
    second = {str(i): [draw.below(2) * draw.below(2) for _ in range(2)] for i in range(12)}
    means = [[np.mean(side[key]) for key in sorted(first)] for side in (first, second)]
    theirs = scipy.stats.permutation_test(
        means, lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    found = paired_test(first, second)
    assert found.exact and found.p_value == pytest.approx(theirs.pvalue, abs=1e-9)
    assert found.difference == pytest.approx(theirs.statistic, abs=1e-12)


def test_sampled_signs_come_close_to_all_signs(monkeypatch):
    monkeypatch.setattr(stats, "_EXACT_WORK", 0)
    rewards = {str(i): [round(rng("reward", i).uniform() - 0.4, 6)] for i in range(14)}
    zero = {key: [0.0] for key in rewards}
    found = paired_test(rewards, zero, "r")
    theirs = scipy.stats.permutation_test(
        ([v[0] for v in rewards.values()], [0.0] * 14), lambda a, b: np.mean(a - b),
        permutation_type="samples", n_resamples=np.inf,
    )  # fmt: skip
    assert not found.exact and found.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    assert found == paired_test(dict(reversed(rewards.items())), zero, "r")
    assert found.low < found.difference < found.high


def test_only_shared_episodes_are_compared():
    found = paired_test({"a": [1], "b": [1], "x": [1], "e": []}, {"a": [0], "b": [1], "y": [1]})
    assert (found.n, found.difference, found.first, found.second) == (2, 0.5, 1.0, 0.5)
    assert found.p_value == 1.0
    none = paired_test({"a": [1]}, {"b": [1]})
    assert none.n == 0 and math.isnan(none.p_value)


def test_a_hundred_thousand_episodes():
    first = {str(i): [i % 5 > 0] for i in range(100_000)}
    second = {str(i): [i % 5 > 1] for i in range(100_000)}
    found = paired_test(first, second, resamples=99)
    assert found.exact and found.p_value == 0.0 and found.difference == pytest.approx(0.2)
    assert found.first_better == 20_000


def test_holm():
    # The worked example of "Holm–Bonferroni method" in Wikipedia: p4 and p1 are rejected at 5 %.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    nan = math.nan
    assert holm([0.5, nan, 0.6]) == pytest.approx([1.0, nan, 1.0], nan_ok=True)
    assert holm([]) == []
    with pytest.raises(ValueError):
        holm([1.5])


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_shrinks_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    for p, a in zip(p_values, adjusted, strict=True):
        assert p <= a <= min(1, len(p_values) * p) or a == pytest.approx(p)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


SETS = 2000


def coverage(name, truth, estimate):
    """The share of simulated sets whose 95 % interval holds the truth."""
    found = [estimate(np.random.default_rng([7, i])) for i in range(SETS)]
    share = sum(e.low <= truth <= e.high for e in found) / SETS
    print(f"coverage of {name}: {share:.2%} of {SETS} sets")
    return share


@pytest.mark.slow
@pytest.mark.parametrize(("n", "p"), [(40, 0.5), (100, 0.1), (100, 0.3), (400, 0.9), (1000, 0.02)])
def test_wilson_covers(n, p):
    def one(draw):
        return wilson(int(draw.binomial(n, p)), n)

    assert 0.93 <= coverage(f"wilson n={n} p={p}", p, one) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("episodes", "trials", "a", "b"),
    [(30, 4, 2, 2), (100, 4, 0.5, 0.5), (100, 2, 1, 3), (200, 8, 4, 1), (1001, 4, 0.1, 3)],
)
def test_the_clustered_bootstrap_covers(episodes, trials, a, b):
    def one(draw):
        rates = draw.beta(a, b, episodes)
        return pooled_share(
            draw.binomial(trials, rates), [trials] * episodes, "cover", resamples=1000
        )

    name = f"bootstrap {episodes} episodes x {trials} trials, beta({a}, {b})"
    assert 0.93 <= coverage(name, a / (a + b), one) <= 0.97


@pytest.mark.slow
def test_the_bootstrap_of_unequal_numbers_of_trials_and_rewards_covers():
    def one(draw):
        counts = draw.integers(1, 6, 80)
        level = draw.normal(0.2, 0.4, 80)
        totals = [draw.normal(m, 0.3, n).sum() for m, n in zip(level, counts, strict=True)]
        return pooled(totals, counts, "cover", resamples=1000)

    assert 0.93 <= coverage("bootstrap of rewards", 0.2, one) <= 0.97


@pytest.mark.slow
def test_the_paired_test_keeps_its_level():
    """Two equal agents: p <= 0.05 in at most 5 % of the sets, but for chance."""
    hits = 0
    for i in range(SETS):
        draw = np.random.default_rng([11, i])
        rates = draw.beta(1, 1, 60)
        first, second = draw.binomial(4, rates), draw.binomial(4, rates)
        found = paired_test(
            {str(j): [1] * int(c) + [0] * (4 - int(c)) for j, c in enumerate(first)},
            {str(j): [1] * int(c) + [0] * (4 - int(c)) for j, c in enumerate(second)},
        )
        hits += found.p_value <= 0.05
    print(f"rejected {hits / SETS:.2%} of {SETS} sets of equal agents")
    assert 0.03 <= hits / SETS <= 0.062


def test_agents_that_never_differ_are_not_certainly_alike() -> None:
    alike = {f"e{n}": [n % 2 == 0] for n in range(20)}
    found = paired_test(alike, alike, "alike")
    assert found.difference == 0 and found.p_value == 1
    assert found.high == -found.low == pytest.approx(wilson(0, 20).high)
    rewards = {f"e{n}": [n / 20] for n in range(20)}
    assert paired_test(rewards, rewards, "rewards").high == 0  # no bound is known for a reward
