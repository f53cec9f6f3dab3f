"""Files of a search folder: embeddings, and a FAISS index over them.

::

    manifest.json             hashes of catalog, encoder and files; written last
    README.md                 card whose ``configs:`` let load_dataset open the embeddings
    data/embeddings-*.parquet product_id, embedding (int8, fixed length), in catalog order
    vectors.npy               the same vectors, (n, dims) int8, memory-mapped by searches
    encoder/                  token table, tokenizer and word weights of the static encoder
    index.faiss               exact flat or inverted-file (IVF) index
    centroids.npy             IVF: whole-number centroids, (nlist, dims) int8

Everything is exact. int8 vectors with at most 1,000 dimensions have whole-number inner products
below 2^24, which float32 holds exactly in any order of summation; ties go to the lower row. The
centroids of an IVF index come from spherical k-means in whole numbers too (:func:`train`), so
even training gives the same bytes on every machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ecomkit.core.errors import CatalogError, IndexDamaged, SearchUnavailable
from ecomkit.core.seeds import digest
from ecomkit.shop.search import embed
from ecomkit.shop.search.embed import StaticEncoder, TransformerEncoder, Vectors

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

FORMAT = 1
SHARD_ROWS = {"static": 100_000, "transformer": 20_000}
"""Products per file, and between two points from which an interrupted build can go on."""

FLAT_UP_TO = 200_000
"""Catalogs up to this size get an exact flat index unless told otherwise."""

Progress = Callable[[str, int, int], None]
Scores = NDArray[np.int64]
Rows = NDArray[np.int32]


def _quiet(what: str, done: int, total: int) -> None:
    return None


def load_faiss() -> Any:
    """The faiss module, set to one thread where this one calls it: a query is too short to share
    out, and threads that wait for one another cost a busy machine milliseconds. Results do not
    depend on it.

    Raises:
        SearchUnavailable: if it is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise SearchUnavailable(
            "search needs the package faiss-cpu; pip install 'ecomkit[search]'"
        ) from None
    faiss.omp_set_num_threads(1)
    return faiss


