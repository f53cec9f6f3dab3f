# ruff: noqa: E501 - the patterns read better whole
"""What an agent's message asks, found by patterns: no model, no network, no chance."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ecomkit.user.kinds import MENTIONS, PATTERNS, VALUES
from ecomkit.user.words import plural

Names = tuple[tuple[str, tuple[str, ...]], ...]


class Part(NamedTuple):
    """Kinds asked together, and of which subjects (empty: of any). ``inherited``: the subjects
    were not named in the question itself but just before it."""

    kinds: frozenset[str]
    subjects: frozenset[str]
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a message asks.

    ``parts`` pairs the kinds asked with the subjects they were asked of.
    ``generic`` is *tell me more* or *anything else?*, ``generic_subjects`` whom it names.
    ``asks`` is true if there was any question or request at all.
    """

    kinds: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    generic: bool = False
    confirms: bool = False
    anything_else: bool = False
    parts: tuple[Part, ...] = ()
    generic_subjects: frozenset[str] = frozenset()
    asks: bool = False


_NOTHING = Question()
_KEEP_HEAD, _KEEP_TAIL = 2000, 6000

_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "—": " - ", "–": " - ", "\t": " "})
_SENTENCE = re.compile(r"[^.?!\n]*(?:[.](?=[0-9a-z])[^.?!\n]*)*(?:[?!]+|[.]+|\n|$)")
_BULLET = re.compile(r"^\s*(?:[-*•]|[0-9]{1,2}[.)]|\([0-9a-z]\))\s*")
_FILLER = (
    r"(?:(?:so|and|but|or|also|then|now|please|just|ok|okay|great|perfect|thanks|thank you|sure|well|"
    r"hi|hello|sorry|finally|lastly|first|second|next|to narrow (?:it|this) down|one more thing|by the way"
    r"|got it|alright|right|in addition|additionally|plus|to start|before i \w+(?: \w+){0,6})\b[\s,:!-]*)*"
)
_WH = (
    r"(?:what|which|who|whose|whom|how|when|where|why|by when|in (?:what|which)|for (?:what|which)|from"
    r" (?:what|which)|at what|within how|out of (?:what|which)|by which|of (?:what|which)|with what)\b"
)
_AUX = (
    r"(?:is|are|was|were|do|does|did|can|could|would|will|shall|should|may|might|have|has|had|must)"
    r"(?:n't)? (?:you|i|it|this|that|the|there|they|these|those|we|your|any|anything|one|he|she|a|an|"
    r"everything|my|me|both|all|its|their|another|some|something|in|\w+)\b"
)
_OFFER = (
    r"(?:any|anything|got|want me|ready to|need (?:it|any)|not sure|just the one|only one|are you|"
    r"how about|what about)\b"
)
_REQUEST = (
    r"(?:please )?(?:kindly |just )?(?:(?:also |then )?(?:tell|give|send|show|remind) me|let me know|"
    r"specify|provide|share|confirm|choose|pick|select|state|describe|name|clarify|indicate|list|explain"
    r"|advise)\b(?! (?:check|see))"
)
_WISH = (
    r"i(?:'d|'ll| would| will| still| just| also| only)?(?: still| also| just| only)? (?:need|like|want|"
    r"have)(?: to (?:know|ask|check|confirm|hear|understand|clarify)| your\b| you to (?:tell|choose|pick|"
    r"confirm|specify)| (?:a bit |a little |some )?more (?:details?|info))"
)
_ASKS = re.compile(rf"{_FILLER}(?:{_WH}|{_AUX}|{_OFFER}|{_REQUEST}|{_WISH})")
_ASKS_PLAIN = re.compile(
    rf"{_FILLER}(?:{_REQUEST}|{_WISH}|(?:can|could|would|will|may|should|shall|do|did|have|are) (?:you|i)\b"
    r"|(?:is|are) there any|(?:which|what|how many|how much|whose)(?: \w+){0,4} (?:do|would|should|did|"
    r"can|are) (?:you|i|it)\b|(?:what|who|when|where|how|why)(?:'s| is| are) (?:your|the) \w+(?: \w+){0,4}$"
    r"|any (?:\w+ ){0,2}?(?:preferences?|other|specific|particular)\b|anything else)"
)
_LIST_LEAD = re.compile(
    r"\b(?:details|information|info|questions?|following|need to know|clarify|things)\b[^.?!]*:$"
)


