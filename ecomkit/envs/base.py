"""What an environment is, and the parts that all of them share.

An environment is one module: its goal, opening slots, reference, verifier, near misses and answer
schema. It knows nothing of messages or JSON text; :mod:`ecomkit.session.session` does that part.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ecomkit.core.difficulty import Axes
from ecomkit.core.records import Action, Constraint, Observation, Slot, ToolCall, Verdict
from ecomkit.core.seeds import Rng, seed_from
from ecomkit.user import Review

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.shop.world import World

TEST_SHARE = 6
"""One product in six is a target of held-out episodes only, the rest of training episodes."""


class Redraw(Exception):
    """The draw met a dead end, named by ``axis``; the generator tries the next one."""

    def __init__(self, axis: str, why: str) -> None:
        self.axis = axis
        super().__init__(f"{axis}: {why}")


@dataclass(frozen=True, slots=True)
class DrawContext:
    """What a draw may depend on: the catalog, the axes and a generator keyed by the cell."""

    catalog: Catalog
    axes: Axes
    difficulty: int
    split: str
    rng: Rng
    department: str | None = None
    phraser: Phraser | None = None
    """Rewords what the customer says, such as an LLM; None keeps the phrase book's words."""


class Phraser(Protocol):
    """Rewords an opening and a script without changing what they state."""

    def rephrase(self, opening: str, script: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """The reworded opening and script."""


@dataclass(slots=True)
class SlotDraft:
    """A slot before it has words. ``asked_by`` adds question kinds to the slot's own kind.

    ``says`` are ready sentences that state it; one of them is taken for each use. Without them
    the phrase book (:mod:`ecomkit.user.phrasing`) makes the words from kind and value.
    """

    key: str
    kind: str
    subject: str
    value: Any
    critical: bool = False
    asked_by: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


@dataclass(slots=True)
class SwitchDraft:
    """A change of mind: after step ``after_step`` the slot ``key`` has the value ``value``.

    ``says`` are ready sentences that state the new value (see :class:`SlotDraft`), ``leads``
    what they may begin with, such as ``Actually, {rest}``; without them the usual ones.
    """

    after_step: int
    key: str
    value: Any
    says: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()


@dataclass(slots=True)
class Draft:
    """One drawn task before its words: what :meth:`Environment.draw` returns."""

    department: str
    goal: dict[str, Any]
    world: dict[str, Any]
    slots: list[SlotDraft]
    nouns: dict[str, list[str]]
    switch: SwitchDraft | None = None
    persona: dict[str, Any] = field(default_factory=dict)
    protected: tuple[str, ...] = ()
    """Words that no typo may touch, such as discount codes."""
    denials: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Question kind → what is said to it where the customer has no such slot."""
    unnamed: tuple[str, ...] = ()
    """Sentences of which the opening says one if it leaves a subject out altogether."""
    parts: tuple[tuple[str, Draft, DrawContext], ...] = ()
    """The tasks that a conversation has one after the other, with the environment of each."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One task of a conversation that has several, one after the other."""

    environment: Environment
    goal: Mapping[str, Any]
    script: Mapping[str, Any]
    """What the customer says of it, as for an episode of its own."""
    max_turns: int
    thanks: str
    """What the customer says when it is answered and another one is left."""
    following: str
    """What the customer says when the one before is answered and this one comes next."""
    interrupting: str
    """What the customer says who breaks in with this one."""
    resuming: str
    """What the customer says when it goes on after an interruption."""
    broken_off_after: int | None = None
    """Step of this intent after which the next one breaks in."""


class State(Protocol):
    """What a verifier may look at: the world as it is, and what happened when."""

    catalog: Catalog
    world: World
    steps: int

    @property
    def answer(self) -> Mapping[str, Any] | None:
        """The submitted answer, if any."""

    @property
    def fired(self) -> Mapping[str, int]:
        """Step after which each event fired: ``switch``, ``sell_out``, ``code_exhausted:CODE``."""

    @property
    def order_steps(self) -> Mapping[str, int]:
        """Step in which each order of this session was placed."""

    @property
    def stated(self) -> Set[str]:
        """Keys of the slots that the user has stated."""


class Played(State, Protocol):
    """A session as labels and the recovering reference see it: a state, and how it came to be."""

    @property
    def max_turns(self) -> int:
        """Assistant steps allowed."""

    @property
    def tool_budget(self) -> int:
        """Tool calls allowed in a step."""

    @property
    def trace(self) -> Sequence[Any]:
        """The steps (:class:`ecomkit.session.session.Step`)."""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A sequence of actions that is wrong in one named way and must not pass."""

    kind: str
    actions: tuple[Action, ...]


class AgentView(Protocol):
    """What a scripted agent may see: never the goal."""

    @property
    def max_turns(self) -> int:
        """Assistant steps allowed."""

    @property
    def tool_budget(self) -> int:
        """Tool calls allowed in a step."""

    @property
    def disclosed(self) -> Sequence[Slot]:
        """Slots that the user has stated, with their present values, in the order stated."""

    @property
    def turn(self) -> int:
        """Steps taken so far."""


Policy = Generator[Action, Observation, None]


class Environment:
    """Base of the environments. Subclasses are stateless; one instance serves every session."""

    name: ClassVar[str]
    answer_description: ClassVar[str] = "Ends the conversation."
    answer_parameters: ClassVar[dict[str, Any]]
    """JSON schema of ``submit_answer``'s arguments (an object)."""
    task: ClassVar[str] = ""
    """One sentence of the system prompt that says what kind of help is asked for."""
    may_change: ClassVar[frozenset[str]] = frozenset()
    """What its customer may ask to have changed: ``cart``, ``orders``, ``returns``. Everything
    else must be left alone (see :func:`ecomkit.envs.shopping.held_against`)."""

    def __reduce__(self) -> tuple[Callable[[str], Environment], tuple[str]]:
        # A copy is the shared instance, and so is what becomes of a pickle.
        from ecomkit.envs import environment

        return environment, (self.name,)

    def available(self, catalog: Catalog) -> str | None:
        """None if episodes can be drawn on this catalog, else why they can't."""
        return None

    def draw(self, context: DrawContext) -> Draft:
        """One task. Raises :class:`Redraw` at a dead end."""
        raise NotImplementedError

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        """The actions of a perfect agent that reads the goal; their number is par."""
        raise NotImplementedError

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        """The verdict on a finished session. A defect in here raises; it never scores low."""
        raise NotImplementedError

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        """What the customer sees when looking at the screen now."""
        raise NotImplementedError

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        """Wrong attempts, each wrong in one way."""
        raise NotImplementedError

    def honest(self, view: AgentView) -> Policy:
        """An agent that listens and looks: yields actions, is sent observations."""
        raise NotImplementedError

    def naive(self, view: AgentView) -> Policy:
        """First search result, first variant, no question."""
        raise NotImplementedError

    def flood(self, view: AgentView) -> Policy:
        """Everything at once: whatever the first searches show."""
        raise NotImplementedError

    def constant(self, catalog: Catalog) -> list[Action]:
        """The same actions whatever the episode."""
        raise NotImplementedError

    def attackers(self) -> Mapping[str, Callable[[AgentView], Policy]]:
        """Policies of this environment's own that try to earn reward unfairly, for the audit."""
        return {}

    def intents(
        self, goal: Mapping[str, Any], script: Mapping[str, Any], axes: Axes
    ) -> Sequence[Intent]:
        """The tasks of a conversation that has several; none where it is all one task."""
        return ()

    def max_turns(self, goal: Mapping[str, Any], axes: Axes) -> int:
        """Assistant steps allowed (SPEC §2)."""
        return axes.max_turns

    def labels(self, goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
        """What is wrong with what was delivered, in the words of :mod:`ecomkit.scores.failures`.

        Asked of failed sessions only. Labels that every environment shares (how the session
        ended, what was ignored, never asked or looped) are not made here.
        """
        yield from ()

    def right_products(self, goal: Mapping[str, Any], state: Played) -> set[str]:
        """Ids of the products that could rightly be delivered as things stand."""
        return set()

    def recover(self, goal: Mapping[str, Any], state: Played) -> list[Action] | None:
        """The shortest way to pass from here, for a perfect agent that reads the goal.

        The first action is taken, then it is asked again. An empty list says that nothing can
        help any more; None, that the stored reference is to be played as it is.
        """
        return None

    def progress(self, goal: Mapping[str, Any], state: State) -> float:
        """A measure in [0, 1] of how much is done, for potential-based shaping."""
        return 0.0

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        """The part of the goal by which two episodes are the same task."""
        return goal


def call(name: str, **arguments: Any) -> ToolCall:
    """A tool call without the arguments that are None."""
    return ToolCall(name, {key: value for key, value in arguments.items() if value is not None})


def pack(calls: Sequence[ToolCall], budget: int) -> list[Action]:
    """The calls in order, at most ``budget`` to a step."""
    return [
        Action(tool_calls=tuple(calls[start : start + budget]))
        for start in range(0, len(calls), budget)
    ]


def submit(actions: list[Action], answer: Mapping[str, Any]) -> list[Action]:
    """``actions`` with the answer added to the last one (or as the only one)."""
    if not actions:
        return [Action(answer=answer)]
    last = actions[-1]
    return [*actions[:-1], Action(last.text, last.tool_calls, answer)]


def holds_on_card(constraint: Constraint, card: Mapping[str, Any]) -> bool:
    """Whether a search card meets a constraint, as an agent would read it off."""
    from ecomkit.core.records import contains_words

    value = card.get("attributes", {}).get(constraint.attribute, card.get(constraint.attribute))
    if value is None:
        return False
    if constraint.op == "contains":
        return contains_words(str(value), str(constraint.value))
    if isinstance(value, str):
        return constraint.op == "eq" and value.casefold() == str(constraint.value).casefold()
    if constraint.op == "between":
        low, high = constraint.value  # type: ignore[misc,str-unpack]
        return bool(low <= value <= high)
    if constraint.op == "le":
        return bool(value <= constraint.value)
    return bool(value >= constraint.value if constraint.op == "ge" else value == constraint.value)


def in_split(product_id: str, split: str) -> bool:
    """Whether a product may be a target in ``split``: a sixth is kept for ``test``."""
    held_out = seed_from("split", product_id) % TEST_SHARE == 0
    return held_out if split == "test" else not held_out


def pick_row(context: DrawContext, rows: Any, rng: Rng, tries: int = 200) -> int | None:
    """A random row of ``rows`` (array) whose product is in the split, or None."""
    size = len(rows)
    if size == 0:
        return None
    for _ in range(tries):
        row = int(rows[rng.below(size)])
        if in_split(context.catalog.product_id(row), context.split):
            return row
    return None


def draw_clock(rng: Rng) -> str:
    """A shop's local time in 2026, ISO 8601 without a zone: ``2026-03-14T10:05:00``."""
    start = datetime(2026, 1, 5, 8, 0)
    moment = start + timedelta(days=rng.below(350), minutes=5 * rng.below(144))
    return moment.isoformat()


def shift_clock(clock: str, days: int = 0, minutes: int = 0) -> str:
    """``clock`` moved by days and minutes, either of which may be negative."""
    return (datetime.fromisoformat(clock) + timedelta(days=days, minutes=minutes)).isoformat()
