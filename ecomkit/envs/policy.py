"""Policy: a question whose answer turns on ``policy_clauses`` conditions (SPEC §7).

The figures of the shop's rules are drawn anew for every episode. The customer asks, and tells the
facts of the case (some only when asked); membership tier and region stand in the profile. One fact
may turn out to be another midway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar

from ecomkit.core.difficulty import Axes
from ecomkit.core.errors import DrawFailed
from ecomkit.core.records import Action, Check, Verdict
from ecomkit.core.seeds import Rng, canonical_json
from ecomkit.envs.base import (
    AgentView,
    Draft,
    DrawContext,
    Environment,
    NearMiss,
    Played,
    Policy,
    Redraw,
    SlotDraft,
    State,
    SwitchDraft,
    call,
    draw_clock,
    in_split,
)
from ecomkit.envs.shopping import (
    answer_after,
    held_against,
    put_back,
    unasked_labels,
    unasked_misses,
)
from ecomkit.shop import policies
from ecomkit.shop.policies import Reading, Rule, evaluate, read_passage, rule_of
from ecomkit.user import NOTHING_SEEN, Review
from ecomkit.user.words import some

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

PASS_MARK = 0.95
SHORT_CHANCE = 0.4
"""How often an amount is told that falls short of a rule's threshold and so changes nothing."""
PROFILE_FIELDS = frozenset({"tier", "region"})
"""Facts that the account shows and the customer does not tell."""

NAMES = (
    "Alex Morgan", "Sam Carter", "Jamie Lee", "Robin Patel", "Casey Nguyen", "Jordan Silva",
    "Taylor Brooks", "Morgan Reyes", "Drew Fischer", "Avery Kim", "Riley Novak", "Quinn Okafor",
)  # fmt: skip

KIND_WEIGHTS = {"cents": 4, "points": 4, "hours": 3, "percent": 2, "days": 2, "months": 2}
"""How often a rule of a unit is asked about; 1 for the rest, whose answers have few values."""

ASKED_BY: dict[str, tuple[str, ...]] = {
    "condition": ("condition", "reason"),
    "department": ("category",),
    "speed": ("speed", "ship_days"),
    "count": ("quantity",),
    "item_price": ("price_cents", "budget"),
    "order_total": ("price_cents", "budget"),
    "weight": ("weight_lbs",),
    "holiday": ("placed", "order"),
    "weekend": ("placed", "order"),
    "no_receipt": ("receipt",),
    "channel": ("channel", "store"),
    "oversized": ("oversized", "size"),
}
"""Question kinds that draw out a fact, where they are not just the fact's own name."""

LEADS = (
    "{s}",
    "{s}",
    "Just so you know: {s}",
    "Also, {s}",
    "In case it matters: {s}",
    "I should add: {s}",
    "By the way, {s}",
    "Oh, and {s}",
    "One more detail: {s}",
    "For context: {s}",
)
ABOUT = (
    "It's about {a}.",
    "This is for {a}.",
    "I'm asking because of {a}.",
    "The item is {a}.",
    "I'm talking about {a}.",
    "It concerns {a}.",
    "It's {a} I'm asking about.",
    "I mean {a}.",
)
CORRECTIONS = (
    "Actually, {rest}",
    "Sorry, I got that wrong: {rest}",
    "Oh wait, {rest}",
    "Hang on, I just checked: {rest}",
    "A correction from me: {rest}",
    "I looked again: {rest}",
    "Sorry, let me correct that: {rest}",
    "My mistake: {rest}",
    "Wait, I mixed that up: {rest}",
)

