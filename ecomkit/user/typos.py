"""Typing errors: small, deterministic, and never where they would change what is meant."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Container, Iterable

from ecomkit.core.seeds import Rng

_NEIGHBOURS: dict[str, str] = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij",
    "i": "uok", "o": "ipl", "p": "ol", "a": "qsz", "s": "adwx", "d": "sfec", "f": "dgrv",
    "g": "fhtb", "h": "gjyn", "j": "hkum", "k": "jli", "l": "kop", "z": "ax", "x": "zcs",
    "c": "xvd", "v": "cbf", "b": "vng", "n": "bmh", "m": "nj",
}  # fmt: skip

_UNIT = 1.0 / (1 << 53)
_LONGEST = 40
"""Letters of a word that can err; the rest of a longer one is left alone."""

_TOKEN = re.compile(r"[^\s]+")
_FIXED = re.compile(r"[0-9@_]|[^\x00-\x7f]")
_LETTERS = re.compile(r"[A-Za-z]+")


def typo(
    text: str,
    p: float,
    rng: Rng,
    protected: Iterable[str] = (),
    avoid: Container[str] = frozenset(),
) -> str:
    """``text`` with typing errors: each letter starts one with chance ``p`` (SPEC §6).

    An error swaps two neighbours, drops a letter, doubles one, or hits the next key. A word
    changes at most once. Never touched: words shorter than four letters, anything that holds a
    digit, upper-case codes such as ``SAVE`` or ``USB-C``, and the words of ``protected``
    (any case), which is where callers put codes and the like. A word never turns into one of
    ``avoid`` (lower case): a slip that makes "teal" "teak" would ask for something else. One
    draw a word that can change, however long it is.
    """
    if p <= 0.0:
        return text
    # until[i]: the chance that an error comes at letter i or before.
    until, miss = [], 1.0
    for _ in range(_LONGEST):
        miss *= 1.0 - p
        until.append(1.0 - miss)
    guarded: set[str] = set()
    for phrase in protected:
        guarded.update(word.casefold() for word in _LETTERS.findall(phrase))

    def token(match: re.Match[str]) -> str:
        word = match.group()
        if _FIXED.search(word):
            return word
        return _LETTERS.sub(letters, word)

    def letters(match: re.Match[str]) -> str:
        word = match.group()
        n = len(word)
        if n < 4 or word.casefold() in guarded or word.isupper():
            return word
        # Letters err independently, so one number gives the first that does: its upper 53 bits
        # say where, its lower 11 bits how.
        bits = rng.next64()
        i = bisect_right(until, (bits >> 11) * _UNIT)
        if i >= min(n, _LONGEST):
            return word
        slipped = _slip(word, i, bits & 0x7FF)
        return word if slipped.casefold() in avoid else slipped

    return _TOKEN.sub(token, text)


def _slip(word: str, i: int, how: int) -> str:
    """``word`` with one error at letter ``i``; never equal to ``word``."""
    kind, pick = how & 3, how >> 2
    if kind == 0:
        j = i if i + 1 < len(word) else i - 1
        if word[j].lower() != word[j + 1].lower():
            swapped = word[j + 1] + word[j]
            if word[j].isupper():
                swapped = swapped.capitalize()
            return word[:j] + swapped + word[j + 2 :]
        kind = 1
    if kind == 1 and i > 0:
        return word[:i] + word[i + 1 :]
    if kind == 2 or i == 0:
        return word[: i + 1] + word[i].lower() + word[i + 1 :]
    options = _NEIGHBOURS[word[i].lower()]
    key = options[pick % len(options)]
    return word[:i] + (key.upper() if word[i].isupper() else key) + word[i + 1 :]
