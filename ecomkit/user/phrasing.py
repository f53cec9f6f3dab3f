"""Sentences of a customer, built from templates: deterministic in the generator passed in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ecomkit.core.errors import UnknownName
from ecomkit.core.records import CONSTRAINT_ATTRIBUTES, NUMBER_ATTRIBUTES
from ecomkit.core.seeds import Rng
from ecomkit.user import phrases as P
from ecomkit.user.words import (
    article,
    bare,
    counted,
    is_mass,
    is_plural,
    joined,
    money,
    number,
    number_word,
    plain_value,
    plural,
    sentence,
    some,
)

CONSTRAINT_KINDS: tuple[str, ...] = (*CONSTRAINT_ATTRIBUTES, "title", "viewed")
SENTENCE_KINDS: tuple[str, ...] = (
    "fallback",
    "checkout",
    "discount_code",
    "budget",
    "priority",
    "order",
    "order_line",
    "reason",
    "condition",
    "replacement",
    "question",
    "project",
)
KINDS: tuple[str, ...] = (*CONSTRAINT_KINDS, "variant", "quantity", *SENTENCE_KINDS)
"""Every kind of slot."""

_NAMES_KEPT = frozenset({"brand", "store", "title"})
_LETTER_SIZE = re.compile(
    r"(?:[2-6]?X{0,3}[SML]|(?:(?:US|UK|EU) )?[0-9]+(?:\.[0-9])?[TWDEY]?|W[0-9]+(?: ?L[0-9]+)?)"
)
_STORAGE = re.compile(r"[0-9.]+ ?(?:GB|TB|MB)", re.IGNORECASE)
_MEASURE = re.compile(
    r"[0-9.]+(?: ?[x-] ?[0-9.]+)* ?(?:ft|feet|foot|in|inch|inches|cm|mm|m|oz|fl oz|lb|lbs|qt|L|ml"
    r"|gal|g|kg|yd)",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"[0-9]+ (?!(?:inches|pounds|ounces|cups|quarts|liters|gallons|grams|lbs)$)[a-z]+s|1 refill"
)
_NAMED_SIZE = re.compile(
    r"(?:extra )?(?:small|medium|large|king|queen|twin|full)(?: xl)?|california king|standard",
    re.IGNORECASE,
)
_PARTS = frozenset(
    "lid lids handle handles block bowl carafe base shade jar jars basket tips tip blade blades "
    "plug dongle receiver jack port ports pack wire c-wire posts strap straps trim frame cap "
    "lining cover pocket pockets stand legs leg drawer drawers pole soleplate adapter".split()
)
_FORMS = frozenset(
    "cream gel powder liquid spray foam oil lotion balm serum stick bar tablet capsule paste wipe "
    "granule pod bean leaf loose tablets capsules wipes gummies pods granules".split()
)
_WIRELESS = frozenset(("bluetooth", "wi-fi", "wifi", "zigbee", "z-wave", "2.4 ghz wireless", "nfc"))
_POWERED = frozenset(("plug-in", "wired", "wireless", "cordless", "rechargeable", "corded"))
_RELATIVE = ("that ", "that's ", "I ", "I've ")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A requirement ready to be hung on a noun, or, if ``whole``, a sentence of its own."""

    kind: str
    text: str
    predicate: str = ""
    quantity: int = 1
    whole: bool = False
    before: str = ""
    """The same requirement in front of the noun (``Norvik``, ``matte black``), if it can be."""

    def __str__(self) -> str:
        return self.text


_FIELD = re.compile(r"\{(\w+)\}")


def _bare(template: str, fields: Mapping[str, str]) -> str:
    # str.format would read braces inside a product title as fields.
    return _FIELD.sub(lambda match: fields[match.group(1)], template)


def fill(template: str, **fields: str) -> str:
    """A reply template with its fields filled in: ``fill("I need the {noun}.", noun="lamp")``.

    Braces inside the values stay as they are.
    """
    return _bare(template, fields)


