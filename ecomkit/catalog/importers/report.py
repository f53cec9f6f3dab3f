"""What an import read, dropped, filled and changed, counted by field and reason."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["dropped", "filled", "adjusted", "ignored"]
KINDS: tuple[Kind, ...] = ("dropped", "filled", "adjusted", "ignored")
MAX_EXAMPLES = 3
REPORT_FILE = "import_report.json"

_MEANING = {
    "dropped": "rows left out",
    "filled": "values filled by the seeded rule (the row's filled_fields names them)",
    "adjusted": "values kept, but read or moved by a rule",
    "ignored": "values that were there and could not be used (left empty)",
}


@dataclass
class ImportReport:
    """Counts of one import; complete once its frames have all been taken.

    ``rows_read`` is always ``rows_written`` plus the sum of ``dropped``: each row left out is
    counted under one field and one reason. The four tables map field → reason → count.
    ``examples`` holds up to three places and values for each of them.
    """

    source: str = ""
    format: str = ""
    missing: str = "fill"
    seed: int = 0
    rows_read: int = 0
    rows_written: int = 0
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    filled: dict[str, dict[str, int]] = field(default_factory=dict)
    adjusted: dict[str, dict[str, int]] = field(default_factory=dict)
    ignored: dict[str, dict[str, int]] = field(default_factory=dict)
    stated: dict[str, int] = field(default_factory=dict)
    """How many of the written rows had each field from the source."""
    departments: dict[str, int] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    native_variants: int = 0
    notes: list[str] = field(default_factory=list)
    examples: list[dict[str, str]] = field(default_factory=list)
    finished: bool = False
    variant_rules: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)
    """For the catalog's manifest: what the products of a category may vary by."""

    def note(
        self, kind: Kind, name: str, reason: str, place: str = "", value: Any = "", count: int = 1
    ) -> None:
        """Count ``reason`` for field ``name`` and keep the first few places and values."""
        reasons: dict[str, int] = getattr(self, kind).setdefault(name, {})
        before = reasons.get(reason, 0)
        reasons[reason] = before + count
        if before < MAX_EXAMPLES and place:
            self.examples.append(
                {
                    "kind": kind,
                    "field": name,
                    "reason": reason,
                    "place": place,
                    "value": _shown(value),
                }
            )

    def total(self, kind: Kind) -> int:
        """The sum over all fields and reasons of one table."""
        return sum(sum(reasons.values()) for reasons in getattr(self, kind).values())

    def to_dict(self) -> dict[str, Any]:
        """JSON form, tables sorted by field and reason."""
        data: dict[str, Any] = {
            "source": self.source,
            "format": self.format,
            "missing": self.missing,
            "seed": self.seed,
            "finished": self.finished,
            "rows_read": self.rows_read,
            "rows_written": self.rows_written,
            "rows_dropped": self.total("dropped"),
            "values_filled": self.total("filled"),
        }
        for kind in KINDS:
            table: Mapping[str, Mapping[str, int]] = getattr(self, kind)
            data[kind] = {name: dict(sorted(table[name].items())) for name in sorted(table)}
        data["stated"] = dict(sorted(self.stated.items()))
        data["departments"] = dict(sorted(self.departments.items()))
        data["categories"] = dict(sorted(self.categories.items()))
        data["native_variants"] = self.native_variants
        data["notes"] = list(self.notes)
        data["examples"] = list(self.examples)
        return data

    def write(self, folder: str | Path) -> Path:
        """Write ``import_report.json`` into ``folder`` (to a temporary name, then renamed)."""
        target = Path(folder) / REPORT_FILE
        temporary = target.with_name(f".{REPORT_FILE}.{os.getpid()}.tmp")
        text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8", errors="replace")
        os.replace(temporary, target)
        return target

    def summary(self) -> str:
        """A text of a screenful for a person."""
        lines = [
            f"import of {self.source} ({self.format}, missing values: {self.missing}, "
            f"seed {self.seed})",
            f"  rows read {self.rows_read:,} · written {self.rows_written:,} · "
            f"dropped {self.total('dropped'):,}",
            f"  {len(self.departments)} departments, {len(self.categories)} categories"
            + (f", {self.native_variants:,} native variants" if self.native_variants else ""),
        ]
        for kind in KINDS:
            table: Mapping[str, Mapping[str, int]] = getattr(self, kind)
            if not table:
                continue
            lines.append(f"  {kind}: {_MEANING[kind]}")
            for name in sorted(table):
                for reason, count in sorted(table[name].items(), key=lambda kv: (-kv[1], kv[0])):
                    lines.append(f"    {count:>9,}  {name}: {reason}")
        bad = [e for e in self.examples if e["kind"] in ("dropped", "ignored")][:8]
        if bad:
            lines.append("  examples")
            lines.extend(
                f"    {e['place']}: {e['field']}: {e['reason']}: {e['value']}" for e in bad
            )
        lines.extend(f"  note: {text}" for text in self.notes)
        return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        text = bytes(value[:120]).decode("utf-8", "replace")
    elif isinstance(value, str):
        text = value[:200]
    else:
        try:
            text = repr(value)[:200]
        except (RecursionError, ValueError):
            text = f"<{type(value).__name__}>"
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= 80 else text[:79] + "…"
