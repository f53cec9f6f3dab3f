#!/usr/bin/env python3
"""Render the dataset cards in data_cards/ from the data that they describe.

    python scripts/render_cards.py --catalog data/catalog --embeddings data/embeddings \\
        --episodes data/episodes --audit audit.parquet
    python scripts/render_cards.py                        # again, from data_cards/facts.json

What a card says is first read from the folders into data_cards/facts.json, then rendered from
there, so that the cards can be held against their facts without the data. publish.py renders the
card of what it publishes in the same way.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ecomkit.core.errors import EcomkitError
from ecomkit.data.manifests import KINDS, read_manifest
from ecomkit.views import cards

CARDS = Path(__file__).resolve().parents[1] / "data_cards"


def gather(options: argparse.Namespace, facts: dict[str, Any]) -> None:
    """Read the facts of each folder that was named."""
    catalog = read_manifest(options.catalog, "catalog") if options.catalog else None
    for kind in KINDS:
        folder = getattr(options, kind)
        if folder is None:
            continue
        read_manifest(folder, kind)
        facts[kind] = cards.facts_of(
            folder,
            catalog=None if kind == "catalog" else catalog,
            audit=options.audit if kind == "episodes" else None,
        )


def write(out: Path, facts: dict[str, Any]) -> None:
    """The facts, a card for each kind, and their plots."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
    (out / "facts.json").write_text(text, encoding="utf-8")
    for kind, known in facts.items():
        (out / f"{kind}.md").write_text(cards.render(known), encoding="utf-8")
        for name, svg in cards.figures(known).items():
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_text(svg, encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 0 on success, 1 for a problem that was said on stderr."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=Path, help=f"folder of the {kind}")
    parser.add_argument("--audit", type=Path, help="table of scripts/audit.py")
    parser.add_argument("--out", type=Path, default=CARDS, help="default: data_cards")
    options = parser.parse_args(argv)
    try:
        facts: dict[str, Any] = {}
        if (options.out / "facts.json").exists():
            facts = json.loads((options.out / "facts.json").read_text(encoding="utf-8"))
        gather(options, facts)
        # The facts as they are read back, so that rendering now and later is the same.
        facts = json.loads(json.dumps(facts))
        if not facts:
            raise EcomkitError(f"no folder named, and no facts in {options.out}")
        write(options.out, facts)
    except (EcomkitError, OSError, ValueError) as error:
        print(f"render_cards: {error}", file=sys.stderr)
        return 1
    print(f"{', '.join(sorted(facts))}: rendered to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
