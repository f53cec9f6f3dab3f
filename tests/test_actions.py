"""Every accepted form of an agent's step, and hostile ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomkit.core.records import Action, ToolCall
from ecomkit.session.actions import MAX_CHARACTERS, Unparseable, parse_action, to_message

CALL = {"name": "cart_view", "args": {}}


def test_openai_message_with_arguments_as_text_and_as_object():
    for arguments in ('{"product_id": "A1"}', {"product_id": "A1"}):
        action = parse_action(
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "ignored",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "cart_add", "arguments": arguments},
                    }
                ],
            }
        )
        assert action.tool_calls == (ToolCall("cart_add", {"product_id": "A1"}, "c1"),)


def test_json_action_as_dict_text_and_fenced():
    value = {"assistant_message": "hi", "tool_calls": [CALL], "answer": {"message": "done"}}
    for raw in (
        value,
        json.dumps(value),
        f"```json\n{json.dumps(value)}\n```",
        {"role": "assistant", "content": json.dumps(value)},
    ):
        action = parse_action(raw)
        assert action.text == "hi"
        assert action.answer == {"message": "done"}
        assert action.tool_calls[0].name == "cart_view"


def test_plain_text_is_said_to_the_user():
    assert parse_action("Which color?").text == "Which color?"
    parts = {"role": "assistant", "content": [{"type": "text", "text": "Which color?"}]}
    assert parse_action(parts).text == "Which color?"


def test_a_message_round_trips():
    action = Action("hello", (ToolCall("cart_view", {}),), {"message": "x"})
    again = parse_action(to_message(action, 3))
    assert again.text == "hello"
    assert [made.name for made in again.tool_calls] == ["cart_view", "submit_answer"]
    assert [made.id for made in again.tool_calls] == ["call_3_0", "call_3_1"]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "   ",
        "{",
        '{"tool_calls": [',
        '{"tool_calls": "cart_view"}',
        '{"unknown": 1}',
        '{"answer": []}',
        '{"answer": {"value": NaN}}',
        '{"answer": {"value": 1e999}}',
        '{"answer": {"value": ' + "9" * 5000 + "}}",
        '{"tool_calls": [{"args": {}}]}',
        '{"tool_calls": [{"name": "x", "args": "not json"}]}',
        '{"tool_calls": [{"name": "x", "args": []}]}',
        "{" + '"a":{' * 2000,
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": 5},
        {"role": "assistant", "content": "x", "tool_calls": {"a": 1}},
        {"role": "assistant", "tool_calls": [None]},
        {"answer": {"value": float("nan")}},
        {"answer": {"value": {1, 2}}},
        {"answer": {1: 2}},
        None,
        5,
        [],
        "x" * (MAX_CHARACTERS + 1),
        {"assistant_message": "x" * 10_000_000},
    ],
)
def test_what_is_no_action_says_why(raw):
    with pytest.raises(Unparseable) as problem:
        parse_action(raw)
    assert len(str(problem.value)) < 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values | st.binary())
def test_hostile_values_give_an_action_or_a_clear_error(raw):
    try:
        assert isinstance(parse_action(raw), Action)
    except Unparseable:
        pass


@given(st.text())
def test_hostile_text_gives_an_action_or_a_clear_error(raw):
    try:
        json.dumps(to_message(parse_action(raw), 1))
    except Unparseable:
        pass
