"""Episodes by id, or by how they open, from whatever holds them; parsed once, in bounded memory."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import EpisodeError
from ecomkit.core.records import Episode, Trajectory

if TYPE_CHECKING:
    import pyarrow as pa

PARSED = 1024
"""Parsed episodes kept."""
GROUPS = 64
"""Row groups of episode files kept, some 50 episodes each."""

_ID = re.compile(r"(\w+)-d(\d\d)-(\w+)-")
_NARROWING = ("seed", "environment", "difficulty", "generator_version")


class EpisodeSet:
    """Episodes to look up while scoring.

    Args:
        source: a folder written by ``scripts/generate_episodes.py`` or a Hub dataset id; a
            ``datasets.Dataset`` or a polars frame of its rows; one episode or several, as
            :class:`Episode` or as rows; or another EpisodeSet.
        revision: branch, tag or commit, for a Hub id.

    Raises:
        EpisodeError: if there are no episodes there.
    """

    def __init__(self, source: Any, *, revision: str | None = None) -> None:
        self.folder: Path | None = None
        self._rows: Any = None
        self._files: list[Path] = []
        self._places: dict[str, tuple[int, int, int]] = {}
        self._listed: set[int] = set()
        self._groups: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._parsed: OrderedDict[str, Episode] = OrderedDict()
        self._openings: dict[bytes, list[tuple[str, dict[str, Any]]]] | None = None
        if isinstance(source, EpisodeSet):
            self.__dict__.update(source.__dict__)
        elif isinstance(source, (str, os.PathLike)):
            self._open_folder(source, revision)
        else:
            self._take(source)

    def _open_folder(self, source: str | os.PathLike[str], revision: str | None) -> None:
        from ecomkit.data.loading import local_folder

        self.folder = local_folder(source, "episodes", revision)
        self._files = sorted(self.folder.rglob("*.parquet"))
        self._files = [f for f in self._files if ".parts" not in f.parts]
        if not self._files:
            raise EpisodeError(f"{self.folder} holds no episodes (no .parquet file)")

    def _take(self, source: Any) -> None:
        if isinstance(source, (Episode, Mapping)):
            source = [source]
        if type(source).__module__.startswith("polars"):
            source = (source.collect() if hasattr(source, "collect") else source).to_dicts()
        if type(source).__module__.startswith("datasets") and hasattr(source, "with_format"):
            try:
                names = source.with_format(None)["episode_id"]
            except KeyError:
                raise EpisodeError("the episodes have no column 'episode_id'") from None
        else:
            source = list(source)
            names = []
            for row in source:
                if not isinstance(row, (Episode, Mapping)):
                    raise EpisodeError(f"an episode is a row, not {type(row).__name__}")
                name = row.episode_id if isinstance(row, Episode) else row.get("episode_id")
                if not isinstance(name, str):
                    raise EpisodeError("an episode row lacks the column 'episode_id'")
                names.append(name)
        self._rows = source
        for row_number, name in enumerate(names):
            self._places.setdefault(name, (-1, 0, row_number))

    def __contains__(self, episode_id: object) -> bool:
        return isinstance(episode_id, str) and self._place(episode_id) is not None

    def __getitem__(self, episode_id: str) -> Episode:
        """The episode with an id.

        Raises:
            EpisodeError: if there is none, or its row is damaged.
        """
        found = self._parsed.get(episode_id)
        if found is not None:
            self._parsed.move_to_end(episode_id)
            return found
        place = self._place(episode_id)
        if place is None:
            raise EpisodeError(f"no episode {episode_id[:80]!r} in {self._name}")
        row = self._row(place)
        found = row if isinstance(row, Episode) else Episode.from_row(row)
        self._parsed[episode_id] = found
        if len(self._parsed) > PARSED:
            self._parsed.popitem(last=False)
        return found

    def place(self, episode_id: str) -> tuple[int, int, int]:
        """Where an episode lies, for reading many in a good order; (-1, -1, -1) if nowhere."""
        return self._place(episode_id) or (-1, -1, -1)

    def match(self, trajectory: Trajectory) -> Episode:
        """The episode that a trajectory is of: by its id, by another id column that is one, or
        by the customer's opening, narrowed by seed, environment and difficulty where given.

        Raises:
            EpisodeError: if there is none, or more than one could be meant.
        """
        if trajectory.episode_id:
            return self[trajectory.episode_id]
        for name in ("id", "sample_id", "custom_id", "example_id", "task_id"):
            value = trajectory.metadata.get(name)
            if isinstance(value, str) and value in self:
                return self[value]
        opening = _opening(trajectory.messages)
        if opening is None:
            raise EpisodeError(
                "the log names no episode_id and has no customer's opening to find it by"
            )
        candidates = self._index().get(_digest(opening), [])
        if not candidates:
            raise EpisodeError(
                f"the log names no episode_id, and no episode in {self._name} opens as it does"
            )
        left = candidates
        for name in _NARROWING:
            value = trajectory.metadata.get(name)
            if value is not None:
                left = [entry for entry in left if entry[1].get(name) == value]
        if len(left) == 1:
            return self[left[0][0]]
        names = ", ".join(entry[0] for entry in candidates[:4])
        more = f" and {len(candidates) - 4} more" if len(candidates) > 4 else ""
        if not left:
            raise EpisodeError(
                f"it opens as {names}{more}, but its seed, environment or difficulty is another"
            )
        raise EpisodeError(
            f"ambiguous: {len(left)} episodes open as it does ({names}{more}); give the log an "
            "episode_id or the episode's seed"
        )

    def ids(self) -> Iterator[str]:
        """Every episode id."""
        self._list_all()
        yield from self._places

    def save(self, folder: Path) -> None:
        """Write the rows of a set in memory to ``folder``, for other processes to open."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from ecomkit.episodes.generate import arrow_schema

        schema = arrow_schema()
        with pq.ParquetWriter(folder / "episodes.parquet", schema) as writer:
            batch = []
            for _, _, number in self._places.values():
                row = self._rows[number]
                episode = row if isinstance(row, Episode) else Episode.from_row(row)
                batch.append(episode.to_row())
                if len(batch) == 50:
                    writer.write_table(pa.Table.from_pylist(batch, schema))
                    batch = []
            if batch:
                writer.write_table(pa.Table.from_pylist(batch, schema))

    # --- where things lie --------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return str(self.folder) if self.folder else "the episodes given"

    def _place(self, episode_id: str) -> tuple[int, int, int] | None:
        found = self._places.get(episode_id)
        if found is not None or not self._files:
            return found
        # An id names its file: "cart-d06-train-000123" lies in cart/d06.parquet.
        match = _ID.match(episode_id)
        if match:
            config = match[1] if match[3] == "train" else f"{match[1]}_{match[3]}"
            for number, file in enumerate(self._files):
                if file.stem == f"d{match[2]}" and file.parent.name == config:
                    self._list(number)
            found = self._places.get(episode_id)
        if found is None:
            self._list_all()
            found = self._places.get(episode_id)
        return found

    def _list_all(self) -> None:
        for number in range(len(self._files)):
            self._list(number)

    def _list(self, number: int) -> None:
        if number in self._listed:
            return
        self._listed.add(number)
        for group, table in self._tables(number, ["episode_id"]):
            for row, name in enumerate(table.column("episode_id").to_pylist()):
                if isinstance(name, str):
                    self._places.setdefault(name, (number, group, row))

    def _tables(self, number: int, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self._files[number]) as file:
                if not set(columns) <= set(file.schema_arrow.names):
                    return
                for group in range(file.num_row_groups):
                    yield group, file.read_row_group(group, columns=list(columns))
        except (pa.ArrowInvalid, OSError) as error:
            raise EpisodeError(
                f"{self._files[number]} is damaged: {str(error).splitlines()[0]}"
            ) from None

    def _row(self, place: tuple[int, int, int]) -> Any:
        number, group, row = place
        if number < 0:
            return self._rows[row]
        key = (number, group)
        table = self._groups.get(key)
        if table is None:
            import pyarrow as pa
            import pyarrow.parquet as pq

            try:
                with pq.ParquetFile(self._files[number], read_dictionary=["tools"]) as file:
                    table = file.read_row_group(group)
            except (pa.ArrowInvalid, OSError) as error:
                raise EpisodeError(
                    f"{self._files[number]} is damaged: {str(error).splitlines()[0]}"
                ) from None
            self._groups[key] = table
            if len(self._groups) > GROUPS:
                self._groups.popitem(last=False)
        else:
            self._groups.move_to_end(key)
        return {name: table.column(name)[row].as_py() for name in table.column_names}

    def _index(self) -> dict[bytes, list[tuple[str, dict[str, Any]]]]:
        """Digest of the opening → the episodes that have it. Built when first needed."""
        if self._openings is None:
            self._openings = {}
            columns = ["episode_id", "prompt", *_NARROWING]
            if self._files:
                for number in range(len(self._files)):
                    for _, table in self._tables(number, columns):
                        for row in table.to_pylist():
                            self._note(row)
            else:
                for row in self._rows:
                    if isinstance(row, Episode):
                        row = {name: getattr(row, name) for name in columns}
                    self._note(row)
        return self._openings

    def _note(self, row: Mapping[str, Any]) -> None:
        assert self._openings is not None
        prompt = row.get("prompt")
        opening = _opening(prompt) if prompt else None
        if opening is not None:
            facts = {name: row.get(name) for name in _NARROWING}
            self._openings.setdefault(_digest(opening), []).append((row["episode_id"], facts))


def _opening(messages: Any) -> str | None:
    """The customer's last words before the agent's first."""
    said: str | None = None
    for message in messages:
        if message.get("role") == "assistant":
            break
        if message.get("role") == "user" and isinstance(message.get("content"), str):
            said = message["content"]
    return said


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.strip().encode("utf-8", "replace"), digest_size=16).digest()