def _rows(kind: str, value: Mapping[str, Any], rng: Rng) -> tuple[Sequence[P.Pair], dict[str, str]]:
    """The pairs that suit a constraint and the fields to fill in."""
    if kind == "viewed":
        return P.PAIRS["viewed", "eq"], {"v": ""}
    attribute, op, raw = value["attribute"], value["op"], value["value"]
    if attribute in NUMBER_ATTRIBUTES and isinstance(raw, str):
        digits = re.match(r"[0-9]+(?:\.[0-9]+)?", raw)
        raw = float(digits.group()) if digits else raw
    if attribute == "title":
        op = "contains"
    if op == "between" and raw[0] <= 0:
        op, raw = "le", raw[1]  # nobody says "from $0"
    if op == "between":
        low, high = raw
        if attribute == "price_cents":
            ends = money(int(low), rng, plain=True), money(int(high), rng, plain=True)
        else:
            ends = number(low), number(high)
        return _pairs(attribute, op), {"lo": ends[0], "hi": ends[1]}
    if attribute == "price_cents":
        cents = int(raw)
        pairs = _pairs(attribute, op)
        # "under" is loose: only on amounts that a price rarely hits on the cent.
        if op == "le" and cents % 500 == 0 and rng.chance(0.4):
            pairs = P.PAIRS["price_cents", "under"]
        return pairs, {"v": money(cents, rng)}
    if attribute == "ship_days":
        days = int(raw)
        if days == 0 and op in ("le", "eq"):
            return P.PAIRS["ship_days", "today"], {}
        figure = number_word(days) if rng.chance(0.4) else str(days)
        return _pairs(attribute, op), {"days": f"{figure} {'day' if days == 1 else 'days'}"}
    if attribute in ("wattage", "weight_lbs") and not isinstance(raw, str):
        units = {"wattage": (" watts", "W", " W"), "weight_lbs": (" pounds", " lbs", " lb")}
        unit = rng.choice(units[attribute])
        if raw == 1:
            unit = unit.replace("pounds", "pound").replace("lbs", "lb").replace("watts", "watt")
        return _pairs(attribute, op), {"v": number(raw) + unit}
    if not isinstance(raw, str):
        text = number(raw)
        return _pairs(attribute, op), {"v": text, "av": f"{article(text)} {text}"}
    return _text_rows(attribute, op, raw)


def _pairs(attribute: str, op: str) -> Sequence[P.Pair]:
    try:
        return P.PAIRS[attribute, op]
    except KeyError:
        raise UnknownName(
            "phrase for", f"{attribute} {op}", (f"{a} {o}" for a, o in P.PAIRS)
        ) from None


@lru_cache(maxsize=8192)
def _text_rows(attribute: str, op: str, raw: str) -> tuple[Sequence[P.Pair], dict[str, str]]:
    if op not in ("eq", "contains"):
        _pairs(attribute, op)  # raises: text has no bounds
    keep = attribute in _NAMES_KEPT or attribute == "connector_type"
    text = raw.strip() if keep else plain_value(raw)
    last = text.casefold().rsplit(" ", 1)[-1]
    key = op
    if attribute in ("color", "material", "finish_type", "size", "connector_type") and (
        last in _PARTS and " " in text
    ):
        with_article = text if last.endswith("s") else f"{article(text)} {text}"
        return P.PAIRS["part", "eq"], {"v": text, "av": with_article}
    if text.startswith("with ") and attribute not in _NAMES_KEPT:
        return P.PAIRS["any", "with"], {"v": text}
    if attribute == "size":
        key = _size_key(text)
        if key == "fits":
            text = re.sub(r" in$", " inches", text.removeprefix("for "))
    elif attribute == "skin_type":
        text = re.sub(r"\s*skin(?: types?)?$", "", text)
        key = "all" if text in ("all", "any", "every") else op
    elif attribute == "age_range":
        key, text = _ages(text)
    elif attribute == "finish_type":
        text = re.sub(r"\s*finish(?:ed)?$", "", text)
    elif attribute == "connector_type":
        text = re.sub(r"\s*(?:connector|connection)$", "", text)
        low = text.casefold()
        if low in _WIRELESS:
            key = "wireless"
        elif low.endswith("powered") or low in _POWERED:
            key = "powered"
        elif low in ("battery", "solar"):
            key, text = "powered", f"{text} powered"
        elif re.search(r" (?:to|and|or|over) | only$", text):
            key = "link"
    elif attribute == "item_form":
        text = re.sub(r"\s*form$", "", text)
        key = "form" if last in _FORMS and " " not in text else op
    elif (attribute, op) not in P.PAIRS:
        name = attribute.replace("_", " ")
        sort = name.rsplit(" ", 1)[-1] in ("type", "style", "theme", "design", "kind", "version")
        answer = text.casefold() if text.casefold() in ("yes", "no") else ""
        return P.PAIRS["any", answer or ("sort" if sort else "eq")], {"v": text, "name": name}
    thing = text if is_plural(text) or last in ("foam", "oil") else f"{article(text)} {text}"
    if attribute == "finish_type" or attribute == "connector_type":
        thing = f"{article(text)} {text}"
    return _pairs(attribute, key), {"v": text, "av": thing}