def _short_item(body: str) -> bool:
    """True for an item of a list of questions, false for one of a list of products."""
    return "?" in body or (len(body.split()) <= 8 and not any(c.isdigit() for c in body))


_CLAUSE = re.compile(r"[,;:]+\s|\s-+\s|\s\(|\)\s?|\s(?:and|plus|but)\s")
_BREAK = re.compile(r"[,;:]+\s|\s-+\s|\s(?:so|but|and)\s")
_CONDITION = re.compile(r"\s*(?:if|in case|should|once|when|for|regarding|about|as for|with)\b")

_CONFIRM = re.compile(
    r"\b(?:is (?:that|this|it|everything|all(?: of)? (?:that|this)) (?:all )?(?:right|correct|ok|okay|fine|"
    r"good|alright|accurate|the (?:one|right)|what you|acceptable|as you)|(?:does|do|would|will) (?:that|this|it|"
    r"these|everything|they|all this) (?:all )?(?:look|sound|seem|match|work|suit|meet|fit|be (?:ok|okay|"
    r"fine|good|right|alright)|help|do\b)|did i get|(?:shall|should|may|can) i (?:go ahead|proceed|continue|"
    r"add|put|keep|place|apply|submit|finali[sz]e|remove|take|confirm|choose|order|complete|check ?out)"
    r"|(?:would|do) you (?:like|want) me to (?:go ahead|proceed|continue|add|put|keep|submit|apply|confirm|"
    r"place)|are you (?:happy|okay|ok|satisfied|good|fine) with|(?:happy|okay|ok|good|fine) with (?:that|this|"
    r"these|it)|(?:right|correct|okay|ok|yes|agreed|alright|good to go|all good)\?|(?:sounds?|looks?) (?:good|right|ok|okay|fine)\?"
    r"|can you confirm (?:that|this|these|the above|your cart|the cart|it)|please confirm(?: that| this| the"
    r" (?:cart|above|order|items?))?\s*(?:[.!?]|$)|(?:confirm|check) (?:that|whether|if) (?:this|that|it|everything)"
    r"|is (?:the )?(?:cart|order|list|everything) (?:now )?(?:right|correct|ok|okay|complete|as you)|"
    r"are (?:these|those|they) (?:right|correct|ok|okay|fine|the|what|all)|good to go)"
)
_OUT = re.compile(
    r"\b(?:sold[- ]out|out of stock|unavailable|not available|n't available|no longer|gone|run out|ran out|"
    r"runs out|sells out|not in stock|n't in stock|discontinued|don't have it|none left)\b"
)
_OUT_ASK = re.compile(
    r"\b(?:instead|proceed|alternative|another|other|substitute|skip|leave|replac\w+|in its place|what (?:should|"
    r"would|shall|do|then)|do about|how (?:would|should|shall)|else|different|accept|ok|alright|drop)\b"
)


def _compile(table: Mapping[str, str]) -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(rf"(?<![\w-])(?:{body})(?![\w])") for kind, body in table.items()}


_MENTION = _compile(MENTIONS)
_PATTERN = {kind: re.compile(rf"\b(?:{body})") for kind, body in PATTERNS.items()}
_VALUE = _compile(VALUES)
_CHOICE = re.compile(
    r"\bor\b|\b(?:do|did|would|does) (?:you|it) (?:want|like|prefer|need|have|tend)|\bshould (?:it|they|the \w+|i)\b"
    r"|\bis (?:it|this|your|an?|that)\b|\bhow about\b|\b(?:ok|okay|fine|alright|suit|do|work)\b|\bwant\b"
)
_WH_WORD = re.compile(r"\b(?:what|which|how|when|who|where|why|any)\b")
_ASKED_PLAINLY = frozenset(
    "checkout discount_code anything_else fallback replacement details reason condition".split()
)
_SPECIAL_DROP = {
    "price_cents", "rating", "rating_count", "ship_days", "brand", "category", "order_line", "variant",
    "size", "color", "material", "finish_type", "quantity", "title", "store", "weight_lbs", "item_form",
}  # fmt: skip


