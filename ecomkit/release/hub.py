"""Publishing a catalog, its embeddings or an episode set, to the Hub or to a folder (SPEC §10).

A release is what the manifest lists, the manifest, and the card. It goes out whole or not at all:
one commit on the Hub, which also removes what an earlier release had and this one has not; in a
folder, file by file under temporary names, the manifest last.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import EcomkitError, HubError
from ecomkit.data import manifests as releases
from ecomkit.data.loading import configs_of, kind_at
from ecomkit.data.manifests import (
    ERRORS,
    REBUILT,
    Listed,
    damage,
    kind_of,
    listed_files,
    read_manifest,
)
from ecomkit.views import cards

if TYPE_CHECKING:
    from huggingface_hub import HfApi

KEPT = (".gitattributes", ".gitignore")
"""Files of a repository that no release removes."""

BESIDE = {"catalog": ("import_report.json",), "embeddings": (), "episodes": ()}
"""Files that travel where they are, though no manifest lists them."""

OWN = ("README.md", "manifest.json", "plots/naive.svg", "plots/prices.svg")
"""Files that a release writes itself."""


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """A file of a release: where its bytes are, and their checksum."""

    path: str
    size: int
    sha256: str
    source: Path | bytes

    @classmethod
    def of_text(cls, path: str, text: str) -> ReleaseFile:
        """A file that is written by the release itself."""
        data = text.encode("utf-8")
        return cls(path, len(data), hashlib.sha256(data).hexdigest(), data)

    def git_oid(self) -> str:
        """The name that git gives to the content; the Hub names small files so."""
        data = self.source if isinstance(self.source, bytes) else self.source.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True, slots=True)
class Release:
    """What is to be published, its checksums compared."""

    kind: str
    folder: Path
    manifest: Mapping[str, Any]
    files: tuple[ReleaseFile, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Changes:
    """What publishing does to the target: paths, sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    same: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def lines(self, limit: int = 30) -> list[str]:
        """One line a path, then a summary."""
        marks = (("+", self.added), ("~", self.changed), ("-", self.removed))
        listed = [f"  {mark} {path}" for mark, paths in marks for path in paths]
        if len(listed) > limit:
            listed = [*listed[:limit], f"  … and {len(listed) - limit} more"]
        counts = (
            f"{len(self.added)} new, {len(self.changed)} changed, {len(self.removed)} removed, "
            f"{len(self.same)} as they were"
        )
        return [*listed, counts]


@dataclass(frozen=True, slots=True)
class Published:
    """What came of it. ``commit`` is the state that holds the release; empty after a dry run."""

    target: str
    changes: Changes
    commit: str = ""
    made_commit: bool = False
    tag: str = ""
    url: str = ""


