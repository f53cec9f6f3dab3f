"""Policies that try to earn reward without doing the task (SPEC §9, the audit).

Each takes an open session and plays it to its end. They may know other episodes (``fit``, those of
another split), but of the one they play only what an agent sees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ecomkit.agents.scripted import actions_from, run_actions, run_policy
from ecomkit.core.records import Action, Episode, ToolCall
from ecomkit.session.session import Session
from ecomkit.user import KINDS

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

FITTED = 12
"""Solutions of other episodes among which the fitted attacker picks the best."""


def answer_from(
    parameters: Mapping[str, Any], fill: Callable[[str, Mapping[str, Any]], Any]
) -> dict[str, Any]:
    """An answer with every field of the schema that ``fill(name, schema)`` has a value for."""
    answer = {}
    required = parameters.get("required", ())
    for name, schema in parameters.get("properties", {}).items():
        value = fill(name, schema)
        if value is not None or name in required:
            answer[name] = value
    return answer


def smallest(name: str, schema: Mapping[str, Any]) -> Any:
    """The plainest value that a schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, (list, tuple)) else kind
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    if kind == "array":
        return []
    if kind == "object":
        return {}
    return {"string": "x", "boolean": True}.get(str(kind))


def opening_of(session: Session) -> str:
    """What the customer said first."""
    return str(session.episode.prompt[-1]["content"])


def submit_at_once(session: Session, fit: Sequence[Episode]) -> None:
    """The plainest legal answer in the first turn."""
    parameters = session.answer_parameters
    run_actions(session, [Action(answer=answer_from(parameters, smallest))])


def echo(session: Session, fit: Sequence[Episode]) -> None:
    """Says back what the customer said, and submits their words and figures as the answer."""
    said = opening_of(session)
    session.step(Action(text=said))
    if session.done:
        return
    words = said.replace("?", " ").replace(",", " ").replace(".", " ").split()
    figures = [int(word.strip("$")) for word in words if word.strip("$").isdecimal()]

    def fill(name: str, schema: Mapping[str, Any]) -> Any:
        kind = schema.get("type")
        if "enum" in schema:
            spoken = [v for v in schema["enum"] if str(v).replace("_", " ") in said.casefold()]
            return spoken[0] if spoken else schema["enum"][0]
        if kind in ("integer", "number"):
            return figures[0] if figures else schema.get("minimum", 0)
        if kind == "string":
            coded = [word for word in words if any(c.isdigit() for c in word)]
            return coded[0] if coded else said[:100]
        return smallest(name, schema)

    run_actions(session, [Action(answer=answer_from(session.answer_parameters, fill))])


