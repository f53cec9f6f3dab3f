"""Journey: several tasks in one conversation, with one account, cart, clock and catalog (SPEC §7).

The customer asks for two to five things of different kinds, one after the other; an answer belongs
to the request that was made last and is not answered yet. Midway the next request may break in on
the one before, which goes on once the interruption is answered. Each task is drawn and judged by
its own environment, at the moment of its answer; what it left in the shop must still stand when
the conversation ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from ecomkit.core.difficulty import Axes, difficulty
from ecomkit.core.errors import SearchUnavailable
from ecomkit.core.records import Action, Check, Slot, ToolCall, Verdict
from ecomkit.core.seeds import Rng, rng, seed_from
from ecomkit.envs.base import (
    AgentView,
    Draft,
    DrawContext,
    Environment,
    Intent,
    NearMiss,
    Played,
    Policy,
    Redraw,
    SlotDraft,
    State,
    pack,
)
from ecomkit.envs.history import draw_history
from ecomkit.envs.shopping import standing, to_buy, to_return
from ecomkit.user import NOTHING_SEEN, Review

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

MOST_INTENTS = 5
ACCOUNT_KEEPERS: tuple[tuple[str, ...], ...] = (("returns",), ("tracking", "policy"))
"""Environments that each make an account, rules or orders of their own: one group a journey, so
that there is one account, one clock and one set of rules."""
MISSES_EACH = 4
"""Near misses tried for each intent, of different kinds."""
DRAWS_EACH = 30
STRICT_DRAWS = 8
SMALL_SHOP = 2_000
"""Products below which an environment is tried before it counts as one that can be drawn."""


ASIDES: dict[str, tuple[str, ...]] = {
    "bundle": (
        "Just tell me what to get, one of each.",
        "I only want your pick for each of them.",
        "One suggestion for each is enough.",
        "Please recommend one of each.",
        "What would you take? One of each, please.",
        "Nothing goes in the cart yet, just name one for each.",
        "Tell me one good one for each of these.",
        "I'd like one recommendation apiece.",
    ),
}
"""What a customer with several requests adds, so that it is clear what is to be done."""


def intent_count(d: int) -> int:
    """Tasks of a journey: min(5, 2 + ⌊d/4⌋)."""
    return min(MOST_INTENTS, 2 + d // 4)


def others() -> dict[str, Environment]:
    """Every environment of the registry but journeys themselves, by name."""
    from ecomkit.envs import REGISTRY, environment

    return {name: environment(name) for name in sorted(REGISTRY) if name != "journey"}


@lru_cache(maxsize=16)
def on_offer(catalog: Catalog) -> tuple[str, ...]:
    """The environments that can be drawn on a catalog; on a small one each is tried."""
    return tuple(
        name
        for name, env in others().items()
        if env.available(catalog) is None
        and (len(catalog) >= SMALL_SHOP or _drawable(env, catalog))
    )


def _drawable(env: Environment, catalog: Catalog) -> bool:
    """Whether an easy and a hard episode come of a few tries each."""
    for d in (0, 6, 12):
        for seed in range(6):
            context = DrawContext(
                catalog=catalog,
                axes=difficulty(d, p_switch=0.0),
                difficulty=d,
                split="train",
                rng=rng("drawable", env.name, d, seed),
            )
            try:
                env.draw(context)
            except Redraw:
                continue
            except SearchUnavailable:
                return True
            break
        else:
            return False
    return True


def apart(names: Sequence[str], group: int) -> list[str]:
    """``names`` without those that keep an account in another group than ``group``."""
    clash = {name for n, keep in enumerate(ACCOUNT_KEEPERS) if n != group for name in keep}
    return [name for name in names if name not in clash]


# --- one world out of several ----------------------------------------------------------------


def named(value: Any, wanted: Callable[[str], bool]) -> Iterator[str]:
    """Texts of a JSON value under the keys that are ``wanted``, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, str):
                if wanted(key):
                    yield inner
            else:
                yield from named(inner, wanted)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from named(inner, wanted)


