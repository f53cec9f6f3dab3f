"""The catalog on disk and in memory.

A catalog is a folder: ``manifest.json``, a minimal ``README.md`` (so that ``load_dataset`` opens
it) and ``data/*.parquet``. Beside them ``.cache/`` holds the same rows as plain arrays that are
memory-mapped: opening costs milliseconds and one product costs microseconds, whatever the size.
The cache is made again from the parquet files when it is missing or stale; where the folder is
read-only it lives in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecomkit.catalog import naming
from ecomkit.catalog import variants as forms
from ecomkit.core.errors import CatalogError, UnknownName, UnknownProduct
from ecomkit.core.records import (
    CONSTRAINT_ATTRIBUTES,
    NUMBER_ATTRIBUTES,
    TEXT_ATTRIBUTES,
    Constraint,
    Product,
    Variant,
    contains_words,
    words,
)
from ecomkit.core.seeds import digest

if TYPE_CHECKING:
    import polars as pl

FORMAT = "ecomkit-catalog-1"
_CACHE = "ecomkit-cache-1"

_CODED = ("department", "category", "brand", "store", *TEXT_ATTRIBUTES, "varies_by")
_WHOLE = ("price_cents", "rating_count", "ship_days", "stock")
_REAL = ("rating", *NUMBER_ATTRIBUTES)
_TYPED = (*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES)
_TEXTS = ("product_id", "title", "description")
REQUIRED: tuple[str, ...] = (
    *("product_id", "title", "department", "category", "brand", "store"),
    *("price_cents", "rating", "rating_count", "ship_days", "stock"),
)
"""Columns that every frame needs, without nulls."""

COLUMNS: tuple[str, ...] = (
    *("product_id", "title", "description", "department", "category", "brand", "store"),
    *("price_cents", "rating", "rating_count", "ship_days", "stock", "features"),
    *TEXT_ATTRIBUTES,
    *NUMBER_ATTRIBUTES,
    *("varies_by", "variants", "filled_fields"),
)
"""The columns of the parquet files, in order."""


def schema() -> dict[str, Any]:
    """Polars types of :data:`COLUMNS`."""
    import polars as pl

    types: dict[str, Any] = dict.fromkeys(COLUMNS, pl.String)
    types.update(dict.fromkeys(_WHOLE, pl.Int64))
    types.update(dict.fromkeys(_REAL, pl.Float64))
    types["features"] = pl.List(pl.String)
    types["filled_fields"] = pl.List(pl.String)
    types["variants"] = pl.List(
        pl.Struct(
            {
                "variant_id": pl.String,
                "attributes": pl.List(pl.Struct({"name": pl.String, "value": pl.String})),
                "price_cents": pl.Int64,
                "stock": pl.Int64,
            }
        )
    )
    return types


def conform(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with exactly :data:`COLUMNS`, absent optional ones added as null or empty.

    Raises:
        CatalogError: for a missing required column, a null in one, an unknown column, or values
            of a wrong type or out of range.
    """
    import polars as pl

    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise CatalogError(f"catalog rows lack the column(s) {', '.join(missing)}")
    unknown = [name for name in frame.columns if name not in COLUMNS]
    if unknown:
        raise CatalogError(
            f"catalog rows have unknown column(s) {', '.join(unknown)}; "
            f"the columns are {', '.join(COLUMNS)}"
        )
    types = schema()
    added = []
    for name in COLUMNS:
        if name not in frame.columns:
            added.append(pl.lit(None, dtype=types[name]).alias(name))
    try:
        frame = frame.with_columns(added).select(
            [pl.col(name).cast(types[name]) for name in COLUMNS]
        )
    except pl.exceptions.PolarsError as error:
        raise CatalogError(f"catalog rows have values of a wrong type: {error}") from None
    frame = frame.with_columns(
        pl.col("description").fill_null(""),
        pl.col("features").fill_null([]),
        pl.col("filled_fields").fill_null([]),
    )
    for name in REQUIRED:
        if frame[name].null_count():
            raise CatalogError(f"catalog rows have nulls in the required column {name!r}")
    if frame.height:
        bad = frame.filter(
            (pl.col("price_cents") < 1)
            | ~pl.col("rating").is_between(1.0, 5.0)
            | (pl.col("rating_count") < 0)
            | ~pl.col("ship_days").is_between(0, 14)
            | (pl.col("stock") < 0)
            | (pl.col("product_id") == "")
        )
        if bad.height:
            row = bad.row(0, named=True)
            shown = {n: row[n] for n in ("price_cents", "rating", "rating_count", "ship_days")}
            raise CatalogError(
                f"product {row['product_id']!r} is out of range ({shown}, stock {row['stock']}): "
                "prices are at least 1 cent, ratings 1 to 5, ship_days 0 to 14"
            )
    return frame


# --------------------------------------------------------------------------------------------
# The array cache


class _Column:
    """Digests of a column's content, one for each stream of numbers or bytes, so that they do
    not depend on how rows are cut into frames."""

    def __init__(self) -> None:
        self.lists = hashlib.sha256()
        self.sizes = hashlib.sha256()
        self.data = hashlib.sha256()

    def hex(self) -> list[str]:
        return [self.lists.hexdigest(), self.sizes.hexdigest(), self.data.hexdigest()]


