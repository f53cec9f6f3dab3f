"""What every importer shares: the row being built, and the passage from rows to frames.

An import reads its source once. Rows are parsed into drafts and spilled to a temporary folder
in chunks; what needs the whole file (duplicates, which category level has enough products, the
prices that a fill is drawn from) is computed from a few narrow columns; the chunks then come
back, are completed, and go out as frames. Memory is bounded by a chunk and by the narrow
columns (about 60 bytes a product).
"""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ecomkit.catalog import naming
from ecomkit.catalog import variants as forms
from ecomkit.catalog.importers import parsing as p
from ecomkit.catalog.importers.report import ImportReport, Kind
from ecomkit.core.errors import ImportProblem, UnknownName
from ecomkit.core.records import NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES, words
from ecomkit.core.seeds import mix64, seed_from

if TYPE_CHECKING:
    import polars as pl

CHUNK = 20_000
"""Rows held at a time."""

OTHER = "Other"
"""Department and category of products that state none."""

CHOICE = "variants"
"""In the caller's table: whether a product that comes in no variants gets a colour to choose."""

FILLABLE: tuple[str, ...] = (
    "category",
    "brand",
    "store",
    "price_cents",
    "rating",
    "rating_count",
    "ship_days",
    "stock",
)
"""Fields that every product must have and that a source may lack."""

DRAFT_FIELDS: tuple[str, ...] = (
    "product_id",
    "title",
    "description",
    "path",
    "brand",
    "store",
    "price_cents",
    "rating",
    "rating_count",
    "ship_days",
    "stock",
    "features",
    *TEXT_ATTRIBUTES,
    *NUMBER_ATTRIBUTES,
    "variants",
    "filled_fields",
    "place",
)

Progress = Callable[[str, int, "int | None"], None]
"""Called with the stage ('reading', 'writing'), rows done, and the total where it is known."""


def column_types() -> dict[str, Any]:
    """The polars types of the columns that an import yields, in order."""
    import polars as pl

    types: dict[str, Any] = dict.fromkeys(
        ("product_id", "title", "description", "department", "category", "brand", "store"),
        pl.String,
    )
    types["price_cents"] = pl.Int64
    types["rating"] = pl.Float64
    types |= dict.fromkeys(("rating_count", "ship_days", "stock"), pl.Int64)
    types["features"] = pl.List(pl.String)
    types |= dict.fromkeys(TEXT_ATTRIBUTES, pl.String)
    types |= dict.fromkeys(NUMBER_ATTRIBUTES, pl.Float64)
    types["variants"] = variants_type()
    types["filled_fields"] = pl.List(pl.String)
    return types


def variants_type() -> Any:
    """Native variants: id, the attributes they state as (name, value) pairs, cents, units."""
    import polars as pl

    pair = pl.Struct({"name": pl.String, "value": pl.String})
    return pl.List(
        pl.Struct(
            {
                "variant_id": pl.String,
                "attributes": pl.List(pair),
                "price_cents": pl.Int64,
                "stock": pl.Int64,
            }
        )
    )


def _draft_types() -> dict[str, Any]:
    import polars as pl

    types = column_types()
    types["path"] = pl.List(pl.String)
    types["place"] = pl.String
    return {name: types[name] for name in DRAFT_FIELDS}


def lists_of(values: Sequence[Sequence[str] | None]) -> pl.Series:
    """A column of lists of text; Arrow builds one ten times as fast as polars."""
    import polars as pl
    import pyarrow as pa

    return pl.Series(pl.from_arrow(pa.array(values, type=pa.large_list(pa.large_string()))))


