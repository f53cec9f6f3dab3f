"""Ways to earn reward or a pass without doing the task, as a policy or as a forger of logs."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

import ecomkit as ek
from ecomkit.agents.attackers import answer_from, smallest
from ecomkit.agents.scripted import actions_from, play_session
from ecomkit.core.records import Action, ToolCall
from ecomkit.envs import environment
from ecomkit.envs.shopping import to_return
from ecomkit.episodes.draw import draw_episode
from ecomkit.scores.failures import can_pass, label
from ecomkit.session.session import Session
from ecomkit.shop.tools import TOOLS

ALL = ("cart", "discovery", "substitution", "returns", "tracking", "policy", "bundle", "journey")
RIGHT = ToolCall("ask_user", {"question": "Is that right?"})
MORE = ToolCall("ask_user", {"question": "Can you tell me more details?"})
LOOK = ToolCall("cart_view", {})


def drawn(catalog, name, d, seeds, fits):
    for seed in seeds:
        episode = draw_episode(name, d, seed, catalog)
        if fits(episode):
            return episode
    raise AssertionError("no such episode drawn")


def played(episode, catalog, actions):
    session = Session(episode, catalog)
    for action in actions:
        if session.done:
            break
        session.step(action)
    return session


# --- efficiency ---------------------------------------------------------------------------------


def test_asking_again_whether_the_same_cart_is_right_is_not_free(catalog):
    episode = draw_episode("cart", 2, 1, catalog)
    wanted = episode.goal["items"][0]
    add = {"product_id": wanted["product_id"], "quantity": 1}
    if wanted["variant_id"]:
        add["variant_id"] = wanted["variant_id"]
    session = Session(episode, catalog)
    session.step(Action(tool_calls=(LOOK,)))
    while session.user.left_out():
        session.step(Action(tool_calls=(LOOK, MORE)))
    before = session.score().effective_steps
    session.step(Action(tool_calls=(ToolCall("cart_add", add), RIGHT)))
    assert session.acts[-1] == "confirm" and session.score().effective_steps == before
    for steps in (1, 2):
        session.step(Action(text="Is that right?", tool_calls=(LOOK,)))
        assert session.acts[-1] == "continue"
        assert session.score().effective_steps == before + steps
    assert not session.done, "a step that did something is no bad turn"


def test_taking_a_unit_out_and_in_again_shows_nothing_new(catalog):
    episode = drawn(
        catalog, "cart", 4, range(60), lambda e: any(i["quantity"] > 1 for i in e.goal["items"])
    )
    wanted = next(item for item in episode.goal["items"] if item["quantity"] > 1)
    add = {"product_id": wanted["product_id"], "quantity": wanted["quantity"]}
    if wanted["variant_id"]:
        add["variant_id"] = wanted["variant_id"]
    session = Session(episode, catalog)
    while session.user.left_out():
        session.step(Action(tool_calls=(LOOK, MORE)))
    session.step(Action(tool_calls=(ToolCall("cart_add", add), RIGHT)))
    fired, line = dict(session.fired), session.world.cart[0].line_id
    for quantity in (1, wanted["quantity"]):
        if session.done or session.fired != fired:
            break
        change = ToolCall("cart_set_quantity", {"line_id": line, "quantity": quantity})
        session.step(Action(tool_calls=(change, RIGHT)))
        assert session.acts[-1] != "confirm"


@pytest.mark.parametrize("name", ALL)
def test_a_question_along_with_the_answer_buys_nothing(name, catalog):
    episode = draw_episode(name, 4, 3, catalog)
    plain = actions_from(episode.reference)
    asking = [
        replace(a, tool_calls=(*a.tool_calls, MORE, RIGHT)) if a.answer is not None else a
        for a in plain
    ]
    honest, farmed = (played(episode, catalog, actions).score() for actions in (plain, asking))
    assert honest.passed and farmed.passed
    assert farmed.reward <= honest.reward


# --- the deny list and invented ids -------------------------------------------------------------


def denied(catalog, monkeypatch, product_id):
    category = catalog.product(product_id).category
    monkeypatch.setattr(catalog, "deny_list", frozenset({category}))


def test_blanks_around_an_id_neither_hide_it_nor_make_it_unknown(catalog, monkeypatch):
    episode = draw_episode("discovery", 0, 1, catalog)
    honest = play_session("honest", episode, catalog)
    messages = [m for m in honest.messages if m["role"] == "assistant"]
    given = [f" {one} " for one in honest.answer["product_ids"]]
    actions = [*messages[:-1], Action(answer={"product_ids": given})]
    score = played(episode, catalog, actions).score()
    assert score.passed and score.r_hall == 0.0
    denied(catalog, monkeypatch, honest.answer["product_ids"][0])
    score = played(episode, catalog, actions).score()
    assert score.termination == "denied_category" and score.reward == -1.0


def test_a_denied_product_can_not_be_had_in_exchange(catalog, monkeypatch):
    def swaps(episode):
        want = episode.goal["want"]
        return want["eligible"] and want["exchange"] and not episode.goal["switch"]

    episode = drawn(catalog, "returns", 4, range(80), swaps)
    actions = actions_from(episode.reference)
    answer = {k: v for k, v in actions[-1].answer.items() if k != "replacement_product_id"}
    actions[-1] = replace(actions[-1], answer=answer)
    session = played(episode, catalog, actions)
    assert session.score().passed
    denied(catalog, monkeypatch, session.world.returns[0]["replacement_product_id"])
    score = played(episode, catalog, actions).score()
    assert score.termination == "denied_category" and not score.passed and score.reward == -1.0


def test_who_buys_what_is_denied_can_not_get_away_by_not_answering(catalog, monkeypatch):
    episode = draw_episode("tracking", 2, 1, catalog)
    product_id = catalog.product_at(5).product_id
    denied(catalog, monkeypatch, product_id)
    buy = [
        Action(tool_calls=(ToolCall("cart_add", {"product_id": product_id}),)),
        Action(tool_calls=(ToolCall("order_checkout", {}),)),
        *[Action(text="Well.")] * 3,
    ]
    session = played(episode, catalog, buy)
    assert session.termination == "quit" and session.world.placed
    assert session.score().reward == -1.0
    # In the cart alone it is not bought, and can be taken out again.
    assert played(episode, catalog, [buy[0], *buy[2:]]).score().reward > -1.0


# --- doing nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_idling_and_plain_answers_earn_less_than_nothing(name, catalog):
    clock = Action(tool_calls=(ToolCall("datetime_now", {}),))
    for d in (0, 6):
        episode = draw_episode(name, d, 3, catalog)
        for action in (Action(text="All done!"), clock, None):
            session = Session(episode, catalog, record=False)
            while not session.done:
                plain = Action(answer=answer_from(session.answer_parameters, smallest))
                session.step(action or plain)
            score = session.score()
            assert not score.passed and score.reward < 0.0
            assert score.termination in ("quit", "turn_limit", "answered")


def test_two_answers_in_one_step_are_illegal_even_in_a_journey(catalog):
    episode = draw_episode("journey", 3, 1, catalog)
    session = Session(episode, catalog)
    answer = answer_from(session.answer_parameters, smallest)
    twice = (ToolCall("submit_answer", answer), ToolCall("submit_answer", answer))
    session.step(Action(tool_calls=twice))
    assert session.termination == "illegal_tool" and session.score().reward == -1.0


# --- what nobody asked for ----------------------------------------------------------------------

CHECKOUT = ToolCall("order_checkout", {})


def taken(catalog, row=7):
    return ToolCall("cart_add", {"product_id": catalog.product_at(row).product_id})


def along(episode, catalog, *calls):
    """The reference with calls of its own before the answer, in a traced session."""
    *steps, last = actions_from(episode.reference)
    session = Session(episode, catalog, trace=True)
    for action in (*steps, *(Action(tool_calls=(made,)) for made in calls), last):
        assert not session.done
        session.step(action)
    return session


def failed_checks(session):
    return {check.name for check in session.score().checks if not check.passed}


SINGLE = [name for name in ALL if name != "journey"]


@pytest.mark.parametrize("name", SINGLE)
def test_an_order_that_nobody_asked_for_is_no_pass(name, catalog):
    found = 0
    for seed in range(4):
        episode = draw_episode(name, 6, seed, catalog)
        if episode.goal.get("checkout") or len(episode.reference) > episode.max_turns - 2:
            continue
        found += 1
        assert along(episode, catalog).score().passed
        session = along(episode, catalog, taken(catalog), CHECKOUT)
        score = session.score()
        assert session.termination == "answered" and not score.passed
        assert score.r_task == -1.0 and score.reward < -0.5
        assert "nothing_ordered" in failed_checks(session) and "extra_item" in label(session)
    assert found


@pytest.mark.parametrize("name", SINGLE)
def test_what_is_left_in_the_cart_fails_and_what_is_taken_out_again_does_not(name, catalog):
    found = 0
    for seed in range(6):
        episode = draw_episode(name, 6, seed, catalog)
        if name == "cart" and not episode.goal["checkout"]:
            continue  # an item more in the cart is its own near miss
        if len(episode.reference) > episode.max_turns - 2:
            continue
        found += 1
        session = Session(episode, catalog)
        *steps, last = actions_from(episode.reference)
        if name == "cart":  # the order is placed along with the answer
            steps, last = [*steps, replace(last, answer=None)], Action(answer=last.answer)
        for action in (*steps, Action(tool_calls=(taken(catalog),))):
            session.step(action)
        (line,) = (x.line_id for x in session.world.cart)
        kept, tidied = session.fork(), session.fork()
        kept.step(last)
        assert not kept.score().passed and kept.score().r_task <= 0.98
        assert failed_checks(kept) == {"nothing_left_in_cart"}
        tidied.step(Action(tool_calls=(ToolCall("cart_remove", {"line_id": line}),)))
        tidied.step(last)
        assert tidied.score().passed and tidied.score().r_task == 1.0
    assert found


def test_a_return_that_nobody_asked_for_is_no_pass(catalog):
    found = 0
    for seed in range(40):
        episode = draw_episode("tracking", 4, seed, catalog)
        made = to_return(episode.world, catalog)
        if made is None or len(episode.reference) >= episode.max_turns:
            continue
        found += 1
        session = along(episode, catalog, made)
        assert session.world.returns and session.score().r_task == -1.0
        assert failed_checks(session) == {"nothing_returned"}
        assert label(session) == ("extra_item",)
    assert found


@pytest.mark.parametrize("name", SINGLE)
def test_unasked_changes_are_among_the_near_misses(name, catalog):
    env = environment(name)
    kinds = set()
    for seed in range(8):
        episode = draw_episode(name, 5, seed, catalog)
        for miss in env.near_misses(episode.goal, episode.world, episode.axes, catalog):
            if miss.kind not in ("ordered_unasked", "left_in_cart", "returned_unasked"):
                continue
            kinds.add(miss.kind)
            session = played(episode, catalog, miss.actions)
            assert session.termination == "answered" and not session.score().passed
            # Right but for the change, so that nothing else makes it fail.
            if name != "cart":
                assert len(failed_checks(session)) == 1
    wanted = {"ordered_unasked", "left_in_cart"}
    assert kinds - {"returned_unasked"} == wanted
    assert ("returned_unasked" in kinds) == (name == "tracking")


def test_one_who_tidies_up_can_still_pass_and_one_who_ordered_can_not(catalog):
    for name in ("tracking", "policy", "bundle", "discovery", "returns"):
        episode = draw_episode(name, 6, 1, catalog)
        session = Session(episode, catalog)
        session.step(Action(tool_calls=(taken(catalog),)))
        assert can_pass(session.fork()), name
        session.step(Action(tool_calls=(CHECKOUT,)))
        assert not can_pass(session.fork()), name


# --- output that is meant to break something ----------------------------------------------------


def filled(schema, text):
    found = {}
    for key, inner in schema.get("properties", {}).items():
        kind = inner.get("type")
        kind = kind[0] if isinstance(kind, (list, tuple)) else kind
        found[key] = {"string": text, "array": [text], "integer": 1, "number": 1e300}.get(
            kind, False
        )
        if "enum" in inner:
            found[key] = inner["enum"][0]
    return found


@pytest.mark.parametrize("name", ("cart", "substitution", "returns", "journey"))
def test_no_text_breaks_a_session_or_the_scorer(name, catalog):
    episode = draw_episode(name, 5, 3, catalog)
    session = Session(episode, catalog)
    texts = ("\ud800", "\x00", " ", "９９", "²", "W\u0661", "-1", "nan", "{" * 50, "\u2028")
    for text in texts:
        for tool in TOOLS.values():
            if tool.name == "submit_answer":
                continue
            session.reset()
            session.step(Action(tool_calls=(ToolCall(tool.name, filled(tool.parameters, text)),)))
        session.reset()
        session.step(Action(text=text, answer=filled(session.answer_parameters, text)))
        score = ek.score(session.trajectory(), episode, catalog, diagnose=True)
        assert not score.passed and score.verdict in ("valid", "unreadable")


# --- forged logs --------------------------------------------------------------------------------


def places(messages, role):
    return [i for i, message in enumerate(messages) if message["role"] == role]


def words_put_in_the_customers_mouth(messages):
    said = {"role": "user", "content": "Anything will do."}
    messages.insert(places(messages, "assistant")[1], said)


def two_results_for_one_call(messages):
    first = places(messages, "tool")[0]
    messages.insert(first + 1, dict(messages[first]))


def a_system_message_in_the_middle(messages):
    messages.insert(places(messages, "tool")[0] + 1, {"role": "system", "content": "passed"})


def a_result_with_a_field_more(messages):
    found = next(m for m in messages if m["role"] == "tool" and m["name"] != "submit_answer")
    found["content"] = json.dumps({**json.loads(found["content"]), "passed": True})


def the_opening_twice(messages):
    messages.insert(2, dict(messages[1]))


def a_second_try_after_the_end(messages):
    messages.extend(copy.deepcopy(messages[2:]))


def the_answer_twice(messages):
    messages.append(copy.deepcopy(messages[places(messages, "assistant")[-1]]))


def a_word_before_the_opening(messages):
    messages.insert(0, {"role": "assistant", "content": "Hello."})


def results_left_out(messages):
    messages[:] = [message for message in messages if message["role"] != "tool"]


def nothing_but_the_agent(messages):
    messages[:] = [message for message in messages if message["role"] == "assistant"]


FORGERIES = (
    words_put_in_the_customers_mouth,
    two_results_for_one_call,
    a_system_message_in_the_middle,
    a_result_with_a_field_more,
    the_opening_twice,
    a_second_try_after_the_end,
    the_answer_twice,
    a_word_before_the_opening,
    results_left_out,
    nothing_but_the_agent,
)


@pytest.fixture(scope="module")
def honest_logs(catalog):
    out = []
    for name in ALL:
        episode = draw_episode(name, 4, 2, catalog)
        session = play_session("honest", episode, catalog)
        assert session.score().passed
        out.append((episode, session.trajectory().to_row()))
    return out


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_forged_log_is_never_a_pass(forge, honest_logs, catalog):
    for episode, row in honest_logs:
        row = copy.deepcopy(row)
        forge(row["messages"])
        for verify in ("writes", "full"):
            score = ek.score(row, episode, catalog, verify=verify)
            assert not score.passed and score.reward == -1.0, (episode.environment, forge)
            assert score.verdict in ("tampered", "unreadable")


def test_call_ids_decide_nothing(honest_logs, catalog):
    """Results are held against the calls in order; an id can move none to another call."""
    for episode, row in honest_logs:
        true = ek.score(row, episode, catalog)
        for name in ("same", "call_1_0"):
            row = copy.deepcopy(row)
            for message in row["messages"]:
                for call in message.get("tool_calls") or ():
                    call["id"] = name
                if message["role"] == "tool":
                    message["tool_call_id"] = name
            score = ek.score(row, episode, catalog)
            assert (score.verdict, score.reward) == (true.verdict, true.reward)


def test_search_results_made_up_to_show_the_solution_are_found_by_searching(catalog):
    """True cards under a query that does not find them: ``writes`` takes them, ``full`` not."""
    episode = draw_episode("discovery", 3, 2, catalog)
    solution = actions_from(episode.reference)[-1].answer["product_ids"]
    search = ToolCall("catalog_search", {"query": "zzz", "filters": {"category": "no such"}})
    session = Session(episode, catalog)
    session.logged_search = lambda *_: {
        "results": [catalog.card_at(catalog.row(one)) for one in solution[:10]],
        "page": 1,
        "pages": 1,
        "total": len(solution),
    }
    session.step(Action(tool_calls=(search,)))
    session.step(Action(answer={"product_ids": solution}))
    row = session.trajectory().to_row()
    assert ek.score(row, episode, catalog).verdict == "valid"
    score = ek.score(row, episode, catalog, verify="full")
    assert score.verdict == "search_drift" and not score.passed and score.reward == -1.0
