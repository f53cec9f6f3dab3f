"""Search over one catalog: query text to rows, best first.

Filters act inside the index search. A search depends on the query's text, the filters, the
catalog and the index alone; :func:`distract` adds the noise of the distractor axis on top.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ecomkit.core.errors import IndexDamaged
from ecomkit.core.records import Constraint
from ecomkit.core.seeds import rng
from ecomkit.shop.search import index as files
from ecomkit.shop.search.embed import Encoder, TransformerEncoder, Vectors
from ecomkit.shop.search.index import FlatIndex, IvfIndex, Rows, Scores, Selection

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

T = TypeVar("T")

_LONGEST_KEPT = 2000
"""Results of longer queries are not remembered: 4,096 of them must not fill the memory."""


class _Recent(OrderedDict[Hashable, T]):
    """The last ``limit`` entries used, for any number of threads. What is kept is shared: it must
    not be written to."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._lock = Lock()

    def find(self, key: Hashable) -> T | None:
        with self._lock:
            found = self.get(key)
            if found is not None:
                self.move_to_end(key)
            return found

    def keep(self, key: Hashable, value: T) -> T:
        with self._lock:
            self[key] = value
            if len(self) > self._limit:
                self.popitem(last=False)
            return value


class SearchEngine:
    """An index and its encoder over one catalog. Made by :func:`open_search`.

    ``hash`` names model and index: the same hash and catalog give the same results. Threads may
    share an engine. A copy is the engine itself; a pickle names its folder, which is opened again.
    """

    def __init__(
        self,
        catalog: Catalog,
        encoder: Encoder | _LaterEncoder,
        index: FlatIndex | IvfIndex,
        manifest: Mapping[str, Any],
    ) -> None:
        self.catalog = catalog
        self.index = index
        self.manifest = dict(manifest)
        self.hash: str = manifest["hash"]
        self.folder: Path | None = None
        self.model: str | Path | None = None
        """Where a transformer model lies, if not under its own name."""
        self._encoder = encoder
        self._loading = Lock()
        self._results: _Recent[tuple[Rows, Scores]] = _Recent(4096)
        self._queries: _Recent[Vectors] = _Recent(4096)
        # Up to 8 MB each in a catalog of 2,000,000.
        self._filtered: _Recent[Selection] = _Recent(64 if catalog.size <= 200_000 else 16)

    def __repr__(self) -> str:
        kind = self.manifest["index"]["kind"]
        return f"SearchEngine({self.catalog.size:,} products, {kind}, {self.hash[:12]})"

    def __copy__(self, memo: Any = None) -> SearchEngine:
        return self

    __deepcopy__ = __copy__

    def __reduce__(self) -> tuple[Any, ...]:
        if self.folder is None:
            raise TypeError("a search engine can be pickled if open_search made it from a folder")
        return _reopen, (str(self.folder), self.hash, self.catalog, self.model)

    @property
    def encoder(self) -> Encoder:
        """The query encoder; a transformer model is loaded when first used."""
        with self._loading:
            if isinstance(self._encoder, _LaterEncoder):
                self._encoder = self._encoder.load()
            return self._encoder

    def encode(self, query: str) -> Vectors:
        """int8 vector of a query (remembered, read-only)."""
        found = self._queries.find(query)
        if found is None:
            found = self.encoder.encode_query(query)
            found.flags.writeable = False
            if len(query) <= _LONGEST_KEPT:
                self._queries.keep(query, found)
        return found

    def search(
        self,
        query: str,
        *,
        depth: int = 200,
        filters: Iterable[Constraint] | None = None,
        department: str | None = None,
    ) -> Rows:
        """Rows of the best products, best first: int32, at most ``depth``, read-only.

        All of them meet every filter; ``depth`` counts only those. Equal scores are in the order
        of rows. An unknown category or value in a filter gives no results.

        Raises:
            UnknownName: for a filter on something that is no attribute, or an unknown department.
        """
        return self.search_scored(query, depth=depth, filters=filters, department=department)[0]

    def search_scored(
        self,
        query: str,
        *,
        depth: int = 200,
        filters: Iterable[Constraint] | None = None,
        department: str | None = None,
    ) -> tuple[Rows, Scores]:
        """:meth:`search` with scores: whole-number inner products, int64."""
        asked = tuple(filters or ())
        key = (query, depth, asked, department)
        found = self._results.find(key)
        if found is None:
            only = self._selection(asked, department)
            found = self.index.search(self.encode(query), depth, only)
            for array in found:
                array.flags.writeable = False
            if len(query) <= _LONGEST_KEPT:
                self._results.keep(key, found)
        return found

    def search_many(
        self,
        queries: Sequence[str],
        *,
        depth: int = 200,
        filters: Iterable[Constraint] | None = None,
        department: str | None = None,
    ) -> list[Rows]:
        """:meth:`search` for each query, encoding them together."""
        asked = tuple(filters or ())
        fresh = [
            q for q in dict.fromkeys(queries) if len(q) <= _LONGEST_KEPT and q not in self._queries
        ]
        for start in range(0, len(fresh), 1024):
            part = fresh[start : start + 1024]
            vectors = self.encoder.encode_queries(part)
            vectors.flags.writeable = False
            for query, vector in zip(part, vectors, strict=True):
                self._queries.keep(query, vector)
        return [
            self.search(query, depth=depth, filters=asked, department=department)
            for query in queries
        ]

    def passing(
        self, filters: Sequence[Constraint] = (), department: str | None = None
    ) -> Rows | None:
        """Sorted rows that meet filters and department (read-only); None if none are given.

        Raises:
            UnknownName: as :meth:`search`.
        """
        only = self._selection(tuple(filters), department)
        return None if only is None else only.rows

    def _selection(
        self, filters: tuple[Constraint, ...], department: str | None
    ) -> Selection | None:
        if not filters and department is None:
            return None
        key = (filters, department)
        found = self._filtered.find(key)
        if found is None:
            shelf = self._shelf(filters, department)
            rows = shelf[self.catalog.mask(shelf, filters)] if filters else shelf
            rows.flags.writeable = False
            found = self._filtered.keep(key, Selection(rows))
        return found

    def _shelf(self, filters: Sequence[Constraint], department: str | None) -> Rows:
        """The smallest ready list of rows that holds all that can pass."""
        for constraint in filters:
            if constraint.attribute == "category" and constraint.op == "eq":
                wanted = str(constraint.value).casefold()
                named = [c for c in self.catalog.categories if c.casefold() == wanted]
                if len(named) == 1:
                    return self.catalog.rows(department, named[0])
        return self.catalog.rows(department)

    def similarity(self, query_or_row: str | int, rows: Sequence[int]) -> list[int]:
        """Whole-number inner products of a query text, or of a product's row, with ``rows``.

        Raises:
            IndexError: for a row outside the catalog.
        """
        vectors = self.index.vectors
        if isinstance(query_or_row, str):
            wanted = self.encode(query_or_row)
        else:
            wanted = vectors[query_or_row]
        at = np.asarray(rows, dtype=np.int64)
        if at.size == 0:
            return []
        return [int(score) for score in files.inner_products(vectors, at, wanted)]


