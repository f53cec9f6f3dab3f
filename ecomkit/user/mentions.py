"""Whether a text states a slot's value: what checks the sentences of templates and models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ecomkit.core.records import NUMBER_ATTRIBUTES
from ecomkit.user.words import number, number_word, plain_value

Groups = tuple[tuple[str, ...], ...]
"""All groups must be there, any one of the words of each."""

_DIMENSION_WORDS: dict[str, tuple[str, ...]] = {
    "price": ("price", "prices", "cost", "cheap", "cheaper", "low price"),
    "rating": ("rating", "ratings", "rated", "reviews", "stars"),
    "shipping": ("shipping", "delivery", "ship", "ships", "fast", "arrive"),
    "brand": ("brand",),
    "similarity": ("similar", "similarity", "close to", "alike"),
}
_SKIP_WORDS = (
    "leave it", "leave them", "skip", "do without", "don't need", "forget", "drop", "don't replace",
    "leave out", "without it", "without them",
)  # fmt: skip
_VIEWED_WORDS = (
    "was looking at", "looked at", "look at", "viewed", "browsing history", "came across",
    "had open", "had its page", "its page open", "the page of", "saw", "already had open",
    "looking at", "had my eye on",
)  # fmt: skip


def mentions(kind: str, value: Any) -> Groups:
    """What a text must hold to state ``value``; empty for a kind with nothing to check.

    A value that no rule here knows can say so itself: ``said`` holds the groups.
    """
    if isinstance(value, Mapping) and "said" in value:
        return tuple(tuple(group) for group in value["said"])
    if kind == "viewed":
        return (_VIEWED_WORDS,)
    if kind == "quantity":
        return (_numbers(value["quantity"]),)
    if kind == "variant":
        return _join(
            mentions(name, {"attribute": name, "op": "eq", "value": content})
            for name, content in value["attributes"].items()
        )
    if kind == "fallback":
        if value["kind"] == "skip":
            return (_SKIP_WORDS,)
        if value["kind"] == "variant":
            return mentions("variant", value)
        return _join(mentions(c["attribute"], c) for c in value.get("clues", ()))
    if kind == "checkout":
        words = ("order", "check out", "checkout", "purchase", "buy", "cart")
        return (words,)
    if kind == "discount_code":
        codes = tuple((str(code),) for code in value.get("codes", ()))
        return codes or (("code", "codes", "coupon", "coupons", "voucher", "vouchers"),)
    if kind == "budget":
        return (_money(int(value["cents"])),)
    if kind == "count":
        return (_numbers(value["count"]),)
    if kind == "original" and value.get("viewed"):
        return (_VIEWED_WORDS,)
    if kind == "priority":
        named = {"brand": (value["brand"],)} if value.get("brand") else {}
        return tuple(named.get(d, _DIMENSION_WORDS.get(d, (d,))) for d in value["order"])
    if kind == "replacement" and value.get("refund"):
        return (("refund", "money back", "money"),)
    if kind == "replacement" and "clues" in value:
        return _join(mentions(c["attribute"], c) for c in value["clues"])
    if isinstance(value, Mapping) and "attribute" in value:
        return _constraint(value)
    if isinstance(value, Mapping) and "text" in value:
        return ((str(value["text"]).strip().rstrip(".?!"),),)
    if isinstance(value, Mapping):
        return tuple((str(v),) for v in value.values() if isinstance(v, (str, int)))
    return ()


def _join(groups: Any) -> Groups:
    return tuple(group for part in groups for group in part)


def _constraint(value: Mapping[str, Any]) -> Groups:
    attribute, op, raw = value["attribute"], value["op"], value["value"]
    if attribute in NUMBER_ATTRIBUTES and isinstance(raw, str):
        figure = re.match(r"[0-9]+(?:\.[0-9]+)?", raw)
        raw = float(figure.group()) if figure else raw
    ends = list(raw) if op == "between" else [raw]
    if op == "between" and ends[0] <= 0:
        ends = ends[1:]
    if attribute == "price_cents":
        return tuple(_money(int(end)) for end in ends)
    if attribute == "ship_days" and ends == [0]:
        return (("today", "same day", "same-day"),)
    if not isinstance(ends[0], str):
        return tuple(_numbers(end) for end in ends)
    return (_texts(attribute, str(raw)),)


def _texts(attribute: str, raw: str) -> tuple[str, ...]:
    text = plain_value(raw)
    forms = [raw, text]
    if attribute == "skin_type":
        forms.append(re.sub(r"\s*skin(?: types?)?$", "", text))
    elif attribute == "age_range":
        short = re.sub(r"^ages?\s+", "", re.sub(r"\s*(?:years?|yrs?)(?: old)?$", "", text))
        forms += [short, short.replace("-", " to ")]
        if not any(c.isdigit() for c in short):
            from ecomkit.user.words import plural

            forms.append(plural(short))
    elif attribute == "size":
        short = text.removeprefix("for ")
        forms += [short, re.sub(r"(?<=[0-9]) in$", " inches", short)]
    elif attribute in ("finish_type", "connector_type", "item_form"):
        forms.append(re.sub(r"\s*(?:finish(?:ed)?|connector|connection|form)$", "", text))
    return tuple(dict.fromkeys(form for form in forms if form))


def _numbers(value: float | int) -> tuple[str, ...]:
    forms = [number(value)]
    if float(value).is_integer() and 0 <= value <= 99:
        forms.append(number_word(int(value)))
    if value == 1:
        forms += ["a", "an", "just the one", "single"]
    return tuple(forms)


def _money(cents: int) -> tuple[str, ...]:
    if cents % 100:
        return (f"{cents // 100}.{cents % 100:02d}",)
    dollars = cents // 100
    return (str(dollars), f"{dollars}.00", *((number_word(dollars),) if dollars <= 99 else ()))


_QUOTES = str.maketrans("’‘“”", "''\"\"")


def normalise(text: str) -> str:
    """Lower case, plain quotes, single spaces, no commas inside numbers."""
    text = text.translate(_QUOTES).casefold()
    return " ".join(re.sub(r"(?<=[0-9]),(?=[0-9]{3})", "", text).split())


def holds_words(text: str, words: str) -> bool:
    """True if ``words`` stand in the normalised ``text``; 2 is not in 2.5 nor in 12."""
    wanted = normalise(words)
    start = r"(?<![\w.])" if wanted[:1].isdigit() else r"(?<!\w)"
    end = r"(?![0-9]|\.[0-9])" if wanted[-1:].isdigit() else r"(?!\w)"
    return re.search(start + re.escape(wanted) + end, text) is not None


def states(text: str, kind: str, value: Any) -> bool:
    """True if ``text`` holds everything that ``value`` says."""
    clean = normalise(text)
    return all(any(holds_words(clean, word) for word in group) for group in mentions(kind, value))


def missing(text: str, kind: str, value: Any) -> list[str]:
    """The groups of :func:`mentions` that ``text`` lacks, by their first word."""
    clean = normalise(text)
    return [
        group[0]
        for group in mentions(kind, value)
        if not any(holds_words(clean, word) for word in group)
    ]
