"""Every axis bites where SPEC §2 says so, and an axis set alone leaves the rest still.

The table below is SPEC §2's last column, written down once. Each of its cells is tested by drawing
the same seeds at two values of one axis, far apart, and looking at the episodes or at what an agent
observes. Environments come from the registry; one that the table does not name (a ninth) is held to
the axes that concern all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import ecomkit as ek
from ecomkit.agents.scripted import actions_from, play_session, run_actions
from ecomkit.core.difficulty import AXIS_NAMES, difficulty
from ecomkit.core.errors import DrawFailed
from ecomkit.core.records import Action
from ecomkit.envs import REGISTRY, environment
from ecomkit.envs.base import call
from ecomkit.episodes.draw import draw
from ecomkit.episodes.generate import Plan, ablation, generate
from ecomkit.session.session import Session

pytestmark = pytest.mark.slow

ALL = None
BITES: dict[str, tuple[str, ...] | None] = {
    "constraints": ("discovery", "substitution", "returns", "bundle", "cart"),
    "outputs": ("discovery", "substitution"),
    "max_turns": ALL,
    "p_missing": ALL,
    "p_noise": ALL,
    "p_switch": ALL,
    "search_depth": ALL,
    "p_distractor": ALL,
    "p_out_of_stock": ("discovery", "substitution", "cart", "bundle", "returns"),
    "order_history": ("returns", "tracking", "journey"),
    "policy_clauses": ("policy", "returns"),
    "tool_budget": ALL,
}
FAR_APART: dict[str, tuple[float, float]] = {
    "constraints": (2, 6),
    "outputs": (1, 7),
    "max_turns": (6, 12),
    "p_missing": (0.0, 0.8),
    "p_noise": (0.0, 0.125),
    "p_switch": (0.0, 1.0),
    "search_depth": (20, 200),
    "p_distractor": (0.0, 0.4),
    "p_out_of_stock": (0.0, 1.0),
    "order_history": (1, 7),
    "policy_clauses": (1, 5),
    "tool_budget": (3, 7),
}
LEVEL = 6
LEVELS = {"outputs": 0}
"""Where another level than 6 is drawn: at d = 0 few requirements leave many products to list."""
SEEDS = range(6)

CELLS = [
    (axis, name)
    for axis, where in BITES.items()
    for name in REGISTRY
    if where is ALL or name in where
]


def cells_of(axis):
    return [name for bites, name in CELLS if bites == axis]


def level(axis):
    return LEVELS.get(axis, LEVEL)


@pytest.fixture(scope="module")
def axis_draws(catalog):
    """Uncertified draws of all seeds with one axis set."""

    @cache
    def get(name, axis, value):
        return [
            draw(name, level(axis), seed, catalog, axes={axis: value}, certify_episode=False)
            for seed in SEEDS
        ]

    return get


@pytest.fixture(scope="module")
def pair(axis_draws):
    """The episodes at the low and at the high value of an axis."""
    return lambda axis, name: tuple(
        [one.episode for one in axis_draws(name, axis, value)] for value in FAR_APART[axis]
    )


@pytest.fixture(scope="module")
def same_tries(axis_draws):
    """(low, high) for each seed that met as many dead ends at both; an ablation set pairs these."""

    def get(axis, name):
        low, high = (axis_draws(name, axis, value) for value in FAR_APART[axis])
        pairs = [
            (a.episode, b.episode)
            for a, b in zip(low, high, strict=True)
            if len(a.redraws) == len(b.redraws)
        ]
        assert len(pairs) >= len(SEEDS) - 2
        return pairs

    return get


def test_the_table_names_every_axis():
    assert tuple(BITES) == tuple(FAR_APART) == AXIS_NAMES
    for axis, values in FAR_APART.items():
        for value in values:
            difficulty(level(axis), **{axis: value})


# --- each cell bites -----------------------------------------------------------------------


def content(episode):
    """All of an episode but its name and the axes written on it."""
    row = episode.to_row()
    for column in ("episode_id", "axes", "tool_budget", "max_turns"):
        del row[column]
    row["world"] = {k: v for k, v in episode.world.items() if k != "key"}
    return json.dumps(row, sort_keys=True)


@pytest.mark.parametrize(("axis", "name"), CELLS)
def test_the_axis_is_written_on_the_episode(axis, name, pair):
    for low, high in zip(*pair(axis, name), strict=True):
        values = difficulty(level(axis)).to_dict()
        for episode, value in ((low, FAR_APART[axis][0]), (high, FAR_APART[axis][1])):
            assert episode.axes.to_dict() == {**values, axis: value}
        assert low.episode_id != high.episode_id


# What the shop's search shows depends on these in the session, not in the episode.
IN_SESSION = ("search_depth", "p_distractor")


@pytest.mark.parametrize(("axis", "name"), [c for c in CELLS if c[0] not in IN_SESSION])
def test_the_episodes_change(axis, name, pair):
    lows, highs = pair(axis, name)
    changed = sum(content(a) != content(b) for a, b in zip(lows, highs, strict=True))
    assert changed >= len(SEEDS) // 2, f"{axis} changes {changed} of {len(SEEDS)} episodes"


def requirements(episode):
    """How many requirements on products the customer has, over all they might say."""
    return sum(
        isinstance(slot["value"], dict) and "op" in slot["value"] and slot["kind"] != "category"
        for slot in episode.user["slots"]
    )


@pytest.mark.parametrize("name", cells_of("constraints"))
def test_constraints_are_requirements(name, pair):
    lows, highs = pair("constraints", name)
    assert sum(map(requirements, lows)) + 2 < sum(map(requirements, highs))


@pytest.mark.parametrize("name", cells_of("outputs"))
def test_outputs_are_products_to_recommend(name, pair):
    def recommended(episode):
        answer = actions_from(episode.reference)[-1].answer
        return max(len(value) for value in answer.values() if isinstance(value, list))

    lows, highs = pair("outputs", name)
    low, high = FAR_APART["outputs"]
    assert all(recommended(episode) <= low for episode in lows)
    assert all(recommended(episode) <= high for episode in highs)
    assert sum(map(recommended, lows)) < sum(map(recommended, highs))


@pytest.mark.parametrize("name", cells_of("max_turns"))
def test_max_turns_ends_the_session(name, pair, catalog):
    for low, high in zip(*pair("max_turns", name), strict=True):
        assert low.max_turns < high.max_turns
        assert f"at most {high.max_turns} turns" in high.prompt[0]["content"]
        steps = []
        for episode in (low, high):
            session = Session(episode, catalog, record=False)
            while not session.done:
                session.step(Action(tool_calls=(call("datetime_now"),)))
            assert session.termination == "turn_limit"
            steps.append(session.steps)
        assert steps == [low.max_turns, high.max_turns]


@pytest.mark.parametrize("name", cells_of("tool_budget"))
def test_tool_budget_is_enforced(name, pair, catalog):
    for value, episodes in zip(FAR_APART["tool_budget"], pair("tool_budget", name), strict=True):
        for episode in episodes[:2]:
            assert episode.tool_budget == value
            assert f"{value} tool call" in episode.prompt[0]["content"]
            session = Session(episode, catalog, record=False)
            session.step(Action(tool_calls=(call("datetime_now"),) * value))
            assert not session.done
            session.step(Action(tool_calls=(call("datetime_now"),) * (value + 1)))
            assert session.termination == "illegal_tool"


@pytest.mark.parametrize("name", cells_of("p_missing"))
def test_p_missing_leaves_things_out_of_the_opening(name, pair):
    lows, highs = pair("p_missing", name)
    left_out = [
        sum(not slot["opening"] for episode in side for slot in episode.user["slots"])
        for side in (lows, highs)
    ]
    assert left_out[0] == 0 < left_out[1]
    openings = [[e.prompt[1]["content"] for e in side] for side in (lows, highs)]
    assert sum(a != b for a, b in zip(*openings, strict=True)) >= len(SEEDS) // 2
    assert sum(map(len, openings[0])) > sum(map(len, openings[1]))


@pytest.mark.parametrize("name", cells_of("p_noise"))
def test_p_noise_makes_typos(name, pair):
    for low, high in zip(*pair("p_noise", name), strict=True):
        before = [low.prompt[1]["content"], *(s["statement"] for s in low.user["slots"])]
        after = [high.prompt[1]["content"], *(s["statement"] for s in high.user["slots"])]
        assert before != after
        for clean, mistyped in zip(before, after, strict=True):
            assert abs(len(clean.split()) - len(mistyped.split())) <= len(clean.split()) // 4 + 1


@pytest.mark.parametrize("name", cells_of("p_switch"))
def test_p_switch_changes_minds(name, pair, catalog):
    lows, highs = pair("p_switch", name)
    assert all(episode.user["switch"] is None for episode in lows)
    switched = [episode for episode in highs if episode.user["switch"]]
    assert len(switched) >= len(SEEDS) // 2
    for episode in switched:
        session = run_actions(Session(episode, catalog), actions_from(episode.reference))
        assert session.fired["switch"] == episode.user["switch"]["after_step"]
        assert "elaborate" in session.acts
        assert episode.user["switch"]["text"] in json.dumps(session.messages, ensure_ascii=False)


def search(episode, catalog, page=1):
    """The ids that one search in a session of the episode shows."""
    noun = catalog.nouns(catalog.categories_of(episode.department)[0])[0]
    seen = Session(episode, catalog, record=False).step(
        Action(tool_calls=(call("catalog_search", query=noun, page=page),))
    )
    return [card["product_id"] for card in seen.results[0].get("results", ())]


@pytest.mark.parametrize("name", cells_of("search_depth"))
def test_search_depth_limits_the_pages(name, pair, catalog):
    for low, high in zip(*pair("search_depth", name), strict=True):
        # The stand-ins that distract are drawn from what the whole list leaves over.
        first = [[*search(e, catalog, 1), *search(e, catalog, 2)] for e in (low, high)]
        assert sum(a == b for a, b in zip(*first, strict=True)) >= 10
        assert search(low, catalog, 3) == []
        assert len(search(high, catalog, 3)) == len(search(high, catalog, 20)) == 10
        assert search(high, catalog, 21) == []


@pytest.mark.parametrize("name", cells_of("p_distractor"))
def test_p_distractor_replaces_results(name, pair, catalog):
    kept = total = 0
    for low, high in zip(*pair("p_distractor", name), strict=True):
        clean = search(low, catalog)
        kept += sum(a == b for a, b in zip(clean, search(high, catalog), strict=True))
        total += len(clean)
    assert 0.4 * total <= kept <= 0.8 * total


@pytest.mark.parametrize("name", cells_of("p_out_of_stock"))
def test_p_out_of_stock_sells_things_out(name, pair, catalog):
    lows, highs = pair("p_out_of_stock", name)

    def sell_outs(episode):
        return [e for e in episode.world.get("events", ()) if e["kind"] == "sell_out"]

    assert not any(map(sell_outs, lows))
    selling = [episode for episode in highs if sell_outs(episode)]
    assert len(selling) >= (1 if name == "returns" else len(SEEDS) // 2)
    for episode in selling:
        session = run_actions(Session(episode, catalog), actions_from(episode.reference))
        for event in sell_outs(episode):
            assert session.fired["sell_out"] >= 1
            assert all(session.world.stock(variant) == 0 for variant in event["variant_ids"])


@pytest.mark.parametrize("name", cells_of("order_history"))
def test_order_history_is_the_number_of_orders(name, pair, catalog):
    for value, episodes in zip(
        FAR_APART["order_history"], pair("order_history", name), strict=True
    ):
        for episode in episodes:
            seen = Session(episode, catalog).step(Action(tool_calls=(call("order_list"),)))
            assert len(seen.results[0]["orders"]) == value


@pytest.mark.parametrize("name", cells_of("policy_clauses"))
def test_policy_clauses_change_what_is_asked(name, pair):
    lows, highs = pair("policy_clauses", name)
    goals = [[json.dumps(e.goal, sort_keys=True) for e in side] for side in (lows, highs)]
    assert sum(a != b for a, b in zip(*goals, strict=True)) >= len(SEEDS) // 2
    if name == "policy":  # for returns see test_returns.py, which counts what decides
        for value, side in zip(FAR_APART["policy_clauses"], (lows, highs), strict=True):
            assert {len(episode.goal["turns_on"]) for episode in side} == {value}


# --- and the rest stays still ----------------------------------------------------------------

WORDS_AND_SEARCH = ("p_missing", "p_noise", "search_depth", "p_distractor")
"""Axes of what the customer says and of what the shop finds: the task is the same at any value."""


def without(value, *names):
    """A copy of a JSON value without the keys ``names``, at any depth."""
    if isinstance(value, dict):
        return {k: without(v, *names) for k, v in value.items() if k not in names}
    if isinstance(value, (list, tuple)):
        return [without(v, *names) for v in value]
    return value


def said(slot, *ignore):
    return {k: v for k, v in slot.items() if k not in ("statement", "correction", *ignore)}


@pytest.mark.parametrize("name", list(REGISTRY))
@pytest.mark.parametrize("axis", WORDS_AND_SEARCH)
def test_the_task_is_the_same(axis, name, same_tries):
    for low, high in same_tries(axis, name):
        assert low.goal == high.goal and low.goal_hash == high.goal_hash
        assert low.reference == high.reference and low.par_turns == high.par_turns
        assert without(low.world, "key") == without(high.world, "key")
        assert low.prompt[0] == high.prompt[0]
        ignore = {"p_missing": ("opening",)}.get(axis, ())
        assert [said(s, *ignore) for s in low.user["slots"]] == [
            said(s, *ignore) for s in high.user["slots"]
        ]
        if axis != "p_noise":
            assert [s["statement"] for s in low.user["slots"]] == [
                s["statement"] for s in high.user["slots"]
            ]
            # The opening of an intent that interrupts leaves things out, as any opening does.
            opening = ("text",) if axis == "p_missing" else ()
            assert without(low.user["switch"], *opening) == without(high.user["switch"], *opening)
        if axis in IN_SESSION:
            assert content(low) == content(high)


@pytest.mark.parametrize("name", list(REGISTRY))
@pytest.mark.parametrize("axis", ["max_turns", "tool_budget"])
def test_the_goal_is_the_same_but_for_when_things_happen(axis, name, same_tries):
    for low, high in same_tries(axis, name):
        timing = ("switch", "sell_out", "after_step")
        assert without(low.goal, *timing) == without(high.goal, *timing)
        assert low.department == high.department


@pytest.mark.parametrize("name", list(REGISTRY))
@pytest.mark.parametrize(
    ("axis", "happens"),
    [("p_switch", lambda e: e.user["switch"]), ("p_out_of_stock", lambda e: e.world.get("events"))],
)
def test_what_does_not_happen_changes_nothing(axis, happens, name, catalog):
    """Where a chance comes to nothing, the customer wants the same as with no chance at all.

    (Where it comes true, the goal may be another one: not every goal allows for a change of mind
    or a sell-out.)
    """
    chance = 0.3
    if name not in cells_of(axis):
        pytest.skip("SPEC §2 does not name it")
    compared = 0
    for seed in range(12):
        never, maybe = (
            draw(name, LEVEL, seed, catalog, axes={axis: value}, certify_episode=False)
            for value in (0.0, chance)
        )
        if happens(maybe.episode) or maybe.redraws != never.redraws:
            continue
        compared += 1
        without_fallbacks = [without(one.episode.goal, "fallback") for one in (never, maybe)]
        assert without_fallbacks[0] == without_fallbacks[1]
    assert compared >= 4


@pytest.mark.parametrize("name", list(REGISTRY))
def test_an_axis_set_alone_gives_sound_episodes(name, catalog):
    """What SPEC §2 has at d = 3 and d = 9 can be set alone at d = 6; what it has at the ends too,
    but for the turns and calls that a task of d = 6 cannot do without, and that is said."""
    for axis in AXIS_NAMES:
        for d in (3, 9, 0, 12):
            value = getattr(difficulty(d), axis)
            try:
                assert draw(name, LEVEL, 1, catalog, axes={axis: value}).certificate.sound
            except DrawFailed as error:
                assert d == 0 and axis in ("max_turns", "tool_budget")
                assert f"{axis} = {value}" in str(error)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_no_sell_out_and_no_switch_means_none_happens(name, catalog):
    still = {"p_switch": 0.0, "p_out_of_stock": 0.0}
    for seed in SEEDS:
        episode = draw(name, 12, seed, catalog, axes=still, certify_episode=False).episode
        session = play_session("honest", episode, catalog, record=False)
        assert not session.fired, session.fired
        assert environment(name).max_turns(episode.goal, episode.axes) == episode.max_turns


# --- ablation sets ---------------------------------------------------------------------------


def test_an_ablation_pairs_its_sets(shop_folder, tmp_path):
    """A seed that is not sound at one value is drawn again at every value."""
    plan = Plan(("cart", "tracking"), levels=(LEVEL,), train=8)
    plans = ablation(plan, "max_turns", [4, 9])
    assert list(plans) == ["max_turns-4", "max_turns-9"]
    rows = {}
    for name, part in plans.items():
        manifest = generate(shop_folder / "catalog", tmp_path / name, part)
        rows[name] = {
            (row["environment"], row["seed"]): row
            for env in plan.environments
            for row in ek.load_episodes(tmp_path / name, env, split="d06")
        }
        assert manifest["episodes"] == len(rows[name]) == 16
        if name == "max_turns-9":
            reasons = set().union(*(cell["redraws"] for cell in manifest["audit"].values()))
            assert any(reason.startswith("paired:") for reason in reasons)
    low, high = rows.values()
    assert low.keys() == high.keys()
    for key, row in low.items():
        other = high[key]
        assert row["goal_hash"] == other["goal_hash"] and row["reference"] == other["reference"]
        assert row["user"] == other["user"] and row["prompt"][1] == other["prompt"][1]
        assert (row["max_turns"], other["max_turns"]) == (4, 9)
        assert {**row["axes"], "max_turns": 9} == other["axes"]
        assert row["episode_id"] != other["episode_id"]


def test_an_ablation_keeps_preset_and_other_axes():
    plan = Plan(("cart",), train=1, preset="flash_sale", axes=(("outputs", 4), ("p_noise", 0.1)))
    for value, part in zip((0.0, 0.06), ablation(plan, "p_noise", [0, 0.06]).values(), strict=True):
        part.check()
        assert part.preset == "flash_sale"
        assert dict(part.axes) == {"outputs": 4, "p_noise": value}
        assert len(part.paired) == 2


@pytest.mark.parametrize(
    ("axis", "values", "told"),
    [
        ("tool_budget", [2, 2.5], "whole number from 1 to 1000, got 2.5"),
        ("tool_budget", [0], "whole number from 1"),
        ("max_turns", [float("inf")], "whole number"),
        ("p_noise", [float("nan")], r"in \[0, 1\]"),
        ("p_noise", [1.5], r"in \[0, 1\], got 1.5"),
        ("p_noise", [0.1, 0.1], "different values, got 0.1, 0.1"),
        ("p_noise", [], "got none"),
    ],
)
def test_wrong_values_of_an_ablation_are_told(axis, values, told):
    with pytest.raises(ValueError, match=told):
        ablation(Plan(("cart",)), axis, values)


def test_the_command_tells_wrong_values_without_a_traceback(tmp_path):
    script = Path(__file__).parents[1] / "scripts" / "generate_episodes.py"
    start = [sys.executable, str(script), "--catalog", str(tmp_path), "--out", str(tmp_path)]
    for arguments, told in (
        (["--axis", "tool_budget", "--values", "2.5"], "whole number"),
        (["--axis", "p_noise"], "go together"),
        (["--axis", "noise", "--values", "1"], "invalid choice"),
        (["--difficulties", "13"], "0 to 12"),
    ):
        done = subprocess.run([*start, *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert told in done.stderr and "Traceback" not in done.stderr


def test_the_command_writes_a_set_for_each_value(shop_folder, tmp_path):
    script = Path(__file__).parents[1] / "scripts" / "generate_episodes.py"
    command = [sys.executable, str(script), "--catalog", str(shop_folder / "catalog")]
    command += ["--environments", "tracking", "--difficulties", "2", "--train", "5"]
    command += ["--axis", "p_noise", "--values", "0", "0.12", "--workers", "1"]
    done = subprocess.run([*command, "--out", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "5 of 5 episodes have the same goal in all 2 sets" in done.stdout
    sets = [
        ek.load_episodes(tmp_path / f"p_noise-{value}", "tracking", split="d02")
        for value in ("0", "0.12")
    ]
    assert sets[0]["goal"] == sets[1]["goal"]
    assert sets[0]["prompt"] != sets[1]["prompt"]