def _size_key(text: str) -> str:
    if _LETTER_SIZE.fullmatch(text):
        return "plain"
    if _COUNT.fullmatch(text) and not _MEASURE.fullmatch(text):
        return "count"
    if text.startswith("for ") or re.search(r"\b(?:phones|laptops|tablets|TVs)$", text):
        return "fits"
    if re.match(r"(?:set|pack|box|case) of ", text):
        return "set"
    if _STORAGE.fullmatch(text):
        return "storage"
    if _MEASURE.fullmatch(text):
        return "measure"
    return "named" if _NAMED_SIZE.fullmatch(text) else "eq"


def _ages(text: str) -> tuple[str, str]:
    if any(c.isdigit() for c in text):
        text = re.sub(r"^ages?\s+", "", text)
        return "ages", re.sub(r"\s*(?:years?|yrs?)(?: old)?$", "", text)
    people = text if " " in text and not text.endswith(("kid", "child")) else plural(text)
    return "people", {"baby": "babies", "all age": "all ages", "all ages": "all ages"}.get(
        text, people
    )


def _variant_constraints(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"attribute": name, "op": "eq", "value": content}
        for name, content in value["attributes"].items()
    ]


def _pair(kind: str, value: Any, rng: Rng) -> tuple[str, str]:
    """One (fragment, predicate) for a constraint or a variant."""
    if kind == "variant":
        constraints = _variant_constraints(value)
        if len(constraints) == 1:
            return _pair(constraints[0]["attribute"], constraints[0], rng)
        pairs = []
        for constraint in constraints:
            rows, fields = _rows(constraint["attribute"], constraint, rng)
            plain = [row for row in rows if not row[0].startswith(_RELATIVE)]
            fragment, predicate = rng.choice(plain or rows)
            pairs.append((_bare(fragment, fields), _bare(predicate, fields)))
        return joined([f for f, _ in pairs]), joined([p for _, p in pairs])
    rows, fields = _rows(kind, value, rng)
    fragment, predicate = rng.choice(rows)
    if kind == "title" and "called {v}" == fragment and not _simple_name(fields["v"]):
        fragment, predicate = rows[0]
    return _bare(fragment, fields), _bare(predicate, fields)


def _simple_name(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Z][a-z]+(?: [A-Z0-9][\w-]*)?", text))


def _clues(noun: str, clues: Sequence[Mapping[str, Any]], rng: Rng) -> str:
    """``a desk lamp from Norvik in black``."""
    fragments = [phrase_fragment(c["attribute"], c, noun, rng) for c in clues]
    phrase, rest = _item(noun, fragments, rng, limit=99)
    return phrase


def _values_text(value: Mapping[str, Any], kind: str) -> str:
    raw = value["value"]
    return raw if kind in _NAMES_KEPT or kind == "connector_type" else plain_value(str(raw))


