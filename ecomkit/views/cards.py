"""Dataset cards, rendered from the data that they describe (SPEC §10).

In two steps: :func:`facts_of` reads a folder and gives plain JSON, and :func:`render` turns that
into Markdown with the metadata that the Hub and ``load_dataset`` read. The same facts give the
same bytes, so that a test can hold the cards of the repository against their facts.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecomkit.core.difficulty import AXIS_NAMES, difficulty
from ecomkit.core.errors import EcomkitError
from ecomkit.data.loading import configs_of
from ecomkit.data.manifests import ERRORS, damage, kind_of, listed_files, read_manifest
from ecomkit.views import plots

NAMES = {
    "catalog": "Shopping agents: product catalog",
    "embeddings": "Shopping agents: product embeddings and index",
    "episodes": "Shopping agents: certified episodes",
}
PLACEHOLDERS = {kind: f"OWNER/{kind}" for kind in NAMES}
"""Ids in the examples of a card that is not published."""
LICENCE = "apache-2.0"

CATALOG_FIELDS: dict[str, tuple[str, str]] = {
    "product_id": ("", "10 characters, unique; does not tell the row"),
    "title": ("", "never states the value that varies"),
    "description": ("", "plain text"),
    "department": ("", "shelf of the shop"),
    "category": ("", "kind of product within the department"),
    "brand": ("", "maker; invented where the catalog is synthetic"),
    "store": ("", "who sells it"),
    "price_cents": ("US cents", "price of the product's own variant"),
    "rating": ("stars, 1.0-5.0", "mean of the reviews, one decimal"),
    "rating_count": ("reviews", "how many"),
    "ship_days": ("days, 0-14", "until it is delivered"),
    "stock": ("pieces", "when a session begins"),
    "features": ("", "bullet points"),
    "color": ("", ""),
    "size": ("", ""),
    "material": ("", ""),
    "connector_type": ("", ""),
    "item_form": ("", ""),
    "skin_type": ("", ""),
    "finish_type": ("", ""),
    "age_range": ("", ""),
    "wattage": ("watts", ""),
    "weight_lbs": ("pounds", ""),
    "screen_size_inches": ("inches", ""),
    "varies_by": ("", "attribute in which the variants differ"),
    "variants": ("", "native variants of an import; null where the category's rule makes them"),
    "filled_fields": ("", "columns of this row that an import filled by rule"),
}
EMBEDDING_FIELDS = {
    "product_id": ("", "as in the catalog, in the order of its rows"),
    "embedding": ("", "int8; similarity is the inner product, a whole number"),
}
EPISODE_FIELDS: dict[str, tuple[str, str]] = {
    "episode_id": ("", "unique; names the cell and the seed"),
    "environment": ("", "task family"),
    "department": ("", "shelf of the shop that it is about"),
    "difficulty": ("0-12", "sets the twelve axes at once"),
    "seed": ("", "of the draw"),
    "prompt": ("", "system message and the customer's opening, chat form"),
    "tools": ("JSON", "tool schemas, OpenAI form"),
    "axes": ("", "the twelve axes"),
    "max_turns": ("steps", "the agent may take"),
    "tool_budget": ("calls", "in one step; ask_user and submit_answer do not count"),
    "par_turns": ("steps", "of the reference solution"),
    "honest_turns": ("steps", "of the honest scripted agent"),
    "goal": ("JSON, hidden", "what the customer wants; never shown to an agent"),
    "world": ("JSON, hidden", "profile, orders, codes, policy figures, events"),
    "user": ("JSON, hidden", "what the customer knows, and how they say it"),
    "reference": ("JSON, hidden", "actions of a solution"),
    "goal_hash": ("", "equal for episodes with the same goal; train and test share none"),
    "catalog_hash": ("", "catalog that it was made on"),
    "search_hash": ("", "embeddings and index that certification used"),
    "policy_hash": ("", "the shop's rules in this episode"),
    "generator_version": ("", "of the code that drew it"),
}
FIELDS = {"catalog": CATALOG_FIELDS, "embeddings": EMBEDDING_FIELDS, "episodes": EPISODE_FIELDS}


# ----------------------------------------------------------------------------------- the facts


def facts_of(
    folder: Path,
    *,
    manifest: Mapping[str, Any] | None = None,
    catalog: Mapping[str, Any] | None = None,
    audit: Path | None = None,
) -> dict[str, Any]:
    """What a card says of a folder, as plain JSON.

    Args:
        folder: a catalog, embeddings or an episode set.
        manifest: to be used in place of the folder's own, such as one with a licence.
        catalog: manifest of the catalog that embeddings or episodes were made on.
        audit: table of ``scripts/audit.py``, for episodes.

    Raises:
        EcomkitError: if a file is missing or of another size, or the catalog is another one.
    """
    folder = Path(folder)
    manifest = manifest or read_manifest(folder)
    kind = kind_of(manifest)
    listed = listed_files(manifest)
    for entry in listed.values():
        if entry.path.endswith(".parquet") and (wrong := damage(folder / entry.path, entry, False)):
            raise ERRORS[kind](wrong)
    facts: dict[str, Any] = {
        "kind": kind,
        "license": str(manifest.get("license") or (catalog or {}).get("license") or LICENCE),
        "files": len(listed),
        "bytes": sum(entry.size for entry in listed.values()),
        "fields": _types(folder, listed),
    }
    if kind == "catalog":
        return facts | _catalog_facts(folder, manifest)
    if catalog is not None:
        if catalog["hash"] != manifest["catalog_hash"]:
            raise EcomkitError(f"{folder} was not made on the catalog {catalog.get('name')!r}")
        facts["catalog"] = _origin(catalog)
    if kind == "embeddings":
        return facts | _embedding_facts(folder, manifest)
    facts |= _episode_facts(folder, manifest)
    if audit is not None:
        facts["audit_table"] = _audit_table(audit)
    return facts


def _types(folder: Path, listed: Iterable[str]) -> dict[str, str]:
    import pyarrow.parquet as pq

    first = next(name for name in listed if name.endswith(".parquet"))
    schema = pq.read_schema(folder / first)
    return {field.name: _type_name(field.type) for field in schema}


def _type_name(type_: Any) -> str:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(type_):
        return f"{_type_name(type_.value_type)}[{type_.list_size}]"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"list of {_type_name(type_.value_type)}"
    if pa.types.is_struct(type_):
        names = [type_.field(i).name for i in range(type_.num_fields)]
        shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        return f"struct of {len(names)} ({shown})"
    name = str(type_)
    return {"large_string": "string", "double": "float64"}.get(name, name)


def _origin(manifest: Mapping[str, Any]) -> dict[str, Any]:
    source = manifest.get("source")
    out = {
        "name": manifest["name"],
        "size": manifest["size"],
        "hash": manifest["hash"],
        "source": dict(source) if isinstance(source, Mapping) else {"kind": str(source)},
    }
    return out | {key: manifest[key] for key in ("license", "source_url") if manifest.get(key)}


def _quantiles(values: Any) -> list[float]:
    """Least, 5 %, 25 %, median, 75 %, 95 %, most: values that occur."""
    series = values.drop_nulls()
    if series.is_empty():
        return []
    marks = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    return [round(float(series.quantile(q, "nearest")), 4) for q in marks]


PRICE_EDGES = (500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


def _catalog_facts(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    import polars as pl

    frame = pl.scan_parquet([folder / name for name in listed_files(manifest)])
    numbers = ("price_cents", "rating", "rating_count", "ship_days", "stock")
    columns = frame.select(*numbers, "department", "category", "varies_by").collect()
    shelves = (
        columns.group_by("department")
        .agg(
            pl.len().alias("products"),
            pl.col("category").n_unique().alias("categories"),
            pl.col("price_cents").quantile(0.5, "nearest").alias("median_price_cents"),
        )
        .sort("department")
    )
    edges = [0, *PRICE_EDGES]
    prices = columns["price_cents"]
    above = [int((prices >= edge).sum()) for edge in edges] + [0]
    filled = frame.select(
        pl.all().exclude("features", "filled_fields", "description").is_not_null().sum(),
        pl.col("description").ne("").sum(),
        *(pl.col(name).list.len().gt(0).sum() for name in ("features", "filled_fields")),
    ).collect()
    facts: dict[str, Any] = {
        **_origin(manifest),
        "departments": [
            [str(row["department"]), int(row["products"]), int(row["categories"]),
             int(row["median_price_cents"])]
            for row in shelves.iter_rows(named=True)
        ],
        "categories": int(columns["category"].n_unique()),
        "present": {name: int(filled[name][0]) for name in CATALOG_FIELDS if name in filled},
        "quantiles": {name: _quantiles(columns[name]) for name in numbers},
        "prices": [above[i] - above[i + 1] for i in range(len(edges))],
        "varies_by": dict(sorted(Counter(columns["varies_by"].drop_nulls().to_list()).items())),
        "deny_list": list(manifest["deny_list"]),
        "example": frame.head(1).collect().to_dicts()[0],
    }  # fmt: skip
    report = folder / "import_report.json"
    if report.exists():
        read = json.loads(report.read_text(encoding="utf-8"))
        names = ("rows_read", "rows_written", "dropped", "filled")
        facts["import"] = {name: read[name] for name in names if name in read}
    return facts


def _embedding_facts(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np
    import polars as pl

    names = [name for name in listed_files(manifest) if name.startswith("data/")]
    rows = pl.scan_parquet([folder / name for name in names])
    sample = rows.head(1000).collect()
    vectors = np.asarray(sample["embedding"].to_list(), dtype=np.int64)
    lengths = pl.Series(np.sqrt((vectors**2).sum(1)))
    listed = listed_files(manifest)
    return {
        "rows": manifest["rows"],
        "dims": manifest["dims"],
        "hash": manifest["hash"],
        "catalog_hash": manifest["catalog_hash"],
        "encoder": dict(manifest["encoder"]),
        "encoder_hash": manifest["encoder_hash"],
        "index": dict(manifest["index"] or {}),
        "parts": {
            name: entry.size for name, entry in listed.items() if not name.startswith("data/")
        },
        "data_bytes": sum(listed[name].size for name in names),
        "lengths": [round(value, 2) for value in _quantiles(lengths)],
        "zeros": round(float((vectors == 0).mean()), 4),
        "example": {"product_id": sample["product_id"][0], "embedding": vectors[0].tolist()},
    }


def _episode_facts(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    import polars as pl

    configs = configs_of(manifest)
    cells: dict[str, dict[str, Any]] = {}
    lengths: dict[str, list[int]] = {}
    shelves: Counter[str] = Counter()
    columns = ["prompt", "par_turns", "honest_turns", "max_turns", "department"]
    for config, splits in configs.items():
        for split, listed in splits.items():
            frame = pl.read_parquet(folder / listed.path, columns=columns)
            words = [len(prompt[-1]["content"].split()) for prompt in frame["prompt"].to_list()]
            lengths.setdefault(split, []).extend(words)
            shelves.update(frame["department"].to_list())
            cells[f"{config}/{split}"] = {
                "rows": frame.height,
                **{
                    name: [sum(frame[name].to_list()), max(frame[name].to_list(), default=0)]
                    for name in ("par_turns", "honest_turns", "max_turns")
                },
            }
    return {
        "episodes": manifest["episodes"],
        "configs": {
            config: {split: listed.rows for split, listed in splits.items()}
            for config, splits in configs.items()
        },
        "hash": {name: manifest[name] for name in ("catalog_hash", "search_hash")},
        "generator_version": manifest["generator_version"],
        "plan": dict(manifest["settings"]["plan"]),
        "unavailable": dict(manifest.get("unavailable") or {}),
        "audit": _audit_totals(manifest["audit"]),
        "cells": cells,
        "words": {
            split: _quantiles(pl.Series(values, dtype=pl.Int64))
            for split, values in sorted(lengths.items())
        },
        "departments": len(shelves),
        "example": _example_episode(folder, configs),
    }


def _audit_totals(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """By environment: sums over its cells; and the naive policy by difficulty."""
    out: dict[str, Any] = {}
    for name, cell in sorted(cells.items()):
        config, _, split = name.partition("/")
        total = out.setdefault(
            config.removesuffix("_test"),
            {"episodes": 0, "redrawn": 0, "near_misses": [0, 0], "policies": {}, "naive": {}},
        )
        total["episodes"] += cell["episodes"]
        total["redrawn"] += sum(cell["redraws"].values())
        total["near_misses"][0] += sum(cell["near_misses"].values())
        total["near_misses"][1] += sum(cell["near_miss_passes"].values())
        for policy, attempts in cell["policies"].items():
            passes = cell["policy_passes"].get(policy, 0)
            micros = cell["policy_reward_micros"].get(policy, 0)
            tally = total["policies"].setdefault(policy, [0, 0, 0, -1_000_000])
            best = max(tally[3], cell["best_reward_micros"].get(policy, -1_000_000))
            tally[:] = [tally[0] + attempts, tally[1] + passes, tally[2] + micros, best]
            if policy == "naive":
                naive = total["naive"].setdefault(split, [0, 0])
                naive[:] = [naive[0] + attempts, naive[1] + passes]
    return out


def _example_episode(folder: Path, configs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    import polars as pl

    config = "cart" if "cart" in configs else next(iter(configs))
    split = "d03" if "d03" in configs[config] else next(iter(configs[config]))
    row = pl.read_parquet(folder / configs[config][split].path, n_rows=1).to_dicts()[0]
    for name in ("tools", "goal", "world", "user", "reference"):
        row[name] = json.loads(row[name])
    row["tools"] = [_signature(tool["function"]) for tool in row["tools"]]
    return row


def _signature(function: Mapping[str, Any]) -> str:
    """``cart_add(product_id, variant_id?, quantity?)``."""
    parameters = function.get("parameters", {})
    required = parameters.get("required", ())
    names = [name + ("" if name in required else "?") for name in parameters.get("properties", {})]
    return f"{function['name']}({', '.join(names)})"


def _audit_table(path: Path) -> list[dict[str, Any]]:
    """The totals of a table of scripts/audit.py by environment, group and policy."""
    import polars as pl

    try:
        frame = pl.read_parquet(path)
        rows = frame.group_by("environment", "group", "policy", maintain_order=True).agg(
            pl.col("attempts").sum(),
            pl.col("passes").sum(),
            ((pl.col("mean_reward") * pl.col("attempts")).sum() / pl.col("attempts").sum())
            .round(4)
            .alias("mean_reward"),
            pl.col("best_reward").max(),
        )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise EcomkitError(f"{path} is no table of scripts/audit.py: {error}") from None
    return rows.to_dicts()


# -------------------------------------------------------------------------------- the rendering


def render(facts: Mapping[str, Any], repo_id: str = "") -> str:
    """The card as Markdown: metadata, then text. The same facts give the same bytes."""
    body = {"catalog": _catalog, "embeddings": _embeddings, "episodes": _episodes}[facts["kind"]]
    lines = [*_metadata(facts), "", *body(facts, repo_id or PLACEHOLDERS[facts["kind"]])]
    return "\n".join(lines).rstrip() + "\n"


def figures(facts: Mapping[str, Any]) -> dict[str, str]:
    """The card's plots: path → SVG text, a few kilobytes each."""
    if facts["kind"] == "catalog":
        edges = [0, *PRICE_EDGES]
        names = [
            f"${low // 100}-{high // 100}" for low, high in zip(edges, edges[1:], strict=False)
        ]
        names.append(f"≥ ${edges[-1] // 100:,}")
        return {"plots/prices.svg": plots.bars("Products by price", names, facts["prices"])}
    if facts["kind"] == "episodes":
        series = {
            name: {split: passes / attempts for split, (attempts, passes) in total["naive"].items()}
            for name, total in facts["audit"].items()
        }
        levels = sorted({split for values in series.values() for split in values})
        return {
            "plots/naive.svg": plots.lines(
                "Naive policy: share of episodes passed, by difficulty", levels, series
            )
        }
    return {}


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows, such as ``10K<n<100K``."""
    names = ["1K", "10K", "100K", "1M", "10M", "100M", "1B"]
    if rows < 1000:
        return "n<1K"
    for power, (low, high) in enumerate(zip(names, names[1:], strict=False)):
        if rows < 10 ** (power + 4):
            return f"{low}<n<{high}"
    return "n>1B"


def _metadata(facts: Mapping[str, Any]) -> list[str]:
    kind = facts["kind"]
    rows = {"catalog": "size", "embeddings": "rows", "episodes": "episodes"}[kind]
    tasks = {
        "catalog": ["text-retrieval"],
        "embeddings": ["feature-extraction", "text-retrieval"],
        "episodes": ["text-generation", "reinforcement-learning"],
    }[kind]
    tags = ["ecomkit", "agents", "tool-use", "e-commerce"]
    if _synthetic(facts):
        tags.append("synthetic")
    lines = [
        "---",
        f"license: {facts['license']}",
        f"pretty_name: {json.dumps(NAMES[kind])}",
        "language:",
        "- en",
        "task_categories:",
        *(f"- {task}" for task in tasks),
        "tags:",
        *(f"- {tag}" for tag in tags),
        "size_categories:",
        f"- {size_category(facts[rows])}",
        "configs:",
    ]
    if kind == "episodes":
        for config, splits in facts["configs"].items():
            lines += [f"- config_name: {config}", "  data_files:"]
            for split in splits:
                lines += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
    else:
        pattern = {"catalog": "data/products-*.parquet", "embeddings": "data/*.parquet"}[kind]
        lines += ["- config_name: default", "  data_files:", "  - split: train"]
        lines.append(f"    path: {pattern}")
    return [*lines, "---"]


def _synthetic(facts: Mapping[str, Any]) -> bool:
    origin = facts if facts["kind"] == "catalog" else facts.get("catalog", {})
    return bool(origin.get("source", {}).get("kind", "synthetic") == "synthetic")


def table(head: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> list[str]:
    """A Markdown table; ``right`` has an ``r`` for each column to be set flush right."""
    marks = ["--:" if right[i : i + 1] == "r" else "---" for i in range(len(head))]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(marks) + " |"]
    for row in rows:
        cells = [str(cell).replace("|", "\\|").replace("\n", " ") for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _money(cents: float) -> str:
    return f"${cents / 100:,.2f}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def _fields(facts: Mapping[str, Any], present: Mapping[str, int], rows: int) -> list[str]:
    said = FIELDS[facts["kind"]]
    lines = []
    for name, type_ in facts["fields"].items():
        unit, meaning = said.get(name, ("", ""))
        row = [f"`{name}`", type_, unit, meaning]
        if present:
            row.append(f"{present.get(name, 0) / rows:.0%}")
        lines.append(row)
    head = ["field", "type", "unit or form", "what"] + (["present"] if present else [])
    return ["## Fields", "", *table(head, lines, "    r")]


def _value(value: Any) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _made(source: Mapping[str, Any], name: str) -> list[str]:
    if source.get("kind") == "synthetic":
        command = (
            f"python scripts/build_catalog.py --out data/catalog --size {source['size']} "
            f"--seed {source['seed']}"
        )
        return [
            "All products are made up: a taxonomy with its own attribute values and price bands, "
            "invented brands, skewed ratings and review counts, and near-twins that differ in one "
            "attribute. Product *i* depends on the seed and *i* alone, so that a larger catalog "
            f"begins with the smaller one (generator {source['generator']}). No network, no "
            "language model.",
            "",
            "```bash",
            command,
            "```",
            "",
        ]
    command = "python scripts/build_catalog.py --out data/catalog --source FILE"
    if source.get("format"):
        command += f" --format {source['format']}"
    if source.get("missing"):
        missing = source["missing"]
        if isinstance(missing, Mapping):
            missing = ",".join(f"{key}={value}" for key, value in missing.items())
        command += f" --missing {missing} --seed {source.get('seed', 0)}"
    return [f"Imported from `{source.get('name', name)}`.", "", "```bash", command, "```", ""]


def _catalog(facts: Mapping[str, Any], repo_id: str) -> list[str]:
    size = facts["size"]
    origin = "made-up" if _synthetic(facts) else "imported"
    lines = [
        f"# {NAMES['catalog']}",
        "",
        f"{size:,} {origin} products in {len(facts['departments'])} departments and "
        f"{facts['categories']} categories: the shop in which "
        "shopping agents are trained and measured with ecomkit. Each product comes in variants "
        "(color, size, connector …) with prices and stock of their own.",
        "",
        *table(["", ""], [
            ["name", f"`{facts['name']}`"],
            ["content hash", f"`{facts['hash']}`"],
            ["files", f"{facts['files']} ({_bytes(facts['bytes'])}), parquet"],
            ["split", f"`train`: {size:,} rows"],
            ["licence", facts["license"]],
        ]),
        *_loading(
            repo_id,
            [f'catalog = ek.load_catalog("{repo_id}")', "print(catalog.product_at(0).title)"],
            [f'rows = load_dataset("{repo_id}", split="train")'],
            "data/*.parquet",
        ),
        "## A product",
        "",
        *table(["field", "value"], [
            [f"`{k}`", _value(v)] for k, v in facts["example"].items() if v is not None
        ]),
        *_fields(facts, facts["present"], size),
        "Text columns without a value are null where the attribute does not apply. Variants are a "
        "pure function of the product (`catalog.variants(product_id)`): its own value and "
        "plausible others of the attribute in `varies_by`, in an order that tells nothing.",
        "",
        "## How it was made",
        "",
        *_made(facts["source"], facts["name"]),
    ]  # fmt: skip
    if "import" in facts:
        lines += _import_report(facts)
    names = {
        "price_cents": "price", "rating": "rating", "rating_count": "reviews",
        "ship_days": "days to ship", "stock": "stock",
    }  # fmt: skip
    rows = []
    for name, label in names.items():
        values = facts["quantiles"][name]
        rows.append([label, *(_money(v) if name == "price_cents" else f"{v:,g}" for v in values)])
    varies = sorted(facts["varies_by"].items(), key=lambda pair: (-pair[1], pair[0]))
    said = ", ".join(f"{name} {count / size:.0%}" for name, count in varies)
    return [
        *lines,
        "## Statistics",
        "",
        *table(["", "least", "5 %", "25 %", "median", "75 %", "95 %", "most"], rows, " rrrrrrr"),
        "![Products by price](plots/prices.svg)",
        "",
        f"What varies within a product, share of products: {said}.",
        "",
        "<details><summary>Departments</summary>",
        "",
        *table(
            ["department", "products", "categories", "median price"],
            [[d, f"{n:,}", c, _money(p)] for d, n, c, p in facts["departments"]],
            " rrr",
        ),
        "</details>",
        "",
        *_use(
            "Training and measuring agents that search, compare, fill carts and handle orders, "
            "with episodes made on this very catalog; retrieval experiments with exact filters.",
            [
                "The products are made up. Prices, ratings and stock follow plausible "
                "distributions, not a market: nothing about real shops can be learned from them."
                if _synthetic(facts)
                else "What the source lacked was dropped or filled by rule (`filled_fields` says "
                "where); filled values are plausible, not true.",
                "English only, one currency, one country's units.",
                f"Categories never to be recommended or bought: "
                f"{', '.join(facts['deny_list']) or 'none'}.",
            ],
        ),
        *_licence(facts),
    ]


def _import_report(facts: Mapping[str, Any]) -> list[str]:
    report = facts["import"]
    rows = [
        [what, f"`{name}`", reason, f"{count:,}"]
        for what in ("dropped", "filled")
        for name, reasons in report.get(what, {}).items()
        for reason, count in reasons.items()
    ]
    return [
        f"Of {report['rows_read']:,} rows read, {report['rows_written']:,} were kept "
        "(`import_report.json` has examples).",
        "",
        *table(["", "field", "why", "rows"], rows, "   r"),
    ]


def _loading(repo_id: str, kit: Sequence[str], plain: Sequence[str], files: str) -> list[str]:
    return [
        "```python",
        "import ecomkit as ek",
        "",
        *kit,
        "```",
        "",
        "Without the kit:",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        *plain,
        "```",
        "",
        f"polars and pandas read the files as they are: "
        f'`pl.read_parquet("hf://datasets/{repo_id}/{files}")`.',
        "",
    ]


def _use(purpose: str, limits: Sequence[str]) -> list[str]:
    return [
        "## Intended use",
        "",
        purpose,
        "",
        "## Known limits",
        "",
        *(f"- {limit}" for limit in limits),
        "",
    ]


def _licence(facts: Mapping[str, Any]) -> list[str]:
    origin = facts if facts["kind"] == "catalog" else facts.get("catalog", {})
    lines = ["## Licence and citation", ""]
    if _synthetic(facts):
        lines.append(f"{facts['license']}. Nothing in it comes from anybody's data.")
    else:
        lines.append(
            f"{facts['license']}. The products come from {origin.get('source_url', 'their source')}"
            f" (`{origin.get('source', {}).get('name', '')}`); its licence and terms hold for "
            "what is made from them."
        )
    return [
        *lines,
        "",
        "```bibtex",
        f"@misc{{ecomkit_{facts['kind']},",
        f"  title = {{{NAMES[facts['kind']]}}},",
        "  author = {{The ecomkit authors}},",
        f"  note = {{content hash {_identity(facts)[:16]}}}",
        "}",
        "```",
    ]


def _identity(facts: Mapping[str, Any]) -> str:
    found = facts["hash"]
    return str(found["catalog_hash"] if isinstance(found, Mapping) else found)


def _encoder(encoder: Mapping[str, Any]) -> str:
    version = encoder.get("version")
    return f"{encoder['kind']}{f' version {version}' if version else ''}"


def _embeddings(facts: Mapping[str, Any], repo_id: str) -> list[str]:
    encoder, index = facts["encoder"], facts["index"]
    static = encoder["kind"] == "static"
    how = (
        "Token vectors distilled once from MiniLM, plus hashed spelling features, summed in whole "
        "numbers: no neural network runs at search time, and the same query gives the same "
        "results, to the last digit, on every machine."
        if static
        else f"Unit vectors of `{encoder['name']}`, times {encoder['scale']:g} and rounded to int8."
    )
    model = "" if static else f" --model {encoder['name']}"
    spec = ", ".join(f"{key} {value}" for key, value in index.items()) or "none"
    kind = f" --kind {index['kind']}" if index else ""
    if index.get("kind") == "ivf":
        kind += f" --nlist {index['nlist']} --nprobe {index['nprobe']}"
    vector = json.dumps(facts["example"]["embedding"])
    return [
        f"# {NAMES['embeddings']}",
        "",
        f"int8 embeddings of {facts['rows']:,} products, {facts['dims']} dimensions, with the "
        "FAISS index over them: the search engine of a shop for agents.",
        "",
        *table(["", ""], [
            ["catalog hash", f"`{facts['catalog_hash']}`"],
            ["hash of model and index", f"`{facts['hash']}`"],
            ["encoder", f"{_encoder(encoder)}, `{facts['encoder_hash']}`"],
            ["index", spec],
            ["split", f"`train`: {facts['rows']:,} rows, {_bytes(facts['data_bytes'])}"],
            ["licence", facts["license"]],
        ]),
        *_loading(
            repo_id,
            [
                f'catalog = ek.load_catalog("{PLACEHOLDERS["catalog"]}", search="{repo_id}")',
                'rows = catalog.search_engine.search("usb c charger for a laptop", depth=10)',
            ],
            [f'vectors = load_dataset("{repo_id}", split="train")'],
            "data/*.parquet",
        ),
        "## A row",
        "",
        "```text",
        f"product_id  {facts['example']['product_id']}",
        "embedding",
        *textwrap.wrap(vector, 96),
        "```",
        "",
        *_fields(facts, {}, facts["rows"]),
        "The other files:",
        "",
        *table(["file", "size"], [
            [f"`{name}`", _bytes(size)] for name, size in sorted(facts["parts"].items())
            if name != "vectors.npy"
        ], " r"),
        "`vectors.npy`, the same numbers for memory-mapping, is made again from the parquet files "
        "on first use.",
        "",
        "## How it was made",
        "",
        how,
        "",
        "```bash",
        f"python scripts/build_embeddings.py --catalog data/catalog --out data/embeddings{model}",
        f"python scripts/build_index.py --folder data/embeddings{kind}",
        "```",
        "",
        "## Statistics",
        "",
        *table(["", "least", "5 %", "25 %", "median", "75 %", "95 %", "most"], [
            ["length of a vector", *(f"{value:,g}" for value in facts["lengths"])]
        ], " rrrrrrr"),
        f"{facts['zeros']:.1%} of the numbers are 0 (first 1,000 rows).",
        "",
        *_use(
            "Search inside ecomkit, with filters applied inside the index; a fixed retrieval "
            "baseline that runs without a GPU.",
            [
                "Fits one catalog only: the hash above must be that of the catalog.",
                "Made for speed and exactness, not for the best ranking."
                if static
                else "Scores equal to the last digit need the same model files.",
                "English only.",
            ],
        ),
        *_licence(facts),
    ]  # fmt: skip


def _episodes(facts: Mapping[str, Any], repo_id: str) -> list[str]:
    configs = facts["configs"]
    plan = facts["plan"]
    first = "cart" if "cart" in configs else next(iter(configs))
    split = next(iter(configs[first]))
    lines = [
        f"# {NAMES['episodes']}",
        "",
        f"{facts['episodes']:,} frozen, seeded tasks for shopping agents in {len(facts['audit'])} "
        f"environments and {len(facts['words'])} difficulties, on {facts['departments']} "
        "departments of one shop. In each, a scripted customer wants something, leaves things out, "
        "mistypes and changes their mind; the agent searches, asks, and acts through tools; code "
        "replays what it did and scores it, the same way on every machine.",
        "",
        *table(["", ""], [
            ["catalog hash", f"`{facts['hash']['catalog_hash']}`"],
            ["search hash", f"`{facts['hash']['search_hash']}`"],
            ["generator version", facts["generator_version"]],
            ["files", f"{facts['files']} ({_bytes(facts['bytes'])}), parquet"],
            ["licence", facts["license"]],
        ]),
        *_loading(
            repo_id,
            [
                f'catalog = ek.load_catalog("{PLACEHOLDERS["catalog"]}", '
                f'search="{PLACEHOLDERS["embeddings"]}")',
                f'episodes = ek.load_episodes("{repo_id}", "{first}", split="{split}")',
                "session = ek.replay(episodes[0], catalog)",
                "observation = session.reset()",
            ],
            [
                f'episodes = load_dataset("{repo_id}", "{first}", split="{split}", streaming=True)',
            ],
            f"{first}/{split}.parquet",
        ),
        "JSON columns are text: `pl.col(\"goal\").str.json_decode(dtype)` in polars, "
        "`frame[\"goal\"].map(json.loads)` in pandas.",
        "",
        "## Configs and splits",
        "",
        "One config an environment, one split a difficulty. Held-out episodes are in the configs "
        "named `…_test` and share no goal with the others.",
        "",
        *_sizes(configs),
        "## An episode",
        "",
        *_one_episode(facts["example"]),
        *_fields(facts, {}, 1),
        "## How it was made",
        "",
        "Drawn from a seed, then played by code through the session that an agent uses. An episode "
        "is kept if the reference, which reads the goal, scores exactly 1.0, the honest agent, "
        "which knows only what the customer said and the tools showed, passes, and every near miss "
        "fails. Otherwise it is drawn again.",
        "",
        "```bash",
        *_command(plan),
        "```",
        "",
    ]  # fmt: skip
    for name, reason in facts["unavailable"].items():
        lines += [f"Not in this set: {name} ({reason}).", ""]
    return [
        *lines,
        *_audit(facts),
        *_difficulty(facts),
        *_use(
            "Training with reinforcement learning or on passing trajectories, and measuring agents "
            "on the held-out configs. Report the difficulty, the number of episodes and the "
            "interval, and score with `ecomkit score`, which replays every trajectory.",
            [
                "The customer is simulated: scripted sentences, frozen with the episode. They do "
                "not get angry, do not lie and do not wander off; real customers do.",
                "The products are made up."
                if _synthetic(facts)
                else "The products were imported; the source's gaps and its prices are theirs.",
                "The shop's rules are those of no real shop, and its figures change from episode "
                "to episode.",
                "Hidden columns (`goal`, `world`, `user`, `reference`) hold the answer. An agent "
                "that sees them is not being measured.",
                "English only.",
            ],
        ),
        *_licence(facts),
    ]


def _sizes(configs: Mapping[str, Mapping[str, int]]) -> list[str]:
    splits = sorted({split for sizes in configs.values() for split in sizes})
    rows = [
        [f"`{config}`", *(f"{sizes.get(split, 0):,}" for split in splits),
         f"{sum(sizes.values()):,}"]
        for config, sizes in configs.items()
    ]  # fmt: skip
    return table(["config", *splits, "all"], rows, " " + "r" * (len(splits) + 1))


def _one_episode(row: Mapping[str, Any]) -> list[str]:
    opening = row["prompt"][-1]["content"]
    lines = [f"`{row['episode_id']}`. The customer begins:", ""]
    lines += [f"> {line}" for line in opening.splitlines()]
    flat = [
        [f"`{name}`", _value(value)]
        for name, value in row.items()
        if not isinstance(value, (dict, list))
    ]
    lines += ["", "<details><summary>The whole row</summary>", "", *table(["field", "value"], flat)]
    lines += ["`prompt`", ""]
    for message in row["prompt"]:
        text = "\n".join(textwrap.wrap(message["content"], 96))
        lines += ["```text", f"[{message['role']}]", text, "```", ""]
    for name, value in row.items():
        if name == "prompt" or not isinstance(value, (dict, list)):
            continue
        text = "\n".join(value) if name == "tools" else _pretty(value)
        said = " (the names of what their schemas hold)" if name == "tools" else ""
        lines += [f"`{name}`{said}", "", f"```{'text' if name == 'tools' else 'json'}", text]
        lines += ["```", ""]
    return [*lines, "</details>", ""]


def _pretty(value: Any, indent: int = 0, width: int = 96) -> str:
    """JSON on as few lines as fit the width."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= width or not isinstance(value, (dict, list)) or not value:
        return flat
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        items = [
            f"{json.dumps(str(key), ensure_ascii=False)}: {_pretty(item, indent + 1, width)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(pad + item for item in items) + "\n" + " " * indent + "}"
    items = [_pretty(item, indent + 1, width) for item in value]
    return "[\n" + ",\n".join(pad + item for item in items) + "\n" + " " * indent + "]"


