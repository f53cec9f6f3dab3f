"""The synthetic shop's taxonomy: a data file (``taxonomy.toml``) and its loader.

The file holds value pools, groups of departments (brands, series words, shipping habits) and,
for every category, its nouns, price band, attribute values and the words that fit it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from ecomkit.core.errors import CatalogError, UnknownName
from ecomkit.core.records import NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES, contains_words, words

ATTRIBUTES: tuple[str, ...] = TEXT_ATTRIBUTES + NUMBER_ATTRIBUTES
"""The 11 typed attributes, in the order of the catalog's columns."""


@dataclass(frozen=True, slots=True)
class Group:
    """Departments that share brands and habits, such as ``electronics``."""

    name: str
    policy: str
    """Which return rules apply: ``electronics``, ``apparel``, ``grocery`` …"""
    brands: tuple[str, ...]
    series: tuple[str, ...]
    """Second words of model names."""
    stores: tuple[str, ...]
    features: tuple[str, ...]
    closings: tuple[str, ...]
    """Last sentences of a description."""
    ship: tuple[int, int]
    """Shipping days that most products of the group need."""


@dataclass(frozen=True, slots=True)
class Category:
    """One category and everything that its products are made of."""

    name: str
    department: str
    group: str
    noun: str
    plural: str
    aliases: tuple[str, ...]
    titles: tuple[str, ...]
    """The noun as titles write it, one or more ways."""
    use: str
    """Ends the sentence "The X is a compact wall charger …"."""
    price: tuple[int, int]
    """Price band in dollars."""
    ship: tuple[int, int]
    weight: tuple[float, float] | None
    """Weight band in pounds; None where weight is a pool or does not apply."""
    values: dict[str, tuple[str | float, ...]]
    """Value pools of the typed attributes that apply, by name."""
    varies: tuple[str, ...]
    """Attributes that may vary between the variants of a product, first one first."""
    adjectives: tuple[str, ...]
    extras: tuple[str, ...]
    features: tuple[str, ...]

    @property
    def nouns(self) -> tuple[str, ...]:
        """What a customer may call it: singular, plural, aliases."""
        return (self.noun, self.plural, *self.aliases)


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """All departments and categories of the synthetic shop, in the order of the file."""

    groups: dict[str, Group]
    departments: dict[str, str]
    """Group by department."""
    labels: dict[str, str]
    """How a shop writes a department, such as "Chargers & Power Banks"."""
    categories: dict[str, Category]
    models: tuple[str, ...]
    """First words of model names."""

    def category(self, name: str) -> Category:
        """One category.

        Raises:
            UnknownName: if there is none of that name.
        """
        if name not in self.categories:
            raise UnknownName("category", name, self.categories)
        return self.categories[name]


_SMALL = frozenset(
    "with for and of in to the a on or by from x oz fl lb ft mm cm qt sq psi".split()
)
"""Words and units that a title writes small, save as its first word."""


def title_case(text: str) -> str:
    """``text`` as a title writes it: words that have capitals of their own stay as they are."""
    out = []
    for i, word in enumerate(text.split(" ")):
        if word and word.lower() == word and not (i and word in _SMALL):
            word = "-".join(part[:1].upper() + part[1:] for part in word.split("-"))
        out.append(word)
    return " ".join(out)


def _pool(raw: Any, pools: dict[str, list[Any]], where: str) -> tuple[Any, ...]:
    if isinstance(raw, str):
        if not raw.startswith("@") or raw[1:] not in pools:
            raise CatalogError(f"taxonomy: {where} names no pool ({raw!r})")
        raw = pools[raw[1:]]
    if len(set(raw)) != len(raw):
        raise CatalogError(f"taxonomy: {where} repeats a value")
    return tuple(raw)