def read_release(
    folder: str | os.PathLike[str],
    *,
    repo_id: str = "",
    card: str | None = None,
    catalog: str | os.PathLike[str] | None = None,
    licence: str | None = None,
    source_url: str | None = None,
    audit: Path | None = None,
    vectors: bool = False,
) -> Release:
    """A folder as a release, every file compared with its checksum.

    Args:
        folder: a catalog, embeddings or an episode set.
        repo_id: what the card's examples load.
        card: the README.md; rendered from the data if None.
        catalog: folder or Hub id of the catalog that embeddings or episodes were made on, whose
            licence and source they take over; None takes ``catalog`` beside the folder.
        licence: of the data, such as ``cc-by-4.0``; recorded in the manifest. What was imported,
            and what was made on a catalog that is not at hand, needs it.
        source_url: where an imported catalog's data came from; recorded too.
        audit: table of ``scripts/audit.py``, for the card of episodes.
        vectors: also the file that :func:`ecomkit.shop.search.open_search` can make again.

    Raises:
        EcomkitError: if a file is missing or damaged, or the licence is not known.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise EcomkitError(f"nothing to publish at {folder}: the folder does not exist")
    manifest = read_manifest(folder)
    kind = kind_of(manifest)
    if (folder / ".parts").exists():
        raise ERRORS[kind](
            f"{folder} is not finished (it holds .parts): run scripts/generate_episodes.py again"
        )
    made_on = None if kind == "catalog" else _catalog_of(folder, manifest, catalog)
    manifest = with_licence(manifest, kind, made_on, licence, source_url)
    files: list[ReleaseFile] = []
    for listed in listed_files(manifest).values():
        if listed.path in REBUILT and not vectors:
            continue
        wrong = damage(folder / listed.path, listed)
        if wrong:
            raise ERRORS[kind](f"{wrong}; it is not published. Build the folder again")
        files.append(ReleaseFile(listed.path, listed.size, listed.sha256, folder / listed.path))
    for name in BESIDE[kind]:
        if (folder / name).is_file():
            files.append(ReleaseFile.of_text(name, (folder / name).read_text(encoding="utf-8")))
    if card is None:
        facts = cards.facts_of(folder, manifest=manifest, catalog=made_on, audit=audit)
        card = cards.render(facts, repo_id)
        files += [ReleaseFile.of_text(*figure) for figure in cards.figures(facts).items()]
    written = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    files.append(ReleaseFile.of_text("README.md", card))
    # The manifest comes last: in a folder, where it is, the release is complete.
    files.append(ReleaseFile.of_text("manifest.json", written))
    return Release(kind, folder, manifest, tuple(files))


def _catalog_of(
    folder: Path, manifest: Mapping[str, Any], catalog: str | os.PathLike[str] | None
) -> dict[str, Any] | None:
    """The manifest of the catalog that a folder was made on, where it can be had."""
    if catalog is None:
        try:
            found = read_manifest(folder.parent / "catalog", "catalog")
        except EcomkitError:
            return None
        return found if found["hash"] == manifest["catalog_hash"] else None
    if releases.is_hub_id(catalog):
        found, _ = releases.hub_manifest(str(catalog), "catalog", None)
    else:
        found = read_manifest(Path(catalog), "catalog")
    if found["hash"] != manifest["catalog_hash"]:
        raise ERRORS["catalog"](
            f"{folder} was made on catalog {str(manifest['catalog_hash'])[:12]}…, and "
            f"{str(catalog)!r} is {found['hash'][:12]}…"
        )
    return found


def with_licence(
    manifest: Mapping[str, Any],
    kind: str,
    catalog: Mapping[str, Any] | None = None,
    licence: str | None = None,
    source_url: str | None = None,
) -> dict[str, Any]:
    """The manifest with the licence and the source of the data recorded.

    Raises:
        EcomkitError: where they are not known: of what was imported, and of what was made on a
            catalog that is not at hand.
    """
    out = dict(manifest)
    origin = manifest if kind == "catalog" else catalog
    for key, given in (("license", licence), ("source_url", source_url)):
        value = given or out.get(key) or (origin or {}).get(key)
        if value:
            out[key] = value
    if origin is None:
        if not out.get("license"):
            raise ERRORS[kind](
                f"these {kind} were made on catalog {str(manifest['catalog_hash'])[:12]}…, which "
                "is not beside them: name it (--catalog) or the licence (--license)"
            )
        return out
    source = origin.get("source")
    if isinstance(source, Mapping) and source.get("kind") == "import":
        if not out.get("license") or not out.get("source_url"):
            raise ERRORS["catalog"](
                f"this catalog was imported from {source.get('name', 'a file')!r}: say under which "
                "licence its data may be published, and where it came from (--license, "
                "--source-url)"
            )
    return out


# ------------------------------------------------------------------------------------ a folder


def publish_to_folder(
    release: Release, target: str | os.PathLike[str], *, dry_run: bool = False
) -> Published:
    """Write a release to a folder, which ``load_dataset`` opens as it does the Hub dataset.

    What the release that lay there had and this one has not is removed; other files stay.

    Raises:
        HubError: if the target holds something else.
    """
    target = Path(target)
    if target.resolve() == release.folder.resolve():
        raise HubError(f"{target} is the folder that is to be published; choose another one")
    old: set[str] = set()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        try:
            before = read_manifest(target)
        except EcomkitError:
            before = {}
        if kind_of(before) != release.kind:
            raise HubError(f"{target} exists and holds no {release.kind}; choose another folder")
        old = {*listed_files(before), *OWN, *BESIDE[release.kind]}
    there = {path for path in old if (target / path).exists()}
    changes = compare(
        release, there, lambda f: not damage(target / f.path, Listed(f.path, f.size, f.sha256))
    )
    if dry_run or not changes:
        return Published(str(target), changes)
    wanted = {*changes.added, *changes.changed}
    for file in release.files:
        if file.path in wanted:
            _write(target / file.path, file.source)
    for path in changes.removed:
        (target / path).unlink()
        if not any((target / path).parent.iterdir()):
            (target / path).parent.rmdir()
    return Published(str(target), changes, made_commit=True)


def _write(path: Path, source: Path | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        if isinstance(source, bytes):
            temporary.write_bytes(source)
        else:
            shutil.copyfile(source, temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def compare(release: Release, there: set[str], unchanged: Callable[[ReleaseFile], bool]) -> Changes:
    """What differs between a release and a target that holds the paths ``there``."""
    added: list[str] = []
    changed: list[str] = []
    same: list[str] = []
    for file in release.files:
        if file.path not in there:
            added.append(file.path)
        else:
            (same if unchanged(file) else changed).append(file.path)
    removed = there - {file.path for file in release.files} - set(KEPT)
    return Changes(
        tuple(sorted(added)), tuple(sorted(changed)), tuple(sorted(removed)), tuple(sorted(same))
    )


# ------------------------------------------------------------------------------------- the Hub


def check_login(repo_id: str, *, propose: bool = False) -> str:
    """The user's name, if the login may write to a dataset; the token itself is never shown.

    Args:
        repo_id: ``owner/name``.
        propose: only a pull request is wanted, for which the owner need not be the user.

    Raises:
        HubError: without a token, with one that the Hub does not accept, that is read-only, or
            whose user does not belong to the owner.
    """
    from huggingface_hub import HfApi, get_token

    owner = repo_id.split("/")[0]
    how = "log in with 'hf auth login' or set HF_TOKEN to a token with write access"
    if not get_token():
        raise HubError(f"no login on the Hub: {how}")
    try:
        who = releases.patiently(lambda: HfApi().whoami())
    except releases.hub_errors() as error:
        if releases.status_of(error) in (401, 403):
            raise HubError(f"the Hub does not accept the token: {how}") from None
        raise HubError(
            f"the Hub does not answer, so that nothing was published: {releases.sentence(error)}"
        ) from None
    user = str(who.get("name", ""))
    token = (who.get("auth") or {}).get("accessToken") or {}
    role = token.get("role", "")
    if role == "read":
        raise HubError(f"the token of {user!r} is read-only: {how}")
    orgs = {org.get("name"): org.get("roleInOrg") for org in who.get("orgs") or ()}
    if role == "fineGrained" and not propose and not _granted(token, owner, repo_id):
        raise HubError(
            f"the fine-grained token of {user!r} gives no right to write to {repo_id!r}; {how}"
        )
    if propose or owner == user:
        return user
    if owner not in orgs:
        listed = ", ".join([user, *sorted(str(name) for name in orgs)])
        raise HubError(
            f"{user!r} may not write to {repo_id!r}; the owner must be one of {listed} "
            "(or propose the release with --create-pr)"
        )
    if orgs[owner] == "read":
        raise HubError(f"{user!r} may only read in the organisation {owner!r}")
    return user


def _granted(token: Mapping[str, Any], owner: str, repo_id: str) -> bool:
    """True if a fine-grained token may write; also if it does not say what it may."""
    fine = token.get("fineGrained")
    if not isinstance(fine, Mapping):
        return True
    for scope in fine.get("scoped") or ():
        entity = scope.get("entity") or {}
        if entity.get("name") in (owner, repo_id) and "repo.write" in scope.get("permissions", ()):
            return True
    return "repo.write" in (fine.get("global") or ())


def publish(
    release: Release,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    tag: str | None = None,
    message: str | None = None,
    dry_run: bool = False,
) -> Published:
    """Publish a release as a Hub dataset, in one commit.

    Large files that the Hub already has are not sent again, so that a publication which was cut
    goes on where it stopped. The same content again makes no commit. Between reading the state and
    committing nobody else may commit: then it is read again.

    Args:
        release: from :func:`read_release`.
        repo_id: ``owner/name``; made if it does not exist.
        private: make it private; an existing public dataset is refused.
        revision: branch to commit to, made from main if it does not exist.
        create_pr: open a pull request instead.
        tag: name for the published state; refused if it names another state.
        message: of the commit.
        dry_run: only say what would change.

    Raises:
        HubError: if the login has not the rights, or the Hub does not do it.
    """
    if not releases.is_hub_id(repo_id):
        raise HubError(f"{repo_id!r} is no id of a dataset; it looks like owner/name")
    if tag and create_pr:
        raise HubError("a pull request cannot be tagged; tag once it is merged")
    check_login(repo_id, propose=create_pr)
    for wait in (*releases.WAITS, None):
        try:
            return _publish_once(
                release, repo_id, private, revision, create_pr, tag, message, dry_run
            )
        except releases.hub_errors() as error:
            # 412: someone else committed. After any of these, look again what there is to do.
            again = releases.passing(error) or releases.status_of(error) == 412
            if wait is None or not again:
                said = releases.explain(error, repo_id, revision, "cannot publish")
                raise HubError(f"{said}; what was sent is kept, run the command again") from None
            time.sleep(wait)
    raise AssertionError("unreachable")


def _publish_once(
    release: Release,
    repo_id: str,
    private: bool,
    revision: str | None,
    create_pr: bool,
    tag: str | None,
    message: str | None,
    dry_run: bool,
) -> Published:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, errors

    api = HfApi()
    url = f"{api.endpoint}/datasets/{repo_id}"
    try:
        head = _head(api, repo_id, revision, private)
    except errors.RepositoryNotFoundError:
        if dry_run:
            return Published(repo_id, compare(release, set(), lambda _: False), url=url)
        api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        head = _head(api, repo_id, None, private)
    on_branch = head is not None
    if head is None:  # the branch is still to be made
        head = _head(api, repo_id, None, private)
        assert head is not None
    changes = compare(release, *_state(api, repo_id, head))
    tagged = _tag_target(api, repo_id, tag)
    if tagged and (changes or tagged != head):
        raise HubError(
            f"the tag {tag!r} of {repo_id!r} already names another state ({tagged[:8]}); "
            "choose a new tag"
        )
    done = Published(repo_id, changes, url=url)
    if dry_run:
        return done
    if not on_branch:
        assert revision is not None
        api.create_branch(repo_id, repo_type="dataset", branch=revision, revision=head)
    commit = head
    if changes:
        wanted = {*changes.added, *changes.changed}
        operations: list[Any] = [
            CommitOperationAdd(
                file.path, file.source if isinstance(file.source, bytes) else str(file.source)
            )
            for file in release.files
            if file.path in wanted
        ]
        operations += [CommitOperationDelete(path) for path in changes.removed]
        info = api.create_commit(
            repo_id,
            operations,
            commit_message=message or default_message(release, tag),
            repo_type="dataset",
            revision=revision,
            create_pr=create_pr,
            parent_commit=None if create_pr else head,
        )
        commit = str(info.oid)
        done = replace(done, made_commit=True, url=str(info.pr_url or url))
    if tag and not tagged:
        try:
            api.create_tag(repo_id, tag=tag, repo_type="dataset", revision=commit)
        except releases.hub_errors() as error:
            if releases.status_of(error) != 409 or _tag_target(api, repo_id, tag) != commit:
                raise
    return replace(done, commit=commit, tag=tag or "")


def default_message(release: Release, tag: str | None) -> str:
    """``Episodes v1.0: generator 1.0``."""
    manifest = release.manifest
    what = {
        "catalog": f"{manifest.get('size', 0):,} products",
        "embeddings": f"{manifest.get('rows', 0):,} products",
        "episodes": f"{manifest.get('episodes', 0):,} episodes",
    }[release.kind]
    return f"{release.kind.capitalize()}{f' {tag}' if tag else ''}: {what}"


def _head(api: HfApi, repo_id: str, revision: str | None, private: bool) -> str | None:
    """The newest commit of a branch; None if there is no such branch."""
    from huggingface_hub import errors

    try:
        info = api.repo_info(repo_id, repo_type="dataset", revision=revision)
    except errors.RevisionNotFoundError:
        return None
    if private and info.private is False:
        raise HubError(
            f"{repo_id!r} exists and is public; make it private on its settings page first"
        )
    return str(info.sha)


def _state(api: HfApi, repo_id: str, commit: str) -> tuple[set[str], Callable[[ReleaseFile], bool]]:
    """The paths of a commit, and whether one of them has a file's content."""
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repo_id, recursive=True, repo_type="dataset", revision=commit)
    have = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}

    def unchanged(file: ReleaseFile) -> bool:
        entry = have[file.path]
        if entry.size != file.size:
            return False
        if entry.lfs is not None:
            return str(entry.lfs.sha256) == file.sha256
        return str(entry.blob_id) == file.git_oid()

    return set(have), unchanged


