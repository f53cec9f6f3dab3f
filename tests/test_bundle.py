"""Bundle: projects, requirements, the budget, what is left out, and what a list earns."""

from __future__ import annotations

import pytest

from ecomkit.agents.scripted import play_session, run_actions
from ecomkit.catalog.taxonomy import load_taxonomy
from ecomkit.core.difficulty import LEVELS, difficulty
from ecomkit.core.errors import DrawFailed
from ecomkit.core.records import Action
from ecomkit.envs import environment
from ecomkit.envs.base import call
from ecomkit.envs.bundle import (
    ITEM_SAYS,
    PROJECT_SAYS,
    budget_slack,
    item_count,
    load_projects,
    projects_of,
    requirements_of,
    round_amount,
    shelf,
    wanted,
)
from ecomkit.episodes.draw import draw
from ecomkit.session.session import Session

BUNDLE = environment("bundle")


@pytest.fixture(scope="module")
def episodes(catalog):
    cache = {}

    def get(d, **options):
        key = (d, tuple(sorted(options.items())))
        if key not in cache:
            axes = options or None
            cache[key] = [draw("bundle", d, seed, catalog, axes=axes).episode for seed in range(8)]
        return cache[key]

    return get


def answer(episode, catalog, ids, wait=3):
    """The score of an answer given after ``wait`` steps that do nothing."""
    session = Session(episode, catalog)
    for _ in range(wait):
        session.step(Action(tool_calls=(call("cart_view"),)))
    session.step(Action(answer={"product_ids": ids}))
    return session.score()


# --- projects --------------------------------------------------------------------------------


def test_projects_are_many_and_made_of_categories_that_exist():
    taxonomy = load_taxonomy()
    projects = load_projects()
    assert len(projects) >= 25
    for name, project in projects.items():
        assert len(set(project["items"])) == len(project["items"]) >= 12, name
        missing = [item for item in project["items"] if item not in taxonomy.categories]
        assert not missing, f"{name}: {missing}"
        assert not project["doing"].endswith(".")
    assert len({project["doing"] for project in projects.values()}) == len(projects)


def test_every_department_has_a_project():
    taxonomy = load_taxonomy()
    used = {item for project in load_projects().values() for item in project["items"]}
    departments = {taxonomy.categories[item].department for item in used}
    assert departments == {category.department for category in taxonomy.categories.values()}


def test_a_scenario_holds_something_of_its_department(catalog):
    for department in catalog.departments[::9]:
        episode = draw("bundle", 6, 0, catalog, department=department).episode
        own = set(catalog.categories_of(department))
        assert any(item["category"] in own for item in episode.goal["items"])
        assert episode.department == department


def test_a_shop_with_few_categories_says_so():
    small = type("Shop", (), {})()
    small.categories, small.departments, small.deny_list = ("a", "b"), ("x",), frozenset()
    small.rows = lambda category: range(50)
    small.categories_of = lambda department: ("a", "b")
    small.noun = lambda category: category
    assert projects_of(small) == ()
    assert "12 categories" in BUNDLE.available(small)


def test_a_foreign_shop_is_a_project_of_what_it_has():
    names = tuple(f"shelf {n}" for n in range(15))
    shop = type("Shop", (), {})()
    shop.categories, shop.departments, shop.deny_list = names, ("all",), frozenset({"shelf 3"})
    shop.rows = lambda category: range(2 if category == "shelf 5" else 9)
    shop.categories_of = lambda department: names
    shop.label = lambda department: "Things"
    shop.noun = lambda category: "item" if category == "shelf 7" else category
    (name, doing, items), (whole, _, _) = projects_of(shop)
    assert name == "department:all" and doing == "stocking up on things" and whole == "shop"
    assert len(items) == 12 and not {"shelf 3", "shelf 5", "shelf 7"} & set(items)


