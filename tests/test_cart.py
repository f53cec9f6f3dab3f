"""Cart: what is wanted when, the arithmetic, the shares of SPEC §2, and attacks."""

from __future__ import annotations

from collections import Counter
from math import sqrt

import pytest

from ecomkit.agents.scripted import actions_from, play_session, run_actions
from ecomkit.core.difficulty import cart_items, difficulty, quantity_chance, variant_chance
from ecomkit.core.records import Action, Constraint, ToolCall
from ecomkit.core.seeds import rng
from ecomkit.envs.cart import QUESTION, matched_units, wanted
from ecomkit.envs.shopping import choose_clues
from ecomkit.episodes.draw import draw, draw_episode
from ecomkit.session.session import Session
from ecomkit.user import recognise


def goal(**changes):
    items = [
        {"key": "item1", "product_id": "A", "variant_id": "A-v1", "quantity": 2},
        {"key": "item2", "product_id": "B", "variant_id": None, "quantity": 1},
    ]
    items[0]["fallback"] = {"kind": "variant", "variant_id": "A-v2"}
    items[1]["fallback"] = {"kind": "product", "product_id": "C"}
    return {"items": items, "switch": None, "sell_out": None, "checkout": False, "codes": []} | (
        changes
    )


def wants_of(result):
    return [(w["product_id"], w["variant_id"], w["quantity"]) for w in result]


def test_events_change_what_is_wanted_only_once_they_fired():
    plain = [("A", "A-v1", 2), ("B", None, 1)]
    assert wants_of(wanted(goal(), {}, 9)) == plain
    switch = {"item": "item1", "field": "quantity", "value": 3, "after_step": 2}
    with_switch = goal(switch=switch)
    assert wants_of(wanted(with_switch, {}, 9)) == plain
    assert wants_of(wanted(with_switch, {"switch": 2}, 2)) == plain
    assert wants_of(wanted(with_switch, {"switch": 2}, 3)) == [("A", "A-v1", 3), ("B", None, 1)]
    sold = goal(sell_out={"item": "item1", "after_step": 1})
    assert wants_of(wanted(sold, {"sell_out": 1}, 2))[0] == ("A", "A-v2", 2)
    other = goal(sell_out={"item": "item2", "after_step": 1})
    assert wants_of(wanted(other, {"sell_out": 1}, 2))[1] == ("C", None, 1)
    skipped = goal(sell_out={"item": "item1", "after_step": 1})
    skipped["items"][0]["fallback"] = {"kind": "skip"}
    assert wants_of(wanted(skipped, {"sell_out": 1}, 2)) == [("B", None, 1)]


def test_units_are_matched_by_product_and_variant():
    wants = wanted(goal(), {}, 9)
    assert matched_units(wants, [("A", "A-v1", 2), ("B", "B-v3", 1)]) == (3, 3, 3)
    assert matched_units(wants, [("A", "A-v2", 2), ("B", "B-v3", 1)]) == (1, 3, 3)
    assert matched_units(wants, [("A", "A-v1", 5)]) == (2, 5, 3)
    assert matched_units(wants, []) == (0, 0, 3)
    # Units without a required variant may be spread over variants.
    two = [{"item": "i", "product_id": "B", "variant_id": None, "quantity": 2}]
    assert matched_units(two, [("B", "B-v1", 1), ("B", "B-v2", 1)]) == (2, 2, 2)


def test_clues_single_the_product_out_on_its_shelf(catalog):
    stream = rng("clues")
    for _ in range(60):
        category = stream.choice(catalog.categories)
        rows = catalog.rows(category=category)
        row = int(stream.choice(list(rows)))
        varying = set(catalog.variants_at(row)[0].attributes)
        clues = choose_clues(catalog, row, rows, 3, varying, stream)
        if clues is None:
            continue
        assert len({c.attribute for c in clues}) == len(clues)
        assert not varying & {c.attribute for c in clues}
        fits = [int(r) for r in rows if all(c.holds(catalog.product_at(int(r))) for c in clues)]
        assert fits == [row]


@pytest.fixture(scope="module")
def many(catalog):
    """600 drawn goals at each of five difficulties, uncertified: the shares are the generator's."""
    return {
        d: [draw("cart", d, seed, catalog, certify_episode=False).episode for seed in range(600)]
        for d in (0, 3, 6, 9, 12)
    }


def within(count, total, share):
    """Inside 3.5 standard errors of the share: a false alarm once in two thousand cells."""
    return abs(count - total * share) <= 3.5 * sqrt(total * share * (1 - share)) + 1


