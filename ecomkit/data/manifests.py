"""The three datasets as folders and on the Hub: what a manifest lists, fetched and checked.

A release is a folder or a Hub dataset with a ``manifest.json`` that names every file with its size
and SHA-256. Nothing that a manifest lists is used before its checksum was compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ecomkit.core.errors import CatalogError, EcomkitError, EpisodeError, HubError, IndexDamaged

KINDS = ("catalog", "embeddings", "episodes")
ERRORS: dict[str, type[EcomkitError]] = {
    "catalog": CatalogError,
    "embeddings": IndexDamaged,
    "episodes": EpisodeError,
}
"""What is raised for a damaged release of each kind."""

REBUILT = ("vectors.npy",)
"""Files that a manifest lists and a release may leave out: they are made again from the rest."""

WAITS = (1.0, 3.0, 9.0)
"""Seconds before a request is made again that the Hub answered with a server error."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the manifest knows it. ``rows`` is 0 where it holds none, or does not say."""

    path: str
    size: int
    sha256: str
    rows: int = 0


def kind_of(manifest: Mapping[str, Any]) -> str:
    """``catalog``, ``embeddings`` or ``episodes``; empty if the manifest is of something else."""
    if manifest.get("kind") == "episodes":
        return "episodes"
    if str(manifest.get("format", "")).startswith("ecomkit-catalog"):
        return "catalog"
    return "embeddings" if "encoder_hash" in manifest else ""


def listed_files(manifest: Mapping[str, Any]) -> dict[str, Listed]:
    """The files of a manifest by path, in its order.

    Raises:
        ValueError: if an entry is incomplete or leads out of the folder.
    """
    files = manifest.get("files")
    entries: list[tuple[Any, Mapping[str, Any]]]
    if isinstance(files, Mapping):
        entries = list(files.items())
    elif isinstance(files, list):
        entries = [(entry["path"], entry) for entry in files]
    else:
        raise ValueError("it lists no files")
    found = {}
    for path, entry in entries:
        size = entry["size"] if "size" in entry else entry["bytes"]
        parts = PurePosixPath(str(path)).parts
        if not parts or parts[0] == "/" or ".." in parts or "\\" in str(path):
            raise ValueError(f"it lists the file {path!r}, which is outside")
        found[str(path)] = Listed(
            str(path), int(size), str(entry["sha256"]), int(entry.get("rows", 0))
        )
    return found


def read_manifest(folder: Path, kind: str = "") -> dict[str, Any]:
    """The manifest of a folder, its list of files readable.

    Raises:
        EcomkitError: of the kind's own class, if it is missing, damaged or of another kind.
    """
    path = folder / "manifest.json"
    failure = ERRORS.get(kind, EcomkitError)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("it is no object")
        failure = ERRORS.get(kind or kind_of(manifest), EcomkitError)
        listed_files(manifest)
    except FileNotFoundError:
        raise failure(
            f"{path} is missing: {folder} holds no {kind or 'dataset of the kit'}, or its build "
            "did not finish"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise failure(f"{path} is damaged ({error}); build it or fetch it again") from None
    found = kind_of(manifest)
    if not found or (kind and found != kind):
        raise failure(f"{path} belongs to {_article(found) or 'something else'}, not to a {kind}")
    return manifest


def _article(kind: str) -> str:
    return {"catalog": "a catalog", "": ""}.get(kind, kind)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(path: Path, listed: Listed, sums: bool = True) -> str:
    """What is wrong with a file, as a sentence; empty if it is what the manifest lists."""
    try:
        size = path.stat().st_size
        if size != listed.size:
            return (
                f"{path} has {size:,} bytes where the manifest says {listed.size:,}: "
                "the file is cut or was changed"
            )
        if sums and sha256_of(path) != listed.sha256:
            return f"{path} does not match its checksum: it is damaged or was changed"
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error})"
    return ""


# ----------------------------------------------------------------------------------- the Hub


def is_hub_id(path: str | os.PathLike[str]) -> bool:
    """True for ``owner/name`` where no such folder is here."""
    return isinstance(path, str) and bool(_HUB_ID.fullmatch(path)) and not Path(path).exists()


def hub_errors() -> tuple[type[BaseException], ...]:
    """What the Hub's client raises when the Hub, the way there or the disk is at fault."""
    from huggingface_hub import errors

    found: list[type[BaseException]] = [errors.HfHubHTTPError, errors.HFValidationError, OSError]
    for name in ("httpx", "httpx2"):
        try:
            found.append(__import__(name).HTTPError)
        except ImportError:
            continue
    return tuple(found)


def status_of(error: BaseException) -> int:
    """The HTTP status that an error of the Hub's client carries; 0 if none."""
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)


def passing(error: BaseException) -> bool:
    """True if the same request may go well a little later."""
    status = status_of(error)
    if status:
        return status >= 500 or status in (408, 429)
    return type(error).__module__.split(".")[0] in ("httpx", "httpx2")


def patiently(call: Callable[[], T]) -> T:
    """``call()``, again after each of :data:`WAITS` while the Hub answers with a server error."""
    for wait in WAITS:
        try:
            return call()
        except hub_errors() as error:
            if not passing(error):
                raise
            time.sleep(wait)
    return call()