class Draft:
    """One row being read: values by field, with every doubt noted in the report.

    ``seen`` is shared by all rows of an import, for a format that has a second key.
    """

    __slots__ = ("place", "report", "seen", "values")

    def __init__(self, place: str, report: ImportReport, seen: set[str] | None = None) -> None:
        self.place = place
        self.report = report
        self.seen = set() if seen is None else seen
        self.values: dict[str, Any] = {}

    def note(self, kind: Kind, name: str, reason: str, value: Any = "") -> None:
        """Count ``reason`` for ``name`` at this row."""
        self.report.note(kind, name, reason, self.place, value)

    def take(self, name: str, reading: p.Reading, raw: Any) -> Any:
        """Keep a reading; a reason is counted as adjusted, or as ignored if no value came."""
        if reading.value is not None:
            self.values[name] = reading.value
            if reading.reason:
                self.note("adjusted", name, reading.reason, raw)
        elif not reading.missing:
            self.note("ignored", name, reading.reason, raw)
        return reading.value

    def take_id(self, raw: Any, name: str = "product_id") -> bool:
        """Keep the product id, or count the row as dropped and return False."""
        text = ""
        if isinstance(raw, str):
            text = p.clean_text(raw)
        elif isinstance(raw, int) and not isinstance(raw, bool):
            text = str(raw) if abs(raw) < 10**30 else ""
        elif isinstance(raw, float) and raw == raw and raw.is_integer() and abs(raw) < 2**53:
            text = str(int(raw))
        if p.is_nothing(text):
            reason = "no id" if p.is_nothing(raw) else "id is not text or a whole number"
            self.note("dropped", name, reason, raw)
            return False
        if len(text) > 64:
            self.note("dropped", name, "id longer than 64 characters", raw)
            return False
        self.values["product_id"] = text
        return True

    def take_title(self, raw: Any) -> bool:
        """Keep the title, or count the row as dropped and return False."""
        text = p.clean_text(raw)
        if p.is_nothing(text) or not any(c.isalnum() for c in text):
            reason = (
                "no title" if isinstance(raw, str) or p.is_nothing(raw) else "title is not text"
            )
            self.note("dropped", "title", reason, raw)
            return False
        if len(text) > p.MAX_TITLE:
            self.note("adjusted", "title", f"cut to {p.MAX_TITLE} characters")
            text = p.cut(text, p.MAX_TITLE)
        self.values["title"] = text
        return True

    def take_description(self, raw: Any) -> None:
        """Keep a description from text or from a list of texts."""
        if isinstance(raw, (list, tuple)):
            text = " ".join(filter(None, (p.clean_text(part) for part in raw)))
        else:
            text = "" if p.is_nothing(raw) else p.clean_text(raw)
            if not text and not p.is_nothing(raw) and not isinstance(raw, str):
                self.note("ignored", "description", f"{type(raw).__name__}, not text", raw)
        if len(text) > p.MAX_DESCRIPTION:
            self.note("adjusted", "description", f"cut to {p.MAX_DESCRIPTION:,} characters")
            text = p.cut(text, p.MAX_DESCRIPTION)
        self.values["description"] = text

    def take_features(self, parts: Iterable[Any]) -> None:
        """Keep feature lines: cleaned, without repeats, at most 20 of at most 500 characters."""
        lines: list[str] = []
        for part in parts:
            text = p.clean_text(part)
            if len(text) > p.MAX_FEATURE:
                self.note("adjusted", "features", f"a line cut to {p.MAX_FEATURE} characters")
                text = p.cut(text, p.MAX_FEATURE)
            if text and text not in lines:
                lines.append(text)
        if len(lines) > p.MAX_FEATURES:
            self.note("adjusted", "features", f"only the first {p.MAX_FEATURES} kept")
        self.values["features"] = lines[: p.MAX_FEATURES]

    def take_attribute(self, name: str, raw: Any, unit: str | None = None) -> None:
        """Keep one of the 11 typed attributes, in the catalog's spelling and unit."""
        if name in NUMBER_ATTRIBUTES:
            self.take(name, p.parse_measure(raw, name, unit), raw)
            return
        value = self.take(name, p.parse_text(raw), raw)
        if value is not None:
            self.values[name] = spelled(name, value)


def spelled(attribute: str, text: str) -> str:
    """The catalog's spelling: lower case ('navy blue'), except sizes, connectors, and short
    words in capitals such as PVC."""
    if attribute in ("size", "connector_type"):
        return text
    if attribute == "age_range":
        return p.tidy_age(text).lower()
    if attribute != "color" and len(text) <= 4 and text.isupper():
        return text
    return text.lower()


# --- what the caller says of missing values ----------------------------------------------------


def missing_rule(missing: str | Mapping[str, str]) -> dict[str, str]:
    """'fill' or 'drop' for each fillable field, from one word or from a table with an optional
    '*' entry for the rest (fill). Under 'variants' the words mean: give products without
    variants a colour to choose by, or leave them in one form.

    Raises:
        UnknownName: for another word or field.
    """
    table = {"*": missing} if isinstance(missing, str) else dict(missing)
    for name, word in table.items():
        if name not in ("*", CHOICE, *FILLABLE):
            raise UnknownName("fillable field", name, (*FILLABLE, CHOICE, "*"))
        if word not in ("fill", "drop"):
            raise UnknownName("treatment of missing values", word, ("fill", "drop"))
    return {name: table.get(name, table.get("*", "fill")) for name in (*FILLABLE, CHOICE)}


# --- pass 1 ------------------------------------------------------------------------------------