def named_products(value: Any) -> set[str]:
    """Product ids in a JSON value."""
    return set(named(value, lambda key: key.endswith("product_id")))


def named_categories(catalog: Catalog, value: Any) -> set[str]:
    """Categories that a JSON value names, or of which it names a product."""
    found = set(named(value, lambda key: key == "category"))
    return found | {catalog.product(one).category for one in named_products(value)}


@dataclass(frozen=True, slots=True)
class _Concerns:
    """Categories that a task is about, those of the pages viewed for it, and those of which
    something sells out in it."""

    about: frozenset[str]
    viewed: frozenset[str]
    sold: frozenset[str]

    @classmethod
    def of(cls, catalog: Catalog, draft: Draft) -> _Concerns:
        about = frozenset(named_categories(catalog, draft.goal))
        gone = {v for event in draft.world.get("events", ()) for v in event.get("variant_ids", ())}
        sold = {
            catalog.product(one).category
            for one in (named_products(draft.goal) if gone else ())
            if any(variant.variant_id in gone for variant in catalog.variants(one))
        }
        visits = named_categories(catalog, draft.world.get("visit_history", ()))
        return cls(about, frozenset(visits), frozenset(sold) if sold or not gone else about)

    def goes_with(self, other: _Concerns, strict: bool) -> bool:
        """Whether neither can change what is right in the other."""
        mine, theirs = self.about | self.viewed, other.about | other.viewed
        if strict:
            return mine.isdisjoint(theirs)
        touchy = self.viewed | self.sold, other.viewed | other.sold
        return touchy[0].isdisjoint(theirs) and touchy[1].isdisjoint(mine)


def moved(clock: str, by: Any) -> str:
    """A moment of another clock by this one."""
    return (datetime.fromisoformat(clock) + by).isoformat()