def _fields(kind: str, value: Any, noun: str, rng: Rng) -> dict[str, str]:
    fragment, predicate = _pair(kind, value, rng)
    many = is_plural(noun)
    if fragment.startswith(_RELATIVE):
        fragment = _agree(fragment, noun, 1)
    fields = {
        "n": bare(noun),
        "was": "were" if many else "was",
        "Thats": "Those aren't" if many else "That's not",
        "some": _some(noun, kind),
        "f": fragment,
        "F": fragment[:1].upper() + fragment[1:],
        "p": predicate,
        "they": "they" if many else "it",
        "needs": "need" if many else "needs",
        "has": "have" if many else "has",
        "is": "are" if many else "is",
    }
    if kind in ("brand", "store", "color", "skin_type"):
        text = _text_rows(kind, "eq", value["value"])[1]["v"]
        fields["v"] = "fine with anything, all skin types" if text == "all" else text
    return fields


def _some(noun: str, kind: str) -> str:
    return f"the {bare(noun)}" if kind == "viewed" else some(noun)


def _frame(frames: Sequence[str], fields: Mapping[str, str], rng: Rng) -> str:
    alone = not fields["f"].startswith((*_RELATIVE, "of "))
    choices = [f for f in frames if alone or not f.startswith("!")]
    return sentence(_bare(rng.choice(choices).lstrip("!"), fields))


def _article_one(text: str, noun: str) -> str:
    # "For the shoes, I'd like one in black" needs another pronoun for plurals and masses.
    if noun.startswith("pair of "):
        return text.replace("I'd like one ", "I'd like a pair ")
    if is_plural(noun) or is_mass(noun):
        return text.replace("I'd like one ", "I'd like some ")
    return text


def phrase_statement(kind: str, value: Any, noun: str, rng: Rng) -> str:
    """The sentence said when asked about a slot: ``The wall charger should be from Norvik.``

    Args:
        kind: one of :data:`KINDS`.
        value: the slot's value. Attributes and ``title``: a constraint dict. ``variant``:
            ``{"attributes": {...}}``. ``quantity``: ``{"quantity": 2}``. ``fallback``:
            ``{"kind": "variant", "attributes"}``, ``{"kind": "skip"}`` or ``{"kind": "product",
            "noun", "clues": [constraint dicts]}``. ``checkout``: ``{"checkout": true}``.
            ``discount_code``: ``{"codes": [...]}``. ``budget``: ``{"cents"}``. ``priority``:
            ``{"order": [dimensions]}``. ``replacement``: ``{"refund": true}`` or ``{"noun",
            "clues"}``. Other kinds: ``{"text"}``, a noun phrase (order, order_line), a clause
            (reason, ``it arrived broken``), an adjective (condition), a participle (project,
            ``setting up an office``) or a whole question.
        noun: what the customer calls the item; empty for a sentence about "it".
        rng: decides the wording.

    Raises:
        UnknownName: for a kind, or an operator of a kind, that has no phrases.
    """
    if kind in SENTENCE_KINDS:
        return _whole(kind, value, noun, rng)
    if kind == "quantity":
        return _quantity(value, noun, rng, P.QUANTITY_NAMED, P.QUANTITY_UNNAMED)
    if kind not in KINDS:
        raise UnknownName("slot kind", kind, KINDS)
    fields = _fields(kind, value, noun, rng)
    own = (P.OWN_NAMED if noun else P.OWN_UNNAMED).get(kind, ())
    if kind == "viewed":
        return sentence(_bare(rng.choice(own), fields))
    if kind == "skin_type" and fields["v"].startswith("fine"):
        own = ()
    if own and rng.chance(0.4):
        return sentence(_bare(rng.choice(own), fields))
    if noun:
        return _article_one(_frame(P.NAMED, fields, rng), noun)
    return _frame(P.UNNAMED, fields, rng)


def phrase_correction(kind: str, value: Any, noun: str, rng: Rng) -> str:
    """The sentence said when the agent got the slot visibly wrong. Follows a mistake_lead."""
    if kind == "quantity":
        return _quantity(value, noun, rng, P.QUANTITY_CORRECT, P.QUANTITY_UNNAMED)
    if kind in SENTENCE_KINDS:
        return _whole(kind, value, noun, rng)
    if kind not in KINDS:
        raise UnknownName("slot kind", kind, KINDS)
    fields = _fields(kind, value, noun, rng)
    if kind == "viewed":
        return sentence(_bare(rng.choice(P.CORRECT_VIEWED), fields | {"n": bare(noun) or "one"}))
    return _frame(P.CORRECT_NAMED if noun else P.CORRECT_UNNAMED, fields, rng)