def frames_of(
    drafts: Iterable[Draft | None],
    report: ImportReport,
    rule: Mapping[str, str],
    *,
    derived: Sequence[str] = (),
    fixed_categories: bool = False,
    total: int | None = None,
    progress: Progress | None = None,
    chunk: int = CHUNK,
) -> Iterator[pl.DataFrame]:
    """Complete drafts into catalog frames; the passage shared by all importers.

    The source is read to its end before this returns; the frames are then made one by one.

    Args:
        drafts: one per row; None for a row that was dropped (and counted).
        rule: 'fill' or 'drop' by field, of :func:`missing_rule`.
        derived: fields that the source has no column for, although some rows may state them
            elsewhere: missing ones are filled even under 'drop', which would leave no row.
        fixed_categories: take the path's two levels as department and category as they stand.

    Raises:
        ImportProblem: when no row is left.
    """
    folder = Path(tempfile.mkdtemp(prefix="ecomkit-import-"))
    try:
        choice = rule[CHOICE] == "fill"
        files = _spill(drafts, folder, report, choice, total, progress, chunk)
        if not files:
            raise ImportProblem(_nothing_left(report))
        plan = _plan(files, report, rule, derived, fixed_categories)
        if not plan.keep.any():
            raise ImportProblem(_nothing_left(report))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    report.variant_rules = _variant_rules(files, plan)
    out = _finish(files, plan, report, progress)
    # A generator that is never started runs no `finally`: this removes the folder either way.
    weakref.finalize(out, shutil.rmtree, folder, True)
    return out


def _finish(
    files: Sequence[Path], plan: _Plan, report: ImportReport, progress: Progress | None
) -> Iterator[pl.DataFrame]:
    import polars as pl

    left = int(plan.keep.sum())
    start = 0
    for file in files:
        frame = pl.read_ipc(file)
        stop = start + frame.height
        part = plan.keep[start:stop]
        out = _complete(frame.filter(pl.Series(part)), plan, start, part, report)
        start = stop
        file.unlink()
        if out.height:
            report.rows_written += out.height
            if progress:
                progress("writing", report.rows_written, left)
            yield out
    report.finished = True


def _nothing_left(report: ImportReport) -> str:
    why = sorted(
        (
            (n, f"{field}: {reason}")
            for field, t in report.dropped.items()
            for reason, n in t.items()
        ),
        reverse=True,
    )
    causes = "; ".join(f"{n:,} × {text}" for n, text in why[:4]) or "it holds no rows"
    return f"{report.source!r} gave no product ({report.rows_read:,} rows read; {causes})"


def _spill(
    drafts: Iterable[Draft | None],
    folder: Path,
    report: ImportReport,
    choice: bool,
    total: int | None,
    progress: Progress | None,
    chunk: int,
) -> list[Path]:
    import polars as pl

    types = _draft_types()
    files: list[Path] = []
    columns: dict[str, list[Any]] = {name: [] for name in DRAFT_FIELDS}

    def flush() -> None:
        file = folder / f"{len(files):06d}.arrow"
        data = {
            name: lists_of(values) if types[name] == pl.List(pl.String) else values
            for name, values in columns.items()
        }
        pl.DataFrame(data, schema=types).write_ipc(file, compression="lz4")
        files.append(file)
        for values in columns.values():
            values.clear()

    done = 0
    for draft in drafts:
        done += 1
        if progress and done % 1000 == 0:
            progress("reading", done, total)
        if draft is None:
            continue
        values = draft.values
        if choice:
            _give_choice(values, report.seed)
        for name in DRAFT_FIELDS:
            columns[name].append(values.get(name))
        columns["place"][-1] = draft.place.encode("utf-8", "replace").decode("utf-8")
        if len(columns["place"]) >= chunk:
            flush()
    if columns["place"]:
        flush()
    if progress:
        progress("reading", done, done)
    return files


_COLOR_WORDS = frozenset(
    "black white gray grey navy red green beige blue pink purple yellow orange brown gold silver "
    "teal tan ivory clear multicolor multicolored rainbow turquoise bronze copper violet".split()
)


def _give_choice(values: dict[str, Any], seed: int) -> None:
    """A drawn colour for a product that comes in no variants and has nothing that may vary, so
    that an episode can ask for one; not where the title speaks of a colour."""
    if values.get("variants") or any(values.get(name) for name in forms.DEFAULT_PRIORITY):
        return
    if not _COLOR_WORDS.isdisjoint(words(values["title"])):
        return
    pool = forms.GENERIC_POOLS["color"]
    draw = draw_of(id_hashes([values["product_id"]], seed), "color")
    values["color"] = pool[int(draw[0] >> np.uint64(32)) * len(pool) >> 32]
    values["filled_fields"] = [*values.get("filled_fields", ()), "color"]


# --- between the passes ------------------------------------------------------------------------


class _Plan(NamedTuple):
    """Which rows stay (bool, one per draft), where each goes, and the prices to fill from."""

    keep: np.ndarray
    placed: Placement
    prices: Prices


