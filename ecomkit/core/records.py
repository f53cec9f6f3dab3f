"""Frozen records that cross module borders. They hold data and small pure rules only."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast

from ecomkit.core.difficulty import Axes, axes_from
from ecomkit.core.display import in_notebook
from ecomkit.core.errors import EpisodeError

TEXT_ATTRIBUTES: tuple[str, ...] = (
    "color",
    "size",
    "material",
    "connector_type",
    "item_form",
    "skin_type",
    "finish_type",
    "age_range",
)
"""Typed text attributes of a product, absent where they do not apply."""

NUMBER_ATTRIBUTES: tuple[str, ...] = ("wattage", "weight_lbs", "screen_size_inches")
"""Typed number attributes: watts, pounds, inches (diagonal)."""

CORE_ATTRIBUTES: tuple[str, ...] = (
    "category",
    "brand",
    "store",
    "price_cents",
    "rating",
    "rating_count",
    "ship_days",
)

CONSTRAINT_ATTRIBUTES: tuple[str, ...] = CORE_ATTRIBUTES + TEXT_ATTRIBUTES + NUMBER_ATTRIBUTES
"""The 18 attributes that a constraint or a search filter can name (SPEC §3)."""


@dataclass(frozen=True, slots=True)
class Product:
    """One product. Prices are whole cents, ratings have one decimal, ``ship_days`` is 0-14."""

    product_id: str
    title: str
    description: str
    department: str
    category: str
    brand: str
    store: str
    price_cents: int
    rating: float
    rating_count: int
    ship_days: int
    stock: int
    features: tuple[str, ...]
    attributes: Mapping[str, str | float]
    """The typed attributes that apply, by name."""

    def get(self, attribute: str) -> str | float | int | None:
        """The value of any of the 18 attributes or ``title``; None where it does not apply."""
        value = self.attributes.get(attribute)
        if value is not None:
            return value
        if attribute in CORE_ATTRIBUTES or attribute in ("title", "department"):
            return getattr(self, attribute)
        return None


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to buy a product. ``attributes`` holds what varies, such as {"size": "M"}."""

    variant_id: str
    product_id: str
    attributes: Mapping[str, str]
    price_cents: int
    stock: int


