#!/usr/bin/env python3
"""Builds a catalog folder: the synthetic shop of any size, or an imported source.

scripts/build_catalog.py --out catalog --size 20000 --seed 0
scripts/build_catalog.py --out catalog --source products.csv
scripts/build_catalog.py --out catalog --source owner/dataset --format amazon-2023
scripts/build_catalog.py --out catalog --source shop.csv --mapping shop.toml --missing drop
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ecomkit.catalog import open_catalog, synthesize, synthetic_manifest, write_catalog
from ecomkit.core.errors import EcomkitError


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="folder of the new catalog")
    parser.add_argument("--size", type=int, default=20_000, help="synthetic products")
    parser.add_argument("--seed", type=int, default=0, help="seed of the synthetic products")
    parser.add_argument("--name", help="name in the manifest")
    parser.add_argument(
        "--deny", action="append", default=[], metavar="CATEGORY", help="never recommend or buy it"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    source = parser.add_argument_group("import")
    source.add_argument("--source", help="a file, a folder or a Hub id to import instead")
    source.add_argument(
        "--format",
        help="amazon-2023, amazon-2020, tau-retail or mapping; told from the columns if not given",
    )
    source.add_argument("--mapping", help="TOML or JSON file that says which column holds what")
    source.add_argument(
        "--missing",
        default="fill",
        help="rows without a price, rating …: fill (default) or drop, or by field, such as "
        "price_cents=drop,brand=fill",
    )
    return parser


def show_progress(total: int, quiet: bool):
    """A progress bar on stderr, where that is a terminal; else nothing."""

    def show(done: int) -> None:
        if quiet or not sys.stderr.isatty():
            return
        width = 30
        filled = width * done // max(total, 1)
        bar = "█" * filled + "·" * (width - filled)
        print(f"\r  {bar} {done:,} of {total:,} products", end="", file=sys.stderr, flush=True)
        if done >= total:
            print(file=sys.stderr)

    return show


def build_synthetic(options: argparse.Namespace) -> dict:
    """Writes the synthetic catalog that the options describe."""
    if options.size < 1:
        raise EcomkitError(f"--size must be at least 1, got {options.size}")
    return write_catalog(
        synthesize(options.size, options.seed),
        options.out,
        synthetic_manifest(options.size, options.seed, options.name),
        progress=show_progress(options.size, options.quiet),
        deny_list=options.deny,
    )


def missing_words(text: str) -> str | dict[str, str]:
    """``--missing`` as a word, or as a table by field."""
    if "=" not in text:
        return text
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): word.strip() for name, _, word in pairs}


def show_import(quiet: bool):
    """A line on stderr with the stage and the rows done, where that is a terminal."""

    def show(stage: str, done: int, total: int | None) -> None:
        if quiet or not sys.stderr.isatty():
            return
        of = f" of {total:,}" if total else ""
        end = "\n" if total and done >= total else ""
        print(f"\r  {stage} {done:,}{of} rows   ", end=end, file=sys.stderr, flush=True)

    return show


def build_imported(options: argparse.Namespace) -> dict:
    """Imports ``--source``, prints what was dropped, filled or changed, and keeps it beside the
    catalog as import_report.json."""
    from ecomkit.catalog.importers import write_import

    manifest, report = write_import(
        options.source,
        options.out,
        format=options.format,
        mapping=options.mapping,
        missing=missing_words(options.missing),
        seed=options.seed,
        name=options.name,
        deny_list=options.deny,
        progress=show_import(options.quiet),
    )
    print(report.summary())
    return manifest


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 0 on success, 1 for a problem that was said on stderr."""
    options = arguments().parse_args(argv)
    started = time.perf_counter()
    try:
        build = build_imported if options.source else build_synthetic
        build(options)
        catalog = open_catalog(options.out)
    except EcomkitError as error:
        print(f"build_catalog: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbuild_catalog: stopped; nothing was written to the target", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"build_catalog: {error}; nothing was written to the target", file=sys.stderr)
        return 1
    print(
        f"{catalog.size:,} products in {len(catalog.departments)} departments and "
        f"{len(catalog.categories)} categories at {options.out} "
        f"({time.perf_counter() - started:.1f} s, hash {catalog.hash[:12]})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