def test_what_is_not_available_is_not_drawn(catalog, monkeypatch):
    monkeypatch.setattr(type(BUNDLE), "available", lambda self, catalog: "no shelves")
    with pytest.raises(DrawFailed, match="bundle is not available on this catalog: no shelves"):
        draw("bundle", 3, 0, catalog)


# --- the goal --------------------------------------------------------------------------------


@pytest.mark.parametrize("d", LEVELS)
def test_goal_is_as_the_axes_say(d, episodes, catalog):
    for episode in episodes(d):
        items = episode.goal["items"]
        assert len(items) == item_count(d) == 3 + d // 2
        assert len({item["category"] for item in items}) == len(items)
        requirements = [c for item in items for c in item["requirements"]]
        assert len(requirements) == difficulty(d).constraints
        assert episode.goal["budget_cents"] % 100 == 0


@pytest.mark.parametrize("d", [0, 6, 12])
def test_saving_alone_does_not_do(d, episodes, catalog):
    """The cheapest of a category never meets what is required of it."""
    for episode in episodes(d):
        for item in episode.goal["items"]:
            for constraint in requirements_of(item):
                first = shelf(catalog, item["category"], ())[0][1]
                assert not constraint.holds(catalog.product_at(first)) or (
                    len(item["requirements"]) == 2
                )


