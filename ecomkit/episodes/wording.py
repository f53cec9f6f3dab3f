"""From a drawn task to words: the opening, and the frozen script of the customer (SPEC §6).

Every sentence that the customer may say is made here, when the episode is drawn, so that replay
needs no phrase book and an episode reads the same in every later version.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ecomkit.core.records import TEXT_ATTRIBUTES, Slot, words
from ecomkit.core.seeds import Rng
from ecomkit.envs.base import Draft, DrawContext, SlotDraft, SwitchDraft
from ecomkit.user import (
    Fragment,
    make_replies,
    phrase_correction,
    phrase_fragment,
    phrase_opening,
    phrase_statement,
    phrase_switch,
    typo,
)
from ecomkit.user.phrases import SWITCH

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

WHOLE_KINDS = frozenset({"category"})
"""Kinds that the noun itself says; they get no fragment of their own in the opening."""


def put_into_words(
    draft: Draft, context: DrawContext, environment_name: str, greet: bool = True
) -> tuple[str, dict[str, Any]]:
    """The opening message and the customer's script.

    Which slots the opening leaves out depends on ``p_missing`` and the slot's key alone, typos on
    ``p_noise``; the wording is the same whatever these axes are.
    """
    if draft.parts:
        return _several(draft, context)
    rng = context.rng.child("words")
    axes = context.axes
    noise = rng.child("noise")
    meaningful = shop_words(context.catalog)

    def mistyped(text: str, *key: str) -> str:
        return typo(text, axes.p_noise, noise.child(*key), draft.protected, meaningful)

    def noun_of(slot: SlotDraft) -> str:
        names = draft.nouns.get(slot.subject)
        return names[0] if names else ""

    missing = rng.child("missing")
    slots: list[Slot] = []
    unnamed: set[str] = set()
    for slot in draft.slots:
        noun = noun_of(slot)
        omitted = missing.child(slot.key).chance(axes.p_missing)
        if slot.kind == "category" and omitted and not slot.critical:
            unnamed.add(slot.subject)
        # Nothing is said of a thing that is not named.
        omitted |= slot.subject in unnamed
        slots.append(
            Slot(
                key=slot.key,
                kind=slot.kind,
                subject=slot.subject,
                value=slot.value,
                critical=slot.critical,
                opening=slot.critical or not omitted,
                statement=_worded(phrase_statement, slot, noun, rng.child("statement", slot.key)),
                correction=_worded(
                    phrase_correction, slot, noun, rng.child("correction", slot.key)
                ),
                asked_by=slot.asked_by,
            )
        )
    replies = make_replies(rng.child("replies"))
    replies["by_kind"].update(
        {
            kind: rng.child("denials", kind).shuffled(pool)
            for kind, pool in sorted(draft.denials.items())
        }
    )
    opening = phrase_opening(
        environment_name, _opening_parts(draft, slots, rng), rng.child("opening"), greet
    )
    script: dict[str, Any] = {
        "slots": [slot.to_dict() for slot in slots],
        "nouns": draft.nouns,
        "replies": replies,
        "switch": _switch(draft, rng),
        "persona": draft.persona,
    }
    if context.phraser is not None:
        opening, script = context.phraser.rephrase(opening, script)
    for slot in script["slots"]:
        for part in ("statement", "correction"):
            slot[part] = mistyped(slot[part], part, slot["key"])
    if script["switch"]:
        for part in ("statement", "correction", "text"):
            script["switch"][part] = mistyped(script["switch"][part], "switch", part)
    return mistyped(opening, "opening"), script


NEXT_LEADS: tuple[str, ...] = (
    "There's something else.",
    "One more thing.",
    "While I have you here, there's something else.",
    "I've got another request.",
    "There's another thing on my mind.",
    "That was one thing. Here's another.",
    "And now for something else.",
    "Can you help me with another thing?",
    "I have one more request.",
)
THANKS: tuple[str, ...] = (
    "Great, thank you!",
    "Perfect, thanks.",
    "Lovely, thanks.",
    "Good, thank you.",
    "Wonderful, thanks a lot.",
    "Brilliant, thank you.",
    "Alright, thanks.",
    "Okay, thanks for that.",
)
BREAK_LEADS: tuple[str, ...] = (
    "Sorry, before you go on, something else first.",
    "Wait, there's another thing I need first.",
    "Hold on, I need help with something else right away.",
    "Sorry to interrupt, there's something more urgent.",
    "One moment, something else comes first.",
    "Let me stop you there, I just remembered something else.",
    "Before we finish this, another thing.",
    "Can we do something else first?",
)
BACK_LEADS: tuple[str, ...] = (
    "Now back to what I asked before.",
    "Let's get back to the other thing.",
    "And now on with what we were doing.",
    "Back to my earlier request, please.",
    "Now please finish the first thing.",
    "Where were we? Let's go on with the other thing.",
    "Please go on with what I asked before.",
    "That leaves what we were at before.",
)


def _several(draft: Draft, context: DrawContext) -> tuple[str, dict[str, Any]]:
    """The opening of the first of several tasks, and the script of them all.

    Keys and subjects of the slots begin with the task's number: ``2.item1.brand``.
    """
    rng = context.rng.child("words")
    first = ""
    script: dict[str, Any] = {"slots": [], "nouns": {}, "switch": None, "intents": []}
    for number, (name, part, inner) in enumerate(draft.parts, start=1):
        frames = f"journey.{name}" if name == "cart" else name
        opening, own = put_into_words(part, inner, frames, greet=number == 1)
        first = first or opening
        leads = [rng.child(n, number).choice(pool) for n, pool in enumerate(_LEADS)]
        for slot in own.pop("slots"):
            script["slots"].append(
                {
                    **slot,
                    "key": f"{number}.{slot['key']}",
                    "subject": f"{number}.{slot['subject']}",
                }
            )
        for subject, names in own.pop("nouns").items():
            script["nouns"][f"{number}.{subject}"] = names
        script["intents"].append(
            {
                **own,
                "following": f"{leads[0]} {opening}",
                "interrupting": f"{leads[1]} {opening}",
                "resuming": leads[2],
                "thanks": leads[3],
            }
        )
    change = draft.goal.get("switch")
    if change:
        # The words that break in; what follows them is the opening of the next request.
        said = rng.child(1, change["intent"] + 2).choice(BREAK_LEADS)
        script["switch"] = {"after_step": change["reference_step"], "slot": None, "text": said}
    return first, script


_LEADS = (NEXT_LEADS, BREAK_LEADS, BACK_LEADS, THANKS)


def _worded(phrase: Any, slot: SlotDraft | SwitchDraft, noun: str, rng: Rng) -> str:
    """A sentence that states the slot: one of its own if it has any, else from the phrase book."""
    if slot.says:
        return rng.choice(slot.says)
    assert isinstance(slot, SlotDraft)
    return str(phrase(slot.kind, slot.value, noun, rng))


_shop_words: dict[str, frozenset[str]] = {}


def shop_words(catalog: Catalog) -> frozenset[str]:
    """Every word of the catalog's attribute values, brands and stores: made once a catalog."""
    found = _shop_words.get(catalog.hash)
    if found is None:
        names = ("brand", "store", *TEXT_ATTRIBUTES)
        values = (value for name in names for value in catalog.vocabulary(name))
        found = frozenset(word for value in values for word in words(value))
        _shop_words.clear()
        _shop_words[catalog.hash] = found
    return found