ORDINARY: dict[str, tuple[str, ...]] = {
    "payment": ("I paid by card.", "I paid with my credit card.", "It was paid by card."),
    "speed": (
        "It's on standard shipping.",
        "I chose standard shipping.",
        "It's just standard shipping.",
    ),
    "channel": (
        "I bought it online, from you directly.",
        "I ordered it on your website, from you.",
    ),
    "condition": ("It's still unopened.", "I haven't opened it.", "The package is still sealed."),
    "gift": ("It wasn't a gift.", "It isn't a gift, I bought it for myself."),
    "no_receipt": ("I do have the receipt.", "I found the receipt."),
    "holiday": ("I ordered it in October.", "The order was placed in October."),
    "clearance": ("It wasn't on clearance.", "It isn't a clearance item."),
    "refurbished": ("It isn't refurbished, it's new.", "It's a new one, not refurbished."),
    "personalized": ("It isn't personalized.", "There's no personalization on it."),
    "oversized": ("It isn't oversized.", "It's not an oversized item."),
    "battery": ("There's no lithium battery in it.", "It doesn't have a lithium battery."),
    "repeat": ("It isn't on a repeat delivery.", "I don't get it as a repeat delivery."),
    "app": (
        "I didn't order in the app, I used the website.",
        "I ordered on the website, not in the app.",
    ),
    "business": (
        "It isn't a business account.",
        "My account is a private one, not a business one.",
    ),
    "student": ("I'm not a verified student.", "I don't have the student status anymore."),
    "first_order": ("It isn't my first order.", "I've ordered from you before."),
    "set": ("It wasn't part of a set.", "It was sold on its own, not in a set."),
    "po_box": ("It doesn't go to a PO box.", "The delivery address is my house, not a PO box."),
    "weekend": ("I ordered on a Wednesday.", "The order was placed on a Tuesday."),
    "phone": ("I'm not asking by phone, I'd do it online.", "I'd do it online, not by phone."),
}
"""How a customer says that a fact is the ordinary one: what was said before does not hold."""

NO = (
    "No.",
    "No, nothing like that.",
    "Not in my case, no.",
    "No, it isn't anything like that.",
    "No, that doesn't apply.",
    "No, not that I know of.",
    "I don't think so, no.",
    "Nope.",
)
DENIALS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        "gift receipt clearance refurbished personalized oversized battery repeat app business "
        "student first_order set po_box phone".split(),
        NO,
    ),
    "payment": ("By card.", "Just with my card.", "With a credit card.", "I paid by card."),
    "speed": ("Standard shipping.", "Just the standard shipping.", "Nothing special, standard."),
    "channel": ("Online, from you.", "On your website.", "From you directly, online."),
    "placed": ("On an ordinary weekday, nothing special.", "Just on a normal weekday."),
    "condition": ("It's as it came, unopened.", "Unopened.", "It's still sealed."),
    "price_cents": ("Not much, I don't think that matters here.", "It was a small amount."),
    "years": ("Not very long.", "Only for a little while.", "Since recently."),
    "days_late": ("Hardly at all.", "It's barely late.", "Not by much."),
    "miles": ("Not far at all.", "It's close by.", "Just around the corner."),
    "weight_lbs": ("It's light.", "Not heavy at all.", "It doesn't weigh much."),
}

KEYWORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("payment", "installments"): ("installments", "installment"),
    ("channel", "store"): ("store", "stores"),
    ("condition", "used"): ("used", "use"),
    ("condition", "missing parts"): ("missing", "can't find"),
    ("no_receipt", "true"): ("receipt",),
    ("holiday", "true"): ("November", "December"),
    ("personalized", "true"): ("personalized", "engraved"),
    ("battery", "true"): ("lithium",),
    ("repeat", "true"): ("repeat delivery",),
    ("first_order", "true"): ("first order", "never ordered"),
    ("po_box", "true"): ("PO box",),
    ("weekend", "true"): ("Saturday", "Sunday", "weekend"),
}
"""Words, one of which states a fact, where they are not its value or its name."""


# --- the goal ------------------------------------------------------------------------------


def right_answer(goal: Mapping[str, Any], fired: Mapping[str, int], before: int) -> Any:
    """The answer in step ``before``: a number in the unit of the answer, or an option."""
    switch = goal["switch"]
    if switch and fired.get("switch", before) < before:
        return switch["answer"]
    return goal["answer"]


def in_answer_unit(value: int | str, unit: str) -> float | str:
    """A rule's figure as it is to be answered: dollars for cents, everything else as it is."""
    if isinstance(value, str):
        return value
    return value / 100 if unit == "cents" else float(value)


def number_score(given: Any, right: float) -> float:
    """2·(min/max)^4 − 1 of two numbers of the same sign, else −1 (SPEC §7). Never raises."""
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return -1.0
    try:
        value = float(given)
    except OverflowError:
        return -1.0
    if not isfinite(value):
        return -1.0
    if value == right:
        return 1.0
    if value * right <= 0:
        return -1.0
    low, high = sorted((abs(value), abs(right)))
    return float(2.0 * (low / high) ** 4 - 1.0)


