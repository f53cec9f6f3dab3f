"""Logs of other tools as trajectories: each accepted format in one short function (SPEC §10, §11).

A row that can't be read becomes a :class:`TrajectoryError` in its place, so that every row of a
log is accounted for. Nothing is guessed: what a log does not say is left empty.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecomkit.core.errors import TrajectoryError
from ecomkit.core.records import Trajectory

BATCH_ROWS = 256
BATCH_BYTES = 16_000_000
LONGEST_LINE = 64_000_000
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".eval")

_HINTS = ("id", "sample_id", "custom_id", "example_id", "task_id")
_MATCHING = ("seed", "environment", "difficulty", "split", "generator_version", "catalog_hash")


class BadRow(TrajectoryError):
    """A row that can't be read, with what it says of whose it is."""

    def __init__(self, message: str, episode_id: str = "", agent: str = "", trial: int = 0) -> None:
        super().__init__(message)
        self.episode_id, self.agent, self.trial = episode_id, agent, trial


class BrokenRun(BadRow):
    """A row that says only that the run broke: there is nothing to replay."""


# --- one row ------------------------------------------------------------------------------------


def to_trajectory(row: Any, *, nulls_are_absent: bool = False) -> Trajectory:
    """The trajectory of a row of any accepted format; the format is told by its columns.

    ``messages``: the kit's own rows, OpenAI chat logs (also a bare list of messages).
    ``actions`` (and ``observations``, a list of messages for each): the single-object action
    format. ``prompt`` and ``completion``: TRL's completions and verifiers' results, as messages
    or as ChatML text. ``nodes``: a line of verifiers' ``traces.jsonl``. ``request`` and
    ``response``: one logged API call whose request holds the conversation.

    Args:
        row: a Trajectory, an object with columns, or a list of messages.
        nulls_are_absent: leave out null arguments of tool calls. Parquet and ``datasets`` give
            every call every argument; in JSON a null is what the agent sent.

    Returns:
        A trajectory. Its ``episode_id`` is empty if the log names none; ``metadata`` keeps what
        can identify the episode, and ``error`` if the log says that the run broke.

    Raises:
        BrokenRun: if there are no messages, only an error.
        BadRow, TrajectoryError: naming the column that is missing or of the wrong type.
    """
    if isinstance(row, Trajectory):
        return row
    if isinstance(row, TrajectoryError):
        raise row
    if isinstance(row, (list, tuple)):
        row = {"messages": row}
    if not isinstance(row, Mapping):
        raise TrajectoryError(f"a trajectory is an object with columns, not {type(row).__name__}")
    metadata = _metadata(row)
    episode_id = _episode_id(row, metadata)
    agent, trial = _agent(row, metadata), _trial(row)
    try:
        return _conversation(row, metadata, episode_id, agent, trial, nulls_are_absent)
    except BadRow:
        raise
    except TrajectoryError as error:
        raise BadRow(str(error), episode_id, agent, trial) from None
    except RecursionError:
        raise BadRow("the row is nested too deeply", episode_id, agent, trial) from None


def _conversation(
    row: Mapping[str, Any],
    metadata: dict[str, Any],
    episode_id: str,
    agent: str,
    trial: int,
    nulls_are_absent: bool,
) -> Trajectory:
    error = _error(row, metadata)
    for columns, read in _FORMATS:
        if all(row.get(name) is not None for name in columns):
            messages = read(row, metadata)
            break
    else:
        messages = []
    if not messages:
        if error:
            raise BrokenRun(f"the log says that the run broke: {error}", episode_id, agent, trial)
        raise TrajectoryError(
            "column 'messages' is missing, empty or not a list; a log has messages, actions, "
            "prompt and completion, nodes, or request and response"
        )
    if error:
        metadata["error"] = error
    for message in messages:
        if not isinstance(message, Mapping):
            raise TrajectoryError("column 'messages' holds something that is not an object")
        if nulls_are_absent and message.get("tool_calls"):
            messages = [_without_nulls(m) if isinstance(m, Mapping) else m for m in messages]
            nulls_are_absent = False
        role = message.get("role")
        if role == "function" or "function_call" in message:
            messages = [_modern(m) if isinstance(m, Mapping) else m for m in messages]
    return Trajectory(episode_id, tuple(messages), agent, trial, row.get("tools"), metadata)


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    """``metadata``, ``info`` and the columns that can tell which episode it was."""
    found: dict[str, Any] = {}
    for name in ("extra_info", "info", "metadata"):
        value = row.get(name)
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = _json(value, name, ignore=True)
        if isinstance(value, Mapping):
            found.update(value)
        elif value and name == "metadata":
            found["metadata"] = value
    for name in (*_MATCHING, *_HINTS):
        if row.get(name) is not None:
            found.setdefault(name, row[name])
    return found


