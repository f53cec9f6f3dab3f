"""Reading one step of an agent in any accepted form (SPEC §5)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ecomkit.core.records import Action, ToolCall

MAX_CHARACTERS = 200_000
"""Longest message that is read; a longer one is unparseable output."""

_FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.DOTALL)
_ACTION_KEYS = frozenset({"assistant_message", "tool_calls", "answer"})


class Unparseable(ValueError):
    """The agent's output is no action; the session ends with reward -1."""


def parse_action(raw: Any) -> Action:
    """An :class:`Action` from an agent's output.

    Accepted are an Action; an OpenAI-style assistant message (``content``, ``tool_calls`` with
    ``function.arguments`` as text or object); the JSON object ``{"assistant_message",
    "tool_calls": [{"name", "args"}], "answer"}`` as a dict or as text, fenced or not; and plain
    text, which is said to the user.

    Raises:
        Unparseable: with a sentence that says what is wrong.
    """
    if isinstance(raw, Action):
        return _nonempty(raw)
    if isinstance(raw, str):
        return _nonempty(_from_text(raw))
    if isinstance(raw, Mapping):
        if "role" in raw or "content" in raw:
            return _nonempty(_from_message(raw))
        return _nonempty(_from_object(raw))
    raise Unparseable(f"an action is a message or a JSON object, not {type(raw).__name__}")


def _nonempty(action: Action) -> Action:
    if not action.text.strip() and not action.tool_calls and action.answer is None:
        raise Unparseable("the message is empty: no text, no tool call and no answer")
    return action


def _limit(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise Unparseable(f"the message has {len(text):,} characters; {MAX_CHARACTERS:,} are read")
    return text


class _NotJson(ValueError):
    """NaN or an infinity, which Python's reader takes and JSON has not."""


def _refuse_constant(constant: str) -> Any:
    raise _NotJson(constant)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _loads(text: str, what: str) -> Any:
    try:
        if _limit(text).startswith("{"):
            # What ``decode`` does about blanks around the text costs as much as a short object.
            value, end = _DECODER.raw_decode(text)
            if end == len(text):
                return value
        return _DECODER.decode(text)
    except Unparseable:
        raise
    except _NotJson as constant:
        raise Unparseable(f"{what} holds {constant}, which JSON does not have") from None
    except RecursionError:
        raise Unparseable(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise Unparseable(f"{what} is not JSON: {error}") from None


def _from_text(text: str) -> Action:
    stripped = _limit(text).strip()
    fenced = _FENCE.match(stripped)
    if fenced:
        stripped = fenced.group(1).strip()
    if stripped.startswith("{"):
        value = _loads(stripped, "the action")
        if not isinstance(value, dict):
            raise Unparseable("the action is not a JSON object")
        return _from_object(value)
    return Action(text=text)


def _from_object(value: Mapping[str, Any]) -> Action:
    unknown = sorted(str(key) for key in value if key not in _ACTION_KEYS)
    if unknown:
        raise Unparseable(
            f"unknown key(s) {', '.join(unknown[:5])}; "
            f"an action has {', '.join(sorted(_ACTION_KEYS))}"
        )
    text = value.get("assistant_message")
    if text is not None and not isinstance(text, str):
        raise Unparseable("assistant_message must be text")
    calls = value.get("tool_calls")
    if calls is not None and not isinstance(calls, (list, tuple)):
        raise Unparseable("tool_calls must be a list")
    answer = value.get("answer")
    if answer is not None and not isinstance(answer, Mapping):
        raise Unparseable("answer must be an object")
    return Action(
        text=_limit(text or ""),
        tool_calls=tuple(_call(call, position) for position, call in enumerate(calls or ())),
        answer=_finite(answer, "answer") if answer is not None else None,
    )


def _from_message(message: Mapping[str, Any]) -> Action:
    role = message.get("role", "assistant")
    if role != "assistant":
        raise Unparseable(f"an agent's message has the role 'assistant', not {role!r:.40}")
    content = message.get("content")
    if isinstance(content, (list, tuple)):
        parts = []
        for part in content:
            if not isinstance(part, Mapping) or not isinstance(part.get("text", ""), str):
                raise Unparseable("a content part must be an object with text")
            if part.get("type", "text") in ("text", "output_text"):
                parts.append(part.get("text", ""))
        content = "".join(parts)
    if content is not None and not isinstance(content, str):
        raise Unparseable("content must be text")
    calls = message.get("tool_calls")
    if calls is not None and not isinstance(calls, (list, tuple)):
        raise Unparseable("tool_calls must be a list")
    if not calls and content is not None and content.lstrip()[:1] in ("{", "`"):
        return _from_text(content)
    return Action(
        text=_limit(content or ""),
        tool_calls=tuple(_call(call, position) for position, call in enumerate(calls or ())),
    )


def _call(call: Any, position: int) -> ToolCall:
    where = f"tool call {position + 1}"
    if not _is_object(call):
        raise Unparseable(f"{where} is not an object")
    inner = call.get("function", call)
    if not _is_object(inner):
        raise Unparseable(f"{where}: function is not an object")
    name = inner.get("name")
    if not isinstance(name, str) or not name:
        raise Unparseable(f"{where} has no name")
    arguments = inner.get("arguments", inner.get("args"))
    what = f"the arguments of {where}"
    if isinstance(arguments, str):
        arguments = _loads(arguments, what) if arguments.strip() else {}
    if arguments is None:
        arguments = {}
    if not _is_object(arguments):
        raise Unparseable(f"{what} are not an object")
    identifier = call.get("id")
    return ToolCall(
        name[:200],
        _finite(arguments, what),
        identifier[:200] if isinstance(identifier, str) else "",
    )


def _is_object(value: Any) -> bool:
    # Nearly always a dict, and asking an abstract class costs ten times as much.
    return type(value) is dict or isinstance(value, Mapping)


def _finite(value: Any, what: str, depth: int = 0) -> Any:
    """``value`` if it is plain JSON without NaN or infinity and not absurdly nested or large."""
    if depth > 40:
        raise Unparseable(f"{what}: nested too deeply")
    if _is_object(value):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise Unparseable(f"{what}: keys must be text")
            # Most arguments are short texts, which need no call of their own.
            if type(inner) is not str or len(inner) > MAX_CHARACTERS or depth == 40:
                _finite(inner, what, depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unparseable(f"{what}: {value} is not a number that JSON has")
    elif isinstance(value, str):
        _limit(value)
    elif isinstance(value, int):
        if not isinstance(value, bool) and abs(value) > 10**18:
            raise Unparseable(f"{what}: a whole number has more than 18 digits")
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _finite(inner, what, depth + 1)
    elif value is not None:
        raise Unparseable(f"{what}: {type(value).__name__} is not JSON")
    return value


def to_message(action: Action, step: int) -> dict[str, Any]:
    """The OpenAI assistant message of an action; ``answer`` becomes a ``submit_answer`` call.

    Call ids that are missing are made from the step and the position.
    """
    calls = list(action.tool_calls)
    if action.answer is not None:
        calls.append(ToolCall("submit_answer", action.answer))
    message: dict[str, Any] = {"role": "assistant", "content": action.text}
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id or f"call_{step}_{position}",
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
                },
            }
            for position, call in enumerate(calls)
        ]
    return message
