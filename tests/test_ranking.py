"""Formulas of ranked recommendations, each against a figure worked out by hand or another way."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import permutations
from math import log2

import pytest

from ecomkit.core.ranking import (
    dirichlet_order,
    ndcg,
    persona_order,
    power,
    rank_order_weights,
    stretched,
    utility,
)
from ecomkit.core.seeds import rng


def test_rank_order_weights_are_centroids() -> None:
    assert rank_order_weights(1) == [1.0]
    assert rank_order_weights(2) == pytest.approx([3 / 4, 1 / 4])
    assert rank_order_weights(3) == pytest.approx([11 / 18, 5 / 18, 2 / 18])
    for count in range(1, 6):
        weights = rank_order_weights(count)
        assert sum(weights) == pytest.approx(1.0)
        assert weights == sorted(weights, reverse=True)


def test_dirichlet_order_has_the_right_shares() -> None:
    # P(Gamma(a) > Gamma(b)) = P(Beta(a, b) > 1/2), a binomial tail: for a = 5, b = 1 it is 31/32.
    firsts = Counter(dirichlet_order({"x": 5, "y": 1}, rng("share", i))[0] for i in range(4000))
    assert firsts["x"] / 4000 == pytest.approx(31 / 32, abs=0.012)
    firsts = Counter(dirichlet_order({"x": 2, "y": 2}, rng("even", i))[0] for i in range(4000))
    assert firsts["x"] / 4000 == pytest.approx(0.5, abs=0.03)


def test_dirichlet_order_compares_products_exactly() -> None:
    key = rng("exact")

    def product(name: str, shape: int) -> Fraction:
        stream = key.child(name)
        value = Fraction(1)
        for _ in range(shape):
            value *= Fraction((stream.next64() >> 11) + 1, 1 << 53)
        return value

    shapes = {"a": 1, "b": 3, "c": 2, "d": 5}
    worked = sorted(shapes, key=lambda name: product(name, shapes[name]))
    assert dirichlet_order(shapes, key) == worked


def test_leaving_a_dimension_out_moves_no_other() -> None:
    for i in range(50):
        whole = persona_order(("price", "rating", "shipping", "brand"), ["price"], rng("p", i))
        part = persona_order(("price", "rating", "shipping"), ["price"], rng("p", i))
        assert [d for d in whole if d != "brand"] == part


def test_constrained_dimensions_come_first_more_often() -> None:
    def share(constrained: list[str]) -> float:
        orders = [
            persona_order(("price", "rating", "shipping"), constrained, rng("boost", i))
            for i in range(600)
        ]
        return sum(order[0] == "shipping" for order in orders) / 600

    assert share(["shipping"]) > share([]) + 0.2


def test_dirichlet_needs_whole_shapes() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        dirichlet_order({"x": 0}, rng("zero"))


def test_utility_by_hand() -> None:
    order = ("price", "rating", "shipping", "brand")
    weights = rank_order_weights(4)
    got = utility(
        3000,
        4.0,
        7,
        "norvik",
        order=order,
        price_range=(2000, 4000),
        wanted_brand="Norvik",
    )
    assert got == pytest.approx(
        weights[0] * 0.5 + weights[1] * 0.75 + weights[2] * 0.5 + weights[3]
    )
    cheap = utility(1, 1.0, 99, "x", order=("price",), price_range=(2000, 4000))
    dear = utility(9999, 5.0, 0, "x", order=("price",), price_range=(2000, 4000))
    same = utility(2000, 5.0, 0, "x", order=("price",), price_range=(2000, 2000))
    assert (cheap, dear, same) == (1.0, 0.0, 1.0)
    assert utility(1, 1.0, 40, "x", order=("shipping",), price_range=(1, 1)) == 0.0


def test_stretch_covers_zero_to_one() -> None:
    assert stretched([]) == []
    assert stretched([0.3]) == [1.0]
    assert stretched([0.3, 0.3]) == [1.0, 1.0]
    assert stretched([2.0, 1.0, 1.5]) == [1.0, 0.0, 0.5]


def test_ndcg_by_hand() -> None:
    pool = [1.0, 0.5, 0.25, 0.0]
    ideal = 1 + 0.5 / log2(3)
    assert ndcg([1.0, 0.5], pool, 2) == 1.0
    assert ndcg([0.5, 1.0], pool, 2) == pytest.approx((0.5 + 1 / log2(3)) / ideal, abs=1e-9)
    assert ndcg([1.0, 0.0, 0.5], pool, 2) == pytest.approx(1 / ideal, abs=1e-9)
    assert ndcg([], pool, 2) == 0.0
    assert ndcg([], [], 0) == 1.0 and ndcg([0.0], [], 0) == 0.0
    assert ndcg([0.0], [0.0], 1) == 0.0


def test_no_order_beats_the_ideal() -> None:
    pool = [1.0, 0.9, 0.2, 0.1]
    assert max(ndcg(list(p), pool, 3) for p in permutations(pool, 3)) == 1.0
    assert ndcg(sorted(pool, reverse=True), pool, 3) == 1.0


def test_power_is_repeated_multiplication() -> None:
    assert power(0.5, 4) == 0.0625
    assert power(0.3, 0) == 1.0
