"""The customer as a state machine: exact, deterministic, and cheap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ecomkit.core.records import Reply, Slot
from ecomkit.user.questions import Question, recognise
from ecomkit.user.review import NOTHING_SEEN, Review

_UNKNOWN_KINDS = frozenset({"order", "order_line", "reason", "condition", "question", "project"})


SAID_AT_ONCE = 2
"""Mistakes that a customer points out in one reply."""


class User:
    """One customer in one session, built from the frozen script of an episode.

    ``disclosed`` holds the slots stated so far, opening first, with their current values: all
    that an honest agent may use. Replies depend on the script and the calls made, on nothing
    else. A reply costs well under 100 microseconds.
    """

    def __init__(self, script: Mapping[str, Any]) -> None:
        self.slots: dict[str, Slot] = {}
        for data in script["slots"]:
            slot = data if isinstance(data, Slot) else Slot.from_dict(data)
            self.slots[slot.key] = slot
        self.nouns: dict[str, list[str]] = dict(script.get("nouns", {}))
        self.replies: Mapping[str, Any] = script.get("replies", {})
        self.persona: Mapping[str, Any] = script.get("persona") or {}
        self._switch: Mapping[str, Any] | None = script.get("switch")
        self._changed: str | None = None
        self._order: list[str] = [key for key, slot in self.slots.items() if slot.opening]
        self.stated: set[str] = set(self._order)
        self._used: dict[str, int] = {}
        self._names = tuple((subject, tuple(names)) for subject, names in self.nouns.items())
        # What draws a slot out never changes, only what is said then: copies share it.
        self._asked_by: dict[str, list[str]] = {}
        for key, slot in self.slots.items():
            for kind in {slot.kind, *slot.asked_by}:
                self._asked_by.setdefault(kind, []).append(key)

    def copy(self) -> User:
        """An independent customer who has said and heard the same so far."""
        new = User.__new__(User)
        new.slots = self.slots  # never changed in place
        new.nouns, new.replies, new.persona = self.nouns, self.replies, self.persona
        new._switch, new._names = self._switch, self._names
        new._asked_by = self._asked_by
        new._changed = self._changed
        new._order = list(self._order)
        new.stated = set(self.stated)
        new._used = dict(self._used)
        return new

    __copy__ = copy

    @property
    def disclosed(self) -> list[Slot]:
        """The slots stated so far, in the order stated, with current values."""
        return [self.slots[key] for key in self._order]

    def left_out(self) -> list[Slot]:
        """The slots not stated so far, in script order."""
        return [slot for key, slot in self.slots.items() if key not in self.stated]

    @property
    def changed(self) -> str | None:
        """Key of the slot that the customer has changed their mind about."""
        return self._changed

    @property
    def switch_due(self) -> bool:
        """True while a change of mind is still to come."""
        return self._switch is not None

    def understand(self, text: str) -> Question:
        """What the customer takes ``text`` to ask."""
        return recognise(text, self._names)

    def reply(self, text: str, review: Review = NOTHING_SEEN, step: int = 0) -> Reply:
        """The customer's answer to an agent's message, by the rules of SPEC §6.

        Order: a question about something left out is answered (``clarify``); else visible
        mistakes are pointed out (``correct``); else something right is confirmed if asked;
        else what was said already is repeated, or the customer says there is nothing to say
        (``continue``). Nothing left out is revealed otherwise, but a correction states its slot.
        """
        question = self.understand(text)
        asked = self._asked(question)
        fresh = [slot for slot in asked if slot.key not in self.stated]
        if question.generic:
            fresh += self._volunteered(question, fresh)
        if fresh:
            for slot in fresh:
                self._state(slot.key)
            return Reply(_join([s.statement for s in fresh]), "clarify", _keys(fresh))
        if review.mistakes:
            return self._correct(review)
        if question.confirms and review.shown_right:
            # "Shall I order it?" needs a yes or a no to that, not to the cart alone.
            if "checkout" in question.kinds:
                return Reply(self._on_checkout(asked, question), "confirm")
            return Reply(self._say("confirm"), "confirm")
        if asked and (not question.confirms or "checkout" in question.kinds):
            said = _join([slot.statement for slot in asked[:3]])
            return Reply(f"{self._say('repeat_lead')} {said}", "continue")
        return Reply(self._small_talk(question), "continue")

    def interject(self, step: int) -> Reply | None:
        """The change of mind, once ``step`` has reached its time; None otherwise."""
        switch = self._switch
        if switch is None or step < switch["after_step"]:
            return None
        self._switch = None
        key = self._changed = switch["slot"]
        slot = self.slots[key]
        new = replace(
            slot,
            value=switch["value"],
            statement=switch.get("statement") or slot.statement,
            correction=switch.get("correction") or switch.get("statement") or slot.correction,
        )
        self.slots = {**self.slots, key: new}  # the old ones may be a copy's
        self._state(key)
        return Reply(switch["text"], "elaborate", (key,))

    def done_text(self) -> str:
        """What a satisfied customer says at the end."""
        return self._say("done")

    def quit_text(self) -> str:
        """What a customer says who gives up."""
        return self._say("quit")

    def _state(self, key: str) -> None:
        if key not in self.stated:
            self.stated.add(key)
            self._order.append(key)

    def _asked(self, question: Question) -> list[Slot]:
        """Slots that a specific question is about, stated or not, in script order.

        Where a subject was only inherited from the sentence before and has no such slot, the
        question is taken to be about any subject.
        """
        keys: set[str] = set()
        slots = self.slots
        for kinds, subjects, inherited in question.parts:
            matching = {key for kind in kinds for key in self._asked_by.get(kind, ())}
            named = matching
            if subjects:
                named = {
                    key
                    for key in matching
                    if not slots[key].subject or slots[key].subject in subjects
                }
                if inherited and named <= self.stated:
                    named = matching
            keys |= named
        return [slot for key, slot in slots.items() if key in keys] if keys else []

    def _volunteered(self, question: Question, taken: Sequence[Slot]) -> list[Slot]:
        """The next two slots left out, of the subjects named if any: a generic question."""
        keys = {slot.key for slot in taken}
        subjects = question.generic_subjects
        left = [
            slot
            for slot in self.left_out()
            if slot.key not in keys and (not subjects or slot.subject in subjects)
        ]
        return left[:2]

    def _correct(self, review: Review) -> Reply:
        """Names at most two mistakes; the slots corrected count as stated."""
        texts, keys = [], []
        for mistake in review.mistakes[:SAID_AT_ONCE]:
            slot = self.slots.get(mistake.slot_key) if mistake.slot_key else None
            if slot is not None:
                texts.append(slot.correction or mistake.text or slot.statement)
                if slot.correction or not mistake.text:
                    keys.append(slot.key)
                    self._state(slot.key)
            elif mistake.text:
                texts.append(mistake.text)
        lead = self._say("mistake_lead")
        return Reply(_join([lead, *dict.fromkeys(texts)]), "correct", tuple(dict.fromkeys(keys)))

    def _on_checkout(self, asked: Sequence[Slot], question: Question) -> str:
        for slot in asked:
            if slot.kind == "checkout":
                return slot.statement
        return self._small_talk(question)

    def _small_talk(self, question: Question) -> str:
        if question.generic or question.anything_else:
            return self._say("nothing_more")
        kinds = question.kinds
        if kinds and (not question.confirms or "checkout" in kinds):
            by_kind = self.replies.get("by_kind", {})
            for kind in sorted(kinds):
                if kind in by_kind:
                    return self._say_from(f"by_kind.{kind}", by_kind[kind])
            return self._say("unknown" if kinds & _UNKNOWN_KINDS else "no_preference")
        if question.confirms:
            return self._say("continue")
        return self._say("unknown" if question.asks else "continue")

    def _say(self, pool: str) -> str:
        return self._say_from(pool, self.replies.get(pool) or _DEFAULT[pool])

    def _say_from(self, name: str, pool: Sequence[str] | str) -> str:
        """The next sentence of a pool, round and round."""
        if isinstance(pool, str):
            return pool
        n = self._used.get(name, 0)
        self._used[name] = n + 1
        return pool[n % len(pool)]


_DEFAULT: dict[str, tuple[str, ...]] = {
    "confirm": ("Yes, that's right.",),
    "continue": ("Okay, please go on.",),
    "nothing_more": ("No, that's everything.",),
    "unknown": ("Sorry, I'm not sure what you mean.",),
    "no_preference": ("I don't mind either way.",),
    "mistake_lead": ("That's not quite right.",),
    "repeat_lead": ("As I said:",),
    "quit": ("Never mind, I'll try somewhere else.",),
    "done": ("Great, thank you!",),
}


def _keys(slots: Sequence[Slot]) -> tuple[str, ...]:
    return tuple(slot.key for slot in slots)


def _join(sentences: Sequence[str]) -> str:
    return " ".join(text for text in sentences if text)
