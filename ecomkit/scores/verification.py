"""Holding a log against its replay: what was really said, step by step (SPEC §11).

The agent's messages are played again; whatever the shop and the customer say is recomputed and
compared with what the log has. Only search results may be taken from the log, each card checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from ecomkit.core.errors import SearchUnavailable, TrajectoryError, UnknownProduct
from ecomkit.core.records import Action
from ecomkit.session.actions import Unparseable, parse_action
from ecomkit.session.session import Said, Session
from ecomkit.shop.tools import PAGE_SIZE, resolve
from ecomkit.shop.tools import run as run_tool

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

Verify = Literal["writes", "full"]

MAX_MESSAGES = 2000
"""A log with more messages than any episode could have is not read."""

_SEARCH_KEYS = frozenset({"results", "page", "pages", "total", "message"})
_RERANK_KEYS = frozenset({"results", "unknown_product_ids"})
_RERANK_CARD = frozenset({"product_id", "title", "price_cents", "similarity"})


class Tampered(Exception):
    """A logged message is not what the replay gives."""


class _Cut(Exception):
    """The log ends within a step: its last result is missing."""


def follow(
    session: Session,
    messages: Sequence[Mapping[str, Any]],
    verify: Verify = "writes",
    actions_only: bool = False,
) -> str:
    """Step a fresh session through the assistant messages of a log, comparing what lies between.

    Args:
        session: just reset; ``record=False`` is enough. It is left where the log ends.
        messages: the log in chat form.
        verify: ``writes`` takes search results from the log after checking each card against the
            catalog; ``full`` recomputes them too.
        actions_only: the log has nothing but the agent's side; it is played as it stands, every
            search for real.

    Returns:
        Where the logged search results drifted from the recomputed ones though every card agrees
        with the catalog (``full`` only); empty if nowhere.

    Raises:
        Tampered: at the first thing that replay does not give; step and field in the message.
        TrajectoryError: if a message that replay needs is missing or of the wrong form.
        SearchUnavailable: if a search has to be recomputed and no engine is loaded.
    """
    count = len(messages)
    if count > MAX_MESSAGES:
        raise TrajectoryError(f"{count:,} messages; at most {MAX_MESSAGES:,} are read")
    turns = [i for i, message in enumerate(messages) if message.get("role") == "assistant"]
    first = turns[0] if turns else count
    _check_prompt(session, messages[:first])
    silent = actions_only and first + len(turns) == count
    log = _Between(session, verify)
    turns.append(count)
    for position, end in zip(turns, turns[1:], strict=False):
        if session.done:
            raise Tampered(f"message {position}: the session had ended ({session.termination})")
        action = _action(messages[position])
        if silent:
            session.step(action)
            continue
        logged = _in_call_order(action, messages[position + 1 : end])
        log.read(logged, position, end == count)
        session.logged_search = log.result
        try:
            session.step(action)
        except _Cut:
            return log.drift
        log.compare(logged, position + 1, end == count)
    return log.drift


def _action(message: Mapping[str, Any]) -> Any:
    """The message as an Action; as it is if it can't be read, for the session to refuse."""
    try:
        return parse_action(message)
    except Unparseable:
        return message


def _check_prompt(session: Session, prompt: Sequence[Mapping[str, Any]]) -> None:
    """The customer's opening must be the episode's; the system prompt may be the agent's own."""
    said = [message.get("content") for message in prompt if message.get("role") == "user"]
    opening = session.episode.prompt[-1]["content"]
    if said and text_of(said[-1]) != opening:
        raise Tampered("step 0: the customer's opening is not the episode's")
    if len(said) > 1:
        raise Tampered("step 0: the customer said something before the episode's opening")
    for message in prompt:
        if message.get("role") not in ("system", "developer", "user"):
            role = str(message.get("role"))[:40]
            raise Tampered(f"step 0: a message of the role {role!r} before the agent's first")


def text_of(content: Any) -> Any:
    """Message content as text where it is a list of text parts; else as it is."""
    if isinstance(content, (list, tuple)):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        if parts and all(isinstance(part, str) for part in parts):
            return "".join(parts)  # type: ignore[arg-type]
    return content


def parsed(content: Any) -> Any:
    """A tool message's content as JSON where it is JSON text; else as it is."""
    content = text_of(content)
    if isinstance(content, str):
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            return content
    return content