def _plan(
    files: Sequence[Path],
    report: ImportReport,
    rule: Mapping[str, str],
    derived: Sequence[str],
    fixed_categories: bool,
) -> _Plan:
    import polars as pl

    light = pl.concat(
        [
            pl.read_ipc(file).select(
                "product_id",
                "place",
                pl.col("path").list.join("\x1f").alias("path"),
                "price_cents",
                *[
                    pl.col(name).is_not_null().alias(f"has_{name}")
                    for name in FILLABLE
                    if name not in ("category", "price_cents")
                ],
            )
            for file in files
        ]
    ).with_columns(
        has_category=pl.col("path").fill_null("") != "",
        has_price_cents=pl.col("price_cents").is_not_null(),
    )
    keep = light["product_id"].is_first_distinct().to_numpy().copy()
    doubles = light.filter(~pl.Series(keep))
    for place, name in doubles.select("place", "product_id").head(3).iter_rows():
        report.note("dropped", "product_id", "duplicate id (the first is kept)", place, name)
    if doubles.height > 3:
        report.note(
            "dropped", "product_id", "duplicate id (the first is kept)", count=doubles.height - 3
        )
    for name in FILLABLE:
        has = light[f"has_{name}"].to_numpy()
        if name == "store":
            has = has | light["has_brand"].to_numpy()
        if rule[name] != "drop":
            continue
        if name in derived or not has[keep].any():
            if not has[keep].all():
                report.notes.append(
                    f"{name}: the source has no such column, so missing ones are filled, "
                    "not dropped"
                )
            continue
        lost = keep & ~has
        count = int(lost.sum())
        if count:
            reason = "missing or unusable"
            for place in light.filter(pl.Series(lost))["place"].head(3):
                report.note("dropped", name, reason, place)
            if count > 3:
                report.note("dropped", name, reason, count=count - 3)
            keep &= has
    kept = light.filter(pl.Series(keep))
    paths = light["path"].fill_null("")
    placed = Placement(
        paths.to_list() if fixed_categories else paths, keep, report, fixed=fixed_categories
    )
    prices = Prices(
        placed.department[keep], placed.category[keep], kept["price_cents"].to_numpy(), placed
    )
    return _Plan(keep, placed, prices)


class Placement:
    """Department and category of every row, as codes into ``names``.

    The first level of a path is its department. A row's category is the deepest level of its
    path that holds enough products (a fiftieth of the catalog, at least 4 and at most 12);
    levels below that roll up into it. Departments with fewer than that go to 'Other', under
    their own name where they have at least 4. Names are unique over the catalog: where two
    levels share one, the parent's name follows in brackets.
    """

    def __init__(self, paths: Any, keep: np.ndarray, report: ImportReport, *, fixed: bool) -> None:
        import polars as pl

        series = pl.Series(paths, dtype=pl.String)
        uniques = series.unique(maintain_order=True)
        code_of = {path: i for i, path in enumerate(uniques)}
        codes = series.replace_strict(code_of, return_dtype=pl.Int64).to_numpy()
        counts = np.bincount(codes[keep], minlength=len(uniques))
        if fixed:
            pairs = [path.split("\x1f") for path in uniques]
            places = [(pair[0], pair[1]) if len(pair) > 1 else (OTHER, OTHER) for pair in pairs]
        else:
            places = _roll_up(list(uniques), counts.tolist(), report)
        self.names: list[str] = sorted({name for place in places for name in place})
        at = {name: i for i, name in enumerate(self.names)}
        self._department = np.array([at[d] for d, _ in places], dtype=np.int64)
        self._category = np.array([at[c] for _, c in places], dtype=np.int64)
        self.department = self._department[codes]
        self.category = self._category[codes]
        for code, count in enumerate(counts.tolist()):
            if count:
                department, category = places[code]
                report.departments[department] = report.departments.get(department, 0) + count
                report.categories[category] = report.categories.get(category, 0) + count


_AUDIENCES = frozenset(
    "men women boys girls baby kids unisex adults toddlers men's women's boys' girls'".split()
) | {"kids & baby", "baby boys", "baby girls", "men & women", "novelty & more"}
"""Levels that say for whom, not what: such a category is named after its parent."""


