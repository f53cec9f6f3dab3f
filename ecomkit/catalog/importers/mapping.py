"""Any table, through a small mapping file that says which column holds what.

A mapping is TOML or JSON. ``[fields]`` names a column for each field; a field that needs more
is a table. For example::

    # shop.toml
    delimiter = ";"                    # of the CSV; told from the header when left out
    encoding = "cp1252"                # UTF-8 when left out

    [fields]
    product_id = "sku"                 # the short form: just a column
    title = "name"
    brand = { constant = "Acme" }      # the same value in every row
    price_cents = { column = "price", unit = "cents" }        # or "dollars", the default
    category = { column = "path", delimiter = " > " }         # levels, department first
    features = { column = "bullets", delimiter = "|" }
    weight_lbs = { column = "mass", unit = "g" }              # of numbers without a unit
    wattage = "specs.power"            # a key inside a JSON column
    color = { column = "colour", values = { rot = "red" } }   # translated, others kept
    ship_days = "delivery"
    stock = "qty"

Fields: ``product_id`` and ``title`` (needed), ``description``, ``department``, ``category``,
``brand``, ``store``, ``price_cents``, ``rating``, ``rating_count``, ``ship_days``, ``stock``,
``features`` and the 11 typed attributes. Options of a field: ``column``, or ``columns`` (several:
levels of a category, lines of features; for other fields the first that is not empty), or
``constant``; ``delimiter``, ``unit``, ``values``, and for ``product_id`` also ``hash = true``,
which makes an id out of the named columns' text when the table has none of its own.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecomkit.catalog.importers import parsing as p
from ecomkit.catalog.importers.common import FILLABLE, Draft
from ecomkit.catalog.importers.sources import Source, parse_json
from ecomkit.core.errors import ImportProblem
from ecomkit.core.records import NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES

FIELDS: tuple[str, ...] = (
    *("product_id", "title", "description", "department", "category", "brand", "store"),
    *("price_cents", "rating", "rating_count", "ship_days", "stock", "features"),
    *TEXT_ATTRIBUTES,
    *NUMBER_ATTRIBUTES,
)
_OPTIONS = ("column", "columns", "constant", "delimiter", "unit", "values", "hash")
_TOP = ("fields", "delimiter", "encoding", "name")


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Where one field comes from and how it is read."""

    name: str
    columns: tuple[str, ...] = ()
    constant: Any = None
    delimiter: str | None = None
    unit: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    hash: bool = False


@dataclass(frozen=True, slots=True)
class TableMapping:
    """A checked mapping."""

    name: str
    rules: Mapping[str, FieldRule]
    delimiter: str | None = None
    encoding: str | None = None

    def columns(self) -> tuple[str, ...]:
        """Every column that the mapping reads; for a dotted name also what stands before."""
        names = [c for rule in self.rules.values() for c in rule.columns]
        return tuple(dict.fromkeys([*names, *(n.partition(".")[0] for n in names if "." in n)]))

    def derived(self) -> tuple[str, ...]:
        """Fields that the mapping names no column for."""
        have = set(self.rules) | ({"category"} if "department" in self.rules else set())
        return tuple(name for name in FILLABLE if name not in have)

    def check(self, source: Source) -> None:
        """Raise ImportProblem for columns that the source does not have."""
        missing = [
            (rule.name, column)
            for rule in self.rules.values()
            for column in rule.columns
            if column not in source.columns and column.partition(".")[0] not in source.columns
        ]
        if missing:
            named = ", ".join(f"{column!r} (for {name})" for name, column in missing)
            raise ImportProblem(
                f"{source.name!r} has no column {named}; its columns are "
                + (", ".join(repr(c[:60]) for c in source.columns[:40]) or "none")
            )

    def convert(self, draft: Draft, row: Mapping[str, Any]) -> Draft | None:
        """Read one row into ``draft``; None if it is dropped (and counted)."""
        rules = self.rules
        rule = rules["product_id"]
        if rule.hash:
            texts = [p.clean_text(_text(_cell(row, column))) for column in rule.columns]
            letters = hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:12].upper()
            raw_id: Any = f"P{letters}" if any(texts) else None
        else:
            raw_id = _first(row, rule)
        if not draft.take_id(raw_id) or not draft.take_title(_first(row, rules["title"])):
            return None
        values = draft.values
        path: list[str] = []
        for name in ("department", "category"):
            if name in rules:
                for cell in _all(row, rules[name]):
                    path += p.split_path(
                        cell if not _plain(cell) else str(cell), rules[name].delimiter
                    )
        values["path"] = [level for i, level in enumerate(path) if i == 0 or level != path[i - 1]]
        if "description" in rules:
            draft.take_description(_first(row, rules["description"]))
        if "features" in rules:
            draft.take_features(_lines(row, rules["features"]))
        for name in ("brand", "store"):
            if name in rules:
                raw = _first(row, rules[name])
                draft.take(name, p.parse_text(raw), raw)
        if "price_cents" in rules:
            raw = _first(row, rules["price_cents"])
            draft.take(
                "price_cents", p.parse_price(raw, rules["price_cents"].unit or "dollars"), raw
            )
        for name, parse in (
            ("rating", p.parse_rating),
            ("rating_count", p.parse_count),
            ("ship_days", p.parse_ship_days),
            ("stock", p.parse_stock),
        ):
            if name in rules:
                raw = _first(row, rules[name])
                draft.take(name, parse(raw), raw)
        for name in (*TEXT_ATTRIBUTES, *NUMBER_ATTRIBUTES):
            if name in rules:
                draft.take_attribute(name, _first(row, rules[name]), rules[name].unit)
        return draft