def _episode_id(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    found = row.get("episode_id")
    if found is None:
        found = metadata.get("episode_id")
    if found is None:
        return ""
    if not isinstance(found, str):
        raise TrajectoryError("column 'episode_id' is not text")
    return found


def _agent(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    for value in (row.get("agent"), row.get("model"), metadata.get("agent"), metadata.get("model")):
        if isinstance(value, str) and value:
            return value
    return ""


def _trial(row: Mapping[str, Any]) -> int:
    trial = row.get("trial")
    if trial is None:
        return 0
    if isinstance(trial, bool) or not isinstance(trial, int) or not -(2**31) <= trial < 2**31:
        raise TrajectoryError(f"column 'trial' must be a whole number, not {str(trial)[:40]!r}")
    return trial


def _error(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """What a log says of a run that broke; empty if it says nothing of the kind."""
    for value in (row.get("error"), metadata.get("error"), row.get("errors")):
        if isinstance(value, (list, tuple)):
            value = value[-1] if value else None
        if isinstance(value, Mapping):
            value = value.get("message") or value.get("type")
        if isinstance(value, str) and value.strip():
            return value.strip()[:500]
    stop = row.get("stop_condition", metadata.get("stop_reason"))
    if isinstance(stop, str) and stop.casefold() in ("error", "infra_error"):
        return f"it stopped with {stop!r}"
    return ""


def _json(text: str, name: str, ignore: bool = False) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if ignore:
            return None
        raise TrajectoryError(f"column {name!r} is not JSON: {str(error)[:200]}") from None


def _list(value: Any, name: str) -> list[Any]:
    if isinstance(value, str):
        value = _json(value, name)
    if isinstance(value, (list, tuple)):
        return list(value)
    if hasattr(value, "tolist"):  # numpy, from pandas
        value = value.tolist()
        return value if isinstance(value, list) else []
    raise TrajectoryError(f"column {name!r} is missing, empty or not a list")


def _chat(row: Mapping[str, Any], metadata: dict[str, Any]) -> list[Any]:
    return _list(row["messages"], "messages")


def _actions(row: Mapping[str, Any], metadata: dict[str, Any]) -> list[Any]:
    """Action objects, with what was observed after each if the log has it."""
    actions = _list(row["actions"], "actions")
    prompt = _list(row["prompt"], "prompt") if row.get("prompt") is not None else []
    messages: list[Any] = list(prompt)
    observed = row.get("observations")
    if observed is None:
        metadata["actions_only"] = True
    seen = _list(observed, "observations") if observed is not None else []
    for place, action in enumerate(actions):
        text = action if isinstance(action, str) else _dump(action)
        messages.append({"role": "assistant", "content": text})
        if place < len(seen):
            messages += _list(seen[place], "observations")
    return messages


def _dump(action: Any) -> str:
    try:
        return json.dumps(action, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        raise TrajectoryError("column 'actions' holds something that is not JSON") from None


def _completion(row: Mapping[str, Any], metadata: dict[str, Any]) -> list[Any]:
    """``prompt`` and ``completion``, each a list of messages or ChatML text."""
    prompt, completion = row["prompt"], row["completion"]
    if isinstance(prompt, str) and "<|im_start|>" in prompt and isinstance(completion, str):
        if "<tool_response>" in completion and "<|im_start|>" not in completion:
            raise TrajectoryError(
                "column 'completion' is text whose special tokens were left out, so that turns "
                "can't be told apart; log conversations or keep the tokens"
            )
        return from_chatml(prompt + completion)
    if isinstance(prompt, str) and prompt.lstrip()[:1] == "[":
        prompt = _json(prompt, "prompt")
    if isinstance(prompt, str):
        raise TrajectoryError(
            "column 'prompt' is text of no known chat template; log conversations (lists of "
            "messages) or ChatML"
        )
    if isinstance(completion, str) and completion.lstrip()[:1] != "[":
        completion = [{"role": "assistant", "content": completion}]
    return _list(prompt, "prompt") + _list(completion, "completion")


def _call(row: Mapping[str, Any], metadata: dict[str, Any]) -> list[Any]:
    """One logged API call: the conversation so far and the answer to it."""
    request, response = row["request"], row["response"]
    for name in ("body",):
        request = request.get(name, request) if isinstance(request, Mapping) else request
        response = response.get(name, response) if isinstance(response, Mapping) else response
    if not isinstance(request, Mapping) or not isinstance(response, Mapping):
        raise TrajectoryError("columns 'request' and 'response' must be objects")
    messages = _list(request.get("messages"), "request.messages")
    try:
        messages.append(response["choices"][0]["message"])
    except (KeyError, IndexError, TypeError):
        raise TrajectoryError("column 'response' has no choices[0].message") from None
    return messages


def _trace(row: Mapping[str, Any], metadata: dict[str, Any]) -> list[Any]:
    """A verifiers trace: the last branch of its message graph, root first."""
    nodes = _list(row["nodes"], "nodes")
    task = row.get("task")
    data = task.get("data", task) if isinstance(task, Mapping) else None
    if isinstance(data, Mapping):
        for source in (data, data.get("info"), data.get("metadata")):
            if isinstance(source, Mapping):
                for name in ("episode_id", *_MATCHING):
                    if source.get(name) is not None:
                        metadata.setdefault(name, source[name])
    path: list[Any] = []
    place: Any = len(nodes) - 1
    while place is not None:
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(nodes):
            raise TrajectoryError("column 'nodes': a parent that is no node")
        if len(path) > len(nodes):
            raise TrajectoryError("column 'nodes': the graph has a cycle")
        node = nodes[place]
        if not isinstance(node, Mapping) or not isinstance(node.get("message"), Mapping):
            raise TrajectoryError("column 'nodes' holds something that is no message")
        path.append(dict(node["message"]))
        place = node.get("parent")
    return path[::-1]


_FORMATS: tuple[
    tuple[tuple[str, ...], Callable[[Mapping[str, Any], dict[str, Any]], list[Any]]], ...
] = (
    (("messages",), _chat),
    (("actions",), _actions),
    (("nodes",), _trace),
    (("prompt", "completion"), _completion),
    (("request", "response"), _call),
)

_TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
_TOOL_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_TOOL_RESULT = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)


def from_chatml(text: str) -> list[dict[str, Any]]:
    """Messages of a conversation rendered with ChatML and Hermes-style tool calls (Qwen's).

    Thoughts are left out. A tool call that is no JSON stays text, for the replay to judge.
    """
    messages: list[dict[str, Any]] = []
    for role, body in _TURN.findall(text):
        if role == "assistant":
            body = _THOUGHT.sub("", body).strip()
            calls: list[dict[str, Any]] = []
            for place, made in enumerate(_TOOL_CALL.findall(body)):
                call = _json(made, "completion", ignore=True)
                if not isinstance(call, Mapping):
                    calls = []
                    break
                calls.append({"id": f"call_{len(messages)}_{place}", **call})
            message: dict[str, Any] = {"role": "assistant", "content": body}
            if calls:
                message["content"] = _TOOL_CALL.sub("", body).strip()
                message["tool_calls"] = calls
            messages.append(message)
            continue
        results = _TOOL_RESULT.findall(body) if role in ("user", "tool") else []
        messages += [{"role": "tool", "content": result} for result in results]
        rest = _TOOL_RESULT.sub("", body).strip() if results else body.strip("\n")
        if rest:
            messages.append({"role": role, "content": rest})
    return messages


def _modern(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """``function_call`` and the role ``function`` of older logs in their present form."""
    if message.get("role") == "function":
        return {**message, "role": "tool"}
    called = message.get("function_call")
    if called and not message.get("tool_calls"):
        rest = {key: value for key, value in message.items() if key != "function_call"}
        return {**rest, "tool_calls": [{"type": "function", "function": called}]}
    return message


def _without_nulls(message: Mapping[str, Any]) -> Mapping[str, Any]:
    calls = message.get("tool_calls")
    if not isinstance(calls, (list, tuple)):
        return message
    kept = []
    for call in calls:
        if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping):
            function = dict(call["function"])
            if isinstance(function.get("arguments"), Mapping):
                function["arguments"] = _prune(function["arguments"])
            call = {**call, "function": function}
        kept.append(call)
    return {**message, "tool_calls": kept}


def _prune(value: Any, depth: int = 0) -> Any:
    if depth > 40:
        return value
    if isinstance(value, Mapping):
        return {k: _prune(v, depth + 1) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_prune(inner, depth + 1) for inner in value]
    return value


# --- many rows ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next row of a log stands: file, byte or row in it, and its line number."""

    file: int = 0
    at: int = 0
    line: int = 0


@dataclass(slots=True)
class Batch:
    """Some rows as they lie in the log, cheap to hand to another process."""

    kind: str
    """``lines`` (bytes), ``arrow`` (one IPC stream) or ``rows`` (objects)."""
    payload: list[Any]
    next: Place
    where: str = ""
    first_line: int = 0
    size: int = 0
    """Bytes, for an estimate of how much is left; 0 if unknown."""
    count: int = 0

    def rows(self) -> list[Trajectory | TrajectoryError]:
        """A trajectory, or the error that says why not, for every row; in order."""
        raw: list[Any] = self.payload
        if self.kind == "arrow":
            import pyarrow as pa

            raw = []
            for data in self.payload:
                with pa.ipc.open_stream(io.BytesIO(data)) as stream:
                    for batch in stream:
                        raw += batch.to_pylist()
        out: list[Trajectory | TrajectoryError] = []
        for number, row in enumerate(raw):
            try:
                if isinstance(row, bytes):
                    row = _line(row, self.first_line + number)
                out.append(to_trajectory(row, nulls_are_absent=self.kind == "arrow"))
            except TrajectoryError as error:
                out.append(error)
            except RecursionError:
                out.append(TrajectoryError("the row is nested too deeply"))
        return out


def _line(line: bytes, number: int) -> Any:
    if len(line) >= LONGEST_LINE:
        raise TrajectoryError(f"line {number} has more than {LONGEST_LINE:,} bytes")
    try:
        return json.loads(line)
    except RecursionError:
        raise TrajectoryError(f"line {number} is nested too deeply") from None
    except ValueError as error:
        raise TrajectoryError(f"line {number} is not JSON: {str(error)[:200]}") from None


@dataclass
class Log:
    """A log to be read in batches, from the start or from a place in it.

    Args of :func:`open_log` say what it can be. ``files`` is empty for rows in memory.
    """

    files: tuple[Path, ...] = ()
    memory: Any = None
    names: tuple[str, ...] = field(default=())

    @property
    def size(self) -> int:
        """Bytes of all files; 0 for rows in memory."""
        return sum(file.stat().st_size for file in self.files)

    def batches(self, start: Place | None = None, rows: int = BATCH_ROWS) -> Iterator[Batch]:
        """Batches of at most ``rows`` rows, from ``start`` on.

        Raises:
            TrajectoryError: if a file can't be read at all.
        """
        start = start or Place()
        if not self.files:
            yield from _memory_batches(self.memory, start, rows)
            return
        for number, file in enumerate(self.files):
            if number < start.file:
                continue
            here = start if number == start.file else Place(number)
            try:
                yield from _file_batches(file, number, here, rows)
            except TrajectoryError as error:
                if len(self.files) == 1:
                    raise
                # One bad file of many is a row that says so.
                yield Batch("rows", [error], Place(number + 1), str(file), count=1)


def open_log(logs: Any) -> Log:
    """A log: a file (``.jsonl``, ``.parquet``, ``.json``, inspect's ``.eval``), a folder of such
    files (read in the order of their names), a ``datasets.Dataset``, a polars frame, or rows.

    Raises:
        TrajectoryError: if there is no such file, or none of a known kind.
    """
    if not isinstance(logs, (str, Path)):
        return Log(memory=logs)
    path = Path(logs)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        files = [p for p in files if p.name not in ("manifest.json", "dataset_info.json")]
        if not files:
            raise TrajectoryError(f"{path}: holds no log ({', '.join(SUFFIXES)})")
    elif not path.exists():
        raise TrajectoryError(f"{path} does not exist")
    elif path.suffix not in SUFFIXES:
        raise TrajectoryError(f"{path}: logs are {', '.join(SUFFIXES)} files, or folders of them")
    else:
        files = [path]
    names = tuple(f"{file.name}:{file.stat().st_size}" for file in files)
    return Log(files=tuple(files), names=names)


def read_logs(logs: Any) -> Iterator[Trajectory | TrajectoryError]:
    """Every row of a log as a trajectory, or as the error that says why it is none.

    Args:
        logs: what :func:`open_log` takes.
    """
    for batch in open_log(logs).batches():
        yield from batch.rows()


def _file_batches(file: Path, number: int, start: Place, rows: int) -> Iterator[Batch]:
    if file.suffix == ".parquet":
        yield from _parquet_batches(file, number, start, rows)
    elif file.suffix == ".eval":
        yield from _grouped(_inspect_rows(file), number, start, rows, str(file))
    elif file.suffix == ".json" and _begins_with(file, b"["):
        try:
            listed = json.loads(file.read_bytes())
        except (ValueError, RecursionError) as error:
            raise TrajectoryError(f"{file} is not JSON: {str(error)[:200]}") from None
        yield from _grouped(listed, number, start, rows, str(file))
    else:
        yield from _line_batches(file, number, start, rows)


def _begins_with(file: Path, mark: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(4096).lstrip()[:1] == mark


def _line_batches(file: Path, number: int, start: Place, rows: int) -> Iterator[Batch]:
    with file.open("rb") as opened:
        opened.seek(start.at)
        line = start.line
        while True:
            payload: list[bytes] = []
            size, first, at = 0, line + 1, opened.tell()
            while len(payload) < rows and size < BATCH_BYTES:
                text = opened.readline(LONGEST_LINE)
                if not text:
                    break
                line += 1
                size += len(text)
                if len(text) >= LONGEST_LINE and not text.endswith(b"\n"):
                    while (rest := opened.readline(1 << 20)) and not rest.endswith(b"\n"):
                        pass
                if text.strip():
                    payload.append(text)
                elif payload:
                    break  # line numbers of a batch stay consecutive
                else:
                    first = line + 1
            after = opened.tell()
            if payload:
                yield Batch(
                    "lines", payload, Place(number, after, line), str(file), first, after - at,
                    len(payload),
                )  # fmt: skip
            elif after == at or size == 0:
                return


def _parquet_batches(file: Path, number: int, start: Place, rows: int) -> Iterator[Batch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(file, error) from None
    with opened:
        share = file.stat().st_size / max(1, opened.metadata.num_rows)
        at = 0
        for group in range(opened.num_row_groups):
            end = at + opened.metadata.row_group(group).num_rows
            if end <= start.at:
                at = end
                continue
            try:
                for batch in opened.iter_batches(batch_size=rows, row_groups=[group]):
                    if at + batch.num_rows <= start.at:
                        at += batch.num_rows
                        continue
                    if at < start.at:
                        batch = batch.slice(start.at - at)
                        at = start.at
                    at += batch.num_rows
                    made = _arrow_batch(pa.Table.from_batches([batch]), Place(number, at))
                    made.where, made.size = str(file), int(batch.num_rows * share)
                    yield made
            except (pa.ArrowInvalid, OSError) as error:
                # A damaged group: its rows are counted, and the next one is read.
                at = max(at, start.at)
                while at < end:
                    count = min(rows, end - at)
                    at += count
                    lost: list[Any] = [_unreadable(file, error)] * count
                    size = int(count * share)
                    yield Batch("rows", lost, Place(number, at), str(file), 0, size, count)


def _unreadable(file: Path, error: Exception) -> TrajectoryError:
    return TrajectoryError(f"{file} is no readable parquet file: {str(error).splitlines()[0]}")


def _grouped(
    source: Iterable[Any], number: int, start: Place, rows: int, where: str
) -> Iterator[Batch]:
    payload: list[Any] = []
    at = 0
    for at, row in enumerate(source, 1):
        if at <= start.at:
            continue
        payload.append(row)
        if len(payload) == rows:
            yield Batch("rows", payload, Place(number, at), where, count=len(payload))
            payload = []
    if payload:
        yield Batch("rows", payload, Place(number, at), where, count=len(payload))


def _memory_batches(source: Any, start: Place, rows: int) -> Iterator[Batch]:
    import pyarrow as pa

    table = None
    kind = type(source)
    module = kind.__module__.split(".")[0]
    if module == "polars":
        table = (source.collect() if hasattr(source, "collect") else source).to_arrow()
    elif module == "datasets" and hasattr(source, "with_format") and hasattr(source, "num_rows"):
        for at in range(start.at, source.num_rows, rows):
            part = source.with_format("arrow")[at : at + rows]
            yield _arrow_batch(part, Place(0, at + part.num_rows))
        return
    elif isinstance(source, pa.Table):
        table = source
    if table is not None:
        for at in range(start.at, table.num_rows, rows):
            part = table.slice(at, rows)
            yield _arrow_batch(part, Place(0, at + part.num_rows))
        return
    if isinstance(source, Trajectory) or (isinstance(source, Mapping)):
        source = [source]
    yield from _grouped(source, 0, start, rows, "")


def _arrow_batch(part: Any, after: Place) -> Batch:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, part.schema) as out:
        out.write_table(part)
    return Batch("arrow", [sink.getvalue()], after, count=part.num_rows)


# --- inspect_ai ---------------------------------------------------------------------------------


def _inspect_rows(file: Path) -> Iterator[Any]:
    """Rows of an inspect_ai log, one a sample, through inspect's own reader."""
    try:
        from inspect_ai.log import (
            read_eval_log,
            read_eval_log_sample,
            read_eval_log_sample_summaries,
        )
    except ImportError:
        raise TrajectoryError(
            f"{file}: reading inspect_ai logs needs inspect_ai; "
            "install it with: pip install 'ecomkit[inspect]'"
        ) from None
    try:
        header = read_eval_log(str(file), header_only=True)
        # By the summaries, not by the ids planned: a run that broke has fewer samples.
        listed = read_eval_log_sample_summaries(str(file))
    except Exception as error:  # its reader raises many kinds
        raise TrajectoryError(f"{file} is no readable inspect_ai log: {error}") from None
    for known in listed:
        try:
            sample = read_eval_log_sample(str(file), id=known.id, epoch=known.epoch)
            yield _inspect_row(sample, header)
        except Exception as error:
            yield TrajectoryError(f"{file}, sample {known.id!r}: {str(error)[:200]}")


def _inspect_row(sample: Any, header: Any) -> dict[str, Any]:
    error = getattr(sample, "error", None)
    limit = getattr(sample, "metadata", None) or {}
    return {
        "sample_id": str(sample.id),
        "agent": str(getattr(header.eval, "model", "")),
        "trial": int(sample.epoch) - 1,
        "messages": [_inspect_message(message) for message in sample.messages or ()],
        "metadata": {k: v for k, v in dict(limit).items() if isinstance(k, str)},
        "error": getattr(error, "message", None) if error is not None else None,
    }


def _inspect_message(message: Any) -> dict[str, Any]:
    out: dict[str, Any] = {"role": message.role, "content": message.text}
    calls: Sequence[Any] | None = getattr(message, "tool_calls", None)
    if calls:
        out["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function, "arguments": call.arguments},
            }
            for call in calls
        ]
    if message.role == "tool":
        out["tool_call_id"] = message.tool_call_id
        out["name"] = message.function
    return out
