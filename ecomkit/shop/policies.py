"""The shop's rules: figures drawn for an episode, the text they make, the answers they give.

The rules are data (``policy_rules.toml``). Every episode draws their figures anew
(:func:`draw_policy`), so that no figure can be memorised. The same rule object renders the
passage that a shop would publish (:func:`passage`) and computes the answer of a case
(:func:`evaluate`), so text and answer cannot drift apart.

A *case* is a dict of facts by field, such as ``{"tier": "Gold", "order_total": 12050}``; a field
that is absent has its ordinary value (a Standard member, an address in the contiguous US, an
unopened package …). Money is in cents.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from math import isqrt
from typing import Any

from ecomkit.core.errors import DrawFailed, EcomkitError, UnknownName
from ecomkit.core.seeds import Rng, digest, rng

TIERS: tuple[str, ...] = ("Standard", "Silver", "Gold", "Platinum")
"""Membership tiers, lowest first."""

REGIONS: tuple[str, ...] = ("Contiguous US", "Alaska or Hawaii", "US territory", "Canada")
"""Address regions; the first is the ordinary one."""

CONDITIONS: tuple[str, ...] = ("unopened", "opened", "used", "missing parts", "defective")
"""What an item that comes back can be like; the first is the ordinary one."""

GROUPS: tuple[str, ...] = ("one", "two", "three", "final")
"""Lists of departments that a policy draws; ``final`` holds those on final sale."""

Policy = Mapping[str, Any]
Case = Mapping[str, Any]

_TIME_UNITS = {"days": "day", "hours": "hour", "months": "month"}
_COUNT_UNITS = {"items": "item", "points": "point"}


class PolicyError(EcomkitError):
    """A rule or a policy that does not make sense."""


@dataclass(frozen=True, slots=True)
class Range:
    """Whole numbers from ``low`` to ``high`` in steps of ``step``."""

    low: int
    high: int
    step: int = 1

    def draw(self, draw: Rng) -> int:
        """One of the numbers, each as likely."""
        return self.low + self.step * draw.below((self.high - self.low) // self.step + 1)

    @property
    def middle(self) -> int:
        """The number in the middle, the lower one of two."""
        return self.low + self.step * ((self.high - self.low) // self.step // 2)


@dataclass(frozen=True, slots=True)
class Modifier:
    """``field`` equal to ``value`` (or at least a drawn threshold) changes the figure."""

    field: str
    value: str
    """A value of the field, a department group, or empty for a threshold."""
    threshold: Range | None
    effect: str
    amount: Range


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the shop. ``unit`` is cents, percent, days, hours, months, items, points,
    ``choice`` (a drawn option) or ``terms`` (no answer of its own)."""

    key: str
    topic: str
    title: str
    unit: str
    base: Range | None
    text: tuple[str, ...]
    ask: tuple[str, ...]
    words: str
    modifiers: tuple[Modifier, ...]
    options: tuple[str, ...]
    chain: tuple[tuple[str, str], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the rule looks at, each once, in the order of its text."""
        names = [modifier.field for modifier in self.modifiers] or [f for f, _ in self.chain]
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class _Data:
    rules: dict[str, Rule]
    dims: dict[str, Any]
    effects: dict[str, dict[str, list[str]]]
    hash: str


def _range(text: str) -> Range:
    body, _, step = text.strip().partition("/")
    low, _, high = body.partition("..")
    made = Range(int(low), int(high), int(step or 1))
    if made.high < made.low or made.step < 1:
        raise PolicyError(f"bad range {text!r}: expected 'low..high' or 'low..high/step'")
    return made


_MODIFIER = re.compile(r"^(\w+)(=|>=)(.+): (add|sub|scale|cap|set) (\S+)$")


def _modifier(text: str, rule: str) -> Modifier:
    match = _MODIFIER.match(text)
    if match is None:
        raise PolicyError(
            f"rule {rule!r}: bad modifier {text!r}; expected 'field=value: effect low..high'"
        )
    name, sign, value, effect, amount = match.groups()
    threshold = _range(value) if sign == ">=" else None
    return Modifier(name, "" if threshold else value, threshold, effect, _range(amount))


@cache
def _data() -> _Data:
    """The rules file, parsed once in a process.

    Raises:
        PolicyError: if the file names a field or a value that it does not define.
    """
    raw = tomllib.loads(
        (resources.files("ecomkit.shop") / "policy_rules.toml").read_text(encoding="utf-8")
    )
    dims = raw["dim"]
    rules: dict[str, Rule] = {}
    for entry in raw["rule"]:
        key = entry["key"]
        chain = tuple(
            (name, value) for name, _, value in (c.partition("=") for c in entry.get("chain", ()))
        )
        rule = Rule(
            key=key,
            topic=entry["topic"],
            title=entry["title"],
            unit=entry["unit"],
            base=_range(entry["base"]) if "base" in entry else None,
            text=tuple(entry["text"]),
            ask=tuple(entry.get("ask", ())),
            words=entry.get("words", ""),
            modifiers=tuple(_modifier(text, key) for text in entry.get("mods", ())),
            options=tuple(entry.get("options", ())),
            chain=chain,
        )
        for name, value in [*((m.field, m.value) for m in rule.modifiers), *chain]:
            if name == "department":
                known = value in GROUPS
            else:
                known = name in dims and (not value or value in dims[name].get("values", ()))
            if not known:
                raise PolicyError(f"rule {key!r}: unknown condition {name}={value}")
        if key in rules:
            raise PolicyError(f"rule {key!r} is there twice")
        rules[key] = rule
    return _Data(rules, dims, raw["effect"], digest(raw))


def rules() -> Mapping[str, Rule]:
    """Every rule by its key, in the order of the documents."""
    return _data().rules


def question_kinds() -> tuple[str, ...]:
    """The keys of the rules that questions can be asked about."""
    return tuple(key for key, rule in rules().items() if rule.unit != "terms")


def topics() -> tuple[str, ...]:
    """The topics of the documents, in order."""
    return tuple(dict.fromkeys(rule.topic for rule in rules().values()))


def rule_of(kind: str) -> Rule:
    """The rule with this key.

    Raises:
        UnknownName: if there is none.
    """
    rule = rules().get(kind)
    if rule is None:
        raise UnknownName("policy rule", kind, rules())
    return rule


# Figures


def _default_figures(rule: Rule) -> list[int]:
    if rule.options:
        return list(range(len(rule.chain) + 1))
    figures = [rule.base.middle] if rule.base else []
    for modifier in rule.modifiers:
        if modifier.threshold is not None:
            figures.append(modifier.threshold.middle)
        figures.append(modifier.amount.middle)
    return figures


@cache
def default_policy() -> Policy:
    """The policy of a world that states none: every figure in the middle of its range, and no
    department with a rule of its own."""
    return {
        "style": 0,
        "groups": {},
        "figures": {key: _default_figures(rule) for key, rule in rules().items()},
    }


def draw_policy(
    draw: Rng, departments: Sequence[str] = (), focus: str | None = None, group: str | None = None
) -> dict[str, Any]:
    """Figures for one episode, as the JSON object that a world stores under ``policy``.

    Args:
        draw: the generator; the same one gives the same policy.
        departments: the catalog's departments, from which lists with rules of their own are
            drawn; without them no rule depends on the department.
        focus: a department that the episode is about.
        group: the list that ``focus`` stands in: one of :data:`GROUPS`, ``""`` for none of
            them, or None to draw it (each of ``one``, ``two``, ``three`` and none as likely).
    """
    if group is not None and group not in ("", *GROUPS):
        raise UnknownName("department group", group, GROUPS)
    style = draw.below(6)
    where = draw.choice(("one", "two", "three", ""))
    if group is not None:
        where = group
    others = draw.shuffled([name for name in departments if name != focus])
    size = min(4, max(1, len(departments) // 8)) if departments else 0
    groups: dict[str, list[str]] = {}
    for name in GROUPS:
        members, others = others[:size], others[size:]
        if focus is not None and name == where:
            members = [*members[: max(0, size - 1)], focus]
        groups[name] = sorted(members)
    figures: dict[str, list[int]] = {}
    for key, rule in rules().items():
        if rule.options:
            order = draw.shuffled(range(len(rule.options)))
            figures[key] = order[: len(rule.chain) + 1]
            continue
        drawn = [rule.base.draw(draw)] if rule.base else []
        for modifier in rule.modifiers:
            if modifier.threshold is not None:
                drawn.append(modifier.threshold.draw(draw))
            drawn.append(modifier.amount.draw(draw))
        figures[key] = drawn
    return {"style": style, "groups": groups, "figures": figures}


def policy_hash(policy: Policy | None = None) -> str:
    """Hex SHA-256 of the rules file together with the figures of ``policy`` (if one is given)."""
    return digest([_data().hash, policy])


def _figures(policy: Policy | None, rule: Rule) -> Sequence[int]:
    stated = (policy or {}).get("figures", {}).get(rule.key)
    return default_policy()["figures"][rule.key] if stated is None else stated


def _group(policy: Policy | None, name: str) -> Sequence[str]:
    return ((policy or {}).get("groups") or {}).get(name, ())


# Evaluation


def _key(value: Any) -> str:
    """A fact's value as the rules file spells it."""
    if value is True:
        return "true"
    return "" if value is None or value is False else str(value)


def _meets(policy: Policy | None, case: Case, modifier: Modifier, threshold: int) -> bool:
    fact = case.get(modifier.field)
    if fact is None:
        return False
    if modifier.threshold is not None:
        return not isinstance(fact, str) and fact >= threshold
    if modifier.field == "department":
        wanted = str(fact).casefold()
        return any(name.casefold() == wanted for name in _group(policy, modifier.value))
    return _key(fact) == modifier.value


def evaluate(policy: Policy | None, kind: str, case: Case) -> int | str:
    """The answer of a case: a whole number in the rule's unit, or the option of a choice rule.

    Additions and subtractions come first, then percentages (together, rounded down once), then
    upper limits, then a fixed figure; never less than 0.

    Raises:
        UnknownName: if ``kind`` is no rule.
        PolicyError: if the rule has no answer of its own.
    """
    rule = rule_of(kind)
    figures = _figures(policy, rule)
    if rule.options:
        depth = 0
        for name, value in rule.chain:
            if _key(case.get(name)) != value:
                break
            depth += 1
        return rule.options[figures[depth]]
    if rule.unit == "terms":
        raise PolicyError(f"rule {kind!r} has no answer of its own; see eligibility()")
    total = figures[0]
    percent = parts = 1
    limit: int | None = None
    fixed: int | None = None
    at = 1
    for modifier in rule.modifiers:
        threshold = 0
        if modifier.threshold is not None:
            threshold = figures[at]
            at += 1
        amount = figures[at]
        at += 1
        if not _meets(policy, case, modifier, threshold):
            continue
        if modifier.effect == "add":
            total += amount
        elif modifier.effect == "sub":
            total -= amount
        elif modifier.effect == "scale":
            percent *= amount
            parts *= 100
        elif modifier.effect == "cap":
            limit = amount if limit is None else min(limit, amount)
        else:
            fixed = amount
    if fixed is not None:
        return fixed
    total = max(0, total) * percent // parts
    return total if limit is None else min(total, limit)


def thresholds(policy: Policy | None, kind: str) -> list[tuple[str, int]]:
    """The fields of a rule that count from an amount on, with that amount in this policy."""
    rule = rule_of(kind)
    figures = _figures(policy, rule)
    found = []
    at = 1
    for modifier in rule.modifiers:
        if modifier.threshold is not None:
            found.append((modifier.field, figures[at]))
            at += 1
        at += 1
    return found


def turns_on(policy: Policy | None, kind: str, case: Case) -> tuple[str, ...]:
    """The fields of ``case`` without which the answer would be another, in the case's order."""
    answer = evaluate(policy, kind, case)
    return tuple(name for name in case if evaluate(policy, kind, _without(case, name)) != answer)


def _without(case: Case, name: str) -> dict[str, Any]:
    return {key: value for key, value in case.items() if key != name}


# Drawing questions


def _facts(
    policy: Policy | None, rule: Rule, draw: Rng, department: str | None, effects: frozenset[str]
) -> dict[str, list[Any]]:
    """By field, the values that would trigger a modifier of the rule."""
    figures = _figures(policy, rule)
    found: dict[str, list[Any]] = {}
    at = 1
    for modifier in rule.modifiers:
        threshold = 0
        if modifier.threshold is not None:
            threshold = figures[at]
            at += 1
        at += 1
        if modifier.effect not in effects:
            continue
        if modifier.threshold is not None:
            unit = _data().dims[modifier.field]["unit"]
            spread = threshold // 3 if unit == "cents" else max(2, threshold // 4)
            value: Any = threshold + draw.below(spread + 1)
        elif modifier.field == "department":
            names = _group(policy, modifier.value)
            if department is not None:
                names = [name for name in names if name == department]
            if not names:
                continue
            value = draw.choice(names)
        else:
            value = True if modifier.value == "true" else modifier.value
        found.setdefault(modifier.field, []).append(value)
    return found


_ALL_EFFECTS = frozenset({"add", "sub", "scale", "cap", "set"})


def draw_case(
    draw: Rng,
    policy: Policy,
    clauses: int,
    kinds: Sequence[str] | None = None,
    department: str | None = None,
    tries: int = 60,
) -> tuple[str, dict[str, Any]]:
    """A question and a case whose answer turns on exactly ``clauses`` facts.

    Args:
        draw: the generator.
        policy: the episode's policy.
        clauses: how many facts the case has, each of which changes the answer (1 to 5).
        kinds: rule keys to choose from; all that can be asked about if None.
        department: where a department matters, only this one is used if given.
        tries: how many draws before giving up.

    Returns:
        The rule's key and the facts; ``evaluate(policy, key, facts)`` is the answer, more than 0.

    Raises:
        DrawFailed: if no such case was found (more clauses than the rules have conditions).
    """
    choices = list(kinds) if kinds is not None else list(question_kinds())
    for _ in range(tries):
        rule = rule_of(draw.choice(choices))
        if rule.options:
            if len(rule.chain) < clauses:
                continue
            facts: dict[str, Any] = {
                name: True if value == "true" else value for name, value in rule.chain[:clauses]
            }
        else:
            values = _facts(policy, rule, draw, department, _ALL_EFFECTS)
            if len(values) < clauses:
                continue
            facts = {name: draw.choice(values[name]) for name in draw.sample(list(values), clauses)}
        answer = evaluate(policy, rule.key, facts)
        if answer != 0 and len(turns_on(policy, rule.key, facts)) == clauses:
            return rule.key, facts
    raise DrawFailed(
        f"no policy question with {clauses} condition(s) in {tries} tries; "
        "the axis policy_clauses takes 1 to 5"
    )


def spoken(department: str) -> str:
    """A department's name in a sentence: ``phone-accessories`` becomes ``phone accessories``."""
    return department.replace("-", " ").replace("_", " ")


def _finish(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def say(field: str, value: Any, draw: Rng) -> str:
    """What a customer says to state one fact, as a sentence.

    Raises:
        UnknownName: for a field that the rules do not know.
    """
    return draw.choice(sayings(field, value))


def sayings(field: str, value: Any) -> tuple[str, ...]:
    """All the sentences by which a customer states one fact.

    Raises:
        UnknownName: for a field that the rules do not know.
    """
    if field == "department":
        name = spoken(str(value))
        return (
            f"It's from {name}.",
            f"It's an item from the {name} department.",
            f"The department is {name}.",
        )
    dims = _data().dims
    if field not in dims:
        raise UnknownName("policy field", field, [*dims, "department"])
    dim = dims[field]
    if "unit" in dim:
        figure = _number(value, dim["unit"])
        return tuple(text.replace("{n}", figure) for text in dim["said"])
    entry = dim["values"].get(_key(value))
    if entry is None:
        raise UnknownName(f"value of {field}", value, dim["values"])
    return tuple(entry["said"])


def ask(kind: str, draw: Rng) -> str:
    """A customer's question about a rule, as a sentence without the facts of the case."""
    return draw.choice(rule_of(kind).ask)


def options(kind: str) -> tuple[str, ...]:
    """The possible answers of a choice rule; empty for a rule with a number."""
    return rule_of(kind).options


def _number(value: int, unit: str) -> str:
    """A fact in words: cents as dollars, other units as the bare number."""
    return _money(value) if unit == "cents" else str(value)


def _money(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02d}"


def amount(value: int, unit: str) -> str:
    """A figure with its unit: ``$7.50``, ``15%``, ``1 day``, ``30 days``."""
    if unit == "cents":
        return _money(value)
    if unit == "percent":
        return f"{value}%"
    name = {**_TIME_UNITS, **_COUNT_UNITS}[unit]
    return f"{value} {name if value == 1 else unit}"


# Text


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of the shop's policy, under a topic and a heading."""

    key: str
    topic: str
    title: str
    text: str

    def to_dict(self) -> dict[str, str]:
        """What ``policy_search`` returns of it."""
        return {"topic": self.topic, "title": self.title, "text": self.text}


def _listed(names: Sequence[str], last: str = "or") -> str:
    """Names in a sentence: ``a``, ``a or b``, ``a, b or c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def _condition(policy: Policy | None, field: str, value: str, threshold: int) -> str:
    """A condition as the clause after ``if``; empty for a department list without members."""
    if field == "department":
        names = [spoken(name) for name in _group(policy, value)]
        return f"the item is from {_listed(names)}" if names else ""
    dim = _data().dims[field]
    if "unit" in dim:
        return str(dim["cond"].replace("{n}", _number(threshold, dim["unit"])))
    return str(dim["values"][value]["cond"])


def _effect(rule: Rule, effect: str, value: int, pick: int) -> str:
    kind = rule.unit if rule.unit in ("cents", "percent") else ""
    kind = kind or ("time" if rule.unit in _TIME_UNITS else "count")
    if effect == "scale":
        shown = f"{value}%"
    elif kind == "count" and effect != "set":
        shown = str(value)
    elif rule.unit == "percent" and effect in ("add", "sub"):
        shown = f"{value} percentage point{'' if value == 1 else 's'}"
    else:
        shown = amount(value, rule.unit)
    forms = _data().effects[kind][effect]
    sentence = forms[pick % len(forms)].replace("{x}", shown)
    return sentence.replace(" are ", " is ") if value == 1 else sentence


def passage(policy: Policy | None, key: str) -> Passage:
    """The passage of a rule with the figures of ``policy``: all that the answer needs.

    Raises:
        UnknownName: if there is no such rule.
    """
    rule = rule_of(key)
    figures = _figures(policy, rule)
    style = (policy or {}).get("style", 0)
    order = list(rules()).index(key)
    pick = style + order
    opening = rule.text[pick % len(rule.text)]
    if rule.unit == "terms":
        return Passage(key, rule.topic, rule.title, _terms(policy, rule, opening, figures))
    if rule.options:
        sentences = [opening.replace("{x}", rule.options[figures[0]])]
        conditions: list[str] = []
        for (name, value), chosen in zip(rule.chain, figures[1:], strict=False):
            conditions.append(_condition(policy, name, value, 0))
            sentences.append(
                f"If {_listed(conditions, 'and')}, it is {rule.options[chosen]} instead."
            )
        sentences.append("The last of these sentences that fits your case in full decides.")
        return Passage(key, rule.topic, rule.title, _finish(" ".join(sentences)))
    base = figures[0]
    sentences = [opening.replace("{x}", amount(base, rule.unit)).replace("{n}", str(base))]
    at, count, scales = 1, 0, 0
    for number, modifier in enumerate(rule.modifiers):
        threshold = 0
        if modifier.threshold is not None:
            threshold = figures[at]
            at += 1
        drawn = figures[at]
        at += 1
        condition = _condition(policy, modifier.field, modifier.value, threshold)
        if not condition:
            continue
        count += 1
        scales += modifier.effect == "scale"
        lead = "When" if (pick + number) % 3 == 2 else "If"
        effect = _effect(rule, modifier.effect, drawn, pick + number)
        sentences.append(f"{lead} {condition}, {effect}.")
    if count > 1:
        sentences.append(_together(rule, bool(scales)))
    return Passage(key, rule.topic, rule.title, " ".join(sentences))


def _together(rule: Rule, scales: bool) -> str:
    """How the sentences of a passage work together."""
    if not scales:
        return "Everything that applies counts together; nothing goes below zero."
    unit = {"cents": "cent", "percent": "per cent", **_TIME_UNITS, **_COUNT_UNITS}[rule.unit]
    return (
        "Everything that applies counts together: first add and subtract, then take the "
        f"percentage of the result, rounded down to a whole {unit}."
    )


def _terms(policy: Policy | None, rule: Rule, text: str, figures: Sequence[int]) -> str:
    """The text of a rule without an answer, its lists filled in."""
    names = [spoken(name) for name in _group(policy, "final")]
    joined = _listed(names, "and")
    tiers = list(TIERS[figures[0] :]) if rule.base else []
    return (
        text.replace("{and_departments}", f" and items from {joined}" if names else "")
        .replace("{or_departments}", f" or items from {_listed(names)}" if names else "")
        .replace("{tiers}", f"{_listed(tiers, 'and')} members")
    )


def documents(policy: Policy | None = None) -> dict[str, str]:
    """The shop's documents as published: by topic, Markdown with a heading for each passage."""
    pages: dict[str, list[str]] = {}
    for key, rule in rules().items():
        part = passage(policy, key)
        pages.setdefault(rule.topic, [f"# {rule.topic}"]).append(f"## {part.title}\n\n{part.text}")
    return {topic: "\n\n".join(parts) + "\n" for topic, parts in pages.items()}


# Reading


@dataclass(frozen=True, slots=True)
class Reading:
    """What a passage says, got from its words alone: the inverse of :func:`passage`.

    ``changes`` holds ``(field, value or threshold or department names, effect, figure)`` of a
    rule with a number; ``steps`` the ``(conditions, option)`` of a choice, in order.
    """

    unit: str
    base: int | str
    changes: tuple[tuple[str, Any, str, int], ...] = ()
    steps: tuple[tuple[tuple[tuple[str, str], ...], str], ...] = ()

    @property
    def fields(self) -> frozenset[str]:
        """The fields that the passage has conditions on."""
        return frozenset(
            [change[0] for change in self.changes]
            + [name for conditions, _ in self.steps for name, _ in conditions]
        )

    def answer(self, case: Case) -> int | str:
        """What the passage says of a case: a number in the rule's unit, or an option."""
        result = self.base
        for conditions, option in self.steps:
            if all(_key(case.get(name)) == value for name, value in conditions):
                result = option
        if isinstance(result, str):
            return result
        percent = parts = 1
        limit: int | None = None
        for name, value, effect, figure in self.changes:
            if not _said_to_hold(case.get(name), name, value):
                continue
            if effect == "set":
                return figure
            if effect == "scale":
                percent, parts = percent * figure, parts * 100
            elif effect == "cap":
                limit = figure if limit is None else min(limit, figure)
            else:
                result += figure if effect == "add" else -figure
        result = max(0, result) * percent // parts
        return result if limit is None else min(result, limit)


def _said_to_hold(fact: Any, name: str, value: Any) -> bool:
    if fact is None:
        return False
    if isinstance(value, int):
        return not isinstance(fact, str) and bool(fact >= value)
    if name == "department":
        known = re.escape(spoken(str(fact)))
        return re.search(rf"(?:^|, | or ){known}(?:$|, | or )", value, re.IGNORECASE) is not None
    return _key(fact) == value


_FIGURE = r"(\$[0-9,]+\.[0-9]{2}|[0-9]+)(?:%| [a-z]+(?: points?)?)??"
_IF = re.compile(r"(?:^|(?<=[.] ))(?:If|When) (.+?)\.(?= |$)")


def _figure_in(text: str) -> int | None:
    found = re.search(r"\$[0-9,]+\.[0-9]{2}|[0-9]+", text)
    return int(re.sub(r"[$,.]", "", found.group())) if found else None


@cache
def _spoken_conditions() -> tuple[tuple[str, str, str], ...]:
    """(words, field, value) of every condition that is not a threshold, longest words first."""
    found = [
        (entry["cond"], name, value)
        for name, dim in _data().dims.items()
        for value, entry in dim.get("values", {}).items()
    ]
    return tuple(sorted(found, key=lambda entry: (-len(entry[0]), entry)))


@cache
def _spoken_thresholds() -> tuple[tuple[re.Pattern[str], str], ...]:
    found = []
    for name, dim in _data().dims.items():
        if "unit" in dim:
            before, after = (re.escape(part) for part in dim["cond"].split("{n}"))
            figure = r"(?:\$[0-9,]+\.[0-9]{2}|[0-9]+)"
            found.append((re.compile(f"{before}{figure}{after}"), name))
    return tuple(found)


@cache
def _spoken_effects() -> tuple[tuple[re.Pattern[str], str], ...]:
    found = []
    for effects in _data().effects.values():
        for effect, forms in effects.items():
            for form in forms:
                body = re.escape(form).replace(r"\{x\}", _FIGURE)
                found.append((re.compile(re.sub(r"\\ are\\ ", r"\\ (?:are|is)\\ ", body)), effect))
    return tuple(found)


def _read_condition(text: str) -> tuple[str, Any] | None:
    for words, name, value in _spoken_conditions():
        if text == words:
            return name, value
    for pattern, name in _spoken_thresholds():
        if pattern.fullmatch(text):
            return name, _figure_in(text)
    listed = text.removeprefix("the item is from ")
    return ("department", listed) if listed != text else None


def _read_change(sentence: str) -> tuple[str, Any, str, int] | None:
    # Conditions and effects may hold commas themselves.
    for comma in re.finditer(", ", sentence):
        condition = _read_condition(sentence[: comma.start()])
        if condition is None:
            continue
        words = sentence[comma.end() :]
        for pattern, effect in _spoken_effects():
            figure = _figure_in(words)
            if figure is not None and pattern.fullmatch(words):
                return (*condition, effect, figure)
    return None


def read_passage(title: str, text: str) -> Reading | None:
    """What a passage says, from its heading and words; None if it has no answer or is unknown.

    Figures, conditions and what they do are read from ``text`` alone; the heading tells the unit.
    """
    rule = next((rule for rule in rules().values() if rule.title == title), None)
    if rule is None or rule.unit == "terms":
        return None
    # The first sentence states the ordinary case, and may itself begin with "If".
    first = re.search(r"\. (?=[A-Z])", text)
    opening, rest = (text[: first.end()], text[first.end() :]) if first else (text, "")
    sentences = [match.group(1) for match in _IF.finditer(rest)]
    if not rule.options:
        base = _figure_in(opening)
        read = [_read_change(sentence) for sentence in sentences]
        if base is None or None in read:
            return None
        return Reading(rule.unit, base, tuple(change for change in read if change))
    steps = []
    for sentence in sentences:
        conditions, _, outcome = sentence.removesuffix(" instead").rpartition(", it is ")
        found = []
        for words, name, value in _spoken_conditions():
            if words in conditions:
                conditions = conditions.replace(words, "")
                found.append((name, value))
        steps.append((tuple(found), outcome))
    for form in rule.text:
        before, _, after = form.partition("{x}")
        if opening.casefold().startswith(before.casefold()) and after.rstrip(".") in opening:
            option = opening.strip().removeprefix(before).removesuffix(after).rstrip(".")
            return Reading(rule.unit, option, (), tuple(steps))
    return None


# Search


_STOP = frozenset(
    "a an and any are as at be been but by can could do does for from get had has have how i if "
    "in is it its me my no not of on or our shall should so that the their them there they this "
    "to us was we what when where which who will with would you your am im ive id much many long "
    "after before until one only most more than also about item items order orders please".split()
)

_SUFFIXES = ("ations", "ation", "ings", "ing", "ed", "es", "s")


@cache
def _stem(word: str) -> str:
    """A crude stem, enough to join ``returns``, ``returned`` and ``returning``."""
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: -len(suffix)]
            break
    if len(word) > 3 and word[-1] in "ey":
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    return word


_WORD = re.compile(r"[a-z0-9]+")

MAX_QUERY = 400
"""Characters of a query that the search reads."""


def _tokens(text: str) -> list[str]:
    plain = text.casefold().replace("\u2019", "'").replace("'s", "").replace("'", "")
    return [_stem(word) for word in _WORD.findall(plain) if word not in _STOP]


@cache
def _index() -> dict[str, list[tuple[int, int]]]:
    """By stem, the passages it occurs in with its score there.

    Okapi BM25's saturation and length norm (k1 1.2, b 0.5) in whole numbers; the inverse
    document frequency is the whole square root of 10^4·N/df. The index depends on the rules
    alone, not on drawn figures, so it is built once in a process.
    """
    counts: list[dict[str, int]] = []
    dims = _data().dims
    for rule in rules().values():
        weighted = [(rule.topic, 3), (rule.title, 4), (rule.words, 2)]
        weighted += [(text, 1) for text in (*rule.text, *rule.ask)]
        for name, value in [*((m.field, m.value) for m in rule.modifiers), *rule.chain]:
            if name == "department":
                continue
            dim = dims[name]
            weighted.append((dim["cond"] if "unit" in dim else dim["values"][value]["cond"], 1))
        count: dict[str, int] = {}
        for text, weight in weighted:
            for token in _tokens(text.replace("{x}", " ").replace("{n}", " ")):
                count[token] = count.get(token, 0) + weight
        counts.append(count)
    total = len(counts)
    lengths = [sum(count.values()) for count in counts]
    mean = max(1, sum(lengths) // total)
    spread: dict[str, int] = {}
    for count in counts:
        for token in count:
            spread[token] = spread.get(token, 0) + 1
    index: dict[str, list[tuple[int, int]]] = {}
    for number, count in enumerate(counts):
        norm = 600 + 600 * lengths[number] // mean
        for token, times in count.items():
            rarity = isqrt(10_000 * total // spread[token])
            score = rarity * (2200 * times) // (1000 * times + norm)
            index.setdefault(token, []).append((number, score))
    return index


def search(policy: Policy | None, query: str, most: int = 4) -> list[Passage]:
    """The passages that fit a question best, best first; empty if no word of it is known.

    Deterministic: whole-number scores, ties in the order of the documents.

    Args:
        policy: the figures to render; the default policy if None.
        query: a question or some words; the first 400 characters count.
        most: at most so many passages.
    """
    index = _index()
    scores: dict[int, int] = {}
    for token in dict.fromkeys(_tokens(query[:MAX_QUERY])):
        for number, score in index.get(token, ()):
            scores[number] = scores.get(number, 0) + score
    ranked = sorted(scores, key=lambda number: (-scores[number], number))[:most]
    keys = list(rules())
    return [passage(policy, keys[number]) for number in ranked]


# Returns and exchanges


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether a line can come back. ``code`` is ``eligible``, ``not_delivered``, ``final_sale``,
    ``used_item`` or ``window_closed``; ``fee_percent`` is the restocking fee of a return."""

    eligible: bool
    code: str
    reason: str
    window_days: int
    days: int
    fee_percent: int


def return_facts(
    order: Mapping[str, Any],
    line: Mapping[str, Any],
    department: str,
    profile: Mapping[str, Any],
) -> dict[str, Any]:
    """The facts that the rules look at, read off an order line and the account.

    The order may state ``gift``, ``payment``, ``channel``; the line ``condition``, ``clearance``,
    ``refurbished``, ``personalized``, ``set``; what is absent is ordinary. ``holiday`` follows
    from ``placed_at``.
    """
    facts: dict[str, Any] = {
        "tier": profile.get("tier", TIERS[0]),
        "region": profile.get("region", REGIONS[0]),
        "department": department,
        "condition": line.get("condition") or CONDITIONS[0],
        "holiday": str(order.get("placed_at", ""))[5:7] in ("11", "12"),
        "order_total": order.get("total_cents", 0),
        "item_price": line.get("unit_price_cents", 0),
        "count": line.get("quantity", 1),
    }
    for name in ("gift", "payment", "channel"):
        if order.get(name):
            facts[name] = order[name]
    for name in ("gift", "channel", "clearance", "refurbished", "personalized", "set"):
        if line.get(name):
            facts[name] = line[name]
    return facts


def eligibility(
    policy: Policy | None, facts: Case, days: int | None, exchange: bool = False
) -> Eligibility:
    """Whether an item with these facts can be returned (or exchanged) ``days`` after delivery.

    Args:
        policy: the episode's policy.
        facts: see :func:`return_facts`.
        days: whole days since the day of delivery; None if it has not been delivered.
        exchange: True for the rules of an exchange.
    """
    window = evaluate(policy, "exchange_window" if exchange else "return_window", facts)
    assert isinstance(window, int)
    condition = facts.get("condition", CONDITIONS[0])
    fee = 0
    if not exchange and condition in ("opened", "used", "missing parts"):
        share = evaluate(policy, "restocking_fee", facts)
        assert isinstance(share, int)
        fee = min(100, share)
    action = "exchanged" if exchange else "returned"

    def verdict(code: str, reason: str) -> Eligibility:
        return Eligibility(code == "eligible", code, reason, window, days or 0, fee)

    if days is None:
        return verdict("not_delivered", "The item has not been delivered yet.")
    final = {name.casefold() for name in _group(policy, "final")}
    if condition != "defective":
        if facts.get("personalized"):
            return verdict(
                "final_sale", f"Personalized items are final sale and cannot be {action}."
            )
        department = str(facts.get("department", ""))
        if department.casefold() in final:
            return verdict(
                "final_sale",
                f"Items from {spoken(department)} are final sale and cannot be {action}.",
            )
    if condition == "used":
        lowest = _figures(policy, rule_of("used_items"))[0]
        if facts.get("tier", TIERS[0]) not in TIERS[lowest:]:
            allowed = _listed(list(TIERS[lowest:]), "and")
            return verdict(
                "used_item",
                f"The item shows signs of use; only {allowed} members can have it {action}.",
            )
    if days > window:
        return verdict(
            "window_closed",
            f"The window for this item was {amount(window, 'days')} from delivery; "
            f"{amount(days, 'days')} have passed.",
        )
    return verdict(
        "eligible",
        f"The item can be {action}: the window is {amount(window, 'days')} from delivery and "
        f"{amount(days, 'days')} {'has' if days == 1 else 'have'} passed.",
    )


def days_since(delivered: str | None, now: str) -> int | None:
    """Whole days from the day of delivery to the day of ``now`` (ISO dates); None if not
    delivered."""
    if not delivered:
        return None
    return (date.fromisoformat(now[:10]) - date.fromisoformat(delivered[:10])).days


def eligibility_turns_on(
    policy: Policy | None, facts: Case, days: int, exchange: bool = False
) -> tuple[str, ...]:
    """The facts without which the line would be eligible instead of not, or the reverse."""
    verdict = eligibility(policy, facts, days, exchange).eligible
    return tuple(
        name
        for name in facts
        if eligibility(policy, _without(facts, name), days, exchange).eligible != verdict
    )


_SHORTENS = frozenset({"sub", "scale"})
_LENGTHENS = frozenset({"add"})


def draw_return(
    draw: Rng,
    policy: Policy,
    clauses: int,
    eligible: bool,
    department: str,
    exchange: bool = False,
    avoid: Iterable[str] = (),
    tries: int = 60,
) -> tuple[dict[str, Any], int]:
    """Facts of an order line and the days since its delivery, such that whether it can come
    back turns on exactly ``clauses`` of the facts.

    An eligible line lies beyond the ordinary window and each fact is needed to reach it; a line
    that is not eligible lies within it and each fact alone has shortened it too far.

    Args:
        draw: the generator.
        policy: the episode's policy.
        clauses: how many facts decide (1 to 5).
        eligible: which way it goes.
        department: the product's department; always among the facts.
        exchange: True for the rules of an exchange.
        avoid: fields that the caller cannot put in its world, such as ``holiday``.
        tries: how many draws before giving up.

    Raises:
        DrawFailed: if no such facts were found.
    """
    kind = "exchange_window" if exchange else "return_window"
    rule = rule_of(kind)
    skipped = set(avoid)
    for _ in range(tries):
        effects = _LENGTHENS if eligible else _SHORTENS
        values = _facts(policy, rule, draw, department, effects)
        names = [name for name in values if name not in skipped]
        if len(names) < clauses:
            continue
        picked = draw.sample(names, clauses)
        facts: dict[str, Any] = {"department": department}
        facts.update({name: draw.choice(values[name]) for name in picked})
        full = int(evaluate(policy, kind, facts))
        others = [int(evaluate(policy, kind, _without(facts, name))) for name in picked]
        low, high = (max(others) + 1, full) if eligible else (full + 1, min(others))
        if low > high:
            continue
        days = draw.between(low, high)
        if (
            eligibility(policy, facts, days, exchange).eligible == eligible
            and len(eligibility_turns_on(policy, facts, days, exchange)) == clauses
        ):
            return facts, days
    raise DrawFailed(
        f"no {'eligible' if eligible else 'ineligible'} return with {clauses} deciding fact(s) in "
        f"{tries} tries for {department!r}; the axis policy_clauses takes 1 to 5"
    )


def sample_policy(seed: int, departments: Sequence[str] = ()) -> dict[str, Any]:
    """The policy drawn from a bare seed, for looking at and for tests."""
    return draw_policy(rng("policy", seed), departments)
