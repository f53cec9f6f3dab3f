"""The catalog: taxonomy, made-up products, variants, the store and its damage checks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ecomkit.catalog import (
    COLUMNS,
    Catalog,
    load_taxonomy,
    open_catalog,
    synthesize,
    synthetic_manifest,
    write_catalog,
)
from ecomkit.catalog import variants as forms
from ecomkit.catalog.naming import (
    assign_varies,
    derive_rules,
    nouns_from_category,
    plural,
    rare_phrase,
    singular,
)
from ecomkit.catalog.synthesize import product_ids, synthesize_rows
from ecomkit.catalog.taxonomy import parse_taxonomy, spoken, title_case
from ecomkit.core.errors import CatalogError, UnknownName, UnknownProduct
from ecomkit.core.records import NUMBER_ATTRIBUTES, Constraint, contains_words, words

SIZE = 6_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("shop") / "catalog"
    write_catalog(synthesize(SIZE, 3, shard=2_500), target, synthetic_manifest(SIZE, 3))
    return target


@pytest.fixture(scope="module")
def shop(folder: Path) -> Catalog:
    return open_catalog(folder)


# Taxonomy -----------------------------------------------------------------------------------


def test_taxonomy_is_large_and_each_department_is_a_shelf():
    taxonomy = load_taxonomy()
    assert len(taxonomy.departments) >= 55
    assert len(taxonomy.categories) >= 230
    shelves = Counter(c.department for c in taxonomy.categories.values())
    assert set(shelves) == set(taxonomy.departments)
    assert min(shelves.values()) >= 3


def test_every_category_has_pools_to_choose_from():
    for category in load_taxonomy().categories.values():
        assert len(category.values[category.varies[0]]) >= 3, category.name
        assert len(category.values) >= 2, category.name
        assert 0 < category.price[0] < category.price[1], category.name
        assert 0 <= category.ship[0] <= category.ship[1] <= 14, category.name
        assert category.use.split()[0] in {"for", "that", "with", "between"}, category.use


def test_nouns_name_one_category_and_none_hides_in_another():
    owner: dict[str, str] = {}
    for category in load_taxonomy().categories.values():
        for noun in category.nouns:
            assert owner.setdefault(noun.casefold(), category.name) == category.name
    categories = load_taxonomy().categories.values()
    said = [(c.name, f" {' '.join(words(n))} ") for c in categories for n in c.nouns]
    for name, noun in said:
        for other, text in said:
            assert name == other or noun not in text, (noun, text)


def test_taxonomy_refuses_titles_that_give_the_variant_away():
    group = {
        "brands": ["Aa"],
        "series": ["Bb"],
        "features": ["x"],
        "closings": ["y."],
        "ship": [0, 2],
    }
    category = {
        "noun": "red lamp",
        "use": "for tests",
        "price": [5, 9],
        "color": ["red", "blue", "green"],
        "varies": ["color"],
        "adjectives": ["a", "b", "c", "d"],
        "features": ["a", "b", "c", "d"],
    }
    data = {
        "pools": {},
        "models": {"words": ["Cc"]},
        "stores": {"names": ["Dd"]},
        "groups": {"g": group},
        "lamps": {"group": "g", "lamps": category},
    }
    with pytest.raises(CatalogError, match="gives away color 'red'"):
        parse_taxonomy(data)


# Synthetic products -------------------------------------------------------------------------


def test_a_large_catalog_begins_with_the_small_one():
    small = synthesize_rows(5, 0, 1_003)
    large = pl.concat(list(synthesize(2_500, 5, shard=700)))
    assert large.head(1_003).equals(small)
    assert not synthesize_rows(6, 0, 1_003).equals(small)


def test_same_bytes_in_another_process_and_hash_seed(tmp_path: Path):
    code = (
        "import hashlib\n"
        "from ecomkit.catalog.synthesize import synthesize_rows\n"
        "print(hashlib.sha256(synthesize_rows(1, 0, 2000).write_json().encode()).hexdigest())\n"
    )
    root = Path(__file__).resolve().parents[1]
    out = set()
    for seed in ("0", "77"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=root if seed == "0" else tmp_path,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(root)},
            check=True,
        )
        out.add(run.stdout)
    assert len(out) == 1


def test_products_look_like_a_shop(shop: Catalog):
    ratings = shop.numbers("rating")
    counts = shop.numbers("rating_count")
    assert ((ratings >= 3.4) & (ratings <= 4.9)).mean() > 0.8
    assert (ratings < 3.0).mean() > 0.02
    assert np.array_equal(np.round(ratings, 1), ratings)
    assert counts.mean() > 3 * np.median(counts)
    assert set(np.unique(shop.numbers("ship_days"))) <= set(range(15))
    taxonomy = load_taxonomy()
    for row in range(0, SIZE, 11):
        product = shop.product_at(row)
        low, high = taxonomy.categories[product.category].price
        assert 0.7 * low * 100 <= product.price_cents <= high * 100 + 99, product
        assert product.title.startswith(product.brand + " ")
        assert len(product.features) == 5
        assert len(set(product.features)) == 5, product
        assert "  " not in product.title and "{" not in product.title + product.description
        assert " a a" not in product.description and ".." not in product.description


def test_titles_never_state_what_varies(shop: Catalog):
    taxonomy = load_taxonomy()
    for row in range(SIZE):
        product = shop.product_at(row)
        attribute = shop.varies_at(row)
        assert attribute is not None
        for value in taxonomy.categories[product.category].values[attribute]:
            assert not contains_words(product.title, spoken(attribute, value)), product.title
            assert not contains_words(product.title, forms.value_text(value)), product.title


def test_near_twins_differ_in_exactly_one_attribute(shop: Catalog):
    names = [n for n in COLUMNS if n not in ("product_id", "title", "description", "features")]
    names = [n for n in names if n not in ("stock", "variants", "filled_fields", "varies_by")]
    groups: dict[tuple[str, ...], list[int]] = {}
    for row in range(SIZE):
        product = shop.product_at(row)
        groups.setdefault((product.category, product.brand, shop.title_phrase(row)), []).append(row)
    twins = [rows for rows in groups.values() if len(rows) > 1]
    assert 0.15 * SIZE < sum(map(len, twins)) < 0.5 * SIZE
    differing: Counter[str] = Counter()
    for rows in twins:
        if max(rows) - min(rows) > 7:
            continue  # the same name twice by chance
        first = shop.product_at(rows[0])
        for row in rows[1:]:
            second = shop.product_at(row)
            unlike = [n for n in names if first.get(n) != second.get(n)]
            assert len(unlike) == 1, (first, second)
            assert unlike[0] != shop.varies_at(row)
            differing[unlike[0]] += 1
    assert {"color", "material", "size", "store"} <= set(differing)


def test_model_names_are_nearly_unique():
    frame = synthesize_rows(0, 0, 100_000)
    name = frame["title"].str.split(" ").list.slice(0, 6).list.join(" ")
    frame = frame.with_columns(name=name, family=pl.int_range(pl.len()) // 8)
    keys = frame.select("category", "brand", "name", "family").unique()
    again = keys.group_by("category", "brand", "name").len().filter(pl.col("len") > 1)
    assert again.height < 0.002 * frame.height


def test_ids_are_unique_and_tell_nothing():
    ids = product_ids(np.arange(200_000), 0)
    assert len(np.unique(ids)) == 200_000
    text = ids[:3].astype(str)
    assert all(len(t) == 10 and t[0].isalpha() and t.isupper() for t in text)
    order = np.argsort(ids[:2_000])
    assert abs(np.corrcoef(order, np.arange(2_000))[0, 1]) < 0.1


# Variants -----------------------------------------------------------------------------------


def test_variants_hold_the_own_value_and_differ(shop: Catalog):
    own_at: Counter[int] = Counter()
    for row in range(SIZE):
        product = shop.product_at(row)
        variants = shop.variants_at(row)
        attribute = shop.varies_at(row)
        assert attribute is not None
        values = [v.attributes[attribute] for v in variants]
        assert len(variants) == 3 and len(set(values)) == 3
        own = values.index(forms.value_text(product.attributes[attribute]))
        own_at[own] += 1
        assert variants[own].price_cents == product.price_cents
        for variant in variants:
            assert 5 <= variant.stock <= 60
            assert 0.9 < variant.price_cents / product.price_cents < 1.12
        assert sum(v.stock for v in variants) == product.stock
    # Position tells nothing: a third each, within four standard errors.
    for position in range(3):
        assert abs(own_at[position] - SIZE / 3) < 4 * (SIZE * 2 / 9) ** 0.5


def test_array_and_single_variants_agree():
    rng = np.random.default_rng(1)
    ids = [f"P{n}" for n in rng.integers(0, 10**9, 300)]
    pool = ("red", "blue", "green", "black", "white")
    keys = forms.product_keys(ids)
    assert [forms.product_key(i) for i in ids] == keys.tolist()
    own = rng.integers(-1, 5, 300)
    others = forms.other_indices(keys, own, np.full(300, 5))
    for i, product_id in enumerate(ids):
        mine = pool[own[i]] if own[i] >= 0 else "pink"
        picked = forms.pick_others(forms.product_key(product_id), mine, pool)
        assert picked == [pool[k] for k in others[i]]
        assert mine not in picked


def test_small_pools_give_fewer_forms():
    assert len(forms.make_variants("P1", 999, "color", "red", ("red", "blue"))) == 2
    alone = forms.make_variants("P1", 999, "color", "red", ("RED",))
    assert len(alone) == 1 and alone[0].attributes == {} and alone[0].price_cents == 999
    assert len(forms.make_variants("P1", 999, None, None, ())) == 1


def _frame(**columns: list[object]) -> pl.DataFrame:
    base: dict[str, list[object]] = {
        "product_id": ["A1", "B2"],
        "title": ["Plain Shirt", "Other Shirt"],
        "department": ["clothes", "clothes"],
        "category": ["T-Shirts", "T-Shirts"],
        "brand": ["x", "y"],
        "store": ["x", "y"],
        "price_cents": [1000, 2000],
        "rating": [4.0, 5.0],
        "rating_count": [1, 2],
        "ship_days": [0, 1],
        "stock": [10, 10],
    }
    return pl.DataFrame({**base, **columns})


def _native(*variants: tuple[str, dict[str, str], int, int]) -> list[dict[str, object]]:
    return [
        {
            "variant_id": i,
            "attributes": [{"name": k, "value": v} for k, v in attributes.items()],
            "price_cents": price,
            "stock": stock,
        }
        for i, attributes, price, stock in variants
    ]


def test_native_variants_win_and_serve_filters(tmp_path: Path):
    native = _native(
        ("v-1", {"size": "M", "color": "red"}, 1000, 3),
        ("v-2", {"size": "L", "color": "red"}, 1100, 0),
        ("v-3", {"size": "L", "color": "blue"}, 1200, 9),
        ("v-4", {"size": "S", "color": "blue"}, 1300, 9),
    )
    frame = _frame(variants=[native, None], color=["red", "green"])
    write_catalog([frame], tmp_path / "c", {"name": "n"})
    shop = open_catalog(tmp_path / "c")
    row = shop.row("A1")
    assert shop.varying_at(row) == ("color", "size")
    assert shop.varies_at(row) == "color, size"
    variants = shop.variants("A1")
    assert [v.variant_id for v in variants] == ["v-1", "v-2", "v-3", "v-4"]
    assert variants[2].attributes == {"size": "L", "color": "blue"}
    assert variants[1].stock == 0
    assert "color" not in shop.card_at(row)["attributes"]
    rows = np.array([row, shop.row("B2")])
    blue = shop.mask(rows, [Constraint("color", "eq", "Blue")])
    assert blue.tolist() == [True, False]
    assert shop.mask(rows, [Constraint("color", "eq", "green")]).tolist() == [False, True]
    assert shop.variants("B2")[0].attributes == {}


# Store --------------------------------------------------------------------------------------


def test_products_come_back_as_written(shop: Catalog):
    frame = synthesize_rows(3, 0, SIZE)
    for row in range(0, SIZE, 37):
        wanted = frame.row(row, named=True)
        product = shop.product(wanted["product_id"])
        assert shop.row(wanted["product_id"]) == row
        for name in COLUMNS:
            if name in ("variants", "filled_fields"):
                continue
            if name == "varies_by":
                assert shop.varies_at(row) == wanted[name]
            elif name == "features":
                assert product.features == tuple(wanted[name])
            elif name in ("description", "stock"):
                assert getattr(product, name) == wanted[name]
            elif name != "product_id":
                assert product.get(name) == wanted[name], name
        assert shop.filled_fields(row) == ()


def test_unknown_names_raise_and_say_so(shop: Catalog):
    for bad in ("", "NOPE", "\x00", "🙂" * 50, None, 7):
        with pytest.raises(UnknownProduct):
            shop.row(bad)  # type: ignore[arg-type]
        assert bad not in shop
    with pytest.raises(UnknownName, match="choose from"):
        shop.rows("no such department")
    with pytest.raises(UnknownName):
        shop.nouns("no such category")
    with pytest.raises(UnknownName):
        shop.codes("price_cents")
    with pytest.raises(UnknownName):
        shop.numbers("color")
    with pytest.raises(UnknownName):
        shop.mask(shop.rows(), [Constraint("flavour", "eq", "x")])


def test_shelves_are_sorted_and_complete(shop: Catalog):
    seen: list[int] = []
    for department in shop.departments:
        rows = shop.rows(department)
        assert np.all(np.diff(rows) > 0)
        assert shop.rows(department) is rows
        parts = [shop.rows(category=c) for c in shop.categories_of(department)]
        assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
        seen += rows.tolist()
    assert sorted(seen) == list(range(SIZE))
    category = shop.categories[5]
    assert shop.department_of(category) in shop.departments
    with pytest.raises(ValueError, match="read-only"):
        shop.rows(category=category)[0] = 1


def test_cards_are_json_and_hide_what_varies(shop: Catalog):
    for row in range(0, SIZE, 97):
        card = shop.card_at(row)
        assert json.loads(json.dumps(card, allow_nan=False)) == card
        assert card["varies_by"] == shop.varies_at(row)
        assert card["varies_by"] not in card["attributes"]
        assert "stock" not in card
        card["attributes"]["color"] = "changed"
        assert shop.card_at(row)["attributes"].get("color") != "changed"


def test_mask_agrees_with_holds(shop: Catalog):
    rows = np.random.default_rng(0).permutation(SIZE)[:1_500].astype(np.int32)
    sample = [shop.product_at(int(r)) for r in rows[:40]]
    constraints = [
        Constraint("price_cents", "le", 3_000),
        Constraint("price_cents", "between", (1_000, 2_000)),
        Constraint("rating", "ge", 4.5),
        Constraint("ship_days", "eq", 2),
        Constraint("rating_count", "ge", "many"),
        Constraint("weight_lbs", "le", 2.5),
        Constraint("wattage", "ge", 60),
        Constraint("screen_size_inches", "eq", 27),
        Constraint("brand", "contains", "row"),
        Constraint("title", "contains", "with"),
        Constraint("title", "contains", "set of"),
        Constraint("color", "le", "red"),
        Constraint("department", "eq", "chargers"),
    ]
    for product in sample:
        for name in ("color", "material", "size", "brand", "store", "category"):
            value = product.get(name)
            if value is not None:
                constraints.append(Constraint(name, "eq", str(value).upper()))
        constraints.append(
            Constraint("title", "contains", shop.title_phrase(shop.row(product.product_id)))
        )
    for constraint in constraints:
        fast = shop.mask(rows, [constraint])
        for at, row in enumerate(rows):
            product = shop.product_at(int(row))
            expected = constraint.holds(product)
            if not expected and shop.varies_at(int(row)) == constraint.attribute:
                for variant in shop.variants_at(int(row)):
                    text = variant.attributes[constraint.attribute]
                    value = float(text) if constraint.attribute in NUMBER_ATTRIBUTES else text
                    other = type(product)(
                        **{
                            **{f: getattr(product, f) for f in product.__slots__},
                            "attributes": {**product.attributes, constraint.attribute: value},
                        }
                    )
                    expected = expected or constraint.holds(other)
            assert fast[at] == expected, (constraint, product)
    both = shop.mask(rows, constraints[:2])
    assert np.array_equal(
        both, shop.mask(rows, constraints[:1]) & shop.mask(rows, constraints[1:2])
    )
    assert shop.mask(rows, []).all()
    assert shop.mask(rows[:0], constraints[:3]).shape == (0,)


def test_title_phrases_single_products_out(shop: Catalog):
    several = 0
    for row in range(0, SIZE, 13):
        phrase = shop.title_phrase(row)
        assert contains_words(shop.title(row), phrase)
        category = shop.product_at(row).category
        hits = shop.mask(shop.rows(category=category), [Constraint("title", "contains", phrase)])
        assert hits.sum() >= 1
        several += hits.sum() > 4
    assert several == 0


def test_lookups_are_fast(shop: Catalog, folder: Path):
    fresh = open_catalog(folder)
    rows = np.arange(SIZE, dtype=np.int32)
    constraints = [
        Constraint("price_cents", "le", 5_000),
        Constraint("rating", "ge", 4.0),
        Constraint("color", "eq", "black"),
    ]
    fresh.mask(rows, constraints)
    # Bounds are several times what is measured, so that a busy machine does not fail them.
    assert _best(lambda: fresh.mask(rows, constraints)) < 1.5e-3
    took = []
    for row in range(2_000):
        started = time.perf_counter()
        fresh.product_at(row)
        took.append(time.perf_counter() - started)
    assert np.median(took) < 150e-6


def _best(call) -> float:
    took = []
    for _ in range(20):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return min(took)


# Folders ------------------------------------------------------------------------------------


def test_hash_does_not_depend_on_shards_but_on_content(folder: Path, tmp_path: Path):
    manifest = synthetic_manifest(SIZE, 3)
    other = write_catalog(synthesize(SIZE, 3, shard=999), tmp_path / "a", manifest)
    assert other["hash"] == open_catalog(folder).hash
    assert len(other["files"]) != len(json.loads((folder / "manifest.json").read_text())["files"])
    frame = pl.concat(list(synthesize(SIZE, 3)))
    frame[4_321, "price_cents"] = frame[4_321, "price_cents"] + 1
    changed = write_catalog([frame], tmp_path / "b", manifest)
    denied = write_catalog(
        synthesize(SIZE, 3), tmp_path / "c", manifest, deny_list=["knife sets", "knife sets"]
    )
    assert len({other["hash"], changed["hash"], denied["hash"]}) == 3
    assert open_catalog(tmp_path / "c").deny_list == {"knife sets"}


def test_load_dataset_opens_the_folder(folder: Path, tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    data = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path))
    assert len(data) == SIZE
    assert set(data.column_names) == set(COLUMNS)


def _copy(folder: Path, tmp_path: Path, cache: bool = True) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(folder, target, ignore=None if cache else shutil.ignore_patterns(".cache"))
    return target


def test_the_cache_is_made_again(folder: Path, tmp_path: Path):
    copy = _copy(folder, tmp_path, cache=False)
    again = open_catalog(copy)
    assert again.card_at(17) == open_catalog(folder).card_at(17)
    assert (copy / ".cache" / "index.json").is_file()
    title = again.title(SIZE - 1)
    victim = copy / ".cache" / "title.data.bin"
    cut = victim.read_bytes()[:-10]
    victim.unlink()  # the open catalog keeps the old file mapped
    victim.write_bytes(cut)
    assert open_catalog(copy).title(SIZE - 1) == title


def test_damage_is_named(folder: Path, tmp_path: Path):
    copy = _copy(folder, tmp_path)
    data = sorted((copy / "data").iterdir())
    whole = data[0].read_bytes()

    data[0].write_bytes(whole[:-100])
    with pytest.raises(CatalogError, match=f"{data[0].name}.*cut short"):
        open_catalog(copy)

    middle = len(whole) // 2
    data[0].write_bytes(whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :])
    with pytest.raises(CatalogError, match=f"{data[0].name}.*checksum"):
        open_catalog(copy)
    with pytest.raises(CatalogError, match="checksum"):
        open_catalog(copy, check="full")

    data[0].write_bytes(whole)
    assert open_catalog(copy).size == SIZE

    data[0].unlink()
    with pytest.raises(CatalogError, match=f"{data[0].name} is missing"):
        open_catalog(copy)
    data[0].write_bytes(whole)

    manifest = copy / "manifest.json"
    text = manifest.read_text()
    for broken in (text[: len(text) // 2], "[]", text.replace("ecomkit-catalog-1", "else")):
        manifest.write_text(broken)
        with pytest.raises(CatalogError, match="manifest.json"):
            open_catalog(copy)
    edited = json.loads(text)
    edited["hash"] = "0" * 64
    manifest.write_text(json.dumps(edited))
    with pytest.raises(CatalogError, match="hash"):
        open_catalog(copy)
    manifest.unlink()
    with pytest.raises(CatalogError, match="manifest.json is missing"):
        open_catalog(copy)
    with pytest.raises(CatalogError, match="build one with"):
        open_catalog(tmp_path / "nowhere")


def test_a_failed_build_leaves_the_old_catalog(folder: Path, tmp_path: Path):
    copy = _copy(folder, tmp_path)
    before = open_catalog(copy).hash

    def frames():
        yield from synthesize(1_000, 9, shard=500)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_catalog(frames(), copy, synthetic_manifest(1_000, 9))
    assert open_catalog(copy, check="full").hash == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"]

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(CatalogError, match="holds no catalog"):
        write_catalog(synthesize(10), tmp_path / "mine", synthetic_manifest(10))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_bad_rows_are_refused(tmp_path: Path):
    for bad, message in (
        ({"price_cents": [0, 5]}, "out of range"),
        ({"rating": [4.0, 5.5]}, "out of range"),
        ({"ship_days": [15, 0]}, "out of range"),
        ({"product_id": ["A", "A"]}, "must be unique"),
        ({"title": [None, "x"]}, "nulls in the required column 'title'"),
        ({"price_cents": ["cheap", "dear"]}, "wrong type"),
        ({"colour": ["red", "blue"]}, "unknown column"),
    ):
        with pytest.raises(CatalogError, match=message):
            write_catalog([_frame(**bad)], tmp_path / "c", {"name": "n"})
        assert not (tmp_path / "c").exists()
    with pytest.raises(CatalogError, match="lack the column"):
        write_catalog([_frame().drop("brand")], tmp_path / "c", {"name": "n"})
    with pytest.raises(CatalogError, match="at least one product"):
        write_catalog([], tmp_path / "c", {"name": "n"})


# Names of imported things -------------------------------------------------------------------


def test_nouns_of_imported_categories():
    assert nouns_from_category("Toys & Games | Puzzles | Jigsaw Puzzles")[0] == "jigsaw puzzle"
    assert nouns_from_category("Kitchen Knives") == ("kitchen knife", "kitchen knives")
    assert nouns_from_category("Cables & Accessories")[0] == "cable"
    assert nouns_from_category("T-Shirt") == ("t-shirt", "t-shirts")
    assert nouns_from_category("Headphones")[0] == "headphones"
    assert nouns_from_category("  ")[0] == "item"
    for word in ("dress", "battery", "brush", "box", "toy", "glasses"):
        assert singular(plural(word)) == word


def test_imported_titles_get_a_rare_phrase_without_what_varies(tmp_path: Path):
    titles = ["Acme Red Shirt for Men Zanzibar Palm Print", "Acme Blue Shirt for Men Stripes"]
    write_catalog([_frame(title=titles, brand=["Acme", "Acme"])], tmp_path / "c", {"name": "n"})
    shop = open_catalog(tmp_path / "c")
    phrase = shop.title_phrase(shop.row("A1"))
    assert contains_words(titles[0], phrase)
    assert shop.mask(shop.rows(), [Constraint("title", "contains", phrase)]).sum() == 1
    hidden = rare_phrase(titles[0], "Acme", lambda w: 1, ["zanzibar", "palm"])
    assert "zanzibar" not in hidden and "palm" not in hidden


def test_rules_of_imports_come_from_the_data():
    frame = _frame(color=["red", "blue"])
    frame = pl.concat([frame.with_columns(color=pl.lit(c)) for c in ("red", "blue", "green")])
    rules = derive_rules(frame)
    assert rules == {"T-Shirts": [{"attribute": "color", "values": ["blue", "green", "red"]}]}
    frame = frame.with_columns(title=pl.lit("A Red Shirt"))
    assert assign_varies(frame, rules)["varies_by"].null_count() == frame.height


def test_title_case_keeps_marks():
    assert title_case("usb-c to hdmi") == "Usb-C to Hdmi"
    assert title_case("USB-C to HDMI") == "USB-C to HDMI"
    assert title_case("set of 4") == "Set of 4"


def test_the_build_script(tmp_path: Path):
    root = Path(__file__).resolve().parents[1]
    script = [sys.executable, str(root / "scripts" / "build_catalog.py")]
    run = subprocess.run(
        [*script, "--out", str(tmp_path / "c"), "--size", "500", "--deny", "knife sets"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "500 products" in run.stdout
    assert open_catalog(tmp_path / "c").deny_list == {"knife sets"}
    bad = subprocess.run(
        [*script, "--out", str(tmp_path / "d"), "--size", "0"], capture_output=True, text=True
    )
    assert bad.returncode == 1 and "--size" in bad.stderr
    assert not (tmp_path / "d").exists()
