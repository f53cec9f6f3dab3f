"""A stand-in for the Hugging Face Hub, for round trips with the real clients.

It speaks the part of the HTTP interface that ``huggingface_hub`` and ``datasets`` use for dataset
repositories, holds everything in memory, and can be told to fail: refuse requests, cut a download
in the middle, serve altered bytes. Clients run in other processes, with :meth:`HubDouble.env`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".parquet", ".npy", ".faiss")
PAGE = 50
"""Entries of one page of a tree: small, so that the clients have to turn pages."""

WRITE, READ, OTHER = "hf_write_token", "hf_read_token", "hf_other_token"
ACCOUNTS = {
    WRITE: ("tester", "write", ["lab"]),
    READ: ("tester", "read", ["lab"]),
    OTHER: ("stranger", "write", []),
}
DATE = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Blob:
    """The content of a file, in git itself or in large-file storage."""

    data: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def git_oid(self) -> str:
        content = self.data
        if self.large:
            content = (
                "version https://git-lfs.github.com/spec/v1\n"
                f"oid sha256:{self.sha256}\nsize {len(self.data)}\n"
            ).encode()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Commit:
    """One state of a repository."""

    oid: str
    parent: str | None
    title: str
    files: Mapping[str, Blob]


@dataclass
class Repo:
    """A dataset repository; ``refs`` holds branches, tags and pull requests by full name."""

    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, ref: str, files: Mapping[str, Blob], title: str) -> Commit:
        """Add a commit on a ref."""
        parent = self.refs.get(ref)
        listed = sorted((path, blob.sha256) for path, blob in files.items())
        key = json.dumps([parent, title, listed, len(self.commits)])
        made = Commit(hashlib.sha1(key.encode()).hexdigest(), parent, title, dict(files))
        self.commits[made.oid] = made
        self.refs[ref] = made.oid
        return made

    def at(self, revision: str) -> Commit:
        """The commit of a branch, tag, pull request or commit id."""
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if name in self.refs:
                return self.commits[self.refs[name]]
        if revision in self.commits:
            return self.commits[revision]
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def history(self, revision: str = "main") -> list[Commit]:
        """The commits of a branch, newest first."""
        found = []
        oid: str | None = self.at(revision).oid
        while oid:
            found.append(self.commits[oid])
            oid = found[-1].parent
        return found


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, code: str = "", body: Any = None) -> None:
        self.status, self.message, self.code = status, message, code
        self.body = body or {"error": message}


@dataclass
class Trouble:
    """Requests to be refused: the next ``times`` that match."""

    method: str
    pattern: str
    status: int
    times: int
    after: bool
    """Do the work first and lose only the answer."""


class HubDouble:
    """The server; a context manager. ``requests`` holds (method, path, status, bytes sent)."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.storage: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, int, int]] = []
        self.troubles: list[Trouble] = []
        self.cut_after: int | None = None
        """Break the first whole download of each large file after so many bytes."""
        self.cut: set[str] = set()
        self.ranges: list[str] = []
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.hub = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> HubDouble:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def env(self, home: Path, token: str | None = WRITE) -> dict[str, str]:
        """What a client's environment needs, with everything it keeps under ``home``."""
        found = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "XDG_CACHE_HOME": str(home / "cache"),
            "HOME": str(home),
            "PATH": str(Path(sys.executable).parent) + ":/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            "NO_PROXY": "*",
        }
        return found | ({"HF_TOKEN": token} if token else {})

    def fail(
        self, method: str, pattern: str, status: int, times: int = 1, after: bool = False
    ) -> None:
        """Refuse the next requests whose path matches a regular expression."""
        self.troubles.append(Trouble(method, pattern, status, times, after))

    def calls(self, method: str, pattern: str) -> list[tuple[str, str, int, int]]:
        """The requests so far that match."""
        return [r for r in self.requests if r[0] == method and re.search(pattern, r[1])]

    def alter(self, repo: str, path: str, change: Callable[[bytes], bytes]) -> None:
        """Put other bytes in the place of a file of main, as a broken disk would."""
        found = self.repos[repo]
        head = found.at("main")
        blob = head.files[path]
        altered = Blob(change(blob.data), blob.large)
        self.storage[altered.sha256] = altered.data
        found.commit("refs/heads/main", {**head.files, path: altered}, "altered")


