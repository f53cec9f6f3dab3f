"""What ranked lists share: requirements that leave the right number, and lists that only fit."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ecomkit.agents.scripted import run_actions, run_policy
from ecomkit.core.records import Action, Constraint, Product
from ecomkit.core.seeds import rng
from ecomkit.envs.base import AgentView, Policy, call
from ecomkit.envs.recommending import (
    ITEM,
    QUESTION,
    changed_requirement,
    choose_requirements,
    feasible_rows,
    listing_plan,
    met_share,
    met_shares,
    pool_range,
    violators,
)
from ecomkit.envs.shopping import clues_of, filters_for, known
from ecomkit.episodes.draw import draw
from ecomkit.session.session import Session

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """30,000 products with search: about a hundred in each category."""
    from ecomkit.catalog import open_catalog, synthesize, synthetic_manifest, write_catalog
    from ecomkit.data.loading import load_catalog
    from ecomkit.shop.search import build_embeddings, build_index

    folder = tmp_path_factory.mktemp("large")
    write_catalog(synthesize(30_000, 3), folder / "catalog", synthetic_manifest(30_000, 3))
    build_embeddings(open_catalog(folder / "catalog"), folder / "embeddings")
    build_index(folder / "embeddings")
    return load_catalog(folder / "catalog")


def test_requirements_leave_as_many_as_asked(plain_catalog: Catalog) -> None:
    made = 0
    for seed in range(120):
        row = rng("row", seed).below(len(plain_catalog))
        low, high = (1, 3) if seed % 2 else (2, 4)
        chosen = choose_requirements(plain_catalog, row, 4, low, high, 0.3, rng("need", seed))
        if chosen is None:
            continue
        made += 1
        product = plain_catalog.product_at(row)
        rows = feasible_rows(plain_catalog, product.category, tuple(chosen))
        assert row in rows and low <= len(rows) <= high
        assert all(constraint.holds(product) for constraint in chosen)
        attributes = [constraint.attribute for constraint in chosen]
        assert len(set(attributes)) == len(attributes) <= 4 and attributes[-1] == "price_cents"
    assert made > 40


def test_changed_requirement_changes_one(plain_catalog: Catalog) -> None:
    seen = 0
    for seed in range(60):
        row = rng("row", seed).below(len(plain_catalog))
        chosen = choose_requirements(plain_catalog, row, 3, 1, 4, 0.4, rng("need", seed))
        if chosen is None:
            continue
        category = plain_catalog.product_at(row).category
        fixed = frozenset({chosen[0].attribute})
        for new in changed_requirement(
            plain_catalog, category, chosen, 4, 0.4, rng("change", seed), fixed
        ):
            differ = [(a, b) for a, b in zip(chosen, new, strict=True) if a != b]
            assert len(differ) == 1 and differ[0][0].attribute == differ[0][1].attribute
            assert differ[0][0].attribute not in fixed
            assert 1 <= len(feasible_rows(plain_catalog, category, tuple(new))) <= 4
            seen += 1
    assert seen > 20


def test_violators_miss_one_requirement(plain_catalog: Catalog) -> None:
    row = 5
    category = plain_catalog.product_at(row).category
    chosen = choose_requirements(plain_catalog, row, 3, 1, 6, 0.5, rng("violate"))
    assert chosen is not None
    for constraint, product_id in violators(plain_catalog, category, chosen):
        at = np.array([plain_catalog.row(product_id)])
        missed = [c for c in chosen if not plain_catalog.mask(at, [c])[0]]
        assert missed == [constraint]


def test_small_shelves_have_no_pool() -> None:
    assert pool_range(8, 3, 3, 0, 1, rng("x")) is None
    assert pool_range(8, 7, 3, 0, 2, rng("x")) is None
    for attempt in (0, 10, 30):
        for seed in range(20):
            low, high = pool_range(18, 60, 3, attempt, 1, rng("r", seed)) or (0, 0)
            assert 1 <= low <= high <= 15


def filtered(view: AgentView, by_price: bool) -> Policy:
    """An attacker that asks and filters well, and ranks by nothing, or by the price alone."""
    facts = known(view, ITEM)
    question = QUESTION.format(**facts["category"])
    yield Action(tool_calls=(call("ask_user", question=question), call("datetime_now")))
    cards: list[Any] = []
    for page in range(1, min(4, view.max_turns - 1)):
        facts = known(view, ITEM)
        filters = filters_for(facts["category"]["value"], clues_of(facts))
        made = call("catalog_search", query=facts["category"]["noun"], filters=filters, page=page)
        seen = yield Action(tool_calls=(made,))
        cards += [
            c for c in seen.results[0]["results"] if c["category"] == facts["category"]["value"]
        ]
    if by_price:
        cards.sort(key=lambda card: card["price_cents"])
    places = known(view, "")["count"]["count"]
    yield Action(answer={"product_ids": [card["product_id"] for card in cards[:places]]})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["discovery", "substitution"])
def test_a_list_that_merely_fits_misses_the_mark(large: Catalog, name: str) -> None:
    module = import_module(f"ecomkit.envs.{name}")
    tried = passed = 0
    for d in (0, 1, 2, 6):
        for seed in range(40):
            task = draw(name, d, seed, large, certify_episode=False).episode
            pool = list(module.final_gains(large, task.goal))
            places = min(task.goal["outputs"], len(pool))
            if len(pool) <= 2 * places:
                continue
            ids = rng("random list", d, seed).sample(pool, places)
            session = Session(task, large)
            run_actions(session, listing_plan(ids, task.axes, module.last_event(task.goal)))
            tried += 1
            passed += session.score().passed
    assert tried >= 40 and passed <= 0.05 * tried


@pytest.mark.slow
@pytest.mark.parametrize("name", ["discovery", "substitution"])
def test_filters_without_ranking_fail_mostly(large: Catalog, name: str) -> None:
    passes = {False: 0, True: 0}
    for seed in range(40):
        task = draw(name, 6, seed, large, certify_episode=False).episode
        for by_price in passes:
            session = Session(task, large)
            run_policy(session, filtered(session, by_price))
            passes[by_price] += session.score().passed
    assert passes[False] <= 14 and passes[True] <= 20


def test_shares_of_a_list_are_those_of_each_product(catalog: Catalog) -> None:
    home = catalog.product_at(0)
    requirements = [
        Constraint("price_cents", "le", home.price_cents),
        Constraint("rating", "ge", home.rating),
        Constraint("brand", "eq", home.brand),
    ]
    rows = [*catalog.rows(category=home.category)[:8].tolist(), len(catalog) - 1]
    products: list[Product | None] = [catalog.product_at(row) for row in rows]
    products.insert(3, None)
    found = met_shares(catalog, products, home.category, requirements)
    assert found == [met_share(catalog, one, home.category, requirements) for one in products]
    expected = [
        sum(bool(catalog.mask(np.array([catalog.row(p.product_id)]), [c])[0]) for c in requirements)
        / 3
        if p is not None and p.category == home.category
        else 0.0
        for p in products
    ]
    assert found == expected and found[0] == 1.0 and found[3] == 0.0
    assert met_shares(catalog, [], home.category, requirements) == []
