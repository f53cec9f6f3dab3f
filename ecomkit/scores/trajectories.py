"""Reading and writing trajectories (SPEC §10): JSONL and parquet, one row a trajectory."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import TrajectoryError
from ecomkit.core.records import Trajectory

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("episode_id", "agent", "trial", "messages", "metadata")


def trajectory_from(row: Any) -> Trajectory:
    """A trajectory from a row: messages as a list or as JSON text.

    Raises:
        TrajectoryError: naming the column that is missing or of the wrong type.
    """
    if isinstance(row, Trajectory):
        return row
    if not isinstance(row, Mapping):
        raise TrajectoryError(f"a trajectory is an object with columns, not {type(row).__name__}")
    episode_id = row.get("episode_id")
    if not isinstance(episode_id, str) or not episode_id:
        raise TrajectoryError("column 'episode_id' is missing or not text")
    messages = row.get("messages")
    if isinstance(messages, str):
        try:
            messages = json.loads(messages)
        except (ValueError, RecursionError) as error:
            raise TrajectoryError(f"column 'messages' is not JSON: {error}") from None
    if messages is not None and not isinstance(messages, (list, tuple)):
        messages = list(messages) if hasattr(messages, "__iter__") else None
    if not messages:
        raise TrajectoryError("column 'messages' is missing, empty or not a list")
    if not all(isinstance(message, Mapping) for message in messages):
        raise TrajectoryError("column 'messages' holds something that is not an object")
    trial = row.get("trial") or 0
    if isinstance(trial, bool) or not isinstance(trial, int):
        raise TrajectoryError(f"column 'trial' must be a whole number, not {trial!r}")
    metadata = row.get("metadata") or {}
    return Trajectory(
        episode_id=episode_id,
        messages=tuple(messages),
        agent=str(row.get("agent") or ""),
        trial=trial,
        tools=row.get("tools"),
        metadata=metadata if isinstance(metadata, Mapping) else {"metadata": metadata},
    )


def read_rows(path: str | Path) -> Iterator[Any]:
    """Raw rows of a ``.jsonl`` or ``.parquet`` file, in order, in constant memory.

    A line that is no JSON comes as a :class:`TrajectoryError` object, so that it can be counted.

    Raises:
        TrajectoryError: if the file is missing or of another kind.
    """
    path = Path(path)
    if not path.exists():
        raise TrajectoryError(f"{path} does not exist")
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=256):
                    yield from batch.to_pylist()
        except pa.ArrowInvalid as error:
            raise TrajectoryError(f"{path} is no readable parquet file: {error}") from None
        return
    if path.suffix not in (".jsonl", ".json", ".ndjson"):
        raise TrajectoryError(f"{path}: trajectories are .jsonl or .parquet files")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                yield TrajectoryError(f"line {number} is not JSON: {error}")


def read_trajectories(path: str | Path) -> Iterator[Trajectory]:
    """The trajectories of a file.

    Raises:
        TrajectoryError: at the first row that is none; use :func:`read_rows` to go on.
    """
    for number, row in enumerate(read_rows(path), 1):
        if isinstance(row, TrajectoryError):
            raise row
        try:
            yield trajectory_from(row)
        except TrajectoryError as error:
            raise TrajectoryError(f"{path}, row {number}: {error}") from None


def write_trajectories(trajectories: Iterable[Trajectory], path: str | Path) -> int:
    """Write trajectories to a ``.jsonl`` or ``.parquet`` file; returns how many.

    The file appears whole or not at all. In parquet, ``messages`` is kept as chat messages with
    ``arguments`` as JSON text, so that ``load_dataset`` gives them typed.

    Raises:
        TrajectoryError: for another suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    count = 0
    try:
        if path.suffix == ".jsonl":
            with temporary.open("w", encoding="utf-8") as out:
                for trajectory in trajectories:
                    out.write(json.dumps(trajectory.to_row(), ensure_ascii=False) + "\n")
                    count += 1
        elif path.suffix == ".parquet":
            count = _write_parquet(trajectories, temporary)
        else:
            raise TrajectoryError(f"{path}: write trajectories to .jsonl or .parquet")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def arrow_schema() -> pa.Schema:
    """The columns of a parquet file of trajectories, which TRL's ``SFTTrainer`` takes unmapped.

    ``tools`` is JSON text, as in episodes: the tools that the agent was given, or null.
    """
    import pyarrow as pa

    call = pa.struct(
        [
            ("id", pa.string()),
            ("type", pa.string()),
            ("function", pa.struct([("name", pa.string()), ("arguments", pa.string())])),
        ]
    )
    message = pa.struct(
        [
            ("role", pa.string()),
            ("content", pa.string()),
            ("tool_calls", pa.list_(call)),
            ("tool_call_id", pa.string()),
            ("name", pa.string()),
        ]
    )
    return pa.schema(
        [
            ("episode_id", pa.string()),
            ("agent", pa.string()),
            ("trial", pa.int32()),
            ("messages", pa.list_(message)),
            ("tools", pa.string()),
            ("metadata", pa.string()),
        ]
    )


def parquet_row(trajectory: Trajectory) -> dict[str, Any]:
    """The row of a trajectory for :func:`arrow_schema`."""
    row = trajectory.to_row()
    row["metadata"] = json.dumps(row["metadata"], sort_keys=True)
    tools = trajectory.tools
    row["tools"] = tools if tools is None or isinstance(tools, str) else json.dumps(tools)
    return row


def _write_parquet(trajectories: Iterable[Trajectory], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = arrow_schema()
    count = 0
    with pq.ParquetWriter(path, schema) as writer:
        batch: list[dict[str, Any]] = []
        for trajectory in trajectories:
            batch.append(parquet_row(trajectory))
            count += 1
            if len(batch) == 256:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema))
    return count