def parse_taxonomy(data: dict[str, Any]) -> Taxonomy:
    """A checked :class:`Taxonomy` from the parsed file.

    Raises:
        CatalogError: for a category that lacks something, repeats a noun of another one, or
            whose title words give away the attribute that varies.
    """
    pools = data.pop("pools")
    models = tuple(data.pop("models")["words"])
    stores = tuple(data.pop("stores")["names"])
    groups: dict[str, Group] = {}
    for name, raw in data.pop("groups").items():
        groups[name] = Group(
            name=name,
            policy=raw.get("policy", name),
            brands=tuple(raw["brands"]),
            series=tuple(raw["series"]),
            stores=tuple(raw.get("stores", ())) + stores,
            features=tuple(raw["features"]),
            closings=tuple(raw["closings"]),
            ship=(raw["ship"][0], raw["ship"][1]),
        )
    departments: dict[str, str] = {}
    labels: dict[str, str] = {}
    categories: dict[str, Category] = {}
    for department, table in data.items():
        group = groups[table["group"]]
        departments[department] = group.name
        labels[department] = table.get("label", title_case(department.replace("-", " ")))
        for name, raw in table.items():
            if not isinstance(raw, dict):
                continue
            where = f"category {name!r}"
            # A hair dryer stands among shampoos but is made and sold like electronics.
            own = groups[raw.get("group", group.name)]
            if name in categories:
                raise CatalogError(f"taxonomy: {where} stands in two departments")
            try:
                values = {a: _pool(raw[a], pools, f"{where}, {a}") for a in ATTRIBUTES if a in raw}
                category = Category(
                    name=name,
                    department=department,
                    group=own.name,
                    noun=raw["noun"],
                    plural=raw.get("plural", name),
                    aliases=tuple(raw.get("aliases", ())),
                    titles=tuple(raw.get("titles", (title_case(raw["noun"]),))),
                    use=raw["use"],
                    price=(raw["price"][0], raw["price"][1]),
                    ship=tuple(raw.get("ship", own.ship)),
                    weight=tuple(raw["weight"]) if "weight" in raw else None,
                    values=values,
                    varies=tuple(raw["varies"]),
                    adjectives=tuple(raw["adjectives"]),
                    extras=tuple(raw.get("extras", ())),
                    features=tuple(raw["features"]),
                )
            except KeyError as error:
                raise CatalogError(f"taxonomy: {where} lacks {error}") from None
            _check(category, own, models)
            categories[name] = category
    _check_nouns(categories)
    return Taxonomy(groups, departments, labels, categories, models)


def _check(category: Category, group: Group, models: tuple[str, ...]) -> None:
    where = f"taxonomy: category {category.name!r}"
    for attribute in category.varies:
        if len(category.values.get(attribute, ())) < 3:
            raise CatalogError(f"{where} varies by {attribute!r}, which has fewer than 3 values")
    if len(category.features) < 4 or len(category.adjectives) < 4:
        raise CatalogError(f"{where} needs at least 4 features and 4 adjectives")
    varying = category.varies[0]
    # Pieces that a title is made of, by the words in them: few pieces share a value's first word.
    pieces: dict[str, list[str]] = {}
    titles = (*category.titles, *category.adjectives, *category.extras)
    said = [spoken(a, v) for a, pool in category.values.items() if a != varying for v in pool]
    for piece in (*titles, *said, *models, *group.series, *group.brands):
        for word in words(piece):
            pieces.setdefault(word, []).append(piece)
    for value in category.values[varying]:
        for text in {spoken(varying, value), f"{value}"}:
            for piece in pieces.get(words(text)[0], ()):
                if contains_words(piece, text):
                    raise CatalogError(f"{where}: {piece!r} gives away {varying} {value!r}")


def _check_nouns(categories: dict[str, Category]) -> None:
    owner: dict[str, str] = {}
    for category in categories.values():
        for noun in category.nouns:
            if owner.setdefault(noun.casefold(), category.name) != category.name:
                raise CatalogError(
                    f"taxonomy: {noun!r} names both {owner[noun.casefold()]!r} "
                    f"and {category.name!r}"
                )


def spoken(attribute: str, value: str | float) -> str:
    """A value as a title or a sentence writes it: ``65W``, ``27-Inch``, ``Midnight Blue``."""
    if isinstance(value, str):
        return title_case(value)
    if attribute == "wattage":
        return f"{value:g}W"
    if attribute == "screen_size_inches":
        return f"{value:g}-Inch"
    return f"{value:g} lb"


@lru_cache(maxsize=1)
def load_taxonomy() -> Taxonomy:
    """The taxonomy of the package, parsed and checked once."""
    file = resources.files("ecomkit.catalog").joinpath("taxonomy.toml")
    return parse_taxonomy(tomllib.loads(file.read_text(encoding="utf-8")))
