"""Small English: articles, plurals, numbers, money and units, as customers write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from ecomkit.core.seeds import Rng

NUMBER_WORDS: tuple[str, ...] = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

# Words that come in pairs, words with no plural, and plurals that hide among singulars.
_PAIRS = frozenset(
    "headphones earphones earbuds shoes boots sneakers sandals slippers socks jeans pants trousers "
    "leggings shorts gloves mittens mitts glasses sunglasses goggles scissors shears pliers tongs "
    "tweezers clippers binoculars heels flats loafers trainers tights joggers chopsticks "
    "speakers curtains skis".split()
)
_MASS = frozenset(
    "shampoo conditioner coffee tea sunscreen soap detergent lotion moisturizer flour rice sugar "
    "salt pasta honey oil makeup mascara tape paint clay yarn foil food litter feed formula "
    "fertilizer soil mulch bedding luggage furniture jewelry jewellery equipment gear paper "
    "toothpaste mouthwash deodorant perfume cologne rope string thread chalk ink wax glue "
    "cookware bakeware flatware cutlery dinnerware drinkware glassware software hardware protein "
    "powder granola cereal jerky chocolate candy gum water juice milk butter yogurt cheese bread "
    "stationery clothing footwear lingerie swimwear sportswear kibble twine caulk".split()
)
_NOT_PLURAL = frozenset(
    "glass lens canvas chess compass dress mattress harness gas bus cactus hummus fitness tennis "
    "wilderness business mass brass grass press less class basis atlas christmas series cross "
    "trellis iris asus access princess address pass boss moss bass hibiscus abacus".split()
)
_IRREGULAR = {
    "knife": "knives", "shelf": "shelves", "loaf": "loaves", "scarf": "scarves", "man": "men",
    "woman": "women", "child": "children", "foot": "feet", "tooth": "teeth", "mouse": "mice",
    "leaf": "leaves", "half": "halves", "dice": "dice", "fish": "fish", "sheep": "sheep",
    "photo": "photos", "piano": "pianos", "video": "videos", "radio": "radios", "hero": "heroes",
    "potato": "potatoes", "tomato": "tomatoes",
}  # fmt: skip
_LINK = re.compile(r"\s(?:of|for|with|in|on|to|from|and)\s|,")
_CODE = re.compile(r"[A-Z]{2,}[0-9]*\b|[A-Z]\b")


_SPOKEN = frozenset("LAN RAM NAS ROM SIM RAID LASER".split())


@lru_cache(maxsize=4096)
def article(phrase: str) -> str:
    """``a`` or ``an``, by the sound of what follows."""
    word = phrase.lstrip("\"'“‘(")
    if not word:
        return "a"
    number = re.match(r"[0-9][0-9.,]*", word)
    if number:
        digits = number.group().split(".")[0].replace(",", "")
        if digits.startswith("8"):
            return "an"
        return "an" if digits in ("11", "18") or re.fullmatch(r"1[18][0-9]{3}", digits) else "a"
    first = re.split(r"[\s\-/]", word, maxsplit=1)[0]
    if _CODE.fullmatch(first) and first not in _SPOKEN and len(first) <= 4:
        return "an" if first[0] in "AEFHILMNORSX" else "a"
    low = word.casefold()
    if re.match(r"(?:uni(?!n|m)|use|usb|usu|uk|uv|ut[ei]|eu|ew|one\b|once|ubi|ura)", low):
        return "a"
    if re.match(r"(?:hour|heir|honest|honou?r|herb)", low):
        return "an"
    return "an" if low[0] in "aeiou" else "a"


def _head(noun: str) -> tuple[str, str]:
    """The part of ``noun`` that holds the counted word last, and the rest."""
    link = _LINK.search(noun)
    cut = link.start() if link and link.start() > 0 else len(noun)
    return noun[:cut], noun[cut:]


def bare(noun: str) -> str:
    """The noun after "the": ``pair of headphones`` -> ``headphones``."""
    return noun.removeprefix("pair of ")


@lru_cache(maxsize=4096)
def is_plural(noun: str) -> bool:
    """True for ``running shoes`` and ``pair of socks``, false for ``canvas`` or ``shampoo``."""
    noun = bare(noun)
    last = re.split(r"[\s\-]", _head(noun)[0].casefold())[-1]
    if last in _PAIRS or last in _IRREGULAR.values():
        return last not in _IRREGULAR
    return (
        last.endswith("s")
        and not last.endswith(("ss", "us", "is"))
        and last not in _NOT_PLURAL
        and len(last) > 3
    )


@lru_cache(maxsize=4096)
def is_mass(noun: str) -> bool:
    """True for ``face lotion`` or ``dog food``: no article, no plural."""
    return re.split(r"[\s\-]", _head(noun)[0].casefold())[-1] in _MASS


def is_pair(noun: str) -> bool:
    """True for ``pair of headphones`` and ``hiking boots``: counted in pairs."""
    if noun.startswith("pair of "):
        return True
    parts = re.split(r"[\s\-]", _head(noun)[0].casefold())
    if parts[-1] == "glasses":
        return len(parts) == 1 or parts[-2] in ("reading", "safety", "sun", "eye", "light", "kids")
    return parts[-1] in _PAIRS


@lru_cache(maxsize=4096)
def plural(noun: str) -> str:
    """``wall charger`` -> ``wall chargers``; plural and mass nouns stay as they are."""
    head, rest = _head(noun)
    if is_plural(noun) or is_mass(noun) or not head:
        return noun
    cut = max(head.rfind(" "), head.rfind("-")) + 1
    last = head[cut:]
    low = last.casefold()
    if low in _IRREGULAR:
        new = _IRREGULAR[low]
        last = new.capitalize() if last[0].isupper() else new
    elif re.search(r"[^aeiou]y$", low):
        last = last[:-1] + "ies"
    elif low.endswith(("s", "x", "z", "ch", "sh")):
        last += "es"
    else:
        last += "s"
    return head[:cut] + last + rest


def some(noun: str, before: str = "") -> str:
    """The noun as first mentioned: ``a desk lamp``, ``some shampoo``, ``a pair of red socks``.

    ``before`` stands in front of the noun: ``an orange lamp``.
    """
    thing = f"{before} {bare(noun)}" if before else bare(noun)
    if noun.startswith("pair of "):
        return f"a pair of {thing}"
    if is_plural(noun) or is_mass(noun):
        return f"some {thing}"
    return f"{article(thing)} {thing}"


def number_word(n: int) -> str:
    """Whole numbers from 0 to 99 in words; others in digits."""
    if not 0 <= n <= 99:
        return str(n)
    if n < 20:
        return NUMBER_WORDS[n]
    return _TENS[n // 10] + (f"-{NUMBER_WORDS[n % 10]}" if n % 10 else "")


def counted(n: int, noun: str, figure: bool = False, before: str = "") -> str:
    """``two wall chargers``, ``2 pairs of socks``, ``one pack of shampoo``, ``two red lamps``."""
    number = str(n) if figure else number_word(n)
    lead = f"{before} " if before else ""
    if is_pair(noun):
        return f"{number} {'pair' if n == 1 else 'pairs'} of {lead}{bare(noun)}"
    if is_plural(noun):
        return f"{number} {'set' if n == 1 else 'sets'} of {lead}{noun}"
    if is_mass(noun):
        return f"{number} {'pack' if n == 1 else 'packs'} of {lead}{noun}"
    return f"{number} {lead}{noun if n == 1 else plural(noun)}"


def number(value: float | int) -> str:
    """``2.50`` -> ``2.5``, ``65.0`` -> ``65``, ``1200`` -> ``1,200``."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.10g}"
    return f"{int(value):,}"