def recognise(
    text: str,
    nouns: Mapping[str, Sequence[str]] | Names = (),
    extra_values: Mapping[str, Iterable[str]] | None = None,
) -> Question:
    """What ``text`` asks.

    Args:
        text: an agent's message; of very long ones the beginning and the end are read.
        nouns: what each subject is called: ``{"item1": ["wall charger", "charger"]}``. Plurals,
            and a last word that only one subject has, are understood too.
        extra_values: words by kind that ask for it when offered, such as brand names.
    """
    if len(text) > _KEEP_HEAD + _KEEP_TAIL:
        text = f"{text[:_KEEP_HEAD]}\n{text[-_KEEP_TAIL:]}"
    if isinstance(nouns, Mapping):
        nouns = tuple((subject, tuple(names)) for subject, names in nouns.items())
    values = tuple((k, tuple(v)) for k, v in extra_values.items()) if extra_values else ()
    return _recognise(text, nouns, values)


# "lip color" is no thing called "color": the word asks for an attribute.
_NO_NAMES = frozenset(
    "color colors colour colours shade shades size sizes material materials fabric fabrics finish "
    "finishes form forms brand brands store stores price prices connector connectors version "
    "versions weight weights power screen screens display displays budget code codes".split()
)


@lru_cache(maxsize=256)
def _aliases(nouns: Names) -> tuple[tuple[str, str], ...]:
    """(name between blanks, subject), longest first."""
    table: dict[str, set[str]] = {}
    given: set[str] = set()
    for subject, names in nouns:
        for name in names:
            low = name.casefold().strip()
            for word in {low, plural(low), low.replace("&", "and"), low.removeprefix("pair of ")}:
                # Marks as single blanks, as they are in the text; and as if left out.
                for form in {_ONE_MARK.sub(" ", word), _flat(word), _flat(word.replace("'", ""))}:
                    if form:
                        table.setdefault(form, set()).add(subject)
                        given.add(form)
    for subject, names in nouns:
        for name in names:
            tail = _flat(name).rsplit(" ", 1)[-1]
            for form in (tail, plural(tail)):
                if len(form) > 3 and form not in given and form not in _NO_NAMES:
                    table.setdefault(form, set()).add(subject)
    pairs = [(name, subject) for name, owners in table.items() for subject in sorted(owners)
             if len(owners) == 1 or name in given]  # fmt: skip
    pairs.sort(key=lambda pair: (-len(pair[0]), pair))
    return tuple((f" {name} ", subject) for name, subject in pairs)


_CHAT_WORDS = {"u": "you", "ur": "your", "wich": "which", "wat": "what", "qty": "quantity",
               "colr": "color", "brnd": "brand", "pls": "please", "plz": "please"}  # fmt: skip
_CHAT = re.compile(rf"\b(?:{'|'.join(_CHAT_WORDS)})\b")
_ONE_MARK = re.compile(r"[^a-z0-9]")
_FLAT = re.compile(r"[^a-z0-9]+")


def _flat(text: str) -> str:
    return _FLAT.sub(" ", text.casefold()).strip()


def _find_subjects(text: str, aliases: tuple[tuple[str, str], ...]) -> list[tuple[int, str]]:
    """(position, subject) of every name in ``text``, longest names first, no overlaps."""
    if not aliases or not text:
        return []
    # Same length as the text, so that positions agree.
    flat = f" {_ONE_MARK.sub(' ', text)} "
    found: list[tuple[int, str]] = []
    spans: dict[int, int] = {}
    for name, subject in aliases:
        start = flat.find(name)
        while start >= 0:
            end = start + len(name) - 2
            if all(end <= a or start >= b or (start == a and end == b) for a, b in spans.items()):
                spans[start] = end
                found.append((start, subject))
            start = flat.find(name, start + 1)
    found.sort()
    return found