def _opening_parts(draft: Draft, slots: list[Slot], rng: Rng) -> list[tuple[str, list[Any]]]:
    """(noun, fragments) for each subject in order, then what concerns the whole conversation."""
    parts: list[tuple[str, list[Any]]] = []
    unnamed = False
    own = {slot.key: slot.says for slot in draft.slots if slot.says}
    for subject in dict.fromkeys(slot.subject for slot in slots):
        mine = [slot for slot in slots if slot.subject == subject]
        if any(slot.kind in WHOLE_KINDS and not slot.opening for slot in mine):
            unnamed = True
            continue
        names = draft.nouns.get(subject, [""])
        noun = names[0]
        if any(slot.kind == "quantity" and not slot.opening for slot in mine) and len(names) > 1:
            # More than one is wanted but how many is left out: "some chargers", not "a charger".
            noun = names[1]
        if mine and all(slot.key in own and slot.kind not in WHOLE_KINDS for slot in mine):
            noun = ""
        fragments = [
            Fragment(slot.kind, rng.child("fragment", slot.key).choice(own[slot.key]), whole=True)
            if slot.key in own
            else phrase_fragment(slot.kind, slot.value, noun, rng.child("fragment", slot.key))
            for slot in mine
            if slot.opening and slot.kind not in WHOLE_KINDS
        ]
        parts.append((noun if subject else "", fragments))
    if unnamed and draft.unnamed:
        said = rng.child("unnamed").choice(draft.unnamed)
        last = max(n for n, slot in enumerate(parts) if slot[0])
        parts.insert(last + 1, ("", [Fragment("unnamed", said, whole=True)]))
    return parts


def _changed(said: str, lead: str) -> str:
    """``It's the other one.`` as a change of mind: ``Actually, it's the other one.``"""
    if not re.match(r"I\b|[A-Z]{2}|\W", said):
        said = said[:1].lower() + said[1:]
    text = lead.replace("{rest}", said)
    return text[:1].upper() + text[1:]


def _switch(draft: Draft, rng: Rng) -> dict[str, Any] | None:
    if draft.switch is None:
        return None
    switch = draft.switch
    slot = next(slot for slot in draft.slots if slot.key == switch.key)
    noun = draft.nouns.get(slot.subject, [""])[0]
    words = rng.child("switch")
    if switch.says:
        statement = words.child("statement").choice(switch.says)
        correction = words.child("correction").choice(switch.says)
        lead = words.child("lead").choice(switch.leads or SWITCH)
        text = _changed(words.child("text").choice(switch.says), lead)
    else:
        kind, old, new = slot.kind, slot.value, switch.value
        statement = phrase_statement(kind, new, noun, words.child("statement"))
        correction = phrase_correction(kind, new, noun, words.child("correction"))
        text = phrase_switch(kind, old, new, noun, words.child("text"))
    return {
        "after_step": switch.after_step,
        "slot": switch.key,
        "value": switch.value,
        "statement": statement,
        "correction": correction,
        "text": text,
    }