def phrase_switch(kind: str, old: Any, new: Any, noun: str, rng: Rng) -> str:
    """A change of mind: ``Actually, make that two wall chargers.`` Names the item and states the
    new value in full; ``old`` is mentioned where it makes the sentence clearer."""
    lead = rng.choice(P.SWITCH)
    if kind == "quantity":
        rest = _quantity(new, noun, rng, P.QUANTITY_SWITCH, P.QUANTITY_SWITCH)
        rest = rest[:1].lower() + rest[1:] if not rest.startswith("I") else rest
    elif kind in SENTENCE_KINDS:
        rest = _whole(kind, new, noun, rng)
        if not re.match(r"I\b|I'", rest):
            rest = rest[:1].lower() + rest[1:]
    else:
        fields = _fields(kind, new, noun or "one", rng)
        if not noun:
            fields |= {"n": "item", "some": "one"}
        rest = _bare(rng.choice(P.SWITCH_REST), fields)
        before = _old_words(kind, old, new)
        if before and rng.chance(0.35) and not rest.endswith("instead."):
            rest = f"{rest.rstrip('.')}, not {before}."
    return sentence(_bare(lead, {"rest": rest}))


def _old_words(kind: str, old: Any, new: Any) -> str:
    """The old value in a word or two, or nothing where that would not read well."""
    if kind == "variant" and old and list(old["attributes"]) == list(new["attributes"]):
        values = [(name, str(v)) for name, v in old["attributes"].items()]
        if len(values) == 1:
            name, text = values[0]
            return text if name == "connector_type" else plain_value(text)
    if kind in ("color", "size", "material", "brand", "connector_type") and old:
        return _values_text(old, kind)
    return ""


def _quantity(
    value: Mapping[str, Any], noun: str, rng: Rng, named: Sequence[str], unnamed: Sequence[str]
) -> str:
    n = int(value["quantity"])
    figure = rng.chance(0.3)
    count = counted(n, noun or "item", figure) if noun else (str(n) if figure else number_word(n))
    if n == 1 and not figure:
        count = f"just {count}"
    short = str(n) if figure else number_word(n)
    fields = {"c": count, "C": count[:1].upper() + count[1:], "k": short, "K": short.capitalize()}
    fields["n"] = bare(noun) if is_mass(noun) or is_plural(noun) else plural(noun)
    return sentence(_bare(rng.choice(named if noun else unnamed), fields))


def _whole(kind: str, value: Mapping[str, Any], noun: str, rng: Rng) -> str:
    """Kinds that are a sentence of their own."""
    if kind == "fallback":
        return _fallback(value, noun, rng)
    if kind == "checkout":
        return rng.choice(P.CHECKOUT_YES if value.get("checkout", True) else P.CHECKOUT_NO)
    if kind == "discount_code":
        codes = list(value.get("codes", ()))
        if not codes:
            return rng.choice(P.CODE_NONE)
        frames = P.CODE_ONE if len(codes) == 1 else P.CODE_MANY
        return _bare(rng.choice(frames), {"v": joined(codes)})
    if kind == "budget":
        return sentence(_bare(rng.choice(P.BUDGET), {"v": money(int(value["cents"]), rng)}))
    if kind == "priority":
        names = [rng.choice(P.DIMENSIONS.get(d, (d,))) for d in value["order"]]
        listed = names[0] + "".join(f", then {name}" for name in names[1:])
        return sentence(_bare(rng.choice(P.PRIORITY), {"list": listed}))
    if kind == "replacement" and value.get("refund"):
        return rng.choice(P.REFUND)
    if kind not in P.FREE:
        raise UnknownName("slot kind", kind, KINDS)
    if "text" in value:
        text = str(value["text"]).strip()
    elif kind == "replacement":
        text = _clues(value.get("noun", noun or "one"), value.get("clues", ()), rng)
    else:
        text = str(next(iter(value.values())))
        if kind == "order":
            text = f"order {text}"
    low = text.rstrip(".") if kind != "question" else text
    fields = {"text": low, "Text": low[:1].upper() + low[1:]}
    return sentence(_bare(rng.choice(P.FREE[kind]), fields))