@lru_cache(maxsize=8192)
def _recognise(
    text: str, nouns: Names, values: tuple[tuple[str, tuple[str, ...]], ...]
) -> Question:
    low = _CHAT.sub(lambda m: _CHAT_WORDS[m.group()], text.translate(_QUOTES).casefold())
    aliases = _aliases(nouns)
    parts: list[Part] = []
    generic_subjects: set[str] = set()
    generic = confirms = anything_else = asks = False
    before = ""
    listing = False
    last_subjects: frozenset[str] = frozenset()
    for match in _SENTENCE.finditer(low):
        raw = match.group()
        part = raw.strip()
        if not part:
            if raw == "\n" and not listing:
                before = before[-200:]
            continue
        bullet = _BULLET.match(part)
        body = part[bullet.end() :] if bullet else part
        if listing and not bullet:
            listing = False
        core, context = _question_part(body, listing and bool(bullet) and _short_item(body))
        if not core:
            if _LIST_LEAD.search(part):
                asks = listing = True
            before = f"{before} {part}"[-300:]
            subjects_here = _find_subjects(part, aliases)
            if subjects_here:
                last_subjects = frozenset(s for _, s in subjects_here)
            continue
        asks = True
        if core.rstrip().endswith(":"):
            listing = True
        core = _mend(core)
        found = _kinds(core, bool(_OUT.search(f"{before} {context}")), values)
        here = _find_subjects(core, aliases)
        outside = frozenset(s for _, s in _find_subjects(context, aliases))
        inherited = outside or (last_subjects if len(last_subjects) == 1 else frozenset())
        confirms |= bool(_CONFIRM.search(core))
        for kind, position in found:
            named = _clause_subjects(core, position, here, found)
            subjects = named or inherited
            if kind == "anything_else":
                anything_else = generic = True
                generic_subjects |= subjects
            elif kind == "details":
                generic = True
                generic_subjects |= subjects
            parts.append(Part(frozenset((kind,)), subjects, bool(subjects and not named)))
        before = f"{before} {part}"[-300:]
        if here:
            last_subjects = frozenset(s for _, s in here)
    if not asks:
        return _NOTHING
    kinds = frozenset(kind for part in parts for kind in part.kinds)
    every = frozenset(subject for part in parts for subject in part.subjects)
    return Question(
        kinds, every, generic, confirms, anything_else, tuple(dict.fromkeys(parts)),
        frozenset(generic_subjects), asks,
    )  # fmt: skip


def _question_part(body: str, in_list: bool) -> tuple[str, str]:
    """The part of a sentence that asks, and what stands before it; empty if nothing is asked."""
    marked = body.endswith("?")
    if in_list:
        return body, ""
    if marked:
        if _ASKS.match(body):
            return body, ""
        for cut in _BREAK.finditer(body):
            if _ASKS.match(body, cut.end()):
                head = body[: cut.start()]
                if _CONDITION.match(head):
                    return body, ""
                return body[cut.end() :], head
        return body, ""
    if _ASKS_PLAIN.match(body):
        return body, ""
    for cut in _BREAK.finditer(body):
        if re.compile(rf"{_FILLER}{_REQUEST}").match(body, cut.end()):
            return body[cut.end() :], body[: cut.start()]
    return "", ""