def _roll_up(
    paths: Sequence[str], counts: Sequence[int], report: ImportReport
) -> list[tuple[str, str]]:
    """(department, category) for each path, a text of levels joined by U+001F."""
    total = sum(counts)
    enough = max(4, min(12, total // 50))
    spellings: dict[tuple[str, ...], Counter[str]] = {}
    keys: list[tuple[str, ...]] = []
    for path, count in zip(paths, counts, strict=True):
        levels = [level for level in path.split("\x1f") if level] if path else []
        key: tuple[str, ...] = ()
        for level in levels:
            folded = level.casefold()
            if key and folded == key[-1]:
                continue
            key = (*key, folded)
            spellings.setdefault(key, Counter())[level] += count
        keys.append(key)
    label = {
        key: min(seen.items(), key=lambda kv: (-kv[1], kv[0]))[0] for key, seen in spellings.items()
    }

    own: Counter[tuple[str, ...]] = Counter()
    for key, count in zip(keys, counts, strict=True):
        own[key] += count
    target: dict[tuple[str, ...], tuple[str, ...]] = {}
    for key in sorted(spellings, key=lambda k: (-len(k), k)):
        if len(key) > 1 and own[key] < enough:
            target[key] = key[:-1]
            own[key[:-1]] += own[key]
            own[key] = 0

    def home(key: tuple[str, ...]) -> tuple[str, ...]:
        while key in target:
            key = target[key]
        return key

    sizes: Counter[tuple[str, ...]] = Counter()
    for key, count in own.items():
        if key:
            sizes[key[:1]] += count
    small = {key for key in sizes if sizes[key] < enough}
    if total and small == set(sizes) and sum(sizes.values()) < enough * 2:
        small = set()  # a handful of products: keep what little order there is
    nodes = sorted({home(key) for key in keys if key})
    names: dict[tuple[str, ...], tuple[str, str]] = {}
    others = {key[:1] for key in nodes if len(key) > 1 and own[key] > 0}
    for node in nodes:
        department = label[node[:1]]
        if node[:1] in small:
            tiny = sizes[node[:1]] < 4
            names[node] = (OTHER, OTHER if tiny else department)
        elif len(node) == 1:
            # What is left at the top of a department beside its real categories.
            names[node] = (department, f"{OTHER} {department}" if node in others else department)
        elif node[-1] in _AUDIENCES and len(node) > 2:
            names[node] = (department, f"{label[node[:-1]]} ({label[node]})")
        else:
            names[node] = (department, label[node])
    _make_unique(names, label)
    rolled = sum(c for key, c in zip(keys, counts, strict=True) if home(key) != key)
    if rolled:
        report.note(
            "adjusted",
            "category",
            f"rolled up to a level with at least {enough} products where there is one",
            count=rolled,
        )
    moved = sum(
        c for key, c in zip(keys, counts, strict=True) if key and home(key)[:1] in small and c
    )
    if moved:
        report.note(
            "adjusted",
            "department",
            f"fewer than {enough} products: moved to {OTHER!r}",
            count=moved,
        )
    return [names[home(key)] if key else (OTHER, OTHER) for key in keys]


def _make_unique(
    names: dict[tuple[str, ...], tuple[str, str]], label: Mapping[tuple[str, ...], str]
) -> None:
    """Give categories of one name in several places their parent's name in brackets."""
    for attempt in (1, 2):
        by_name: dict[str, set[tuple[str, str]]] = {OTHER.casefold(): {(OTHER, OTHER)}}
        holders: dict[str, list[tuple[str, ...]]] = {}
        for node, (department, category) in names.items():
            folded = category.casefold()
            merged = department == OTHER and category == OTHER
            by_name.setdefault(folded, set()).add(
                (OTHER, OTHER) if merged else (department, "\x1f".join(node))
            )
            if not merged:
                holders.setdefault(folded, []).append(node)
        for folded, places in by_name.items():
            if len(places) < 2:
                continue
            for node in holders.get(folded, ()):
                department, category = names[node]
                if attempt == 1 and len(node) > 1:
                    names[node] = (department, f"{label[node]} ({label[node[:-1]]})")
                elif attempt == 2:
                    whole = " > ".join(label[node[: i + 1]] for i in range(len(node)))
                    names[node] = (department, whole)


# --- what the catalog says of its categories ----------------------------------------------------

_MASS = frozenset(
    "accessories supplies electronics crafts arts sports goods clothing outdoors".split()
)
_LETTER_SIZES = frozenset(
    "xs s m l xl xxl x-small small medium large x-large xx-large one size".split()
)
_WORD_SIZES = ("X-Small", "Small", "Medium", "Large", "X-Large")


def nouns_for(category: str) -> tuple[str, str]:
    """What a customer would call one, and several, of a category's products.

    'Dolls & Accessories' → 'doll', 'Baby & Toddler Toys' → 'baby and toddler toy', 'Learning &
    Education' → 'learning and education item', 'Costumes (Girls)' → 'costume'.
    """
    return _noun_choices(category)[0]


def category_nouns(categories: Iterable[str]) -> dict[str, list[str]]:
    """:func:`nouns_for` of all categories of a catalog, no two with a noun in common: where the
    short form is taken, a longer one serves ('girls costume', 'teddy bear')."""
    out: dict[str, list[str]] = {}
    taken: set[str] = set()
    for category in sorted(categories, key=lambda c: (" (" in c, c.startswith(f"{OTHER} "), c)):
        for one, many in _noun_choices(category):
            if one not in taken and many not in taken:
                break
        else:
            one, many = f"{category.casefold()} item", f"{category.casefold()} items"
        taken |= {one, many}
        out[category] = [one, many]
    return {category: out[category] for category in sorted(out)}


def _noun_choices(category: str) -> list[tuple[str, str]]:
    """Nouns for a category, the shortest first, the last one its whole name."""
    # A noun is spoken and must be heard: words and spaces only.
    spoken = re.sub(r"[^\w\s,>()-]", "", category.replace("&", " and ").replace("/", " or "))
    name, _, bracket = " ".join(spoken.split()).partition(" (")
    text = name.rpartition(" > ")[2].casefold()
    left_over = text.startswith(f"{OTHER.casefold()} ")
    text = text.removeprefix(f"{OTHER.casefold()} ").strip()
    if not text or text == OTHER.casefold():
        return [("item", "items"), ("other item", "other items")]
    parts = [part for part in re.split(r"\s*(?:,|&|\band\b)\s*", text) if part]
    phrases = [text]
    last = parts[0].split()[-1] if parts else ""
    if len(parts) > 1 and last.endswith("s") and last not in _MASS and last[-2:] != "ss":
        phrases = [*parts, text]
    elif "," in text:
        phrases = [parts[0], text]
    short, whole = _counted(phrases[0]), _counted(text)
    found = [short]
    for who in [bracket.rstrip(")").casefold()] if bracket else []:
        found += [(f"{who} {one}", f"{who} {many}") for one, many in (short, whole)]
    found += [_counted(part) for part in phrases[1:] if part.split()[-1] not in _MASS]
    if left_over:
        found += [
            (f"{OTHER.casefold()} {one}", f"{OTHER.casefold()} {many}") for one, many in found
        ]
    choices = [*found, whole, (f"{text} item", f"{text} items")]
    return [(one.replace(",", ""), many.replace(",", "")) for one, many in choices]


def _counted(phrase: str) -> tuple[str, str]:
    """One and several of a phrase in the plural; 'item' is added to what cannot be counted."""
    head = phrase.split()[-1]
    if head not in _MASS:
        one = "game" if head == "games" else naming.singular(head)
        if one != head:
            return f"{phrase[: len(phrase) - len(head)]}{one}", phrase
        if head.endswith("s") and not head.endswith("ss"):
            return phrase, phrase
    return f"{phrase} item", f"{phrase} items"


def _variant_rules(files: Sequence[Path], plan: _Plan) -> dict[str, list[dict[str, Any]]]:
    """What the products of each category may vary by, with up to eight values: the category's
    own, most common first, and for colours and letter sizes those of a general list."""
    import polars as pl

    names = plan.placed.names
    codes = plan.placed.category[plan.keep]
    rules: dict[str, list[dict[str, Any]]] = {}
    for attribute in forms.DEFAULT_PRIORITY:
        values = pl.concat(
            [pl.scan_ipc(file).select(pl.col(attribute).alias("value")).collect() for file in files]
        ).filter(pl.Series(plan.keep))
        counted = (
            values.with_columns(code=pl.Series(codes), folded=pl.col("value").str.to_lowercase())
            .drop_nulls("value")
            .group_by("code", "folded")
            .agg(pl.col("value").min(), pl.len().alias("n"))
            .sort("code", "n", "folded", descending=[False, True, False])
        )
        for (code,), group in counted.group_by("code", maintain_order=True):
            known = [v for v in group["value"].head(8) if len(v) <= 40]
            general: Sequence[str] = ()
            if attribute == "color":
                general = forms.GENERIC_POOLS["color"]
            elif attribute == "size" and all(v.casefold() in _LETTER_SIZES for v in known):
                general = _WORD_SIZES if len(known[0]) > 3 else forms.GENERIC_POOLS["size"]
            have = {v.casefold() for v in known}
            known += [v for v in general if v.casefold() not in have][: max(0, 6 - len(known))]
            if len(known) >= 3:
                rules.setdefault(names[int(code)], []).append(
                    {"attribute": attribute, "values": known}
                )
    return {category: rules[category] for category in sorted(rules)}


# --- the seeded fill ---------------------------------------------------------------------------

_STEPS = 32
_ENOUGH_PRICES = 8
_DEFAULT_PRICES = (599, 899, 1199, 1499, 1799, 2199, 2599, 3499, 4999, 7999)
_RATINGS = tuple(
    (tenths, weight)
    for tenths, weight in zip(
        range(30, 51),
        (1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 17, 16, 13, 9, 6, 3, 2),
        strict=True,
    )
)
_SHIP = ((0, 1), (1, 4), (2, 8), (3, 8), (4, 6), (5, 5), (6, 3), (7, 3), (8, 1), (10, 1), (14, 1))
_BRAND_HEADS = (
    "Alder",
    "Brook",
    "Cinder",
    "Dune",
    "Elm",
    "Fern",
    "Grove",
    "Hollow",
    "Iris",
    "Juni",
)
_BRAND_TAILS = ("by", "cot", "dale", "field", "gate", "lane", "mere", "ridge", "stead", "wick")


class Prices:
    """Quantiles of the known prices by category, department and catalog, in whole cents."""

    def __init__(
        self, department: np.ndarray, category: np.ndarray, cents: np.ndarray, placed: Placement
    ) -> None:
        cents = cents.astype(np.float64)
        known = ~np.isnan(cents)
        cents = cents[known].astype(np.int64)
        self.tables = [_quantiles(np.array(_DEFAULT_PRICES))]
        self.why = ["drawn from a general price table"]
        whole = 0
        if len(cents) >= _ENOUGH_PRICES:
            whole = self._add(cents, "drawn from the catalog's prices")
        n = len(placed.names)
        by_department = np.full(n, whole, dtype=np.int64)
        by_category = np.full(n, -1, dtype=np.int64)
        for codes, table, why in (
            (department[known], by_department, "drawn from the department's prices"),
            (category[known], by_category, "drawn from the category's prices"),
        ):
            order = np.argsort(codes, kind="stable")
            sorted_codes, sorted_cents = codes[order], cents[order]
            edges = [*np.flatnonzero(np.diff(sorted_codes, prepend=-1)).tolist(), len(codes)]
            for start, stop in itertools.pairwise(edges):
                if stop - start >= _ENOUGH_PRICES:
                    table[sorted_codes[start]] = self._add(sorted_cents[start:stop], why)
        self.by_department = by_department
        self.by_category = by_category

    def _add(self, cents: np.ndarray, why: str) -> int:
        self.tables.append(_quantiles(cents))
        self.why.append(why)
        return len(self.tables) - 1

    def draw(
        self, department: np.ndarray, category: np.ndarray, h: np.ndarray
    ) -> tuple[np.ndarray, list[str]]:
        """Prices in cents ending in 99, and where each was drawn from."""
        choice = self.by_category[category]
        choice = np.where(choice >= 0, choice, self.by_department[department])
        grid = np.array(self.tables, dtype=np.int64)[choice]
        step = ((h >> np.uint64(32)) * np.uint64(_STEPS) >> np.uint64(32)).astype(np.int64)
        part = ((h & np.uint64(0xFFFFFFFF)) >> np.uint64(16)).astype(np.int64)
        rows = np.arange(len(h))
        low, high = grid[rows, step], grid[rows, step + 1]
        cents = low + ((high - low) * part >> 16)
        return cents // 100 * 100 + 99, [self.why[i] for i in choice]


def _quantiles(cents: np.ndarray) -> list[int]:
    """33 order statistics between the 5th and the 95th percentile."""
    ordered = np.sort(cents)
    last = len(ordered) - 1
    return [int(ordered[last * (5 * _STEPS + 90 * i) // (100 * _STEPS)]) for i in range(_STEPS + 1)]


def id_hashes(ids: Iterable[str], seed: int) -> np.ndarray:
    """uint64 of shape (n,): what all fills of a product are drawn from."""
    key = seed.to_bytes(16, "big", signed=True)
    return np.fromiter(
        (
            int.from_bytes(blake2b(i.encode("utf-8"), digest_size=8, key=key).digest(), "big")
            for i in ids
        ),
        dtype=np.uint64,
    )


def draw_of(hashes: np.ndarray, field: str) -> np.ndarray:
    """An independent uint64 draw for a field from the products' hashes."""
    return mix64(hashes ^ np.uint64(seed_from("import", field)))


def _weighted(h: np.ndarray, table: Sequence[tuple[int, int]]) -> np.ndarray:
    flat = np.array([value for value, weight in table for _ in range(weight)], dtype=np.int64)
    return flat[((h >> np.uint64(32)) * np.uint64(len(flat)) >> np.uint64(32)).astype(np.int64)]


def fill_stock(h: np.ndarray) -> np.ndarray:
    """5 to 60 units."""
    return 5 + ((h >> np.uint64(32)) * np.uint64(56) >> np.uint64(32)).astype(np.int64)


def fill_brand(h: np.ndarray) -> list[str]:
    """One of 100 invented names."""
    at = ((h >> np.uint64(32)) * np.uint64(100) >> np.uint64(32)).astype(np.int64).tolist()
    return [_BRAND_HEADS[i // 10] + _BRAND_TAILS[i % 10] for i in at]


def _fill_count(h: np.ndarray) -> np.ndarray:
    """1 to 4,095 ratings, each power of two as likely."""
    power = ((h >> np.uint64(32)) * np.uint64(12) >> np.uint64(32)).astype(np.int64)
    span = np.left_shift(np.int64(1), power)
    return span + (h & np.uint64(0xFFF)).astype(np.int64) % span


def _complete(
    frame: pl.DataFrame, plan: _Plan, start: int, part: np.ndarray, report: ImportReport
) -> pl.DataFrame:
    """The finished rows of one chunk, in the catalog's columns."""
    import polars as pl

    placed, prices = plan.placed, plan.prices
    n = frame.height
    department = placed.department[start : start + len(part)][part]
    category = placed.category[start : start + len(part)][part]
    names = np.array(placed.names, dtype=object)
    hashes = id_hashes(frame["product_id"], report.seed)
    filled: list[list[str]] = [list(given or ()) for given in frame["filled_fields"].to_list()]
    native = [bool(given) for given in filled]
    out: dict[str, Any] = {
        name: frame[name] for name in ("product_id", "title", *TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES)
    }
    out["description"] = frame["description"].fill_null("")
    out["department"] = pl.Series(names[department].tolist(), dtype=pl.String)
    out["category"] = pl.Series(names[category].tolist(), dtype=pl.String)
    out["features"] = frame["features"].fill_null(pl.lit([], dtype=pl.List(pl.String)))
    out["variants"] = frame["variants"]

    def mark(name: str, rows: np.ndarray, reasons: Sequence[str] | str) -> None:
        counted = {reasons: len(rows)} if isinstance(reasons, str) else Counter(reasons)
        for reason, count in counted.items():
            if count:
                report.note("filled", name, reason, count=count)
        for row in rows.tolist():
            filled[row].append(name)

    def stated(name: str, missing: np.ndarray) -> None:
        report.stated[name] = report.stated.get(name, 0) + n - len(missing)

    nowhere = np.flatnonzero((frame["path"].list.len().fill_null(0) == 0).to_numpy())
    mark("category", nowhere, f"{OTHER!r}: the row states none")
    for row in nowhere.tolist():
        filled[row].append("department")
    stated("category", nowhere)

    def fill(name: str, draw: Callable[[np.ndarray], tuple[Any, Sequence[str] | str]]) -> None:
        column = frame[name]
        rows = np.flatnonzero(column.is_null().to_numpy())
        if len(rows):
            values, why = draw(rows)
            column = column.scatter(rows, pl.Series(values, dtype=column.dtype))
            mark(name, rows, why)
        stated(name, rows)
        out[name] = column

    fill("brand", lambda r: (fill_brand(draw_of(hashes[r], "brand")), "an invented name"))
    brands = out["brand"]
    fill("store", lambda r: (brands.gather(r).to_list(), "the brand's name"))
    fill(
        "price_cents",
        lambda r: prices.draw(department[r], category[r], draw_of(hashes[r], "price_cents")),
    )
    fill(
        "rating",
        lambda r: (_weighted(draw_of(hashes[r], "rating"), _RATINGS) / 10.0, "drawn, 3.0 to 5.0"),
    )
    fill(
        "rating_count",
        lambda r: (_fill_count(draw_of(hashes[r], "rating_count")), "drawn, 1 to 4,095"),
    )
    fill(
        "ship_days",
        lambda r: (_weighted(draw_of(hashes[r], "ship_days"), _SHIP), "drawn, 0 to 14 days"),
    )
    fill("stock", lambda r: (fill_stock(draw_of(hashes[r], "stock")), "drawn, 5 to 60 units"))
    colored = sum("color" in fields for fields in filled)
    if colored:
        report.note("filled", "color", "one to choose by: nothing else varies", count=colored)
    order = {name: i for i, name in enumerate(column_types())}
    for row, fields in enumerate(filled):
        if len(fields) > 1 or native[row]:
            filled[row] = sorted(set(fields), key=order.__getitem__)
    types = column_types()
    out["filled_fields"] = lists_of(filled)
    for name in (*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES, "description", "features"):
        if name in TEXT_ATTRIBUTES or name in NUMBER_ATTRIBUTES:
            known = n - out[name].null_count() - (colored if name == "color" else 0)
            report.stated[name] = report.stated.get(name, 0) + known
    if frame["variants"].null_count() < n:
        report.native_variants += int(frame["variants"].list.len().sum() or 0)
    return pl.DataFrame({name: out[name] for name in types}, schema=types)
