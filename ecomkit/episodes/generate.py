"""Writing episode sets: many certified draws, several processes, resumable (SPEC §9, §10).

The work is cut into chunks of fixed size, so that the same set comes out, byte for byte, whatever
the number of workers and however often it was interrupted. A chunk is written to a temporary name
and renamed; when all are there, they are joined into one parquet file a split.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.core.difficulty import LEVELS, difficulty
from ecomkit.core.errors import DrawFailed, EpisodeError
from ecomkit.core.records import Episode
from ecomkit.core.seeds import canonical_json
from ecomkit.core.version import GENERATOR_VERSION
from ecomkit.data.loading import load_catalog
from ecomkit.envs import environment
from ecomkit.episodes.draw import CellAudit, audit_policies, draw

if TYPE_CHECKING:
    import pyarrow as pa

    from ecomkit.catalog import Catalog
    from ecomkit.user.llm import LLMPhraser

CHUNK = 50
"""Seeds of one unit of work. Part of what the audit's neighbour policy sees, so never tuned."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be drawn. ``train`` and ``test`` are episodes a difficulty."""

    environments: tuple[str, ...]
    levels: tuple[int, ...] = tuple(LEVELS)
    train: int = 100
    test: int = 0
    department: str | None = None
    preset: str | None = None
    axes: tuple[tuple[str, float], ...] = ()
    paired: tuple[tuple[tuple[str, float], ...], ...] = ()
    """Settings of ``axes`` under which each seed must be sound too; see :func:`ablation`."""
    llm_url: str = ""
    """OpenAI-compatible endpoint that phrases the customer; its key is ``ECOMKIT_LLM_KEY``."""
    llm_model: str = ""

    def phraser(self) -> LLMPhraser | None:
        """What rewords the customer, if the plan says so."""
        if not self.llm_url:
            return None
        from ecomkit.user.llm import LLMPhraser

        return LLMPhraser(self.llm_url, self.llm_model, os.environ.get("ECOMKIT_LLM_KEY"))

    def check(self) -> None:
        """Raise now what every draw would raise: UnknownName or ValueError."""
        for name in self.environments:
            environment(name)
        for d in self.levels:
            for axes in (self.axes, *self.paired):
                difficulty(d, self.preset, **dict(axes))
        if self.train < 0 or self.test < 0 or not (self.train or self.test):
            raise ValueError("train and test are numbers of episodes, and one must be above 0")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Seeds ``first`` to ``first + count - 1`` of one cell."""

    environment: str
    split: str
    d: int
    first: int
    count: int

    @property
    def config(self) -> str:
        """The config that holds it: ``cart`` or ``cart_test``."""
        return self.environment if self.split == "train" else f"{self.environment}_test"

    @property
    def name(self) -> str:
        """Its part of the file name."""
        return f"{self.config}-d{self.d:02d}-{self.first:07d}"


def chunks_of(plan: Plan) -> list[Chunk]:
    """The units of work in a fixed order."""
    return [
        Chunk(name, split, d, first, min(CHUNK, total - first))
        for name in plan.environments
        for split, total in (("train", plan.train), ("test", plan.test))
        for d in plan.levels
        for first in range(0, total, CHUNK)
    ]


def ablation(plan: Plan, axis: str, values: Sequence[float]) -> dict[str, Plan]:
    """One plan for each value of one axis, with everything else held still.

    Each seed is drawn from the same try in every set, the first that is sound at all values; so
    sets differ in what the axis moves and in nothing else. ``episode_id`` and ``seed`` say which
    episodes belong together: the ids differ in their last part, the seeds not at all.

    What an axis moves can be the goal: ``constraints`` and the like do so by name; ``p_switch`` and
    ``p_out_of_stock`` where a goal has to allow for a change of mind or a sell-out; ``max_turns``
    and ``tool_budget`` where few calls leave room for short lists only. Words and search
    (``p_missing``, ``p_noise``, ``search_depth``, ``p_distractor``) never do.

    Args:
        plan: what is drawn; its preset and axes stay as they are.
        axis: the axis to move.
        values: at least one, no two the same; whole numbers for an axis that counts.

    Returns:
        Folder name, such as ``p_noise-0.06``, to plan, in the order of ``values``.

    Raises:
        UnknownName: for an axis that does not exist.
        ValueError: for a value that the axis cannot have, or that is there twice.
    """
    rest = tuple(pair for pair in plan.axes if pair[0] != axis)
    clean = [getattr(difficulty(0, None, **{axis: value}), axis) for value in values]
    if not clean or len(set(clean)) < len(clean):
        given = ", ".join(f"{value:g}" for value in values)
        raise ValueError(f"axis {axis!r} needs one or more different values, got {given or 'none'}")
    settings = tuple((*rest, (axis, value)) for value in clean)
    return {
        f"{axis}-{value:g}": replace(plan, axes=own, paired=settings)
        for value, own in zip(clean, settings, strict=True)
    }


def draw_chunk(chunk: Chunk, plan: Plan, catalog: Catalog) -> tuple[list[Episode], CellAudit]:
    """The certified episodes of a chunk and what the cheap policies reach on them."""
    audit = CellAudit()
    episodes = []
    phraser = plan.phraser()
    for seed in range(chunk.first, chunk.first + chunk.count):
        drawn = draw(
            chunk.environment,
            chunk.d,
            seed,
            catalog,
            split=chunk.split,
            department=plan.department,
            preset=plan.preset,
            axes=dict(plan.axes),
            paired=[dict(axes) for axes in plan.paired],
            phraser=phraser,
        )
        audit.add_draw(drawn)
        episodes.append(drawn.episode)
    audit_policies(episodes, catalog, audit)
    return episodes, audit


def arrow_schema() -> pa.Schema:
    """The columns of an episode file. JSON columns are text: the ``datasets`` Json feature would
    tie readers to one version of one library, and polars and pandas to a cast."""
    import pyarrow as pa

    axes = [
        (name, pa.float64() if name.startswith("p_") else pa.int32())
        for name in difficulty(0).to_dict()
    ]
    text = (
        "goal world user reference goal_hash catalog_hash search_hash policy_hash generator_version"
    )
    return pa.schema(
        [
            ("episode_id", pa.string()),
            ("environment", pa.string()),
            ("department", pa.string()),
            ("difficulty", pa.int32()),
            ("seed", pa.int64()),
            ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
            ("tools", pa.string()),
            ("axes", pa.struct(axes)),
            ("max_turns", pa.int32()),
            ("tool_budget", pa.int32()),
            ("par_turns", pa.int32()),
            ("honest_turns", pa.int32()),
            *((name, pa.string()) for name in text.split()),
        ]
    )


def _write_chunk(chunk: Chunk, plan: Plan, catalog: Catalog, parts: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    episodes, audit = draw_chunk(chunk, plan, catalog)
    table = pa.Table.from_pylist([episode.to_row() for episode in episodes], arrow_schema())
    target = parts / f"{chunk.name}.parquet"
    temporary = target.with_suffix(".tmp")
    pq.write_table(table, temporary, compression="zstd")
    _write_text(parts / f"{chunk.name}.json", canonical_json(audit.to_dict()))
    # The parquet file comes last: where it is, the chunk is complete.
    os.replace(temporary, target)
    return chunk.name


_worker: dict[str, Any] = {}


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed; it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def quiet_worker() -> None:
    """Called first in a worker process: Ctrl-C is left to the parent, whose end ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _start_worker(catalog: str, search: str | None, plan: Plan, parts: str) -> None:
    quiet_worker()
    _worker["catalog"] = load_catalog(catalog, search)
    _worker["plan"] = plan
    _worker["parts"] = Path(parts)