def _fallback(value: Mapping[str, Any], noun: str, rng: Rng) -> str:
    many = is_plural(noun)
    fields = {"n": bare(noun), "is": "are" if many else "is", "it": "them" if many else "it"}
    condition = _bare(rng.choice(P.IF_SOLD_OUT if noun else P.IF_IT_SOLD_OUT), fields)
    if value["kind"] == "skip":
        rest = _bare(rng.choice(P.FALLBACK_SKIP), fields)
    else:
        if value["kind"] == "variant":
            fragment, _ = _pair("variant", value, rng)
            thing = f"the same one {fragment}"
            if noun and (many or is_mass(noun)):
                thing = f"the same {bare(noun)} {fragment}"
        elif value["kind"] == "product":
            thing = _clues(value.get("noun") or noun, value.get("clues", ()), rng)
        else:
            raise UnknownName("fallback", value["kind"], ("variant", "skip", "product"))
        rest = _bare(rng.choice(P.FALLBACK_TAKE), {"x": thing})
    return sentence(f"{condition}, {rest}")


def phrase_fragment(kind: str, value: Any, noun: str, rng: Rng) -> Fragment:
    """What :func:`phrase_opening` puts together: a phrase to hang on the noun (``from Norvik``,
    ``in size M``), a count that goes before it, or a whole sentence (fallback, checkout, …).

    Raises:
        UnknownName: as :func:`phrase_statement`.
    """
    if kind == "quantity":
        return Fragment(kind, "", quantity=int(value["quantity"]))
    if kind in SENTENCE_KINDS:
        return Fragment(kind, _whole(kind, value, noun, rng), whole=True)
    if kind not in KINDS:
        raise UnknownName("slot kind", kind, KINDS)
    fragment, predicate = _pair(kind, value, rng)
    return Fragment(kind, fragment, predicate, before=_before(kind, value))


def _before(kind: str, value: Any) -> str:
    """The requirement as a word before the noun: ``a Norvik lamp``, ``a walnut brown lamp``."""
    if kind == "variant":
        constraints = _variant_constraints(value)
        if len(constraints) != 1:
            return ""
        value = constraints[0]
        kind = value["attribute"]
    if kind == "brand":
        return str(value["value"])
    if kind == "title":
        return str(value["value"]) if _simple_name(value["value"]) else ""
    if kind in ("color", "material") and value["op"] == "eq":
        text = plain_value(str(value["value"]))
        return "" if text.rsplit(" ", 1)[-1] in _PARTS or "(" in text or "," in text else text
    return ""


# The order in which a customer would hang things on a noun.
_ORDER = {
    name: i
    for i, name in enumerate(
        "title brand variant size color material finish_type connector_type item_form skin_type "
        "age_range screen_size_inches wattage weight_lbs store price_cents category rating "
        "rating_count ship_days viewed".split()
    )
}


