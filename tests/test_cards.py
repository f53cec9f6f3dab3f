"""The dataset cards: the same facts give the cards of the repository, and facts are the data's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ecomkit.core.errors import EcomkitError
from ecomkit.data.manifests import KINDS, read_manifest
from ecomkit.episodes.generate import Plan, generate
from ecomkit.release import hub
from ecomkit.views import cards

CARDS = Path(__file__).resolve().parents[1] / "data_cards"
FACTS: dict[str, Any] = json.loads((CARDS / "facts.json").read_text(encoding="utf-8"))
TASKS = {"text-retrieval", "feature-extraction", "text-generation", "reinforcement-learning"}


@pytest.fixture(scope="module")
def folders(shop_folder: Path) -> dict[str, Path]:
    """The three small datasets, episodes of two environments among them."""
    episodes = shop_folder / "carded"
    generate(
        shop_folder / "catalog",
        episodes,
        Plan(("cart", "tracking"), levels=(0, 3), train=3, test=2),
    )
    return {
        "catalog": shop_folder / "catalog",
        "embeddings": shop_folder / "embeddings",
        "episodes": episodes,
    }


def test_the_repository_has_the_cards_that_its_facts_give() -> None:
    assert set(FACTS) == set(KINDS)
    for kind, facts in FACTS.items():
        assert (CARDS / f"{kind}.md").read_text(encoding="utf-8") == cards.render(facts), (
            f"run python scripts/render_cards.py: data_cards/{kind}.md is not what its facts give"
        )
        for name, svg in cards.figures(facts).items():
            assert (CARDS / name).read_text(encoding="utf-8") == svg
            assert len(svg) < 100_000


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_reads(kind: str) -> None:
    from huggingface_hub import DatasetCard

    data = DatasetCard(cards.render(FACTS[kind])).data.to_dict()
    assert data["license"] and data["pretty_name"] and data["language"] == ["en"]
    assert set(data["task_categories"]) <= TASKS
    assert re.fullmatch(r"n<1K|\d+[KM]<n<\d+[KMB]|n>1B", data["size_categories"][0])
    names = [config["config_name"] for config in data["configs"]]
    if kind == "episodes":
        assert names == list(FACTS[kind]["configs"])
        splits = [f["split"] for f in data["configs"][0]["data_files"]]
        assert splits == list(FACTS[kind]["configs"][names[0]])
    else:
        assert names == ["default"]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_blank(kind: str) -> None:
    text = cards.render(FACTS[kind])
    for heading in ("Fields", "How it was made", "Statistics", "Intended use", "Known limits"):
        assert f"\n## {heading}\n" in text
    for field in FACTS[kind]["fields"]:
        assert f"| `{field}` |" in text
    assert "None" not in re.sub(r"`[^`]*`", "", text) and "nan" not in text.split()
    said = cards.FIELDS[kind]
    assert set(FACTS[kind]["fields"]) == set(said), "a field that the card does not explain"


def test_sizes_have_the_hubs_names() -> None:
    names = [cards.size_category(n) for n in (0, 999, 1000, 20_000, 624_000, 2_000_000, 10**9)]
    assert names == [
        "n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "n>1B",
    ]  # fmt: skip


@pytest.mark.slow
def test_facts_are_those_of_the_data(folders: dict[str, Path]) -> None:
    catalog = read_manifest(folders["catalog"])
    facts = {k: cards.facts_of(f, catalog=catalog if k != "catalog" else None)
             for k, f in folders.items()}  # fmt: skip
    products = pl.read_parquet(folders["catalog"] / "data" / "*.parquet")
    found = facts["catalog"]
    assert found["size"] == products.height == sum(n for _, n, _, _ in found["departments"])
    assert found["categories"] == products["category"].n_unique()
    assert found["quantiles"]["price_cents"][0] == products["price_cents"].min()
    assert found["quantiles"]["price_cents"][-1] == products["price_cents"].max()
    assert sum(found["prices"]) == products.height
    assert found["prices"][0] == (products["price_cents"] < 500).sum()
    assert found["present"]["color"] == products["color"].count()
    assert found["example"] == products.row(0, named=True)

    found = facts["embeddings"]
    vectors = pl.read_parquet(folders["embeddings"] / "data" / "*.parquet")
    assert found["rows"] == vectors.height and found["dims"] == len(vectors["embedding"][0])
    assert found["example"]["embedding"] == vectors["embedding"][0].to_list()
    assert found["catalog"]["hash"] == found["catalog_hash"] == catalog["hash"]

    found = facts["episodes"]
    assert found["configs"]["cart"] == {"d00": 3, "d03": 3}
    assert found["configs"]["tracking_test"] == {"d00": 2, "d03": 2}
    cell = pl.read_parquet(folders["episodes"] / "cart" / "d03.parquet")
    assert found["cells"]["cart/d03"]["par_turns"] == [
        cell["par_turns"].sum(), cell["par_turns"].max()
    ]  # fmt: skip
    assert found["audit"]["cart"]["episodes"] == 10
    assert found["audit"]["cart"]["near_misses"][0] > 0 == found["audit"]["cart"]["near_misses"][1]
    assert found["example"]["episode_id"] == cell["episode_id"][0]
    assert found["example"]["goal"] == json.loads(cell["goal"][0])

    for kind, known in facts.items():
        text = cards.render(known)
        assert text == cards.render(json.loads(json.dumps(known))), "facts are plain JSON"
        published = next(
            f for f in hub.read_release(folders[kind]).files if f.path == "README.md"
        ).source
        assert published == text.encode()


@pytest.mark.slow
def test_a_published_folder_opens_by_its_card(folders: dict[str, Path], tmp_path: Path) -> None:
    from datasets import load_dataset, load_dataset_builder

    for kind, folder in folders.items():
        hub.publish_to_folder(hub.read_release(folder), tmp_path / kind)
    builder = load_dataset_builder(str(tmp_path / "episodes"), "tracking")
    assert builder.config.name == "tracking"
    cart = load_dataset(str(tmp_path / "episodes"), "cart_test", split="d03")
    assert cart.num_rows == 2
    assert load_dataset(str(tmp_path / "catalog"), split="train").num_rows == 3000
    assert load_dataset(str(tmp_path / "embeddings"), split="train").num_rows == 3000


@pytest.mark.slow
def test_an_import_says_where_it_came_from(tmp_path: Path) -> None:
    from ecomkit.catalog import synthesize, synthetic_manifest, write_catalog

    manifest = {
        **synthetic_manifest(60, 1),
        "source": {"kind": "import", "format": "mapping", "name": "shop.csv", "missing": "fill",
                   "seed": 3},
    }  # fmt: skip
    write_catalog(synthesize(60, 1), tmp_path / "catalog", manifest)
    report = {
        "rows_read": 70,
        "rows_written": 60,
        "dropped": {"price_cents": {"below one cent": 10}},
        "filled": {"stock": {"missing": 4}},
    }
    (tmp_path / "catalog" / "import_report.json").write_text(json.dumps(report))
    release = hub.read_release(
        tmp_path / "catalog", licence="cc-by-4.0", source_url="https://shop.example/data"
    )
    card = next(f.source for f in release.files if f.path == "README.md")
    assert isinstance(card, bytes)
    text = card.decode()
    assert "license: cc-by-4.0" in text and "https://shop.example/data" in text
    assert "- synthetic" not in text and "made-up" not in text
    assert "| dropped | `price_cents` | below one cent | 10 |" in text
    assert "--format mapping --missing fill --seed 3" in text


def test_another_catalog_is_refused(shop_folder: Path) -> None:
    other = {**read_manifest(shop_folder / "catalog"), "hash": "0" * 64}
    with pytest.raises(EcomkitError, match="was not made on the catalog"):
        cards.facts_of(shop_folder / "embeddings", catalog=other)