def _tag_target(api: HfApi, repo_id: str, tag: str | None) -> str:
    """The commit that a tag names; empty if there is no such tag."""
    if not tag:
        return ""
    refs = api.list_repo_refs(repo_id, repo_type="dataset")
    return next((str(ref.target_commit) for ref in refs.tags if ref.name == tag), "")


# ----------------------------------------------------------------------------------- looking


def describe(path: str | os.PathLike[str], revision: str | None = None) -> list[str]:
    """What a folder or a Hub dataset holds, as lines of text; only its manifest is fetched.

    Raises:
        EcomkitError: if it is none of the three datasets.
    """
    kind, manifest = kind_at(path, revision)
    listed = listed_files(manifest)
    size = sum(file.size for file in listed.values())
    facts: list[tuple[str, object]] = [("kind", kind)]
    if kind == "catalog":
        source = manifest.get("source")
        how = source.get("kind", "") if isinstance(source, Mapping) else ""
        facts += [
            ("name", manifest["name"]),
            ("made", how + (f" from {source['name']}" if how == "import" and source else "")),
            ("products", f"{manifest['size']:,}"),
            ("hash", manifest["hash"]),
            ("never to be sold", ", ".join(manifest["deny_list"]) or "nothing"),
        ]
    elif kind == "embeddings":
        encoder, index = manifest["encoder"], manifest.get("index") or {}
        facts += [
            ("products", f"{manifest['rows']:,} of {manifest['dims']} dimensions, int8"),
            ("encoder", f"{encoder['kind']} ({encoder['name']})"),
            ("index", ", ".join(f"{key} {value}" for key, value in index.items()) or "none"),
            ("hash", manifest["hash"]),
            ("catalog hash", manifest["catalog_hash"]),
        ]
    else:
        facts += [
            ("episodes", f"{manifest['episodes']:,}"),
            ("generator version", manifest["generator_version"]),
            ("catalog hash", manifest["catalog_hash"]),
            ("search hash", manifest["search_hash"]),
        ]
    facts.append(("files", f"{len(listed)}, {size / 1e6:,.1f} MB"))
    if manifest.get("license"):
        facts.append(("licence", manifest["license"]))
    if releases.is_hub_id(path):
        facts += _revisions(str(path), revision)
    lines = [f"{name:<18}{value}" for name, value in facts]
    if kind == "episodes":
        lines += ["", *_cells(manifest)]
    return lines


def _revisions(repo_id: str, revision: str | None) -> list[tuple[str, object]]:
    _, folder = releases.hub_manifest(repo_id, "", revision)
    out: list[tuple[str, object]] = [("revision", f"{revision or 'main'} ({folder.name})")]
    try:
        names = [name for name, _ in releases.revisions(repo_id)]
    except releases.hub_errors():
        return out
    return [*out, ("revisions", ", ".join(names))]


def _cells(manifest: Mapping[str, Any]) -> list[str]:
    """Episodes by config and split."""
    configs = configs_of(manifest)
    splits = sorted({split for sizes in configs.values() for split in sizes})
    width = max(map(len, configs)) + 2
    head = "config".ljust(width) + "".join(f"{split:>7}" for split in splits)
    rows = [
        config.ljust(width)
        + "".join(f"{sizes[s].rows:>7,}" if s in sizes else "      –" for s in splits)
        for config, sizes in configs.items()
    ]
    return [head, *rows]
