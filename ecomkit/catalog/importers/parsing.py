"""Reading prices, weights, watts, lengths, counts and text as shops write them.

Every ``parse_*`` takes whatever a file held (text, number, None, anything) and returns a
:class:`Reading`: the value in the catalog's unit or None, and the reason when there is none
or when the text had to be interpreted. None of them raises. Arithmetic is decimal, so the
same text gives the same figure on every machine.
"""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, NamedTuple, TypeVar, cast

MAX_PRICE_CENTS = 10_000_000
"""Prices above 100,000 dollars are taken for errors."""
MAX_TITLE = 400
MAX_DESCRIPTION = 4_000
MAX_FEATURE = 500
MAX_FEATURES = 20
MAX_VALUE = 60
"""Longest text of an attribute, brand or store: more is prose, not a value."""
MAX_COUNT = 2_000_000_000


class Reading(NamedTuple):
    """``value`` in the catalog's unit, or None; ``reason`` why it is missing or was interpreted.

    ``missing`` is True where the source simply had nothing; a value that was there and could
    not be used has ``value`` None and ``missing`` False.
    """

    value: Any
    reason: str = ""
    missing: bool = False


F = TypeVar("F", bound=Callable[..., Reading])


def _remembered(parse: F) -> F:
    """Answers for short texts are kept: a catalog repeats its colours, weights and prices."""
    kept = functools.lru_cache(maxsize=1 << 15)(parse)

    @functools.wraps(parse)
    def read(value: Any, *more: Any, **named: Any) -> Reading:
        if type(value) is str and len(value) <= 80:
            return kept(value, *more, **named)
        return parse(value, *more, **named)

    return cast(F, read)


ABSENT = Reading(None, "absent", True)

_NOTHING = frozenset(
    {"", "-", "--", "—", "–", "n/a", "na", "nan", "none", "null", "nil", "unknown", "not available"}
    | {"not applicable", "undefined", "?"}
)


def is_nothing(value: Any) -> bool:
    """True for None, NaN, and text that says that there is no value ('—', 'N/A', 'None')."""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    return isinstance(value, str) and value.strip().casefold() in _NOTHING


# --- text ------------------------------------------------------------------------------------

_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,300}>|<!--.{0,300}?-->", re.S)
_INVISIBLE = {
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x206A),
    0xFEFF,
    0x00AD,
}


def clean_text(value: Any) -> str:
    """One line of plain text: no tags, entities, control or invisible characters, no lone
    surrogates; runs of white space become one space. Anything but text gives ''."""
    if not isinstance(value, str):
        return ""
    if value.isascii() and "&" not in value and "<" not in value:
        plain = " ".join(value.split())
        if plain.isprintable():
            return plain
    if "&" in value:
        value = html.unescape(value)
    if "<" in value:
        value = _TAG.sub(" ", value)
    out = []
    for c in unicodedata.normalize("NFC", value):
        category = unicodedata.category(c)
        if category == "Cs":
            out.append("\ufffd")
        elif ord(c) in _INVISIBLE:
            continue
        else:
            out.append(" " if category in ("Cc", "Zs", "Zl", "Zp", "Cn", "Co") else c)
    return " ".join("".join(out).split())


def cut(text: str, limit: int) -> str:
    """``text`` cut to at most ``limit`` characters, at a space where there is one."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    space = head.rfind(" ")
    return (head[:space] if space > limit // 2 else head).rstrip(" ,;:-|") + "…"


@_remembered
def parse_text(value: Any, limit: int = MAX_VALUE) -> Reading:
    """A short text value, such as a colour or brand. Numbers become text, lists are joined."""
    if is_nothing(value):
        return ABSENT
    if isinstance(value, bool):
        return Reading(None, "true/false where text was expected")
    if isinstance(value, (int, float)):
        value = str(value) if abs(value) < 10**15 else ""
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(part) for part in value if isinstance(part, (str, int)))
    if not isinstance(value, str):
        return Reading(None, f"{type(value).__name__} where text was expected")
    text = clean_text(value)
    if not text or text.casefold() in _NOTHING:
        return ABSENT
    if len(text) > limit:
        return Reading(None, f"longer than {limit} characters")
    if not any(c.isalnum() for c in text):
        return Reading(None, "no letter or digit in it")
    return Reading(text)


# --- numbers ---------------------------------------------------------------------------------

_NUMBER = r"(?:\d{1,3}(?:[,\u00a0 ]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)"


_EURO = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d{1,2}", re.A)
_COMMA = re.compile(r"[+-]?\d+,\d{1,2}", re.A)
_GROUPED = re.compile(r"[+-]?\d{1,3}([, ]\d{3})+(\.\d*)?", re.A)
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.A)


def to_decimal(value: Any) -> Decimal | None:
    """A finite decimal from a number or from the text of one ('1,299.50', '12,5'); else None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return Decimal(value) if abs(value) < 10**18 else None
    if isinstance(value, float):
        if value != value or abs(value) >= 1e18:
            return None
        return Decimal(repr(value))
    if isinstance(value, Decimal):
        return value if value.is_finite() and abs(value) < 10**18 else None
    if not isinstance(value, str) or len(value) > 60:
        return None
    text = value.strip().replace("\u00a0", " ")
    if _EURO.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    elif _COMMA.fullmatch(text):
        text = text.replace(",", ".")
    elif _GROUPED.fullmatch(text):
        text = text.replace(",", "").replace(" ", "")
    if not _PLAIN.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:  # pragma: no cover - the pattern allows nothing else
        return None
    return number if abs(number) < 10**18 else None


