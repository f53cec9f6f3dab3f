"""The customer: what they say, what they understand, and when they say it (SPEC §6)."""

from ecomkit.user.phrasing import (
    KINDS,
    Fragment,
    fill,
    make_replies,
    phrase_correction,
    phrase_fragment,
    phrase_opening,
    phrase_statement,
    phrase_switch,
)
from ecomkit.user.questions import Question, recognise
from ecomkit.user.review import NOTHING_SEEN, Mistake, Review
from ecomkit.user.simulator import SAID_AT_ONCE, User
from ecomkit.user.typos import typo

__all__ = [
    "KINDS",
    "NOTHING_SEEN",
    "SAID_AT_ONCE",
    "Fragment",
    "Mistake",
    "Question",
    "Review",
    "User",
    "fill",
    "make_replies",
    "phrase_correction",
    "phrase_fragment",
    "phrase_opening",
    "phrase_statement",
    "phrase_switch",
    "recognise",
    "typo",
]