# Agents ask in few ways, most of which name no product.
@lru_cache(maxsize=2048)
def _kinds(
    core: str, sold_out: bool, values: tuple[tuple[str, tuple[str, ...]], ...]
) -> list[tuple[str, int]]:
    """(kind, position) of everything that ``core`` asks, for reading only; ``sold_out``: whether
    what was said before it is that something is."""
    hits: dict[str, list[int]] = {}
    possible = _possible(core)
    for kind in possible:
        mention = _MENTION.get(kind)
        positions = [m.start() for m in mention.finditer(core)] if mention else []
        if positions:
            hits[kind] = positions
        elif kind in _PATTERN:
            match = _PATTERN[kind].search(core)
            if match:
                hits[kind] = [match.start()]
    confirming = bool(_CONFIRM.search(core))
    alternatives = " or " in core
    if (_CHOICE.search(core) or len(core) < 40) and (alternatives or not confirming):
        for kind in possible:
            if kind not in hits and kind in _VALUE:
                match = _VALUE[kind].search(core)
                if match:
                    hits[kind] = [match.start()]
        for kind, names in values:
            for name in names:
                if name and kind not in hits and name.casefold() in core:
                    hits[kind] = [core.index(name.casefold())]
    if confirming and not alternatives and not _WH_WORD.search(core):
        # "Shall I add the black one (4.6 stars)?" describes, it does not ask.
        hits = {kind: at for kind, at in hits.items() if kind in _ASKED_PLAINLY}
    if "fallback" not in hits and sold_out and _OUT_ASK.search(core):
        hits["fallback"] = [0]
    return _settle(core, hits)


_WORD = re.compile(r"[a-z0-9]+")
_EVERYWHERE = frozenset(
    "a an the i you your it its is are was were be been do does did would should could can will to of "
    "for in on at or and with this that these those they them me my we our not have has had there any "
    "what which how when who where more some one so if as by from like want need w s t d ll re ve m".split()
)


def _stems() -> tuple[dict[str, int], tuple[str, ...]]:
    """Beginnings of the words of each kind's patterns, as bit sets of kinds: running only the
    patterns that can match makes a question some five times cheaper."""
    kinds = tuple(dict.fromkeys([*MENTIONS, *PATTERNS, *VALUES]))
    table: dict[str, int] = {}
    for bit, kind in enumerate(kinds):
        for source in (MENTIONS, PATTERNS, VALUES):
            body = re.sub(r"\\[wbWds]|\(\?[:!=<]+", " ", source.get(kind, ""))
            body = re.sub(r"[a-z0-9]\?", "", body)
            for match in _WORD.finditer(body):
                stem = match.group()[:4]
                if match.group() in _EVERYWHERE:
                    continue
                # A short stem that goes on in brackets stands for any word that begins so.
                if len(stem) < 4 and body[match.end() : match.end() + 1] in ("[", "("):
                    stem += "*"
                table[stem] = table.get(stem, 0) | 1 << bit
    return table, kinds


_STEMS, _STEM_KINDS = _stems()
# Kinds with patterns of everyday words only, which no stem can rule out.
_ALWAYS = sum(
    1 << _STEM_KINDS.index(kind)
    for kind in (
        "project",
        "reason",
        "fallback",
        "anything_else",
        "ship_days",
        "age_range",
        "variant",
        "details",
    )
)
_FIGURES = sum(1 << _STEM_KINDS.index(kind) for kind in VALUES if "[0-9" in VALUES[kind])


def _possible(core: str) -> list[str]:
    """The kinds of which at least one telling word stands in ``core``, in a fixed order."""
    bits = _ALWAYS
    get = _STEMS.get
    for word in _WORD.findall(core):
        if word[0].isdigit():
            bits |= _FIGURES
        bits |= get(word[:4], 0) | get(word[:3] + "*", 0) | get(word[:2] + "*", 0)
    return [kind for bit, kind in enumerate(_STEM_KINDS) if bits >> bit & 1]


