"""Loading what was built or published: a catalog with its search, and episode sets."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.errors import CatalogError, EpisodeError, UnknownName

if TYPE_CHECKING:
    import datasets

    from ecomkit.catalog import Catalog

_SPLIT = re.compile(r"d\d\d")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def load_catalog(
    path: str | os.PathLike[str],
    search: str | os.PathLike[str] | bool | None = None,
    *,
    revision: str | None = None,
    check: bool = True,
) -> Catalog:
    """A catalog from a folder or a Hub id, with its search engine attached.

    Args:
        path: a folder written by ``scripts/build_catalog.py``, or a Hub dataset id.
        search: the folder (or Hub id) of the embeddings and index; None takes the folder
            ``embeddings`` beside the catalog if it was made for this catalog; False takes none.
            Replay and scoring work without; only ``catalog_search`` and ``catalog_rerank`` need it.
        revision: branch, tag or commit, for a Hub id.
        check: compare the files with the manifest (sizes of the catalog, checksums of the search).

    Raises:
        CatalogError: if there is no catalog there, it is damaged, or the search is of another one.
        IndexDamaged: if the embeddings or the index are damaged.
    """
    from ecomkit.catalog import open_catalog

    folder = _local(path, revision, "catalog")
    catalog = open_catalog(folder, check=check)
    if search is False:
        return catalog
    if search is None or search is True:
        beside = folder.parent / "embeddings"
        if _catalog_hash_of(beside) != catalog.hash:
            if search is True:
                raise CatalogError(f"{beside} holds no embeddings of the catalog {folder}")
            return catalog
        search = beside
    from ecomkit.search import open_search

    catalog.search_engine = open_search(
        _local(search, revision, "embeddings"), catalog, check=check
    )
    return catalog


def _catalog_hash_of(folder: Path) -> str | None:
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    value = manifest.get("catalog_hash") if isinstance(manifest, dict) else None
    return value if isinstance(value, str) else None


def _local(path: str | os.PathLike[str], revision: str | None, what: str) -> Path:
    """The folder itself, or a snapshot of the Hub dataset with that id."""
    folder = Path(path)
    if folder.is_dir():
        return folder
    if isinstance(path, str) and _HUB_ID.fullmatch(path) and not folder.exists():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            return Path(snapshot_download(path, repo_type="dataset", revision=revision))
        except (HfHubHTTPError, LocalEntryNotFoundError) as error:
            raise CatalogError(
                f"no {what} at {path!r}: it is no folder here, and the Hub says: "
                f"{str(error).splitlines()[0]}"
            ) from None
    raise CatalogError(f"no {what} at {str(path)!r}: the folder does not exist")


def load_episodes(
    path: str | os.PathLike[str],
    environment: str,
    split: str = "d00",
    *,
    revision: str | None = None,
) -> datasets.Dataset:
    """Episodes of one environment as a ``datasets.Dataset``; only the splits named are read.

    Args:
        path: a folder written by ``scripts/generate_episodes.py``, or a Hub dataset id.
        environment: a config: ``cart``, or ``cart_test`` for held-out episodes.
        split: ``d06``, ``d00+d06``, ``d06[:50]``.
        revision: branch, tag or commit, for a Hub id.

    Raises:
        EpisodeError: if the folder or a file is missing or damaged.
        UnknownName: for a config or split that is not there.
    """
    import datasets

    names = sorted(set(_SPLIT.findall(split)))
    if not names:
        raise UnknownName("split", split, [f"d{d:02d}" for d in range(13)])
    folder = Path(path)
    if folder.is_dir():
        configs = sorted(entry.name for entry in folder.iterdir() if any(entry.glob("d??.parquet")))
        if environment not in configs:
            raise UnknownName("config", environment, configs)
        files = {name: str(folder / environment / f"{name}.parquet") for name in names}
        for name, file in files.items():
            if not Path(file).exists():
                there = sorted(p.stem for p in (folder / environment).glob("d??.parquet"))
                raise UnknownName("split", name, there)
        _check_sizes(folder, [f"{environment}/{name}.parquet" for name in names])
        arguments: dict[str, Any] = {"path": "parquet", "data_files": files}
    else:
        files = {name: f"{environment}/{name}.parquet" for name in names}
        arguments = {"path": str(path), "data_files": files, "revision": revision}
    try:
        return datasets.load_dataset(**arguments, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise EpisodeError(
            f"cannot read {environment} {split} of {str(path)!r}: {str(error).splitlines()[0]}"
        ) from None


def _check_sizes(folder: Path, names: list[str]) -> None:
    """Compare files with the manifest, so that a cut file is named before it is read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        sizes = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EpisodeError(f"{folder / 'manifest.json'} is damaged: {error}") from None
    for name in names:
        size = (folder / name).stat().st_size
        if name in sizes and sizes[name] != size:
            raise EpisodeError(
                f"{folder / name} has {size:,} bytes, the manifest says {sizes[name]:,}: the file "
                "is cut or was changed; generate or download it again"
            )