def _in_call_order(action: Any, logged: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Messages between two steps, tool results in the order of the calls they name.

    Parallel calls may be logged in the order in which they came back.
    """
    found = list(logged)
    if len(found) < 2 or not isinstance(action, Action) or len(action.tool_calls) < 2:
        return found
    order: dict[str, tuple[bool, int]] = {}
    for place, call in enumerate(action.tool_calls):
        tool = resolve(call.name)
        last = tool is not None and tool.name == "submit_answer"
        order[call.id] = (last, place)
    places = [i for i, message in enumerate(found) if message.get("role") == "tool"]
    ids = [found[i].get("tool_call_id") for i in places]
    if len(order) < len(action.tool_calls) or len(set(map(str, ids))) < len(ids):
        return found
    if not all(isinstance(name, str) and name in order for name in ids):
        return found
    ordered = sorted((found[i] for i in places), key=lambda m: order[m["tool_call_id"]])
    for i, message in zip(places, ordered, strict=True):
        found[i] = message
    return found


class _Between:
    """What a log has between two steps: its search results, checked as the session asks for
    them, and the rest, compared with what the session said."""

    def __init__(self, session: Session, verify: Verify) -> None:
        self.session = session
        self.full = verify == "full"
        self.drift = ""
        self._tools: list[Mapping[str, Any]] = []
        self._position = 0
        self._last = False
        self._taken: set[int] = set()
        self._kit_text = True

    def read(self, logged: Sequence[Mapping[str, Any]], position: int, last: bool) -> None:
        """Take the messages after the assistant message at ``position``."""
        self._tools = [message for message in logged if message.get("role") == "tool"]
        self._position, self._last = position, last
        self._taken.clear()

    def result(self, place: int, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The result to take for a call: the logged one, if it can be true."""
        session = self.session
        if place >= len(self._tools):
            if self._last:
                raise _Cut
            raise TrajectoryError(
                f"step {session.steps}: the result of {tool} is missing "
                f"after message {self._position}"
            )
        content = self._tools[place].get("content")
        if not self.full and tool == "catalog_search" and isinstance(content, str):
            known = read_kit_results(session.catalog, content)
            if known is not None:
                self._taken.add(place)
                return known
        have = parsed(content)
        self._taken.add(place)
        where = f"step {session.steps} (message {self._position + 1 + place}), {tool}"
        if not isinstance(have, dict):
            raise Tampered(f"{where}: the result is no object")
        if not self.full:
            check_cards(session, have, tool, arguments, where)
            return have
        want = run_tool(session.context, tool, arguments)
        if have != want:
            path, what = difference(have, want)
            try:
                check_cards(session, have, tool, arguments, where)
            except Tampered:
                raise Tampered(f"{where}: {path or 'result'} {what}") from None
            if not self.drift:
                self.drift = f"{where}: {path or 'result'} {what}"
        return have

    def compare(self, logged: Sequence[Mapping[str, Any]], position: int, last: bool) -> None:
        """Hold logged tool results and replies against the recomputed ones.

        A log may leave out what the session said at its very end.
        """
        session = self.session
        said: list[Said] = session.said
        place = -1
        for offset, (have, want) in enumerate(zip(logged, said, strict=False)):
            role = have.get("role")
            if role != want.role:
                where = f"step {session.steps} (message {position + offset})"
                raise Tampered(f"{where}: role is {str(role)[:40]!r}, replay gives {want.role!r}")
            content = have.get("content")
            if role == "user":
                if text_of(content) != want.content:
                    where = f"step {session.steps} (message {position + offset})"
                    raise Tampered(f"{where}: the customer did not say that; {_said(want.content)}")
                continue
            place += 1
            if place in self._taken:
                continue  # the result was taken from this very message
            if self._kit_text and content == self._text(want.content):
                continue
            found = parsed(content)
            if found != want.content:
                # Rarely: a result with tuples, which JSON has not.
                true = json.loads(json.dumps(want.content))
                if found != true:
                    where = f"step {session.steps} (message {position + offset}), {want.tool}"
                    path, what = difference(found, true)
                    raise Tampered(f"{where}: {path or 'result'} {what}")
            self._kit_text = False  # written otherwise: comparing text is of no use here
        if len(logged) > len(said):
            where = f"step {session.steps} (message {position + len(said)})"
            raise Tampered(f"{where}: replay gives no such message")
        if len(logged) < len(said) and not (session.done or last):
            missing = said[len(logged)].role
            raise TrajectoryError(
                f"step {session.steps}: a {missing} message is missing at {position + len(logged)}"
            )

    def _text(self, result: Mapping[str, Any]) -> str:
        """A result as the kit writes it. An agent that fills a cart is shown all its lines again
        and again, so that their texts are remembered."""
        cart = result.get("cart")
        if not isinstance(cart, dict) or len(cart["lines"]) < 3:
            return _ENCODE(result)
        known: dict[tuple[str, int, int], str] = self.session.world.memo.setdefault("texts", {})
        texts = []
        for line in cart["lines"]:
            key = line["line_id"], line["quantity"], line["available"]  # the rest follows
            if key not in known:
                known[key] = _ENCODE(line)
            texts.append(known[key])
        rest = _ENCODE({**result, "cart": {**cart, "lines": []}})
        return rest.replace('"lines": []', f'"lines": [{", ".join(texts)}]', 1)


_ENCODE = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
_CARD_ID = re.compile(r'\{"product_id": "([^"\\]+)"')
_HEAD, _TAIL = '{"results": [', '}], "page": '


def read_kit_results(catalog: Catalog, content: str) -> dict[str, Any] | None:
    """Search results as the kit writes them, held against the catalog without parsing the cards.

    The cards' true text is remembered and compared; the dicts returned are shared, for reading
    only. None if the text is not to the letter what a true result would be: then it has to be
    parsed and checked field by field.
    """
    end = content.rfind(_TAIL)
    if end < 0 or not content.startswith(_HEAD):
        return None
    names = _CARD_ID.findall(content, 0, end)
    if not 0 < len(names) <= PAGE_SIZE or len(set(names)) < len(names):
        return None
    try:
        cards = [catalog.shared_card(name) for name in names]
        if content[len(_HEAD) : end + 1] != ", ".join([catalog.card_text(n) for n in names]):
            return None
        rest = _paging("{" + content[end + 4 :])
    except (UnknownProduct, ValueError, RecursionError):
        return None
    if not rest.keys() <= _SEARCH_KEYS or "results" in rest:
        return None
    return {"results": cards, **rest}


@lru_cache(maxsize=1024)
def _paging(text: str) -> dict[str, Any]:
    """What search results say after the cards, which is one of few texts: for reading only."""
    found: dict[str, Any] = json.loads(text)
    return found


def check_cards(
    session: Session,
    result: Mapping[str, Any],
    tool: str,
    arguments: Mapping[str, Any],
    where: str,
) -> None:
    """Hold a logged search result against the catalog: known keys, every card true, no card
    twice, none that was not asked about, no more than a page.

    Raises:
        Tampered: naming the field.
    """
    rerank = tool == "catalog_rerank"
    if rerank and "error" in result:
        engine_free = set(result) <= {"error", "message"}
        if not engine_free:
            raise Tampered(f"{where}: a refusal with more than its message")
        return
    extra = sorted(str(k)[:40] for k in set(result) - (_RERANK_KEYS if rerank else _SEARCH_KEYS))
    if extra:
        raise Tampered(f"{where}: replay gives no field {extra[0]!r}")
    cards = result.get("results")
    if not isinstance(cards, list):
        raise Tampered(f"{where}: results are no list")
    asked: list[str] = list(arguments.get("product_ids", ()))
    if len(cards) > (len(asked) if rerank else PAGE_SIZE):
        raise Tampered(f"{where}: {len(cards)} results, more than can be shown")
    allowed = {name.strip() for name in asked}
    shown: set[str] = set()
    for place, card in enumerate(cards):
        at = f"{where}: results[{place}]"
        name = card.get("product_id") if isinstance(card, dict) else None
        if not isinstance(name, str):
            raise Tampered(f"{at} is no card")
        if name in shown or (rerank and name not in allowed):
            raise Tampered(f"{at}: product {name[:40]!r} was shown already or not asked about")
        shown.add(name)
        try:
            true_card = session.catalog.shared_card(name)
        except (UnknownProduct, UnicodeError):
            raise Tampered(f"{at}: the catalog has no product {name[:40]!r}") from None
        if rerank:
            similarity = card.get("similarity")
            if isinstance(similarity, bool) or not isinstance(similarity, int):
                raise Tampered(f"{at}.similarity is no whole number")
            true_card = {
                "product_id": name,
                "title": true_card["title"],
                "price_cents": true_card["price_cents"],
                "similarity": similarity,
            }
        if card != true_card:
            path, what = difference(card, true_card)
            raise Tampered(f"{at}.{path} {what}")


def _said(text: str) -> str:
    return f"replay gives {_short(text)}"


def _short(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return f"'{text[:60]}…'" if len(text) > 60 else f"'{text}'"


def difference(have: Any, want: Any, depth: int = 0) -> tuple[str, str]:
    """``(path, sentence)`` of the first place where a logged value is not the replayed one.

    The path is like ``cart.lines[0].quantity``; empty for the value itself.
    """
    if depth < 20 and isinstance(have, Mapping) and isinstance(want, Mapping):
        for key, value in want.items():
            if key not in have:
                return str(key), "is missing"
            if have[key] != value:
                return _joined(str(key), difference(have[key], value, depth + 1))
        extra = sorted(str(key)[:40] for key in have if key not in want)
        if extra:
            return extra[0], "is not in what replay gives"
    if depth < 20 and isinstance(have, list) and isinstance(want, (list, tuple)):
        for place, (one, other) in enumerate(zip(have, want, strict=False)):
            if one != other:
                return _joined(f"[{place}]", difference(one, other, depth + 1))
        if len(have) != len(want):
            return "", f"has {len(have)} entries, replay gives {len(want)}"
    return "", f"is {_short(have)}, replay gives {_short(want)}"


def _joined(head: str, rest: tuple[str, str]) -> tuple[str, str]:
    path, what = rest
    if not path:
        return head, what
    return f"{head}{path}" if path.startswith("[") else f"{head}.{path}", what


__all__ = ["SearchUnavailable", "Tampered", "Verify", "check_cards", "difference", "follow"]