# -------------------------------------------------------------------------------------- writing


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    part = path.with_name(path.name + ".tmp")
    part.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", "utf-8")
    part.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _listed(folder: Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        name: {"sha256": _sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name in names
    }


def build_embeddings(
    catalog: Catalog,
    folder: str | Path,
    model: str | Path = "static",
    *,
    encoder: StaticEncoder | TransformerEncoder | None = None,
    dims: int | None = None,
    device: str = "",
    shard_rows: int | None = None,
    progress: Progress = _quiet,
) -> dict[str, Any]:
    """Write the embeddings of a catalog to ``folder`` and return the manifest.

    ``model`` is ``static`` (offline default) or a sentence-transformers model's name or folder;
    ``encoder`` gives a ready one instead. Work goes on in ``<folder>.partial`` and is renamed at
    the end; after an interruption the same call goes on where it stopped. A folder that already
    holds these embeddings is left as it is. ``progress(step, done, total)``.

    Raises:
        SearchUnavailable: if the model or a package it needs is missing.
        OSError: if the disk is full; what is finished stays and is used by the next call.
    """
    folder = Path(folder)
    if encoder is None and str(model) == "static":
        done = _made_before(folder, {"catalog_hash": catalog.hash, "format": FORMAT})
        if done and done["encoder"].get("version") == embed.STATIC_VERSION:
            return done
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    ready = encoder or _encoder(catalog, partial, model, dims, device, progress)
    _save_encoder(ready, partial)
    key = {
        "format": FORMAT,
        "catalog_hash": catalog.hash,
        "rows": catalog.size,
        "dims": ready.dims,
        "encoder_hash": ready.hash,
        "shard_rows": shard_rows or SHARD_ROWS[ready.kind],
    }
    old = _made_before(folder, key)
    if old is not None:
        shutil.rmtree(partial)
        return old
    shards = _embed_shards(catalog, partial, ready, key, progress)
    names = [*shards, "vectors.npy", *sorted(_encoder_files(partial))]
    (partial / "README.md").write_text(_card(key, ready), "utf-8")
    manifest = {
        **key,
        "encoder": {
            "kind": ready.kind,
            "name": _public_name(ready),
            "scale": _scale(ready),
            "version": embed.STATIC_VERSION if isinstance(ready, StaticEncoder) else None,
            "table_digest": (
                embed.table_digest(ready.table) if isinstance(ready, StaticEncoder) else None
            ),
        },
        "files": _listed(partial, names),
        "index": None,
    }
    manifest["hash"] = _manifest_hash(manifest)
    for name in ("state.json", "encoder.json"):
        (partial / name).unlink(missing_ok=True)
    _write_json(partial / "manifest.json", manifest)
    if folder.exists():
        aside = folder.with_name(folder.name + ".old")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        partial.rename(folder)
        shutil.rmtree(aside)
    else:
        partial.rename(folder)
    return manifest


def _made_before(folder: Path, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest of a folder that is whole and fits ``key``, or None."""
    try:
        old = _read_json(folder / "manifest.json")
        if all(old.get(name) == value for name, value in key.items()):
            check_files(folder, old, _data_files(old))
            return old
    except (OSError, ValueError, KeyError, IndexDamaged):
        pass
    return None


def _scale(encoder: StaticEncoder | TransformerEncoder) -> float | None:
    return encoder.scale if isinstance(encoder, TransformerEncoder) else None


def _public_name(encoder: StaticEncoder | TransformerEncoder) -> str:
    """The model's name; of a local folder only its last part, and its files are copied along."""
    return Path(encoder.name).name if Path(encoder.name).is_dir() else encoder.name


def _data_files(manifest: Mapping[str, Any]) -> list[str]:
    return [name for name in manifest["files"] if not name.startswith(("index", "centroids"))]


def _encoder_files(folder: Path) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for top in ("encoder", "model")
        for path in (folder / top).rglob("*")
        if path.is_file()
    ]


def _encoder(
    catalog: Catalog,
    partial: Path,
    model: str | Path,
    dims: int | None,
    device: str,
    progress: Progress,
) -> StaticEncoder | TransformerEncoder:
    if str(model) == "static":
        return _static_encoder(catalog, partial, progress)
    encoder = TransformerEncoder(model, dims=dims, device=device)
    sample = sorted({i * catalog.size // 1024 for i in range(min(1024, catalog.size))})
    encoder.calibrate([embed.product_texts(catalog, row, row + 1)[0] for row in sample])
    return encoder


def _static_encoder(catalog: Catalog, partial: Path, progress: Progress) -> StaticEncoder:
    mark = {"catalog_hash": catalog.hash, "table": embed.TABLE_DIGEST}
    try:
        if _read_json(partial / "encoder.json") == mark:
            return read_static(partial / "encoder")
    except (OSError, ValueError, IndexDamaged):
        pass
    table = embed.token_table(lambda done, total: progress("distilling tokens", done, total))
    weights = catalog_weights(catalog, progress)
    encoder = StaticEncoder(table, embed.bundled_tokenizer(), weights)
    _save_encoder(encoder, partial)
    _write_json(partial / "encoder.json", mark)
    return encoder


def catalog_weights(catalog: Catalog, progress: Progress = _quiet) -> NDArray[np.uint8]:
    """Word weights of a catalog (:func:`embed.word_weights`), in chunks."""
    counts: dict[str, int] = {}
    for start in range(0, catalog.size, 8192):
        stop = min(start + 8192, catalog.size)
        for words in embed.product_words(catalog, start, stop):
            for word in words:
                counts[word] = counts.get(word, 0) + 1
        progress("counting words", stop, catalog.size)
    buckets = np.zeros(embed.WORD_BUCKETS, np.int64)
    for word, n in counts.items():
        buckets[embed.word_bucket(word)] += n
    return embed.weights_of_counts(buckets, catalog.size)


def _save_encoder(encoder: StaticEncoder | TransformerEncoder, folder: Path) -> None:
    if isinstance(encoder, StaticEncoder):
        target = folder / "encoder"
        target.mkdir(exist_ok=True)
        for name, array in (("tokens.npy", encoder.table), ("words.npy", encoder.weights)):
            _save_array(target / name, array)
        (target / "tokenizer.json").write_text(encoder.tokenizer_json, "utf-8")
    elif Path(encoder.name).is_dir():
        shutil.copytree(encoder.name, folder / "model", dirs_exist_ok=True)


def _save_array(path: Path, array: NDArray[Any]) -> None:
    part = path.with_name(path.name + ".tmp")
    with part.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    part.replace(path)


def read_static(folder: Path) -> StaticEncoder:
    """A static encoder from its three files.

    Raises:
        IndexDamaged: if one is missing or does not read.
    """
    try:
        table = np.load(folder / "tokens.npy", allow_pickle=False)
        weights = np.load(folder / "words.npy", allow_pickle=False)
        tokenizer = (folder / "tokenizer.json").read_text("utf-8")
    except (OSError, ValueError) as error:
        raise IndexDamaged(f"encoder files in {folder}: {error}; {_REMEDY}") from None
    return StaticEncoder(table, tokenizer, weights)


_REMEDY = "delete the folder and run scripts/build_embeddings.py and scripts/build_index.py again"


def _embed_shards(
    catalog: Catalog,
    folder: Path,
    encoder: StaticEncoder | TransformerEncoder,
    key: Mapping[str, Any],
    progress: Progress,
) -> list[str]:
    """Write shards and ``vectors.npy``, skipping shards that an earlier run finished."""
    size, step, dims = catalog.size, int(key["shard_rows"]), encoder.dims
    count = max(1, -(-size // step))
    names = [f"data/embeddings-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
    (folder / "data").mkdir(exist_ok=True)
    state_path, vectors_path = folder / "state.json", folder / "vectors.npy"
    try:
        state = _read_json(state_path)
        if state["key"] != dict(key):
            state = {"key": dict(key), "done": []}
    except (OSError, ValueError, KeyError):
        state = {"key": dict(key), "done": []}
    header = _npy_header(size, dims)
    done = _finished(folder, names, state["done"], len(header), step * dims, size * dims)
    with vectors_path.open("r+b" if done else "wb") as file:
        if not done:
            file.write(header)
        # Plain writes, not a memory map: a full disk then is an OSError, not a dead process.
        file.truncate(len(header) + min(done * step, size) * dims)
        file.seek(0, os.SEEK_END)
        del state["done"][done:]
        for i in range(done, count):
            start, stop = i * step, min((i + 1) * step, size)
            chunks = []
            for at in range(start, stop, 4096):
                to = min(at + 4096, stop)
                chunks.append(_encode_rows(catalog, encoder, at, to))
                progress("embedding", to, size)
            vectors = np.concatenate(chunks) if chunks else np.zeros((0, dims), np.int8)
            file.write(vectors.tobytes())
            file.flush()
            _write_shard(folder / names[i], catalog, start, vectors)
            state["done"].append(hashlib.sha256(vectors.tobytes()).hexdigest())
            _write_json(state_path, state)
    return names


def _encode_rows(
    catalog: Catalog, encoder: StaticEncoder | TransformerEncoder, start: int, stop: int
) -> Vectors:
    if isinstance(encoder, StaticEncoder):
        return encoder.encode_words(list(embed.product_words(catalog, start, stop)))
    return encoder.encode_documents(embed.product_texts(catalog, start, stop))


def _npy_header(size: int, dims: int) -> bytes:
    import io

    out = io.BytesIO()
    shape = {"descr": "|i1", "fortran_order": False, "shape": (size, dims)}
    np.lib.format.write_array_header_1_0(out, shape)
    return out.getvalue()


def _finished(
    folder: Path, names: Sequence[str], sums: Sequence[str], offset: int, block: int, total: int
) -> int:
    """How many leading shards are whole, in the parquet file and in ``vectors.npy``."""
    done = 0
    try:
        with (folder / "vectors.npy").open("rb") as file:
            file.seek(offset)
            for name, expected in zip(names, sums, strict=False):
                data = file.read(min(block, total - done * block))
                if hashlib.sha256(data).hexdigest() != expected or not (folder / name).exists():
                    break
                done += 1
    except OSError:
        return 0
    return done


def _write_shard(path: Path, catalog: Catalog, start: int, vectors: Vectors) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = [catalog.product_id(row) for row in range(start, start + len(vectors))]
    flat = pa.array(vectors.reshape(-1))
    table = pa.table(
        {
            "product_id": pa.array(ids, pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        }
    )
    part = path.with_name(path.name + ".tmp")
    pq.write_table(table, part, compression="zstd")
    part.replace(path)


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Identity of model and index: what an episode's ``search_hash`` holds."""
    index = dict(manifest["index"] or {})
    kept = ("format", "catalog_hash", "rows", "dims", "encoder_hash")
    vectors = manifest["files"]["vectors.npy"]["sha256"]
    centroids = manifest["files"].get("centroids.npy", {}).get("sha256", "")
    return digest([[manifest[name] for name in kept], vectors, index, centroids])


def _card(key: Mapping[str, Any], encoder: StaticEncoder | TransformerEncoder) -> str:
    how = (
        "token vectors distilled from MiniLM plus hashed spelling features, in whole numbers"
        if isinstance(encoder, StaticEncoder)
        else f"{_public_name(encoder)}, unit vectors x {encoder.scale:g}, rounded to int8"
    )
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
---
# Product embeddings

{key["rows"]:,} products, {key["dims"]} dimensions, int8: {how}.

| | |
| --- | --- |
| catalog | `{key["catalog_hash"]}` |
| encoder | `{key["encoder_hash"]}` |

`embedding` is in the order of the catalog's rows. Similarity is the inner product, a whole
number. `vectors.npy` holds the same numbers for memory-mapping; `index.faiss`, where present, is
the FAISS index over them. Load both with `ecomkit.load_catalog(CATALOG, search=THIS_FOLDER)`.
"""


# ------------------------------------------------------------------------------------- indexing


def build_index(
    folder: str | Path,
    kind: str = "auto",
    *,
    nlist: int | None = None,
    nprobe: int | None = None,
    rounds: int = 8,
    progress: Progress = _quiet,
) -> dict[str, Any]:
    """Add an index to a folder of embeddings and return the new manifest.

    ``kind`` is ``flat`` (exact), ``ivf``, or ``auto``: flat up to 200,000 products. IVF has
    ``nlist`` lists (default: the power of two nearest 3 sqrt(n)) of which a search reads the
    ``nprobe`` nearest (default: nlist / 64, at least 16).

    Raises:
        IndexDamaged: if the embeddings are missing or damaged.
        SearchUnavailable: without faiss.
        ValueError: for another ``kind``, or nlist or nprobe out of range.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    check_files(folder, manifest, ["vectors.npy"])
    vectors = open_vectors(folder, manifest)
    size = len(vectors)
    if kind == "auto":
        kind = "flat" if size <= FLAT_UP_TO else "ivf"
    if kind not in ("flat", "ivf"):
        raise ValueError(f"unknown index kind {kind!r}; choose from auto, flat, ivf")
    faiss = load_faiss()
    for name in ("index.faiss", "centroids.npy"):
        manifest["files"].pop(name, None)
    manifest["index"] = None
    manifest["hash"] = _manifest_hash(manifest)
    # Should the next lines be interrupted, the folder says "no index", never a wrong one.
    _write_json(folder / "manifest.json", manifest)
    names = ["index.faiss"]
    if kind == "flat":
        index = _flat(faiss, vectors, progress)
        manifest["index"] = {"kind": "flat"}
    else:
        nlist = nlist or 1 << max(0, round(math.log2(max(1.0, 3 * math.sqrt(size)))))
        nprobe = nprobe or min(nlist, max(16, nlist // 64))
        if not 1 <= nprobe <= nlist <= max(1, size):
            raise ValueError(
                f"an index over {size} products needs 1 <= nprobe <= nlist <= {size}; "
                f"got nlist {nlist}, nprobe {nprobe}"
            )
        centroids = train(vectors, nlist, rounds, progress)
        index = _ivf(faiss, vectors, centroids, progress)
        _save_array(folder / "centroids.npy", centroids)
        names.append("centroids.npy")
        manifest["index"] = {"kind": "ivf", "nlist": nlist, "nprobe": nprobe, "rounds": rounds}
    part = folder / "index.faiss.tmp"
    try:
        faiss.write_index(index, str(part))
    except RuntimeError as error:
        part.unlink(missing_ok=True)
        raise OSError(f"{part}: could not be written ({error})") from None
    part.replace(folder / "index.faiss")
    manifest["files"].update(_listed(folder, names))
    manifest["hash"] = _manifest_hash(manifest)
    _write_json(folder / "manifest.json", manifest)
    return manifest


def _flat(faiss: Any, vectors: Vectors, progress: Progress) -> Any:
    kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
    index = faiss.IndexScalarQuantizer(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    for start in range(0, len(vectors), 65536):
        index.add(vectors[start : start + 65536].astype(np.float32))
        progress("indexing", min(start + 65536, len(vectors)), len(vectors))
    return index


def train(
    vectors: Vectors, nlist: int, rounds: int = 8, progress: Progress = _quiet
) -> NDArray[np.int8]:
    """Centroids of spherical k-means in whole numbers: int8 (nlist, dims).

    Starts from evenly spaced rows; trains on at most 48 rows a list, evenly spaced too. Every
    vector goes to the centroid with the largest inner product, the lower number on a tie; a
    centroid is its members' sum, scaled to length 400 and rounded. An empty list takes the
    members of the largest list that lie on odd places.
    """
    size = len(vectors)
    count = min(size, 48 * nlist)
    sample = vectors[np.arange(count) * size // count]
    centroids = sample[np.arange(nlist) * count // nlist].copy()
    for turn in range(rounds):
        lists = assign(sample, centroids, lambda *_: None)
        progress("training", turn + 1, rounds)
        order = np.argsort(lists, kind="stable")
        sizes = np.bincount(lists, minlength=nlist)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        members = {i: order[starts[i] : starts[i + 1]] for i in range(nlist)}
        for i in np.flatnonzero(sizes == 0).tolist():
            largest = max(members, key=lambda j: (len(members[j]), -j))
            members[i], members[largest] = members[largest][1::2], members[largest][::2]
        sums = np.stack([sample[members[i]].sum(0, dtype=np.int64) for i in range(nlist)])
        centroids = embed.scale_rows(sums, embed.TEXT_NORM)
    return centroids


def assign(
    vectors: Vectors, centroids: NDArray[np.int8], progress: Progress = _quiet
) -> NDArray[np.int32]:
    """The list of each vector: int32 (n,), the lower number on a tie."""
    columns = np.ascontiguousarray(centroids.T.astype(np.float32))
    out = np.empty(len(vectors), np.int32)
    for start in range(0, len(vectors), 8192):
        part = vectors[start : start + 8192].astype(np.float32)
        out[start : start + 8192] = (part @ columns).argmax(1)
        progress("assigning", min(start + 8192, len(vectors)), len(vectors))
    return out


def _ivf(faiss: Any, vectors: Vectors, centroids: NDArray[np.int8], progress: Progress) -> Any:
    nlist, dims = centroids.shape
    quantizer = faiss.IndexFlatIP(dims)
    quantizer.add(centroids.astype(np.float32))
    index = faiss.IndexIVFScalarQuantizer(
        quantizer,
        dims,
        nlist,
        faiss.ScalarQuantizer.QT_8bit_direct_signed,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    index.is_trained = True
    lists = assign(vectors, centroids, progress)
    order = np.argsort(lists, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(lists, minlength=nlist))])
    for i in range(nlist):
        rows = np.ascontiguousarray(order[starts[i] : starts[i + 1]], np.int64)
        if len(rows):
            # FAISS stores x + 128 as an unsigned byte.
            codes = np.ascontiguousarray((vectors[rows].astype(np.int16) + 128).astype(np.uint8))
            index.invlists.add_entries(
                i, len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(codes.reshape(-1))
            )
    index.ntotal = len(vectors)
    return index


# -------------------------------------------------------------------------------------- reading


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a search folder.

    Raises:
        IndexDamaged: if it is missing or lacks something.
    """
    path = folder / "manifest.json"
    if not folder.is_dir():
        raise IndexDamaged(
            f"{folder}: no such folder; make it with scripts/build_embeddings.py and "
            "scripts/build_index.py"
        )
    try:
        manifest = _read_json(path)
    except (OSError, ValueError) as error:
        raise IndexDamaged(f"{path}: {error}; {_REMEDY}") from None
    needed = ("format", "catalog_hash", "rows", "dims", "encoder", "encoder_hash", "files", "hash")
    missing = [name for name in needed if name not in manifest]
    if missing or manifest["format"] != FORMAT:
        raise IndexDamaged(
            f"{path}: "
            + (f"lacks {', '.join(missing)}" if missing else f"format {manifest['format']}")
            + f"; {_REMEDY}"
        )
    return manifest


def check_files(
    folder: Path, manifest: Mapping[str, Any], names: Sequence[str], sums: bool = True
) -> None:
    """Compare size and, with ``sums``, SHA-256 of files with the manifest.

    Raises:
        IndexDamaged: naming the first file that is missing, cut short or altered.
    """
    for name in names:
        expected = manifest["files"].get(name)
        path = folder / name
        if expected is None:
            raise IndexDamaged(f"{path}: not in the manifest; {_REMEDY}")
        if name == "vectors.npy":
            path = vectors_path(folder, manifest)
        if not path.is_file():
            raise IndexDamaged(f"{path}: missing; {_REMEDY}")
        if path.stat().st_size != expected["bytes"]:
            raise IndexDamaged(
                f"{path}: {path.stat().st_size} bytes instead of {expected['bytes']}; {_REMEDY}"
            )
        if sums and _sha256(path) != expected["sha256"]:
            raise IndexDamaged(f"{path}: its content is not what the manifest says; {_REMEDY}")


def vectors_path(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Where ``vectors.npy`` lies: in the folder, or in the user's cache if it was made again."""
    own = folder / "vectors.npy"
    return own if own.exists() else _vectors_places(folder, manifest)[-1]


def _vectors_places(folder: Path, manifest: Mapping[str, Any]) -> list[Path]:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    digested = str(manifest["files"]["vectors.npy"]["sha256"])[:32]
    mine = Path(base) / "ecomkit" / "embeddings" / digested / "vectors.npy"
    # A snapshot in the download cache of the Hub's client is that client's: it stays as it is.
    return [mine] if folder.parent.name == "snapshots" else [folder / "vectors.npy", mine]


def ensure_vectors(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Make ``vectors.npy`` again from the parquet files if it is missing, as after a download
    that left it out: in the folder or, where that is read-only, in the user's cache.

    Raises:
        IndexDamaged: if a parquet file is missing or damaged, or there is no place to write.
    """
    if vectors_path(folder, manifest).exists():
        return
    import pyarrow.parquet as pq

    names = sorted(name for name in manifest["files"] if name.startswith("data/"))
    check_files(folder, manifest, names)
    failures = []
    for path in _vectors_places(folder, manifest):
        part = path.with_name(f"vectors.npy.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(_npy_header(manifest["rows"], manifest["dims"]))
                for name in names:
                    column = pq.read_table(folder / name, columns=["embedding"])["embedding"]
                    for chunk in column.chunks:
                        file.write(chunk.flatten().to_numpy().tobytes())
            part.replace(path)
            return
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            failures.append(f"{path}: {error.strerror or error}")
    raise IndexDamaged(
        f"{folder / 'vectors.npy'}: missing, and could not be made again ({'; '.join(failures)})"
    )


def open_index(folder: Path, manifest: Mapping[str, Any]) -> FlatIndex | IvfIndex:
    """The index of a search folder, memory-mapped.

    Raises:
        IndexDamaged: if a file does not read or does not fit the manifest.
        SearchUnavailable: without faiss.
    """
    vectors = open_vectors(folder, manifest)
    spec = manifest["index"]
    if spec["kind"] == "flat":
        return FlatIndex(folder / "index.faiss", vectors)
    try:
        centroids = np.load(folder / "centroids.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IndexDamaged(f"{folder / 'centroids.npy'}: {error}; {_REMEDY}") from None
    return IvfIndex(folder / "index.faiss", vectors, centroids, int(spec["nprobe"]))


def open_vectors(folder: Path, manifest: Mapping[str, Any]) -> Vectors:
    """``vectors.npy``, memory-mapped: int8 (rows, dims).

    Raises:
        IndexDamaged: if it does not read or has another shape.
    """
    path = vectors_path(folder, manifest)
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IndexDamaged(f"{path}: {error}; {_REMEDY}") from None
    if vectors.shape != (manifest["rows"], manifest["dims"]) or vectors.dtype != np.int8:
        raise IndexDamaged(f"{path}: shape {vectors.shape} {vectors.dtype}; {_REMEDY}")
    return vectors


def check_catalog(folder: Path, manifest: Mapping[str, Any], catalog: Catalog) -> None:
    """Make sure that a search folder was made from this catalog.

    Raises:
        CatalogError: if it was not.
    """
    if manifest["catalog_hash"] != catalog.hash:
        raise CatalogError(
            f"{folder} was built from catalog {str(manifest['catalog_hash'])[:16]}, not from this "
            f"one ({catalog.hash[:16]}); run scripts/build_embeddings.py on this catalog"
        )


def top(rows: NDArray[Any], scores: NDArray[Any], k: int) -> tuple[Rows, Scores]:
    """The ``k`` best rows and their scores: highest score first, the lower row on a tie."""
    scores = scores.astype(np.int64)
    if len(rows) > 4 * k > 0:
        cut = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= cut)
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].astype(np.int32), scores[order]


def inner_products(vectors: Vectors, rows: NDArray[Any] | None, query: Vectors) -> Scores:
    """Whole-number inner products of a query with the vectors at ``rows`` (None: all)."""
    size = len(vectors) if rows is None else len(rows)
    wanted = query.astype(np.float32)
    out = np.empty(size, np.int64)
    floats = np.empty((min(size, 1024), len(query)), np.float32)
    for start in range(0, size, 1024):
        stop = min(start + 1024, size)
        part = vectors[start:stop] if rows is None else vectors.take(rows[start:stop], axis=0)
        np.copyto(floats[: stop - start], part)
        # Not BLAS, whose threads wait for one another when the cores are busy.
        out[start:stop] = np.einsum("ij,j->i", floats[: stop - start], wanted)
    return out


class Selection:
    """Sorted rows that a search is limited to, and FAISS's form of them, made when needed."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._selector: Any = None

    def __len__(self) -> int:
        return len(self.rows)

    def selector(self, faiss: Any, size: int) -> Any:
        """A FAISS bitmap selector, which keeps the bits that it points into: threads that ask for
        it at once may make one each."""
        if self._selector is None:
            mask = np.zeros(size, bool)
            mask[self.rows] = True
            self._selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        return self._selector


class FlatIndex:
    """Exact search over all vectors."""

    def __init__(self, path: Path, vectors: Vectors) -> None:
        self.vectors = vectors
        self._index = _read_faiss(path, vectors)

    def search(self, query: Vectors, k: int, only: Selection | None = None) -> tuple[Rows, Scores]:
        """The ``k`` best of all products, or of ``only`` some: rows and scores.

        Ties go to the lower row, also at the cut.
        """
        size = len(self.vectors)
        easy = _easy(self.vectors, query, k, only, size // 8)
        if easy is not None:
            return easy
        faiss = load_faiss()
        k = min(k, len(self.vectors if only is None else only))
        asked = None
        if only is not None:
            asked = faiss.SearchParameters(sel=only.selector(faiss, size))
        return _resolved(
            lambda n: self._index.search(query[None].astype(np.float32), n, params=asked),
            k,
            len(self.vectors if only is None else only),
        )


class IvfIndex:
    """Approximate search: only the lists whose centroids are nearest are read.

    Among what those lists hold the result is exact. With a filter, rows few enough are all
    compared (exact); else more lists are read, in proportion to what the filter leaves out.
    """

    BRUTE_UP_TO = 60_000

    def __init__(
        self, path: Path, vectors: Vectors, centroids: NDArray[np.int8], nprobe: int
    ) -> None:
        self.vectors = vectors
        self.nprobe = nprobe
        self._centroids = centroids.astype(np.float32)
        self._index = _read_faiss(path, vectors)
        if self._index.nlist != len(centroids):
            raise IndexDamaged(f"{path}: {self._index.nlist} lists; {_REMEDY}")
        self._index.parallel_mode = 0

    def search(self, query: Vectors, k: int, only: Selection | None = None) -> tuple[Rows, Scores]:
        """As :meth:`FlatIndex.search`, among the lists that are read."""
        size = len(self.vectors)
        easy = _easy(self.vectors, query, k, only, self.BRUTE_UP_TO)
        if easy is not None:
            return easy
        faiss = load_faiss()
        limit = len(self.vectors if only is None else only)
        k = min(k, limit)
        nlist = len(self._centroids)
        nprobe = min(nlist, math.ceil(self.nprobe * size / limit))
        options = {} if only is None else {"sel": only.selector(faiss, size)}
        floats = query[None].astype(np.float32)
        near = np.einsum("ij,j->i", self._centroids, floats[0])
        while True:
            lists, nearness = top(np.arange(nlist), near, nprobe)
            asked = faiss.SearchParametersIVF(nprobe=nprobe, **options)
            probes = lists[None].astype(np.int64)
            distances = nearness[None].astype(np.float32)
            found = _resolved(
                lambda n: self._preassigned(floats, n, probes, distances, asked),  # noqa: B023
                k,
                limit,
            )
            if len(found[0]) >= k or nprobe == nlist:
                return found
            nprobe = min(nlist, nprobe * 4)

    def _preassigned(
        self, query: Any, k: int, lists: Any, nearness: Any, asked: Any
    ) -> tuple[Any, Any]:
        """FAISS's search in given lists (its Python wrapper takes no parameters here)."""
        ptr = load_faiss().swig_ptr
        scores = np.empty((1, k), np.float32)
        labels = np.empty((1, k), np.int64)
        self._index.search_preassigned_c(
            1, ptr(query), k, ptr(lists), ptr(nearness), ptr(scores), ptr(labels), False, asked
        )
        return scores, labels


def _easy(
    vectors: Vectors, query: Vectors, k: int, only: Selection | None, brute: int
) -> tuple[Rows, Scores] | None:
    """The answer where no index is needed: nothing asked, nothing said, or few rows to compare."""
    k = min(k, len(vectors) if only is None else len(only))
    if k <= 0:
        return np.zeros(0, np.int32), np.zeros(0, np.int64)
    if not query.any():
        rows = np.arange(k, dtype=np.int32) if only is None else only.rows[:k].astype(np.int32)
        return rows, np.zeros(k, np.int64)
    if only is not None and len(only) <= brute:
        return top(only.rows, inner_products(vectors, only.rows, query), k)
    return None


def _resolved(search: Callable[[int], tuple[Any, Any]], k: int, limit: int) -> tuple[Rows, Scores]:
    """FAISS breaks ties as it likes: ask for more until the k-th place is beyond doubt."""
    asked = min(limit, k + 24)
    while True:
        scores, labels = search(asked)
        scores, labels = scores[0], labels[0]
        found = labels >= 0
        scores, labels = scores[found], labels[found]
        if len(labels) <= k or len(labels) < asked or asked >= limit or scores[-1] < scores[k - 1]:
            return top(labels, scores, k)
        asked = min(limit, asked * 4)


def _read_faiss(path: Path, vectors: Vectors) -> Any:
    faiss = load_faiss()
    try:
        index = faiss.read_index(str(path), getattr(faiss, "IO_FLAG_MMAP_IFC", 0))
    except RuntimeError as error:
        raise IndexDamaged(f"{path}: {str(error).splitlines()[0]}; {_REMEDY}") from None
    if (index.ntotal, index.d) != vectors.shape:
        raise IndexDamaged(
            f"{path}: {index.ntotal} vectors of {index.d} dimensions instead of "
            f"{len(vectors)} of {vectors.shape[1]}; {_REMEDY}"
        )
    return index