def _work(chunk: Chunk) -> str:
    return _write_chunk(chunk, _worker["plan"], _worker["catalog"], _worker["parts"])


def generate(
    catalog: str | os.PathLike[str],
    out: str | os.PathLike[str],
    plan: Plan,
    *,
    search: str | os.PathLike[str] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Draw, certify and write an episode set; goes on where an interrupted run stopped.

    Args:
        catalog: folder of the catalog.
        out: folder to write; parts of an unfinished set lie in ``out/.parts``.
        plan: what to draw.
        search: folder of the embeddings; the one beside the catalog if None.
        workers: processes.
        progress: called with (episodes done, episodes in all).

    Returns:
        The manifest, as written to ``out/manifest.json``.

    Raises:
        EpisodeError: if ``out`` holds another set.
        DrawFailed: if a seed gives no sound episode; what was written stays.
        CatalogError, SearchUnavailable: if the catalog or its search is missing.
    """
    plan.check()
    out = Path(out)
    shop = load_catalog(catalog, search)
    if shop.search_engine is None:
        from ecomkit.core.errors import SearchUnavailable

        raise SearchUnavailable(
            f"{catalog} has no embeddings beside it: certifying needs search; run "
            "scripts/build_embeddings.py and scripts/build_index.py, or name them with search="
        )
    plan, unavailable = _on_offer(plan, shop)
    settings = {
        "plan": json.loads(canonical_json(asdict(plan))),
        "catalog_hash": shop.hash,
        "search_hash": shop.search_engine.hash,
        "generator_version": GENERATOR_VERSION,
    }
    parts = out / ".parts"
    if (out / "manifest.json").exists() and not parts.exists():
        have = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        if have.get("settings") == settings and not damaged_files(out, have):
            return dict(have)
    _claim(parts, settings)

    todo = chunks_of(plan)
    total = sum(chunk.count for chunk in todo)
    left = [chunk for chunk in todo if not (parts / f"{chunk.name}.parquet").exists()]
    done = total - sum(chunk.count for chunk in left)
    sizes = {chunk.name: chunk.count for chunk in todo}

    def note(name: str) -> None:
        nonlocal done
        done += sizes[name]
        if progress:
            progress(done, total)

    if progress:
        progress(done, total)
    if workers <= 1:
        for chunk in left:
            note(_write_chunk(chunk, plan, shop, parts))
    elif left:
        _run_workers(left, plan, catalog, search, parts, workers, note)
    return _join(out, parts, plan, shop, settings, unavailable)


def _probe(name: str, plan: Plan, shop: Catalog) -> str | None:
    """Why the first seed gives no sound episode at the ends of the plan's difficulties, if so.

    An environment that a catalog cannot carry, such as substitutes in a shop of fifty products,
    is left out and told, rather than stopping the others.
    """
    split = "train" if plan.train else "test"
    for d in dict.fromkeys((plan.levels[0], plan.levels[-1])):
        try:
            draw(
                name,
                d,
                0,
                shop,
                split=split,
                department=plan.department,
                preset=plan.preset,
                axes=dict(plan.axes),
                paired=[dict(other) for other in plan.paired],
            )
        except DrawFailed as error:
            return str(error)
    return None


def _on_offer(plan: Plan, shop: Catalog) -> tuple[Plan, dict[str, str]]:
    """The plan with the environments that the catalog allows, and why it does not the others.

    Raises:
        EpisodeError: if none is left.
    """
    reasons = {
        name: environment(name).available(shop) or _probe(name, plan, shop)
        for name in plan.environments
    }
    unavailable = {name: reason for name, reason in reasons.items() if reason}
    left = tuple(name for name in plan.environments if name not in unavailable)
    if not left:
        told = "; ".join(f"{name}: {reason}" for name, reason in unavailable.items())
        raise EpisodeError(f"nothing can be drawn on this catalog. {told}")
    return replace(plan, environments=left), unavailable


def _run_workers(
    left: Sequence[Chunk],
    plan: Plan,
    catalog: str | os.PathLike[str],
    search: str | os.PathLike[str] | None,
    parts: Path,
    workers: int,
    note: Callable[[str], None],
) -> None:
    start = (str(catalog), str(search) if search is not None else None, plan, str(parts))
    # A worker is one process on one core; BLAS threads would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # "spawn": a fork would copy FAISS's and polars' threads in an unknown state.
    others = set(active_children())
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, start) as pool:
        queue = list(reversed(left))
        running: set[Future[str]] = set()
        try:
            while queue or running:
                while queue and len(running) < workers * 2:
                    running.add(pool.submit(_work, queue.pop()))
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    note(future.result())
        except BaseException:
            # A part is renamed when it is whole, so that a worker may be stopped at any point.
            for process in set(active_children()) - others:
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _claim(parts: Path, settings: Mapping[str, Any]) -> None:
    """Make the parts' folder, or check that the one there belongs to the same set."""
    stamp = parts / "settings.json"
    if stamp.exists():
        try:
            have = json.loads(stamp.read_text(encoding="utf-8"))
        except ValueError:
            have = None
        if have != settings:
            raise EpisodeError(
                f"{parts} holds parts of another episode set (other plan, catalog or version); "
                "delete it or write to another folder"
            )
        return
    parts.mkdir(parents=True, exist_ok=True)
    _write_text(stamp, canonical_json(settings))


def _join(
    out: Path,
    parts: Path,
    plan: Plan,
    shop: Catalog,
    settings: Mapping[str, Any],
    unavailable: Mapping[str, str],
) -> dict[str, Any]:
    import pyarrow.parquet as pq

    cells: dict[str, dict[str, Any]] = {}
    files: list[dict[str, Any]] = []
    groups: dict[tuple[str, int], list[Chunk]] = {}
    for chunk in chunks_of(plan):
        groups.setdefault((chunk.config, chunk.d), []).append(chunk)
    building = parts / "joined"
    shutil.rmtree(building, ignore_errors=True)
    for (config, d), chunks in groups.items():
        audit = CellAudit()
        target = building / config / f"d{d:02d}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = 0
        with pq.ParquetWriter(target, arrow_schema(), compression="zstd") as writer:
            for chunk in chunks:
                path = parts / f"{chunk.name}.parquet"
                try:
                    table = pq.read_table(path)
                    audit.merge(
                        CellAudit.from_dict(
                            json.loads((parts / f"{chunk.name}.json").read_text(encoding="utf-8"))
                        )
                    )
                except (OSError, ValueError) as error:
                    raise EpisodeError(
                        f"{path} is damaged ({error}); delete it and run again"
                    ) from None
                rows += table.num_rows
                writer.write_table(table)
        files.append(
            {
                "path": f"{config}/d{d:02d}.parquet",
                "rows": rows,
                "bytes": target.stat().st_size,
                "sha256": sha256_of(target),
            }
        )
        cells[f"{config}/d{d:02d}"] = audit.to_dict()
    manifest = {
        "kind": "episodes",
        "settings": settings,
        "catalog_hash": shop.hash,
        "search_hash": settings["search_hash"],
        "generator_version": GENERATOR_VERSION,
        "episodes": sum(entry["rows"] for entry in files),
        "files": files,
        "audit": cells,
        "unavailable": dict(unavailable),
    }
    _write_text(building / "README.md", card(manifest))
    for config in sorted({config for config, _ in groups}):
        shutil.rmtree(out / config, ignore_errors=True)
        os.replace(building / config, out / config)
    os.replace(building / "README.md", out / "README.md")
    # The manifest comes last: where it is, the set is complete.
    _write_text(out / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    shutil.rmtree(parts)
    return manifest


def card(manifest: Mapping[str, Any]) -> str:
    """The dataset card with the ``configs:`` that let ``load_dataset`` open the folder."""
    configs: dict[str, list[str]] = {}
    for entry in manifest["files"]:
        config, _, name = entry["path"].partition("/")
        configs.setdefault(config, []).append(name.removesuffix(".parquet"))
    lines = ["---", "pretty_name: ecomkit episodes", "tags:", "- ecomkit", "- agents", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
    first = next(iter(configs))
    lines += [
        "---",
        "",
        "# ecomkit episodes",
        "",
        f"{manifest['episodes']:,} certified episodes, generator version "
        f"{manifest['generator_version']}, on the catalog `{manifest['catalog_hash'][:16]}`.",
        "",
        "```python",
        "from datasets import load_dataset",
        f'episodes = load_dataset("THIS_FOLDER_OR_ID", "{first}", split="{configs[first][0]}")',
        "```",
        "",
        "Each episode was solved by the reference and by the honest agent, and no near miss "
        "passed; `manifest.json` holds the totals by cell.",
        "",
    ]
    return "\n".join(lines)


def damaged_files(out: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Files of a set that are missing or whose checksum is not the manifest's."""
    return [
        entry["path"]
        for entry in manifest["files"]
        if not (out / entry["path"]).exists() or sha256_of(out / entry["path"]) != entry["sha256"]
    ]


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