@pytest.mark.slow
@pytest.mark.parametrize("d", [0, 3, 6, 9, 12])
def test_the_shares_of_the_spec_come_out(d, many):
    episodes = many[d]
    items = [item for e in episodes for item in e.goal["items"]]
    assert len(items) == 600 * cart_items(d)
    assert within(sum(bool(i["variant_id"]) for i in items), len(items), variant_chance(d))
    assert within(sum(i["quantity"] > 1 for i in items), len(items), quantity_chance(d))
    slots = [s for e in episodes for s in e.user["slots"] if not s["critical"]]
    assert within(sum(not s["opening"] for s in slots), len(slots), difficulty(d).p_missing)
    axes = difficulty(d)
    assert within(sum(bool(e.goal["sell_out"]) for e in episodes), 600, axes.p_out_of_stock)
    assert within(sum(bool(e.goal["switch"]) for e in episodes), 600, axes.p_switch)
    clues = Counter(len(i["clues"]) + i["viewed"] for i in items)
    assert clues.most_common(1)[0][0] == axes.constraints
    quantities = Counter(i["quantity"] for i in items if i["quantity"] > 1)
    assert set(quantities) <= {2, 3, 4}


@pytest.mark.slow
def test_the_wanted_variant_is_uniform_over_positions(many, catalog):
    places = Counter()
    for episodes in many.values():
        for episode in episodes:
            for item in episode.goal["items"]:
                variants = catalog.variants(item["product_id"])
                if item["variant_id"] and len(variants) == 3:
                    ids = [v.variant_id for v in variants]
                    places[ids.index(item["variant_id"])] += 1
    total = sum(places.values())
    assert total > 3000
    for place in range(3):
        assert within(places[place], total, 1 / 3)


@pytest.mark.slow
def test_goals_are_distinct(many):
    for d, episodes in many.items():
        # One item of a shop of 3,000 must repeat now and then: 600 draws meet about 70 twice.
        share = 0.85 if d == 0 else 0.99
        assert len({e.goal_hash for e in episodes}) >= share * len(episodes)


def test_the_title_never_gives_the_variant_away(many_products, catalog):
    from ecomkit.core.records import contains_words

    for row in many_products:
        title = catalog.product_at(row).title
        for variant in catalog.variants_at(row):
            for value in variant.attributes.values():
                assert not contains_words(title, value), (title, value)


@pytest.fixture(scope="module")
def many_products(catalog):
    return [int(row) for category in catalog.categories for row in catalog.rows(category=category)]


def test_the_honest_question_asks_for_every_slot_kind():
    nouns = (("item1", ("desk lamp", "desk lamps")),)
    question = recognise(QUESTION.format(noun="desk lamp"), nouns)
    from ecomkit.core.records import NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES

    needed = {"title", "brand", "store", "price_cents", "rating", "rating_count", "ship_days"}
    needed |= {*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES, "viewed", "variant", "quantity", "fallback"}
    assert needed <= question.kinds


# --- attacks ------------------------------------------------------------------------------


def add(product_id, variant_id=None, quantity=1):
    arguments = {"product_id": product_id, "quantity": quantity}
    if variant_id:
        arguments["variant_id"] = variant_id
    return ToolCall("cart_add", arguments)


def test_right_then_junk_then_junk_removed_is_right(catalog):
    """The world is judged, not the path: a repaired cart passes."""
    episode = draw_episode("cart", 4, 0, catalog, axes={"p_switch": 0.0, "p_out_of_stock": 0.0})
    while episode.goal["checkout"]:
        episode = draw_episode("cart", 4, episode.seed + 1, catalog)
    actions = actions_from(episode.reference)
    extra = catalog.product_id(5)
    plan = [Action(tool_calls=(add(extra),)), *actions]
    session = run_actions(Session(episode, catalog), plan)
    assert not session.score().passed
    remove = Action(tool_calls=(ToolCall("cart_remove", {"line_id": "C1"}),))
    session = run_actions(Session(episode, catalog), [plan[0], remove, *actions])
    assert session.score().passed


def test_submitting_twice_the_quantity_and_ordering_unasked_fail(catalog):
    for seed in range(12):
        episode = draw_episode("cart", 5, seed, catalog)
        actions = actions_from(episode.reference)
        doubled = [
            Action(
                tool_calls=tuple(
                    ToolCall(c.name, {**c.arguments, "quantity": c.arguments["quantity"] * 2})
                    if c.name == "cart_add"
                    else c
                    for c in action.tool_calls
                ),
                answer=action.answer,
            )
            for action in actions
        ]
        assert not run_actions(Session(episode, catalog), doubled).score().passed