class _LaterEncoder:
    """A transformer model that is loaded when the first query comes."""

    def __init__(self, name: str | Path, dims: int, scale: float, expected: str) -> None:
        self.name, self.dims, self.scale, self.expected = name, dims, scale, expected

    def load(self) -> TransformerEncoder:
        encoder = TransformerEncoder(self.name, dims=self.dims, scale=self.scale)
        if encoder.hash != self.expected:
            raise IndexDamaged(
                f"the model {str(self.name)!r} is not the one the embeddings were made with "
                f"({encoder.hash[:16]} instead of {self.expected[:16]}); name that one, or run "
                "scripts/build_embeddings.py again"
            )
        return encoder


def open_search(
    folder: str | Path, catalog: Catalog, *, check: bool = True, model: str | Path | None = None
) -> SearchEngine:
    """The search engine of a folder made by ``build_embeddings`` and ``build_index``.

    ``check`` compares SHA-256 sums (about a second per 2,000,000 products); sizes and shapes are
    compared always. ``model`` says where a transformer model lies, if not under its own name.

    Raises:
        SearchUnavailable: if faiss, or a package the encoder needs, is missing.
        IndexDamaged: if a file is missing, cut short or altered; names it and the remedy.
        CatalogError: if the folder was built from another catalog.
    """
    folder = Path(folder)
    manifest = files.read_manifest(folder)
    files.check_catalog(folder, manifest, catalog)
    if not manifest.get("index"):
        raise IndexDamaged(f"{folder}: has embeddings but no index; run scripts/build_index.py")
    files.load_faiss()
    kind = manifest["encoder"]["kind"]
    needed = ["vectors.npy", "index.faiss"]
    needed += ["centroids.npy"] if manifest["index"]["kind"] == "ivf" else []
    needed += [name for name in manifest["files"] if name.startswith("encoder/")]
    files.ensure_vectors(folder, manifest)
    files.check_files(folder, manifest, needed, sums=check)
    encoder: Encoder | _LaterEncoder
    if kind == "static":
        encoder = files.read_static(folder / "encoder")
        if encoder.hash != manifest["encoder_hash"]:
            raise IndexDamaged(f"{folder}/encoder: not the encoder that the manifest names")
    else:
        local = folder / "model"
        name = model or (local if local.is_dir() else manifest["encoder"]["name"])
        encoder = _LaterEncoder(
            name, manifest["dims"], manifest["encoder"]["scale"], manifest["encoder_hash"]
        )
    engine = SearchEngine(catalog, encoder, files.open_index(folder, manifest), manifest)
    engine.folder = Path(os.path.abspath(folder))
    engine.model = model
    return engine


def _reopen(folder: str, pickled: str, catalog: Catalog, model: str | Path | None) -> SearchEngine:
    engine = open_search(folder, catalog, check=False, model=model)
    if engine.hash != pickled:
        raise IndexDamaged(
            f"{folder} holds the search {engine.hash[:12]}…, not {pickled[:12]}… that was pickled: "
            "it was replaced since; load the catalog and pickle it again"
        )
    return engine


def distract(
    rows: Rows | Sequence[int],
    catalog: Catalog,
    p: float,
    episode_key: int | str,
    query: str,
) -> Rows:
    """``rows`` with each result replaced, with chance ``p``, by a random product of its department.

    Which places are replaced depends on the episode's key and the query's text alone, so every
    page of a query, asked for whenever, shows the same list. A replacement is never a product
    already in the list, unless the department has no other.
    """
    out = np.array(rows, dtype=np.int32)
    if p <= 0.0:
        return out
    stream = rng("distract", episode_key, query)
    places = [i for i in range(len(out)) if stream.chance(p)]
    if not places:
        return out
    shown = set(out.tolist())
    codes, vocabulary = catalog.codes("department"), catalog.vocabulary("department")
    for place in places:
        draw = stream.child(place)
        shelf = catalog.rows(vocabulary[codes[out[place]]])
        if len(shelf) < 4 * len(shown):
            shelf = shelf[~np.isin(shelf, sorted(shown))]
            if not len(shelf):
                continue
        row = int(shelf[draw.below(len(shelf))])
        while row in shown:
            row = int(shelf[draw.below(len(shelf))])
        shown.add(row)
        out[place] = row
    return out