def _rounded(number: Decimal, places: str) -> Decimal:
    return number.quantize(Decimal(places), rounding=ROUND_HALF_UP)


_JUNK = re.compile(r"#[\w-]+\s*\{[^}]*\}|[.#][\w-]+(?:\s[.#]?[\w:-]+)*\s*\{[^}]*\}")
_SAVE = re.compile(r"(?i)\b(?:you save|save|was|list(?: price)?|rrp|msrp)\b\s*:?.*")
_SPLIT_CENTS = re.compile(r"\$\s(\d{1,3}(?:,?\d{3})*)\s(\d{2})(?=\s|\Z)")
_DOTTED_CENTS = re.compile(r"\$\s(\d+)\s\.\s(\d{2})(?=\s|\Z)")
_PLAIN_LONG = re.compile(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", re.A)
_AMOUNT = re.compile(
    r"(?P<sign>-)?\s?(?P<currency>US\$|C\$|CA\$|A\$|\$|£|€|¥|₹|USD|EUR|GBP|Rs\.?)?\s?"
    r"(?P<minus>-)?(?P<number>\d{1,3}(?:\.\d{3})+,\d{2}(?!\d)|" + _NUMBER + r")"
    r"(?![\d])(?P<after>\s?(?:USD|EUR|GBP|€|£|%))?"
)


@_remembered
def parse_price(value: Any, unit: str = "dollars") -> Reading:
    """A price in whole cents.

    Numbers are dollars, or cents with ``unit="cents"``. Text may be an amount ('$1,299.00'), a
    range ('$12.99 - $18.50': the lower end is taken), an offer ('from 12.99', '$4.99 $5.99':
    the first amount), an amount with its parts apart ('$ 19 99'), or no amount at all.
    Zero, negative and absurd amounts (over 100,000 dollars) are refused with a reason.
    """
    if is_nothing(value):
        return ABSENT
    if isinstance(value, bool):
        return Reading(None, "true/false where a price was expected")
    note = ""
    if isinstance(value, str) and to_decimal(value) is None:
        text = clean_text(_JUNK.sub(" ", value[:2000]))
        if _PLAIN_LONG.fullmatch(text):
            return Reading(None, "absurd number")
        text = _DOTTED_CENTS.sub(r"$\1.\2", _SPLIT_CENTS.sub(r"$\1.\2", text))
        text = _SAVE.sub("", text) or text
        found = [m for m in _AMOUNT.finditer(text) if (m["after"] or "").strip() != "%"]
        if not found:
            return Reading(None, "no amount in the text")
        marked = [m for m in found if m["currency"] or (m["after"] or "").strip()]
        if marked and len(marked) < len(found):
            # '$12.99 - 18.50' is a range; '(Pack of 2) $8.99' is not
            dash = re.search(r"\d\s*(?:-|–|—|\bto\b)\s*\$?\d", text[marked[0].start() :])
            found = found if dash and found[0] is marked[0] else marked
        elif not marked and len(found) == 1 and re.search(r"[A-Za-z]{3}", text):
            low = text.casefold()
            if not re.search(r"\b(from|price|only|now|starting|as low as|each|ea|dollars?)\b", low):
                return Reading(None, "no amount in the text")
        first = found[0]
        if (first["sign"] or first["minus"]) and not text[: first.start()].strip():
            return Reading(None, "negative price")
        number = to_decimal(first["number"].replace(" ", ","))
        if number is None:
            return Reading(None, "no amount in the text")
        if len(found) > 1:
            between = text[first.end() : found[1].start()].strip()
            other = to_decimal(found[1]["number"].replace(" ", ",")) or number
            if between in ("-", "–", "—", "to") or found[1]["sign"]:
                note = "price range: lower end taken"
                number = min(number, other)
            elif other != number:
                note = "several prices: first taken"
        elif re.search(r"(?i)\b(from|starting|as low as)\b", text[: first.start()]):
            note = "'from' price taken"
        sign = (first["currency"] or first["after"] or "").strip()
        if sign and sign not in ("$", "US$", "USD"):
            note = "not in US dollars: figure taken as it stands"
    else:
        found_number = to_decimal(value)
        if found_number is None:
            if isinstance(value, (int, float, Decimal)):
                return Reading(None, "not a finite amount")
            return Reading(None, f"{type(value).__name__} where a price was expected")
        number = found_number
    cents = number if unit == "cents" else number * 100
    whole = int(_rounded(cents, "1"))
    if whole < 0:
        return Reading(None, "negative price")
    if whole == 0:
        return Reading(None, "price of zero")
    if whole > MAX_PRICE_CENTS:
        return Reading(None, f"absurd price (over {MAX_PRICE_CENTS // 100:,} dollars)")
    return Reading(whole, note)


_POUNDS = {
    "pound": Decimal(1),
    "pounds": Decimal(1),
    "lb": Decimal(1),
    "lbs": Decimal(1),
    "ounce": Decimal(1) / 16,
    "ounces": Decimal(1) / 16,
    "oz": Decimal(1) / 16,
    "kilogram": 1 / Decimal("0.45359237"),
    "kilograms": 1 / Decimal("0.45359237"),
    "kg": 1 / Decimal("0.45359237"),
    "kgs": 1 / Decimal("0.45359237"),
    "gram": 1 / Decimal("453.59237"),
    "grams": 1 / Decimal("453.59237"),
    "g": 1 / Decimal("453.59237"),
    "gm": 1 / Decimal("453.59237"),
    "milligram": 1 / Decimal("453592.37"),
    "milligrams": 1 / Decimal("453592.37"),
    "mg": 1 / Decimal("453592.37"),
    "ton": Decimal(2000),
    "tons": Decimal(2000),
}
_INCHES = {
    "inch": Decimal(1),
    "inches": Decimal(1),
    "in": Decimal(1),
    '"': Decimal(1),
    "”": Decimal(1),
    "″": Decimal(1),
    "''": Decimal(1),
    "centimeter": 1 / Decimal("2.54"),
    "centimeters": 1 / Decimal("2.54"),
    "centimetre": 1 / Decimal("2.54"),
    "centimetres": 1 / Decimal("2.54"),
    "cm": 1 / Decimal("2.54"),
    "millimeter": 1 / Decimal("25.4"),
    "millimeters": 1 / Decimal("25.4"),
    "millimetres": 1 / Decimal("25.4"),
    "mm": 1 / Decimal("25.4"),
    "foot": Decimal(12),
    "feet": Decimal(12),
    "ft": Decimal(12),
    "meter": 1 / Decimal("0.0254"),
    "meters": 1 / Decimal("0.0254"),
    "m": 1 / Decimal("0.0254"),
}
_WATTS = {
    "watt": Decimal(1),
    "watts": Decimal(1),
    "w": Decimal(1),
    "kilowatt": Decimal(1000),
    "kilowatts": Decimal(1000),
    "kw": Decimal(1000),
    "milliwatt": Decimal("0.001"),
    "milliwatts": Decimal("0.001"),
    "mw": Decimal("0.001"),
}
UNITS: dict[str, dict[str, Decimal]] = {
    "weight_lbs": _POUNDS,
    "screen_size_inches": _INCHES,
    "wattage": _WATTS,
}
_BOUNDS = {
    "weight_lbs": (Decimal("0"), Decimal(20_000), "0.01"),
    "screen_size_inches": (Decimal("0.3"), Decimal(250), "0.1"),
    "wattage": (Decimal("0"), Decimal(100_000), "0.1"),
}
_MEASURE = re.compile(
    r"(?<![\w.])(?P<sign>-)?(?P<number>" + _NUMBER + r")\s*-?\s*(?P<unit>[a-zA-Z]+|\"|”|″|'')?"
    r"(?P<next>[\s./-]*(?i:equivalent|equiv|hours?|hrs?|h)\b)?"
)


@_remembered
def parse_measure(value: Any, attribute: str, unit: str | None = None) -> Reading:
    """A weight in pounds, a screen size in inches or a wattage in watts.

    Args:
        value: a number, or text such as '12.8 ounces', '1.5kg', '15.6"', '60 Watts', '1.5 kW'.
        attribute: 'weight_lbs' (kept to 0.01), 'screen_size_inches' or 'wattage' (to 0.1).
        unit: the unit of a bare number; without one a bare number is in the attribute's own
            unit. A unit in the text wins.

    A number whose unit is of another kind ('100 watt hours', '5 V'), 'equivalent' wattages,
    negative and absurd values have no value and a reason.
    """
    if is_nothing(value):
        return ABSENT
    known = UNITS[attribute]
    factor = Decimal(1) if unit is None else known[unit.casefold()]
    note = ""
    if isinstance(value, str):
        bare = to_decimal(value)
        if bare is None:
            amounts = list(_MEASURE.finditer(clean_text(value[:400])))
            right = [m for m in amounts if m["unit"] and m["unit"].casefold() in known]
            right = [m for m in right if not m["next"]]
            if not right:
                reason = "no number in the text" if not amounts else "no unit of its kind"
                return Reading(None, reason)
            match = right[0]
            number = to_decimal(match["number"].replace(" ", ","))
            if number is None:
                return Reading(None, "no number in the text")
            if match["sign"] and not value[: match.start()].strip():
                number = -number
            factor = known[match["unit"].casefold()]
            rest = value[match.end() :].lstrip(" ,")
            extra = _MEASURE.match(rest)
            if (
                attribute == "weight_lbs"
                and match["unit"].casefold() in ("pound", "pounds", "lb", "lbs")
                and extra is not None
                and (extra["unit"] or "").casefold() in ("ounce", "ounces", "oz")
            ):
                number += (to_decimal(extra["number"].replace(" ", ",")) or 0) / Decimal(16)
            elif len(right) > 1 and re.match(r"\s*(-|–|to)\s", value[match.end() :]):
                note = "range: first value taken"
        else:
            number = bare
    else:
        found = to_decimal(value)
        if found is None:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return Reading(None, "not a finite number")
            return Reading(None, f"{type(value).__name__} where a number was expected")
        number = found
    low, high, places = _BOUNDS[attribute]
    number *= factor
    if number < 0:
        return Reading(None, "negative")
    if number == 0:
        return Reading(None, "zero")
    if not low <= number <= high:
        return Reading(None, f"absurd value (outside {low}–{high})")
    rounded = _rounded(number, places)
    return Reading(float(rounded or Decimal(places)), note)


def parse_weight(value: Any, unit: str | None = None) -> Reading:
    """Pounds, to 0.01; see :func:`parse_measure`."""
    return parse_measure(value, "weight_lbs", unit)


def parse_wattage(value: Any, unit: str | None = None) -> Reading:
    """Watts, to 0.1; see :func:`parse_measure`."""
    return parse_measure(value, "wattage", unit)


def parse_screen_size(value: Any, unit: str | None = None) -> Reading:
    """Inches, to 0.1; see :func:`parse_measure`."""
    return parse_measure(value, "screen_size_inches", unit)


@_remembered
def parse_rating(value: Any) -> Reading:
    """Stars from 1.0 to 5.0 with one decimal; '4.5 out of 5 stars' is read, 0 means none."""
    if is_nothing(value):
        return ABSENT
    if isinstance(value, str):
        match = re.fullmatch(
            r"\s*([\d.,]+)\s*(?:out of|/|von|de)\s*5(?:\.0)?(?:\s*stars?)?\s*", value
        )
        value = match[1] if match else re.sub(r"\s*stars?\s*\Z", "", value)
    number = to_decimal(value)
    if number is None:
        return Reading(None, "not a number")
    if number == 0:
        return Reading(None, "rating of zero (none yet)", True)
    if not 1 <= number <= 5:
        return Reading(None, "outside 1–5")
    return Reading(float(_rounded(number, "0.1")))


_SHORT = {"k": 1_000, "m": 1_000_000}


@_remembered
def parse_count(value: Any, limit: int = MAX_COUNT) -> Reading:
    """A whole number from 0 to ``limit``: 1234, 1234.0, '1,234', '1,234 ratings', '1.2K'."""
    if is_nothing(value):
        return ABSENT
    if isinstance(value, bool):
        return Reading(None, "true/false where a count was expected")
    scale = 1
    if isinstance(value, str) and to_decimal(value) is None:
        match = re.match(r"\s*\(?([\d.,]+)\s*([kKmM])?\+?(?:[\s)]|\Z)", value)
        if not match:
            return Reading(None, "not a number")
        scale = _SHORT.get((match[2] or "").lower(), 1)
        value = match[1].rstrip(".,")
    number = to_decimal(value.replace(",", "") if isinstance(value, str) and scale == 1 else value)
    if number is None:
        return Reading(None, "not a number")
    number *= scale
    if number < 0:
        return Reading(None, "negative")
    if number > limit:
        return Reading(None, f"absurd value (over {limit:,})")
    whole = int(number)
    return Reading(whole, "" if whole == number else "fraction cut off")


_DAYS = re.compile(
    r"(?i)(\d{1,3})\s*(?:-|–|to)?\s*(\d{1,3})?\s*(?:business |working )?(day|week|hour|h\b)?"
)


@_remembered
def parse_ship_days(value: Any) -> Reading:
    """Days until delivery, 0–14: 3, '3', '2-4 days' (the later), '24 hours', 'same day'.

    Longer than 14 days becomes 14, with a reason.
    """
    if is_nothing(value):
        return ABSENT
    if isinstance(value, str):
        text = clean_text(value[:200]).casefold()
        if "same day" in text or text == "today":
            return Reading(0)
        if text in ("tomorrow", "next day", "overnight"):
            return Reading(1)
        match = _DAYS.search(text)
        if not match or text.startswith("-"):
            return Reading(None, "no number of days in it")
        days = max(int(match[1]), int(match[2] or 0))
        if match[3] == "week":
            days *= 7
        elif match[3] in ("hour", "h"):
            days = -(-days // 24)
    else:
        number = to_decimal(value)
        if number is None:
            return Reading(None, "not a number")
        if number < 0:
            return Reading(None, "negative")
        days = int(number)
    return Reading(days) if days <= 14 else Reading(14, "more than 14 days: set to 14")


_YES = frozenset({"true", "yes", "y", "in stock", "instock", "available", "on stock"})
_NO = frozenset({"false", "no", "out of stock", "outofstock", "unavailable", "sold out"})


@_remembered
def parse_stock(value: Any) -> Reading:
    """Units in stock. 'out of stock' and False are 0; 'in stock' and True say that there are
    some but not how many: no value, with that as the reason, and not missing either."""
    if is_nothing(value):
        return ABSENT
    word = value.strip().casefold().rstrip(".") if isinstance(value, str) else value
    if word is True or (isinstance(word, str) and word in _YES):
        return Reading(None, "available, number not stated", True)
    if word is False or (isinstance(word, str) and word in _NO):
        return Reading(0)
    if isinstance(word, str):
        match = re.fullmatch(r"only (\d+) left(?: in stock)?.*", word)
        if match:
            return Reading(int(match[1]))
    return parse_count(value, 1_000_000)


# --- attribute texts ---------------------------------------------------------------------------

_AGE = re.compile(
    r"(\d{1,3})\s*(months?|years?|yrs?)?(?:\s*(?:-|–|to)\s*(\d{1,3})\s*(months?|years?|yrs?)"
    r"|\s*(and up|\+|plus|& up))?\Z"
)


def tidy_age(text: str) -> str:
    """Ages in one spelling: '36months-10years' → '3-10 years', '14yearsandup' → '14 years and
    up', '18 months - 3 years' → '18 months to 3 years'. Other texts are left as they are."""
    text = " ".join(text.lower().split())
    match = _AGE.match(text.replace("andup", " and up"))
    if not match or not (match[2] or match[4] or match[5]):
        return text
    low, high = int(match[1]), int(match[3] or 0)
    last = "month" if (match[4] or match[2] or "y").startswith("m") else "year"
    first = ("month" if match[2].startswith("m") else "year") if match[2] else last
    if first == "month" and low and low % 12 == 0 and (not high or last == "year"):
        first, low = "year", low // 12
    if last == "month" and first == "year" and high % 12 == 0:
        last, high = "year", high // 12
    if match[3]:
        if first == last or not low:
            return f"{low}-{high} {last}s"
        return f"{_ages(low, first)} to {_ages(high, last)}"
    return _ages(low, first) + (" and up" if match[5] else "")


def _ages(count: int, unit: str) -> str:
    return f"{count} {unit}" + ("s" if count != 1 else "")


def split_path(value: Any, delimiter: str | None = None) -> list[str]:
    """A category path as a list of names, from a list or from text with a delimiter
    (|, >, ›, » or, when given, another one)."""
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], (list, tuple)):  # older dumps nest it once more
            value = value[0]
        parts = [clean_text(part) for part in value]
    elif isinstance(value, str) and not is_nothing(value):
        if delimiter:
            pieces = value.split(delimiter)
        else:
            pieces = re.split(r"\s*(?:\||>|›|»)\s*", html.unescape(value))
        parts = [clean_text(part) for part in pieces]
    else:
        return []
    return [cut(part, 80) for part in parts if part and part.casefold() not in _NOTHING]