def _item(
    noun: str, fragments: Sequence[Fragment], rng: Rng, limit: int
) -> tuple[str, list[Fragment]]:
    """The noun phrase with at most ``limit`` fragments on it, and the fragments left over."""
    quantity = next((f.quantity for f in fragments if f.kind == "quantity"), 0)
    hung = [f for f in fragments if f.kind != "quantity" and not f.whole]
    hung.sort(key=lambda f: _ORDER.get(f.kind, 50))
    viewed = [f for f in hung if f.kind == "viewed"]
    others = [f for f in hung if f.kind != "viewed"]
    front = _front(noun, others, rng)
    others = [f for f in others if f not in front]
    before = " ".join(f.before for f in front)
    room = max(0, limit - len(viewed) - (1 if front else 0))
    on_noun, rest = others[:room] + viewed, others[room:]
    single = quantity == 1 and some(noun).startswith(("a ", "an "))
    if single and not viewed and rng.chance(0.7):
        head = some(noun, before)
    elif quantity:
        head = counted(quantity, noun, figure=rng.chance(0.25), before=before)
    elif viewed:
        head = f"the {before} {bare(noun)}" if before else f"the {bare(noun)}"
    else:
        head = some(noun, before)
    # Relative clauses go last, or what follows would hang on the wrong verb.
    relatives = [f.text for f in on_noun if f.text.startswith(_RELATIVE)]
    plain = [f.text for f in on_noun if not f.text.startswith(_RELATIVE)]
    phrase = " ".join([head, *plain])
    if relatives:
        clauses = [_agree(r, noun, quantity) for r in relatives]
        # "I viewed recently" needs its "that" after another clause.
        clauses[1:] = [c if c.startswith("that") else f"that {c}" for c in clauses[1:]]
        phrase += " " + " and ".join(clauses)
    return phrase, rest


def _front(noun: str, fragments: Sequence[Fragment], rng: Rng) -> list[Fragment]:
    """Fragments to put before the noun: a brand and a name, or a look; often none."""
    groups = (("brand", "title"), ("color", "material", "variant"))
    group = groups[rng.below(2)]
    if not rng.chance(0.45):
        return []
    first = bare(noun).split(" ")[0].casefold()
    found = [f for f in fragments if f.kind in group and f.before]
    found = [f for f in found if f.before.split(" ")[-1].casefold() != first]  # "orange orange"
    found.sort(key=lambda f: group.index(f.kind))
    return found if group[0] == "brand" else found[:1]


_VERBS = {"costs": "cost", "ships": "ship", "gets": "get", "arrives": "arrive", "takes": "take",
          "comes": "come", "works": "work", "uses": "use", "suits": "suit", "has": "have",
          "weighs": "weigh", "says": "say"}  # fmt: skip


def _agree(relative: str, noun: str, quantity: int) -> str:
    """``that ships within a day`` -> ``that ship …`` after a plural."""
    if not (quantity > 1 or is_plural(noun)):
        return relative
    words = relative.split(" ")
    if words[0] == "that's":
        words[0] = "that are"
    elif words[0] == "that" and words[1] in _VERBS:
        words[1] = _VERBS[words[1]]
    return " ".join(words)


def _more(noun: str, rest: Sequence[Fragment], plural_subject: bool, rng: Rng) -> list[str]:
    """Sentences for what did not fit on the noun."""
    out: list[str] = []
    fields = {
        "They": "They" if plural_subject else "It",
        "them": "them" if plural_subject else "it",
        "needs": "need" if plural_subject else "needs",
        "has": "have" if plural_subject else "has",
    }
    left = list(rest)
    frames = rng.shuffled(P.MORE)
    while left:
        take = left[:3] if len(left) != 4 else left[:2]
        left = left[len(take) :]
        fields["ps"] = joined([f.predicate for f in take])
        out.append(sentence(_bare(frames[len(out) % len(frames)], fields)))
    return out


Part = tuple[str, Sequence[Fragment]]


def phrase_opening(environment: str, parts: Sequence[Part], rng: Rng, greet: bool = True) -> str:
    """The first message of a conversation, as a customer would type it.

    Args:
        environment: chooses the frames; unknown names use those of ``cart``.
        parts: ``(noun, fragments)`` for every item, in order, and ``("", fragments)`` for what
            concerns the whole conversation (checkout, codes, budget).
        rng: decides the wording.
        greet: False in the middle of a conversation, where nobody says hello.
    """
    items = [(noun, list(fragments)) for noun, fragments in parts if noun]
    said = [f for noun, fragments in parts if not noun for f in fragments]
    # What it is all about comes first, the budget and the like last; that more is to come before.
    leads = [f.text for f in said if f.kind == "project"]
    requests = [f.text for f in said if f.kind == "unnamed"]
    requests += [f.text for f in said if f.kind not in ("project", "unnamed")]
    out: list[str] = []
    if rng.chance(0.45):
        hello = rng.choice(P.GREETINGS)
        out += [hello] if greet else []
    out += leads
    if len(items) == 1:
        out += _open_one(environment, *items[0], rng)
    elif items:
        out += _open_many(environment, items, rng)
    out += requests
    if rng.chance(0.15):
        out.append(rng.choice(P.THANKS))
    return _paragraph(out)