def money(cents: int, rng: Rng, plain: bool = False) -> str:
    """An amount as typed by a customer: ``$34.99``, ``$35``, ``35 dollars``, ``thirty bucks``.

    Colloquial forms only where they are exact; ``plain`` gives the ``$`` form.
    """
    if cents % 100:
        return f"${cents // 100:,}.{cents % 100:02d}"
    dollars = cents // 100
    forms = [f"${dollars:,}"] * 4
    if dollars >= 2 and not plain:
        forms += [f"{dollars:,} dollars", f"{dollars:,} bucks"]
        if dollars <= 99 and (dollars <= 20 or dollars % 5 == 0):
            forms += [f"{number_word(dollars)} dollars", f"{number_word(dollars)} bucks"]
    return rng.choice(forms)


def joined(parts: Sequence[str], last: str = "and", oxford: bool = False) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    parts = list(parts)
    if len(parts) < 2:
        return "".join(parts)
    comma = "," if oxford and len(parts) > 2 else ""
    return f"{', '.join(parts[:-1])}{comma} {last} {parts[-1]}"


_PROPER = frozenset(
    "Turkish German Egyptian Italian French American Damascus California Japanese Swiss Danish "
    "English Irish Persian Moroccan Indian Scandinavian Swedish Spanish Mexican Chinese Tibetan "
    "Himalayan Dutch Lightning Bluetooth Ethernet Thunderbolt Zigbee Velcro Teflon Kevlar Lycra "
    "Christmas Halloween Easter".split()
)


@lru_cache(maxsize=8192)
def plain_value(value: str) -> str:
    """A catalog value as written mid-sentence: ``Matte Black`` -> ``matte black``; ``USB-C``,
    ``XL``, ``ABS plastic`` and ``Turkish cotton`` keep their capitals."""

    def word(match: re.Match[str]) -> str:
        text = match.group()
        keep = text in _PROPER or len(text) < 2 or not text[1:].islower()
        return text if keep else text.lower()

    return re.sub(r"[A-Za-z]+", word, value.strip())


def sentence(text: str) -> str:
    """``text`` with a capital first letter and an ending mark."""
    text = text.strip()
    match = re.search(r"[A-Za-z0-9]", text)
    if match:
        i = match.start()
        text = text[:i] + text[i].upper() + text[i + 1 :]
    if not re.search(r"[.!?]['\"”)]?$", text):
        text += "."
    return text
