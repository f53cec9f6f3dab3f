"""Failure labels and the decisive step: every rule, on trajectories made by code."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

import ecomkit as ek
from ecomkit.agents.attackers import ATTACKERS
from ecomkit.agents.scripted import AGENTS, actions_from, play, run_actions, run_policy
from ecomkit.core.records import Action, ToolCall
from ecomkit.envs import REGISTRY, environment
from ecomkit.episodes.draw import draw
from ecomkit.scores import failures
from ecomkit.scores.failures import (
    HABITS,
    LABELS,
    can_pass,
    diagnose,
    explain,
    first_decisive_step,
    label,
)
from ecomkit.session.session import Session

SPEC_12 = """
    format_error illegal_tool hallucinated_id wrong_product wrong_variant wrong_quantity
    missing_item extra_item constraint_violated out_of_stock_recommended poor_ranking
    budget_exceeded wrong_discount not_checked_out wrong_order wrong_order_line
    ineligible_return_initiated eligible_return_refused replacement_missing wrong_status
    wrong_policy_value never_asked_omitted_slot ignored_correction ignored_change_of_mind
    claimed_unavailable_but_seen stale_after_sellout answer_contradicts_world looped_calls
    premature_answer turn_limit user_quit intent_dropped infra_error
""".split()


def _script():
    """The benchmark, which plants the faults."""
    path = Path(__file__).parents[1] / "scripts" / "bench_labels.py"
    spec = importlib.util.spec_from_file_location("bench_labels", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_labels"] = module
    spec.loader.exec_module(module)
    return module


bench = _script()


@pytest.fixture(scope="module")
def planted(catalog):
    """``(base, fault)`` of planted faults, over all environments and difficulties."""
    pool = []
    for name in REGISTRY:
        for d in range(0, 13, 2):
            for seed in range(3 if name == "cart" else 1):
                episode = draw(name, d, seed, catalog, certify_episode=False).episode
                for which, base in enumerate(bench.bases(episode, catalog)):
                    rng = bench.rng("test", name, d, seed, which)
                    for fault in bench.faults(base, rng, with_near_misses=which == 0):
                        pool.append((base, fault))
    return pool


def traced(episode, catalog, actions=()):
    return bench.play(Session(episode, catalog, record=False, trace=True), actions)


# --- the list -------------------------------------------------------------------------------


def test_the_labels_are_those_of_the_specification():
    assert list(LABELS) == SPEC_12
    for name, entry in LABELS.items():
        assert entry.name == name and len(entry.rule) > 20 and entry.rule.endswith(".")
        assert set(entry.environments) <= set(REGISTRY)
        assert entry.rule in " ".join(explain(name))
    assert len({entry.rule for entry in LABELS.values()}) == len(LABELS)


@pytest.mark.parametrize("name", list(LABELS))
def test_a_shortest_trajectory_has_it_and_a_near_one_has_not(name, planted, catalog):
    having = sorted(
        (pair for pair in planted if name in pair[1].must), key=lambda p: len(p[1].actions)
    )
    assert having, f"nothing is planted for {name}"
    for base, fault in having[:4]:
        found = label(traced(base.episode, catalog, fault.actions))
        if name in found:
            break
    assert name in found, (name, fault.kind, found)
    where = LABELS[name].environments
    assert not where or base.episode.environment in (*where, "journey")
    # Near it: the same episode with the fewest other steps, first of all the passing ones.
    others = [
        (other.actions, other.kind)
        for same, other in planted
        if same.episode is base.episode and name not in other.must | other.may
    ]
    others.append((base.actions, "no fault"))

    def distance(actions):
        steps = sum(a != b for a, b in zip(actions, fault.actions, strict=False))
        return steps + abs(len(actions) - len(fault.actions))

    others.sort(key=lambda pair: distance(pair[0]))
    for actions, kind in others[:3]:
        assert name not in label(traced(base.episode, catalog, actions)), (fault.kind, kind)


@pytest.mark.parametrize("name", list(REGISTRY))
def test_labels_find_planted_faults_and_nothing_else(name, catalog):
    tally, counts = bench.measure(catalog, [name], 150, seed=50)
    assert counts[name] >= 150
    for entry, count, _, recall in tally.table():
        # Few of some kinds are planted here; the benchmark measures the shares.
        assert recall >= 0.95 or tally.missed[entry] <= 1, (entry, count, dict(tally.wrong))
        assert tally.false[entry] <= max(1, count // 20), (entry, count, dict(tally.wrong))
    assert tally.steps["wrong"] == 0, dict(tally.wrong)


# --- every failure has one, no pass has one ---------------------------------------------------


def sessions(name, catalog, levels=(0, 5, 10)):
    """Sessions of every scripted agent, attacker and near miss."""
    env = environment(name)
    for d in levels:
        episode = draw(name, d, 3, catalog, certify_episode=False).episode
        neighbour = draw(name, d, 4, catalog, certify_episode=False).episode
        plays = {
            "reference": lambda s, e=episode: run_actions(s, actions_from(e.reference)),
            "neighbour": lambda s, e=neighbour: run_actions(s, actions_from(e.reference)),
            "honest": lambda s: run_policy(s, env.honest(s)),
            "naive": lambda s: run_policy(s, env.naive(s)),
            "everything": lambda s: run_policy(s, env.flood(s)),
            "constant": lambda s: run_actions(s, env.constant(catalog)),
            "empty": lambda s: run_actions(s, [Action(answer={})]),
            "talk_only": lambda s: run_actions(s, [Action(text="Hello!")] * s.max_turns),
        }
        assert set(plays) == set(AGENTS)
        for kind, attacker in ATTACKERS.items():
            plays[kind] = lambda s, a=attacker, n=neighbour: a(s, [n])
        for kind, policy in env.attackers().items():
            plays[kind] = lambda s, p=policy: run_policy(s, p(s))
        misses = env.near_misses(episode.goal, episode.world, episode.axes, catalog)
        for number, miss in enumerate(misses):
            plays[f"{miss.kind} {number}"] = lambda s, m=miss: run_actions(s, m.actions)
        for kind, run in plays.items():
            session = traced(episode, catalog)
            run(session)
            yield kind, session


@pytest.mark.parametrize("name", list(REGISTRY))
def test_every_failure_has_a_label_and_no_pass_has_one(name, catalog):
    passes = failures = 0
    for kind, session in sessions(name, catalog):
        found = diagnose(session)
        assert list(found.labels) == [x for x in LABELS if x in found.labels]
        if session.score().passed:
            passes += 1
            assert set(found.labels) <= HABITS and found.first_decisive_step is None, kind
            continue
        failures += 1
        assert set(found.labels) - HABITS, kind
        if name != "journey":
            for entry in found.labels:
                where = LABELS[entry].environments
                assert not where or name in where, (entry, kind)
        step = found.first_decisive_step
        if session.done:
            assert step is not None and 1 <= step <= session.steps
    assert passes >= 5 and failures >= 20


# --- the decisive step --------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(REGISTRY))
def test_the_decisive_step_is_the_first_of_all_that_are_lost(name, catalog):
    """By bisection as by looking at every step; and once lost stays lost."""
    early = 0
    for number, (kind, session) in enumerate(sessions(name, catalog, levels=(4, 9))):
        if session.score().passed or (number > 25 and number % 4):
            continue
        alive = [can_pass(step.before.fork()) for step in session.trace]
        alive.append(not session.done and can_pass(session.fork()))
        assert alive == sorted(alive, reverse=True), kind
        expected = None if alive[-1] else alive.index(False)
        assert first_decisive_step(session) == expected, kind
        early += expected is not None and expected < session.steps
    if name in ("cart", "returns", "journey"):
        assert early, "something is done that cannot be undone"


@pytest.mark.parametrize("name", list(REGISTRY))
def test_what_led_to_a_pass_was_never_lost(name, catalog):
    for d in (0, 3, 6, 9, 12):
        episode = draw(name, d, 7, catalog, certify_episode=False).episode
        for base in bench.bases(episode, catalog):
            assert base.session.score().passed
            for step in base.session.trace:
                assert can_pass(step.before.fork()), (episode.episode_id, step.before.steps)
            # From the very start the same agent passes too, not only the stored reference.
            fresh = base.session.trace[0].before.fork()
            while not fresh.done:
                plan = environment(name).recover(episode.goal, fresh)
                assert plan
                fresh.step(plan[0])
            assert fresh.score().passed


def test_the_step_of_a_wrong_order_is_decisive(catalog):
    """The order cannot be taken back, so that what comes after it changes nothing."""
    axes = {"p_switch": 0.0, "p_out_of_stock": 0.0}
    for seed in range(60):
        one = draw("cart", 6, seed, catalog, axes=axes, certify_episode=False)
        episode = one.episode
        if episode.goal["checkout"] and episode.max_turns > episode.par_turns + 2:
            break
    actions = actions_from(episode.reference)
    for place, action in enumerate(actions):
        adds = [made for made in action.tool_calls if made.name == "cart_add"]
        if adds:
            more = {**adds[0].arguments, "quantity": adds[0].arguments.get("quantity", 1) + 1}
            calls = [
                ToolCall("cart_add", more) if made is adds[0] else made
                for made in action.tool_calls
            ]
            actions[place] = Action(action.text, tuple(calls), None)
            break
    *most, last = actions
    ordered = len(actions)
    late = Action(tool_calls=(ToolCall("order_list", {}),))
    session = traced(episode, catalog, [*most, Action("", last.tool_calls), late, last_word()])
    found = diagnose(session)
    assert session.termination == "answered" and session.steps == ordered + 2
    assert "wrong_quantity" in found.labels and found.first_decisive_step == ordered


def last_word():
    return Action(answer={"message": "All done."})


def test_a_log_that_stops_in_time_has_no_decisive_step(catalog):
    episode = draw("tracking", 3, 1, catalog, certify_episode=False).episode
    session = traced(episode, catalog, [Action(tool_calls=(ToolCall("order_list", {}),))])
    found = diagnose(session)
    assert found.labels == ("infra_error",) and found.first_decisive_step is None


@pytest.mark.parametrize("name", list(REGISTRY))
def test_the_stored_reference_serves_where_an_environment_recovers_nothing(
    name, catalog, monkeypatch
):
    """The default of a new environment: the reference as it is, with the turns that are left."""
    monkeypatch.setattr(type(environment(name)), "recover", lambda self, goal, state: None)
    episode = draw(name, 2, 5, catalog, certify_episode=False).episode
    session = traced(episode, catalog, [Action(text="Hello.", answer=None)])
    assert can_pass(session.fork()) or session.max_turns < episode.par_turns + 1
    session = traced(episode, catalog, [Action(text="Hm."), Action(text="Well.")])
    assert session.termination == "quit" and 1 <= first_decisive_step(session) <= 2


# --- what is claimed in words -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("Sorry, the lamp is out of stock.", True),
        ("I could not find the second one.", True),
        ("We don't carry that any more. Anything else?", True),
        ("It's no longer available, I'm afraid!", True),
        ("What should I do if it is sold out?", False),
        ("Is the blue one sold out?", False),
        ("If it is sold out I'll take the other one.", False),
        ("Everything is in stock.", False),
        ("Here are your three picks.", False),
    ],
)
def test_claims_that_something_cannot_be_had(text, claim):
    assert failures._claims(failures._UNAVAILABLE, text) is claim


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("Your order is placed.", True),
        ("Done! I placed the order for you.", True),
        ("The order has been placed. Thanks!", True),
        ("I have not placed the order.", False),
        ("Once the order is placed you get a mail.", False),
        ("Shall the order be placed?", False),
        ("All done.", False),
    ],
)
def test_claims_that_an_order_was_placed(text, claim):
    assert failures._claims(failures._ORDER_PLACED, text) is claim


JUNK = ("\ud800", "", "W" * 200, "\x00", "🙂", "-1", "NaN")


@pytest.mark.parametrize("name", list(REGISTRY))
def test_hostile_answers_and_calls_are_diagnosed(name, catalog):
    """Whatever passes the schemas is judged; nothing an agent says can stop the run."""
    env = environment(name)
    for d in (0, 7):
        episode = draw(name, d, 6, catalog, certify_episode=False).episode
        for number in range(40):
            rng = bench.rng("junk", name, d, number)
            session = traced(episode, catalog)
            run_actions(session, actions_from(episode.reference)[: rng.below(4)])
            while not session.done:
                part = session.part.environment if session.part else env
                answer = {}
                for key, schema in part.answer_parameters["properties"].items():
                    kind = schema.get("type")
                    if kind == "array":
                        answer[key] = [rng.choice(JUNK) for _ in range(rng.below(4))]
                    elif kind == "boolean":
                        answer[key] = rng.chance(0.5)
                    elif kind == "number":
                        answer[key] = rng.choice((0, -1.5, 10**17, 1e300))
                    else:
                        answer[key] = rng.choice(schema.get("enum", JUNK))
                writes = ToolCall("cart_add", {"product_id": rng.choice(JUNK) or "x"})
                calls = (writes,) if rng.chance(0.3) else ()
                session.step(Action(rng.choice(JUNK), calls, answer))
            found = diagnose(session)
            if not session.score().passed:
                assert found.labels and found.first_decisive_step


# --- tracing and forks --------------------------------------------------------------------------


def test_only_a_traced_session_can_be_diagnosed(catalog):
    episode = draw("tracking", 0, 0, catalog, certify_episode=False).episode
    with pytest.raises(ValueError, match="trace=True"):
        diagnose(Session(episode, catalog))


@pytest.mark.parametrize("name", list(REGISTRY))
def test_tracing_and_forking_change_nothing(name, catalog):
    episode = draw(name, 8, 2, catalog, certify_episode=False).episode
    actions = actions_from(episode.reference)
    plain = run_actions(Session(episode, catalog), actions)
    session = traced(episode, catalog)
    for action in actions:
        # A fork that goes wild leaves the session as it was, whatever it does.
        before = session.world.digest(), sorted(session.stated), len(session.trace)
        wild = session.fork()
        wild.step(Action(text="What is your price range? Is that right?"))
        if not wild.done:
            wild.step(Action(tool_calls=(ToolCall("cart_view", {}),)))
        assert (session.world.digest(), sorted(session.stated), len(session.trace)) == before
        twin = session.fork()
        twin.step(action)
        session.step(action)
        assert twin.world.digest() == session.world.digest()
        assert twin.acts == session.acts and twin.fired == session.fired
    assert session.score() == plain.score() and twin.score() == plain.score()


def test_scoring_fills_in_labels_and_step(catalog):
    episode = draw("cart", 6, 2, catalog, certify_episode=False).episode
    failed = play("naive", episode, catalog)
    scored = ek.score(failed, episode, catalog, diagnose=True)
    session = traced(episode, catalog)
    run_policy(session, environment("cart").naive(session))
    found = diagnose(session)
    assert not scored.passed and scored.labels == found.labels
    assert scored.first_decisive_step == found.first_decisive_step
    bare = ek.score(failed, episode, catalog)
    assert bare.labels == () and bare.first_decisive_step is None and bare.reward == scored.reward
    honest = ek.score(play("honest", episode, catalog), episode, catalog, diagnose=True)
    assert honest.passed and not set(honest.labels) - HABITS
    assert honest.first_decisive_step is None