def ask_everything(session: Session, fit: Sequence[Episode]) -> None:
    """Asks about every kind of slot in turn and then submits, without ever looking in the shop."""
    questions = [f"What about the {kind.replace('_', ' ')}?" for kind in KINDS]
    size = max(1, -(-len(questions) // max(1, session.max_turns - 1)))
    for start in range(0, len(questions), size):
        if session.done or session.turn >= session.max_turns - 1:
            break
        batch = questions[start : start + size]
        asks = tuple(ToolCall("ask_user", {"question": question}) for question in batch)
        session.step(Action(tool_calls=asks))
    if not session.done:
        submit_at_once(session, fit)


def until_content(session: Session, fit: Sequence[Episode]) -> None:
    """Does what the naive policy does, but asks the customer after each write, and tries the next
    search result or variant when they are not content."""
    subjects = [slot for slot in session.disclosed if slot.kind == "category"]
    tries = 0
    while not session.done and subjects:
        if session.turn >= session.max_turns - 2:
            break
        noun = subjects[tries % len(subjects)].value.get("noun", "")
        found = session.step(
            Action(tool_calls=(ToolCall("catalog_search", {"query": noun or "anything"}),))
        )
        cards = found.results[0].get("results", []) if found.results else []
        if session.done or len(cards) <= tries:
            break
        add = ToolCall("cart_add", {"product_id": cards[tries]["product_id"]})
        session.step(Action(text="Is that right?", tool_calls=(add,)))
        tries += 1
    if not session.done:
        submit_at_once(session, fit)


def first_positions(session: Session, fit: Sequence[Episode]) -> None:
    """The first order, its first line, the first product shown and its first variant."""
    found: dict[str, Any] = {}
    looks: tuple[tuple[str, dict[str, Any]], ...] = (
        ("order_list", {}),
        ("user_get_visit_history", {}),
        ("catalog_search", {"query": opening_of(session)[:200]}),
    )
    for name, arguments in looks:
        if session.done or session.turn >= session.max_turns - 2:
            break
        seen = session.step(Action(tool_calls=(ToolCall(name, arguments),)))
        if not seen.results:
            continue
        result = seen.results[0]
        for order in result.get("orders", ())[:1]:
            found.setdefault("order_id", order["order_id"])
            found.setdefault("status", order["status"])
        for key in ("products", "results"):
            for card in result.get(key, ())[:1]:
                found.setdefault("product_id", card["product_id"])
                found.setdefault("product_ids", [c["product_id"] for c in result[key][:3]])
    if session.done:
        return
    writes: list[ToolCall] = []
    if "product_id" in found:
        writes.append(ToolCall("cart_add", {"product_id": found["product_id"]}))
    if "order_id" in found:
        line = {"order_id": found["order_id"], "line_id": "L1"}
        writes.append(ToolCall("return_initiate", line))
    found["line_id"] = "L1"

    def fill(name: str, schema: Mapping[str, Any]) -> Any:
        return found.get(name, smallest(name, schema))

    answer = answer_from(session.answer_parameters, fill)
    run_actions(session, [Action(tool_calls=tuple(writes[: session.tool_budget]), answer=answer)])


def fitted_constant(session: Session, fit: Sequence[Episode]) -> None:
    """The solution that scored best on other episodes, played as it is.

    The solution is picked by how often it is the right one elsewhere; with fresh goals that comes
    to the most frequent answer.
    """
    actions = _best_constant(tuple(fit), session.catalog)
    run_actions(session, actions)
    if not session.done:
        submit_at_once(session, fit)


_fitted: dict[tuple[str, ...], list[Action]] = {}


def _best_constant(fit: tuple[Episode, ...], catalog: Catalog) -> list[Action]:
    key = tuple(episode.episode_id for episode in fit)
    if key not in _fitted:
        best: tuple[float, list[Action]] = (-2.0, [Action(answer={})])
        for candidate in fit[:FITTED]:
            actions = actions_from(candidate.reference)
            total = 0.0
            for other in fit:
                if other.episode_id == candidate.episode_id:
                    continue
                session = Session(other, catalog, record=False)
                total += run_actions(session, actions).score().reward
            mean = total / max(1, len(fit) - 1)
            if mean > best[0]:
                best = (mean, actions)
        _fitted[key] = best[1]
    return _fitted[key]


def give_up_politely(session: Session, fit: Sequence[Episode]) -> None:
    """Claims success to the customer, then submits the plainest answer."""
    session.step(Action(text="Everything is taken care of. Is that right?"))
    if not session.done:
        submit_at_once(session, fit)


ATTACKERS: dict[str, Callable[[Session, Sequence[Episode]], None]] = {
    "submit_at_once": submit_at_once,
    "echo": echo,
    "ask_everything": ask_everything,
    "until_content": until_content,
    "first_positions": first_positions,
    "fitted_constant": fitted_constant,
    "claim_success": give_up_politely,
}
"""Attackers by name, tried on every environment."""


def attack(name: str, episode: Episode, catalog: Catalog, fit: Sequence[Episode] = ()) -> Session:
    """A session of ``episode`` played to its end by an attacker: one of :data:`ATTACKERS`, or of
    the environment's own (``Environment.attackers``)."""
    session = Session(episode, catalog, record=False)
    own = session.environment.attackers()
    if name in own:
        return run_policy(session, own[name](session))
    before = -1
    while not session.done and session.steps > before:
        # In a journey one answer is not the end: the same again for what is asked next.
        before = session.steps
        ATTACKERS[name](session, fit)
    return session
