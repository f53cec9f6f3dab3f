"""A ninth environment is one file and one registry line; every promise holds for it too.

The invariants are those of test_environments.py and test_axes.py, called with another name.
"""

# Fixtures of those modules are used here under their names.
# ruff: noqa: F401, F811

from __future__ import annotations

import pytest
import test_axes as axes
import test_environments as invariants
from test_axes import axis_draws, pair, same_tries
from test_environments import drawn

import ecomkit as ek
from ecomkit.core.difficulty import LEVELS
from ecomkit.envs import _INSTANCES, REGISTRY, environment
from ecomkit.episodes.audit import audit_episodes
from ecomkit.episodes.draw import draw
from ecomkit.episodes.generate import Plan, generate
from ecomkit.episodes.scenarios import Scenario, check_scenario
from ecomkit.scores.failures import LABELS

NAME = "pricecheck"


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The one line."""
    monkeypatch.setitem(REGISTRY, NAME, "ninth_environment:PriceCheck")
    yield
    _INSTANCES.pop(NAME, None)


@pytest.mark.parametrize("d", LEVELS)
def test_it_keeps_every_invariant(d, drawn, catalog):
    invariants.test_the_reference_scores_one_and_the_honest_agent_passes(NAME, d, drawn, catalog)
    invariants.test_near_misses_and_cheap_policies_fail(NAME, d, drawn, catalog)
    invariants.test_an_order_that_nobody_asked_for_fails(NAME, d, drawn, catalog)
    invariants.test_an_episode_survives_its_row(NAME, d, drawn, catalog)


def test_it_hides_its_goal_and_holds_products_out(drawn, catalog):
    invariants.test_the_prompt_never_names_what_is_hidden(NAME, drawn)
    invariants.test_train_and_test_share_no_goal(NAME, catalog)


def test_the_axes_that_concern_all_bite(axis_draws, pair, same_tries, catalog):
    for axis, where in axes.BITES.items():
        if where is axes.ALL:
            axes.test_the_axis_is_written_on_the_episode(axis, NAME, pair)
            if axis not in axes.IN_SESSION:
                axes.test_the_episodes_change(axis, NAME, pair)
    axes.test_constraints_are_requirements(NAME, pair)
    axes.test_max_turns_ends_the_session(NAME, pair, catalog)
    axes.test_tool_budget_is_enforced(NAME, pair, catalog)
    axes.test_p_missing_leaves_things_out_of_the_opening(NAME, pair)
    axes.test_p_noise_makes_typos(NAME, pair)
    axes.test_p_switch_changes_minds(NAME, pair, catalog)
    axes.test_search_depth_limits_the_pages(NAME, pair, catalog)
    axes.test_p_distractor_replaces_results(NAME, pair, catalog)
    for axis in axes.WORDS_AND_SEARCH:
        axes.test_the_task_is_the_same(axis, NAME, same_tries)
    for axis in ("max_turns", "tool_budget"):
        axes.test_the_goal_is_the_same_but_for_when_things_happen(axis, NAME, same_tries)


def test_draws_are_rarely_redrawn_and_goals_distinct(catalog):
    redraws, goals = 0, set()
    for d in (0, 6, 12):
        for seed in range(40):
            one = draw(NAME, d, seed, catalog)
            redraws += len(one.redraws)
            goals.add(one.episode.goal_hash)
    assert redraws <= 6
    assert len(goals) >= 119


def test_a_set_is_written_loaded_played_scored_and_audited(shop_folder, catalog, tmp_path):
    plan = Plan((NAME,), levels=(0, 6), train=4, test=2)
    manifest = generate(shop_folder / "catalog", tmp_path, plan)
    assert manifest["episodes"] == 12
    rows = ek.load_episodes(tmp_path, NAME, split="d06")
    for row in rows:
        good = ek.score(ek.play("honest", row, catalog), row, catalog)
        assert good.passed and good.verdict == "valid"
        bad = ek.score(ek.play("constant", row, catalog), row, catalog)
        assert not bad.passed and bad.reward < 0
    episodes = [ek.Episode.from_row(row) for row in rows]
    totals = audit_episodes(episodes, catalog)
    for (_, _, group, policy), tally in totals.items():
        if group == "solver":
            assert tally.passes == tally.attempts == tally.perfect
        elif group != "naive":
            assert tally.passes == 0, policy


def test_its_scenarios_and_its_failures_have_names(catalog):
    report = check_scenario(Scenario(NAME, catalog.departments[5]), catalog, seeds=10)
    assert report.complete and report.goals >= 9
    env = environment(NAME)
    episode = draw(NAME, 6, 0, catalog).episode
    for miss in env.near_misses(episode.goal, episode.world, episode.axes, catalog):
        session = invariants.run_actions(ek.replay(episode, catalog), miss.actions)
        found = list(env.labels(episode.goal, session, session.verdict()))
        assert found and set(found) <= set(LABELS), miss.kind
