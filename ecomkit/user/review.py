"""What the customer can see of the agent's work when they reply."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is visibly wrong, such as a wrong variant in the cart.

    ``slot_key`` names the slot that was got wrong; its frozen correction is said. Where it is
    None, or the slot has no correction, ``text`` is said: a ready sentence of a customer.
    ``kind`` is a short name for logs (``variant``, ``quantity``, ``extra_item`` …).
    """

    slot_key: str | None
    kind: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """What the customer sees: mistakes, most important first; whether something right was
    shown in this step; whether everything they want is there."""

    mistakes: tuple[Mistake, ...] = ()
    shown_right: bool = False
    complete: bool = False


NOTHING_SEEN = Review()
"""The review of a step that showed the customer nothing."""
