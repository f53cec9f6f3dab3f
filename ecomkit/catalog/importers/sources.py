"""Opening a file, a folder or a Hub dataset as a stream of rows, whatever state it is in.

A row that cannot be read is counted in the report with its place, and reading goes on. Only a
source that is no table at all raises :class:`ImportProblem`.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from ecomkit.catalog.importers.report import ImportReport
from ecomkit.core.errors import ImportProblem

MAX_LINE_BYTES = 64 * 2**20
MAX_RECORD_CHARS = 2**20
MAX_DOCUMENT_BYTES = 2**30
_SUFFIXES = {
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"),
    "csv": (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
    "json": (".json", ".json.gz"),
}
ACCEPTED = "CSV, JSON lines (either may be .gz), JSON, parquet, a folder of these, or a Hub id"

Row = tuple[str, dict[str, Any]]
"""A row and its place, such as ('line 12', {...})."""


@dataclass
class Source:
    """An opened source. ``columns`` are the names seen at its head."""

    name: str
    kind: str
    columns: list[str]
    head: list[dict[str, Any]]
    _rows: Callable[[ImportReport, Sequence[str] | None], Iterator[Row]]
    document: Any = None
    path: Path | None = None
    total_rows: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def rows(self, report: ImportReport, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """All readable rows with their places; unreadable ones are counted in ``report``.

        ``columns`` names those that will be used, which saves reading the others where the
        file format allows it; a row may hold more, or fewer.
        """
        return self._rows(report, columns)


def open_source(
    source: str | Path, *, delimiter: str | None = None, encoding: str | None = None
) -> Source:
    """Open a file, a folder of files of one kind, or a Hub dataset id.

    Args:
        source: a path, or ``owner/name``, ``owner/name:config`` or ``owner/name:path/*.parquet``.
        delimiter: of a CSV file, when it cannot be told from the header.
        encoding: of a CSV or JSON lines file, when it is not UTF-8.

    Raises:
        ImportProblem: when there is no such source or it holds no table.
    """
    text = str(source)
    path = Path(text).expanduser()
    try:
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    if exists:
        if path.is_dir():
            return _open_folder(path, delimiter, encoding)
        return _open_file(path, delimiter, encoding)
    match = re.fullmatch(r"(?:hf://datasets/)?([\w.-]+/[\w.-]+)(?::(.+))?", text)
    if match and not text.startswith((".", "/", "~")) and not _looks_like_file(text):
        return _open_hub(match[1], match[2])
    raise ImportProblem(f"no file, folder or Hub dataset called {text!r}; give {ACCEPTED}")


def _looks_like_file(text: str) -> bool:
    head = text.partition(":")[0].lower()
    return head.endswith(tuple(s for group in _SUFFIXES.values() for s in group))


# --- files -----------------------------------------------------------------------------------


def _open_folder(path: Path, delimiter: str | None, encoding: str | None) -> Source:
    files = sorted(
        p
        for p in path.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(path).parts)
    )
    if any(p.name == "products.json" for p in files):
        return _open_file(next(p for p in files if p.name == "products.json"), None, encoding)
    for suffixes in _SUFFIXES.values():
        chosen = [p for p in files if p.name.lower().endswith(suffixes)]
        if chosen:
            break
    else:
        raise ImportProblem(f"folder {path.name!r} holds no table; give {ACCEPTED}")
    parts = [_open_file(p, delimiter, encoding) for p in chosen]
    if len(parts) == 1:
        return parts[0]
    names = [str(p.relative_to(path)) for p in chosen]

    def rows(report: ImportReport, columns: Sequence[str] | None) -> Iterator[Row]:
        for name, part in zip(names, parts, strict=True):
            for place, row in part.rows(report, columns):
                yield f"{name} {place}", row

    columns = list(dict.fromkeys(c for part in parts for c in part.columns))
    totals = [part.total_rows for part in parts]
    total = sum(cast("list[int]", totals)) if all(t is not None for t in totals) else None
    head = [row for part in parts for row in part.head][:50]
    return Source(path.name, parts[0].kind, columns, head, rows, path=path, total_rows=total)


def _open_file(path: Path, delimiter: str | None, encoding: str | None) -> Source:
    try:
        with path.open("rb") as file:
            magic = file.read(8)
    except OSError as error:
        raise ImportProblem(f"cannot read {path.name!r}: {error.strerror or error}") from None
    if magic[:4] == b"PAR1" or path.name.lower().endswith(_SUFFIXES["parquet"]):
        return _open_parquet(path)
    if magic[:2] == b"PK":
        raise ImportProblem(
            f"{path.name!r} is a zip archive or a spreadsheet; unpack it or export it as CSV"
        )
    try:
        with _binary(path) as file:
            head = file.read(2**16)
    except (OSError, EOFError, zlib.error) as error:
        raise ImportProblem(f"{path.name!r} is a damaged gzip file ({error})") from None
    if not head.strip():
        raise ImportProblem(f"{path.name!r} is empty; give {ACCEPTED}")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = encoding or "utf-16"
    elif encoding is None and head.count(0) > 0:
        share = head.count(0) / len(head)
        if share > 0.01 or head.startswith(b"\x89PNG"):
            raise ImportProblem(f"{path.name!r} is a binary file, not a table; give {ACCEPTED}")
    if encoding is not None:
        try:
            "".encode(encoding)
        except LookupError:
            raise ImportProblem(f"unknown encoding {encoding!r}; such as utf-8 or cp1252") from None
    text = head.decode(encoding or "utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text[:1] in ("{", "["):
        return _open_json(path, text, encoding)
    binary = sum(1 for c in text if ord(c) < 32 and c not in "\t\r\n\f\x00")
    if binary > len(text) // 50:
        raise ImportProblem(f"{path.name!r} is a binary file, not a table; give {ACCEPTED}")
    return _open_csv(path, delimiter, encoding)


def _binary(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb")


def _lines(path: Path, encoding: str | None, report: ImportReport) -> Iterator[tuple[int, str]]:
    """Decoded lines with their numbers from 1. A line that is not UTF-8 is read as
    Windows-1252 and counted; a line too long to hold is dropped and counted."""
    with _binary(path) as file:
        stream: Any = file
        if encoding is not None:
            text = io.TextIOWrapper(cast(Any, file), encoding, errors="replace", newline="")
            for number in itertools.count(1):
                try:
                    line = text.readline(MAX_LINE_BYTES)
                except (OSError, EOFError, zlib.error) as error:
                    report.note("adjusted", "(file)", f"ends early: {_short(error)}", path.name)
                    return
                if not line:
                    return
                yield number, line.lstrip("\ufeff") if number == 1 else line
        for number in itertools.count(1):
            try:
                raw = stream.readline(MAX_LINE_BYTES)
                if len(raw) >= MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                        pass
                    report.rows_read += 1
                    report.note(
                        "dropped", "(row)", "line longer than 64 MB", f"line {number}", raw[:80]
                    )
                    continue
            except (OSError, EOFError, zlib.error) as error:
                report.note("adjusted", "(file)", f"ends early: {_short(error)}", f"line {number}")
                return
            if not raw:
                return
            if number == 1 and raw.startswith(b"\xef\xbb\xbf"):
                raw = raw[3:]
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError as error:
                report.note(
                    "adjusted",
                    "(text)",
                    "not UTF-8: read as Windows-1252",
                    f"line {number}",
                    raw[max(0, error.start - 20) : error.start + 20],
                )
                yield number, raw.decode("cp1252", "replace")


def _short(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:100]


# --- JSON --------------------------------------------------------------------------------------


def parse_json(text: str) -> Any:
    """``json.loads`` that raises ValueError alone, whatever the text."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _open_json(path: Path, head: str, encoding: str | None) -> Source:
    quiet = ImportReport()
    sample: list[dict[str, Any]] = []
    tried = 0
    if head[0] == "{":
        for _, line in _lines(path, encoding, quiet):
            if not line.strip():
                continue
            tried += 1
            try:
                value = parse_json(line)
            except ValueError:
                value = None
            if isinstance(value, dict):
                sample.append(value)
            if len(sample) >= 20 or tried >= 1000 or (tried >= 50 and not sample):
                break
    single = len(sample) == 1 and tried == 1
    if sample and not single:
        return _jsonl(path, sample, encoding)
    if single and not _is_document(sample[0]):
        return _jsonl(path, sample, encoding)
    document = sample[0] if single else _load_document(path, encoding)
    return _from_document(path, document)


def _is_document(value: dict[str, Any]) -> bool:
    """True for an object that holds tables rather than being a row of one."""
    return bool(value) and all(isinstance(v, (dict, list)) for v in value.values())


def _load_document(path: Path, encoding: str | None) -> Any:
    with _binary(path) as file:
        raw = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise ImportProblem(f"{path.name!r} is one JSON text over 1 GB; give JSON lines instead")
    try:
        return parse_json(raw.decode(encoding or "utf-8-sig", "replace"))
    except ValueError as error:
        raise ImportProblem(
            f"{path.name!r} starts like JSON but neither the file nor any of its first lines "
            f"parses ({_short(error)}); give {ACCEPTED}"
        ) from None


def _from_document(path: Path, document: Any) -> Source:
    rows_in: list[Any]
    label = "entry"
    if isinstance(document, list):
        rows_in = document
    elif isinstance(document, dict) and document:
        tables = [key for key, value in document.items() if isinstance(value, list) and value]
        if all(isinstance(value, dict) for value in document.values()):
            rows_in = list(document.values())
        elif len(tables) == 1:
            rows_in = document[tables[0]]
        elif not _is_document(document):
            rows_in = [document]
        else:
            rows_in = []
    else:
        raise ImportProblem(
            f"{path.name!r} holds a JSON {type(document).__name__}, not a table of objects; "
            f"give {ACCEPTED}"
        )
    head = [row for row in rows_in[:50] if isinstance(row, dict)]

    def rows(report: ImportReport, columns: Sequence[str] | None) -> Iterator[Row]:
        for number, row in enumerate(rows_in, 1):
            report.rows_read += 1
            if isinstance(row, dict):
                yield f"{label} {number}", row
            else:
                report.note("dropped", "(row)", "not an object", f"{label} {number}", row)

    columns = list(dict.fromkeys(str(key) for row in head for key in row))
    return Source(
        path.name,
        "json",
        columns,
        head,
        rows,
        document=document,
        path=path,
        total_rows=len(rows_in),
    )


def _jsonl(path: Path, sample: list[dict[str, Any]], encoding: str | None) -> Source:
    def rows(report: ImportReport, columns: Sequence[str] | None) -> Iterator[Row]:
        for number, line in _lines(path, encoding, report):
            if not line.strip():
                continue
            report.rows_read += 1
            try:
                value = parse_json(line)
            except ValueError:
                report.note("dropped", "(row)", "broken JSON", f"line {number}", line)
                continue
            if isinstance(value, dict):
                yield f"line {number}", value
            else:
                report.note("dropped", "(row)", "not a JSON object", f"line {number}", line)

    columns = list(dict.fromkeys(str(key) for row in sample for key in row))
    return Source(path.name, "jsonl", columns, sample, rows, path=path)


# --- CSV ---------------------------------------------------------------------------------------


def _open_csv(path: Path, delimiter: str | None, encoding: str | None) -> Source:
    if delimiter is not None and len(delimiter) != 1:
        raise ImportProblem(f"a CSV delimiter is one character, not {delimiter!r}")
    csv.field_size_limit(MAX_RECORD_CHARS)
    first = ""
    for _, first in _lines(path, encoding, ImportReport()):
        if first.strip():
            break
    sep = delimiter or max(",\t;|", key=lambda c: (first.count(c), c == ","))

    def rows(report: ImportReport, columns: Sequence[str] | None) -> Iterator[Row]:
        records = _csv_records(_lines(path, encoding, report), sep, report)
        header: list[str] = []
        for number, cells in records:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _header(cells)
                continue
            report.rows_read += 1
            place = f"line {number}"
            if len(cells) > len(header) and not any(c.strip() for c in cells[len(header) :]):
                cells = cells[: len(header)]
            if len(cells) != len(header):
                reason = (
                    "more fields than the header"
                    if len(cells) > len(header)
                    else ("fewer fields than the header")
                )
                report.note("dropped", "(row)", reason, place, sep.join(cells))
                continue
            yield place, dict(zip(header, cells, strict=True))

    quiet = ImportReport()
    head: list[dict[str, Any]] = []
    columns: list[str] = []
    for _, cells in itertools.islice(_csv_records(_lines(path, encoding, quiet), sep, quiet), 51):
        if not columns:
            if any(cell.strip() for cell in cells):
                columns = _header(cells)
        elif len(cells) == len(columns):
            head.append(dict(zip(columns, cells, strict=True)))
    return Source(path.name, "csv", columns, head, rows, path=path)


def _header(cells: list[str]) -> list[str]:
    """Column names; repeated or empty ones get a number, so that none hides another."""
    names: list[str] = []
    for index, cell in enumerate(cells, 1):
        name = " ".join(cell.split()) or f"column {index}"
        while name in names:
            name += " (again)"
        names.append(name)
    return names


def _csv_records(
    lines: Iterator[tuple[int, str]], delimiter: str, report: ImportReport
) -> Iterator[tuple[int, list[str]]]:
    """Records with the number of their first line.

    A quote that is never closed would swallow the rest of the file: such a record is dropped
    (counted by its first line) and reading resumes at the next line.
    """
    waiting: deque[tuple[int, str]] = deque()
    taken: list[tuple[int, str]] = []
    width = 0
    rescues = 0

    def feed() -> Iterator[str]:
        while True:
            item = waiting.popleft() if waiting else next(lines, None)
            if item is None:
                return
            taken.append(item)
            yield item[1]

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    while True:
        taken.clear()
        try:
            cells = next(reader)
            problem = ""
            if width and len(taken) > 1 and len(cells) != width:
                problem = "quote never closed"
        except StopIteration:
            return
        except csv.Error as error:
            cells = []
            text = str(error)
            unclosed = len(taken) > 1 or "field larger" in text or "unexpected end" in text
            problem = "quote never closed" if unclosed else "broken quotes"
            if len(taken) == 1 and width:
                cells = _backslashed(taken[0][1], delimiter)
                if len(cells) == width:
                    report.note(
                        "adjusted", "(row)", "quotes escaped by backslashes", f"line {taken[0][0]}"
                    )
                    problem = ""
        if not taken:
            return
        if problem:
            first = taken[0]
            report.rows_read += 1
            report.note("dropped", "(row)", problem, f"line {first[0]}", first[1])
            if rescues < 200:
                rescues += 1
                waiting.extendleft(reversed(taken[1:]))
            elif len(taken) > 1:
                extra = len(taken) - 1
                report.rows_read += extra
                report.note("dropped", "(row)", "inside an unclosed quote", count=extra)
            reader = csv.reader(feed(), delimiter=delimiter, strict=True)
            continue
        if not width and any(cell.strip() for cell in cells):
            width = len(cells)
        yield taken[0][0], cells


def _backslashed(line: str, delimiter: str) -> list[str]:
    """The fields of a line whose quotes are escaped by backslashes; none if they are not."""
    if '\\"' not in line:
        return []
    style: dict[str, Any] = {"escapechar": "\\", "doublequote": False, "strict": True}
    try:
        return next(csv.reader([line], delimiter=delimiter, **style), [])
    except csv.Error:
        return []


# --- parquet -----------------------------------------------------------------------------------


def _open_parquet(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = [str(name) for name in file.schema_arrow.names]
        total = file.metadata.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ImportProblem(
            f"{path.name!r} is not a readable parquet file ({_short(error)}); it may be cut short: "
            "fetch it again"
        ) from None
    if not columns:
        raise ImportProblem(f"parquet file {path.name!r} has no columns")

    def rows(report: ImportReport, wanted: Sequence[str] | None) -> Iterator[Row]:
        chosen = [c for c in columns if wanted is None or c in wanted]
        number = 0
        reader = pq.ParquetFile(path)
        for group in range(reader.metadata.num_row_groups):
            size = reader.metadata.row_group(group).num_rows
            done = 0
            try:
                batches = reader.iter_batches(4096, row_groups=[group], columns=chosen)
                for batch in batches:
                    for row in _batch_rows(batch, report):
                        report.rows_read += 1
                        done += 1
                        yield f"row {number + done}", row
            except (pa.ArrowException, OSError) as error:
                lost = size - done
                report.rows_read += lost
                report.note(
                    "dropped",
                    "(row)",
                    "parquet row group unreadable",
                    f"row {number + done + 1}",
                    _short(error),
                    count=lost,
                )
            number += size

    head: list[dict[str, Any]] = []
    try:
        for batch in file.iter_batches(50):
            head = list(_batch_rows(batch, ImportReport()))
            break
    except (pa.ArrowException, OSError):
        pass
    return Source(path.name, "parquet", columns, head, rows, path=path, total_rows=total)


def _batch_rows(batch: Any, report: ImportReport) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow batch as dicts, with text that is not UTF-8 replaced and counted."""
    lists: list[list[Any]] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            lists.append(column.to_pylist())
        except (UnicodeDecodeError, ValueError, OverflowError):
            values = []
            for cell in column:
                try:
                    values.append(cell.as_py())
                except UnicodeDecodeError:
                    report.note("adjusted", "(text)", "not UTF-8: bad bytes replaced", value=name)
                    raw = cell.as_buffer().to_pybytes() if hasattr(cell, "as_buffer") else b""
                    values.append(raw.decode("utf-8", "replace"))
                except (ValueError, OverflowError):
                    values.append(None)
            lists.append(values)
    names = batch.schema.names
    for cells in zip(*lists, strict=True):
        yield dict(zip(names, cells, strict=True))


# --- Hub ---------------------------------------------------------------------------------------


def _open_hub(repo: str, part: str | None) -> Source:
    """A Hub dataset, streamed. ``part`` is a config name or the path of data files in it."""
    try:
        from datasets import load_dataset
    except ImportError:
        raise ImportProblem(
            f"{repo!r} is no local file; reading it from the Hub needs the package 'datasets'"
        ) from None
    options: dict[str, Any] = {}
    if part and ("/" in part or "*" in part or _looks_like_file(part)):
        options["data_files"] = part
    elif part:
        options["name"] = part
    name = repo + (f":{part}" if part else "")
    try:
        opened = load_dataset(repo, streaming=True, **options)
        splits = sorted(opened) if hasattr(opened, "keys") else []
        sets = [opened[split] for split in splits] if splits else [opened]
        head = [dict(row) for row in itertools.islice(iter(sets[0]), 20)]
    except Exception as error:  # the Hub client raises many kinds
        raise ImportProblem(
            f"cannot open {name!r}: no such file here, and the Hub says: {_short(error)}. "
            "Give owner/name, owner/name:config or owner/name:path/to/*.parquet"
        ) from None
    columns = list(dict.fromkeys(str(key) for row in head for key in row))

    def rows(report: ImportReport, wanted: Sequence[str] | None) -> Iterator[Row]:
        number = 0
        for dataset in sets:
            keep = [c for c in (dataset.column_names or columns) if wanted is None or c in wanted]
            if keep and dataset.column_names:
                dataset = dataset.select_columns(keep)
            try:
                for row in dataset:
                    number += 1
                    report.rows_read += 1
                    yield f"row {number}", dict(row)
            except GeneratorExit:
                raise
            except Exception as error:  # network, cast and decoding errors of the reader
                raise ImportProblem(
                    f"reading {name!r} stopped after {number:,} rows: {_short(error)}. "
                    "Download its files and import them from disk, where bad rows are passed over"
                ) from None

    return Source(name, "hub", columns, head, rows)
