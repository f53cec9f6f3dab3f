"""Names for what an import brings: nouns of categories, phrases of titles, what may vary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ecomkit.catalog import variants as forms
from ecomkit.core.records import contains_words, words

if TYPE_CHECKING:
    import polars as pl

_IRREGULAR = {
    "knives": "knife",
    "shelves": "shelf",
    "scarves": "scarf",
    "loaves": "loaf",
    "leaves": "leaf",
    "halves": "half",
    "children": "child",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "feet": "foot",
    "teeth": "tooth",
    "dice": "die",
}
# Plural in form and in use, or no plural at all.
_KEEP = frozenset(
    "accessories supplies electronics clothing shoes sneakers boots sandals slippers socks jeans "
    "shorts pants trousers leggings tights glasses sunglasses goggles scissors shears pliers "
    "tweezers headphones earbuds gloves mittens pajamas overalls binoculars crafts games sports "
    "arts series species goods news lens bus gas canvas mattress dress compass harness express "
    "fitness wellness business glass brass".split()
)
_FILLER = frozenset(
    "a an and the of for with in on to by from or at set pack piece pieces inch inches count size "
    "new men women mens womens kids oz lb lbs cm mm ft pcs pc".split()
)


def singular(word: str) -> str:
    """The singular of one lower-case English noun, or the word itself."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _KEEP or len(word) < 4 or not word.endswith("s") or word.endswith("ss"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if word.endswith(("us", "is")):
        return word
    return word[:-1]


def plural(word: str) -> str:
    """The plural of one lower-case English noun."""
    for many, one in _IRREGULAR.items():
        if word == one:
            return many
    if word in _KEEP:
        return word
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word + "s"


def nouns_from_category(category: str) -> tuple[str, ...]:
    """Singular and plural noun for an imported category such as "Toys & Games | Puzzles".

    The last part of the path, lower-case, its last word singular.
    """
    last = category
    for mark in ("|", ">", "›", "/"):
        parts = [p.strip() for p in last.split(mark) if p.strip()]
        last = parts[-1] if parts else last
    tokens = last.replace("_", " ").casefold().split()
    if not tokens:
        return ("item", "items")
    # "cables & adapters" is a shelf, not a thing: its first noun is one.
    for joint in ("&", "and"):
        if joint in tokens and tokens.index(joint) > 0:
            tokens = tokens[: tokens.index(joint)]
            break
    tokens[-1] = tokens[-1].strip(",")
    one = [*tokens[:-1], singular(tokens[-1])]
    many = [*tokens[:-1], plural(one[-1])]
    return (" ".join(one), " ".join(many))


def rare_phrase(title: str, brand: str, count: Callable[[str], int], hidden: Sequence[str]) -> str:
    """The one to four consecutive words of a title that fewest titles share.

    Args:
        title, brand: of the product; the brand's words are left out where others will do.
        count: in how many titles of the category a folded word stands.
        hidden: values that the phrase must not hold.
    """
    tokens = words(title)
    brand_words = set(words(brand))
    best: tuple[Any, ...] | None = None
    choice = ""
    for start in range(len(tokens)):
        for length in (2, 3, 1, 4):
            part = tokens[start : start + length]
            if len(part) < length or part[0] in _FILLER or part[-1] in _FILLER:
                continue
            # The s of "Child's" is a word of its own here, and no way to begin or end a name.
            if any(len(w) == 1 and w.isalpha() for w in (part[0], part[-1])):
                continue
            phrase = " ".join(part)
            if not any(any(c.isalpha() for c in w) and len(w) > 2 for w in part):
                continue
            if any(contains_words(phrase, value) for value in hidden):
                continue
            rarest = min(count(w) for w in part if w not in _FILLER)
            rank = (
                rarest,
                any(c.isdigit() for w in part for c in w),
                sum(w in brand_words for w in part),
                abs(length - 2),
                start,
            )
            if best is None or rank < best:
                best, choice = rank, phrase
    return choice


def derive_rules(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Variant rules for imported products: per category, the attributes of
    :data:`~ecomkit.catalog.variants.DEFAULT_PRIORITY` with at least three values, each with its
    eight most common values."""
    import polars as pl

    rules: dict[str, list[dict[str, Any]]] = {}
    for attribute in forms.DEFAULT_PRIORITY:
        if attribute not in frame.columns:
            continue
        counted = (
            frame.lazy()
            .select("category", pl.col(attribute).str.strip_chars().alias("value"))
            .filter(pl.col("value").is_not_null() & (pl.col("value") != ""))
            .with_columns(folded=pl.col("value").str.to_lowercase())
            .group_by("category", "folded")
            .agg(pl.col("value").min(), pl.len().alias("n"))
            .sort("category", "n", "folded", descending=[False, True, False])
            .group_by("category", maintain_order=True)
            .agg(pl.col("value").head(8))
            .collect()
        )
        for category, values in counted.iter_rows():
            if len(values) >= 3:
                rules.setdefault(category, []).append({"attribute": attribute, "values": values})
    return {category: rules[category] for category in sorted(rules)}


def assign_varies(frame: pl.DataFrame, rules: Mapping[str, Any]) -> pl.DataFrame:
    """``frame`` with a ``varies_by`` column: the stated names of native variants, or the first
    attribute of the category's rules that the product has and its title does not give away."""
    import polars as pl

    natives = frame["variants"].to_list() if "variants" in frame.columns else [None] * frame.height
    typed = {a: frame[a].to_list() for a in forms.GENERIC_POOLS if a in frame.columns}
    out: list[str | None] = []
    rows = zip(frame["category"], frame["title"], natives, strict=True)
    for at, (category, title, native) in enumerate(rows):
        if native:
            names = {p["name"] for v in native for p in v["attributes"]}
            out.append(", ".join(sorted(names)) or None)
            continue
        out.append(_first_rule(title, rules.get(category, ()), typed, at))
    return frame.with_columns(pl.Series("varies_by", out, dtype=pl.String))


def _first_rule(
    title: str, rules: Sequence[Mapping[str, Any]], typed: Mapping[str, list[Any]], at: int
) -> str | None:
    for rule in rules:
        attribute = rule["attribute"]
        own = typed.get(attribute, [None] * (at + 1))[at]
        if own is None or contains_words(title, str(own)):
            continue
        others = [v for v in rule["values"] if str(v).casefold() != str(own).casefold()]
        if len(others) >= 2 and not any(contains_words(title, str(v)) for v in others):
            return str(attribute)
    return None