def sentence(error: BaseException) -> str:
    """The first line of an error, without addresses that may carry a signature."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"https?://\S+\?\S+", "the Hub", lines[0]) if lines else type(error).__name__


def explain(error: BaseException, repo_id: str, revision: str | None, what: str) -> str:
    """Why something could not be had from a Hub dataset, and what to do."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return f"{what}: the dataset {repo_id!r} is gated; ask for access on its page"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{what}: there is no dataset {repo_id!r} that you may read; the name is wrong, or it "
            "is private and you are not logged in (hf auth login, or HF_TOKEN)"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{what}: {repo_id!r} has no revision {revision!r}; {_choices(repo_id)}"
    if isinstance(error, errors.EntryNotFoundError) and status_of(error) == 404:
        return f"{what}: {repo_id!r} does not hold it at revision {revision or 'main'!r}"
    if status_of(error) == 401:
        return f"{what}: the Hub does not accept the token; log in again (hf auth login)"
    return f"{what} from {repo_id!r}: {sentence(error)}"


def _choices(repo_id: str) -> str:
    try:
        names = [name for name, _ in revisions(repo_id)]
    except hub_errors():
        return "see its page for those it has"
    return f"choose from {', '.join(names[:12])}{', …' if len(names) > 12 else ''}"


def revisions(repo_id: str) -> list[tuple[str, str]]:
    """(name, commit) of the tags, the last by name first, and then the branches of a dataset."""
    from huggingface_hub import HfApi

    refs = patiently(lambda: HfApi().list_repo_refs(repo_id, repo_type="dataset"))
    tags = sorted(((ref.name, ref.target_commit) for ref in refs.tags), reverse=True)
    return tags + sorted((ref.name, ref.target_commit) for ref in refs.branches)


def revision_with(repo_id: str, key: str, value: str) -> str | None:
    """The tag, branch or commit of a dataset whose manifest has ``key`` equal to ``value``."""
    from huggingface_hub import HfApi

    try:
        places = revisions(repo_id)
        for commit in HfApi().list_repo_commits(repo_id, repo_type="dataset")[:50]:
            places.append((commit.commit_id, commit.commit_id))
    except hub_errors():
        return None
    seen = set()
    for name, commit in places:
        if commit in seen:
            continue
        seen.add(commit)
        try:
            manifest, _ = hub_manifest(repo_id, "", commit)
        except EcomkitError:
            continue
        if manifest.get(key) == value:
            return name
    return None


def hub_manifest(repo_id: str, kind: str, revision: str | None) -> tuple[dict[str, Any], Path]:
    """The manifest of a Hub dataset and the snapshot folder that it lies in, whose name is the
    commit.

    Raises:
        EcomkitError: of the kind's class, if there is none that can be read.
    """
    folder = _download(repo_id, "manifest.json", kind, revision).parent
    return read_manifest(folder, kind), folder


def _download(
    repo_id: str, name: str, kind: str, revision: str | None, again: bool = False
) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            patiently(
                lambda: hf_hub_download(
                    repo_id, name, repo_type="dataset", revision=revision, force_download=again
                )
            )
        )
    except hub_errors() as error:
        message = explain(error, repo_id, revision, f"cannot fetch {name}")
        raise ERRORS.get(kind, HubError)(message) from None


def fetch(
    repo_id: str, kind: str, revision: str | None, wanted: Callable[[str], bool], sums: bool = True
) -> Path:
    """The snapshot folder of a Hub dataset with the files that ``wanted`` picks, all checked.

    A file that does not match is fetched once more, as a broken disk or an old cut download
    would give; if it still does not, the error says so. ``sums=False`` compares sizes only.

    Raises:
        EcomkitError: of the kind's class.
    """
    manifest, folder = hub_manifest(repo_id, kind, revision)
    listed = {name: entry for name, entry in listed_files(manifest).items() if wanted(name)}
    _fetch_all(repo_id, kind, folder, listed)
    repair(repo_id, kind, folder, listed.values(), sums)
    return folder


def _fetch_all(repo_id: str, kind: str, folder: Path, listed: Mapping[str, Listed]) -> None:
    missing = [name for name in listed if not (folder / name).exists()]
    if len(missing) <= 2:
        for name in missing:
            if name not in REBUILT or _has(repo_id, folder.name, name):
                _download(repo_id, name, kind, folder.name)
        return
    from huggingface_hub import snapshot_download

    try:
        patiently(
            lambda: snapshot_download(
                repo_id, repo_type="dataset", revision=folder.name, allow_patterns=missing
            )
        )
    except hub_errors() as error:
        message = explain(error, repo_id, folder.name, f"cannot fetch the {kind}")
        raise ERRORS[kind](message) from None


def _has(repo_id: str, revision: str, name: str) -> bool:
    from huggingface_hub import HfApi

    try:
        return HfApi().file_exists(repo_id, name, repo_type="dataset", revision=revision)
    except hub_errors():
        return False


def repair(
    repo_id: str, kind: str, folder: Path, listed: Iterable[Listed], sums: bool = True
) -> None:
    """Fetch again, once, each file that is not what the manifest lists.

    Raises:
        EcomkitError: of the kind's class, if the Hub itself holds other bytes.
    """
    for entry in listed:
        path = folder / entry.path
        if entry.path in REBUILT and not path.exists():
            continue
        if damage(path, entry, sums):
            _download(repo_id, entry.path, kind, folder.name, again=True)
            wrong = damage(path, entry, sums)
            if wrong:
                raise ERRORS[kind](
                    f"{wrong}; it was fetched twice, so that {repo_id!r} itself holds it so"
                )