def _command(plan: Mapping[str, Any]) -> list[str]:
    levels = list(plan["levels"])
    together = levels == list(range(levels[0], levels[-1] + 1)) and len(levels) > 1
    shown = f"{levels[0]}-{levels[-1]}" if together else ",".join(map(str, levels))
    words = [
        "python scripts/generate_episodes.py --catalog data/catalog --out data/episodes",
        f"  --environments {' '.join(plan['environments'])}",
        f"  --difficulties {shown} --train {plan['train']} --test {plan['test']}",
    ]
    for name, option in (("department", "--department"), ("preset", "--preset"),
                         ("llm_url", "--llm-url"), ("llm_model", "--llm-model")):  # fmt: skip
        if plan.get(name):
            words[-1] += f" {option} {plan[name]}"
    for axis, value in plan.get("axes") or ():
        words[-1] += f" --axis {axis} --values {value:g}"
    return [line + " \\" for line in words[:-1]] + words[-1:]


def _audit(facts: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, total in facts["audit"].items():
        attempts, passed = total["near_misses"]
        cheap = {p: tally for p, tally in total["policies"].items() if p != "naive"}
        most = max(cheap.items(), key=lambda pair: (pair[1][1], pair[1][3]), default=None)
        best = max((tally[3] for tally in cheap.values()), default=0)
        rows.append([
            name,
            f"{total['episodes']:,}",
            "100 %",
            "100 %",
            f"{total['redrawn'] / max(1, total['episodes'] + total['redrawn']):.1%}",
            f"{passed:,} of {attempts:,}",
            f"{most[1][1]:,} of {most[1][0]:,} ({most[0]})" if most else "",
            f"{best / 1e6:.2f}",
        ])  # fmt: skip
    levels = sorted({split for total in facts["audit"].values() for split in total["naive"]})
    naive = []
    for name, total in facts["audit"].items():
        cells = [total["naive"].get(split) for split in levels]
        naive.append([name, *(f"{c[1] / c[0]:.0%}" if c else "" for c in cells)])
    lines = [
        "## Audit",
        "",
        "Counted while the set was written, over all of its episodes. Cheap policies ignore the "
        "customer or the shop: an empty answer, talk only, a constant answer, everything at once, "
        "the neighbouring episode's solution.",
        "",
        *table(
            ["environment", "episodes", "reference", "honest agent", "redrawn",
             "near misses that pass", "best cheap policy", "its best reward"],
            rows, " rrrrrrr",
        ),
        "The naive policy takes the first search result and asks nothing. It is the low end of the "
        "scale:",
        "",
        *table(["environment", *levels], naive, " " + "r" * len(levels)),
        "![Naive policy by difficulty](plots/naive.svg)",
        "",
    ]  # fmt: skip
    if facts.get("audit_table"):
        said = "Played again with attackers that try to earn reward (scripts/audit.py)"
        lines += [f"<details><summary>{said}</summary>", ""]
        lines += table(
            ["environment", "group", "policy", "attempts", "passed", "mean reward", "best"],
            [
                [r["environment"], r["group"], r["policy"], f"{r['attempts']:,}",
                 f"{r['passes']:,}", f"{r['mean_reward']:.2f}", f"{r['best_reward']:.2f}"]
                for r in facts["audit_table"]
            ],
            "   rrrr",
        )  # fmt: skip
        lines += ["</details>", ""]
    return lines


def _difficulty(facts: Mapping[str, Any]) -> list[str]:
    levels = sorted(facts["words"])
    shown = (0, 3, 6, 9, 12)
    axes = [difficulty(d).to_dict() for d in shown]
    rows = [[f"`{name}`", *(f"{a[name]:g}" for a in axes)] for name in AXIS_NAMES]
    sums: dict[str, list[int]] = {}
    for cell, values in facts["cells"].items():
        total = sums.setdefault(cell.partition("/")[2], [0, 0, 0, 0])
        total[0] += values["rows"]
        for i, name in enumerate(("par_turns", "honest_turns", "max_turns"), 1):
            total[i] += values[name][0]
    turns = [
        [label, *(f"{sums[s][i] / max(1, sums[s][0]):.1f}" for s in levels)]
        for i, label in enumerate(("par turns", "honest agent's turns", "turns allowed"), 1)
    ]
    turns.append(["words of the opening, median", *(f"{facts['words'][s][3]:g}" for s in levels)])
    return [
        "## Statistics",
        "",
        "A difficulty sets twelve axes at once:",
        "",
        *table(["axis", *(f"d = {d}" for d in shown)], rows, " rrrrr"),
        "Means over all environments:",
        "",
        *table(["", *levels], turns, " " + "r" * len(levels)),
    ]