def _paragraph(sentences: Sequence[str]) -> str:
    text = ""
    for part in sentences:
        if not text:
            text = part
        elif text.endswith("\n"):
            text += part
        elif text.endswith(",") and not re.match(r"I\b|I'", part):
            text += " " + part[:1].lower() + part[1:]
        else:
            text += " " + part
    return text.strip()


def _whole_sentences(fragments: Sequence[Fragment]) -> list[str]:
    return [f.text for f in fragments if f.whole]


def _many(noun: str, fragments: Sequence[Fragment]) -> bool:
    return is_plural(noun) or any(f.quantity > 1 for f in fragments)


def _open_one(environment: str, noun: str, fragments: list[Fragment], rng: Rng) -> list[str]:
    limit = rng.between(2, 3)
    phrase, rest = _item(noun, fragments, rng, limit)
    if len(rest) == 1 and limit == 2:
        phrase, rest = _item(noun, fragments, rng, 3)
    frames = P.OPEN_ONE.get(environment, P.OPEN_ONE["cart"])
    it = "them" if _many(noun, fragments) else "it"
    out = [sentence(_bare(rng.choice(frames), {"x": phrase, "it": it}))]
    out += _more(noun, rest, _many(noun, fragments), rng)
    return out + _whole_sentences(fragments)


def _open_many(environment: str, items: list[tuple[str, list[Fragment]]], rng: Rng) -> list[str]:
    frames_many, frames_list, frames_first = P.OPEN_SEVERAL.get(
        environment, (P.OPEN_MANY, P.OPEN_LIST, P.FIRST_ITEM)
    )
    sizes = [sum(not f.whole and f.kind != "quantity" for f in fs) for _, fs in items]
    tails = [text for _, fragments in items for text in _whole_sentences(fragments)]
    if max(sizes) <= 2 and sum(sizes) <= 4 and not rng.chance(0.2):
        listed = joined([_item(noun, fs, rng, 9)[0] for noun, fs in items], oxford=sum(sizes) > 1)
        return [sentence(_bare(rng.choice(frames_many), {"x": listed})), *tails]
    if rng.chance(0.45):
        lines = [rng.choice(frames_list) + "\n"]
        for noun, fragments in items:
            phrase, rest = _item(noun, fragments, rng, 3)
            more = _more(noun, rest, _many(noun, fragments), rng) + _whole_sentences(fragments)
            lines.append(f"- {'. '.join([phrase, ' '.join(more)]) if more else phrase}\n")
        return lines
    out: list[str] = []
    frames_next = rng.shuffled(P.NEXT_ITEM)
    for i, (noun, fragments) in enumerate(items):
        if i == 0:
            frame = rng.choice(frames_first)
        elif i == len(items) - 1 and environment not in P.OPEN_SEVERAL and rng.chance(0.6):
            frame = rng.choice(P.LAST_ITEM)
        else:
            frame = frames_next[i % len(frames_next)]
        phrase, rest = _item(noun, fragments, rng, 3)
        out.append(sentence(_bare(frame, {"x": phrase})))
        out += _more(noun, rest, _many(noun, fragments), rng)
        out += _whole_sentences(fragments)
    return out


def make_replies(rng: Rng) -> dict[str, Any]:
    """The reply pools of one customer: five of each kind of sentence, in the order of use.

    ``extra_item``, ``wrong_item`` and ``sold_out_item`` hold ``{title}``, ``missing_item`` holds
    ``{noun}``; fill them with :func:`fill`. ``by_kind`` is what is said where a kind was asked
    about and the customer has no such slot.
    """
    pools: dict[str, Any] = {name: rng.sample(pool, 5) for name, pool in P.REPLIES.items()}
    pools["by_kind"] = {kind: rng.sample(pool, 4) for kind, pool in P.BY_KIND.items()}
    return pools
