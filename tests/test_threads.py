"""Eight threads on one catalog do what one does: nothing that sessions share is ever half made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ecomkit as ek
from ecomkit.catalog import Catalog
from ecomkit.core.records import Constraint, Episode
from ecomkit.envs import REGISTRY
from ecomkit.shop.search import engine
from ecomkit.shop.search.index import read_static

THREADS = 8


@pytest.fixture(autouse=True)
def switching_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], Any]) -> list[Any]:
    """What ``work(number)`` returns in each of the threads, which begin at once."""
    gate = Barrier(THREADS)

    def begin(number: int) -> Any:
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def rotated(items: list[Any], number: int) -> list[Any]:
    """The items from another one on in each thread."""
    start = number * len(items) // THREADS
    return items[start:] + items[:start]


def forget_all() -> None:
    """Empties every cache of functions in the package."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "ecomkit":
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


@pytest.fixture(scope="module")
def episodes(catalog: Catalog) -> list[Episode]:
    return [ek.draw_episode(name, d, 5, catalog) for name in REGISTRY for d in (6, 12)]


def transcripts(episodes: list[Episode], catalog: Catalog) -> dict[str, Any]:
    return {e.episode_id: ek.play("honest", e, catalog).messages for e in episodes}


def test_transcripts_are_those_of_one_thread(episodes: list[Episode], shop_folder: Path) -> None:
    expected = transcripts(episodes, ek.load_catalog(shop_folder / "catalog"))
    for trial in range(4):
        if trial < 3:
            forget_all()
            catalog = ek.load_catalog(shop_folder / "catalog")
        found = in_threads(lambda n: transcripts(rotated(episodes, n), catalog))  # noqa: B023
        wrong = [key for one in found for key in one if one[key] != expected[key]]
        assert wrong == [], f"trial {trial}"


def test_words_met_by_all_at_once(shop_folder: Path, catalog: Catalog) -> None:
    folder = shop_folder / "embeddings" / "encoder"
    texts = catalog.titles(range(0, 3000, 20))
    expected = read_static(folder).encode_queries(texts)
    for cap in (100_000, 50):
        encoder = read_static(folder)
        encoder._CAP = cap  # type: ignore[misc]
        for found in in_threads(lambda n: [encoder.encode_query(t) for t in texts]):  # noqa: B023
            assert np.array_equal(np.stack(found), expected)


def test_searches_with_every_kind_of_filter(
    shop_folder: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        (title, options)
        for title in catalog.titles(range(0, 3000, 100))
        for options in (
            {},
            {"department": catalog.departments[0]},
            {"filters": (Constraint("rating", "ge", 3.0),)},
            {"filters": (Constraint("price_cents", "ge", 500), Constraint("rating", "ge", 2.0))},
        )
    ]

    def results(shop: Catalog, wanted: list[Any]) -> dict[str, list[int]]:
        return {
            f"{query} {options}": shop.search_engine.search(query, **options).tolist()
            for query, options in wanted
        }

    expected = results(catalog, asked)
    small = engine._Recent.__init__
    monkeypatch.setattr(engine._Recent, "__init__", lambda self, limit: small(self, 3))
    for _ in range(3):
        shop = ek.load_catalog(shop_folder / "catalog")
        for found in in_threads(lambda n: results(shop, rotated(asked, n))):  # noqa: B023
            assert found == expected


def test_a_search_uses_one_thread_in_every_thread(catalog: Catalog) -> None:
    """FAISS's number of threads is a setting of each thread that calls it."""

    def search(number: int) -> int:
        catalog.search_engine.index.search(catalog.search_engine.encode(f"lamp {number}"), 5)
        return int(sys.modules["faiss"].omp_get_max_threads())

    assert in_threads(search) == [1] * THREADS


def test_a_model_is_loaded_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[SimpleNamespace] = []

    def load(self: Any) -> Any:
        loaded.append(SimpleNamespace())
        return loaded[-1]

    monkeypatch.setattr(engine._LaterEncoder, "load", load)
    own = catalog.search_engine
    for _ in range(50):
        loaded.clear()
        later = engine._LaterEncoder("model", 8, 1.0, "")
        shared = engine.SearchEngine(catalog, later, own.index, own.manifest)
        assert in_threads(lambda n: shared.encoder) == loaded * THREADS  # noqa: B023
        assert len(loaded) == 1


def test_an_environment_is_one_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    from ecomkit import envs

    for _ in range(50):
        monkeypatch.setattr(envs, "_INSTANCES", {})
        assert len({id(found) for found in in_threads(lambda n: envs.environment("cart"))}) == 1


def test_what_searches_hand_out_cannot_be_written_to(catalog: Catalog) -> None:
    search = catalog.search_engine
    only = (Constraint("rating", "ge", 4.0),)
    search.search_many(["desk lamp"])
    shared = [
        search.search("desk lamp"),
        search.search("desk lamp", filters=only),
        search.passing(only),
        search.encode("desk lamp"),
        search.encode("floor lamp"),
        catalog.rows(catalog.departments[0]),
    ]
    for array in shared:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