@pytest.mark.parametrize("d", [0, 4, 8, 12])
def test_budget_can_be_met_and_is_no_wider_than_it_should_be(d, episodes, catalog):
    for episode in episodes(d):
        for fired in ({}, {"switch": 0}):
            want = wanted(episode.goal, fired, 1)
            shelves = [shelf(catalog, i["category"], requirements_of(i)) for i in want["items"]]
            low = sum(fits[0][0] for fits in shelves)
            assert low <= want["budget_cents"] < sum(fits[-1][0] for fits in shelves)
        if not episode.goal["switch"] and not episode.goal["sell_out"]:
            middle = sum(fits[len(fits) // 2][0] for fits in shelves)
            room = (middle - low) * budget_slack(d) * 1.25
            assert want["budget_cents"] <= low + room + 100


def test_slack_shrinks():
    slack = [budget_slack(d) for d in LEVELS]
    assert slack == sorted(slack, reverse=True) and slack[0] == 0.8 and slack[-1] < 0.05


@pytest.mark.parametrize(
    ("low", "high", "amount"),
    [(9_100, 12_000, 10_000), (12_300, 12_800, 12_500), (12_310, 12_340, 12_400), (500, 700, 500)],
)
def test_amounts_are_round(low, high, amount):
    assert round_amount(low, high) == amount


def test_train_and_test_share_no_set_of_things(catalog):
    sets = {
        split: {
            tuple(sorted(item["category"] for item in draw(
                "bundle", d, seed, catalog, split=split, certify_episode=False
            ).episode.goal["items"]))
            for d in (0, 6, 12)
            for seed in range(40)
        }
        for split in ("train", "test")
    }  # fmt: skip
    assert not sets["train"] & sets["test"]


# --- what is said ----------------------------------------------------------------------------


def test_the_project_alone_never_tells_the_list(catalog):
    left_out = 0
    for seed in range(40):
        episode = draw("bundle", 9, seed, catalog, certify_episode=False).episode
        slots = episode.user["slots"]
        opening = {slot["key"] for slot in slots if slot["opening"]}
        assert "project" in opening and "item1.category" in opening
        for slot in slots:
            if slot["key"] in opening and slot["subject"]:
                assert f"{slot['subject']}.category" in opening, "said of a thing not named"
        named = sum(key.endswith(".category") for key in opening)
        left_out += len(episode.goal["items"]) - named
    assert left_out > 40 * 3


def test_one_question_draws_out_the_whole_list(episodes, catalog):
    for episode in episodes(12, p_switch=0.0):
        session = Session(episode, catalog)
        session.step("Which items do you need, and what is your total budget?")
        stated = session.stated
        assert all(f"{item['key']}.category" in stated for item in episode.goal["items"])
        assert "budget" in stated
        assert session.acts == ["clarify"]


def test_there_are_enough_ways_to_say_it():
    assert len(set(PROJECT_SAYS)) >= 8 and len(set(ITEM_SAYS)) >= 8


# --- the verifier ----------------------------------------------------------------------------


@pytest.fixture
def solved(episodes, catalog):
    """An episode at d = 4 in which nothing happens, with the products of its reference."""
    episode = episodes(4, p_switch=0.0, p_out_of_stock=0.0)[0]
    return episode, list(episode.reference["actions"][-1]["answer"]["product_ids"])


def test_right_answer_in_any_order_and_twice_over(solved, catalog):
    episode, ids = solved
    for given in (ids, ids[::-1], [*ids, ids[0]], [f" {ids[0]} ", *ids[1:]]):
        score = answer(episode, catalog, given)
        assert score.passed and score.r_task == 1.0


def test_figures_of_wrong_answers(solved, catalog):
    episode, ids = solved
    n = len(ids)
    assert answer(episode, catalog, ids[1:]).r_task == pytest.approx(
        2 * (2 * (n - 1) / (2 * n - 1)) - 1
    )
    unknown = answer(episode, catalog, [*ids, "ZZZZZZZZZZ"])
    assert unknown.r_task == pytest.approx(2 * (2 * n / (2 * n + 1)) - 1) and not unknown.passed
    assert answer(episode, catalog, []).r_task == -1.0


def test_overspending_costs_its_share(solved, catalog):
    episode, ids = solved
    items, budget = episode.goal["items"], episode.goal["budget_cents"]
    dear = [shelf(catalog, i["category"], requirements_of(i))[-1] for i in items]
    total = sum(price for price, _ in dear)
    score = answer(episode, catalog, [catalog.product_id(row) for _, row in dear])
    assert total > budget and not score.passed
    assert score.r_task == pytest.approx(1.0 - min(1.0, (total - budget) / budget))
    assert [c.name for c in score.checks if not c.passed] == ["within_budget"]


def test_spam_never_pays(solved, catalog):
    """Every product of every category that is needed: all there, and worth next to nothing."""
    episode, ids = solved
    everything = [
        catalog.product_id(int(row))
        for item in episode.goal["items"]
        for row in catalog.rows(category=item["category"])
    ]
    assert answer(episode, catalog, everything[:100]).r_task <= -0.8


def test_a_hundred_hostile_answers(solved, catalog):
    episode, ids = solved
    for given in (["\x00"] * 3, ["é"], [" "], ["x" * 200] * 100):
        assert not answer(episode, catalog, given).passed


def test_sold_out_and_stale_choices_fail(episodes, catalog):
    for episode in episodes(8, p_out_of_stock=1.0, p_switch=1.0):
        assert episode.goal["sell_out"] and episode.goal["switch"]
        kinds = {
            miss.kind
            for miss in BUNDLE.near_misses(episode.goal, episode.world, episode.axes, catalog)
        }
        assert "sold_out_item" in kinds
        honest = play_session("honest", episode, catalog)
        assert honest.score().passed


def test_before_the_change_of_mind_the_first_wish_counts(episodes, catalog):
    for episode in episodes(6, p_switch=1.0, p_out_of_stock=0.0):
        first = {**episode.goal, "switch": None}
        ids = BUNDLE._best(first, catalog)
        session = run_actions(Session(episode, catalog), [Action(answer={"product_ids": ids})])
        assert session.verdict().passed


def test_naive_policy_dies_out(episodes, catalog):
    passed = {
        d: sum(play_session("naive", e, catalog).score().passed for e in episodes(d))
        for d in (6, 9, 12)
    }
    assert not any(passed.values())


def test_distinct_goals(catalog):
    for d in (0, 12):
        goals = {
            draw("bundle", d, seed, catalog, certify_episode=False).episode.goal_hash
            for seed in range(150)
        }
        assert len(goals) == 150