Op = Literal["eq", "le", "ge", "between", "contains"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A requirement on one attribute: ``eq`` value, ``le``/``ge`` bound, ``between`` (lo, hi)
    with both ends allowed, or ``contains`` (words of the title, in order, any case)."""

    attribute: str
    op: Op
    value: str | float | int | tuple[float, float]

    def holds(self, product: Product) -> bool:
        """True if the product meets the requirement; a missing attribute never does."""
        have = product.get(self.attribute)
        if have is None:
            return False
        if self.op == "contains":
            return contains_words(str(have), str(self.value))
        if isinstance(have, str):
            return self.op == "eq" and have.casefold() == str(self.value).casefold()
        if self.op == "between":
            low, high = cast("tuple[float, float]", self.value)
            return low <= have <= high
        bound = self.value
        if isinstance(bound, (str, tuple)):
            return False
        if self.op == "le":
            return have <= bound
        return have >= bound if self.op == "ge" else have == bound

    def to_dict(self) -> dict[str, Any]:
        """JSON form: ``{"attribute", "op", "value"}``; a range is a list of two."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"attribute": self.attribute, "op": self.op, "value": value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Constraint:
        """The inverse of :meth:`to_dict`."""
        value = data["value"]
        return cls(
            data["attribute"], data["op"], tuple(value) if isinstance(value, list) else value
        )


_ASCII_WORD = re.compile("[0-9a-z]+")


def words(text: str) -> list[str]:
    """Lower-case words of letters and digits, in order: the unit of ``contains``."""
    if text.isascii():  # nearly every title; several times faster
        return _ASCII_WORD.findall(text.lower())
    return "".join(c if c.isalnum() else " " for c in text.casefold()).split()


def contains_words(text: str, phrase: str) -> bool:
    """True if the words of ``phrase`` stand next to each other, in order, in ``text``."""
    wanted = words(phrase)
    return bool(wanted) and f" {' '.join(wanted)} " in f" {' '.join(words(text))} "


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing the user knows and may or may not have said.

    ``key`` is unique in the episode (``item1.brand``). ``subject`` groups slots by what they
    are about (``item1``; empty for the whole conversation). ``kind`` is what it is (``brand``,
    ``quantity``, ``variant`` …); ``asked_by`` are the question kinds that draw it out, its own
    kind among them. ``value`` is the machine-readable content that the honest agent is given
    when the user has said it. ``statement`` is the frozen sentence said when asked, and
    ``correction`` the frozen sentence said when the agent got it visibly wrong.
    """

    key: str
    kind: str
    subject: str
    value: Any
    critical: bool
    opening: bool
    """True if the opening states it. Always true for a critical slot."""
    statement: str
    correction: str = ""
    asked_by: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON form, in field order."""
        return {
            "key": self.key,
            "kind": self.kind,
            "subject": self.subject,
            "value": self.value,
            "critical": self.critical,
            "opening": self.opening,
            "statement": self.statement,
            "correction": self.correction,
            "asked_by": list(self.asked_by),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Slot:
        """The inverse of :meth:`to_dict`."""
        fields = dict(data)
        fields["asked_by"] = tuple(fields.get("asked_by", ()))
        return cls(**fields)


Act = Literal["confirm", "clarify", "correct", "elaborate", "continue", "done", "quit"]
DISCOUNTED_ACTS = frozenset({"confirm", "clarify"})
"""Acts that do not count against efficiency (SPEC §6)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the user said, the act it was, and the keys of the slots it stated."""

    text: str
    act: Act
    stated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool. ``arguments`` is a parsed JSON object."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """One step of an agent: text, tool calls, an answer, or several of these."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What the agent sees after ``reset`` or ``step``.

    ``messages`` are the new chat messages only (OpenAI form). ``results`` are the parsed tool
    results in call order, for scripted agents. ``reward`` is 0.0 until the last step.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]
    turn: int
    done: bool
    reward: float = 0.0
    results: tuple[Mapping[str, Any], ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One named requirement of a goal and whether it was met."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says of one finished session: ``r_task`` in [-1, 1] and its checks."""

    r_task: float
    passed: bool
    checks: tuple[Check, ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.checks:
            raise ValueError("a verdict needs at least one check: there is no default credit")


@dataclass(frozen=True, slots=True)
class Score:
    """The reward of one session and its parts (SPEC §8)."""

    reward: float
    r_task: float
    r_eff: float
    r_hall: float
    passed: bool
    termination: str
    """``answered``, ``quit``, ``turn_limit``, ``format_error``, ``illegal_tool``,
    ``denied_category``, ``infra_error`` or ``unfinished``."""
    steps: int
    effective_steps: int
    par_turns: int
    checks: tuple[Check, ...] = ()
    verdict: str = "valid"
    episode_id: str = ""
    agent: str = ""
    trial: int = 0
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """Why it failed (:mod:`ecomkit.scores.failures`), where that was asked for."""
    first_decisive_step: int | None = None
    """The step (from 1) after which no one could have passed any more, likewise."""

    def _repr_html_(self) -> str:
        """For notebooks."""
        return in_notebook("score", self)


_JSON_COLUMNS = ("tools", "goal", "world", "user", "reference")
# The tools are the same text in every episode of an environment, and are never written to.
_READ: dict[str, Callable[[str | bytes], Any]] = dict.fromkeys(_JSON_COLUMNS, json.loads)
_READ["tools"] = lru_cache(maxsize=32)(json.loads)

EPISODE_COLUMNS: tuple[str, ...] = (
    "episode_id",
    "environment",
    "department",
    "difficulty",
    "seed",
    "prompt",
    "tools",
    "axes",
    "max_turns",
    "tool_budget",
    "par_turns",
    "honest_turns",
    "goal",
    "world",
    "user",
    "reference",
    "goal_hash",
    "catalog_hash",
    "search_hash",
    "policy_hash",
    "generator_version",
)


@dataclass(frozen=True, slots=True)
class Episode:
    """One frozen task; a row of an episode set with its JSON columns parsed."""

    episode_id: str
    environment: str
    department: str
    difficulty: int
    seed: int
    prompt: tuple[Mapping[str, str], ...]
    tools: Any
    axes: Axes
    max_turns: int
    tool_budget: int
    par_turns: int
    honest_turns: int
    goal: Mapping[str, Any]
    world: Mapping[str, Any]
    user: Mapping[str, Any]
    reference: Mapping[str, Any]
    goal_hash: str
    catalog_hash: str
    search_hash: str
    policy_hash: str
    generator_version: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Episode:
        """An episode from a dataset row, its JSON columns as text or as objects.

        Raises:
            EpisodeError: if a column is missing or does not parse; the message names it.
        """
        missing = [name for name in EPISODE_COLUMNS if name not in row]
        if missing:
            raise EpisodeError(
                f"episode row lacks the column(s) {', '.join(missing)}; "
                "load it with load_dataset or ek.load_episodes"
            )
        values = {name: row[name] for name in EPISODE_COLUMNS}
        for name in _JSON_COLUMNS:
            if isinstance(values[name], (str, bytes)):
                try:
                    values[name] = _READ[name](values[name])
                except ValueError as error:
                    raise EpisodeError(
                        f"episode {row['episode_id']!r}: column {name!r} is not JSON ({error})"
                    ) from None
        try:
            values["axes"] = axes_from(values["axes"])
            values["prompt"] = tuple(dict(message) for message in values["prompt"])
        except (TypeError, ValueError) as error:
            raise EpisodeError(f"episode {row['episode_id']!r}: {error}") from None
        return cls(**values)

    def to_row(self) -> dict[str, Any]:
        """The row as stored: JSON columns as canonical text, the rest as plain values."""
        from ecomkit.core.seeds import canonical_json

        row: dict[str, Any] = {name: getattr(self, name) for name in EPISODE_COLUMNS}
        for name in _JSON_COLUMNS:
            row[name] = canonical_json(row[name])
        row["axes"] = self.axes.to_dict()
        row["prompt"] = [dict(message) for message in self.prompt]
        return row

    def _repr_html_(self) -> str:
        """For notebooks."""
        return in_notebook("episode", self)


@dataclass(frozen=True, slots=True)
class Trajectory:
    """What an agent did in one session, as OpenAI chat messages (SPEC §10)."""

    episode_id: str
    messages: Sequence[Mapping[str, Any]]
    agent: str = ""
    trial: int = 0
    tools: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """A JSON-ready row."""
        return {
            "episode_id": self.episode_id,
            "agent": self.agent,
            "trial": self.trial,
            "messages": [dict(message) for message in self.messages],
            "metadata": dict(self.metadata),
        }

    def _repr_html_(self) -> str:
        """For notebooks."""
        return in_notebook("trajectory", self)
