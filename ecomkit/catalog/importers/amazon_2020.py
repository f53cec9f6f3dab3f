"""The Amazon product CSV of January 2020 (PromptCloud): 28 columns, many of them empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ecomkit.catalog.importers import parsing as p
from ecomkit.catalog.importers.common import Draft
from ecomkit.catalog.importers.sources import Source

COLUMNS: tuple[str, ...] = (
    *("Uniq Id", "Product Name", "Brand Name", "Asin", "Category", "List Price"),
    *("Selling Price", "Quantity", "About Product", "Product Specification"),
    *("Technical Details", "Shipping Weight", "Product Dimensions", "Product Url", "Stock"),
    *("Product Details", "Color", "Product Description"),
)
"""The columns that are read, out of 28."""

DERIVED = ("brand", "store", "rating", "rating_count", "ship_days", "stock")
"""Fields whose columns this format lacks or leaves empty."""

KNOWN_BRANDS: tuple[str, ...] = (
    *("3Doodler", "4M", "Adidas", "AmazonBasics", "American Greetings", "Amscan"),
    *("Anagram International", "Aurora World", "Aurora", "Bachmann Industries", "Bachmann Trains"),
    *("Bandai", "Barbie", "Battat", "Beistle", "Ben Cooper", "Bicycle", "Brio", "Brother"),
    *("Canal Toys", "Carrera", "Casio", "CB2", "Champion Sports", "Charades", "COBI"),
    *("Crayola", "Creative Converting", "Creativity for Kids", "Daron", "Delta Children"),
    *("Disguise", "Educational Insights", "Entertainment Earth", "Estes", "eeBoo"),
    *("Faber-Castell", "Fashion Angels", "Fisher-Price", "Folkmanis", "Forum Novelties"),
    *("Franklin Sports", "Fun World", "Funko", "Galt Toys", "Galt", "Ganz", "Gowi Toys"),
    *("Graco", "Great Eastern Entertainment", "Green Toys", "Gund", "GUND", "Gym Dandy"),
    *("Hallmark", "Hansa", "Hape", "Hasbro Gaming", "Hasbro", "Hornby", "Hot Wheels", "Huffy"),
    *("InCharacter", "Intex", "Janod", "Jay Franco", "JoJo", "K2 Skate", "K'NEX", "Kid Galaxy"),
    *("Kid O", "KidKraft", "Klutz", "Lamaze", "LeapFrog", "Learning Resources", "LEGO"),
    *("Leg Avenue", "Lionel Racing", "Lionel", "Little Tikes", "Little Adventures"),
    *("Magformers", "Marvin's Magic", "Martha Stewart Crafts", "Maped", "MasterPieces"),
    *("Mattel Games", "Mattel", "Mayfair Games", "McFarlane Toys", "MEGA Bloks", "Mega Bloks"),
    *("Melissa & Doug", "Monogram", "Munchkin", "Nathan", "National Geographic", "NECA", "Nerf"),
    *("Ninja Division", "Oriental Trading", "Party City", "Pepperell", "Plan Toys", "PlanToys"),
    *("Play-Doh", "Playmobil", "PLAYMOBIL", "Plus-Plus", "Prinz", "Radio Flyer", "Ravensburger"),
    *("Redcat Racing", "Revell", "Rio Grande Games", "Roommates", "RoomMates", "Rubie's"),
    *("Safari Ltd.", "Safari Ltd", "SainSmart", "Schleich", "Schylling", "Schwinn", "Skip Hop"),
    *("Skywalker Trampolines", "SmartLab Toys", "Smart Games", "SmartGames", "Spin Master"),
    *("Step2", "Steiff", "TAMASHII NATIONS", "Tamashii Nations", "Tamiya", "Terra by Battat"),
    *("Thames & Kosmos", "ThinkFun", "Tomy", "TOMY", "Top Trumps", "Traxxas", "Trend Enterprises"),
    *("Trends International", "Ty", "Unique", "University Games", "USAopoly", "VTech", "WizKids"),
    *("Walthers", "Wild Republic", "Woodland Scenics", "Yu-Gi-Oh!", "ZURU", "Zuru", "Zoofy"),
)
"""Makers that titles of this dataset open with. A title that starts with none of them has no
brand: its first word may as well be a film or an adjective."""

COLORS = frozenset(
    "black white red blue green yellow orange purple pink brown gray grey silver gold multicolor "
    "multi-color multi multicolored beige tan navy turquoise teal lavender clear ivory "
    "maroon bronze copper cyan magenta".split()
)
_SIZES = frozenset(
    "x-small small medium large x-large xx-large xs s m l xl xxl one size one-size".split()
) - {"one", "size"} | {"one size"}

_BOILERPLATE = re.compile(
    r"(?i)make sure this fits by entering your model number\.?"
    r"|go to your orders (?:and|to) start the return.*?(?:ship it!|$)"
    r"|show up to 2 reviews by default"
    r"|[\d.,]+ (?:ounces|pounds) \(view shipping rates and policies\)"
    r"|^\s*[\d.,]+ (?:ounces|pounds)\s*$"
)
_ASIN = re.compile(r"/(?:dp|gp/product|product)/([A-Z0-9]{10})(?=[/?#]|\Z)")


def matches(source: Source) -> bool:
    """True if the columns are those of this format."""
    have = {c.strip().casefold() for c in source.columns}
    return {"uniq id", "product name"} <= have and bool(
        {"selling price", "about product", "product specification", "category"} & have
    )


_BRANDS_BY_START: dict[str, list[str]] = {}
for _name in sorted(KNOWN_BRANDS, key=lambda b: (-len(b), b)):
    _BRANDS_BY_START.setdefault(_name[:2].casefold(), []).append(_name)


def brand_at_start(title: str) -> str | None:
    """The known maker that ``title`` opens with, as whole words, or None."""
    text = title.replace("’", "'")
    for name in _BRANDS_BY_START.get(text[:2].casefold(), ()):
        rest = text[len(name) :]
        if text[: len(name)].casefold() == name.casefold() and not rest[:1].isalnum():
            if rest[:1] == "-" and rest[1:2].isalnum():
                continue
            return name
    return None


def _squeezed(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def maker_name(raw: str, title: str) -> str | None:
    """A manufacturer's name whose spaces the specification lost ('AnagramInternational').

    It is believed when it still has its spaces, is a single plain word, or when the title
    begins with the same letters, which then show the spelling. Otherwise None.
    """
    name = p.clean_text(raw)
    letters = _squeezed(name)
    if not letters:
        return None
    count = 0
    for i, c in enumerate(title):
        if c.isalnum():
            count += 1
            if count == len(letters):
                head = title[: i + 1]
                if _squeezed(head) == letters and not title[i + 1 : i + 2].isalnum():
                    return head
                break
    if " " in name or re.fullmatch(r"[A-Z]?[a-z]+|[A-Z]{2,6}", name):
        return name
    return None


def read_specification(text: Any) -> dict[str, str]:
    """'Product Specification' as a table: keys lower-case without spaces, first value kept."""
    out: dict[str, str] = {}
    if isinstance(text, str):
        for part in text.split("|"):
            key, colon, value = part.partition(":")
            if colon:
                out.setdefault(_squeezed(key), value.strip())
    return out


def _option_at_end(draft: Draft) -> None:
    """Move a colour or a size that ends a title after a comma into its attribute: it names the
    variant, and a title must not say which variant is meant."""
    title = draft.values["title"]
    head, comma, tail = title.rpartition(",")
    word = tail.strip().casefold()
    if not comma or len(head.strip()) < 8:
        return
    for name, words in (("color", COLORS), ("size", _SIZES)):
        if word in words and name not in draft.values:
            draft.values[name] = tail.strip() if name == "size" else word
            draft.values["title"] = head.strip()
            draft.note("adjusted", name, "moved here from the title's end", title)
            return


def convert(draft: Draft, row: Mapping[str, Any]) -> Draft | None:
    """Read one row into ``draft``; None if it is dropped (and counted)."""
    uniq = p.clean_text(row.get("Uniq Id"))
    if uniq:
        if uniq in draft.seen:
            draft.note("dropped", "product_id", "duplicate Uniq Id (the first is kept)", uniq)
            return None
        draft.seen.add(uniq)
    spec = read_specification(row.get("Product Specification"))
    found = _ASIN.search(str(row.get("Product Url") or "")[:1000])
    asin = row.get("Asin")
    if p.is_nothing(asin) and found:
        asin = found[1]
        draft.note("adjusted", "product_id", "ASIN read from the product's address")
    elif p.is_nothing(asin) and re.fullmatch(r"[A-Z0-9]{10}", spec.get("asin", "")):
        asin = spec["asin"]
        draft.note("adjusted", "product_id", "ASIN read from the specification")
    if not draft.take_id(row.get("Uniq Id") if p.is_nothing(asin) else asin):
        return None
    if not draft.take_title(row.get("Product Name")):
        return None
    values = draft.values
    title = values["title"]

    described = [row.get("Product Description"), row.get("Technical Details")]
    pieces = [
        _BOILERPLATE.sub(" ", part)
        for text in described
        if isinstance(text, str)
        for part in text.split("|")
    ]
    draft.take_description([part for part in pieces if len(part.strip()) > 3])
    about = row.get("About Product")
    lines = about.split("|") if isinstance(about, str) else []
    draft.take_features(_BOILERPLATE.sub(" ", line) for line in lines)

    values["path"] = p.split_path(row.get("Category"), "|")
    selling, listed = row.get("Selling Price"), row.get("List Price")
    if draft.take("price_cents", p.parse_price(selling), selling) is None:
        price = draft.take("price_cents", p.parse_price(listed), listed)
        if price is not None:
            draft.note("adjusted", "price_cents", "list price taken", listed)

    _read_brand(draft, row, spec, title)
    stock = row.get("Stock") or row.get("Quantity")
    draft.take("stock", p.parse_stock(stock), stock)

    if not p.is_nothing(row.get("Color")):
        draft.take_attribute("color", row.get("Color"))
    _option_at_end(draft)
    age = spec.get("manufacturerrecommendedage")
    if age:
        draft.take_attribute("age_range", age)
    _read_weight(draft, row, spec)
    return draft


def _read_brand(draft: Draft, row: Mapping[str, Any], spec: Mapping[str, str], title: str) -> None:
    if draft.take("brand", p.parse_text(row.get("Brand Name")), row.get("Brand Name")) is not None:
        return
    known = brand_at_start(title)
    if known:
        draft.values["brand"] = known
        draft.note("adjusted", "brand", "known maker that the title begins with", title)
        return
    raw = spec.get("manufacturer") or spec.get("brand") or spec.get("brandname")
    if raw:
        maker = maker_name(raw, title)
        if maker and len(maker) <= p.MAX_VALUE:
            draft.values["brand"] = maker
            draft.note("adjusted", "brand", "manufacturer of the specification", maker)
        else:
            draft.note("ignored", "brand", "manufacturer whose spaces were lost", raw)


def _read_weight(draft: Draft, row: Mapping[str, Any], spec: Mapping[str, str]) -> None:
    dimensions = spec.get("productdimensions") or row.get("Product Dimensions")
    inside = p.ABSENT
    if isinstance(dimensions, str) and re.search(r"(?i)pound|ounce|lbs?\b|oz\b|kg\b", dimensions):
        inside = p.parse_weight(dimensions)
    for raw, reading, why in (
        (spec.get("itemweight"), p.parse_weight(spec.get("itemweight")), ""),
        (dimensions, inside, ""),
        (row.get("Shipping Weight"), p.parse_weight(row.get("Shipping Weight")), "shipping weight"),
        (spec.get("shippingweight"), p.parse_weight(spec.get("shippingweight")), "shipping weight"),
    ):
        if draft.take("weight_lbs", reading, raw) is not None:
            if why:
                draft.note("adjusted", "weight_lbs", f"{why} taken, no item weight", raw)
            return