def choice_score(given: Any, right: str) -> float:
    """1 if ``given`` names the option, else −1; case, blanks and a leading article aside."""
    return 1.0 if isinstance(given, str) and _plain(given) == _plain(right) else -1.0


def _plain(text: str) -> str:
    words = text.casefold().strip(" .!\"'").split()
    return " ".join(words[1:] if words[:1] in (["a"], ["an"], ["the"]) else words)


def score_of(answer: Mapping[str, Any] | None, right: Any) -> float:
    """r_task of an answer."""
    if isinstance(right, str):
        return choice_score((answer or {}).get("choice"), right)
    return number_score((answer or {}).get("value"), right)


def as_answer(right: Any) -> dict[str, Any]:
    """The answer that states ``right``."""
    return {"choice": right} if isinstance(right, str) else {"value": right}


class PolicyQuestion(Environment):
    name = "policy"
    task: ClassVar[str] = (
        "The customer has a question about the shop's policy: find the rule and the facts of their "
        "case, and work out the answer."
    )
    answer_description = "The answer to the customer's question: a number or an outcome."
    answer_parameters: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "value": {
                "type": "number",
                "description": "Where the answer is a number: the number alone, amounts of money "
                "in dollars (7.5 for $7.50), shares in per cent, times in the unit asked for.",
            },
            "choice": {
                "type": "string",
                "description": "Where the answer is an outcome in words: the outcome as the policy "
                "words it, such as 'a post office'.",
            },
        },
        "required": [],
        "additionalProperties": False,
    }

    # --- drawing ---------------------------------------------------------------------------

    def draw(self, context: DrawContext) -> Draft:
        rng = context.rng.child("goal")
        department = context.department or rng.choice(context.catalog.departments)
        policy = policies.draw_policy(
            context.rng.child("figures"), context.catalog.departments, department
        )
        wants_switch = context.rng.child("switch").chance(context.axes.p_switch)
        weighted = [
            kind
            for kind in policies.question_kinds()
            for _ in range(KIND_WEIGHTS.get(rule_of(kind).unit, 1))
            if not (wants_switch and context.axes.policy_clauses == 1) or _has_rivals(kind)
        ]
        for attempt in range(120):
            case = self._draw_case(
                context, rng.child("case", attempt), policy, weighted, department, wants_switch
            )
            if case is not None:
                break
        else:
            raise Redraw("policy_clauses", "no question that turns on so many conditions")
        goal, profile = case
        slots = self._slots(context, goal, rng.child("words"))
        switch = None
        if goal["switch"]:
            change = goal["switch"]
            switch = SwitchDraft(
                change["after_step"],
                change["field"],
                fact(change["field"], change["value"]),
                _says(change["field"], change["value"]),
                CORRECTIONS,
            )
        return Draft(
            department=department,
            goal=goal,
            world={
                "now": draw_clock(context.rng.child("clock")),
                "profile": {"name": rng.choice(NAMES), **profile},
                "policy": policy,
            },
            slots=slots,
            nouns={},
            switch=switch,
            denials=DENIALS,
        )

    def _draw_case(
        self,
        context: DrawContext,
        rng: Rng,
        policy: Mapping[str, Any],
        kinds: list[str],
        department: str,
        wants_switch: bool,
    ) -> tuple[dict[str, Any], dict[str, str]] | None:
        """A goal and the profile that goes with it, or None if this try leads nowhere."""
        clauses = context.axes.policy_clauses
        try:
            kind, facts = policies.draw_case(
                rng, policy, clauses, [rng.choice(kinds)], department, tries=8
            )
        except DrawFailed:
            return None
        rule = rule_of(kind)
        if "department" in rule.fields:
            # The customer says what it is about, whether or not it matters.
            facts["department"] = department
        for name, threshold in policies.thresholds(policy, kind):
            # An amount that falls short of what would count.
            short = threshold * rng.between(55, 95) // 100
            if name not in facts and short > 1 and rng.chance(SHORT_CHANCE):
                facts[name] = short
        mentioned = {modifier.value for modifier in rule.modifiers}
        mentioned |= {value for _, value in rule.chain}
        profile = {
            "tier": facts.get("tier")
            or rng.choice([tier for tier in policies.TIERS if tier not in mentioned]),
            "region": facts.get("region")
            or rng.choice([name for name in policies.REGIONS if name not in mentioned]),
        }
        whole = {**facts, **profile}
        figure = evaluate(policy, kind, whole)
        turning = policies.turns_on(policy, kind, whole)
        if len(turning) != clauses or not figure:
            return None
        right = in_answer_unit(figure, rule.unit)
        identity = canonical_json([kind, whole, policy["figures"][kind]])
        if not in_split(identity, context.split):
            return None
        goal: dict[str, Any] = {
            "kind": kind,
            "unit": rule.unit,
            "facts": whole,
            "turns_on": list(turning),
            "answer": right,
            "figures": list(policy["figures"][kind]),
            "switch": None,
        }
        if wants_switch:
            goal["switch"] = self._draw_switch(policy, rule, goal, rng.child("switch"))
            if goal["switch"] is None:
                return None
        for final in (right, *([goal["switch"]["answer"]] if goal["switch"] else [])):
            if any(
                score_of(as_answer(wrong), final) >= PASS_MARK
                for _, wrong in _wrong(policy, goal, final)
            ):
                return None
        return goal, profile

    @staticmethod
    def _draw_switch(
        policy: Mapping[str, Any], rule: Rule, goal: Mapping[str, Any], rng: Rng
    ) -> dict[str, Any] | None:
        """A fact that turns out to be another, so that the answer is another."""
        facts = goal["facts"]
        options: list[tuple[str, Any]] = []
        for name in goal["turns_on"]:
            if name in PROFILE_FIELDS or name == "department":
                continue
            options += [
                (name, modifier.value)
                for modifier in rule.modifiers
                if modifier.field == name
                and modifier.threshold is None
                and modifier.value not in ("true", facts[name])
            ]
            if len(goal["turns_on"]) > 1 and name in ORDINARY:
                options.append((name, None))
        for name, value in rng.shuffled(options):
            figure = evaluate(policy, rule.key, {**facts, name: value})
            answer = in_answer_unit(figure, rule.unit)
            if figure and score_of(as_answer(goal["answer"]), answer) < PASS_MARK:
                return {
                    "field": name,
                    "value": value,
                    "answer": answer,
                    "after_step": 1,  # an agent that looks and answers takes two steps
                }
        return None

    @staticmethod
    def _slots(context: DrawContext, goal: Mapping[str, Any], rng: Rng) -> list[SlotDraft]:
        question = policies.ask(goal["kind"], rng)
        slots = [SlotDraft("question", "question", "", {"text": question}, critical=True)]
        for name, value in goal["facts"].items():
            if name in PROFILE_FIELDS:
                continue
            if name == "department":
                category = rng.choice(context.catalog.categories_of(value))
                noun = some(context.catalog.noun(category))
                thing = f"{noun} from the {policies.spoken(value)} department"
                says = tuple(text.replace("{a}", thing) for text in ABOUT)
            else:
                says = _says(name, value)
            slots.append(
                SlotDraft(
                    name,
                    "fact",
                    "",
                    fact(name, value),
                    asked_by=("question", *ASKED_BY.get(name, (name,))),
                    says=says,
                )
            )
        return [slots[0], *rng.shuffled(slots[1:])]

    # --- the reference ---------------------------------------------------------------------

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        final = right_answer(goal, {"switch": 0}, 1)
        title = rule_of(goal["kind"]).title
        actions = [Action(tool_calls=(call("policy_search", query=title),))]
        if PROFILE_FIELDS & set(goal["turns_on"]):
            look = call("user_get_profile")
            if axes.tool_budget > 1:
                actions = [Action(tool_calls=(*actions[0].tool_calls, look))]
            else:
                actions.append(Action(tool_calls=(look,)))
        after = goal["switch"]["after_step"] if goal["switch"] else 0
        while len(actions) < after:
            actions.append(Action(tool_calls=(call("policy_search", query=title),)))
        return [*actions, Action(answer=as_answer(final))]

    # --- the verifier ----------------------------------------------------------------------

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        right = right_answer(goal, state.fired, state.steps)
        r_task = score_of(state.answer, right)
        answered = state.answer is not None
        passed = answered and r_task >= PASS_MARK
        given = (state.answer or {}).get("choice" if isinstance(right, str) else "value")
        checks = (
            Check("answered", answered, "" if answered else "no submit_answer"),
            Check("value", r_task >= PASS_MARK, f"{str(given)[:40]!r}, not {right!r}"),
        )
        return held_against(Verdict(r_task, passed, checks), state, self.may_change)

    def labels(self, goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
        yield from unasked_labels(verdict)
        wrong = any(check.name == "value" and not check.passed for check in verdict.checks)
        if state.answer is not None and wrong:
            yield "wrong_policy_value"

    def recover(self, goal: Mapping[str, Any], state: Played) -> list[Action] | None:
        answer = as_answer(right_answer(goal, state.fired, state.steps + 1))
        return answer_after(put_back(state, self.may_change), answer, state.tool_budget)

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        """Nothing changes on the customer's screen; they can only be told."""
        return NOTHING_SEEN

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        return [goal["kind"], goal["facts"], goal["figures"], goal["switch"]]

    # --- near misses -----------------------------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        reference = self.reference(goal, world, axes, catalog)
        looks = reference[:-1]
        right = right_answer(goal, {"switch": 0}, 1)
        for kind, wrong in _wrong(world["policy"], goal, right):
            yield NearMiss(kind, (*looks, Action(answer=as_answer(wrong))))
        if isinstance(right, str):
            yield NearMiss("number_for_choice", (*looks, Action(answer={"value": 1})))
            listed = ", ".join(policies.options(goal["kind"]))
            yield NearMiss("every_option", (*looks, Action(answer={"choice": listed})))
        else:
            for share in (0.95, 1.05):
                yield NearMiss(
                    "five_percent_off", (*looks, Action(answer={"value": right * share}))
                )
            for step in (-1, 1):
                if number_score(right + step, right) < PASS_MARK:
                    yield NearMiss("one_off", (*looks, Action(answer={"value": right + step})))
            yield NearMiss("sign", (*looks, Action(answer={"value": -right})))
            if goal["unit"] == "cents":
                yield NearMiss("cents", (*looks, Action(answer={"value": right * 100})))
            yield NearMiss("in_words", (*looks, Action(answer={"choice": str(right)})))
        if goal["switch"]:
            early = (*looks, Action(answer=as_answer(goal["answer"])))
            yield NearMiss("ignored_change_of_mind", early)
        yield NearMiss("no_value", (*looks, Action(answer={})))
        yield from unasked_misses(reference, world, axes.tool_budget, catalog, self.may_change)

    # --- agents that see no goal -----------------------------------------------------------

    def honest(self, view: AgentView) -> Policy:
        """Asks for the circumstances, reads the passage and the profile, and works it out."""
        question = _question(view)
        ask = call(
            "ask_user",
            question="Could you tell me more about your situation? Is there anything else I should "
            "know about the order, the item or your account?",
        )
        calls = [call("policy_search", query=question), call("user_get_profile")]
        seen = yield Action(tool_calls=(ask, *calls[: view.tool_budget]))
        results = list(seen.results[1:])
        if view.tool_budget == 1:
            seen = yield Action(tool_calls=(calls[1],))
            results += seen.results
        profile = results[1]
        reading = _first_reading(results[0])
        if reading is None:
            yield Action(answer={})
            return
        case = {name: profile[name] for name in PROFILE_FIELDS if name in profile}
        yield Action(answer=_work_out(reading, {**case, **_told(view)}))

    def naive(self, view: AgentView) -> Policy:
        """The first passage and what the opening says; no question, no look at the account."""
        told = _told(view)
        seen = yield Action(tool_calls=(call("policy_search", query=_question(view)),))
        reading = _first_reading(seen.results[0])
        yield Action(answer=_work_out(reading, told) if reading else {})

    def flood(self, view: AgentView) -> Policy:
        """The ordinary figure, and every outcome at once."""
        seen = yield Action(tool_calls=(call("policy_search", query=_question(view)),))
        reading = _first_reading(seen.results[0])
        base = reading.base if reading else 1
        options = [option for _, option in reading.steps] if reading else []
        if isinstance(base, str):
            yield Action(answer={"value": 1, "choice": ", ".join([base, *options])})
        else:
            assert reading is not None
            yield Action(answer={"value": in_answer_unit(base, reading.unit), "choice": "yes"})

    def constant(self, catalog: Catalog) -> list[Action]:
        return [Action(answer={"value": 14, "choice": "store credit"})]

    def attackers(self) -> Mapping[str, Callable[[AgentView], Policy]]:
        return {"base_figure": _base_figure}


def _has_rivals(kind: str) -> bool:
    """Whether a fact of the rule has two values that both change the answer."""
    told = [
        modifier.field
        for modifier in rule_of(kind).modifiers
        if modifier.field not in PROFILE_FIELDS
        and modifier.field != "department"
        and modifier.threshold is None
    ]
    return len(told) > len(set(told))


def fact(name: str, value: Any) -> dict[str, Any]:
    """The value of a slot that states a fact; ``None`` stands for the ordinary value."""
    if value is None:
        texts = tuple(text.rstrip(".") for text in ORDINARY[name])
    elif isinstance(value, int) and not isinstance(value, bool):
        cents = name in ("order_total", "item_price")
        texts = (f"{value / 100:.2f}" if cents else str(value),)
    elif name == "department":
        texts = (policies.spoken(value),)
    else:
        key = "true" if value is True else value
        texts = KEYWORDS.get((name, key), (name if value is True else key,))
    return {"field": name, "value": value, "said": [list(texts)]}


def _says(name: str, value: Any) -> tuple[str, ...]:
    """Sentences that state a fact; ``None`` is the ordinary value."""
    if value is None:
        return ORDINARY[name]
    said = policies.sayings(name, value)
    out = []
    for lead in LEADS:
        for text in said:
            inner = text
            if not lead.startswith("{s}") and not text.startswith(("I ", "I'")):
                inner = text[:1].lower() + text[1:]
            out.append(lead.replace("{s}", inner))
    return tuple(dict.fromkeys(out))


def _wrong(
    policy: Mapping[str, Any], goal: Mapping[str, Any], right: Any
) -> Iterator[tuple[str, Any]]:
    """(kind, answer) of what one would get by leaving something out."""
    kind, unit, facts = goal["kind"], goal["unit"], dict(goal["facts"])
    switch = goal["switch"]
    if switch and right == switch["answer"]:
        facts[switch["field"]] = switch["value"]
    yield "base_value", in_answer_unit(evaluate(policy, kind, {}), unit)
    for name in policies.turns_on(policy, kind, facts):
        rest = {key: value for key, value in facts.items() if key != name}
        yield "condition_overlooked", in_answer_unit(evaluate(policy, kind, rest), unit)
    for name, threshold in policies.thresholds(policy, kind):
        if isinstance(facts.get(name), int) and facts[name] < threshold:
            counted = evaluate(policy, kind, {**facts, name: threshold})
            yield "threshold_overlooked", in_answer_unit(counted, unit)
    for option in policies.options(kind):
        if option != right:
            yield "another_option", option


# --- listening and reading -----------------------------------------------------------------


def _question(view: AgentView) -> str:
    return str(next(slot.value["text"] for slot in view.disclosed if slot.key == "question"))


def _told(view: AgentView) -> dict[str, Any]:
    """The facts that the customer has told, by field."""
    return {
        slot.value["field"]: slot.value["value"] for slot in view.disclosed if slot.kind == "fact"
    }


def _first_reading(found: Mapping[str, Any]) -> Reading | None:
    for passage in found.get("passages", ()):
        reading = read_passage(passage["title"], passage["text"])
        if reading is not None:
            return reading
    return None


def _work_out(reading: Reading, case: Mapping[str, Any]) -> dict[str, Any]:
    return as_answer(in_answer_unit(reading.answer(case), reading.unit))


def _base_figure(view: AgentView) -> Policy:
    """The first figure of the first passage, whatever the case."""
    seen = yield Action(tool_calls=(call("policy_search", query=_question(view)),))
    reading = _first_reading(seen.results[0])
    yield Action(answer=_work_out(reading, {}) if reading else {})
