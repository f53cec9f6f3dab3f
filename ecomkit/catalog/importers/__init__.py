"""Catalogs from elsewhere: Amazon Reviews 2023, the Amazon CSV of 2020, τ-bench, or any table
with a mapping file. See :func:`import_catalog`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.catalog.importers import amazon_2020, amazon_2023, tau_retail
from ecomkit.catalog.importers.common import (
    FILLABLE,
    Draft,
    Progress,
    category_nouns,
    column_types,
    frames_of,
    missing_rule,
)
from ecomkit.catalog.importers.mapping import load_mapping
from ecomkit.catalog.importers.report import REPORT_FILE, ImportReport
from ecomkit.catalog.importers.sources import Source, open_source
from ecomkit.catalog.importers.tau_retail import read_tau_orders
from ecomkit.core.errors import ImportProblem, UnknownName
from ecomkit.core.seeds import canonical_json

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "FILLABLE",
    "FORMATS",
    "REPORT_FILE",
    "ImportReport",
    "column_types",
    "detect_format",
    "import_catalog",
    "load_mapping",
    "read_tau_orders",
    "write_import",
]

FORMATS: tuple[str, ...] = ("amazon-2023", "amazon-2020", "tau-retail", "mapping")
"""The formats that :func:`import_catalog` knows."""


def detect_format(source: Source) -> str:
    """The format whose columns the source has.

    Raises:
        ImportProblem: if it has none of theirs; the message lists the columns it has.
    """
    if tau_retail.matches(source):
        return "tau-retail"
    if amazon_2023.matches(source):
        return "amazon-2023"
    if amazon_2020.matches(source):
        return "amazon-2020"
    shown = ", ".join(repr(c[:40]) for c in source.columns[:20]) or "none"
    raise ImportProblem(
        f"{source.name!r} is not in a known format (its columns: {shown}"
        + (", …" if len(source.columns) > 20 else "")
        + "). Known are amazon-2023 (parent_asin, title, details, …), amazon-2020 (Uniq Id, "
        "Product Name, …) and tau-retail (products with variants); for any other table give a "
        "mapping file that says which column holds what"
    )


def import_catalog(
    source: str | Path,
    *,
    format: str | None = None,
    mapping: str | Path | Mapping[str, Any] | None = None,
    missing: str | Mapping[str, str] = "fill",
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Iterator[pl.DataFrame], ImportReport]:
    """Read a catalog from a file, a folder, or a Hub dataset.

    Args:
        source: a CSV, JSON lines (either may be .gz), JSON or parquet file, a folder of them,
            or a Hub id (``owner/name``, ``owner/name:config``, ``owner/name:path/*.parquet``).
        format: one of :data:`FORMATS`; told from the columns when not given.
        mapping: a mapping file (TOML or JSON) or table; implies ``format="mapping"``.
        missing: what becomes of rows without a price, rating, stock …: 'fill' completes them by
            a rule that depends on ``seed`` and the product id alone (and on the prices of the
            product's category), 'drop' leaves them out. A table sets it by field, such as
            ``{"price_cents": "drop", "*": "fill"}``. Fields that the source has no column for
            are filled even under 'drop'.
        seed: of the fills.
        progress: called with the stage, the rows done and the total, if known.

    Returns:
        An iterator of frames in the catalog's columns (:func:`column_types`), and the report,
        which is complete once the iterator has ended. The source is read before this returns,
        into a temporary folder that the iterator empties. Bad rows are counted in it, with
        examples; they never raise. The same source and arguments give the same frames.

    Raises:
        ImportProblem: if the source is missing, no table, or without one usable row.
        UnknownName: for an unknown format or treatment of missing values.
    """
    rule = missing_rule(missing)
    if format is not None and format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    plan = load_mapping(mapping) if mapping is not None else None
    if plan is not None and format not in (None, "mapping"):
        raise ImportProblem(f"format {format!r} takes no mapping; leave one of them out")
    if format == "mapping" and plan is None:
        raise ImportProblem("format 'mapping' needs a mapping file that says which column is what")
    opened = open_source(
        source,
        delimiter=plan.delimiter if plan else None,
        encoding=plan.encoding if plan else None,
    )
    chosen = "mapping" if plan else format or detect_format(opened)
    report = ImportReport(
        source=opened.name,
        format=chosen,
        missing=missing if isinstance(missing, str) else canonical_json(dict(missing)),
        seed=seed,
    )
    if plan is not None:
        plan.check(opened)
        drafts = _drafts(opened, report, plan.convert, plan.columns())
        derived = plan.derived()
        return (
            frames_of(
                drafts,
                report,
                rule,
                derived=derived,
                total=opened.total_rows,
                progress=progress,
            ),
            report,
        )
    if chosen == "tau-retail":
        frames = frames_of(
            tau_retail.drafts(opened, report),
            report,
            rule,
            derived=tau_retail.DERIVED,
            fixed_categories=True,
            progress=progress,
        )
        return frames, report
    module: Any = amazon_2023 if chosen == "amazon-2023" else amazon_2020
    if not module.matches(opened):
        needed = "parent_asin, title" if module is amazon_2023 else "Uniq Id, Product Name"
        raise ImportProblem(
            f"{opened.name!r} lacks the columns of {chosen} ({needed}, …); it has "
            + (", ".join(opened.columns[:20]) or "none")
        )
    frames = frames_of(
        _drafts(opened, report, module.convert, module.COLUMNS),
        report,
        rule,
        derived=module.DERIVED,
        total=opened.total_rows,
        progress=progress,
    )
    return frames, report


def write_import(
    source: str | Path,
    folder: str | Path,
    *,
    format: str | None = None,
    mapping: str | Path | Mapping[str, Any] | None = None,
    missing: str | Mapping[str, str] = "fill",
    seed: int = 0,
    name: str | None = None,
    deny_list: Iterable[str] = (),
    progress: Progress | None = None,
) -> tuple[dict[str, Any], ImportReport]:
    """Import ``source`` into a catalog folder, with ``import_report.json`` beside its manifest.

    Arguments and errors are those of :func:`import_catalog` and
    :func:`~ecomkit.catalog.write_catalog`. Returns the catalog's manifest and the report.
    """
    from ecomkit.catalog.store import write_catalog

    frames, report = import_catalog(
        source, format=format, mapping=mapping, missing=missing, seed=seed, progress=progress
    )
    nouns = category_nouns(report.categories)
    if report.format == "tau-retail":
        nouns |= {c: list(pair) for c, pair in tau_retail.NOUNS.items() if c in nouns}
    manifest = write_catalog(
        frames,
        folder,
        {
            "name": name or re.sub(r"(\.\w+)+\Z", "", report.source.rpartition("/")[2]),
            "source": {
                "kind": "import",
                "format": report.format,
                "name": report.source,
                "missing": report.missing,
                "seed": seed,
            },
            "variant_rules": report.variant_rules,
            "nouns": nouns,
        },
        deny_list=deny_list,
    )
    report.write(folder)
    return manifest, report


def _drafts(
    source: Source, report: ImportReport, convert: Any, columns: tuple[str, ...]
) -> Iterator[Draft | None]:
    seen: set[str] = set()
    for place, row in source.rows(report, columns):
        yield convert(Draft(place, report, seen), row)
