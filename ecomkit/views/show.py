"""Episodes, trajectories and tool results as plain text for a person."""

from __future__ import annotations

import json
import shutil
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ecomkit.agents.scripted import actions_from
from ecomkit.core.records import CORE_ATTRIBUTES, Action, Episode, Score, Slot, Trajectory
from ecomkit.session.actions import Unparseable, parse_action
from ecomkit.shop.world import money

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

Numbers = Mapping[str, int]
"""Short numbers for product ids, shown as ``#3``."""

_MISSING = "–"
_UNITS = {"wattage": "W", "weight_lbs": "lb", "screen_size_inches": "in"}
_ON_LINE = frozenset(
    "line_id product_id variant_id title attributes quantity unit_price_cents line_total_cents "
    "available sold_out".split()
)
_CARD_KEYS = frozenset({"product_id", "title", "price_cents"})
_LINE_KEYS = frozenset({"line_id", "product_id", "title", "quantity", "unit_price_cents"})
_ON_CARD = frozenset({"product_id", "title", "attributes", "varies_by", "department"}).union(
    CORE_ATTRIBUTES
)


def terminal_width() -> int:
    """Columns to fill: the terminal's, but at least 60 and at most 100."""
    return max(60, min(100, shutil.get_terminal_size().columns))


def clean(text: Any) -> str:
    """Text without control characters, so that data cannot steer the terminal."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\N{MIDDLE DOT}"
        for c in str(text).replace("\t", " ").replace("\r\n", "\n")
    )


def columns(text: str) -> int:
    """Columns that a text takes in a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns, an ellipsis where it was cut."""
    if columns(text) <= width:
        return text
    return text[: _fitting(text, width - 1)].rstrip() + "…"


def wrap(text: str, width: int, first: str = "", rest: str | None = None) -> list[str]:
    """Lines of at most ``width`` columns that begin with ``first``, then with ``rest``.

    Unlike :mod:`textwrap` it counts the columns of wide characters.
    """
    rest = " " * columns(first) if rest is None else rest
    lines: list[str] = []
    for paragraph in clean(text).split("\n"):
        line, empty = rest if lines else first, True
        for word in paragraph.split():
            while word:
                gap = "" if empty else " "
                if columns(line) + len(gap) + columns(word) <= width:
                    line, word = line + gap + word, ""
                elif empty:
                    head = max(1, _fitting(word, width - columns(line)))
                    line, word = line + word[:head], word[head:]
                if word:
                    lines.append(line)
                    line = rest
                empty = bool(word)
        lines.append(line.rstrip())
    return lines


def _fitting(text: str, width: int) -> int:
    """How many leading characters fit in ``width`` columns."""
    used = 0
    for position, c in enumerate(text):
        used += columns(c)
        if used > width:
            return position
    return len(text)


def _pad(text: str, width: int, right: bool = False) -> str:
    space = " " * max(0, width - columns(text))
    return space + text if right else text + space


def _cell(key: str, value: Any) -> str:
    """One value in words: money for ``*_cents``, yes or no, lists with commas."""
    if value is None or value == "" or value == [] or value == {}:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if key.endswith("_cents"):
            return money(round(value))
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(_fact(k, v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_cell(key, item) for item in value)
    return clean(value).replace("\n", " ")


def _label(key: str) -> str:
    return clean(key).removesuffix("_cents").replace("_", " ")


def _fact(key: str, value: Any) -> str:
    """A name and its value: ``color sand``, but ``30 W`` where the unit says it."""
    unit = _UNITS.get(key)
    return f"{_cell(key, value)} {unit}" if unit else f"{_label(key)} {_cell(key, value)}"


def _is_rows(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(isinstance(item, Mapping) for item in value)
    )


def _number(numbers: Numbers | None, product_id: Any) -> str:
    number = (numbers or {}).get(product_id)
    return f"#{number}" if number is not None else ""


def render_cards(
    cards: Sequence[Mapping[str, Any]], width: int | None = None, numbers: Numbers | None = None
) -> str:
    """Search cards, two or three lines each: title and price, then what tells them apart."""
    width = width or terminal_width()
    lines = []
    for position, card in enumerate(cards, 1):
        mark = _pad(_number(numbers, card["product_id"]) or f"{position}.", 4, right=True) + " "
        price = money(card["price_cents"]) if card.get("price_cents") is not None else _MISSING
        room = width - columns(mark) - columns(price) - 2
        title = cut(clean(card["title"]).replace("\n", " "), room)
        lines.append(f"{mark}{_pad(title, room)}  {price}")
        facts = [str(card["product_id"])]
        facts += [_cell(key, card[key]) for key in ("category", "brand") if card.get(key)]
        if card.get("store") and card["store"] != card.get("brand"):
            facts.append(f"sold by {_cell('store', card['store'])}")
        if card.get("rating") is not None:
            facts.append(f"rated {card['rating']:g} ({card.get('rating_count') or 0:,})")
        if card.get("ship_days") is not None:
            days = card["ship_days"]
            facts.append("ships today" if days == 0 else f"ships in {days} d")
        facts += [_fact(key, value) for key, value in (card.get("attributes") or {}).items()]
        facts += [
            _fact(key, value)
            for key, value in card.items()
            if key not in _ON_CARD and not _is_rows(value)
        ]
        if card.get("varies_by"):
            facts.append(f"varies by {_label(str(card['varies_by']))}")
        lines += wrap(" · ".join(facts), width, " " * columns(mark))
    return "\n".join(lines)


def render_table(
    rows: Sequence[Mapping[str, Any]], width: int | None = None, numbers: Numbers | None = None
) -> str:
    """Rows with aligned columns; one block a row where they are too wide or hold tables."""
    width = width or terminal_width()
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if any(_is_rows(row.get(key)) for row in rows for key in keys):
        return "\n".join(_render_block(row, width, numbers) for row in rows)
    cells = []
    for row in rows:
        line = [_cell(key, row.get(key)) for key in keys]
        if "product_id" in keys and (mark := _number(numbers, row.get("product_id"))):
            line[keys.index("product_id")] += f" ({mark})"
        cells.append(line)
    heads = [_label(key) for key in keys]
    widths = [max(columns(line[i]) for line in [heads, *cells]) for i in range(len(keys))]
    spare = width - sum(widths) - 2 * (len(keys) - 1)
    if spare < 0:
        widest = widths.index(max(widths))
        if widths[widest] + spare < 16:
            return "\n".join(_render_block(row, width, numbers) for row in rows)
        widths[widest] += spare
    right = [all(isinstance(row.get(key), int | float | None) for row in rows) for key in keys]
    return "\n".join(
        "  ".join(
            _pad(cut(text, w), w, r) for text, w, r in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [heads, *cells]
    )


def _render_block(row: Mapping[str, Any], width: int, numbers: Numbers | None) -> str:
    facts = []
    for key, value in row.items():
        if not _is_rows(value):
            mark = _number(numbers, value) if key == "product_id" else ""
            facts.append(_fact(key, value) + (f" ({mark})" if mark else ""))
    lines = wrap(" · ".join(facts), width, "- ") if facts else []
    for key, value in row.items():
        if _is_rows(value):
            lines.append(f"  {_label(key)}:")
            lines.append(textwrap.indent(_render_rows(value, width - 4, numbers), "    "))
    return "\n".join(lines)


def _render_rows(rows: Sequence[Mapping[str, Any]], width: int, numbers: Numbers | None) -> str:
    if all(row.keys() >= _CARD_KEYS for row in rows):
        return render_cards(rows, width, numbers)
    if all(row.keys() >= _LINE_KEYS for row in rows):
        return "\n".join(_render_line(row, width, numbers) for row in rows)
    return render_table(rows, width, numbers)


def _render_line(line: Mapping[str, Any], width: int, numbers: Numbers | None) -> str:
    """A line of a cart or an order: number, what it is, price; then ids and what is wrong."""
    mark = f"{_cell('', line['line_id'])}  "
    each, quantity = line["unit_price_cents"], line["quantity"]
    price = f"{quantity} x {money(each)} = {money(quantity * each)}"
    title = _cell("", line["title"])
    if line.get("attributes"):
        title += f" ({', '.join(_cell(k, v) for k, v in line['attributes'].items())})"
    room = max(10, width - columns(mark) - columns(price) - 2)
    rows = [f"{mark}{_pad(cut(title, room), room)}  {price}"]
    product = _cell("", line["product_id"])
    facts = [f"{product} {_number(numbers, line['product_id'])}".rstrip()]
    if line.get("variant_id"):
        facts.append(f"variant {_cell('', line['variant_id'])}")
    if line.get("sold_out"):
        facts.append(f"SOLD OUT: {line.get('available', 0)} left")
    facts += [_fact(key, value) for key, value in line.items() if key not in _ON_LINE]
    return "\n".join([*rows, *wrap(" · ".join(facts), width, " " * columns(mark))])


def render_tool_result(
    name: str, result: Any, width: int | None = None, numbers: Numbers | None = None
) -> str:
    """A tool's result laid out: cards, tables, then ``name: value`` lines.

    Args:
        name: the tool that was called, such as ``cart_view``.
        result: its parsed JSON result, or any text that came instead.
        numbers: short numbers to show beside product ids.
    """
    width = width or terminal_width()
    if not isinstance(result, Mapping):
        return "\n".join(wrap(_cell("", result), width))
    if "error" in result:
        rest = {k: v for k, v in result.items() if k not in ("error", "message")}
        said = f"{result.get('message') or 'refused'} [{result['error']}]"
        lines = wrap(said, width, "refused: ")
        return "\n".join([*lines, *(_render_facts(rest, width, numbers) if rest else [])])
    return "\n".join(_render_facts(result, width, numbers)) or "(nothing)"


def _render_facts(result: Mapping[str, Any], width: int, numbers: Numbers | None) -> list[str]:
    lines: list[str] = []
    plain = {k: v for k, v in result.items() if not _is_rows(v) and not isinstance(v, Mapping)}
    short: list[str] = []
    for key, value in plain.items():
        text = _cell(key, value)
        if key == "product_id" and (mark := _number(numbers, value)):
            text += f" ({mark})"
        if columns(text) > 40 or (isinstance(value, str) and "\n" in value):
            body = str(value) if isinstance(value, str) else text
            lines += wrap(body, width, f"{_label(key)}: ", "  ")
        else:
            short.append(f"{_label(key)}: {text}")
    if short:
        lines += wrap(" · ".join(short), width)
    for key, value in result.items():
        if _is_rows(value):
            lines.append(f"{_label(key)}:")
            lines.append(textwrap.indent(_render_rows(value, width - 2, numbers), "  "))
        elif isinstance(value, Mapping):
            if value and any(_is_rows(v) or isinstance(v, Mapping) for v in value.values()):
                lines.append(f"{_label(key)}:")
                lines += ["  " + line for line in _render_facts(value, width - 2, numbers)]
            else:
                lines += wrap(_cell(key, value), width, f"{_label(key)}: ", "  ")
    return "\n".join(lines).split("\n") if lines else []


def _call_text(name: str, arguments: Any) -> str:
    if not isinstance(arguments, Mapping):
        return f"{clean(name)}({clean(arguments)})"
    inner = ", ".join(
        f"{clean(key)}={json.dumps(value, ensure_ascii=False, default=str)}"
        for key, value in arguments.items()
    )
    return clean(f"{name}({inner})")


def render_action(action: Action, width: int | None = None) -> str:
    """One step of an agent: what it says, what it calls, what it submits."""
    width = width or terminal_width()
    lines = wrap(action.text, width, "agent: ", "  ") if action.text.strip() else []
    for call in action.tool_calls:
        lines += wrap(_call_text(call.name, call.arguments), width, "-> ", "     ")
    if action.answer is not None:
        lines += wrap(_call_text("submit_answer", action.answer), width, "-> ", "     ")
    return "\n".join(lines)


def _rule(title: str, width: int) -> str:
    return f"-- {title} ".ljust(width, "-")


def _loaded(content: Any) -> Any:
    if isinstance(content, str) and content[:1] in ("{", "["):
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            return content
    return content


def render_messages(
    messages: Sequence[Mapping[str, Any]], width: int | None = None, numbers: Numbers | None = None
) -> Iterator[str]:
    """Chat messages in OpenAI form, one text each; steps are counted from 1."""
    width = width or terminal_width()
    step = 0
    names: dict[str, str] = {}
    for message in messages:
        role = message.get("role")
        content = message.get("content")
        if role == "assistant":
            step += 1
            yield _rule(f"step {step}", width)
            try:
                action = parse_action(message)
            except Unparseable as error:
                yield "\n".join(wrap(f"{content!r:.400} ({error})", width, "agent, unreadable: "))
                continue
            names.update((call.id, call.name) for call in action.tool_calls)
            yield render_action(action, width)
        elif role == "tool":
            name = str(message.get("name") or names.get(str(message.get("tool_call_id")), "tool"))
            body = render_tool_result(name, _loaded(content), width - 4, numbers)
            yield textwrap.indent(f"{clean(name)}:\n{textwrap.indent(body, '  ')}", "  ")
        elif role == "user":
            yield "\n".join(wrap(str(content or ""), width, "customer: ", "  "))
        else:
            yield "\n".join(wrap(str(content), width, f"[{clean(role)}] ", "  "))


def render_trajectory(
    trajectory: Trajectory, episode: Episode | None = None, width: int | None = None
) -> str:
    """A whole conversation, step by step."""
    width = width or terminal_width()
    head = (
        f"trajectory of {clean(trajectory.agent) or 'an unnamed agent'}, trial {trajectory.trial}"
    )
    lines = [_rule(f"{head}, on {clean(trajectory.episode_id)}", width)]
    if episode is not None:
        lines.append(_facts_of(episode))
    lines += render_messages(trajectory.messages, width)
    return "\n".join(lines)


def _facts_of(episode: Episode) -> str:
    return (
        f"{episode.environment} in {episode.department}, difficulty {episode.difficulty} · "
        f"{episode.max_turns} turns, {episode.tool_budget} calls a step · "
        f"par {episode.par_turns}, honest {episode.honest_turns}"
    )


def _goal_products(goal: Any) -> Iterator[str]:
    """Product ids anywhere in a goal, in order."""
    if isinstance(goal, Mapping):
        for key, value in goal.items():
            if key == "product_id" and isinstance(value, str):
                yield value
            else:
                yield from _goal_products(value)
    elif isinstance(goal, list | tuple):
        for value in goal:
            yield from _goal_products(value)


def render_episode(
    episode: Episode,
    catalog: Catalog | None = None,
    reveal: bool = False,
    width: int | None = None,
) -> str:
    """What the agent is given; with ``reveal`` also what it must not see.

    Args:
        catalog: names the goal's products by title.
        reveal: adds the goal, the user's slots, what will happen, and the reference.
    """
    width = width or terminal_width()
    lines = [_rule(episode.episode_id, width), _facts_of(episode)]
    axes = ", ".join(f"{key} {value:g}" for key, value in episode.axes.to_dict().items())
    lines += wrap(axes, width, "axes: ", "  ")
    named = [tool.get("function", tool).get("name", "?") for tool in episode.tools]
    lines += wrap(", ".join(named), width, "tools: ", "  ")
    lines += render_messages(episode.prompt, width)
    if not reveal:
        return "\n".join(lines)
    lines.append(_rule("hidden from the agent", width))
    lines += _block("goal", episode.goal, width)
    if catalog is not None:
        for product_id in dict.fromkeys(_goal_products(episode.goal)):
            lines += wrap(f"{product_id}: {catalog.product(product_id).title}", width, "  ", "    ")
    lines.append("what the customer knows:")
    for data in episode.user.get("slots", ()):
        slot = Slot.from_dict(data)
        when = "in the opening" if slot.opening else "when asked"
        said = f"{slot.key} ({when}): {slot.statement}"
        lines += wrap(said, width, "  ", "    ")
    if episode.user.get("switch"):
        lines += _block("change of mind", episode.user["switch"], width)
    if episode.world.get("events"):
        lines += _block("events", {"": episode.world["events"]}, width)
    for step, action in enumerate(actions_from(episode.reference), 1):
        lines += [_rule(f"reference, step {step}", width), render_action(action, width)]
    return "\n".join(lines)


def _block(title: str, value: Mapping[str, Any], width: int) -> list[str]:
    body = _render_facts(value, width - 2, None)
    return [f"{title}:", *("  " + line for line in body)]


def render_score(score: Score, width: int | None = None) -> str:
    """The reward, its parts and every check."""
    width = width or terminal_width()
    lines = [
        f"{'PASSED' if score.passed else 'not passed'}: reward {score.reward:.2f} "
        f"(task {score.r_task:.2f}, efficiency {score.r_eff:.2f}, "
        f"hallucination {score.r_hall:.2f})",
        f"{score.termination} after {score.steps} steps, {score.effective_steps} of them counted "
        f"(par {score.par_turns})" + (f"; {score.verdict}" if score.verdict != "valid" else ""),
    ]
    if score.message:
        lines += wrap(score.message, width, "  ")
    for check in score.checks:
        detail = f": {check.detail}" if check.detail else ""
        mark = "[x]" if check.passed else "[ ]"
        lines += wrap(f"{check.name}{detail}", width, f"  {mark} ", "      ")
    return "\n".join(lines)