def merged(worlds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One world that holds what each of ``worlds`` does, at the time of the one with orders.

    Events are marked with the intent that they belong to.
    """
    keeper = max(worlds, key=lambda world: bool(world.get("orders")))
    clock = datetime.fromisoformat(keeper["now"])
    out: dict[str, Any] = {
        "now": keeper["now"],
        "visit_history": [],
        "codes": [],
        "events": [],
        "stock": {},
    }
    for number, world in enumerate(worlds):
        by = clock - datetime.fromisoformat(world["now"])
        for visit in world.get("visit_history", ()):
            out["visit_history"].append({**visit, "viewed_at": moved(visit["viewed_at"], by)})
        for code in world.get("codes", ()):
            out["codes"].append({**code, "expires_at": moved(code["expires_at"], by)})
        out["events"].extend({**event, "intent": number} for event in world.get("events", ()))
        out["stock"].update(world.get("stock", {}))
        for key, value in world.items():
            if key not in out:
                out[key] = value
    out["visit_history"].sort(key=lambda visit: visit["viewed_at"], reverse=True)
    return out


def world_of(world: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The world as one of its intents knows it: with its own events only."""
    events = [
        {key: value for key, value in event.items() if key != "intent"}
        for event in world["events"]
        if event["intent"] == number
    ]
    others = [
        variant_id
        for event in world["events"]
        if event["intent"] != number
        for variant_id in event.get("variant_ids", ())
    ]
    return {**world, "events": events, "sold_out_elsewhere": others}


def woven(goal: Mapping[str, Any], lists: Sequence[Sequence[Action]]) -> list[Action]:
    """The actions of each intent in the order in which they are talked about."""
    stop = goal["switch"]
    out: list[Action] = []
    skip = -1
    for number, actions in enumerate(lists):
        if number == skip:
            continue
        if stop and stop["intent"] == number and len(actions) > stop["after_step"]:
            out += actions[: stop["after_step"]]
            out += lists[number + 1]
            out += actions[stop["after_step"] :]
            skip = number + 1
        else:
            out += actions
    return out


class Journey(Environment):
    name = "journey"
    task: ClassVar[str] = (
        "The customer has several requests of different kinds, one after the other, and may break "
        "in with another one before you are done. Call submit_answer once for each: an answer "
        "belongs to the request that was made last and is not answered yet, and the conversation "
        "goes on until all of them are answered."
    )
    answer_description = (
        "Answers the request that the customer made last and that is not answered yet; after it "
        "the customer goes on with the next one, or with the one that it interrupted. Give the "
        "fields that belong to that kind of request and no others."
    )

    @property
    def answer_parameters(self) -> dict[str, Any]:  # type: ignore[override]
        """Every field of every environment's answer; the intent's own schema decides."""
        return _union()

    def available(self, catalog: Catalog) -> str | None:
        names = on_offer(catalog)
        most = max(len(apart(names, group)) for group in range(len(ACCOUNT_KEEPERS)))
        if most >= MOST_INTENTS:
            return None
        return f"it needs {MOST_INTENTS} kinds of request, and only {most} can be drawn here"

    # --- drawing ---------------------------------------------------------------------------

    def draw(self, context: DrawContext) -> Draft:
        catalog = context.catalog
        rng = context.rng.child("goal")
        count = intent_count(context.difficulty)
        groups = range(len(ACCOUNT_KEEPERS))
        pools = [apart(on_offer(catalog), group) for group in groups]
        pool = rng.choice([pool for pool in pools if len(pool) >= count])
        drafts = self._draw_parts(context, rng.shuffled(pool), count)
        names = list(drafts)
        for name, says in ASIDES.items():
            if name in drafts:
                drafts[name][0].slots.append(
                    SlotDraft("request", "question", "", {"about": name}, critical=True, says=says)
                )
        order = self._order(names, drafts, rng)
        parts = tuple(drafts[name] for name in order)
        world = merged([draft.world for draft, _ in parts])
        if not world.get("orders"):
            # Every customer has an account, whatever they have come for.
            world["orders"] = draw_history(
                catalog,
                context.rng.child("history"),
                world["now"],
                context.axes.order_history,
                context.split,
                parts[0][0].department,
            )
        goals = [
            {"environment": name, "goal": draft.goal}
            for name, (draft, _) in zip(order, parts, strict=True)
        ]
        goal: dict[str, Any] = {"intents": goals, "switch": None}
        goal["switch"] = self._interruption(context, goal, world)
        return Draft(
            department=context.department or parts[0][0].department,
            goal=goal,
            world=world,
            slots=[],
            nouns={},
            parts=tuple(
                (name, draft, inner) for name, (draft, inner) in zip(order, parts, strict=True)
            ),
        )

    @staticmethod
    def _draw_parts(
        context: DrawContext, names: Sequence[str], count: int
    ) -> dict[str, tuple[Draft, DrawContext]]:
        """``count`` tasks of the kinds named first, of later ones where one can't be drawn.

        No two are about the same category, so that what happens to one never changes the other;
        where the shop is too small for that, they keep out of each other's way as they must. The
        first is of the scenario's department.
        """
        environments = others()
        # The subject changes instead of the mind.
        axes = replace(context.axes, p_switch=0.0)
        out: dict[str, tuple[Draft, DrawContext]] = {}
        taken: list[_Concerns] = []
        why = Redraw("constraints", "too few kinds of request")
        for name in names:
            if len(out) == count:
                break
            for attempt in range(DRAWS_EACH):
                inner = replace(
                    context,
                    axes=axes,
                    rng=context.rng.child("intent", name, attempt),
                    department=None if out else context.department,
                )
                try:
                    draft = environments[name].draw(inner)
                except Redraw as redraw:
                    why = redraw
                    continue
                mine = _Concerns.of(context.catalog, draft)
                if all(mine.goes_with(one, attempt < STRICT_DRAWS) for one in taken):
                    taken.append(mine)
                    out[name] = draft, inner
                    break
                why = Redraw("constraints", "two requests would be about the same things")
        if len(out) < count:
            raise why
        return out

    @staticmethod
    def _order(
        names: Sequence[str], drafts: Mapping[str, tuple[Draft, DrawContext]], rng: Rng
    ) -> list[str]:
        """A random order, but that nothing is ordered before orders are asked after."""
        order = rng.shuffled(names)
        account = [name for name in order if drafts[name][0].world.get("orders")]
        if account and "cart" in order and drafts["cart"][0].goal["checkout"]:
            first, second = order.index("cart"), order.index(account[0])
            if first < second:
                order[first], order[second] = order[second], order[first]
        return order

    def _interruption(
        self, context: DrawContext, goal: Mapping[str, Any], world: Mapping[str, Any]
    ) -> dict[str, int] | None:
        """Which intent is broken in on by the next one, and after which of its steps."""
        rng = context.rng.child("switch")
        if not rng.chance(context.axes.p_switch):
            return None
        lists = self._references(goal, world, context.axes, context.catalog)
        names = [intent["environment"] for intent in goal["intents"]]
        places = [
            number
            for number, actions in enumerate(lists[:-1])
            if len(actions) > 1
            # An order placed meanwhile would be one more to tell from the others.
            and not (names[number] in ("tracking", "returns") and names[number + 1] == "cart")
        ]
        if not places:
            return None
        number = rng.choice(places)
        step = rng.between(1, min(3, len(lists[number]) - 1))
        before = sum(len(actions) for actions in lists[:number])
        return {"intent": number, "after_step": step, "reference_step": before + step}

    def intents(
        self, goal: Mapping[str, Any], script: Mapping[str, Any], axes: Axes
    ) -> Sequence[Intent]:
        environments = others()
        stop = goal["switch"]
        slots: list[list[Slot]] = [[] for _ in goal["intents"]]
        for slot in script["slots"]:
            number, _, key = slot["key"].partition(".")
            subject = slot["subject"].partition(".")[2]
            slots[int(number) - 1].append(Slot.from_dict({**slot, "key": key, "subject": subject}))
        nouns: list[dict[str, list[str]]] = [{} for _ in goal["intents"]]
        for name, words in script["nouns"].items():
            number, _, subject = name.partition(".")
            nouns[int(number) - 1][subject] = words
        out = []
        for place, (intent, said) in enumerate(
            zip(goal["intents"], script["intents"], strict=True)
        ):
            env = environments[intent["environment"]]
            out.append(
                Intent(
                    environment=env,
                    goal=intent["goal"],
                    script={**said, "slots": slots[place], "nouns": nouns[place]},
                    max_turns=env.max_turns(intent["goal"], axes),
                    following=said["following"],
                    interrupting=said["interrupting"],
                    resuming=said["resuming"],
                    thanks=said["thanks"],
                    broken_off_after=stop["after_step"]
                    if stop and stop["intent"] == place
                    else None,
                )
            )
        return out

    def max_turns(self, goal: Mapping[str, Any], axes: Axes) -> int:
        environments = others()
        return sum(
            environments[intent["environment"]].max_turns(intent["goal"], axes)
            for intent in goal["intents"]
        )

    # --- the reference ---------------------------------------------------------------------

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        return woven(goal, self._references(goal, world, axes, catalog))

    @staticmethod
    def _references(
        goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[list[Action]]:
        environments = others()
        return [
            environments[intent["environment"]].reference(
                intent["goal"], world_of(world, number), axes, catalog
            )
            for number, intent in enumerate(goal["intents"])
        ]

    # --- the verifier ----------------------------------------------------------------------

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        """The mean of what was said of each intent when it was answered, or of what became of it
        since, where it left something behind that could be spoiled."""
        parts = state.parts  # type: ignore[attr-defined]
        verdicts = [standing(part) for part in parts]
        checks: list[Check] = []
        details = []
        for number, (part, verdict) in enumerate(zip(parts, verdicts, strict=True), start=1):
            name = part.environment.name
            checks.append(Check(f"{number}.{name}", verdict.passed, f"r_task {verdict.r_task:.3f}"))
            if part.answer is not None and part.environment.may_change:
                stands = verdict.passed or not part.verdict().passed
                detail = "" if stands else "right when it was answered, spoiled since"
                checks.append(Check(f"{number}.{name}.still_stands", stands, detail))
            checks.extend(
                Check(f"{number}.{name}.{check.name}", check.passed, check.detail)
                for check in verdict.checks
            )
            details.append(
                {
                    "environment": name,
                    "r_task": verdict.r_task,
                    "passed": verdict.passed,
                    "answered_in": part.answered_in,
                    **verdict.details,
                }
            )
        return Verdict(
            sum(verdict.r_task for verdict in verdicts) / len(verdicts),
            all(verdict.passed for verdict in verdicts),
            tuple(checks),
            {"intents": details},
        )

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        """Asked of the intent talked about, never of the journey as a whole."""
        return NOTHING_SEEN

    def recover(self, goal: Mapping[str, Any], state: Played) -> list[Action] | None:
        """What helps the request talked about; what was answered wrongly stays wrong."""
        session: Any = state
        open_parts = [part for part in session.parts if part.answer is None]
        if not all(p.verdict().passed for p in session.parts if p.answer is not None):
            return []
        mend: list[ToolCall] = []
        for spoiled in session.parts:
            if spoiled.answer is None or standing(spoiled).passed:
                continue
            again = spoiled.environment.recover(spoiled.intent.goal, spoiled)
            if not again:
                return []
            mend += [made for action in again for made in action.tool_calls]
        if mend:
            steps = pack(mend, session.tool_budget)
            room = session.max_turns - session.steps - len(open_parts)
            return steps if len(steps) <= room else []
        part, episode = session.part, session.episode
        plan: list[Action] | None = part.environment.recover(part.intent.goal, part)
        if plan is None:
            lists = self._references(goal, episode.world, episode.axes, session.catalog)
            stored = lists[part.number]
            plan = stored[min(part.steps, len(stored) - 1) :]
        left = session.max_turns - session.steps
        return plan if len(plan) + len(open_parts) - 1 <= left else []

    def progress(self, goal: Mapping[str, Any], state: State) -> float:
        parts = state.parts  # type: ignore[attr-defined]
        done = 0.0
        for part in parts:
            if part.answer is not None:
                done += standing(part).passed
            elif part.begun:
                done += part.environment.progress(part.intent.goal, part)
        return done / len(parts)

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        environments = others()
        return {
            "intents": [
                [name := i["environment"], environments[name].goal_identity(i["goal"])]
                for i in goal["intents"]
            ],
            "switch": goal["switch"],
        }

    # --- near misses -----------------------------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        environments = others()
        lists = self._references(goal, world, axes, catalog)
        names = [intent["environment"] for intent in goal["intents"]]
        for number, intent in enumerate(goal["intents"]):
            name = intent["environment"]
            wrong: dict[str, tuple[Action, ...]] = {}
            for miss in environments[name].near_misses(
                intent["goal"], world_of(world, number), axes, catalog
            ):
                if miss.kind == "returned_unasked" and "returns" in names:
                    continue  # it may be the very line that another request is about
                if miss.actions and miss.actions[-1].answer is not None:
                    wrong.setdefault(miss.kind, miss.actions)
            kinds = sorted(wrong, key=lambda kind: seed_from("miss", goal["intents"], kind))
            for kind in kinds[:MISSES_EACH]:
                given = [*lists[:number], wrong[kind], *lists[number + 1 :]]
                yield NearMiss(f"{name}.{kind}", tuple(woven(goal, given)))
        right = woven(goal, lists)
        # The last request is never answered: the turns run out.
        idle = Action(text="Is there anything else?")
        yield NearMiss("intent_dropped", (*right[:-1], *[idle] * self.max_turns(goal, axes)))
        yield from self._spoiled(goal, world, axes, catalog, right)
        answers = [action[-1].answer for action in lists]
        for number in range(len(lists) - 1):
            ways = [_fields(environments[name]) for name in names[number : number + 2]]
            if ways[0] == ways[1] and answers[number] != answers[number + 1]:
                swapped = [list(actions) for actions in lists]
                for here, there in ((number, number + 1), (number + 1, number)):
                    last = swapped[here][-1]
                    swapped[here][-1] = Action(last.text, last.tool_calls, answers[there])
                yield NearMiss("answers_swapped", tuple(woven(goal, swapped)))
        # The first answer again for the second request, which is of another kind.
        again = [*lists[0], Action(answer=answers[0]), *[idle] * self.max_turns(goal, axes)]
        yield NearMiss("answered_twice", tuple(again))

    @staticmethod
    def _spoiled(
        goal: Mapping[str, Any],
        world: Mapping[str, Any],
        axes: Axes,
        catalog: Catalog,
        right: Sequence[Action],
    ) -> Iterator[NearMiss]:
        """Right answers throughout, and with the last of them a write that undoes an earlier
        one."""
        names = [intent["environment"] for intent in goal["intents"]]
        stop = goal["switch"]
        # The last but one comes to its end after the last if it was interrupted by that.
        turned = stop is not None and stop["intent"] == len(names) - 2
        last = names[-2] if turned else names[-1]
        late: dict[str, ToolCall | None] = {}
        if "cart" in names and last != "cart":
            late["cart"] = to_buy(world, catalog)
        if "returns" in names and last != "returns":
            want = goal["intents"][names.index("returns")]["goal"]["want"]
            late["returns"] = to_return(world, catalog, (want["order_id"], want["line_id"]))
        *before, end = right
        for name, made in late.items():
            if made is None:
                continue
            if len(end.tool_calls) < axes.tool_budget:
                spoiling = (*before, replace(end, tool_calls=(*end.tool_calls, made)))
            else:
                spoiling = (*before, Action(tool_calls=(made,)), end)
            yield NearMiss(f"{name}_spoiled_later", spoiling)

    # --- agents that see no goal -----------------------------------------------------------

    def honest(self, view: AgentView) -> Policy:
        return self._one_by_one(view, "honest")

    def naive(self, view: AgentView) -> Policy:
        """The naive policy of each environment in turn."""
        return self._one_by_one(view, "naive")

    def flood(self, view: AgentView) -> Policy:
        """Everything at once, for each request in turn."""
        return self._one_by_one(view, "flood")

    @staticmethod
    def _one_by_one(view: AgentView, kind: str) -> Policy:
        """The policy of the intent talked about; one that is broken off goes on where it was."""
        running: dict[int, Policy] = {}
        results: dict[int, Any] = {}
        while True:
            part = view.part  # type: ignore[attr-defined]
            number = part.number
            try:
                if number in running:
                    action = running[number].send(results[number])
                else:
                    running[number] = getattr(part.environment, kind)(part)
                    action = next(running[number])
            except StopIteration:
                return
            results[number] = yield action

    def constant(self, catalog: Catalog) -> list[Action]:
        return [action for env in others().values() for action in env.constant(catalog)]


def _fields(env: Environment) -> tuple[str, ...]:
    return tuple(sorted(env.answer_parameters["properties"]))


@lru_cache(maxsize=1)
def _union() -> dict[str, Any]:
    """One object with the fields of all answers, each with what it is in which request."""
    fields: dict[str, dict[str, Any]] = {}
    users: dict[str, list[str]] = {}
    for name, env in others().items():
        for key, schema in env.answer_parameters["properties"].items():
            users.setdefault(key, []).append(name)
            if key not in fields:
                fields[key] = dict(schema)
            elif fields[key] != schema:
                # What they have in common; the text says what it is where.
                both = fields[key]
                texts = [both.get("description", ""), schema.get("description", "")]
                shared = {k: v for k, v in both.items() if schema.get(k) == v}
                shared["description"] = " Or: ".join(dict.fromkeys(texts))
                fields[key] = shared
    for key, schema in fields.items():
        if key != "message":
            label = ", ".join(_REQUESTS.get(name, name) for name in users[key])
            schema["description"] = f"({label}) {schema.get('description', '')}".strip()
    return {"type": "object", "properties": fields, "required": [], "additionalProperties": False}


_REQUESTS = {
    "bundle": "things for a project",
    "cart": "filling the cart",
    "discovery": "finding products",
    "policy": "a question about the shop's rules",
    "returns": "a return or exchange",
    "substitution": "a substitute for a sold-out product",
    "tracking": "where an order stands",
}