def _plain(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return "" if p.is_nothing(value) else str(value)


def _cell(row: Mapping[str, Any], column: str) -> Any:
    """A column's value, or a key inside a JSON or struct column for a dotted name."""
    if column in row:
        return row[column]
    head, dot, rest = column.partition(".")
    value = row.get(head) if dot else None
    while dot and value is not None:
        if isinstance(value, str):
            try:
                value = parse_json(value)
            except ValueError:
                return None
        if not isinstance(value, Mapping):
            return None
        if rest in value:
            return value[rest]
        key, dot, rest = rest.partition(".")
        value = value.get(key)
    return value


def _all(row: Mapping[str, Any], rule: FieldRule) -> list[Any]:
    cells = [_cell(row, column) for column in rule.columns]
    if all(p.is_nothing(cell) for cell in cells) and rule.constant is not None:
        cells = [rule.constant]
    return [
        rule.values.get(c.strip(), c)
        if isinstance(c, str)
        else rule.values.get(str(c), c)
        if rule.values and not isinstance(c, (dict, list))
        else c
        for c in cells
    ]


def _first(row: Mapping[str, Any], rule: FieldRule) -> Any:
    """The first of the rule's columns that is not empty, or its constant, translated."""
    return next((cell for cell in _all(row, rule) if not p.is_nothing(cell)), None)


def _lines(row: Mapping[str, Any], rule: FieldRule) -> list[Any]:
    lines: list[Any] = []
    for cell in _all(row, rule):
        if isinstance(cell, (list, tuple)):
            lines += cell
        elif isinstance(cell, str):
            if cell[:1] == "[" and not rule.delimiter:
                try:
                    parsed = parse_json(cell)
                except ValueError:
                    parsed = None
                lines += parsed if isinstance(parsed, list) else [cell]
            else:
                lines += cell.split(rule.delimiter) if rule.delimiter else [cell]
    return lines


def load_mapping(mapping: str | Path | Mapping[str, Any]) -> TableMapping:
    """Read and check a mapping file (TOML or JSON) or an equal table.

    Raises:
        ImportProblem: for a file that does not parse, unknown fields or options, and missing
            ``product_id`` or ``title``; the message lists the choices.
    """
    name = "the mapping"
    if isinstance(mapping, (str, Path)):
        path = Path(mapping)
        name = repr(path.name)
        try:
            raw = path.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ImportProblem(f"cannot read the mapping {name}: {reason}") from None
        try:
            data = json.loads(raw) if raw.lstrip()[:1] == "{" else tomllib.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ImportProblem(f"{name} is neither TOML nor JSON: {error}") from None
    else:
        data = dict(mapping)
    if not isinstance(data, dict) or not isinstance(data.get("fields"), Mapping):
        raise ImportProblem(f"{name} needs a table [fields] with at least product_id and title")
    _known(name, "entry", data, _TOP)
    fields = data["fields"]
    _known(name, "field", fields, FIELDS)
    for needed in ("product_id", "title"):
        if needed not in fields:
            raise ImportProblem(f"{name}: [fields] lacks {needed}; say which column holds it")
    for option in ("delimiter", "encoding"):
        if not isinstance(data.get(option, ""), str):
            raise ImportProblem(f"{name}: {option} must be text")
    rules = {field: _rule(name, field, spec) for field, spec in fields.items()}
    return TableMapping(
        str(data.get("name", "mapping")), rules, data.get("delimiter"), data.get("encoding")
    )


def _known(name: str, kind: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            raise ImportProblem(
                f"{name}: unknown {kind} {key!r}; choose from {', '.join(sorted(known))}"
            )


def _rule(name: str, target: str, spec: Any) -> FieldRule:
    if isinstance(spec, str):
        return FieldRule(target, (spec,))
    if isinstance(spec, list) and spec and all(isinstance(c, str) for c in spec):
        return FieldRule(target, tuple(spec))
    if not isinstance(spec, Mapping):
        raise ImportProblem(f"{name}: field {target} must name a column or be a table of options")
    _known(f"{name}: field {target}", "option", spec, _OPTIONS)
    columns = spec.get("columns", [spec["column"]] if "column" in spec else [])
    if isinstance(columns, str):
        columns = [columns]
    if not isinstance(columns, list) or not all(isinstance(c, str) for c in columns):
        raise ImportProblem(f"{name}: field {target}: column names must be text")
    if not columns and "constant" not in spec:
        raise ImportProblem(f"{name}: field {target} needs a column, columns or a constant")
    unit = spec.get("unit")
    if unit is not None:
        allowed: tuple[str, ...] = ()
        if target == "price_cents":
            allowed = ("dollars", "cents")
        elif target in NUMBER_ATTRIBUTES:
            allowed = tuple(p.UNITS[target])
        if not isinstance(unit, str) or unit.casefold() not in allowed:
            hint = f"choose from {', '.join(allowed)}" if allowed else "this field takes none"
            raise ImportProblem(f"{name}: field {target}: unknown unit {unit!r}; {hint}")
        unit = unit.casefold()
    delimiter = spec.get("delimiter")
    if delimiter is not None and (not isinstance(delimiter, str) or not delimiter):
        raise ImportProblem(f"{name}: field {target}: delimiter must be text")
    values = spec.get("values", {})
    if not isinstance(values, Mapping):
        raise ImportProblem(f"{name}: field {target}: values must be a table of translations")
    made = spec.get("hash", False)
    if made and target != "product_id":
        raise ImportProblem(f"{name}: field {target}: hash is for product_id alone")
    return FieldRule(
        target, tuple(columns), spec.get("constant"), delimiter, unit, dict(values), bool(made)
    )