_REPO = r"/api/datasets/(?P<repo>[^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, str]] = [
    ("GET", r"/api/whoami-v2", "whoami"),
    ("GET", r"/api/agent-harnesses", "harnesses"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("POST", _REPO + r"/preupload/(?P<revision>[^/]+)", "preupload"),
    ("POST", _REPO + r"/commit/(?P<revision>[^/]+)", "commit"),
    ("POST", _REPO + r"/branch/(?P<revision>.+)", "branch"),
    ("POST", _REPO + r"/tag/(?P<revision>.+)", "tag"),
    ("POST", _REPO + r"/paths-info/(?P<revision>[^/]+)", "paths"),
    ("GET", _REPO + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?", "tree"),
    ("GET", _REPO + r"/refs", "refs"),
    ("GET", _REPO + r"/commits/(?P<revision>[^/]+)", "commits"),
    ("GET", _REPO + r"(?:/revision/(?P<revision>.+))?", "info"),
    ("POST", r"/datasets/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/storage/(?P<oid>[0-9a-f]{64})", "store"),
    (
        "GET",
        r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        "resolve",
    ),
]
_COMPILED = [(method, re.compile(pattern), name) for method, pattern, name in _ROUTES]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    status = 0

    @property
    def hub(self) -> HubDouble:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    # The way of a request -----------------------------------------------------------------

    def answer(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.body = self.read_body()
        self.status = 0
        try:
            trouble = self.trouble(url.path)
            if trouble and not trouble.after:
                raise Refused(trouble.status, "the server has a bad day")
            self.lost = trouble.status if trouble else 0
            self.route(url.path)
        except Refused as refusal:
            headers = {"X-Error-Message": refusal.message}
            if refusal.code:
                headers["X-Error-Code"] = refusal.code
            self.lost = 0
            self.send(refusal.body, refusal.status, headers)
        self.hub.requests.append((self.command, unquote(url.path), self.status, len(self.body)))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def route(self, path: str) -> None:
        method = "GET" if self.command == "HEAD" else self.command
        for wanted, pattern, name in _COMPILED:
            match = pattern.fullmatch(path)
            if wanted == method and match:
                named = {key: unquote(value or "") for key, value in match.groupdict().items()}
                if name != "store":  # the real Hub hands out signed addresses for these
                    self.log_in()
                getattr(self, name)(**named)
                return
        raise Refused(404, f"no route for {self.command} {path}")

    def trouble(self, path: str) -> Trouble | None:
        with self.hub.lock:
            for trouble in self.hub.troubles:
                fits = trouble.method == self.command and re.search(trouble.pattern, path)
                if fits and trouble.times > 0:
                    trouble.times -= 1
                    return trouble
        return None

    def read_body(self) -> bytes:
        if (self.headers.get("Transfer-Encoding") or "").lower() == "chunked":
            return b"".join(self.chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def send(self, value: Any = None, status: int = 200, headers: Any = None) -> None:
        if self.lost:
            value, status, self.lost = {"error": "lost"}, self.lost, 0
        data = b"" if value is None else json.dumps(value).encode()
        self.status = status
        self.send_response(status)
        standard = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        for name, text in (standard | (headers or {})).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # Who may what -------------------------------------------------------------------------

    def log_in(self) -> None:
        self.user, self.role, self.orgs = "", "", []
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        if token:
            if token not in ACCOUNTS:
                raise Refused(401, "Invalid credentials in Authorization header")
            self.user, self.role, self.orgs = ACCOUNTS[token]

    def may_write(self, owner: str) -> None:
        if not self.user:
            raise Refused(401, "Invalid username or password.")
        if self.role != "write" or owner not in (self.user, *self.orgs):
            raise Refused(403, f"You don't have the rights to write under {owner!r}")

    def open(self, name: str) -> Repo:
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and name.split("/")[0] not in (self.user, *self.orgs)):
            raise Refused(401 if not self.user else 404, "Repository not found", "RepoNotFound")
        return repo

    def whoami(self) -> None:
        if not self.user:
            raise Refused(401, "Invalid username or password.")
        token = {"displayName": "token", "role": self.role}
        orgs = [{"name": name, "roleInOrg": "write"} for name in self.orgs]
        auth = {"type": "access_token", "accessToken": token}
        self.send({"type": "user", "name": self.user, "orgs": orgs, "auth": auth})

    def harnesses(self) -> None:
        self.send({"standardEnvVars": [], "harnesses": {}})

    # Writing ------------------------------------------------------------------------------

    def create(self) -> None:
        asked = json.loads(self.body)
        owner = asked.get("organization") or self.user
        # As on the real Hub, an existing repository is reported before rights are looked at.
        name = f"{owner}/{asked['name']}"
        url = f"{self.hub.url}/datasets/{name}"
        if name in self.hub.repos:
            raise Refused(409, "exists", body={"error": "You already created it", "url": url})
        self.may_write(owner)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        repo = self.hub.repos[name] = Repo(name, private)
        rules = "".join(
            f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES
        )
        start = {".gitattributes": Blob(rules.encode(), False)}
        repo.commit("refs/heads/main", start, "initial commit")
        self.send({"url": url, "name": name, "id": name})

    def validate(self) -> None:
        import yaml

        match = re.match(r"---\n(.*?)\n---", json.loads(self.body)["content"], re.DOTALL)
        errors = []
        try:
            if not match or not isinstance(yaml.safe_load(match[1]), dict):
                errors = [{"message": "no metadata"}]
        except yaml.YAMLError as error:
            errors = [{"message": str(error)}]
        self.send({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, repo: str, revision: str) -> None:
        self.may_write_or_propose(repo)
        self.open(repo).at(revision)
        files = []
        for entry in json.loads(self.body)["files"]:
            large = entry["path"].endswith(LFS_SUFFIXES) or entry["size"] > 10_000_000
            mode = "lfs" if large else "regular"
            files.append({"path": entry["path"], "uploadMode": mode, "shouldIgnore": False})
        self.send({"files": files})

    def may_write_or_propose(self, repo: str) -> None:
        if self.query.get("create_pr") and self.role == "write":
            return
        self.may_write(repo.split("/")[0])

    def batch(self, repo: str) -> None:
        self.open(repo)
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.storage:
                href = f"{self.hub.url}/storage/{wanted['oid']}"
                entry["actions"] = {"upload": {"href": href, "header": {}}}
            objects.append(entry)
        content = {"Content-Type": "application/vnd.git-lfs+json"}
        self.send({"transfer": "basic", "objects": objects}, headers=content)

    def store(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise Refused(400, "the bytes do not have this checksum")
        self.hub.storage[oid] = self.body
        self.send()

    def commit(self, repo: str, revision: str) -> None:
        self.may_write_or_propose(repo)
        lines = [json.loads(line) for line in self.body.splitlines() if line]
        header = next(line["value"] for line in lines if line["key"] == "header")
        with self.hub.lock:
            found = self.open(repo)
            head = found.at(revision)
            if header.get("parentCommit") not in (None, head.oid):
                raise Refused(412, "A commit has happened since. Please refresh and try again.")
            files = dict(head.files)
            for line in lines:
                self.apply(line["key"], line["value"], files)
            ref = f"refs/heads/{revision}"
            number = 0
            if self.query.get("create_pr"):
                number = 1 + sum(name.startswith("refs/pr/") for name in found.refs)
                ref = f"refs/pr/{number}"
                found.refs[ref] = head.oid
            elif ref not in found.refs:
                raise Refused(400, f"{revision} is no branch")
            made = found.commit(ref, files, header["summary"])
        url = f"{self.hub.url}/datasets/{repo}"
        said = {"success": True, "commitOid": made.oid, "commitUrl": f"{url}/commit/{made.oid}"}
        if number:
            said["pullRequestUrl"] = f"{url}/discussions/{number}"
        self.send({**said, "hookOutput": ""})

    def apply(self, key: str, value: Any, files: dict[str, Blob]) -> None:
        if key == "file":
            files[value["path"]] = Blob(base64.b64decode(value["content"]), False)
        elif key == "lfsFile":
            data = self.hub.storage.get(value["oid"])
            if data is None:
                raise Refused(400, f"the object {value['oid']} was never uploaded")
            files[value["path"]] = Blob(data, True)
        elif key == "deletedFile":
            if files.pop(value["path"], None) is None:
                raise Refused(404, "no such file", "EntryNotFound")

    def branch(self, repo: str, revision: str) -> None:
        start = json.loads(self.body or b"{}").get("startingPoint") or "main"
        self.add_ref(repo, f"refs/heads/{revision}", start)

    def tag(self, repo: str, revision: str) -> None:
        self.add_ref(repo, f"refs/tags/{json.loads(self.body)['tag']}", revision)

    def add_ref(self, repo: str, ref: str, start: str) -> None:
        self.may_write(repo.split("/")[0])
        found = self.open(repo)
        if ref in found.refs:
            raise Refused(409, f"Reference {ref} already exists")
        found.refs[ref] = found.at(start).oid
        self.send({})

    # Reading ------------------------------------------------------------------------------

    def info(self, repo: str, revision: str) -> None:
        found = self.open(repo)
        commit = found.at(revision or "main")
        self.send(
            {
                "_id": commit.oid[:24], "id": repo, "author": repo.split("/")[0],
                "sha": commit.oid, "private": found.private, "gated": False, "disabled": False,
                "downloads": 0, "likes": 0, "tags": [], "createdAt": DATE, "lastModified": DATE,
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            }
        )  # fmt: skip

    def refs(self, repo: str) -> None:
        said: dict[str, Any] = {"converts": []}
        kinds = {"branches": "refs/heads/", "tags": "refs/tags/", "pullRequests": "refs/pr/"}
        for kind, prefix in kinds.items():
            said[kind] = [
                {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
                for ref, oid in self.open(repo).refs.items()
                if ref.startswith(prefix)
            ]
        self.send(said)

    def commits(self, repo: str, revision: str) -> None:
        self.send(
            [
                {"id": c.oid, "title": c.title, "message": "", "date": DATE, "authors": []}
                for c in self.open(repo).history(revision)
            ]
        )

    @staticmethod
    def entries(commit: Commit) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for path, blob in commit.files.items():
            parts = path.split("/")
            for end in range(1, len(parts)):
                folder = "/".join(parts[:end])
                oid = hashlib.sha1(folder.encode()).hexdigest()
                found[folder] = {"type": "directory", "oid": oid, "size": 0, "path": folder}
            size = len(blob.data)
            found[path] = {"type": "file", "oid": blob.git_oid, "size": size, "path": path}
            if blob.large:
                found[path]["lfs"] = {"oid": blob.sha256, "size": size, "pointerSize": 130}
        return dict(sorted(found.items()))

    def tree(self, repo: str, revision: str, path: str) -> None:
        found = self.entries(self.open(repo).at(revision))
        if path and found.get(path, {}).get("type") != "directory":
            raise Refused(404, f"{path} does not exist", "EntryNotFound")
        prefix = f"{path}/" if path else ""
        deep = self.query.get("recursive", "").lower() == "true"
        rows = [
            entry
            for name, entry in found.items()
            if name.startswith(prefix) and (deep or "/" not in name[len(prefix) :])
        ]
        start = int(self.query.get("cursor", 0))
        headers = {}
        if start + PAGE < len(rows):
            url = f"{self.hub.url}{urlsplit(self.path).path}"
            rest = f"recursive={self.query.get('recursive', 'false')}&cursor={start + PAGE}"
            headers["Link"] = f'<{url}?{rest}>; rel="next"'
        self.send(rows[start : start + PAGE], headers=headers)

    def paths(self, repo: str, revision: str) -> None:
        if "json" in (self.headers.get("Content-Type") or ""):
            wanted = json.loads(self.body)["paths"]
        else:
            wanted = parse_qs(self.body.decode()).get("paths", [])
        found = self.entries(self.open(repo).at(revision))
        self.send([found[path] for path in wanted if path in found])

    def resolve(self, repo: str, revision: str, path: str) -> None:
        commit = self.open(repo).at(revision)
        headers = {"X-Repo-Commit": commit.oid}
        blob = commit.files.get(path)
        if blob is None:
            missing = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            self.send({"error": "Entry not found"}, 404, headers | missing)
            return
        mark = blob.sha256 if blob.large else blob.git_oid
        if blob.large:
            headers |= {"X-Linked-Etag": f'"{mark}"', "X-Linked-Size": str(len(blob.data))}
        self.send_bytes(blob.data, mark, blob.large, headers)

    def send_bytes(self, data: bytes, mark: str, large: bool, headers: dict[str, str]) -> None:
        start, stop, status = 0, len(data), 200
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted:
            start, status = int(wanted[1]), 206
            stop = min(int(wanted[2]) + 1 if wanted[2] else stop, stop)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            self.hub.ranges.append(wanted[0])
        self.status = status
        self.send_response(status)
        headers |= {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        headers |= {"Content-Length": str(stop - start), "ETag": f'"{mark}"'}
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut_after
        if cut is not None and large and status == 200 and mark not in self.hub.cut:
            self.hub.cut.add(mark)
            self.wfile.write(data[:cut])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(data[start:stop])