def test_talking_the_customer_into_yes_earns_nothing(catalog):
    """Asking for confirmation of an empty or wrong cart never makes it right."""
    for seed in range(10):
        episode = draw_episode("cart", 6, seed, catalog)
        session = Session(episode, catalog)
        while not session.done:
            last = session.turn == episode.max_turns - 1
            session.step(Action(answer={}) if last else "Is everything right like this?")
        assert not session.score().passed


def test_guessing_by_retrying_until_the_customer_is_content(catalog):
    """First result and first variant, asked back after each try: corrections are no oracle that
    a search engine's first page could not beat. The customer gives up after two bad turns."""
    passed = 0
    for seed in range(25):
        episode = draw_episode("cart", 6, seed, catalog)
        session = Session(episode, catalog)
        subjects = [s for s in session.disclosed if s.kind == "category"]
        tries = 0
        while not session.done:
            if session.turn == episode.max_turns - 1:
                session.step(Action(answer={}))
                break
            noun = subjects[tries % len(subjects)].value["noun"]
            search = ToolCall("catalog_search", {"query": noun, "page": 1 + tries})
            cards = session.step(Action(tool_calls=(search,))).results[0]["results"]
            if session.done or not cards or session.turn == episode.max_turns - 1:
                continue
            session.step(Action(text="Is that right?", tool_calls=(add(cards[0]["product_id"]),)))
            tries += 1
        passed += session.score().passed
    assert passed == 0


def test_positions_and_ids_tell_nothing(catalog):
    """Always the first, second or third variant of the right product: no better than chance."""
    hits = Counter()
    total = 0
    for seed in range(120):
        episode = draw("cart", 6, seed, catalog, certify_episode=False).episode
        for item in episode.goal["items"]:
            variants = catalog.variants(item["product_id"])
            if item["variant_id"] is None or len(variants) != 3:
                continue
            total += 1
            hits["own price"] += (
                next(v.price_cents for v in variants if v.variant_id == item["variant_id"])
                == catalog.product(item["product_id"]).price_cents
            )
            hits["cheapest"] += (
                min(variants, key=lambda v: v.price_cents).variant_id == (item["variant_id"])
            )
            hits["most stock"] += (
                max(variants, key=lambda v: v.stock).variant_id == (item["variant_id"])
            )
    assert total > 250
    for name, count in hits.items():
        # Prices tie now and then, so "own price" may match two of the three.
        assert count / total < 0.5, (name, count, total)


def test_the_naive_policy_dies_out(catalog):
    passed = {
        d: sum(
            play_session("naive", draw_episode("cart", d, s, catalog), catalog).score().passed
            for s in range(12)
        )
        for d in (0, 6, 9)
    }
    assert passed[6] == passed[9] == 0


def test_a_slip_never_names_another_value(catalog):
    """At d = 12 most words are mistyped, but "teal" never becomes "teak"."""
    from ecomkit.core.records import words
    from ecomkit.episodes.wording import shop_words

    known = shop_words(catalog)
    assert {"black", "cotton"} <= known
    changed = 0
    for seed in range(60):
        loud = draw("cart", 12, seed, catalog, certify_episode=False).episode
        axes = {"p_noise": 0.0}
        plain = draw("cart", 12, seed, catalog, certify_episode=False, axes=axes).episode
        for typed, meant in zip(
            words(loud.prompt[1]["content"]), words(plain.prompt[1]["content"]), strict=True
        ):
            if typed != meant:
                changed += 1
                assert typed not in known or typed.isdigit(), (meant, typed)
    assert changed > 500


def test_a_constraint_reads_back():
    for constraint in (
        Constraint("price_cents", "between", (1000, 2000)),
        Constraint("brand", "eq", "Norvik"),
        Constraint("title", "contains", "Kestrel Mini"),
    ):
        assert Constraint.from_dict(constraint.to_dict()) == constraint


def test_a_wrong_order_is_not_confirmed(catalog):
    for seed in range(60):
        episode = draw("cart", 8, seed, catalog, certify_episode=False).episode
        if episode.goal["checkout"] and not episode.goal["switch"] and not episode.world["events"]:
            break
    actions = actions_from(episode.reference)
    for quantity, act in ((0, "confirm"), (1, "continue")):
        session = Session(episode, catalog)
        for action in actions:
            made = tuple(
                ToolCall(c.name, {**c.arguments, "quantity": c.arguments["quantity"] + quantity})
                if c.name == "cart_add"
                else c
                for c in action.tool_calls
            )
            session.step(Action(tool_calls=made))
        session.step("Is that right?")
        assert session.acts[-1] == act
