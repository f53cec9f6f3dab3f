"""The session: order of events in a step, budgets, hard failures, replies, shaping."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import ecomkit as ek
from ecomkit.agents.scripted import actions_from, play_session, run_actions
from ecomkit.core.errors import CatalogError, EpisodeError, SessionOver
from ecomkit.core.records import Action, ToolCall
from ecomkit.episodes.draw import draw_episode
from ecomkit.session.session import Session


@pytest.fixture(scope="module")
def easy(catalog):
    return draw_episode("cart", 0, 0, catalog)


@pytest.fixture(scope="module")
def hard(catalog):
    return draw_episode("cart", 9, 0, catalog)


def calls(*names, **arguments):
    return Action(tool_calls=tuple(ToolCall(name, arguments) for name in names))


def test_reset_gives_the_opening_and_the_tools(easy, catalog):
    session = ek.replay(easy, catalog)
    observation = session.reset()
    assert [m["role"] for m in observation.messages] == ["system", "user"]
    assert observation.turn == 0 and not observation.done
    names = [tool["function"]["name"] for tool in observation.tools]
    assert names[-1] == "submit_answer" and "cart_add" in names


def test_a_session_starts_over_the_same(hard, catalog):
    session = Session(hard, catalog)
    actions = actions_from(hard.reference)
    first = run_actions(session, actions).messages
    session.reset()
    assert run_actions(session, actions).messages == first
    assert session.score().passed


def test_messages_are_valid_chat(hard, catalog):
    for agent in ("reference", "honest", "naive", "everything", "talk_only"):
        messages = play_session(agent, hard, catalog).messages
        open_calls = []
        for message in messages:
            if message["role"] == "tool":
                assert message["tool_call_id"] == open_calls.pop(0)
                json.loads(message["content"])
                continue
            assert not open_calls, "a call has no result"
            open_calls = [made["id"] for made in message.get("tool_calls", ())]
        roles = [m["role"] for m in messages]
        assert all(a != b or a in ("tool",) for a, b in zip(roles, roles[1:], strict=False))


@pytest.mark.parametrize(
    ("action", "termination"),
    [
        ("", "format_error"),
        ("{broken", "format_error"),
        ({"role": "assistant", "content": None}, "format_error"),
        (Action(tool_calls=(ToolCall("no_such_tool", {}),)), "illegal_tool"),
        (Action(tool_calls=(ToolCall("cart_add", {}),)), "illegal_tool"),
        (Action(tool_calls=(ToolCall("cart_add", {"product_id": 5}),)), "illegal_tool"),
        (
            Action(tool_calls=(ToolCall("cart_add", {"product_id": "A", "quantity": -1}),)),
            "illegal_tool",
        ),
        (
            Action(tool_calls=(ToolCall("cart_add", {"product_id": "A", "extra": 1}),)),
            "illegal_tool",
        ),
        (Action(tool_calls=(ToolCall("cart_view", {}), ToolCall("cart_view", {}))), "illegal_tool"),
        (Action(answer={"unknown_field": 1}), "illegal_tool"),
        (Action(tool_calls=(ToolCall("submit_answer", {}),), answer={}), "illegal_tool"),
    ],
)
def test_hard_failures_end_the_episode_at_any_step(action, termination, easy, catalog):
    for before in ([], [calls("cart_view")], [calls("cart_view"), Action(text="Which color?")]):
        session = run_actions(Session(easy, catalog), before)
        observation = session.step(action)
        assert observation.done
        assert observation.reward == -1.0
        assert session.termination == termination
        assert session.message
        with pytest.raises(SessionOver):
            session.step(calls("cart_view"))


def test_nothing_of_an_illegal_step_is_run(easy, catalog):
    product = easy.goal["items"][0]["product_id"]
    session = Session(easy, catalog)
    session.step(
        Action(tool_calls=(ToolCall("cart_add", {"product_id": product}), ToolCall("nope", {})))
    )
    assert session.world.cart == []


def test_questions_and_the_answer_use_up_no_budget(easy, catalog):
    assert easy.tool_budget == 1
    session = Session(easy, catalog)
    asks = tuple(ToolCall("ask_user", {"question": "Which brand?"}) for _ in range(3))
    observation = session.step(Action(tool_calls=(*asks, ToolCall("cart_view", {}))))
    assert not observation.done
    assert len(observation.results) == 4


def test_a_refusal_costs_only_the_turn(easy, catalog):
    session = Session(easy, catalog)
    for arguments in (
        {"product_id": "NO-SUCH"},
        {"product_id": "\x00\ud800"},
        {"product_id": "x" * 150},
    ):
        observation = session.step(Action(tool_calls=(ToolCall("cart_add", arguments),)))
        assert not observation.done
        assert observation.results[0]["error"] == "unknown_product"
        json.dumps(observation.messages).encode("utf-8")


def test_dotted_names_are_accepted(easy, catalog):
    session = Session(easy, catalog)
    observation = session.step({"tool_calls": [{"name": "cart.view", "args": {}}]})
    assert not observation.done
    assert observation.results[0]["lines"] == []


def test_the_turn_limit_ends_without_credit(easy, catalog):
    session = Session(easy, catalog)
    for _ in range(easy.max_turns):
        observation = session.step(calls("cart_view"))
    assert observation.done and session.termination == "turn_limit"
    assert session.score().r_task == -1.0 and not session.score().passed


def test_the_customer_gives_up_after_two_bad_turns(hard, catalog):
    session = Session(hard, catalog)
    assert not session.step("I am on it.").done
    observation = session.step("Still on it.")
    assert observation.done and session.termination == "quit"
    assert observation.messages[-1]["role"] == "user"


def test_working_between_two_idle_messages_keeps_the_customer(hard, catalog):
    session = Session(hard, catalog)
    session.step("I am on it.")
    session.step(calls("cart_view"))
    assert not session.step("Still on it.").done


def test_a_question_about_a_slot_left_out_is_free_and_only_once(catalog):
    episode = draw_episode("cart", 6, 1, catalog, axes={"p_missing": 0.999999, "p_switch": 0.0})
    session = Session(episode, catalog)
    slot = next(s for s in session.user.left_out() if s.kind in ("title", "brand", "color"))
    noun = episode.user["nouns"][slot.subject][0]
    ask = {"title": "What is the {} called?", "brand": "Which brand should the {} be?"}.get(
        slot.kind, "Which color should the {} be?"
    )
    first = session.step(ask.format(noun))
    assert session.acts[-1] == "clarify" and slot.key in session.stated
    assert first.messages[-1]["role"] == "user"
    session.step(calls("cart_view"))
    session.step(ask.format(noun))
    assert session.acts[-1] == "continue"


def test_a_wrong_cart_is_corrected_and_a_right_one_confirmed(catalog):
    episode = draw_episode("cart", 2, 3, catalog, axes={"p_switch": 0.0, "p_out_of_stock": 0.0})
    item = episode.goal["items"][0]
    wrong = next(
        catalog.product_id(int(row))
        for row in catalog.rows(category=item["category"])
        if catalog.product_id(int(row)) != item["product_id"]
    )
    session = Session(episode, catalog)
    session.step(Action(tool_calls=(ToolCall("cart_add", {"product_id": wrong}),)))
    session.step("Does this look right?")
    assert session.acts[-1] == "correct"
    session = Session(episode, catalog)
    arguments = {"product_id": item["product_id"], "quantity": item["quantity"]}
    if item["variant_id"]:
        arguments["variant_id"] = item["variant_id"]
    session.step(Action(tool_calls=(ToolCall("cart_add", arguments),)))
    session.step("Does this look right?")
    assert session.acts[-1] == "confirm"


def test_a_change_of_mind_arrives_and_is_recorded(catalog):
    for seed in range(40):
        episode = draw_episode("cart", 8, seed, catalog, certify_episode=False)
        if episode.goal["switch"]:
            break
    session = Session(episode, catalog)
    after = episode.goal["switch"]["after_step"]
    for _ in range(after):
        observation = session.step(calls("cart_view"))
    assert session.fired["switch"] == after
    assert session.acts[-1] == "elaborate"
    assert observation.messages[-1]["role"] == "user"
    slot = next(s for s in session.disclosed if s.key == episode.user["switch"]["slot"])
    assert slot.value == episode.user["switch"]["value"]


def test_a_sell_out_shows_in_stock_and_refuses_the_sale(catalog):
    for seed in range(60):
        episode = draw_episode("cart", 8, seed, catalog, certify_episode=False)
        if episode.goal["sell_out"]:
            break
    sold = episode.goal["sell_out"]
    item = next(i for i in episode.goal["items"] if i["key"] == sold["item"])
    session = Session(episode, catalog)
    look = Action(
        tool_calls=(ToolCall("catalog_get_variants", {"product_id": item["product_id"]}),)
    )
    before = session.step(look).results[0]["variants"]
    for _ in range(sold["after_step"]):
        after = session.step(look).results[0]["variants"]
    gone = [v["variant_id"] for v in after if v["stock"] == 0]
    assert gone and not [v for v in before if v["stock"] == 0]
    buy = {"product_id": item["product_id"], "variant_id": gone[0]}
    result = session.step(Action(tool_calls=(ToolCall("cart_add", buy),))).results[0]
    assert result["error"] == "insufficient_stock"


def test_ids_that_nothing_has_shown_count_as_hallucinated(easy, catalog):
    product = easy.goal["items"][0]["product_id"]
    add = ToolCall("cart_add", {"product_id": product})
    look = ToolCall("catalog_get_variants", {"product_id": product})
    blind = run_actions(
        Session(easy, catalog), [Action(tool_calls=(add,)), Action(answer={})]
    ).score()
    assert blind.r_hall == -1.0
    looked = run_actions(
        Session(easy, catalog),
        [Action(tool_calls=(look,)), Action(tool_calls=(add,)), Action(answer={})],
    ).score()
    assert looked.r_hall == 0.0
    # Shown in the same step is too late: the agent could not have read it yet.
    wide = replace(easy, tool_budget=2)
    same = run_actions(
        Session(wide, catalog), [Action(tool_calls=(look, add)), Action(answer={})]
    ).score()
    assert same.r_hall == -1.0


def test_shaping_telescopes(hard, catalog):
    totals = set()
    for agent_actions in (
        actions_from(hard.reference),
        [calls("cart_view"), Action(answer={})],
        [Action(answer={})],
    ):
        plain = Session(hard, catalog)
        shaped = Session(hard, catalog, shaping=True)
        reward = sum(plain.step(a).reward for a in agent_actions)
        extra = sum(shaped.step(a).reward for a in agent_actions) - reward
        totals.add(round(extra, 12))
    assert len(totals) == 1


def test_a_denied_category_is_minus_one(easy, catalog, monkeypatch):
    category = easy.goal["items"][0]["category"]
    monkeypatch.setattr(catalog, "deny_list", frozenset({category}))
    session = run_actions(Session(easy, catalog), actions_from(easy.reference))
    assert session.score().termination == "denied_category"
    assert session.score().reward == -1.0 and not session.score().passed


def test_another_catalog_and_damaged_rows_are_refused(easy, catalog):
    with pytest.raises(CatalogError, match="was made on the catalog"):
        Session(replace(easy, catalog_hash="0" * 64), catalog)
    row = easy.to_row()
    with pytest.raises(EpisodeError, match="goal"):
        Session({k: v for k, v in row.items() if k != "goal"}, catalog)
    with pytest.raises(EpisodeError, match="world"):
        Session({**row, "world": "{"}, catalog)
    with pytest.raises(EpisodeError, match="p_noise"):
        Session({**row, "axes": {**row["axes"], "p_noise": 7}}, catalog)


def test_a_step_leaves_the_episode_as_it_was(hard, catalog):
    before = json.dumps(hard.to_row(), sort_keys=True)
    for agent in ("reference", "honest", "everything"):
        play_session(agent, hard, catalog)
    assert json.dumps(hard.to_row(), sort_keys=True) == before