def _settle(core: str, hits: dict[str, list[int]]) -> list[tuple[str, int]]:
    """Drops the kinds that a more telling one explains."""
    if "fallback" in hits or "priority" in hits:
        for kind in _SPECIAL_DROP:
            hits.pop(kind, None)
    if "screen_size_inches" in hits:
        hits.pop("size", None)
    if "rating_count" in hits:
        hits.pop("rating", None)
        hits.pop("quantity", None)
    if "ship_days" in hits or "wattage" in hits or "screen_size_inches" in hits:
        hits.pop("quantity", None)
    if (
        "budget" in hits
        and "price_cents" not in hits
        and not re.search(r"total|overall|altogether|everything|whole|all", core)
    ):
        hits["price_cents"] = hits["budget"]
    if "title" in hits and ("brand" in hits or "project" in hits):
        hits.pop("title")
    if "anything_else" in hits:
        hits.pop("details", None)
    specific = set(hits) - {"details", "anything_else", "variant", "category"}
    if specific:
        hits.pop("details", None)
    return [(kind, position) for kind, found in hits.items() for position in found]


def _clause_subjects(
    core: str, position: int, here: list[tuple[int, str]], found: list[tuple[str, int]]
) -> frozenset[str]:
    """The subjects named in the clause at ``position`` and in clauses after it that ask nothing
    of their own (*for the lamp and the kettle*); else in the nearest one before it, else in the
    nearest one after it."""
    if not here:
        return frozenset()
    if len({s for _, s in here}) == 1:
        return frozenset((here[0][1],))
    bounds = [0, *(m.start() for m in _CLAUSE.finditer(core)), len(core) + 1]
    last = len(bounds) - 1

    def clause(at: int) -> int:
        return max(i for i in range(last) if bounds[i] <= at)

    def named(i: int) -> frozenset[str]:
        return frozenset(s for at, s in here if bounds[i] <= at < bounds[i + 1])

    index = clause(position)
    asking = {clause(at) for _, at in found}
    for i in (index, *range(index - 1, -1, -1), *range(index + 1, last)):
        subjects = named(i)
        if subjects:
            following = i + 1
            while i >= index and following < last and following not in asking:
                subjects |= named(following)
                following += 1
            return subjects
    return frozenset()


def _vocabulary() -> dict[str, str]:
    words: set[str] = set()
    for source in (MENTIONS, VALUES):
        for body in source.values():
            words.update(w for w in re.findall(r"[a-z]+", body) if len(w) > 4)
    words.update(
        "brand brands color colour price prices quantity budget discount coupon voucher material "
        "connector category delivery shipping rating ratings reviews which would prefer preference "
        "should anything weight wattage screen order number reason condition return replacement "
        "variant version option finish store seller model checkout stock alternative about quick".split()
    )
    table: dict[str, str] = {}
    for word in sorted(words):
        for i in range(len(word)):
            table.setdefault(word[:i] + word[i + 1 :], word)
    for word in words:
        table[word] = word
    return table


_NEAR = _vocabulary()
_LONG_WORD = re.compile(r"[a-z]{5,}")
_COMMON = frozenset(
    "shall small there these those where other could would wants while still heavy right thing things works "
    "going being needs makes cases items carts pairs phone looks lookin might maybe shirt short store "
    "stores bread beard grand prize pride sizes silver great point paint print trace place placed "
    "plays ports sport forms from force horse house shops stops steps codes modes models modem "
    "storage cover lover power tower lower wired tired fired added adding every never under".split()
)


def _mend(text: str) -> str:
    """Near misses of the words that matter put right: one letter lost, added, or exchanged."""
    return _LONG_WORD.sub(lambda match: _mend_word(match.group()), text)


@lru_cache(maxsize=8192)
def _mend_word(text: str) -> str:
    if text in _COMMON or _NEAR.get(text) == text:
        return text
    near = _NEAR.get(text)
    if near is not None:
        return near
    for i in range(len(text) - 1):
        swapped = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        if _NEAR.get(swapped) == swapped:
            return swapped
    for i in range(len(text)):
        near = _NEAR.get(text[:i] + text[i + 1 :])
        if near is not None and len(near) == len(text) < 6:
            continue  # one letter for another in a short word is most often another word
        if near is not None and abs(len(near) - len(text)) <= 1 and near[0] == text[0]:
            return near
    return text
