"""The world of one session: what it charges, what it ships, and that it costs nothing to make."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomkit.core.errors import EpisodeError, UnknownName, UnknownProduct
from ecomkit.core.records import Variant
from ecomkit.shop.world import World, discount_cents, money, normal_order_id, percent_of

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog


def variant_at(catalog: Catalog, row: int, index: int = 0) -> Variant:
    return catalog.variants_at(row)[index]


def initial(**more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "key": "cart/3/17",
        "now": "2026-03-14T10:05:00",
        "profile": {"name": "Ann Lee", "tier": "Gold", "region": "Canada"},
        "orders": [],
        "visit_history": [],
        "codes": [],
        "stock": {},
        "events": [],
    }
    return {**base, **more}


def code(**more: Any) -> dict[str, Any]:
    base = {
        "code": "SPRING15",
        "kind": "percent",
        "value": 15,
        "min_spend_cents": 0,
        "department": None,
        "expires_at": "2026-03-31",
        "uses_left": 1,
    }
    return {**base, **more}


def test_percentage_is_rounded_half_up() -> None:
    assert [percent_of(cents, 15) for cents in (0, 3, 4, 10, 30, 1010)] == [0, 0, 1, 2, 5, 152]
    assert percent_of(50, 1) == 1
    assert percent_of(49, 1) == 0


@given(st.integers(0, 10**9), st.integers(0, 100))
def test_percentage_is_within_half_a_cent(cents: int, percent: int) -> None:
    assert abs(percent_of(cents, percent) * 100 - cents * percent) <= 50


def test_money_reads_like_a_price() -> None:
    assert [money(n) for n in (0, 5, 1999, 123456, -250)] == [
        "$0.00",
        "$0.05",
        "$19.99",
        "$1,234.56",
        "-$2.50",
    ]


def test_order_ids_are_read_in_any_spelling() -> None:
    assert {normal_order_id(t) for t in ("W123", "#w123", " # w123 ", "w123 ")} == {"W123"}


def test_world_needs_an_object(plain_catalog: Catalog) -> None:
    with pytest.raises(EpisodeError, match="JSON object, got list"):
        World([], plain_catalog)  # type: ignore[arg-type]
    assert World({}, plain_catalog).cart_total_cents() == 0


def test_same_variant_joins_its_line(plain_catalog: Catalog) -> None:
    world = World(initial(), plain_catalog)
    one, two = variant_at(plain_catalog, 10), variant_at(plain_catalog, 10, 1)
    first = world.add_to_cart(one, 2)
    assert world.add_to_cart(one, 1) is first
    second = world.add_to_cart(two, 1)
    assert [(n.line_id, n.quantity) for n in world.cart] == [("C1", 3), ("C2", 1)]
    assert world.cart_total_cents() == 3 * one.price_cents + two.price_cents
    world.remove_line(second)
    assert world.add_to_cart(two, 1).line_id == "C3"


def test_stock_comes_from_changes_then_overrides_then_catalog(plain_catalog: Catalog) -> None:
    kept, stated = variant_at(plain_catalog, 1), variant_at(plain_catalog, 2)
    world = World(
        initial(
            stock={stated.variant_id: 2},
            events=[{"after_step": 2, "kind": "sell_out", "variant_ids": [stated.variant_id]}],
        ),
        plain_catalog,
    )
    assert world.stock(kept.variant_id) == kept.stock == world.live(kept)
    assert world.stock(stated.variant_id) == 2
    others = sum(v.stock for v in plain_catalog.variants(stated.product_id)[1:])
    assert world.product_stock(stated.product_id) == 2 + others
    assert world.tick(1) == []
    assert [event["kind"] for event in world.tick(2)] == ["sell_out"]
    assert world.tick(2) == []
    assert world.stock(stated.variant_id, stated.product_id) == 0 == world.live(stated)


def test_unknown_names_are_told(plain_catalog: Catalog) -> None:
    world = World(initial(events=[{"after_step": 1, "kind": "flood"}]), plain_catalog)
    for bad in ("nope", "-v1", "\ud800-v1", variant_at(plain_catalog, 0).product_id + "-v9"):
        with pytest.raises(UnknownName):
            world.stock(bad)
    with pytest.raises(UnknownProduct):
        world.product("nope")
    with pytest.raises(EpisodeError, match=r"unknown world event 'flood'; choose from code_exh"):
        world.tick(1)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"expires_at": "2026-03-13"}, "code_expired"),
        ({"expires_at": "2026-03-14"}, None),
        ({"expires_at": "2026-03-14T10:05:00"}, None),
        ({"expires_at": "2026-03-14T10:04:59"}, "code_expired"),
        ({"expires_at": None}, None),
        ({"uses_left": 0}, "code_exhausted"),
        ({"uses_left": None}, None),
        ({"min_spend_cents": 10**8}, "minimum_not_met"),
        ({"department": "nowhere"}, "code_not_applicable"),
    ],
)
def test_codes_apply_only_where_they_may(
    plain_catalog: Catalog, changes: dict[str, Any], problem: str | None
) -> None:
    world = World(initial(codes=[code(**changes)]), plain_catalog)
    found = world.code(" spring15 ")
    assert found is not None
    assert (world.code_problem(found) or [None])[0] == "code_expired" or not world.cart
    world.add_to_cart(variant_at(plain_catalog, 5), 1)
    got = world.code_problem(found)
    assert (got[0] if got else None) == problem
    world.discount = found["code"]
    totals = world.totals()
    assert (totals.discount_cents > 0) == (problem is None)
    assert totals.problem == got


def test_a_department_code_counts_its_lines_and_the_whole_cart(plain_catalog: Catalog) -> None:
    here = plain_catalog.product_at(3)
    row = next(r for r in range(100) if plain_catalog.product_at(r).department != here.department)
    inside, outside = variant_at(plain_catalog, 3), variant_at(plain_catalog, row)
    both = inside.price_cents + outside.price_cents
    limited = code(department=here.department.upper(), min_spend_cents=both)
    world = World(initial(codes=[limited]), plain_catalog)
    world.discount = "SPRING15"
    world.add_to_cart(inside, 1)
    assert world.totals().problem is not None
    world.add_to_cart(outside, 1)
    # The minimum counts the whole cart; the percentage only the department's lines.
    assert world.cart_discount_cents() == percent_of(inside.price_cents, 15)
    assert world.cart_total_cents() == both - percent_of(inside.price_cents, 15)


def test_an_amount_never_takes_off_more_than_its_lines(plain_catalog: Catalog) -> None:
    world = World(initial(codes=[code(kind="amount", value=10**7)]), plain_catalog)
    world.discount = "SPRING15"
    world.add_to_cart(variant_at(plain_catalog, 3), 1)
    assert world.cart_total_cents() == 0


def test_checkout_takes_stock_uses_the_code_and_empties_the_cart(plain_catalog: Catalog) -> None:
    bought = variant_at(plain_catalog, 8)
    world = World(initial(codes=[code()]), plain_catalog)
    world.add_to_cart(bought, 3)
    world.discount = "SPRING15"
    expected = world.cart_total_cents()
    before = world.live(bought)
    order = world.place_order()
    assert order["total_cents"] == expected == 3 * bought.price_cents - order["discount_cents"]
    assert world.placed == [order["order_id"]]
    assert world.order("#" + order["order_id"].lower()) is order
    assert (world.cart, world.discount) == ([], None)
    assert world.live(bought) == before - 3
    assert world.code_problem(world.code("SPRING15") or {}) == (
        "code_exhausted",
        "The code SPRING15 has been used up.",
    )


def test_order_ids_depend_on_the_episode_alone(plain_catalog: Catalog) -> None:
    def ids(key: str) -> list[str]:
        world = World(initial(key=key), plain_catalog)
        for row in (1, 2):
            world.add_to_cart(variant_at(plain_catalog, row), 1)
            world.place_order()
        return world.placed

    assert ids("a") == ids("a")
    assert len({*ids("a"), *ids("b")}) == 4
    taken = ids("a")[0]
    world = World(initial(key="a", orders=[{"order_id": taken, "lines": []}]), plain_catalog)
    world.add_to_cart(variant_at(plain_catalog, 1), 1)
    assert world.place_order()["order_id"] != taken


def test_a_code_that_runs_out_takes_nothing_off_and_is_told(plain_catalog: Catalog) -> None:
    events = [{"after_step": 1, "kind": "code_exhausted", "code": "spring15"}]
    world = World(initial(codes=[code(uses_left=None)], events=events), plain_catalog)
    world.add_to_cart(variant_at(plain_catalog, 8), 1)
    world.discount = "SPRING15"
    assert world.cart_discount_cents() > 0
    world.tick(1)
    assert world.totals().problem == ("code_exhausted", "The code SPRING15 has been used up.")
    order = world.place_order()
    assert order["discount_code"] is None
    assert order["total_cents"] == order["subtotal_cents"]


def test_the_episode_is_never_changed(plain_catalog: Catalog) -> None:
    bought = variant_at(plain_catalog, 8)
    start = initial(
        codes=[code()],
        stock={bought.variant_id: 4},
        events=[{"after_step": 1, "kind": "code_exhausted", "code": "SPRING15"}],
    )
    before = copy.deepcopy(start)
    world = World(start, plain_catalog)
    world.add_to_cart(bought, 2)
    world.discount = "SPRING15"
    world.place_order()
    world.tick(1)
    world.record_return({"kind": "return", "order_id": "W1", "line_id": "L1"})
    assert start == before


def test_digest_tells_states_apart_and_order_of_doing_does_not_matter_to_it(
    plain_catalog: Catalog,
) -> None:
    a, b = variant_at(plain_catalog, 1), variant_at(plain_catalog, 2)
    first, second = World(initial(), plain_catalog), World(initial(), plain_catalog)
    assert first.digest() == second.digest()
    fresh = first.digest()
    first.take(a, 1)
    assert first.digest() != fresh
    first.take(b, 1)
    second.take(b, 1)
    second.take(a, 1)
    assert first.digest() == second.digest()
    snapshot = first.snapshot()
    assert json.loads(json.dumps(snapshot)) == snapshot
    snapshot["stock"].clear()
    assert first.snapshot()["stock"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.integers(1, 4)), max_size=12))
def test_any_cart_adds_up(plain_catalog: Catalog, moves: list[tuple[int, int, int]]) -> None:
    world = World(initial(codes=[code(value=33)]), plain_catalog)
    world.discount = "SPRING15"
    units: dict[str, int] = {}
    cost = 0
    for row, index, quantity in moves:
        variants = plain_catalog.variants_at(row)
        chosen = variants[index % len(variants)]
        world.add_to_cart(chosen, quantity)
        units[chosen.variant_id] = units.get(chosen.variant_id, 0) + quantity
        cost += quantity * chosen.price_cents
    assert {line.variant_id: line.quantity for line in world.cart} == units
    assert len({line.line_id for line in world.cart}) == len(world.cart)
    assert world.cart_subtotal_cents() == cost
    assert world.cart_total_cents() == cost - percent_of(cost, 33) * bool(moves)


def test_making_a_world_costs_microseconds(plain_catalog: Catalog) -> None:
    start = initial(stock={f"X{i}-v1": 3 for i in range(5000)})
    best = 1.0
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(200):
            World(start, plain_catalog)
        best = min(best, (time.perf_counter() - began) / 200)
    # 2 us when measured; a copy of the stock would take more than this.
    assert best < 50e-6


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), min_size=1, max_size=5),
    st.sampled_from([5, 15, 50]),
    st.sampled_from([0, 5000, 20000]),
    st.booleans(),
    st.booleans(),
)
def test_the_verifier_s_arithmetic_agrees_with_the_shop_s(
    plain_catalog: Catalog,
    moves: list[tuple[int, int]],
    value: int,
    minimum: int,
    limited: bool,
    expired: bool,
) -> None:
    found = code(
        value=value,
        min_spend_cents=minimum,
        department=plain_catalog.product_at(moves[0][0]).department if limited else None,
        expires_at="2026-01-01" if expired else None,
    )
    world = World(initial(codes=[found]), plain_catalog)
    world.discount = "SPRING15"
    for row, quantity in moves:
        world.add_to_cart(variant_at(plain_catalog, row), quantity)
    lines = [
        (plain_catalog.product(line.product_id).department, line.total_cents) for line in world.cart
    ]
    assert discount_cents(found, lines, world.now) == world.cart_discount_cents()


def test_sold_out_says_what_the_units_say(catalog: Catalog) -> None:
    rows = list(range(0, len(catalog), max(1, len(catalog) // 40)))
    gone, some, bought = (catalog.variants_at(row) for row in rows[:3])
    event = {"after_step": 2, "kind": "sell_out", "variant_ids": [v.variant_id for v in gone]}
    stated = {v.variant_id: 0 for v in some[:1]}
    world = World(initial(stock=stated, events=[event]), catalog)

    def check(found: World) -> list[str]:
        names = [catalog.product_id(row) for row in rows]
        assert [found.sold_out(n) for n in names] == [found.product_stock(n) <= 0 for n in names]
        return [name for name in names if found.sold_out(name)]

    assert check(world) == []
    before = world.copy()
    world.tick(2)
    for variant in bought:
        world.take(variant, world.live(variant))
    assert set(check(world)) == {gone[0].product_id, bought[0].product_id}
    assert check(before) == [] and check(world.copy()) == check(world)
    # Where variants come with a stock of their own, each is looked at.
    empty = World(initial(), catalog)
    empty.catalog = _Empty(catalog)  # type: ignore[assignment]
    assert empty.sold_out(catalog.product_id(rows[0]))
    with pytest.raises(UnknownProduct):
        world.sold_out("NOSUCHTHNG")


class _Empty:
    """A catalog of native variants with nothing on the shelf."""

    stocked_at_first = False

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def variants(self, product_id: str) -> tuple[Variant, ...]:
        return tuple(replace(v, stock=0) for v in self.catalog.variants(product_id))
