"""Loading what was built or published: a catalog with its search, and episode sets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import CatalogError, EcomkitError, EpisodeError, IndexDamaged, UnknownName
from ecomkit.core.records import Episode
from ecomkit.core.version import GENERATOR_VERSION
from ecomkit.data.manifests import (
    Listed,
    damage,
    fetch,
    hub_manifest,
    is_hub_id,
    kind_of,
    listed_files,
    read_manifest,
    repair,
    revision_with,
)

if TYPE_CHECKING:
    import datasets

    from ecomkit.catalog import Catalog

_SPLIT = re.compile(r"d\d\d")


def load_catalog(
    path: str | os.PathLike[str],
    search: str | os.PathLike[str] | bool | None = None,
    *,
    revision: str | None = None,
    search_revision: str | None = None,
    check: bool = True,
) -> Catalog:
    """A catalog from a folder or a Hub id, with its search engine attached.

    Args:
        path: a folder written by ``scripts/build_catalog.py``, or a Hub dataset id.
        search: the folder (or Hub id) of the embeddings and index; None takes the folder
            ``embeddings`` beside the catalog if it was made for this catalog; False takes none.
            Replay and scoring work without; only ``catalog_search`` and ``catalog_rerank`` need it.
        revision: branch, tag or commit of the catalog, for a Hub id.
        search_revision: the same for the embeddings.
        check: compare the files with the manifest (sizes of the catalog, checksums of the search).

    Raises:
        CatalogError: if there is no catalog there, it is damaged, or the search is of another one;
            it names the revision of the embeddings that fits, where there is one.
        IndexDamaged: if the embeddings or the index are damaged.
    """
    from ecomkit.catalog import open_catalog

    folder = local_folder(path, "catalog", revision)
    try:
        catalog = open_catalog(folder, check=check)
    except CatalogError:
        if not is_hub_id(path):
            raise
        repair(str(path), "catalog", folder, listed_files(read_manifest(folder)).values())
        catalog = open_catalog(folder, check=check)
    if is_hub_id(path):
        catalog.origin = (str(path), folder.name)
    if search is False:
        return catalog
    if search is None or search is True:
        beside = folder.parent / "embeddings"
        if _catalog_hash_of(beside) != catalog.hash:
            if search is True:
                raise CatalogError(f"{beside} holds no embeddings of the catalog {folder}")
            return catalog
        search = beside
    from ecomkit.shop.search import open_search

    if is_hub_id(search):
        _check_embeddings(str(search), search_revision, catalog)
    place = local_folder(search, "embeddings", search_revision)
    try:
        catalog.search_engine = open_search(place, catalog, check=check)
    except IndexDamaged:
        if not is_hub_id(search):
            raise
        repair(str(search), "embeddings", place, listed_files(read_manifest(place)).values())
        catalog.search_engine = open_search(place, catalog, check=check)
    return catalog


def _check_embeddings(repo_id: str, revision: str | None, catalog: Catalog) -> None:
    """Look at the manifest before anything large is fetched."""
    manifest, _ = hub_manifest(repo_id, "embeddings", revision)
    made_for = str(manifest["catalog_hash"])
    if made_for != catalog.hash:
        fits = revision_with(repo_id, "catalog_hash", catalog.hash)
        raise CatalogError(
            f"the embeddings {repo_id!r} at revision {revision or 'main'!r} were made from catalog "
            f"{made_for[:12]}…, not from this one ({catalog.hash[:12]}…); "
            + (f"search_revision={fits!r} fits" if fits else "none of their revisions fits")
        )


def _catalog_hash_of(folder: Path) -> str | None:
    try:
        value = read_manifest(folder, "embeddings").get("catalog_hash")
    except EcomkitError:
        return None
    return value if isinstance(value, str) else None


def local_folder(path: str | os.PathLike[str], kind: str, revision: str | None = None) -> Path:
    """The folder itself, or a snapshot of the Hub dataset with that id, with all that it lists.

    Sizes are compared after a download; of episodes, which nothing else checks, checksums too.

    Raises:
        EcomkitError: of the kind's own class, if there is none.
    """
    if is_hub_id(path):
        return fetch(str(path), kind, revision, lambda name: True, sums=kind == "episodes")
    folder = Path(path)
    if folder.is_dir():
        return folder
    failure = EpisodeError if kind == "episodes" else CatalogError
    raise failure(f"no {kind} at {str(path)!r}: the folder does not exist")


def load_episodes(
    path: str | os.PathLike[str],
    environment: str,
    split: str = "d00",
    *,
    revision: str | None = None,
    catalog: Catalog | None = None,
    check: bool = True,
) -> datasets.Dataset:
    """Episodes of one environment as a ``datasets.Dataset``; only the splits named are read, and
    from the Hub only their files are fetched.

    Args:
        path: a folder written by ``scripts/generate_episodes.py``, or a Hub dataset id.
        environment: a config: ``cart``, or ``cart_test`` for held-out episodes.
        split: ``d06``, ``d00+d06``, ``d06[:50]``.
        revision: branch, tag or commit, for a Hub id.
        catalog: the catalog to play them on; checked to be the one that they were made on.
        check: compare checksums, and the generator's version with this kit's.

    Raises:
        EpisodeError: if the folder or a file is missing or damaged, or made by another version of
            the generator; it names the revision that fits, where there is one.
        CatalogError: if ``catalog`` is another one.
        UnknownName: for a config or split that is not there.
    """
    names = sorted(set(_SPLIT.findall(split)))
    if not names:
        raise UnknownName("split", split, [f"d{d:02d}" for d in range(13)])
    files = {name: f"{environment}/{name}.parquet" for name in names}
    if is_hub_id(path):
        manifest, folder = hub_manifest(str(path), "episodes", revision)
        _check_names(manifest, environment, names)
        if check:
            _check_generator(manifest, str(path))
        wanted = set(files.values())
        fetch(str(path), "episodes", folder.name, wanted.__contains__, sums=check)
    else:
        folder = Path(path)
        if not folder.is_dir():
            raise EpisodeError(f"cannot read episodes at {str(path)!r}: the folder does not exist")
        manifest = _folder_manifest(folder)
        _check_names(manifest, environment, names)
        if check:
            _check_generator(manifest, "")
        listed = listed_files(manifest)
        for file in files.values():
            wrong = damage(folder / file, listed[file], check and bool(listed[file].sha256))
            if wrong and listed[file].size >= 0:
                raise EpisodeError(f"{wrong}; generate or download it again")
    if catalog is not None:
        _check_hash(str(manifest.get("catalog_hash", catalog.hash)), catalog)
    import datasets

    data_files = {name: str(folder / file) for name, file in files.items()}
    try:
        return datasets.load_dataset("parquet", data_files=data_files, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise EpisodeError(
            f"cannot read {environment} {split} of {str(path)!r}: {str(error).splitlines()[0]}"
        ) from None


def _folder_manifest(folder: Path) -> dict[str, Any]:
    """The manifest; where a folder has none, its parquet files, unchecked."""
    if (folder / "manifest.json").exists():
        return read_manifest(folder, "episodes")
    files = [
        {"path": f"{file.parent.name}/{file.name}", "size": -1, "sha256": ""}
        for file in sorted(folder.glob("*/d??.parquet"))
    ]
    return {"kind": "episodes", "files": files}


def configs_of(manifest: Mapping[str, Any]) -> dict[str, dict[str, Listed]]:
    """Config → split → file, of the manifest of an episode set."""
    found: dict[str, dict[str, Listed]] = {}
    for name, listed in listed_files(manifest).items():
        config, _, file = name.partition("/")
        if file.endswith(".parquet"):
            found.setdefault(config, {})[file.removesuffix(".parquet")] = listed
    return found


def _check_names(manifest: Mapping[str, Any], environment: str, splits: Iterable[str]) -> None:
    configs = configs_of(manifest)
    if environment not in configs:
        raise UnknownName("config", environment, configs)
    for split in splits:
        if split not in configs[environment]:
            raise UnknownName("split", split, configs[environment])


# ------------------------------------------------------------------------- what fits together


def check_fit(
    episodes: datasets.Dataset | Iterable[Any] | Mapping[str, Any], catalog: Catalog
) -> None:
    """Make sure that episodes and a catalog belong together, and that this kit can play them.

    Args:
        episodes: a dataset, episodes or rows, or the manifest of an episode set.
        catalog: if it came from the Hub, the message names the revision of it that fits.

    Raises:
        CatalogError: if the episodes were made on another catalog.
        EpisodeError: if they were made by another version of the generator.
    """
    for catalog_hash, version in sorted(_marks(episodes)):
        _check_hash(catalog_hash, catalog)
        _check_generator({"generator_version": version}, "")


def _marks(episodes: Any) -> set[tuple[str, str]]:
    """(catalog hash, generator version) of all episodes."""
    if isinstance(episodes, Mapping):  # a manifest; embeddings have no generator
        version = str(episodes.get("generator_version", GENERATOR_VERSION))
        return {(str(episodes.get("catalog_hash") or episodes.get("hash")), version)}
    if hasattr(episodes, "column_names"):
        columns = episodes.select_columns(["catalog_hash", "generator_version"])
        return {(row["catalog_hash"], row["generator_version"]) for row in columns}
    return {
        (row.catalog_hash, row.generator_version)
        if isinstance(row, Episode)
        else (row["catalog_hash"], row["generator_version"])
        for row in episodes
    }


def _check_hash(catalog_hash: str, catalog: Catalog) -> None:
    if catalog_hash == catalog.hash:
        return
    message = f"made on catalog {catalog_hash[:12]}…, this one is {catalog.hash[:12]}…"
    if catalog.origin is None:
        raise CatalogError(f"{message}; load the one it was made on")
    repo_id, commit = catalog.origin
    fits = revision_with(repo_id, "hash", catalog_hash)
    raise CatalogError(
        f"{message} ({repo_id} at {commit[:8]}); "
        + (f"revision={fits!r} fits" if fits else f"no revision of {repo_id} fits")
    )


def _check_generator(manifest: Mapping[str, Any], repo_id: str) -> None:
    version = str(manifest.get("generator_version", GENERATOR_VERSION))
    if version == GENERATOR_VERSION:
        return
    fits = revision_with(repo_id, "generator_version", GENERATOR_VERSION) if repo_id else None
    raise EpisodeError(
        f"the episodes were made by generator version {version}, this kit replays "
        f"{GENERATOR_VERSION}; "
        + (f"revision={fits!r} fits, or " if fits else "")
        + "install the version of ecomkit that made them (check=False reads them all the same)"
    )


def kind_at(
    path: str | os.PathLike[str], revision: str | None = None
) -> tuple[str, dict[str, Any]]:
    """The kind and the manifest of a folder or a Hub dataset.

    Raises:
        EcomkitError: if there is none.
    """
    if is_hub_id(path):
        manifest, _ = hub_manifest(str(path), "", revision)
    else:
        manifest = read_manifest(Path(path))
    return kind_of(manifest), manifest
