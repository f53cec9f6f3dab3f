"""The synthetic catalog. Product *i* depends on the seed and *i* alone, so that a catalog of
2,000,000 begins with the catalog of 20,000.

Every draw is a hash of (seed, purpose, row) turned into a position in a pool or in a table of
whole numbers: no float arithmetic decides anything, so the bytes are the same on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from ecomkit.catalog import variants as forms
from ecomkit.catalog.taxonomy import ATTRIBUTES, Taxonomy, load_taxonomy, spoken, title_case
from ecomkit.core.records import NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES
from ecomkit.core.seeds import mix64, seed_from

if TYPE_CHECKING:
    import polars as pl

GENERATOR = "synthetic-1"
"""Changes whenever the same seed gives other products."""

SHARD = 100_000
"""Rows made and written at a time."""

_SHIFT = np.uint64(32)
_LEVELS = 256
_ID_BITS = 48
_ID_ALPHABET = b"0123456789BCDFGHJKLMNPQRSTVWXYZ"
_FIRST_LETTERS = b"BCDFGHJKLMNPQRSTVWXYZ"

# Who leads each of the eight products of a block: products with one leader are twins.
_FAMILIES = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 1, 6, 7],
        [0, 1, 2, 0, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 5, 2, 5],
        [0, 1, 0, 3, 4, 5, 0, 7],
        [0, 1, 2, 3, 1, 5, 1, 7],
        [0, 1, 2, 3, 2, 3, 3, 7],
    ],
    dtype=np.int64,
)


class _Pools:
    """Ragged pools: entry ``k`` holds ``size[k]`` items that start at ``start[k]``."""

    def __init__(self, pools: Sequence[Sequence[Any]]) -> None:
        self.size = np.array([len(p) for p in pools], dtype=np.int64)
        self.start = np.concatenate(([0], np.cumsum(self.size)[:-1])).astype(np.int64)
        self.flat: list[Any] = [item for pool in pools for item in pool]


class _Tables:
    """Everything about the taxonomy that the columns are gathered from, as arrays."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        cats = list(taxonomy.categories.values())
        groups = list(taxonomy.groups.values())
        group_at = {g.name: i for i, g in enumerate(groups)}
        self.taxonomy = taxonomy
        self.categories = cats
        # A shop has about as many products on each shelf: first a department, then a category.
        by_department: dict[str, list[int]] = {}
        for i, c in enumerate(cats):
            by_department.setdefault(c.department, []).append(i)
        self.department_categories = _Pools(list(by_department.values()))
        self.department_rows = np.array(self.department_categories.flat, dtype=np.int64)
        self.group = np.array([group_at[c.group] for c in cats], dtype=np.int64)
        self.brands = _Pools([g.brands for g in groups])
        self.series = _Pools([g.series for g in groups])
        self.stores = _Pools([g.stores for g in groups])
        self.group_features = _Pools([g.features for g in groups])
        self.closings = _Pools([g.closings for g in groups])
        self.models = taxonomy.models
        self.titles = _Pools([c.titles for c in cats])
        self.adjectives = _Pools([[title_case(a) for a in c.adjectives] for c in cats])
        self.kinds = _Pools([[_kind(a, c.noun) for a in c.adjectives] for c in cats])
        self.extras = _Pools([c.extras or ("",) for c in cats])
        self.features = _Pools([c.features for c in cats])
        self.uses = [c.use for c in cats]
        # Attribute values: one flat list over all attributes and categories.
        self.values = {a: _Pools([c.values.get(a, ()) for c in cats]) for a in ATTRIBUTES}
        self.said: list[str] = []
        self.said_lower: list[str] = []
        self.offset: dict[str, int] = {}
        for a in ATTRIBUTES:
            self.offset[a] = len(self.said)
            self.said += [spoken(a, v) for v in self.values[a].flat]
            self.said_lower += [_sentence(a, v) for v in self.values[a].flat]
        statable = []
        twins = []
        for c in cats:
            names = [a for a in ATTRIBUTES if a in c.values and a != c.varies[0]]
            statable.append([ATTRIBUTES.index(a) for a in names])
            wide = [a for a in names if len(c.values[a]) >= 3]
            # −1 stands for the store: twins that differ in who sells them.
            twins.append([ATTRIBUTES.index(a) for a in wide] * 3 + [-1])
        self.statable = _Pools([s or [-1] for s in statable])
        self.statable_flat = np.array(self.statable.flat, dtype=np.int64)
        self.twin = _Pools(twins)
        self.twin_flat = np.array(self.twin.flat, dtype=np.int64)
        self.varies = np.array([ATTRIBUTES.index(c.varies[0]) for c in cats], dtype=np.int64)
        self.price = np.array([_log_levels(c.price[0] * 100, c.price[1] * 100) for c in cats])
        self.has_weight = np.array(
            [c.weight is not None and "weight_lbs" not in c.values for c in cats]
        )
        self.weight = np.array(
            [_log_levels(*(int(round(10 * w)) for w in (c.weight or (1.0, 1.0)))) for c in cats]
        )
        self.ship_low = np.array([c.ship[0] for c in cats], dtype=np.int64)
        self.ship_span = np.array([c.ship[1] - c.ship[0] for c in cats], dtype=np.int64)
        self.rating = _rating_table()
        self.count = _count_table()
        # A brand's price level, in per cent; a value's, by its place in the pool of numbers.
        self.brand_level = np.array(
            [88 + seed_from("brand", b) % 33 for b in self.brands.flat], dtype=np.int64
        )
        value_level = []
        for a in ATTRIBUTES:
            for c in cats:
                pool = c.values.get(a, ())
                for k, value in enumerate(pool):
                    if a in NUMBER_ATTRIBUTES and len(pool) > 1 and c.varies[0] != a:
                        value_level.append(82 + 42 * k // (len(pool) - 1))
                    elif a == "size" and len(pool) > 1 and c.varies[0] != a:
                        value_level.append(90 + 24 * k // (len(pool) - 1))
                    elif a == "material":
                        value_level.append(94 + seed_from("material", value) % 15)
                    else:
                        value_level.append(100)
        self.value_level = np.array(value_level, dtype=np.int64)


def _kind(adjective: str, noun: str) -> str:
    """Adjective, noun and article: "an SPF 30 sunscreen", "a pair of slim-fit men's jeans"."""
    head, of, rest = noun.partition(" of ")
    phrase = f"{head} of {adjective} {rest}" if of else f"{adjective} {noun}"
    first = phrase.replace("-", " ").split()[0]
    if first.isupper() and first.isalpha():
        spoken_vowel = first[0] in "AEFHILMNORSX"  # letters read out: an L, an SPF, a USB
    elif first[0].isdigit():
        spoken_vowel = first.startswith("8") or first in ("11", "18")
    else:
        spoken_vowel = first[0].lower() in "aeiou" and not first.lower().startswith(
            ("one", "once", "uni", "use", "uk")
        )
    return ("an " if spoken_vowel else "a ") + phrase


def _sentence(attribute: str, value: str | float) -> str:
    """A feature line that states an attribute."""
    text = value if isinstance(value, str) else f"{value:g}"
    return {
        "color": f"Color: {text}",
        "size": f"Size: {text}",
        "material": f"Made of {text}",
        "connector_type": f"Connector: {text}",
        "item_form": f"Form: {text}",
        "skin_type": f"Made for {text}",
        "finish_type": f"Finish: {text}",
        "age_range": f"Age: {text}",
        "wattage": f"Rated at {text} watts",
        "screen_size_inches": f"{text}-inch screen, measured diagonally",
        "weight_lbs": f"Weighs {text} lb",
    }[attribute]


def _log_levels(low: int, high: int) -> list[int]:
    """257 whole numbers from ``low`` to ``high``, evenly spaced by ratio."""
    ratio = math.log(high / low) if high > low else 0.0
    return [round(low * math.exp(ratio * k / _LEVELS)) for k in range(_LEVELS + 1)]


def _rating_table() -> np.ndarray:
    """1,024 ratings in tenths: most between 3.4 and 4.9, a thin tail below."""
    shares = [(10, 20, 6), (20, 28, 22), (28, 34, 60), (34, 38, 120), (38, 41, 190)]
    shares += [(41, 45, 360), (45, 48, 205), (48, 50, 52), (50, 51, 9)]
    out: list[int] = []
    for low, high, count in shares:
        out += [low + (high - low) * k // count for k in range(count)]
    return np.array(out[:1024] + [44] * (1024 - len(out)), dtype=np.int64)


def _count_table() -> np.ndarray:
    """1,024 review counts: log-normal with median 90 and a tail beyond 20,000."""
    normal = NormalDist(math.log(90), 1.75)
    return np.array(
        [round(math.exp(normal.inv_cdf((k + 0.5) / 1024))) for k in range(1024)], dtype=np.int64
    )


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    return _Tables(load_taxonomy())


class _Draw:
    """Hashes of (seed, purpose, row)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def hash(self, purpose: str, rows: np.ndarray) -> np.ndarray:
        base = np.uint64(seed_from("catalog", GENERATOR, self.seed, purpose))
        return mix64(mix64(rows.astype(np.uint64)) ^ base)

    def below(self, purpose: str, rows: np.ndarray, n: np.ndarray | int) -> np.ndarray:
        """Whole numbers in [0, n): int64."""
        size = np.asarray(n).astype(np.uint64)
        return (((self.hash(purpose, rows) >> _SHIFT) * size) >> _SHIFT).astype(np.int64)

    def skewed(self, purpose: str, rows: np.ndarray, n: np.ndarray | int) -> np.ndarray:
        """Whole numbers in [0, n), the first ones about twice as likely as the last ones."""
        a = self.below(purpose, rows, n)
        b = self.below(purpose + "'", rows, n)
        use_low = self.below(purpose + '"', rows, 3) == 0
        return np.where(use_low, np.minimum(a, b), a)


def product_ids(rows: np.ndarray, seed: int) -> np.ndarray:
    """Ids of 10 upper-case letters and digits, one to one with rows below 2^48: dtype S10.

    A keyed permutation, so that an id tells neither the row nor the category.
    """
    mask = np.uint64((1 << _ID_BITS) - 1)
    x = rows.astype(np.uint64) & mask
    for turn in range(3):
        key = seed_from("product id", GENERATOR, seed, turn)
        x = (x * np.uint64((key | 1) & int(mask)) + np.uint64(key >> 16)) & mask
        x ^= x >> np.uint64(23)
    out = np.empty((len(x), 10), dtype=np.uint8)
    letters = np.frombuffer(_ID_ALPHABET, dtype=np.uint8)
    base = np.uint64(len(_ID_ALPHABET))
    for column in range(9, 0, -1):
        out[:, column] = letters[(x % base).astype(np.int64)]
        x //= base
    first = np.frombuffer(_FIRST_LETTERS, dtype=np.uint8)
    out[:, 0] = first[x.astype(np.int64)]
    return out.reshape(-1).view("S10")


def synthesize_rows(seed: int, start: int, stop: int) -> pl.DataFrame:
    """Products ``start`` to ``stop`` − 1 of the synthetic catalog, with the catalog's columns.

    Raises:
        ValueError: unless 0 <= start <= stop <= 2^48.
    """
    import polars as pl

    if not 0 <= start <= stop <= 1 << _ID_BITS:
        raise ValueError(f"rows {start} to {stop} are not a range within 0 to 2^48")
    t = _tables()
    draw = _Draw(seed)
    rows = np.arange(start, stop, dtype=np.int64)
    block = rows >> 3
    position = rows & 7
    pattern = _FAMILIES[draw.below("family", block, len(_FAMILIES))]
    leader_position = np.take_along_axis(pattern, position[:, None], 1)[:, 0]
    lead = (block << 3) + leader_position
    earlier = np.arange(8)[None, :] < position[:, None]
    rank = ((pattern == leader_position[:, None]) & earlier).sum(axis=1)

    department = draw.below("department", lead, len(t.department_categories.size))
    within = draw.below("category", lead, t.department_categories.size[department])
    cat = t.department_rows[t.department_categories.start[department] + within]
    group = t.group[cat]

    def pick(pools: _Pools, key: np.ndarray, purpose: str) -> np.ndarray:
        return pools.start[key] + draw.below(purpose, lead, pools.size[key])

    brand = t.brands.start[group] + draw.skewed("brand", lead, t.brands.size[group])
    model = draw.below("model", lead, len(t.models))
    series = pick(t.series, group, "series")

    # Typed attributes: positions in the flat pools, −1 where they do not apply.
    twin_of = t.twin_flat[pick(t.twin, cat, "twin")]
    codes: dict[str, np.ndarray] = {}
    for number, attribute in enumerate(ATTRIBUTES):
        pools = t.values[attribute]
        size = pools.size[cat]
        applies = size > 0
        at = draw.skewed("value " + attribute, lead, np.maximum(size, 1))
        at = np.where(twin_of == number, (at + rank) % np.maximum(size, 1), at)
        codes[attribute] = np.where(applies, pools.start[cat] + at, -1)

    store_pick = draw.below("store", lead, t.stores.size[group])
    store_pick = np.where(twin_of == -1, (store_pick + rank) % t.stores.size[group], store_pick)
    own_store = (draw.below("own store", lead, 100) < 30) & ((twin_of != -1) | (rank == 0))
    store_code = t.stores.start[group] + store_pick

    # Numbers, all in whole units.
    level = draw.below("price", lead, _LEVELS << 8)
    step, part = level >> 8, level & 255
    raw = t.price[cat, step] * (256 - part) + t.price[cat, step + 1] * part
    cents = raw // 256 * t.brand_level[brand] // 100
    twin_free = {}
    for attribute in (*NUMBER_ATTRIBUTES, "material", "size"):
        # Twins cost the same: they differ in one attribute, and price is one too.
        pools = t.values[attribute]
        at = draw.skewed("value " + attribute, lead, np.maximum(pools.size[cat], 1))
        twin_free[attribute] = np.where(pools.size[cat] > 0, pools.start[cat] + at, -1)
        offset = t.offset[attribute]
        factor = np.where(
            twin_free[attribute] >= 0, t.value_level[twin_free[attribute] + offset], 100
        )
        cents = cents * factor // 100
    cents = np.clip(cents, t.price[cat, 0], t.price[cat, -1])
    ending = np.array([99, 99, 99, 99, 95, 49, 0, 98], dtype=np.int64)
    ending = ending[draw.below("ending", lead, 8)]
    dollars = cents // 100
    # Dear things cost a round 5 dollars less a cent, or not less.
    round_price = dollars // 5 * 500 - (ending != 0)
    price = np.maximum(np.where(dollars >= 300, round_price, dollars * 100 + ending), 99)
    rating = t.rating[draw.below("rating", lead, 1024)]
    count = t.count[draw.below("count", lead, 1024)]
    wobble = draw.below("wobble", lead, 200)
    count = np.maximum(1, count * (900 + wobble) // 1000)
    few = count < 8
    rating = np.where(few & (draw.below("few", lead, 3) == 0), 50, rating)
    span = t.ship_span[cat] + 1
    ship = t.ship_low[cat] + draw.skewed("ship", lead, span)
    late = draw.below("late", lead, 12) == 0
    ship = np.minimum(14, np.where(late, ship + 3 + draw.below("later", lead, 5), ship))

    ids = product_ids(rows, seed)
    keys = forms.product_keys(ids)
    stock = forms.stocks(keys).sum(axis=1)

    weight_level = draw.below("weight", lead, _LEVELS + 1)
    tenths = t.weight[cat, weight_level]

    def text(pool: Sequence[str], at: np.ndarray) -> pl.Series:
        return pl.Series(pool, dtype=pl.String).gather(at)

    def value_text(attribute: str) -> pl.Series:
        at = codes[attribute]
        pool = pl.Series([*t.values[attribute].flat, None], dtype=pl.String)
        return pool.gather(np.where(at >= 0, at, len(pool) - 1))

    def value_number(attribute: str) -> pl.Series:
        at = codes[attribute]
        pool = np.array([*t.values[attribute].flat, np.nan], dtype=np.float64)
        number = pool[at]
        if attribute == "weight_lbs":
            number = np.where(t.has_weight[cat] & (at < 0), tenths / 10.0, number)
        return pl.Series(number).fill_nan(None)

    # What a title and the features state, besides names.
    matrix = np.stack([np.where(codes[a] >= 0, codes[a] + t.offset[a], -1) for a in ATTRIBUTES])
    first = draw.below("states", lead, t.statable.size[cat])
    second = (first + 1 + draw.below("states too", lead, 3)) % t.statable.size[cat]
    attribute_1 = t.statable_flat[t.statable.start[cat] + first]
    attribute_2 = t.statable_flat[t.statable.start[cat] + second]
    here = np.arange(len(rows))
    said_1 = np.where(attribute_1 >= 0, matrix[attribute_1, here], -1)
    said_2 = np.where(attribute_2 >= 0, matrix[attribute_2, here], -1)
    style = draw.below("style", lead, 8)
    silent = len(t.said)
    show_1 = np.where((said_1 >= 0) & (style != 7), said_1, silent)
    show_2 = np.where((said_2 >= 0) & (second != first) & (style % 2 == 0), said_2, silent)

    names = text(t.brands.flat, brand)
    model_names = text(t.models, model) + " " + text(t.series.flat, series)
    adjective = pick(t.adjectives, cat, "adjective")
    extra = pick(t.extras, cat, "extra")
    with_adjective = np.isin(style, [0, 1, 3, 5, 7])
    with_extra = np.isin(style, [2, 6])  # not both: "foldable … with Foldable Plug"
    spaced = [" " + a for a in t.adjectives.flat] + [""]
    said = [", " + s for s in t.said] + [""]
    extras = [" " + e if e else "" for e in t.extras.flat] + [""]
    parts = {
        "brand": names,
        "model": model_names,
        "adjective": text(spaced, np.where(with_adjective, adjective, len(spaced) - 1)),
        "noun": text(t.titles.flat, pick(t.titles, cat, "noun")),
        "extra": text(extras, np.where(with_extra, extra, len(extras) - 1)),
        "said_1": text(said, show_1),
        "said_2": text(said, show_2),
    }
    title = pl.DataFrame(parts).select(
        pl.format("{} {}{} {}{}{}{}", *(pl.col(name) for name in parts)).alias("title")
    )["title"]

    # Features: three of the category, one of an attribute, one of the group.
    feature = draw.below("feature", lead, t.features.size[cat])
    lines = []
    for k in range(3):
        at = t.features.start[cat] + (feature + k) % t.features.size[cat]
        lines.append(text(t.features.flat, at))
    third = t.features.start[cat] + (feature + 3) % t.features.size[cat]
    stated = text([*t.said_lower, ""], np.where(said_1 >= 0, said_1, silent))
    spare = text(t.features.flat, third)
    fact = pl.select(pl.when(stated == "").then(spare).otherwise(stated)).to_series()
    habit = text(t.group_features.flat, pick(t.group_features, group, "habit"))
    features = pl.DataFrame(
        {"a": lines[0], "b": fact, "c": lines[1], "d": lines[2], "e": habit}
    ).select(pl.concat_list("a", "b", "c", "d", "e").alias("features"))["features"]

    kind = text(t.kinds.flat, adjective)
    use = text(t.uses, cat)
    closing = text(t.closings.flat, pick(t.closings, group, "closing"))
    sentence = pl.DataFrame(
        {"brand": names, "model": model_names, "kind": kind, "use": use, "closing": closing}
    ).with_columns(
        tell=lines[0],
        more=lines[2],
        form=pl.Series(draw.below("tale", lead, 4)),
    )
    tale = (
        pl.when(pl.col("form") == 0)
        .then(
            pl.format(
                "The {} {} is {} {}. {}. {}", "brand", "model", "kind", "use", "tell", "closing"
            )
        )
        .when(pl.col("form") == 1)
        .then(
            pl.format(
                "{} made the {} to be {} {}. {}. {}. {}",
                *("brand", "model", "kind", "use", "tell", "more", "closing"),
            )
        )
        .when(pl.col("form") == 2)
        .then(
            pl.format(
                "Looking for {} {}? Then look at the {} {}. {}. {}",
                *("kind", "use", "brand", "model", "more", "closing"),
            )
        )
        .otherwise(
            pl.format(
                "Meet the {} from {}, {} {}. {}. {}",
                *("model", "brand", "kind", "use", "more", "closing"),
            )
        )
    )
    description = sentence.select(tale.alias("description"))["description"]

    store = text(t.stores.flat, store_code)
    store = pl.select(
        pl.when(pl.Series(own_store)).then(names + " Store").otherwise(store)
    ).to_series()
    columns: dict[str, Any] = {
        "product_id": _strings(ids),
        "title": title,
        "description": description,
        "department": text([c.department for c in t.categories], cat),
        "category": text([c.name for c in t.categories], cat),
        "brand": names,
        "store": store,
        "price_cents": pl.Series(price, dtype=pl.Int64),
        "rating": pl.Series(rating / 10.0, dtype=pl.Float64),
        "rating_count": pl.Series(count, dtype=pl.Int64),
        "ship_days": pl.Series(ship, dtype=pl.Int64),
        "stock": pl.Series(stock, dtype=pl.Int64),
        "features": features,
    }
    for attribute in TEXT_ATTRIBUTES:
        columns[attribute] = value_text(attribute)
    for attribute in NUMBER_ATTRIBUTES:
        columns[attribute] = value_number(attribute)
    columns["varies_by"] = text(list(ATTRIBUTES), t.varies[cat])
    return pl.DataFrame(columns)


def _strings(fixed: np.ndarray) -> pl.Series:
    import polars as pl
    import pyarrow as pa

    width = fixed.dtype.itemsize
    offsets = np.arange(len(fixed) + 1, dtype=np.int64) * width
    array = pa.LargeStringArray.from_buffers(
        len(fixed), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(fixed))
    )
    return pl.Series(pl.from_arrow(array))


def synthesize(size: int, seed: int = 0, shard: int = SHARD) -> Iterator[pl.DataFrame]:
    """The synthetic catalog of ``size`` products, ``shard`` rows at a time."""
    if size < 1:
        raise ValueError(f"a catalog needs at least one product, got size {size}")
    for start in range(0, size, shard):
        yield synthesize_rows(seed, start, min(size, start + shard))


def synthetic_manifest(size: int, seed: int = 0, name: str | None = None) -> dict[str, Any]:
    """The manifest entries that go with :func:`synthesize`: source, nouns, variant rules."""
    taxonomy = load_taxonomy()
    return {
        "name": name or f"synthetic-{size}-s{seed}",
        "source": {"kind": "synthetic", "generator": GENERATOR, "seed": seed, "size": size},
        "naming": "brand model2",
        "nouns": {c.name: list(c.nouns) for c in taxonomy.categories.values()},
        "groups": {d: taxonomy.groups[g].policy for d, g in taxonomy.departments.items()},
        "labels": dict(taxonomy.labels),
        "variant_rules": {
            c.name: [{"attribute": a, "values": list(c.values[a])} for a in c.varies[:1]]
            for c in taxonomy.categories.values()
        },
    }