class _CacheWriter:
    """Streams conforming frames into array files and digests their content."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.files: dict[str, Any] = {}
        self.rows = 0
        self.ends: dict[str, int] = {}
        self.vocabularies: dict[str, dict[str, int]] = {name: {} for name in _CODED}
        self.codes: dict[str, list[np.ndarray]] = {name: [] for name in _CODED}
        self.keys: list[np.ndarray] = []
        self.digests = {name: _Column() for name in COLUMNS}
        self.native = False
        # Writing and hashing need no interpreter: another thread does them, in order.
        self._pool = ThreadPoolExecutor(1)
        self._pending: list[Future[None]] = []

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        self._pending.append(self._pool.submit(call, *arguments))

    def _settle(self) -> None:
        """Wait for what is to be written; raises what went wrong there."""
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()

    def _write(self, name: str, array: np.ndarray) -> None:
        self._later(self._write_now, name, array)

    def _write_now(self, name: str, array: np.ndarray) -> None:
        if name not in self.files:
            self.files[name] = open(self.folder / f"{name}.bin", "wb")
        self.files[name].write(np.ascontiguousarray(array).data)

    def _text(self, name: str, series: pl.Series, column: _Column) -> None:
        """Appends a text column: its bytes and where each text ends."""
        array = series.fill_null("").rechunk().to_arrow()
        import pyarrow as pa

        array = array.cast(pa.large_string())
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        n = len(array)
        buffers = array.buffers()
        offsets = np.frombuffer(buffers[1], dtype=np.int64)[array.offset : array.offset + n + 1]
        low, high = (int(offsets[0]), int(offsets[-1])) if n else (0, 0)
        data = np.frombuffer(buffers[2] or b"", dtype=np.uint8)[low:high]
        if name not in self.ends:
            self.ends[name] = 0
            self._write(f"{name}.ends", np.zeros(1, dtype=np.int64))
        ends = offsets[1:] - low + self.ends[name]
        if n:
            self.ends[name] = int(ends[-1])
        self._write(f"{name}.ends", ends)
        self._write(f"{name}.data", data)
        self._later(column.sizes.update, np.diff(offsets).astype("<i8").data)
        self._later(column.data.update, np.ascontiguousarray(data).data)

    def _list(self, name: str, series: pl.Series, column: _Column) -> None:
        lengths = series.list.len().to_numpy().astype(np.int64)
        if name + ".lists" not in self.ends:
            self.ends[name + ".lists"] = 0
            self._write(f"{name}.lists", np.zeros(1, dtype=np.int64))
        ends = np.cumsum(lengths) + self.ends[name + ".lists"]
        if len(ends):
            self.ends[name + ".lists"] = int(ends[-1])
        self._write(f"{name}.lists", ends)
        self._later(column.lists.update, lengths.astype("<i8").data)
        self._text(name, series.filter(series.list.len() > 0).explode(), column)

    def add(self, frame: pl.DataFrame) -> None:
        import polars as pl

        if not frame.height:
            return
        self._settle()
        for name in _TEXTS:
            self._text(name, frame[name], self.digests[name])
        self.keys.append(_keys(frame["product_id"]))
        for name in _WHOLE:
            array = frame[name].to_numpy()
            self._write(name, array)
            self._later(self.digests[name].data.update, array.astype("<i8").data)
        for name in _REAL:
            array = frame[name].fill_null(float("nan")).to_numpy()
            self._write(name, array)
            self._later(
                self.digests[name].data.update, np.nan_to_num(array, nan=-1.0).astype("<f8").data
            )
        for name in _CODED:
            self._coded(name, frame[name])
        self._list("features", frame["features"], self.digests["features"])
        self._list("filled_fields", frame["filled_fields"], self.digests["filled_fields"])
        if frame["variants"].null_count() < frame.height:
            self.native = True
            text = pl.Series(
                [
                    json.dumps(v, ensure_ascii=False) if v else ""
                    for v in frame["variants"].to_list()
                ],
                dtype=pl.String,
            )
        else:
            text = pl.repeat("", frame.height, dtype=pl.String, eager=True)
        self._text("variants", text, self.digests["variants"])
        self.rows += frame.height

    def _coded(self, name: str, series: pl.Series) -> None:
        import pyarrow as pa

        array = series.rechunk().to_arrow().cast(pa.large_string()).dictionary_encode()
        vocabulary = self.vocabularies[name]
        values = array.dictionary.to_pylist()
        column = self.digests[name]
        if len(values) == 0:
            codes = np.full(len(series), -1, dtype=np.int32)
            self._later(column.data.update, b"\xff" * len(series) * 4)
            self.codes[name].append(codes)
            return
        mapped = np.array(
            [vocabulary.setdefault(v, len(vocabulary)) for v in values] + [-1], dtype=np.int32
        )
        indices = array.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
        codes = mapped[indices]
        # Codes follow first appearance in row order, so their digest needs no sorting.
        self._later(column.data.update, codes.astype("<i4").data)
        self.codes[name].append(codes)

    def finish(self, rules: Mapping[str, Any]) -> dict[str, Any]:
        """Closes the files and writes what needs all rows: codes, orders, variants."""
        self._settle()
        if not self.rows:
            self.close()
            raise CatalogError("a catalog needs at least one product; none was given")
        vocabularies: dict[str, list[str]] = {}
        codes: dict[str, np.ndarray] = {}
        for name in _CODED:
            raw = self.vocabularies[name]
            self.digests[name].sizes.update(json.dumps(list(raw), ensure_ascii=True).encode())
            ordered = sorted(raw)
            rank = np.empty(len(raw) + 1, dtype=np.int32)
            for new, value in enumerate(ordered):
                rank[raw[value]] = new
            rank[-1] = -1
            codes[name] = rank[np.concatenate(self.codes[name])]
            vocabularies[name] = ordered
            self._write(name, codes[name])
        keys = np.concatenate(self.keys)
        order = np.argsort(keys, kind="stable").astype(np.int32)
        ordered_keys = keys[order]
        self._write("key.sorted", ordered_keys)
        self._write("key.rows", order)
        for name in ("category", "department"):
            self._write(f"{name}.order", _sorted_rows(codes[name]).astype(np.int32))
            counts = np.bincount(codes[name], minlength=len(vocabularies[name]))
            self._write(f"{name}.starts", np.concatenate(([0], np.cumsum(counts))).astype(np.int64))
        self._settle()
        for file in self.files.values():
            file.flush()
        self._check_ids(ordered_keys, order)
        alternatives = self._alternatives(codes, vocabularies, keys, rules)
        self._write("alternatives", alternatives)
        self._settle()
        self.close()
        (self.folder / "vocabularies.json").write_text(
            json.dumps(vocabularies, ensure_ascii=False), encoding="utf-8"
        )
        return {
            "rows": self.rows,
            "columns": {name: column.hex() for name, column in self.digests.items()},
            "native": self.native,
        }

    def _check_ids(self, ordered: np.ndarray, order: np.ndarray) -> None:
        same = np.flatnonzero(ordered[1:] == ordered[:-1])
        if not len(same):
            return
        ids = _Text(_map(self.folder / "product_id.ends.bin", np.int64), self._bytes("product_id"))
        for at in same:
            a, b = ids[int(order[at])], ids[int(order[at + 1])]
            if a == b:
                raise CatalogError(
                    f"product id {a!r} stands in rows {order[at]} and {order[at + 1]}; "
                    "ids must be unique"
                )

    def _bytes(self, name: str) -> np.ndarray:
        return _map(self.folder / f"{name}.data.bin", np.uint8)

    def _alternatives(
        self,
        codes: dict[str, np.ndarray],
        vocabularies: dict[str, list[str]],
        keys: np.ndarray,
        rules: Mapping[str, Any],
    ) -> np.ndarray:
        """The other values that a product comes in, shape (n, 2): numbers, or positions in
        :func:`_pool_words`; NaN where there are fewer."""
        out = np.full((self.rows, 2), np.nan, dtype=np.float64)
        order = _sorted_rows(codes["category"])
        category_codes = codes["category"][order]
        varies = codes["varies_by"]
        words_of = _pool_words(rules)
        for category, name in enumerate(vocabularies["category"]):
            low, high = np.searchsorted(category_codes, [category, category + 1])
            rows = order[low:high]
            for attribute_code in np.unique(varies[rows]):
                if attribute_code < 0:
                    continue
                attribute = vocabularies["varies_by"][attribute_code]
                if attribute not in _TYPED:
                    continue  # native variants of several attributes
                pool = rule_pool(rules, name, attribute)
                here = rows[varies[rows] == attribute_code]
                if attribute in NUMBER_ATTRIBUTES:
                    own_values = _map(self.folder / f"{attribute}.bin", np.float64)[here]
                    distinct, inverse = np.unique(own_values, return_inverse=True)
                    position = np.array(
                        [forms.pool_position(float(v), pool) for v in distinct], dtype=np.int64
                    )[inverse]
                    final = np.array([*(float(v) for v in pool), np.nan])
                else:
                    vocabulary = vocabularies[attribute]
                    own_codes = codes[attribute][here]
                    distinct, inverse = np.unique(own_codes, return_inverse=True)
                    position = np.array(
                        [
                            forms.pool_position(vocabulary[c], pool) if c >= 0 else -1
                            for c in distinct
                        ],
                        dtype=np.int64,
                    )[inverse]
                    at = words_of[attribute]
                    final = np.array([*(float(at[str(v).casefold()]) for v in pool), np.nan])
                others = forms.other_indices(
                    keys[here], position, np.full(len(here), len(pool), dtype=np.int64)
                )
                out[here] = final[others]
        return out

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for file in self.files.values():
            file.close()


def _sorted_rows(codes: np.ndarray) -> np.ndarray:
    """Rows by code, in row order where equal. Codes of 16 bits are sorted in linear time."""
    if codes.size and int(codes.max()) < 2**16 and int(codes.min()) >= 0:
        codes = codes.astype(np.uint16)
    return np.argsort(codes, kind="stable")


def _keys(ids: pl.Series) -> np.ndarray:
    if ids.len() and (ids.str.len_bytes() == 10).all():
        import pyarrow as pa

        array = ids.rechunk().to_arrow().cast(pa.large_string())
        offsets = np.frombuffer(array.buffers()[1], dtype=np.int64)[array.offset :]
        low = int(offsets[0])
        data = np.frombuffer(array.buffers()[2], dtype=np.uint8)[low : low + 10 * len(ids)]
        return forms.product_keys(data.view("S10"))
    return forms.product_keys(ids.to_list())


def rule_pool(rules: Mapping[str, Any], category: str, attribute: str) -> tuple[Any, ...]:
    """The values that ``attribute`` may vary over in a category, by its rule or by default."""
    for rule in rules.get(category, ()):
        if rule["attribute"] == attribute:
            return tuple(rule["values"])
    return forms.GENERIC_POOLS.get(attribute, ())


def _pool_words(rules: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Position of every folded pool value, by attribute: how alternatives are numbered."""
    found: dict[str, set[str]] = {name: set() for name in TEXT_ATTRIBUTES}
    for attribute, pool in forms.GENERIC_POOLS.items():
        found[attribute].update(v.casefold() for v in pool)
    for listed in rules.values():
        for rule in listed:
            if rule["attribute"] in found:
                found[rule["attribute"]].update(str(v).casefold() for v in rule["values"])
    return {name: {v: i for i, v in enumerate(sorted(values))} for name, values in found.items()}


