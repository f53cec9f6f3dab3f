"""Records as HTML: in a notebook, and in the report.

Everything that comes from data is escaped, cut to a sane length, and never used as an attribute,
an id or a style. The functions take the records of :mod:`ecomkit.core.records` (or a Session) by
the names of their fields.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape as _escape
from typing import Any

TEXT_LIMIT = 4000
"""Characters shown of one text."""
MESSAGE_LIMIT = 400
"""Messages shown of one conversation."""
_ROWS, _COLUMNS, _DEPTH = 20, 9, 8
_REQUIREMENT = frozenset({"attribute", "op", "value"})

STYLE = """
.ek{--ek-line:rgba(128,128,128,.4);--ek-soft:rgba(128,128,128,.1);--ek-dim:#5a6068;
--ek-accent:#0b5fa5;--ek-good:#0a6b4f;--ek-bad:#a33c00;--ek-mark:rgba(230,120,0,.14);
line-height:1.45;overflow-wrap:anywhere}
@media (prefers-color-scheme:dark){.ek{--ek-dim:#a5adb6;--ek-accent:#74bbf7;--ek-good:#4fd0a7;
--ek-bad:#ffa260;--ek-mark:rgba(255,162,96,.16)}}
[data-jp-theme-light="true"] .ek,.vscode-light .ek{--ek-dim:#5a6068;--ek-accent:#0b5fa5;
--ek-good:#0a6b4f;--ek-bad:#a33c00;--ek-mark:rgba(230,120,0,.14)}
[data-jp-theme-light="false"] .ek,.vscode-dark .ek{--ek-dim:#a5adb6;--ek-accent:#74bbf7;
--ek-good:#4fd0a7;--ek-bad:#ffa260;--ek-mark:rgba(255,162,96,.16)}
.ek .ek-head{font-weight:600;margin:.3em 0}
.ek .ek-dim{color:var(--ek-dim)}
.ek .ek-good{color:var(--ek-good)}.ek .ek-bad{color:var(--ek-bad)}
.ek .ek-say{white-space:pre-wrap;margin:.1em 0}
.ek ol.ek-talk{list-style:none;margin:.5em 0;padding:0}
.ek ol.ek-talk>li{margin:.35em 0;padding:.3em .6em;border-left:3px solid var(--ek-line)}
.ek li.ek-user{background:var(--ek-soft)}
.ek ol.ek-talk>li.ek-agent{border-left-color:var(--ek-accent)}
.ek ol.ek-talk>li.ek-tool{margin-left:1.2em}
.ek ol.ek-talk>li.ek-decisive{border-left:6px solid var(--ek-bad);background:var(--ek-mark)}
.ek .ek-who{font-size:.8em;font-weight:600;color:var(--ek-dim);margin-right:.6em}
.ek .ek-badge{font-size:.8em;font-weight:700;color:var(--ek-bad);border:1px solid;
border-radius:3px;padding:0 .4em;white-space:nowrap}
.ek code,.ek pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.88em}
.ek pre{white-space:pre-wrap;margin:.2em 0}
.ek .ek-call{margin:.1em 0}
.ek .ek-wide{overflow-x:auto;max-width:100%}
.ek table.ek-t{border-collapse:collapse;margin:.4em 0;font-size:.92em}
.ek table.ek-t caption{text-align:left;color:var(--ek-dim);padding:.2em 0}
.ek table.ek-t th,.ek table.ek-t td{border-bottom:1px solid var(--ek-line);padding:.2em .55em;
text-align:left;vertical-align:top;background:none;overflow-wrap:normal}
.ek table.ek-t th{font-weight:600}
.ek table.ek-t .ek-num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.ek details>summary{cursor:pointer}
.ek dl.ek-d{margin:.1em 0}.ek dl.ek-d>div{margin:.1em 0}
.ek dl.ek-d dt{color:var(--ek-dim);font-weight:400;display:inline}
.ek dl.ek-d dd{margin:0;display:inline}.ek dl.ek-d dd>*{margin-left:.9em}
.ek dl.ek-d dd>span{margin-left:0}
.ek ol.ek-list{margin:.1em 0;padding-left:1.2em}
.ek ul.ek-list{margin:.2em 0;padding-left:1.2em}
"""


def clean(value: Any, limit: int = TEXT_LIMIT) -> str:
    """Text without control, direction-changing and half characters, cut to ``limit``."""
    text = value if isinstance(value, str) else str(value)
    more = len(text) - limit
    text = "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\N{MIDDLE DOT}"
        for c in text[:limit].replace("\r\n", "\n")
    )
    return f"{text}… ({more:,} more characters)" if more > 0 else text


def esc(value: Any, limit: int = TEXT_LIMIT) -> str:
    """``value`` as text that HTML shows and never runs."""
    return _escape(clean(value, limit), quote=True)


def block(*parts: str) -> str:
    """Parts as one piece of HTML with its style, which can stand in any page or cell."""
    return f"<style>{STYLE}</style><div class='ek'>{''.join(parts)}</div>"


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    caption: str = "",
    numeric: Sequence[int] = (),
) -> str:
    """A table whose first column names the row. Cells and heads are HTML, made by the caller.

    Args:
        numeric: columns aligned right.
    """

    def mark(index: int) -> str:
        return " class='ek-num'" if index in numeric else ""

    top = "".join(f"<th scope='col'{mark(i)}>{head}</th>" for i, head in enumerate(heads))
    body = []
    for row in rows:
        cells = [f"<th scope='row'{mark(0)}>{row[0]}</th>"]
        cells += [f"<td{mark(i)}>{cell}</td>" for i, cell in enumerate(row) if i]
        body.append(f"<tr>{''.join(cells)}</tr>")
    said = f"<caption>{caption}</caption>" if caption else ""
    # A region that scrolls must be reachable by keyboard.
    return (
        "<div class='ek-wide' tabindex='0' role='group'>"
        f"<table class='ek-t'>{said}<thead><tr>{top}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def value(data: Any, titles: Mapping[str, str] | None = None, depth: int = 0, key: str = "") -> str:
    """Any JSON value: a list of names and values, a table for rows, text for the rest.

    Args:
        titles: product titles by id, shown beside the ids.
        key: the name the value stands under; ``*_cents`` is shown as money.
    """
    if isinstance(data, bool):
        return "yes" if data else "no"
    if data is None or data == "" or data == [] or data == {}:
        return "–"
    if isinstance(data, str):
        name = (titles or {}).get(data)
        return f"<span class='ek-say'>{esc(data)}</span>" + (
            f" <span class='ek-dim'>({esc(name, 120)})</span>" if name else ""
        )
    if isinstance(data, int | float):
        return _number(key, data)
    if isinstance(data, Mapping) and data.keys() == _REQUIREMENT:
        return _requirement(data)
    if depth >= _DEPTH:
        return f"<code>{esc(_json(data), 400)}</code>"
    if isinstance(data, Mapping):
        pairs = "".join(
            f"<div><dt>{_label(name)}:</dt> <dd>{value(item, titles, depth + 1, str(name))}</dd>"
            "</div>"
            for name, item in list(data.items())[: 3 * _ROWS]
        )
        return f"<dl class='ek-d'>{pairs}</dl>"
    if isinstance(data, list | tuple):
        if all(isinstance(item, Mapping) for item in data):
            return _rows(data, titles, depth)
        if all(not isinstance(item, Mapping | list | tuple) for item in data):
            shown = [value(item, titles, depth + 1, key) for item in data[: 3 * _ROWS]]
            more = f" and {len(data) - len(shown)} more" if len(data) > len(shown) else ""
            return ", ".join(shown) + more
        items = "".join(f"<li>{value(item, titles, depth + 1, key)}</li>" for item in data[:_ROWS])
        return f"<ul class='ek-list'>{items}</ul>"
    return esc(repr(data), 400)


def _rows(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str] | None, depth: int) -> str:
    if all(row.keys() == _REQUIREMENT for row in rows):
        return "; ".join(_requirement(row) for row in rows[:_ROWS])
    names = list(dict.fromkeys(str(name) for row in rows[:_ROWS] for name in row))
    flat = not any(
        isinstance(item, Mapping | list | tuple) and item
        for row in rows[:_ROWS]
        for item in row.values()
    )
    if not names or len(names) > _COLUMNS or not flat:
        items = "".join(f"<li>{value(row, titles, depth + 1)}</li>" for row in rows[:_ROWS])
        more = f"<li>and {len(rows) - _ROWS} more</li>" if len(rows) > _ROWS else ""
        return f"<ol class='ek-list'>{items}{more}</ol>"
    cells = [
        [value(row.get(name), titles, depth + 1, name) for name in names] for row in rows[:_ROWS]
    ]
    if len(rows) > _ROWS:
        cells.append([f"and {len(rows) - _ROWS} more", *[""] * (len(names) - 1)])
    numeric = [
        i
        for i, name in enumerate(names)
        if all(isinstance(row.get(name), int | float) for row in rows[:_ROWS])
    ]
    return table([_label(name) for name in names], cells, numeric=numeric)


def _requirement(data: Mapping[str, Any]) -> str:
    """A constraint in words: ``price ≤ $75.00``."""
    name, bound = str(data["attribute"]), data["value"]
    if isinstance(bound, list | tuple):
        said = " to ".join(_plain(end, name) for end in bound[:2])
    else:
        said = _plain(bound, name)
    sign = {"eq": "=", "le": "≤", "ge": "≥", "between": "from"}.get(str(data["op"]))
    return f"{_label(name)} {sign or esc(data['op'], 40)} {said}"


def _plain(data: Any, key: str) -> str:
    if isinstance(data, int | float) and not isinstance(data, bool):
        return _number(key, data)
    return esc(data if isinstance(data, str) else _json(data), 200)


def _number(key: str, number: float) -> str:
    # A whole number may have any number of digits, and repr of it then fails.
    if not -1e15 < number < 1e15:
        return "a huge number"
    if key.endswith("_cents"):
        cents = round(number)
        sign = "-" if cents < 0 else ""
        return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02d}"
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _label(name: Any) -> str:
    return esc(str(name).removesuffix("_cents").replace("_", " "), 60)


def _json(data: Any) -> str:
    try:
        return json.dumps(data, ensure_ascii=False, default=repr)
    except (ValueError, RecursionError, TypeError):
        return "data that cannot be shown"


def _loaded(content: Any) -> Any:
    if isinstance(content, str) and content.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            return content
    return content


# --- conversations ---------------------------------------------------------------------------


def product_titles(messages: Iterable[Any]) -> dict[str, str]:
    """Titles by product id, as far as tool results in the messages name them."""
    found: dict[str, str] = {}
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") != "tool":
            continue
        stack = [(_loaded(message.get("content")), 0)]
        while stack:
            item, depth = stack.pop()
            if isinstance(item, Mapping):
                product, title = item.get("product_id"), item.get("title")
                if isinstance(product, str) and isinstance(title, str):
                    found.setdefault(product, title)
                children: Iterable[Any] = item.values()
            elif isinstance(item, list):
                children = item[:200]
            else:
                continue
            if depth < 5:
                stack.extend((child, depth + 1) for child in children)
    return found


def conversation(
    messages: Iterable[Any], decisive_step: int | None = None, why: str = "decisive step"
) -> str:
    """Chat messages in OpenAI form as a list that reads from top to bottom.

    Args:
        messages: of any quality: what is malformed is shown as the text it is.
        decisive_step: the step to mark, counted from 1.
        why: the words of the mark.
    """
    items: list[str] = []
    step = shown = 0
    rest = 0
    titles: dict[str, str] = {}
    for message in messages:
        if shown >= MESSAGE_LIMIT:
            rest += 1
            continue
        shown += 1
        if not isinstance(message, Mapping):
            items.append(_item("tool", "unreadable", f"<pre>{esc(_json(message), 400)}</pre>"))
            continue
        role = message.get("role")
        if role == "assistant":
            step += 1
            marked = step == decisive_step
            badge = f" <span class='ek-badge'>▲ {esc(why, 80)}</span>" if marked else ""
            classes = "agent ek-decisive" if marked else "agent"
            items.append(_item(classes, f"agent, step {step}", _action(message, titles), badge))
        elif role == "user":
            items.append(_item("user", "customer", _text(message.get("content"))))
        elif role == "tool":
            titles |= product_titles([message])
            items.append(_item("tool", "", _result(message)))
        else:
            who = esc(role or "message", 40)
            said = f"<details><summary>{who}</summary>{_text(message.get('content'))}</details>"
            items.append(_item("tool", "", said))
    if decisive_step is not None and decisive_step > step:
        items.append(_item("tool ek-decisive", f"after step {step}", "", f"{esc(why, 80)}"))
    if rest:
        items.append(_item("tool", "", f"<span class='ek-dim'>{rest:,} more messages</span>"))
    return f"<ol class='ek-talk' role='list'>{''.join(items)}</ol>"


def _item(classes: str, who: str, body: str, badge: str = "") -> str:
    label = f"<span class='ek-who'>{who}</span>" if who else ""
    return f"<li class='ek-{classes}'>{label}{badge}{body}</li>"


def _text(content: Any) -> str:
    if isinstance(content, list | tuple):  # parts, as some chat logs have them
        content = "\n".join(
            str(part.get("text", "")) if isinstance(part, Mapping) else str(part)
            for part in content[:50]
        )
    if content is None or content == "":
        return ""
    text = content if isinstance(content, str) else _json(content)
    return f"<div class='ek-say'>{esc(text)}</div>"


def _action(message: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """What one step says and calls, also where it is the single JSON object."""
    content, calls = message.get("content"), message.get("tool_calls")
    parts = []
    loaded = _loaded(content)
    if isinstance(loaded, Mapping) and loaded.keys() & {"assistant_message", "answer"}:
        content = loaded.get("assistant_message")
        made = loaded.get("tool_calls")
        calls = [
            {"function": {"name": item.get("name"), "arguments": item.get("args")}}
            for item in (made if isinstance(made, list) else [])
            if isinstance(item, Mapping)
        ]
        if "answer" in loaded:
            calls.append({"function": {"name": "submit_answer", "arguments": loaded["answer"]}})
    parts.append(_text(content))
    if isinstance(calls, list | tuple):
        parts += [_call(call, titles) for call in calls[:100]]
    elif calls is not None:
        parts.append(f"<pre>{esc(_json(calls), 400)}</pre>")
    return "".join(parts) or "<span class='ek-dim'>(nothing)</span>"


def _call(call: Any, titles: Mapping[str, str]) -> str:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        return f"<pre>{esc(_json(call), 400)}</pre>"
    arguments = _loaded(function.get("arguments"))
    if isinstance(arguments, Mapping):
        inner = ", ".join(
            f"<span class='ek-dim'>{esc(name, 60)}=</span>{esc(_json(item), 1000)}"
            f"{_named(item, titles)}"
            for name, item in list(arguments.items())[:40]
        )
    else:
        inner = esc(arguments, 1000)
    name = esc(function.get("name"), 80)
    return f"<div class='ek-call'>→ <code><b>{name}</b>({inner})</code></div>"


def _named(item: Any, titles: Mapping[str, str]) -> str:
    title = titles.get(item) if isinstance(item, str) else None
    return f" <span class='ek-dim'>{esc(title, 80)}</span>" if title else ""


def _result(message: Mapping[str, Any]) -> str:
    content = _loaded(message.get("content"))
    name = esc(message.get("name") or "result", 80)
    if not isinstance(content, Mapping):
        return f"<span class='ek-who'>{name}</span>{_text(content)}"
    if content.get("error"):
        said = content.get("message") or content["error"]
        return f"<span class='ek-who'>{name}</span><span class='ek-bad'>✗ {esc(said, 400)}</span>"
    if all(not isinstance(item, Mapping | list | tuple) for item in content.values()):
        short = " · ".join(
            f"{_label(key)}: {esc(item, 600) if isinstance(item, str) else value(item, key=key)}"
            for key, item in list(content.items())[:20]
        )
        return f"<span class='ek-who'>{name}</span>{short}"
    counts = [
        esc(content[key], 100) if key != "price_cents" else value(content[key], key=key)
        for key in ("title", "price_cents", "order_id", "status")
        if isinstance(content.get(key), str | int)
    ]
    counts += [
        f"{len(item)} {_label(key)}"
        for key, item in list(content.items())[:20]
        if isinstance(item, list | tuple)
    ]
    summary = f"<summary><span class='ek-who'>{name}</span>{', '.join(counts)}</summary>"
    return f"<details>{summary}{value(content)}</details>"


# --- records ---------------------------------------------------------------------------------


def facts(pairs: Iterable[tuple[str, Any]], caption: str = "") -> str:
    """A small table of names and values."""
    rows = [[esc(name, 60), value(item)] for name, item in pairs]
    return table(["", ""], rows, esc(caption, 200)).replace(
        "<thead><tr><th scope='col'></th><th scope='col'></th></tr></thead>", ""
    )


def episode_facts(episode: Any) -> str:
    """The frame of an episode in one small table."""
    return facts(
        [
            ("environment", f"{episode.environment} in {episode.department}"),
            ("difficulty", episode.difficulty),
            ("steps allowed", episode.max_turns),
            ("calls a step", episode.tool_budget),
            ("par", f"{episode.par_turns} steps (honest agent {episode.honest_turns})"),
        ],
        episode.episode_id,
    )


def wishes(episode: Any) -> str:
    """What the customer knows, sentence by sentence, and the change of mind if there is one."""
    slots = episode.user.get("slots", ()) if isinstance(episode.user, Mapping) else ()
    items = []
    for slot in slots:
        if isinstance(slot, Mapping):
            when = "opening" if slot.get("opening") else "when asked"
            said = esc(slot.get("statement") or slot.get("key"), 600)
            items.append(f"<li>{said} <span class='ek-dim'>({when})</span></li>")
    switch = episode.user.get("switch") if isinstance(episode.user, Mapping) else None
    if isinstance(switch, Mapping):
        after = esc(switch.get("after_step"), 20)
        said = esc(switch.get("text") or switch.get("statement"), 600)
        items.append(f"<li>{said} <span class='ek-dim'>(after step {after})</span></li>")
    return f"<ul class='ek-list'>{''.join(items)}</ul>" if items else ""


def goal(episode: Any, titles: Mapping[str, str] | None = None) -> str:
    """What the customer wants, in words and as the verifier reads it."""
    said = wishes(episode)
    words = f"<div class='ek-head'>What the customer wants</div>{said}" if said else ""
    return f"{words}<div class='ek-head'>Goal</div>{value(_filled(episode.goal), titles)}"


def _filled(data: Any, depth: int = 0) -> Any:
    """Without the names whose value is null or empty."""
    if depth > _DEPTH:
        return data
    if isinstance(data, Mapping):
        kept = {name: _filled(item, depth + 1) for name, item in data.items()}
        return {n: item for n, item in kept.items() if not (item is None or item in ("", [], {}))}
    if isinstance(data, list | tuple):
        return [_filled(item, depth + 1) for item in data]
    return data


def episode(episode: Any) -> str:
    """An episode: its frame, the opening, and what is hidden from the agent, folded."""
    names = [
        tool.get("function", tool).get("name", "?")
        for tool in episode.tools or ()
        if isinstance(tool, Mapping) and isinstance(tool.get("function", tool), Mapping)
    ]
    hidden = f"<details><summary>hidden from the agent</summary>{goal(episode)}</details>"
    tools = f"<details><summary>{len(names)} tools</summary>{esc(', '.join(names))}</details>"
    return block(episode_facts(episode), conversation(episode.prompt), tools, hidden)


def trajectory(trajectory: Any) -> str:
    """A trajectory: who played what, then the conversation."""
    agent = trajectory.agent or "an unnamed agent"
    head = f"{esc(agent, 120)}, trial {esc(trajectory.trial, 20)}, on {esc(trajectory.episode_id)}"
    return block(f"<div class='ek-head'>{head}</div>", conversation(trajectory.messages))


def score_table(score: Any) -> str:
    """The reward, its parts and every check."""
    mark = "<b class='ek-good'>✓ passed</b>" if score.passed else "<b class='ek-bad'>✗ failed</b>"
    ended = score.termination + (f", {score.verdict}" if score.verdict != "valid" else "")
    pairs = [
        ["outcome", mark],
        ["reward", f"{score.reward:.2f}"],
        ["task · efficiency · ids", f"{score.r_task:.2f} · {score.r_eff:.2f} · {score.r_hall:.2f}"],
        ["ended", esc(ended, 200)],
        ["steps", f"{score.steps}, {score.effective_steps} counted (par {score.par_turns})"],
    ]
    if score.labels:
        pairs.append(["labels", esc(", ".join(score.labels).replace("_", " "), 600)])
    if score.first_decisive_step is not None:
        pairs.append(["decisive step", esc(score.first_decisive_step, 20)])
    if score.message:
        pairs.append(["message", esc(score.message, 600)])
    head = table(["", ""], pairs, esc(score.episode_id, 200)).replace(
        "<thead><tr><th scope='col'></th><th scope='col'></th></tr></thead>", ""
    )
    return head + checks(score.checks)


def checks(found: Iterable[Any]) -> str:
    """Checks with a mark each."""
    items = []
    for check in found:
        mark = "<b class='ek-good'>✓</b>" if check.passed else "<b class='ek-bad'>✗</b>"
        detail = f" <span class='ek-dim'>{esc(check.detail, 400)}</span>" if check.detail else ""
        items.append([f"{mark} {esc(check.name, 120)}", detail])
    return table(["check", "detail"], items) if items else ""


def score(score: Any) -> str:
    """A score as a small table."""
    return block(score_table(score))


def session(session: Any) -> str:
    """A session: frame, conversation so far, and the score once it is over."""
    state = (
        f"over after {session.steps} steps ({esc(session.termination)})"
        if session.done
        else f"{session.steps} of {session.max_turns} steps taken"
    )
    talk = (
        conversation(session.messages)
        if session.messages
        else "<p class='ek-dim'>this session keeps no messages (record=False)</p>"
    )
    end = score_table(session.score()) if session.done else ""
    return block(episode_facts(session.episode), f"<div class='ek-head'>{state}</div>", talk, end)
