"""Rewards: the worked figures of SPEC §8 and the properties of shaping."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomkit.core.rewards import combine, efficiency, f1_units, hallucination, shaped


def test_worked_figure_of_a_clean_solution():
    r_eff, effective = efficiency(steps=3, discounted=1, max_turns=4)
    assert effective == 2
    assert round(r_eff, 2) == 0.33
    assert round(combine(1.0, r_eff, 0.0), 2) == 0.80


def test_worked_figure_of_a_half_right_cart():
    # 1 + 1 + 3 units wanted, seven in the cart, three of them right.
    f1, exact = f1_units(matched=3, have=7, want=5)
    assert (f1, exact) == (0.5, False)
    r_task = 2 * f1 - 1
    assert r_task == 0.0
    r_eff, _ = efficiency(steps=8, discounted=2, max_turns=8)
    assert round(r_eff, 2) == -0.43
    assert round(combine(r_task, r_eff, 0.0), 2) == -0.06


@pytest.mark.parametrize("units", range(1, 60))
def test_a_perfect_cart_is_exact_whatever_its_size(units):
    # The public EcomRLVE code compared floats here, and small perfect carts failed.
    assert f1_units(units, units, units) == (1.0, True)
    assert not f1_units(units - 1, units - 1, units)[1]
    assert not f1_units(units, units + 1, units)[1]


def test_nothing_wanted_and_nothing_there_is_right():
    assert f1_units(0, 0, 0) == (1.0, True)
    assert f1_units(0, 1, 0) == (0.0, False)


def test_hallucination_counts_each_id_once():
    assert hallucination([], set()) == 0.0
    assert hallucination(["a", "a", "b"], {"b"}) == -0.5
    assert hallucination(["a", "b"], {"a", "b", "c"}) == 0.0
    assert hallucination(["x"], set()) == -1.0


@given(
    st.floats(-1, 1), st.integers(1, 40), st.integers(0, 40), st.integers(1, 20), st.floats(-1, 0)
)
def test_the_reward_stays_in_its_range(r_task, steps, discounted, max_turns, r_hall):
    r_eff, effective = efficiency(steps, discounted, max_turns)
    assert effective >= 1
    assert -1.0 <= r_eff <= 1.0
    assert -1.0 <= combine(r_task, r_eff, r_hall) <= 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_shaping_sums_to_minus_the_start_whatever_happens(potentials):
    potentials = [*potentials, 0.0]
    total = sum(shaped(a, b) for a, b in pairwise(potentials))
    assert total == pytest.approx(-potentials[0])