def _map(path: Path, dtype: Any) -> np.ndarray:
    size = path.stat().st_size
    if size == 0:
        return np.zeros(0, dtype=dtype)
    with open(path, "rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(view, dtype=dtype)


_CARD_TEXT = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
"""As ``json.dumps`` with these options, which would make the encoder anew for every card."""


class _Text:
    """A text column: bytes and the position at which each text ends."""

    __slots__ = ("data", "ends")

    def __init__(self, ends: np.ndarray, data: np.ndarray) -> None:
        self.ends = memoryview(ends)  # type: ignore[arg-type]
        self.data = memoryview(data)  # type: ignore[arg-type]

    def __getitem__(self, row: int) -> str:
        return str(self.data[self.ends[row] : self.ends[row + 1]], "utf-8")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --------------------------------------------------------------------------------------------
# Writing


def write_catalog(
    frames: Iterable[pl.DataFrame],
    folder: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    progress: Callable[[int], None] | None = None,
    deny_list: Iterable[str] = (),
) -> dict[str, Any]:
    """Writes a catalog, one parquet file a frame, and returns its manifest.

    Everything goes to a folder beside the target, which is renamed at the end: a build that is
    killed leaves no half catalog at the target, and the next build removes its remains.

    Args:
        frames: products with the columns of :data:`COLUMNS` (optional ones may be absent). Rows
            without a ``varies_by`` column get one from ``manifest["variant_rules"]``.
        folder: where the catalog will lie. An older catalog there is replaced.
        manifest: ``name``, ``source`` (anything JSON), and where known ``nouns``, ``groups``,
            ``labels``, ``variant_rules``.
        progress: called with the number of rows written so far.
        deny_list: categories that must never be recommended or bought.

    Raises:
        CatalogError: for rows that cannot stand in a catalog, or a target that is something else.
    """
    import polars as pl

    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        if not (target / "manifest.json").is_file():
            raise CatalogError(f"{target} exists and holds no catalog; choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    rules = dict(manifest.get("variant_rules", {}))
    building = target.parent / f".{target.name}.building"
    shutil.rmtree(building, ignore_errors=True)
    try:
        (building / "data").mkdir(parents=True)
        cache = _CacheWriter(building / ".cache")
        names = []
        try:
            for number, frame in enumerate(frames):
                if "varies_by" not in frame.columns:
                    frame = naming.assign_varies(frame, rules)
                frame = conform(frame)
                path = building / "data" / f"part-{number:05d}.parquet"
                # Row groups of a Hub viewer's size; statistics serve filters on read.
                try:
                    frame.write_parquet(
                        path, compression="zstd", compression_level=1, row_group_size=50_000
                    )
                except pl.exceptions.PolarsError as error:  # a full disk, as polars says it
                    raise CatalogError(f"cannot write {target}: {error}") from None
                names.append((path, frame.height))
                cache.add(frame)
                if progress is not None:
                    progress(cache.rows)
            summary = cache.finish(rules)
        finally:
            cache.close()
        files = []
        for number, (path, rows) in enumerate(names):
            final = path.with_name(f"products-{number:05d}-of-{len(names):05d}.parquet")
            path.rename(final)
            files.append(
                {
                    "path": f"data/{final.name}",
                    "rows": rows,
                    "size": final.stat().st_size,
                    "sha256": _sha256(final),
                }
            )
        denied = sorted(set(deny_list) | set(manifest.get("deny_list", ())))
        shop = {
            "variant_rules": rules,
            "nouns": dict(manifest.get("nouns", {})),
            "deny_list": denied,
            "groups": dict(manifest.get("groups", {})),
            "labels": dict(manifest.get("labels", {})),
            "naming": manifest.get("naming", ""),
        }
        written: dict[str, Any] = {
            **manifest,
            **shop,
            "format": FORMAT,
            "name": manifest.get("name", target.name),
            "size": summary["rows"],
            "hash": digest([FORMAT, summary["columns"], shop]),
            "native_variants": summary["native"],
            "files": files,
        }
        _write_json(building / "manifest.json", written)
        _write_json(
            building / ".cache" / "index.json",
            _cache_index(building / ".cache", written, building),
        )
        (building / "README.md").write_text(_card(written), encoding="utf-8")
        _swap(building, target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return written


def _swap(building: Path, target: Path) -> None:
    old = target.parent / f".{target.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    building.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _write_json(path: Path, value: Any) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(
        json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    temporary.replace(path)


def _card(manifest: Mapping[str, Any]) -> str:
    return (
        "---\n"
        "configs:\n"
        "- config_name: default\n"
        "  data_files:\n"
        "  - split: train\n"
        "    path: data/products-*.parquet\n"
        "---\n\n"
        f"# {manifest['name']}\n\n"
        f"A catalog of {manifest['size']:,} products for ecomkit "
        f"(content hash `{manifest['hash'][:16]}`).\n"
    )


def _cache_index(cache: Path, manifest: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What a cache was made from, and the size of each of its files."""
    return {
        "format": _CACHE,
        "hash": manifest["hash"],
        "arrays": {
            p.name: p.stat().st_size for p in sorted(cache.iterdir()) if p.name != "index.json"
        },
        "sources": {
            f["path"]: [f["size"], (root / f["path"]).stat().st_mtime_ns] for f in manifest["files"]
        },
    }


# --------------------------------------------------------------------------------------------
# Opening


def open_catalog(path: str | os.PathLike[str], check: bool | str = True) -> Catalog:
    """The catalog in a folder that :func:`write_catalog` made, memory-mapped.

    Args:
        path: the folder.
        check: True compares the size of every file with the manifest, and its SHA-256 where the
            file was touched since the cache was made; ``"full"`` compares all SHA-256 sums and
            recomputes the content hash; False trusts the folder.

    Raises:
        CatalogError: if a file is missing, cut short, changed or unreadable; the message names
            it and says what to do.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise CatalogError(
            f"no catalog at {folder}: build one with scripts/build_catalog.py --out {folder}"
        )
    manifest = _read_manifest(folder)
    if check:
        for entry in manifest["files"]:
            _check_file(folder, entry, full=check == "full")
    cache = _find_cache(folder, manifest, bool(check), rebuild=check == "full")
    return Catalog(folder, manifest, cache)


def _reopen(path: str, pickled: str) -> Catalog:
    catalog = open_catalog(path)
    if catalog.hash != pickled:
        raise CatalogError(
            f"{path} holds the catalog {catalog.hash[:12]}…, not {pickled[:12]}… that was pickled: "
            "it was replaced since; open it and pickle it again"
        )
    return catalog


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise CatalogError(
            f"{path} is missing: {folder} is no catalog, or its build did not finish; "
            "build it with scripts/build_catalog.py"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        wanted = {"format", "name", "size", "hash", "files", "variant_rules", "deny_list"}
        if not isinstance(manifest, dict) or not wanted <= manifest.keys():
            raise ValueError("it lacks required entries")
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}, this version reads {FORMAT}")
        if not all({"path", "rows", "size", "sha256"} <= set(f) for f in manifest["files"]):
            raise ValueError("its list of files is incomplete")
    except (ValueError, TypeError) as error:
        raise CatalogError(
            f"{path} cannot be read ({error}); fetch the catalog again or rebuild it"
        ) from None
    return manifest


def _check_file(folder: Path, entry: Mapping[str, Any], full: bool) -> None:
    path = folder / entry["path"]
    if not path.is_file():
        raise CatalogError(f"{path} is missing; fetch the catalog again or rebuild it")
    size = path.stat().st_size
    if size != entry["size"]:
        raise CatalogError(
            f"{path} has {size:,} bytes where the manifest says {entry['size']:,}: "
            "it was cut short or changed; fetch it again or rebuild the catalog"
        )
    if full and _sha256(path) != entry["sha256"]:
        raise CatalogError(
            f"{path} does not match its checksum: it is damaged; fetch it again or rebuild "
            "the catalog"
        )


def _cache_folders(folder: Path, catalog_hash: str) -> list[Path]:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    mine = Path(base) / "ecomkit" / "catalogs" / catalog_hash[:32]
    # A snapshot in the download cache of the Hub's client is that client's: it stays as it is.
    return [mine] if folder.parent.name == "snapshots" else [folder / ".cache", mine]


def _find_cache(folder: Path, manifest: dict[str, Any], check: bool, rebuild: bool) -> Path:
    places = _cache_folders(folder, manifest["hash"])
    if not rebuild:
        for place in places:
            if _cache_fits(place, folder, manifest, check):
                return place
    failures = []
    for place in places:
        try:
            return _build_cache(place, folder, manifest)
        except OSError as error:
            failures.append(f"{place}: {error.strerror or error}")
    raise CatalogError(
        f"no place to keep the arrays of {folder} ({'; '.join(failures)}); free some space or "
        "point XDG_CACHE_HOME to a folder that can be written"
    )


def _cache_fits(place: Path, folder: Path, manifest: dict[str, Any], check: bool) -> bool:
    try:
        index = json.loads((place / "index.json").read_text(encoding="utf-8"))
        if index["format"] != _CACHE or index["hash"] != manifest["hash"]:
            return False
        for name, size in index["arrays"].items():
            if (place / name).stat().st_size != size:
                return False
        if not check:
            return True
        touched = False
        for entry in manifest["files"]:
            now = (folder / entry["path"]).stat().st_mtime_ns
            if index["sources"].get(entry["path"]) != [entry["size"], now]:
                # Touched since: the same bytes (a copy, a download) or damage.
                _check_file(folder, entry, full=True)
                touched = True
        if touched:
            try:
                _write_json(place / "index.json", _cache_index(place, manifest, folder))
            except OSError:
                pass  # read-only: checked again next time
        return True
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _build_cache(place: Path, folder: Path, manifest: dict[str, Any]) -> Path:
    """Makes the arrays from the parquet files, each checked against its checksum first."""
    building = place.with_name(f"{place.name}.building-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        writer = _CacheWriter(building)
        try:
            for frame in _ahead(_checked_frames(folder, manifest)):
                writer.add(frame)
            summary = writer.finish(manifest["variant_rules"])
        finally:
            writer.close()
        keys = ("variant_rules", "nouns", "deny_list", "groups", "labels", "naming")
        shop = {key: manifest.get(key) for key in keys}
        found = digest([FORMAT, summary["columns"], shop])
        if summary["rows"] != manifest["size"] or found != manifest["hash"]:
            raise CatalogError(
                f"{folder}: the rows do not give the manifest's hash ({found[:12]}…, wanted "
                f"{manifest['hash'][:12]}…): files of two catalogs are mixed, or the manifest "
                "was edited; fetch the catalog again or rebuild it"
            )
        _write_json(building / "index.json", _cache_index(building, manifest, folder))
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        building.rename(place)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return place


def _checked_frames(folder: Path, manifest: Mapping[str, Any]) -> Iterator[pl.DataFrame]:
    for entry in manifest["files"]:
        _check_file(folder, entry, full=True)
        yield from _read_frames(folder / entry["path"])


def _ahead(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same frames, the next one read by another thread while one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, frames, None)
        while (frame := following.result()) is not None:
            following = pool.submit(next, frames, None)
            yield frame


def _read_frames(path: Path) -> Iterator[pl.DataFrame]:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                frame = pl.from_arrow(file.read_row_group(group))
                assert isinstance(frame, pl.DataFrame)
                # Checked when it was written, and its checksum is the manifest's.
                yield frame if dict(frame.schema) == schema() else conform(frame)
    except (pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise CatalogError(
            f"{path} cannot be read as parquet ({error}); fetch it again or rebuild the catalog"
        ) from None


class Catalog:
    """A memory-mapped catalog. Rows are numbered from 0; nothing here scans them per call.

    Threads may share one: what it remembers is whole when it is put down, the same whoever finds
    it, and only ever forgotten to save memory. A copy is the catalog itself. A pickle names its
    folder and its hash: loading it opens the folder, which must still hold that content.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], cache: Path) -> None:
        self.path = Path(os.path.abspath(path))
        self.manifest = manifest
        self.hash: str = manifest["hash"]
        self.name: str = manifest["name"]
        self._row_memo: dict[str, int] = {}
        self.size: int = manifest["size"]
        self.deny_list: frozenset[str] = frozenset(manifest["deny_list"])
        self.search_engine: Any = None
        """A :class:`ecomkit.shop.search.SearchEngine` where one was attached."""
        self.origin: tuple[str, str] | None = None
        """Hub id and commit, where the catalog came from the Hub."""
        vocabularies = json.loads((cache / "vocabularies.json").read_text(encoding="utf-8"))
        self._vocabularies: dict[str, tuple[str, ...]] = {
            name: tuple(values) for name, values in vocabularies.items()
        }
        self._codes = {name: _map(cache / f"{name}.bin", np.int32) for name in _CODED}
        self._numbers = {name: _map(cache / f"{name}.bin", np.int64) for name in _WHOLE}
        self._numbers |= {name: _map(cache / f"{name}.bin", np.float64) for name in _REAL}
        # One value of a column is read several times faster from a view than from an array.
        columns = {**self._codes, **self._numbers}
        self._at: dict[str, Any] = {
            name: memoryview(column)  # type: ignore[arg-type]
            for name, column in columns.items()
        }
        self._texts = {name: self._text(cache, name) for name in (*_TEXTS, "variants")}
        self._lists = {
            name: (_map(cache / f"{name}.lists.bin", np.int64), self._text(cache, name))
            for name in ("features", "filled_fields")
        }
        self._key_sorted = _map(cache / "key.sorted.bin", np.uint64)
        self._key_rows = _map(cache / "key.rows.bin", np.int32)
        self._orders = {
            name: (
                _map(cache / f"{name}.order.bin", np.int32),
                _map(cache / f"{name}.starts.bin", np.int64),
            )
            for name in ("category", "department")
        }
        self._alternatives = _map(cache / "alternatives.bin", np.float64).reshape(-1, 2)
        self.departments: tuple[str, ...] = self._vocabularies["department"]
        self.categories: tuple[str, ...] = self._vocabularies["category"]
        self._rules = manifest["variant_rules"]
        self._pool_words = _pool_words(self._rules)
        self._folded: dict[str, dict[str, list[int]]] = {}
        self._category_at = {name: i for i, name in enumerate(self.categories)}
        self._department_at = {name: i for i, name in enumerate(self.departments)}
        self._shelves = self._read_shelves()
        self._varying: tuple[tuple[str, ...], ...] = tuple(
            tuple(v.split(", ")) for v in self._vocabularies["varies_by"]
        )
        self._varied = frozenset(v[0] for v in self._varying if len(v) == 1 and v[0] in _TYPED)
        self._cards: dict[str, dict[str, Any]] = {}
        self._card_texts: dict[str, str] = {}
        self._products: dict[int, Product] = {}
        self._variants: dict[int, tuple[Variant, ...]] = {}
        self._rows: dict[tuple[str | None, str | None], np.ndarray] = {}
        self._tokens: dict[int, _TitleIndex] = {}
        self._phrases: dict[tuple[int, str], np.ndarray] = {}
        self._native_rows: np.ndarray | None = None
        self.stocked_at_first: bool = not manifest.get("native_variants")
        """True if no variant comes with a stock of its own, so that all have 5 to 60 units."""

    def __copy__(self, memo: Any = None) -> Catalog:
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> tuple[Any, ...]:
        state = {"search_engine": self.search_engine, "origin": self.origin}
        return _reopen, (str(self.path), self.hash), state

    @staticmethod
    def _text(cache: Path, name: str) -> _Text:
        return _Text(
            _map(cache / f"{name}.ends.bin", np.int64), _map(cache / f"{name}.data.bin", np.uint8)
        )

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return (
            f"<Catalog {self.name!r}: {self.size:,} products, {len(self.departments)} departments,"
            f" {len(self.categories)} categories, hash {self.hash[:12]}>"
        )

    # Shelves ------------------------------------------------------------------------------

    def _read_shelves(self) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
        order, starts = self._orders["category"]
        by_department: dict[str, list[str]] = {d: [] for d in self.departments}
        home: dict[str, str] = {}
        departments = self._codes["department"]
        for i, category in enumerate(self.categories):
            here = departments[order[starts[i] : starts[i + 1]]]
            # Nearly always one department: look at the ends before counting.
            counts = np.bincount(here, minlength=len(self.departments))
            for d in np.flatnonzero(counts):
                by_department[self.departments[d]].append(category)
            home[category] = self.departments[int(counts.argmax())]
        return {d: tuple(c) for d, c in by_department.items()}, home

    def categories_of(self, department: str) -> tuple[str, ...]:
        """Categories of a department, sorted.

        Raises:
            UnknownName: if the catalog has no such department.
        """
        if department not in self._department_at:
            raise UnknownName("department", department, self.departments)
        return self._shelves[0][department]

    def department_of(self, category: str) -> str:
        """The department that a category (most often) stands in.

        Raises:
            UnknownName: if the catalog has no such category.
        """
        if category not in self._category_at:
            raise UnknownName("category", category, self.categories)
        return self._shelves[1][category]

    def policy_group(self, department: str) -> str:
        """Which return rules a department falls under (``electronics``, ``grocery`` …);
        ``general`` where the manifest names none."""
        return str(self.manifest.get("groups", {}).get(department, "general"))

    def label(self, department: str) -> str:
        """A department as a shop writes it, such as "Chargers & Power Banks"."""
        return str(self.manifest.get("labels", {}).get(department, department))

    def nouns(self, category: str) -> tuple[str, ...]:
        """What a customer calls the category's products: singular, plural, aliases.

        Raises:
            UnknownName: if the catalog has no such category.
        """
        if category not in self._category_at:
            raise UnknownName("category", category, self.categories)
        given = self.manifest.get("nouns", {}).get(category)
        return tuple(given) if given else naming.nouns_from_category(category)

    def noun(self, category: str) -> str:
        """The singular noun, such as "wall charger"."""
        return self.nouns(category)[0]

    # Products -----------------------------------------------------------------------------

    def row(self, product_id: str) -> int:
        """The row of a product, by binary search.

        Raises:
            UnknownProduct: if the catalog does not hold it.
        """
        if not isinstance(product_id, str):
            raise UnknownProduct(product_id)
        known = self._row_memo.get(product_id)
        if known is not None:
            return known
        key = np.uint64(forms.product_key(product_id))
        at = int(self._key_sorted.searchsorted(key))
        while at < self.size and self._key_sorted[at] == key:
            row = int(self._key_rows[at])
            if self._texts["product_id"][row] == product_id:
                if len(self._row_memo) >= 65_536:
                    self._row_memo.clear()
                self._row_memo[product_id] = row
                return row
            at += 1
        raise UnknownProduct(product_id)

    def __contains__(self, product_id: object) -> bool:
        try:
            self.row(product_id)  # type: ignore[arg-type]
        except UnknownProduct:
            return False
        return True

    def product_id(self, row: int) -> str:
        """The id of the product in a row."""
        return self._texts["product_id"][row]

    def title(self, row: int) -> str:
        """The title of the product in a row."""
        return self._texts["title"][row]

    def titles(self, rows: Iterable[int]) -> list[str]:
        """The titles of several rows."""
        text = self._texts["title"]
        return [text[row] for row in rows]

    def product(self, product_id: str) -> Product:
        """The product of an id.

        Raises:
            UnknownProduct: if the catalog does not hold it.
        """
        return self.product_at(self.row(product_id))

    def product_at(self, row: int) -> Product:
        """The product in a row."""
        row = int(row)
        found = self._products.get(row)
        if found is not None:
            return found
        at, vocabularies = self._at, self._vocabularies
        found = Product(
            product_id=self._texts["product_id"][row],
            title=self._texts["title"][row],
            description=self._texts["description"][row],
            department=vocabularies["department"][at["department"][row]],
            category=vocabularies["category"][at["category"][row]],
            brand=vocabularies["brand"][at["brand"][row]],
            store=vocabularies["store"][at["store"][row]],
            price_cents=at["price_cents"][row],
            rating=at["rating"][row],
            rating_count=at["rating_count"][row],
            ship_days=at["ship_days"][row],
            stock=at["stock"][row],
            features=self._list("features", row),
            attributes=self._attributes_at(row),
        )
        if len(self._products) >= 4096:
            self._products.clear()
        self._products[row] = found
        return found

    def _attributes_at(self, row: int) -> dict[str, str | float]:
        """The typed attributes of a row that apply."""
        attributes: dict[str, str | float] = {}
        at = self._at
        for name in TEXT_ATTRIBUTES:
            code = at[name][row]
            if code >= 0:
                attributes[name] = self._vocabularies[name][code]
        for name in NUMBER_ATTRIBUTES:
            value = at[name][row]
            if value == value:
                attributes[name] = value
        return attributes

    def _list(self, name: str, row: int) -> tuple[str, ...]:
        ends, text = self._lists[name]
        return tuple([text[i] for i in range(ends[row], ends[row + 1])])

    def filled_fields(self, row: int) -> tuple[str, ...]:
        """Columns of a row that an import filled by rule."""
        return self._list("filled_fields", row)

    def card_at(self, row: int) -> dict[str, Any]:
        """A product as search results show it, JSON-ready; a new dict every time."""
        row = int(row)
        varying = self.varying_at(row)
        known = self._products.get(row)
        if known is not None:
            attributes = dict(known.attributes)
        else:
            attributes = self._attributes_at(row)
        for name in varying:
            attributes.pop(name, None)
        # Not by way of product_at: its features and description take most of the time.
        at, vocabularies = self._at, self._vocabularies
        return {
            "product_id": self._texts["product_id"][row],
            "title": self._texts["title"][row],
            "category": vocabularies["category"][at["category"][row]],
            "brand": vocabularies["brand"][at["brand"][row]],
            "store": vocabularies["store"][at["store"][row]],
            "price_cents": at["price_cents"][row],
            "rating": at["rating"][row],
            "rating_count": at["rating_count"][row],
            "ship_days": at["ship_days"][row],
            "attributes": attributes,
            "varies_by": ", ".join(varying) or None,
        }

    def shared_card(self, product_id: str) -> dict[str, Any]:
        """:meth:`card_at` of an id, remembered: for reading only.

        Raises:
            UnknownProduct: if the catalog does not hold it.
        """
        found = self._cards.get(product_id)
        if found is None:
            found = self.card_at(self.row(product_id))
            if len(self._cards) >= 16_384:
                self._cards.clear()
            self._cards[product_id] = found
        return found

    def card_text(self, product_id: str) -> str:
        """:meth:`shared_card` as ``json.dumps(card, ensure_ascii=False)`` writes it, remembered."""
        found = self._card_texts.get(product_id)
        if found is None:
            found = _CARD_TEXT(self.shared_card(product_id))
            if len(self._card_texts) >= 16_384:
                self._card_texts.clear()
            self._card_texts[product_id] = found
        return found

    def varying_at(self, row: int) -> tuple[str, ...]:
        """The attributes that differ between a product's variants; several for some imports."""
        code = self._at["varies_by"][row]
        return self._varying[code] if code >= 0 else ()

    def varies_at(self, row: int) -> str | None:
        """The attribute that differs between a product's variants, or None.

        For native variants that state several attributes, their names joined by ", ".
        """
        return ", ".join(self.varying_at(row)) or None

    def varying_attribute(self, category: str) -> str | None:
        """The attribute that a category's rule lets vary; None where products of the category
        have native variants or none (ask :meth:`varies_at`)."""
        if category not in self._category_at:
            raise UnknownName("category", category, self.categories)
        rules = self._rules.get(category)
        return str(rules[0]["attribute"]) if rules else None

    def variants(self, product_id: str) -> tuple[Variant, ...]:
        """A product's variants, at least one, in the order shown.

        Raises:
            UnknownProduct: if the catalog does not hold it.
        """
        return self.variants_at(self.row(product_id))

    def variants_at(self, row: int) -> tuple[Variant, ...]:
        """The variants of the product in a row. Native ones win over the category's rule."""
        row = int(row)
        found = self._variants.get(row)
        if found is not None:
            return found
        product_id = self._texts["product_id"][row]
        native = self._texts["variants"][row]
        if native:
            found = forms.native_variants(product_id, json.loads(native))
        else:
            attribute = self.varies_at(row)
            own: str | float | None = None
            pool: Sequence[str | float] = ()
            if attribute in TEXT_ATTRIBUTES:
                code = self._at[attribute][row]
                own = self._vocabularies[attribute][code] if code >= 0 else None
            elif attribute in NUMBER_ATTRIBUTES:
                own = self._at[attribute][row]
            else:
                attribute = None
            if attribute is not None:
                category = self._vocabularies["category"][self._at["category"][row]]
                pool = rule_pool(self._rules, category, attribute)
            price = self._at["price_cents"][row]
            found = forms.make_variants(product_id, price, attribute, own, pool)
        if len(self._variants) >= 4096:
            self._variants.clear()
        self._variants[row] = found
        return found

    # Columns ------------------------------------------------------------------------------

    def rows(self, department: str | None = None, category: str | None = None) -> np.ndarray:
        """Sorted rows (int32, not to be written to) of a department, a category or both.

        Raises:
            UnknownName: for a department or category that the catalog lacks.
        """
        key = (department, category)
        found = self._rows.get(key)
        if found is not None:
            return found
        if department is not None and department not in self._department_at:
            raise UnknownName("department", department, self.departments)
        if category is not None:
            if category not in self._category_at:
                raise UnknownName("category", category, self.categories)
            found = self._shelf("category", self._category_at[category])
            if department is not None:
                code = self._department_at[department]
                found = found[self._codes["department"][found] == code]
        elif department is not None:
            found = self._shelf("department", self._department_at[department])
        else:
            found = np.arange(self.size, dtype=np.int32)
        found.flags.writeable = False
        self._rows[key] = found
        return found

    def _shelf(self, name: str, code: int) -> np.ndarray:
        order, starts = self._orders[name]
        return order[starts[code] : starts[code + 1]]

    def codes(self, attribute: str) -> np.ndarray:
        """Positions in :meth:`vocabulary` (int32, shape (size,)), −1 where missing.

        Raises:
            UnknownName: unless it is a text attribute, brand, store, category or department.
        """
        if attribute not in self._codes:
            raise UnknownName("text attribute", attribute, self._codes)
        return self._codes[attribute]

    def vocabulary(self, attribute: str) -> tuple[str, ...]:
        """The values of a text attribute that occur, sorted.

        Raises:
            UnknownName: unless it is a text attribute, brand, store, category or department.
        """
        if attribute not in self._vocabularies:
            raise UnknownName("text attribute", attribute, self._vocabularies)
        return self._vocabularies[attribute]

    def numbers(self, attribute: str) -> np.ndarray:
        """A number column, shape (size,): int64, or float64 with NaN where missing.

        Raises:
            UnknownName: unless it is a number column.
        """
        if attribute not in self._numbers:
            raise UnknownName("number attribute", attribute, self._numbers)
        return self._numbers[attribute]

    # Constraints --------------------------------------------------------------------------

    def mask(self, rows: np.ndarray, constraints: Iterable[Constraint]) -> np.ndarray:
        """Which of ``rows`` meet all constraints: bool of the same shape.

        As :meth:`Constraint.holds`, save that a product also meets a requirement on the
        attribute that varies if one of its other variants does.

        Raises:
            UnknownName: for a constraint on something that is no attribute.
        """
        rows = np.asarray(rows)
        out: np.ndarray | None = None
        for constraint in constraints:
            held = self._holds(rows, constraint)
            out = held if out is None else out & held
        return np.ones(len(rows), dtype=bool) if out is None else out

    def _holds(self, rows: np.ndarray, constraint: Constraint) -> np.ndarray:
        name, op, value = constraint.attribute, constraint.op, constraint.value
        if name == "title":
            if op == "contains":
                return self._contains(rows, str(value))
            folded = str(value).casefold()
            return np.array([op == "eq" and t.casefold() == folded for t in self.titles(rows)])
        if name in self._codes and name != "varies_by":
            held = self._text_holds(self._codes[name][rows], name, constraint)
        elif name in self._numbers:
            if op == "contains":
                held = self._number_contains(rows, name, str(value))
            else:
                held = _compare(self._numbers[name][rows], op, value)
        else:
            raise UnknownName("attribute", name, (*CONSTRAINT_ATTRIBUTES, "title", "department"))
        if name in self._varied:
            code = self._vocabularies["varies_by"].index(name)
            vary = self._codes["varies_by"][rows] == code
            held = held | (vary & self._other_holds(rows, constraint))
        if self.manifest.get("native_variants"):
            held = self._native_holds(rows, constraint, held)
        return held

    def _text_holds(self, codes: np.ndarray, name: str, constraint: Constraint) -> np.ndarray:
        if constraint.op == "eq":
            wanted = self._fold(name).get(str(constraint.value).casefold(), [])
            if len(wanted) == 1:
                return codes == wanted[0]
        elif constraint.op == "contains":
            phrase = str(constraint.value)
            wanted = [
                i for i, v in enumerate(self._vocabularies[name]) if contains_words(v, phrase)
            ]
        else:
            wanted = []
        if not wanted:
            return np.zeros(len(codes), dtype=bool)
        return np.isin(codes, np.array(wanted, dtype=np.int32))

    def _fold(self, name: str) -> dict[str, list[int]]:
        found = self._folded.get(name)
        if found is None:
            found = {}
            for i, value in enumerate(self._vocabularies[name]):
                found.setdefault(value.casefold(), []).append(i)
            self._folded[name] = found
        return found

    def _number_contains(self, rows: np.ndarray, name: str, phrase: str) -> np.ndarray:
        column = self._numbers[name]
        out = []
        for row in rows:
            value = column[row].item()
            out.append(value == value and contains_words(str(value), phrase))
        return np.array(out, dtype=bool)

    def _other_holds(self, rows: np.ndarray, constraint: Constraint) -> np.ndarray:
        others = self._alternatives[rows]
        name, value = constraint.attribute, constraint.value
        if name in NUMBER_ATTRIBUTES:
            if constraint.op == "contains":
                return np.zeros(len(rows), dtype=bool)
            held = _compare(others, constraint.op, value)
        elif constraint.op == "eq":
            at = self._pool_words[name].get(str(value).casefold(), -1)
            held = others == at
        elif constraint.op == "contains":
            wanted = [i for v, i in self._pool_words[name].items() if contains_words(v, str(value))]
            held = np.isin(others, np.array(wanted, dtype=np.float64))
        else:
            return np.zeros(len(rows), dtype=bool)
        return held[:, 0] | held[:, 1]

    def _native_holds(
        self, rows: np.ndarray, constraint: Constraint, held: np.ndarray
    ) -> np.ndarray:
        if self._native_rows is None:
            ends = self._texts["variants"].ends
            self._native_rows = np.flatnonzero(np.diff(ends)).astype(np.int32)
        name = constraint.attribute
        for at in np.flatnonzero(np.isin(rows, self._native_rows) & ~held):
            row = int(rows[at])
            if name in self.varying_at(row) and any(
                _variant_holds(v, constraint) for v in self.variants_at(row)
            ):
                held[at] = True
        return held

    def _contains(self, rows: np.ndarray, phrase: str) -> np.ndarray:
        codes = self._codes["category"][rows]
        out = np.zeros(len(rows), dtype=bool)
        for code in np.unique(codes):
            matched = self._phrase_rows(int(code), phrase)
            if len(matched):
                at = np.searchsorted(matched, rows)
                at[at == len(matched)] = 0
                out |= matched[at] == rows
        return out

    def _phrase_rows(self, category: int, phrase: str) -> np.ndarray:
        """Sorted rows of a category whose titles contain the words of ``phrase`` in order."""
        key = (category, phrase)
        found = self._phrases.get(key)
        if found is None:
            index = self._title_index(category)
            candidates = index.candidates(words(phrase))
            text = self._texts["title"]
            found = np.array(
                [row for row in candidates if contains_words(text[row], phrase)], dtype=np.int32
            )
            if len(self._phrases) >= 8192:
                self._phrases.clear()
            self._phrases[key] = found
        return found

    def _title_index(self, category: int) -> _TitleIndex:
        found = self._tokens.get(category)
        if found is None:
            rows = self._shelf("category", category)
            found = _TitleIndex(rows, self.titles(rows))
            self._tokens[category] = found
        return found

    def title_phrase(self, row: int) -> str:
        """The words of a title that a customer would use as the product's name.

        For synthetic products the model name; for imported ones the one to four consecutive
        words that are rarest in the category. It never holds the value that varies. Empty if
        the title has no word that could serve.
        """
        product = self.product_at(row)
        if self.manifest.get("naming") == "brand model2":
            rest = product.title[len(product.brand) :].split()
            if product.title.startswith(product.brand + " ") and len(rest) >= 2:
                return " ".join(rest[:2])
        hidden = {
            str(product.attributes[a]) for a in self.varying_at(row) if a in product.attributes
        }
        for variant in self.variants_at(row):
            hidden.update(variant.attributes.values())
        index = self._title_index(int(self._codes["category"][row]))
        return naming.rare_phrase(product.title, product.brand, index.count, sorted(hidden))


def _variant_holds(variant: Variant, constraint: Constraint) -> bool:
    """True if a variant's own statement meets a constraint; numbers are read from its text."""
    have = variant.attributes.get(constraint.attribute)
    if have is None:
        return False
    if constraint.op == "contains":
        return contains_words(have, str(constraint.value))
    if constraint.attribute in NUMBER_ATTRIBUTES:
        try:
            number = float(have.split()[0])
        except (ValueError, IndexError):
            return False
        return bool(_compare(np.array([number]), constraint.op, constraint.value)[0])
    return constraint.op == "eq" and have.casefold() == str(constraint.value).casefold()


def _compare(have: np.ndarray, op: str, value: Any) -> np.ndarray:
    if op == "between":
        if not isinstance(value, tuple) or len(value) != 2:
            return np.zeros(have.shape, dtype=bool)
        return (have >= value[0]) & (have <= value[1])
    if isinstance(value, (str, tuple)):
        return np.zeros(have.shape, dtype=bool)
    if op == "le":
        return have <= value
    if op == "ge":
        return have >= value
    return have == value


class _TitleIndex:
    """Which titles of one category hold a word."""

    def __init__(self, rows: np.ndarray, titles: Sequence[str]) -> None:
        places: dict[str, list[int]] = {}
        for row, title in zip(rows.tolist(), titles, strict=True):
            for word in dict.fromkeys(words(title)):
                places.setdefault(word, []).append(row)
        self.places = {word: np.array(at, dtype=np.int32) for word, at in places.items()}

    def count(self, word: str) -> int:
        """In how many titles of the category a (folded) word stands."""
        return len(self.places.get(word, ()))

    def candidates(self, wanted: Sequence[str]) -> list[int]:
        """Rows that hold all words, in any order."""
        lists = sorted((self.places.get(w, _NONE) for w in wanted), key=len)
        if not lists:
            return []
        found = lists[0]
        for other in lists[1:]:
            found = np.intersect1d(found, other, assume_unique=True)
        return [int(row) for row in found]


_NONE = np.zeros(0, dtype=np.int32)
