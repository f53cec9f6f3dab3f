"""Imports: every accepted format, messy values, bad rows, and the count of all of it."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecomkit.catalog import open_catalog
from ecomkit.catalog.importers import (
    REPORT_FILE,
    ImportReport,
    column_types,
    import_catalog,
    load_mapping,
    read_tau_orders,
    write_import,
)
from ecomkit.catalog.importers import parsing as p
from ecomkit.catalog.importers.amazon_2020 import brand_at_start, maker_name
from ecomkit.catalog.importers.common import category_nouns, nouns_for
from ecomkit.core.errors import ImportProblem, UnknownName

QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def run(source: Any, **options: Any) -> tuple[pl.DataFrame, ImportReport]:
    frames, report = import_catalog(source, **options)
    frame = pl.concat(list(frames))
    check(frame, report)
    return frame, report


def check(frame: pl.DataFrame, report: ImportReport) -> None:
    """What holds of every import."""
    assert report.finished
    assert report.rows_read == report.rows_written + report.total("dropped")
    assert report.rows_written == frame.height
    assert list(frame.columns) == list(column_types())
    assert dict(frame.schema) == column_types()
    assert frame["product_id"].is_unique().all()
    for name in ("product_id", "title", "department", "category", "brand", "store"):
        assert frame[name].null_count() == 0 and (frame[name] != "").all(), name
    assert frame["price_cents"].is_between(1, p.MAX_PRICE_CENTS).all()
    assert frame["rating"].is_between(1, 5).all()
    assert (frame["rating"] * 10 == (frame["rating"] * 10).round()).all()
    assert frame["ship_days"].is_between(0, 14).all()
    assert (frame["stock"] >= 0).all() and (frame["rating_count"] >= 0).all()
    assert frame.group_by("category").agg(pl.col("department").n_unique())["department"].max() == 1
    counted: dict[str, int] = {}
    for fields in frame["filled_fields"].to_list():
        assert len(fields) == len(set(fields))
        for name in fields:
            counted[name] = counted.get(name, 0) + 1
    for name, reasons in report.filled.items():
        if "." not in name:
            assert counted[name] == sum(reasons.values()), name
    json.dumps(report.to_dict(), allow_nan=False)
    assert report.source in report.summary()


# --- parsers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "cents"),
    [
        ("$237.68", 23768),
        ("12.99", 1299),
        (12.99, 1299),
        (7, 700),
        ("$1,299.00", 129900),
        ("$1,299", 129900),
        ("1.299,00 €", 129900),
        ("12,99", 1299),
        ("$12.99 - $18.50", 1299),
        ("$12.99-$18.50", 1299),
        ("12.99 - 18.50", 1299),
        ("$18.50 - $12.99", 1299),
        ("$4.99 $5.99", 499),
        ("$6.94 $ 6 . 94", 694),
        ("$ 19 99 $39.95 #x { margin-left: 4px !important; } Save $19.96 (50%)", 1999),
        ("from 12.99", 1299),
        ("From $12.99", 1299),
        ("(Pack of 2) $8.99", 899),
        ("$.99", 99),
        ("0.005", 1),
        ("$100,000.00", 10_000_000),
    ],
)
def test_price_is_read(raw: Any, cents: int) -> None:
    assert p.parse_price(raw).value == cents


@pytest.mark.parametrize(
    "raw",
    ["Total price:", "Currently unavailable", "-5", "-$5.00", "$-5.00", 0, "0.00", 1e12, "1e300"]
    + [float("inf"), True, [], {}, b"5", "10%", "Save 5%", 10**400, "$", "…", "Room 101 with view"],
)
def test_price_is_refused_with_a_reason(raw: Any) -> None:
    reading = p.parse_price(raw)
    assert reading.value is None and reading.reason and not reading.missing


@pytest.mark.parametrize("raw", [None, "", " ", "—", "N/A", "None", "nan", float("nan")])
def test_nothing_is_absent(raw: Any) -> None:
    for parse in (p.parse_price, p.parse_weight, p.parse_rating, p.parse_count, p.parse_text):
        assert parse(raw).missing


def test_price_in_cents() -> None:
    assert p.parse_price("1299", "cents").value == 1299
    assert p.parse_price(1299, unit="cents").value == 1299


@pytest.mark.parametrize(
    ("raw", "pounds"),
    [("10.7 pounds", 10.7), ("12.8 ounces", 0.8), ("12.8ounces", 0.8), ("1.5kg", 3.31)]
    + [("500 g", 1.1), ("2 lbs 4 oz", 2.25), ("0.01 ounces", 0.01), ("1,200 lbs", 1200.0), (3, 3.0)]
    + [("14.7 x 11.1 x 10.2 inches ; 4.06 pounds", 4.06), ("1 Pound", 1.0), ("3 oz", 0.19)],
)
def test_weight(raw: Any, pounds: float) -> None:
    assert p.parse_weight(raw).value == pounds


@pytest.mark.parametrize(
    ("raw", "watts"),
    [("60 watts", 60.0), ("60W", 60.0), ("1.5 kW", 1500.0), ("65-watt", 65.0), ("20", 20.0)]
    + [("100 watt hours", None), ("60 W equivalent", None), ("100W Equivalent", None)]
    + [("5V 2A", None), ("-5 W", None), ("0 W", None), ("lots", None), (True, None)],
)
def test_wattage(raw: Any, watts: float | None) -> None:
    assert p.parse_wattage(raw).value == watts


@pytest.mark.parametrize(
    ("raw", "inches"),
    [('15.6"', 15.6), ("15.6 Inches", 15.6), ("38.1 cm", 15.0), ("13-inch", 13.0), ("55", 55.0)]
    + [("1920x1080", None), ("9999 inches", None)],
)
def test_screen_size(raw: Any, inches: float | None) -> None:
    assert p.parse_screen_size(raw).value == inches


def test_counts_ratings_days_and_stock() -> None:
    assert p.parse_count("1,234 ratings").value == 1234
    assert p.parse_count("1.2K").value == 1200
    assert p.parse_count(-1).value is None and p.parse_count(10**30).value is None
    assert p.parse_rating("4.46 out of 5 stars").value == 4.5
    assert p.parse_rating(0).missing and p.parse_rating(6).value is None
    assert p.parse_ship_days("2-4 days").value == 4
    assert p.parse_ship_days("1 week").value == 7 and p.parse_ship_days("24 hours").value == 1
    assert p.parse_ship_days(30).value == 14 and p.parse_ship_days(-1).value is None
    assert p.parse_stock("Out of Stock").value == 0 and p.parse_stock(False).value == 0
    assert p.parse_stock("In stock").missing and p.parse_stock("Only 3 left in stock").value == 3


@settings(max_examples=200, deadline=None)
@given(cents=st.integers(1, p.MAX_PRICE_CENTS))
def test_price_round_trip(cents: int) -> None:
    dollars = f"{cents // 100}.{cents % 100:02d}"
    grouped = f"{cents // 100:,}.{cents % 100:02d}"
    for text in (dollars, f"${dollars}", f"$ {grouped}", f"from ${grouped}", f"US${grouped}"):
        assert p.parse_price(text).value == cents, text
    assert p.parse_price(cents / 100).value == cents
    assert p.parse_price(f"${grouped} - ${(cents + 500) // 100:,}.00").value == cents


@settings(max_examples=200, deadline=None)
@given(hundredths=st.integers(1, 1_000_000))
def test_weight_round_trip(hundredths: int) -> None:
    pounds = hundredths / 100
    assert p.parse_weight(f"{pounds:.2f} pounds").value == pounds
    assert p.parse_weight(f"{hundredths * 16 / 100:.2f} oz").value == pounds
    assert p.parse_weight(f"{pounds:.2f}lbs").value == pounds


@settings(max_examples=200, deadline=None)
@given(tenths=st.integers(1, 900_000))
def test_wattage_round_trip(tenths: int) -> None:
    for text in (f"{tenths / 10:.1f} Watts", f"{tenths / 10:.1f}W", f"{tenths / 10_000:.4f} kW"):
        assert p.parse_wattage(text).value == tenths / 10


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.text("$0123456789., -–kgozinw\"'%()", max_size=20)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(raw=ANYTHING)
def test_parsers_never_raise(raw: Any) -> None:
    price = p.parse_price(raw)
    assert price.value is None or 1 <= price.value <= p.MAX_PRICE_CENTS
    assert price.value is not None or price.reason
    for attribute in ("weight_lbs", "wattage", "screen_size_inches"):
        reading = p.parse_measure(raw, attribute)
        assert reading.value is None or reading.value > 0
        assert reading.value is not None or reading.reason
    rating = p.parse_rating(raw).value
    assert rating is None or 1 <= rating <= 5
    for parse, top in (
        (p.parse_count, p.MAX_COUNT),
        (p.parse_ship_days, 14),
        (p.parse_stock, 10**6),
    ):
        value = parse(raw).value
        assert value is None or (isinstance(value, int) and 0 <= value <= top)
    text = p.parse_text(raw).value
    assert text is None or (0 < len(text) <= p.MAX_VALUE and text == p.clean_text(text))
    assert all(isinstance(level, str) and level for level in p.split_path(raw))


@settings(max_examples=200, deadline=None)
@given(raw=st.text(max_size=60))
def test_clean_text_is_one_printable_line(raw: str) -> None:
    text = p.clean_text(raw)
    text.encode("utf-8")
    assert text == text.strip() and "  " not in text
    assert not any(ord(c) < 32 for c in text)


def test_clean_text() -> None:
    assert p.clean_text("Salt &amp; <b>Pepper</b>\x00\n mill\ud800") == "Salt & Pepper mill\ufffd"
    assert p.clean_text("a\u202eb\u200bc") == "abc"
    assert p.clean_text(3) == ""


# --- Amazon Reviews 2023 -----------------------------------------------------------------------


def item(number: int, **changes: Any) -> dict[str, Any]:
    """A made row of the 2023 format."""
    row: dict[str, Any] = {
        "main_category": "All Electronics",
        "title": f"Volt Wall Charger {number}",
        "average_rating": 4.26,
        "rating_number": 12,
        "features": ["Folds flat", "Stays cool", "Folds flat"],
        "description": ["A charger.", "Small."],
        "price": 10.0 + number,
        "images": [{"thumb": "x"}],
        "videos": [],
        "store": "Volt",
        "categories": ["Electronics", "Chargers", "Wall Chargers"],
        "details": {
            "Brand": "Volt",
            "Color": "BLACK",
            "Wattage": "65 watts",
            "Item Weight": "3.2 ounces",
            "Connector Type": "USB-C",
            "Best Sellers Rank": {"Chargers": 3},
        },
        "parent_asin": f"B{number:09d}",
        "bought_together": None,
        "subtitle": None,
        "author": None,
    }
    return row | changes


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows) + "\n")
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    flat = [
        row | {"details": json.dumps(row["details"]), "images": None, "videos": None}
        for row in rows
    ]
    pl.DataFrame(flat, infer_schema_length=None).write_parquet(path)
    return path


def test_amazon_2023_fields(tmp_path: Path) -> None:
    frame, report = run(write_jsonl(tmp_path / "meta.jsonl", [item(i) for i in range(20)]))
    assert report.format == "amazon-2023"
    row = frame.row(3, named=True)
    assert row["product_id"] == "B000000003" and row["price_cents"] == 1300
    assert row["title"] == "Volt Wall Charger 3" and row["description"] == "A charger. Small."
    assert (row["brand"], row["store"], row["rating"], row["rating_count"]) == (
        "Volt",
        "Volt",
        4.3,
        12,
    )
    assert row["features"] == ["Folds flat", "Stays cool"]
    assert (row["department"], row["category"]) == ("Electronics", "Wall Chargers")
    assert (row["color"], row["wattage"], row["weight_lbs"]) == ("black", 65.0, 0.2)
    assert row["connector_type"] == "USB-C" and row["material"] is None
    assert row["filled_fields"] == ["ship_days", "stock"]


def test_amazon_2023_same_from_every_container(tmp_path: Path) -> None:
    rows = [item(i, price=None if i % 3 else f"${10 + i}.50") for i in range(30)]
    plain = write_jsonl(tmp_path / "a.jsonl", rows)
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    folder = tmp_path / "parts"
    folder.mkdir()
    write_parquet(folder / "meta-0.parquet", rows[:11])
    write_parquet(folder / "meta-1.parquet", rows[11:])
    (folder / "README.md").write_text("# not data")
    array = tmp_path / "a.json"
    array.write_text(json.dumps(rows, indent=1))
    first, _ = run(plain)
    for source in (packed, folder, array, write_parquet(tmp_path / "a.parquet", rows)):
        assert run(source)[0].equals(first), source.name


def test_amazon_2023_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    rows = [item(i) for i in range(12)]
    file = write_parquet(tmp_path / "meta.parquet", rows)
    real = datasets.load_dataset
    asked: list[Any] = []

    def fake(repository: str, /, **options: Any) -> Any:
        asked.append((repository, options))
        return real("parquet", data_files=str(file), streaming=True)

    monkeypatch.setattr(datasets, "load_dataset", fake)
    frame, report = run("someone/items:raw/*.parquet")
    assert frame.equals(run(file)[0])
    assert report.source == "someone/items:raw/*.parquet"
    assert asked == [("someone/items", {"streaming": True, "data_files": "raw/*.parquet"})]
    run("someone/items:small")
    assert asked[-1][1]["name"] == "small"


def test_amazon_2023_bad_rows_are_counted(tmp_path: Path) -> None:
    rows: list[Any] = [item(i) for i in range(10)]
    rows[1] = '{"parent_asin": "B1", "title": '
    rows[2] = "[1, 2]"
    rows[3] = item(3, parent_asin=None)
    rows[4] = item(4, title="  ")
    rows[5] = item(5, parent_asin="B000000000")
    rows[6] = item(6, title=["a"])
    rows[7] = item(
        7,
        price="—",
        average_rating="great",
        rating_number=-4,
        features=7,
        description={"a": 1},
        categories="none",
        main_category=None,
        details="{broken",
        store=True,
    )
    rows[8] = json.dumps(item(8)).replace("4.26", "NaN").replace("18.0", "Infinity")
    rows[9] = item(9, details={"Wattage": "many", "Color": "x" * 99, "Brand": None, "Size": True})
    frame, report = run(write_jsonl(tmp_path / "bad.jsonl", rows))
    assert frame["product_id"].to_list() == [f"B{i:09d}" for i in (0, 7, 8, 9)]
    assert report.dropped == {
        "(row)": {"broken JSON": 1, "not a JSON object": 1},
        "product_id": {"no id": 1, "duplicate id (the first is kept)": 1},
        "title": {"no title": 1, "title is not text": 1},
    }
    assert report.ignored["rating"] == {"not a number": 1}
    assert report.ignored["rating_count"] == {"negative": 1}
    assert report.ignored["price_cents"] == {"not a finite amount": 1}
    assert report.ignored["details"] == {"not JSON": 1}
    assert report.ignored["wattage"] == {"no number in the text": 1}
    assert report.ignored["color"] == {"longer than 60 characters": 1}
    broken = next(e for e in report.examples if e["reason"] == "broken JSON")
    assert broken["place"] == "line 2" and broken["value"].startswith('{"parent_asin"')
    bad = frame.row(1, named=True)
    assert bad["department"] == "Other"
    for name in ("department", "category", "brand", "store", "price_cents", "rating"):
        assert name in bad["filled_fields"]


def test_drop_and_fill(tmp_path: Path) -> None:
    rows = [
        item(i, price=None if i % 4 == 0 else 10 + i, average_rating=None if i % 5 == 0 else 4.0)
        for i in range(40)
    ]
    path = write_jsonl(tmp_path / "m.jsonl", rows)
    filled, report = run(path)
    assert filled.height == 40
    assert report.filled["price_cents"] == {"drawn from the category's prices": 10}
    known = [10 + i for i in range(40) if i % 4]
    drawn = filled.filter(pl.col("filled_fields").list.contains("price_cents"))["price_cents"]
    assert drawn.n_unique() > 4 and all(c % 100 == 99 for c in drawn)
    assert min(known) * 100 <= drawn.min() and drawn.max() <= max(known) * 100 + 99  # type: ignore[operator]

    dropped, report = run(path, missing="drop")
    assert dropped.height == 24
    assert report.dropped["price_cents"] == {"missing or unusable": 10}
    assert report.dropped["rating"] == {"missing or unusable": 6}
    assert any(note.startswith("stock:") for note in report.notes)
    assert "color" not in report.filled

    mixed, report = run(path, missing={"rating": "drop", "*": "fill"})
    assert mixed.height == 32 and "price_cents" not in report.dropped
    with pytest.raises(UnknownName, match="fill"):
        import_catalog(path, missing="guess")
    with pytest.raises(UnknownName, match="price_cents"):
        import_catalog(path, missing={"price": "drop"})


def test_fill_depends_on_the_product_and_the_seed_alone(tmp_path: Path) -> None:
    rows = [item(i, average_rating=None, rating_number=None) for i in range(30)]
    columns = ["product_id", "rating", "rating_count", "ship_days", "stock"]
    one, _ = run(write_jsonl(tmp_path / "a.jsonl", rows))
    other, _ = run(write_jsonl(tmp_path / "b.jsonl", rows[::-1][:17]))
    both = one.select(columns).join(other.select(columns), on="product_id")
    assert both.height == 17
    for name in columns[1:]:
        assert both[name].equals(both[f"{name}_right"], check_names=False)
    reseeded, _ = run(tmp_path / "a.jsonl", seed=1)
    assert not reseeded["stock"].equals(one["stock"])


def test_chunks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecomkit.catalog.importers import common

    rows = [item(i % 50, price=None if i % 7 == 0 else i + 1) for i in range(60)]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    whole, report = run(path)
    original = common.frames_of
    monkeypatch.setattr(
        "ecomkit.catalog.importers.frames_of", lambda *a, **k: original(*a, **(k | {"chunk": 7}))
    )
    parts, again = run(path)
    assert parts.equals(whole) and again.to_dict() == report.to_dict()


def test_an_unused_import_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    path = write_jsonl(tmp_path / "a.jsonl", [item(i) for i in range(9)])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    frames, _ = import_catalog(path)
    assert list(scratch.iterdir())
    del frames
    assert not list(scratch.iterdir())
    run(path)
    assert not list(scratch.iterdir())


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(["$5", "—", "", "None", "from 3.20", "4.5", "\ud800", "12 kg", "a\x00b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


@QUICK
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "parent_asin": st.sampled_from(["A", "B", "C", None, 7, 1.5, "D\ud800"])
                | JSON_VALUES
            },
            optional={
                name: JSON_VALUES
                for name in item(0)
                if name not in ("parent_asin", "images", "videos")
            },
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_json_rows(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    good = [item(i) for i in range(3)]
    path = write_jsonl(tmp_path / "any.jsonl", [*good, *rows])
    for missing in ("fill", "drop"):
        frame, report = run(path, missing=missing)
        assert report.rows_read == 3 + len(rows)
        assert frame.height >= 3


@QUICK
@given(
    raw=st.binary(max_size=400), head=st.sampled_from([b"", b"PAR1", b"\x1f\x8b", b"{", b"a,b\n"])
)
def test_any_bytes(tmp_path: Path, raw: bytes, head: bytes) -> None:
    for name in ("x.csv", "x.jsonl", "x.parquet", "x"):
        (tmp_path / name).write_bytes(head + raw)
        with pytest.raises(ImportProblem):
            import_catalog(tmp_path / name)


@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_damaged_parquet(tmp_path: Path, position: float) -> None:
    path = tmp_path / "m.parquet"
    frame = pl.DataFrame([item(i) | {"details": "{}", "images": None} for i in range(400)])
    frame.write_parquet(path, row_group_size=100)
    raw = bytearray(path.read_bytes())
    at = int(len(raw) * position)
    raw[at : at + 60] = b"\xff" * 60
    path.write_bytes(raw)
    try:
        _, report = run(path)
    except ImportProblem:
        return
    assert report.rows_read == 400


def test_cut_parquet_and_cut_gzip(tmp_path: Path) -> None:
    rows = [item(i) for i in range(300)]
    path = write_parquet(tmp_path / "m.parquet", rows)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ImportProblem, match=r"m\.parquet"):
        import_catalog(path)
    packed = tmp_path / "m.jsonl.gz"
    text = "\n".join(
        json.dumps(item(i, title=hashlib.sha256(bytes([i % 256])).hexdigest() * 3))
        for i in range(300)
    )
    packed.write_bytes(gzip.compress(text.encode())[:-3000])
    frame, report = run(packed)
    assert 0 < frame.height < 300
    assert any("ends early" in reason for reason in report.adjusted["(file)"])


# --- categories --------------------------------------------------------------------------------


def test_categories_roll_up(tmp_path: Path) -> None:
    shelves = [
        *[["Toys", "Puzzles", "Jigsaw"]] * 20,
        *[["Toys", "Puzzles", "Rare"]] * 2,
        *[["Toys", "Puzzles"]] * 10,
        *[["toys", "Games", "Board", "Old"]] * 9,
        *[["Toys", "Kites"]] * 1,
        *[["Clothing", "Costumes", "Girls"]] * 12,
        *[["Clothing", "Shirts"]] * 15,
        *[["Sports", "Games"]] * 14,
        *[["Garden"]] * 2,
        *[["Pets", "Dogs"]] * 4,
        [],
    ]
    rows = [item(i, categories=c, main_category=None) for i, c in enumerate(shelves)]
    frame, report = run(write_jsonl(tmp_path / "c.jsonl", rows))
    sizes = dict(frame.group_by("category").len().iter_rows())
    # 92 products: four are enough for a category.
    assert sizes == {
        "Jigsaw": 20,
        "Puzzles": 12,
        "Old": 9,
        "Other Toys": 1,
        "Costumes (Girls)": 12,
        "Shirts": 15,
        "Games": 14,
        "Dogs": 4,
        "Other": 3,
    }
    assert dict(frame.group_by("department").len().iter_rows()) == {
        "Toys": 42,
        "Clothing": 27,
        "Sports": 14,
        "Pets": 4,
        "Other": 3,
    }
    assert report.departments == dict(frame.group_by("department").len().iter_rows())
    assert report.categories == sizes
    assert sum(report.adjusted["category"].values()) == 3
    assert sum(report.adjusted["department"].values()) == 2


def test_categories_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [["A", "Games"]] * 10 + [["B", "Games"]] * 10 + [["C", "X", "A"]] * 10
    rows = [item(i, categories=c) for i, c in enumerate(paths)]
    frame, _ = run(write_jsonl(tmp_path / "c.jsonl", rows))
    pairs = set(frame.select("department", "category").iter_rows())
    assert pairs == {("A", "Games (A)"), ("B", "Games (B)"), ("C", "A")}


@pytest.mark.parametrize(
    ("category", "noun"),
    [
        ("Dolls & Accessories", "doll"),
        ("Baby & Toddler Toys", "baby and toddler toy"),
        ("Learning & Education", "learning and education item"),
        ("Costumes (Girls)", "costume"),
        ("Card Games", "card game"),
        ("Other Toys & Games", "toy"),
        ("Party Supplies", "party supplies item"),
        ("Kids' Electronics", "kids electronics item"),
        ("Other", "item"),
        ("Sports & Outdoors", "sports and outdoors item"),
    ],
)
def test_nouns(category: str, noun: str) -> None:
    assert nouns_for(category)[0] == noun


def test_nouns_differ() -> None:
    categories = ["Costumes", "Costumes (Girls)", "Costumes (Boys)", "Other Toys", "Toys", "Other"]
    categories += ["Stuffed Animals & Plush Toys", "Stuffed Animals & Teddy Bears"]
    categories += ["Other Clothing, Shoes & Jewelry", "Clothing, Shoes & Jewelry", "Items"]
    found = category_nouns(categories)
    assert set(found) == set(categories)
    singles = [one for one, _ in found.values()]
    assert len(set(singles)) == len(singles)
    assert found["Costumes (Girls)"] == ["girls costume", "girls costumes"]
    assert found["Stuffed Animals & Teddy Bears"][0] == "teddy bear"
    assert found["Clothing, Shoes & Jewelry"][0] == "clothing item"


@pytest.mark.parametrize(
    ("raw", "age"),
    [
        ("36months-10years", "3-10 years"),
        ("14yearsandup", "14 years and up"),
        ("14 years and up", "14 years and up"),
        ("18months-3years", "18 months to 3 years"),
        ("12month-2years", "1-2 years"),
        ("4-15years", "4-15 years"),
        ("3 months - 8 years", "3 months to 8 years"),
        ("Adult", "adult"),
        ("12 - 18 months", "12-18 months"),
        ("3+", "3 years and up"),
        ("24monthsandup", "2 years and up"),
    ],
)
def test_ages(raw: str, age: str) -> None:
    assert p.tidy_age(raw) == age


# --- Amazon 2020 -------------------------------------------------------------------------------

HEADER_2020 = (
    "Uniq Id,Product Name,Brand Name,Asin,Category,Upc Ean Code,List Price,Selling Price,Quantity,"
    "Model Number,About Product,Product Specification,Technical Details,Shipping Weight,"
    "Product Dimensions,Image,Variants,Sku,Product Url,Stock,Product Details,Dimensions,Color,"
    "Ingredients,Direction To Use,Is Amazon Seller,Size Quantity Variant,Product Description"
).split(",")


def row_2020(number: int, **changes: str) -> dict[str, str]:
    row = dict.fromkeys(HEADER_2020, "")
    row |= {
        "Uniq Id": f"{number:032x}",
        "Product Name": f"Wooden Puzzle {number}, Red",
        "Category": "Toys & Games | Puzzles | Jigsaw Puzzles",
        "Selling Price": f"${10 + number}.50",
        "About Product": "Make sure this fits by entering your model number. | 100 pieces | Thick",
        "Product Specification": "ProductDimensions:3x4inches|ItemWeight:12.8ounces|ASIN:B07D36747F"
        "|Manufacturerrecommendedage:36months-10years",
        "Technical Details": "Go to your orders and start the return Select the method Ship it! "
        "| show up to 2 reviews by default A puzzle of a lake. | 12.8 ounces (View shipping rates "
        "and policies)",
        "Product Url": f"https://www.example.com/A-Puzzle/dp/B{number:09d}",
    }
    return row | changes


def write_2020(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER_2020)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_amazon_2020(tmp_path: Path) -> None:
    rows = [row_2020(i) for i in range(16)]
    rows[1]["Selling Price"] = "$12.99 - $18.50"
    rows[2]["Selling Price"] = "Total price:"
    rows[3] |= {"Category": "", "Product Name": "LEGO Friends Surf Shop"}
    rows[4] |= {"Product Url": "", "Product Specification": "Shipping Weight: 2 pounds (View)"}
    rows[4]["Shipping Weight"] = "2 pounds"
    rows[5]["Product Specification"] = "Manufacturer:WoodenPuzzle|ItemWeight:1.5pounds"
    frame, report = run(write_2020(tmp_path / "a.csv", rows))
    assert report.format == "amazon-2020" and frame.height == 16
    first = frame.row(0, named=True)
    assert first["product_id"] == "B000000000" and first["title"] == "Wooden Puzzle 0"
    assert (first["color"], first["weight_lbs"]) == ("red", 0.8)
    assert first["age_range"] == "3-10 years"
    assert first["features"] == ["100 pieces", "Thick"]
    assert first["description"] == "A puzzle of a lake."
    assert (first["department"], first["category"]) == ("Toys & Games", "Jigsaw Puzzles")
    assert "brand" in first["filled_fields"] and "price_cents" not in first["filled_fields"]
    assert frame["price_cents"][1] == 1299
    assert report.adjusted["price_cents"] == {"price range: lower end taken": 1}
    assert report.ignored["price_cents"] == {"no amount in the text": 1}
    assert report.filled["price_cents"] == {"drawn from the category's prices": 1}
    assert (frame["brand"][3], frame["department"][3]) == ("LEGO", "Other")
    assert frame["product_id"][4] == f"{4:032x}" and frame["weight_lbs"][4] == 2.0
    assert frame["brand"][5] == "Wooden Puzzle"

    dropped, report = run(tmp_path / "a.csv", missing="drop")
    assert dropped.height == 14
    assert report.dropped == {
        "category": {"missing or unusable": 1},
        "price_cents": {"missing or unusable": 1},
    }


def test_brands_are_not_guessed() -> None:
    assert brand_at_start("LEGO Friends 41315") == "LEGO"
    assert brand_at_start("Melissa & Doug Puzzle") == "Melissa & Doug"
    assert brand_at_start("Legolas Figure") is None
    assert brand_at_start("Tyrannosaurus") is None
    assert brand_at_start("Wooden Puzzle") is None
    assert maker_name("AnagramInternational", "Anagram International 3085101") == (
        "Anagram International"
    )
    assert maker_name("CreativeConverting", "Happy Birthday Banner") is None
    assert maker_name("Prinz", "PRINZ Man Money Bank") == "PRINZ"


def test_csv_damage_is_counted(tmp_path: Path) -> None:
    rows = [row_2020(i) for i in range(10)]
    rows[6]["Product Name"] = "Puzzle"
    path = write_2020(tmp_path / "a.csv", rows)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"Wooden", b"W\xf6\xf6den \x80")
    lines[5] = b'short,"row"\r\n'
    lines[7] = b'"quote that never ends,' + lines[7]
    lines[9] = lines[9].replace(b'"Wooden', b'"Woo\\"den')
    lines.append(lines[1])
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(lines))
    frame, report = run(path)
    assert frame.height == 8
    assert report.dropped["(row)"] == {
        "fewer fields than the header": 1,
        "quote never closed": 1,
    }
    assert report.dropped["product_id"] == {"duplicate Uniq Id (the first is kept)": 1}
    assert report.adjusted["(row)"] == {"quotes escaped by backslashes": 1}
    assert frame["title"][6] == 'Woo"den Puzzle 8'
    assert report.adjusted["(text)"] == {"not UTF-8: read as Windows-1252": 1}
    assert frame["title"][2].startswith("Wööden €")
    places = {e["place"] for e in report.examples if e["field"] == "(row)"}
    assert places == {"line 6", "line 8", "line 10"}


def test_a_quote_open_to_the_end_loses_one_row(tmp_path: Path) -> None:
    rows = [row_2020(i, **{"Product Name": f"Puzzle {i}"}) for i in range(300)]
    path = write_2020(tmp_path / "a.csv", rows)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[100] = b'"' + lines[100]
    path.write_bytes(b"".join(lines))
    frame, report = run(path)
    assert frame.height == 299
    assert report.dropped == {"(row)": {"quote never closed": 1}}


def test_utf16_csv(tmp_path: Path) -> None:
    path = write_2020(tmp_path / "a.csv", [row_2020(i) for i in range(5)])
    plain, _ = run(path)
    (tmp_path / "b.csv").write_bytes(path.read_bytes().decode().encode("utf-16"))
    assert run(tmp_path / "b.csv")[0].equals(plain)


# --- τ-bench -----------------------------------------------------------------------------------


def tau_database() -> dict[str, Any]:
    shirt = {
        "name": "T-Shirt",
        "product_id": "100",
        "variants": {
            "11": _variant("11", {"color": "blue", "size": "M", "material": "cotton"}, True, 50.88),
            "12": _variant("12", {"color": "red", "size": "M", "material": "cotton"}, False, 40.5),
            "13": _variant("13", {"color": "red", "size": "S", "material": "cotton"}, True, 49),
        },
    }
    lamp = {
        "name": "Desk Lamp",
        "product_id": "200",
        "variants": {"21": _variant("21", {"power source": "USB"}, False, 20.0)},
    }
    gadget = {
        "name": "Gadget",
        "product_id": "300",
        "variants": {"31": _variant("31", {"color": "red"}, True, 5)},
    }
    order = {
        "order_id": "#W1",
        "user_id": "ann",
        "address": {"state": "HI", "country": "USA"},
        "items": [
            {"product_id": "100", "item_id": "11", "price": 50.88},
            {"product_id": "100", "item_id": "11", "price": 50.88},
            {"product_id": "200", "item_id": "21", "price": 20.0},
        ],
        "status": "delivered",
        "fulfillments": [{"tracking_id": ["777"], "item_ids": ["11"]}],
        "payment_history": [{"amount": 121.76, "payment_method_id": "gift_card_1"}],
    }
    user = {"name": {"first_name": "Ann", "last_name": "Lee"}, "orders": ["#W1"]}
    user["address"] = {"state": "HI", "country": "USA"}
    return {
        "products": {"100": shirt, "200": lamp, "300": gadget},
        "users": {"ann": user},
        "orders": {"#W1": order},
    }


def _variant(
    item_id: str, options: dict[str, str], available: bool, price: float
) -> dict[str, Any]:
    return {"item_id": item_id, "options": options, "available": available, "price": price}


@pytest.mark.parametrize("indent", [None, 2])
def test_tau_products(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "db.json"
    path.write_text(json.dumps(tau_database(), indent=indent))
    frame, report = run(path)
    assert report.format == "tau-retail" and report.native_variants == 5
    shirt = frame.row(0, named=True)
    assert (shirt["department"], shirt["category"]) == ("Clothing & Accessories", "clothing")
    assert shirt["price_cents"] == 4900  # the cheapest that can be bought
    assert shirt["material"] == "cotton" and shirt["color"] is None
    variants = shirt["variants"]
    # the one that gives the price, the others in stock, the sold-out ones
    assert [v["variant_id"] for v in variants] == ["13", "11", "12"]
    assert {q["name"]: q["value"] for q in variants[0]["attributes"]} == {
        "color": "red",
        "size": "S",
        "material": "cotton",
    }
    assert variants[2]["stock"] == 0 and 5 <= variants[0]["stock"] <= 60
    assert shirt["stock"] == sum(v["stock"] for v in variants)
    assert "stock" in shirt["filled_fields"]
    lamp = frame.row(1, named=True)
    assert lamp["stock"] == 0 and "stock" not in lamp["filled_fields"]
    assert lamp["price_cents"] == 2000
    assert frame["department"][2] == "Other"

    write_import(path, tmp_path / "catalog")
    catalog = open_catalog(tmp_path / "catalog")
    assert [dict(v.attributes) for v in catalog.variants("100")][0] == {
        "color": "red",
        "size": "S",
        "material": "cotton",
    }


def test_tau_damage(tmp_path: Path) -> None:
    data = tau_database()
    products = data["products"]
    products["400"] = {"name": "No Variants", "product_id": "400", "variants": {}}
    products["500"] = "text"
    products["600"] = {"product_id": "600", "variants": {"61": {}}}
    shirt = products["100"]["variants"]
    shirt["14"] = _variant("14", {"color": "red", "size": "S", "material": "cotton"}, True, 9)
    shirt["15"] = _variant("15", {"color": "green"}, True, -1)
    shirt["16"] = None
    products["300"]["variants"]["32"] = _variant("21", {"color": "pink"}, True, 9)
    path = tmp_path / "db.json"
    path.write_text(json.dumps(data))
    frame, report = run(path)
    assert frame["product_id"].to_list() == ["100", "200", "300"]
    assert report.dropped == {
        "(row)": {"not an object": 1},
        "title": {"no title": 1},
        "variants": {"no usable variant": 1},
    }
    reasons = report.ignored["variants"]
    assert reasons["price: negative price"] == 1 and reasons["not an object"] == 1
    assert reasons["states the same options as another"] == 1 and reasons["duplicate id"] == 1


def test_tau_orders(tmp_path: Path) -> None:
    path = tmp_path / "db.json"
    path.write_text(json.dumps(tau_database()))
    data = read_tau_orders(path, now="2026-03-14T10:05:00")
    (order,) = data.orders_of("ann")
    assert order["order_id"] == "W1" and order["status"] == "delivered"
    assert order["lines"] == [
        {"line_id": "L1", "product_id": "100", "variant_id": "11", "quantity": 2}
        | {"unit_price_cents": 5088},
        {"line_id": "L2", "product_id": "200", "variant_id": "21", "quantity": 1}
        | {"unit_price_cents": 2000},
    ]
    assert order["total_cents"] == 12176 and order["payment"] == "gift card"
    assert order["placed_at"] < order["shipped_at"] < order["delivered_at"] < "2026-03-14T10:05:00"
    assert {"placed_at", "delivered_at", "carrier"} <= set(order["filled_fields"])
    assert data.users["ann"]["name"] == "Ann Lee"
    assert data.users["ann"]["region"] == "Alaska or Hawaii"
    assert data.users["ann"]["orders"] == ["W1"] and not data.problems
    with pytest.raises(ImportProblem, match="orders"):
        path.write_text('{"products": {}}')
        read_tau_orders(path)


# --- mapping -----------------------------------------------------------------------------------

SHOP_CSV = """sku;name;path;price;mass;colour;bullets;specs;qty
A1;Kettle One;Kitchen > Kettles;1999;850;rot;quick|quiet;"{""power"": ""1.5 kW""}";4
A2;Kettle Two;Kitchen > Kettles;abc;;blau;;;
A3;;Kitchen > Kettles;5;1;;;;1
"""
SHOP_TOML = """
[fields]
product_id = "sku"
title = "name"
brand = { constant = "Acme" }
price_cents = { column = "price", unit = "cents" }
category = { column = "path", delimiter = " > " }
features = { column = "bullets", delimiter = "|" }
weight_lbs = { column = "mass", unit = "g" }
wattage = "specs.power"
color = { column = "colour", values = { rot = "red" } }
stock = "qty"
"""


def test_mapping(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text(SHOP_CSV)
    (tmp_path / "shop.toml").write_text(SHOP_TOML)
    frame, report = run(tmp_path / "shop.csv", mapping=tmp_path / "shop.toml")
    assert report.format == "mapping" and frame.height == 2
    one = frame.row(0, named=True)
    assert (one["product_id"], one["price_cents"], one["weight_lbs"]) == ("A1", 1999, 1.87)
    assert (one["wattage"], one["color"], one["stock"]) == (1500.0, "red", 4)
    assert one["brand"] == "Acme" and one["features"] == ["quick", "quiet"]
    assert one["department"] == "Kitchen"
    assert frame["color"][1] == "blau"
    assert report.dropped == {"title": {"no title": 1}}
    assert report.ignored["price_cents"] == {"no amount in the text": 1}
    as_json = tmp_path / "shop.json"
    as_json.write_text(json.dumps({"fields": {"product_id": "sku", "title": "name"}}))
    assert run(tmp_path / "shop.csv", mapping=as_json)[0].height == 2


def test_mapping_of_other_containers(tmp_path: Path) -> None:
    rows = [{"id": i, "t": f"Thing {i}", "p": 2.5, "d": "Tools", "c": "Saws"} for i in range(6)]
    plan = {
        "fields": {
            "product_id": "id",
            "title": "t",
            "price_cents": "p",
            "department": "d",
            "category": "c",
            "rating": {"constant": 4},
        }
    }
    pl.DataFrame(rows).write_parquet(tmp_path / "t.parquet")
    first, _ = run(tmp_path / "t.parquet", mapping=plan)
    assert first["category"].unique().to_list() == ["Saws"] and first["rating"][0] == 4.0
    assert first["product_id"][3] == "3"
    assert run(write_jsonl(tmp_path / "t.jsonl", rows), mapping=plan)[0].equals(first)
    plan["fields"]["product_id"] = {"columns": ["t", "p"], "hash": True}
    hashed, _ = run(tmp_path / "t.parquet", mapping=plan)
    assert hashed["product_id"].str.contains(r"^P[0-9A-F]{12}$").all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"product_id": "sku", "title": "nom"}, r"no column 'nom' \(for title\).*'sku', 'name'"),
        ({"title": "name"}, "lacks product_id"),
        (
            {"product_id": "sku", "title": "name", "prize": "price"},
            "unknown field 'prize'.*price_c",
        ),
        ({"product_id": "sku", "title": {"col": "name"}}, "unknown option 'col'.*column"),
        ({"product_id": "sku", "title": {"unit": "g"}}, "needs a column"),
        ({"product_id": "sku", "title": 5}, "must name a column"),
        (
            {
                "product_id": "sku",
                "title": "name",
                "weight_lbs": {"column": "mass", "unit": "stone"},
            },
            "unknown unit 'stone'; choose from .*kg",
        ),
    ],
)
def test_mapping_errors(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    (tmp_path / "shop.csv").write_text(SHOP_CSV)
    with pytest.raises(ImportProblem, match=message):
        import_catalog(tmp_path / "shop.csv", mapping={"fields": fields})


def test_mapping_file_errors(tmp_path: Path) -> None:
    with pytest.raises(ImportProblem, match="cannot read"):
        load_mapping(tmp_path / "none.toml")
    for text in ("fields = [", "{", "x = 1"):
        (tmp_path / "m.toml").write_text(text)
        with pytest.raises(ImportProblem):
            load_mapping(tmp_path / "m.toml")
    (tmp_path / "shop.csv").write_text(SHOP_CSV)
    with pytest.raises(ImportProblem, match="needs a mapping"):
        import_catalog(tmp_path / "shop.csv", format="mapping")
    with pytest.raises(ImportProblem, match="takes no mapping"):
        import_catalog(tmp_path / "shop.csv", format="amazon-2020", mapping={"fields": {}} | _MIN)


_MIN = {"fields": {"product_id": "sku", "title": "name"}}


# --- what is no table --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"just some prose\nand more of it\n", "mapping file"),
        ("a.csv", b"a,b\n1,2\n", "'a', 'b'"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(2000), "binary"),
        ("a.xlsx", b"PK\x03\x04" + bytes(200), "spreadsheet"),
        ("a.parquet", b"nothing", "not a readable parquet"),
        ("a.json", b'{"a": [1', "parses"),
        ("a.json", b"[]", "known format"),
        ("a.json", b"{}", "table"),
        ("a.gz", b"\x1f\x8b\x08\x00nonsense", "damaged gzip"),
    ],
)
def test_not_a_table(tmp_path: Path, name: str, raw: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(ImportProblem, match=message):
        import_catalog(tmp_path / name)


def test_no_such_source_and_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImportProblem, match="no file"):
        import_catalog("nothing.csv")
    with pytest.raises(ImportProblem, match="no file"):
        import_catalog("folder/nothing.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImportProblem, match="no table"):
        import_catalog("empty")
    write_jsonl(tmp_path / "a.jsonl", [item(1)])
    with pytest.raises(UnknownName, match="amazon-2023"):
        import_catalog("a.jsonl", format="amazon")
    with pytest.raises(ImportProblem, match="lacks the columns of amazon-2020"):
        import_catalog("a.jsonl", format="amazon-2020")
    with pytest.raises(ImportProblem, match="gave no product"):
        import_catalog(write_jsonl(tmp_path / "b.jsonl", [item(1, title="")]))


def test_header_only(tmp_path: Path) -> None:
    with pytest.raises(ImportProblem, match="no rows"):
        import_catalog(write_2020(tmp_path / "a.csv", []))


# --- the catalog and the command ---------------------------------------------------------------


def test_written_catalog(tmp_path: Path) -> None:
    rows = [
        item(i, details={"Brand": "Volt", "Color": c}) for i, c in enumerate(["Red", "Blue"] * 10)
    ]
    rows[0]["title"] = "Volt Charger, Red Edition"
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    manifest, report = write_import(path, tmp_path / "catalog", name="volt")
    catalog = open_catalog(tmp_path / "catalog")
    assert catalog.name == "volt" and len(catalog) == 20 and catalog.hash == manifest["hash"]
    assert json.loads((tmp_path / "catalog" / REPORT_FILE).read_text()) == report.to_dict()
    assert catalog.nouns("Wall Chargers")[0] == "wall charger"
    assert catalog.varies_at(catalog.row("B000000001")) == "color"
    assert len(catalog.variants("B000000001")) == 3
    # a title that states the colour leaves nothing to choose by
    assert catalog.varies_at(catalog.row("B000000000")) is None
    assert str(tmp_path) not in (tmp_path / "catalog" / "manifest.json").read_text()


def test_same_bytes_in_another_process(tmp_path: Path) -> None:
    rows = [row_2020(i, Category=f"Toys | Shelf {i % 3}") for i in range(30)]
    path = write_2020(tmp_path / "a.csv", rows)
    script = Path(__file__).parents[1] / "scripts" / "build_catalog.py"
    digests = []
    for seed in ("1", "2"):
        out = tmp_path / f"catalog{seed}"
        done = subprocess.run(
            [sys.executable, script, "--out", out, "--source", path, "--quiet"],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "30 products" in done.stdout and "filled" in done.stdout
        files = [*sorted((out / "data").iterdir()), out / REPORT_FILE]
        digests.append([hashlib.sha256(f.read_bytes()).hexdigest() for f in files])
    assert digests[0] == digests[1]


def test_command_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    script = Path(__file__).parents[1] / "scripts" / "build_catalog.py"
    done = subprocess.run(
        [sys.executable, script, "--out", tmp_path / "c", "--source", tmp_path / "a.csv"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "mapping" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "c").exists()


# --- the real files ----------------------------------------------------------------------------

REAL = os.environ.get("ECOMKIT_REAL_DATA", "")
needs_real = pytest.mark.skipif(not REAL, reason="ECOMKIT_REAL_DATA is not set")


@needs_real
def test_real_amazon_2020(tmp_path: Path) -> None:
    path = Path(REAL) / "amazon_2020_sample.csv"
    frame, report = run(path)
    assert report.rows_read == frame.height + report.total("dropped") == 300
    assert frame.height >= 295
    assert report.filled["category"] == {"'Other': the row states none": 28}
    assert sum(report.ignored["price_cents"].values()) == 3
    assert frame["category"].n_unique() >= 20
    dropped, report = run(path, missing="drop")
    assert 250 <= dropped.height < 300
    write_import(path, tmp_path / "catalog")
    catalog = open_catalog(tmp_path / "catalog")
    assert sum(len(catalog.variants_at(r)) > 1 for r in range(len(catalog))) > 200


@needs_real
def test_real_tau(tmp_path: Path) -> None:
    path = Path(REAL) / "tau_retail_db.json"
    source = json.loads(path.read_text())
    frame, report = run(path)
    assert frame.height == 50 and report.native_variants == 591
    assert "category" not in report.filled and frame["department"].n_unique() >= 4
    for row in frame.iter_rows(named=True):
        native = source["products"][row["product_id"]]["variants"]
        for variant in row["variants"]:
            given = native[variant["variant_id"]]
            assert {q["name"]: q["value"] for q in variant["attributes"]} == given["options"]
            assert variant["price_cents"] == round(given["price"] * 100)
            assert (variant["stock"] > 0) == given["available"]
    orders = read_tau_orders(path)
    assert len(orders.orders) == 1000 and len(orders.users) == 500 and not orders.problems
    ids = set(frame["product_id"])
    assert all(line["product_id"] in ids for o in orders.orders for line in o["lines"])
