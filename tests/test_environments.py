"""Every invariant of SPEC §9 for every environment and difficulty, from the registry alone.

A ninth environment is picked up here with no new test.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from ecomkit.agents.scripted import CHEAP_POLICIES, actions_from, play_session, run_actions
from ecomkit.core.difficulty import LEVELS
from ecomkit.core.records import EPISODE_COLUMNS, Episode
from ecomkit.core.seeds import digest
from ecomkit.envs import REGISTRY, environment
from ecomkit.envs.base import call
from ecomkit.envs.shopping import to_buy, with_writes
from ecomkit.episodes.draw import certify, draw
from ecomkit.session.session import Session

# The ends and the middle stand in for all thirteen where time is short.
CELLS = [
    pytest.param(name, d, marks=() if d in (0, 6, 12) else pytest.mark.slow)
    for name in REGISTRY
    for d in LEVELS
]
GOLDEN = Path(__file__).parent / "data" / "golden.json"
SEEDS = 4


@pytest.fixture(scope="module")
def drawn(catalog):
    """Certified draws by cell, made once."""
    cache = {}

    def get(name, d):
        if (name, d) not in cache:
            cache[name, d] = [draw(name, d, seed, catalog) for seed in range(SEEDS)]
        return cache[name, d]

    return get


@pytest.mark.parametrize(("name", "d"), CELLS)
def test_the_reference_scores_one_and_the_honest_agent_passes(name, d, drawn, catalog):
    for one in drawn(name, d):
        episode = one.episode
        session = run_actions(Session(episode, catalog), actions_from(episode.reference))
        score = session.score()
        assert score.passed and score.r_task == 1.0
        assert score.r_hall == 0.0, "the reference uses ids that nothing has shown"
        assert score.steps == episode.par_turns <= episode.max_turns
        honest = play_session("honest", episode, catalog).score()
        assert honest.passed
        assert honest.r_hall == 0.0
        assert honest.steps == episode.honest_turns <= episode.max_turns


@pytest.mark.parametrize(("name", "d"), CELLS)
def test_an_order_that_nobody_asked_for_fails(name, d, drawn, catalog):
    for one in drawn(name, d):
        episode = one.episode
        if "orders" in environment(name).may_change and episode.goal.get("checkout"):
            continue
        buy = to_buy(episode.world, catalog)
        right = actions_from(episode.reference)
        actions = with_writes(right, [buy, call("order_checkout")], episode.tool_budget)
        session = run_actions(Session(episode, catalog, record=False), actions)
        assert session.world.placed and not session.score().passed


@pytest.mark.parametrize(("name", "d"), CELLS)
def test_near_misses_and_cheap_policies_fail(name, d, drawn, catalog):
    env = environment(name)
    draws = drawn(name, d)
    for index, one in enumerate(draws):
        episode = one.episode
        kinds = Counter()
        for miss in env.near_misses(episode.goal, episode.world, episode.axes, catalog):
            session = run_actions(Session(episode, catalog), miss.actions)
            assert not session.score().passed, f"{miss.kind} passes {episode.episode_id}"
            kinds[miss.kind] += 1
        assert len(kinds) >= 2
        for policy in CHEAP_POLICIES:
            neighbour = draws[index - 1].episode
            session = play_session(policy, episode, catalog, neighbour=neighbour)
            assert session.done
            if policy in ("empty", "talk_only"):
                assert not session.score().passed


@pytest.mark.parametrize(("name", "d"), CELLS)
def test_an_episode_survives_its_row(name, d, drawn, catalog):
    episode = drawn(name, d)[0].episode
    row = json.loads(json.dumps(episode.to_row()))
    assert tuple(row) == EPISODE_COLUMNS
    again = Episode.from_row(row)
    assert again.to_row() == episode.to_row()
    assert certify(again, catalog).sound
    text = "".join(message["content"] for message in episode.prompt)
    assert "{" not in text and "}" not in text, "a placeholder was left in"


@pytest.mark.parametrize("name", list(REGISTRY))
def test_the_prompt_never_names_what_is_hidden(name, drawn):
    for d in (0, 6, 12):
        for one in drawn(name, d):
            visible = json.dumps([list(one.episode.prompt), list(one.episode.tools)])
            for key in ("product_id", "variant_id"):
                for hidden in _values(one.episode.goal, key):
                    assert hidden not in visible


def _values(value, key):
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key and isinstance(inner, str):
                yield inner
            else:
                yield from _values(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, key)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_train_and_test_share_no_goal(name, catalog):
    goals = {
        split: {
            draw(name, d, seed, catalog, split=split, certify_episode=False).episode.goal_hash
            for d in (0, 4, 8)
            for seed in range(30)
        }
        for split in ("train", "test")
    }
    assert not goals["train"] & goals["test"]
    assert len(goals["train"]) >= 88


@pytest.mark.parametrize(("name", "d"), CELLS)
def test_drift_forces_a_new_generator_version(name, d, drawn):
    """The digest of each cell's first episodes, as recorded when the version was set.

    If this fails on purpose, raise GENERATOR_VERSION and run tests/make_golden.py.
    """
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    key = f"{name}/d{d:02d}"
    assert digest([one.episode.to_row() for one in drawn(name, d)], 24) == golden["digests"][key]
