"""Publishing and loading back by name, with the real clients against a stand-in for the Hub.

The clients read their settings when they are imported, so that each runs in a process of its own.
``ECOMKIT_CLIENT_PYTHON`` names another interpreter for them, such as that of an environment with
the oldest versions that pyproject.toml admits.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_double import LFS_SUFFIXES, OTHER, READ, WRITE, Blob, HubDouble, Repo

from ecomkit.core.errors import CatalogError, EcomkitError, EpisodeError, HubError
from ecomkit.data.loading import load_catalog, load_episodes
from ecomkit.episodes.generate import Plan, generate
from ecomkit.release import hub

# Real clients in processes of their own.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PYTHON = os.environ.get("ECOMKIT_CLIENT_PYTHON", sys.executable)
EPISODES, CATALOG, SEARCH = "lab/episodes", "lab/catalog", "lab/search"


@pytest.fixture(scope="module")
def episodes(shop_folder: Path) -> Path:
    """Cart at d = 0 and 6: three episodes each, and two held out; beside their catalog."""
    out = shop_folder / "to_publish"
    generate(shop_folder / "catalog", out, Plan(("cart",), levels=(0, 6), train=3, test=2))
    return out


@pytest.fixture
def double() -> Iterator[HubDouble]:
    with HubDouble() as server:
        yield server


class Client:
    """Processes that talk to the double from a home of their own."""

    def __init__(self, double: HubDouble, home: Path) -> None:
        self.double, self.home = double, home

    def run(
        self, *words: object, token: str | None = WRITE, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """A process with these words; ``fresh`` forgets what was downloaded before."""
        if fresh:
            shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            [PYTHON, *map(str, words)], env=self.double.env(self.home, token),
            capture_output=True, text=True, cwd=self.home, timeout=120,
        )  # fmt: skip

    def publish(self, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """scripts/publish.py."""
        return self.run(ROOT / "scripts" / "publish.py", *words, **options)

    def python(self, code: str, **options: Any) -> Any:
        """What ``code`` prints last, as JSON; ``ek`` and ``json`` are imported."""
        start = (
            "import json, ecomkit as ek, ecomkit.data.manifests as releases\n"
            "releases.WAITS = (0.0, 0.0)\n"
            "def error(call):\n"
            "    try: call()\n"
            "    except ek.EcomkitError as e: return f'{type(e).__name__}: {e}'\n"
        )
        done = self.run("-c", start + code, **options)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def client(double: HubDouble, tmp_path: Path) -> Client:
    return Client(double, tmp_path / "home")


def put(double: HubDouble, folder: Path, repo_id: str, private: bool = False) -> None:
    """A release in the double without any client, for tests of reading."""
    repo = double.repos.setdefault(repo_id, Repo(repo_id, private))
    files = {}
    for file in hub.read_release(folder, licence="apache-2.0").files:
        data = file.source if isinstance(file.source, bytes) else file.source.read_bytes()
        files[file.path] = Blob(data, file.path.endswith(LFS_SUFFIXES))
    repo.commit("refs/heads/main", files, "release")


def test_publish_again_and_second_release(
    client: Client, double: HubDouble, episodes: Path, shop_folder: Path, tmp_path: Path
) -> None:
    words = (episodes, "--repo", EPISODES, "--tag", "v1")
    dry = client.publish(*words, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "+ cart/d06.parquet" in dry.stdout
    assert not double.repos and not double.calls("PUT", "")

    first = client.publish(*words, "--private")
    assert first.returncode == 0, first.stderr
    repo = double.repos[EPISODES]
    written = ("README.md", "manifest.json", "plots/naive.svg")
    assert repo.private
    assert [c.title for c in repo.history()] == ["Episodes v1: 10 episodes", "initial commit"]
    listed = [
        entry["path"] for entry in json.loads((episodes / "manifest.json").read_text())["files"]
    ]
    assert set(repo.at("v1").files) == {*listed, *written, ".gitattributes"}
    for path in listed:
        assert repo.at("main").files[path].data == (episodes / path).read_bytes()

    sent = len(double.calls("PUT", "/storage/"))
    again = client.publish(*words)
    assert "already holds this release" in again.stdout, again.stderr
    assert len(repo.history()) == 2 and len(double.calls("PUT", "/storage/")) == sent

    smaller = tmp_path / "second"
    shutil.copytree(episodes, smaller)
    manifest = json.loads((smaller / "manifest.json").read_text())
    manifest["files"] = [e for e in manifest["files"] if not e["path"].startswith("cart_test")]
    (smaller / "manifest.json").write_text(json.dumps(manifest))
    other = (smaller, "--repo", EPISODES, "--catalog", shop_folder / "catalog")
    refused = client.publish(*other, "--tag", "v1")
    assert refused.returncode == 1 and "already names another state" in refused.stderr
    assert len(repo.history()) == 2
    second = client.publish(*other, "--tag", "v2")
    assert second.returncode == 0 and "- cart_test/d06.parquet" in second.stdout, second.stderr
    assert "cart_test/d06.parquet" not in repo.at("v2").files
    assert ".gitattributes" in repo.at("v2").files
    assert len(repo.history()) == 3 and len(double.calls("PUT", "/storage/")) == sent
    assert "cart_test/d06.parquet" in repo.at("v1").files


def test_load_by_name(client: Client, double: HubDouble, episodes: Path, shop_folder: Path) -> None:
    put(double, episodes, EPISODES)
    put(double, shop_folder / "catalog", CATALOG)
    put(double, shop_folder / "embeddings", SEARCH)
    assert "vectors.npy" not in double.repos[SEARCH].at("main").files
    found = client.python(
        f"""
rows = ek.load_episodes("{EPISODES}", "cart", split="d06")
alone = [f for f in __import__("pathlib").Path(".").rglob("*.parquet")]
catalog = ek.load_catalog("{CATALOG}", search="{SEARCH}")
from datasets import load_dataset, load_dataset_builder
whole = load_dataset("{EPISODES}", "cart", split="d06")
stream = next(iter(load_dataset("{EPISODES}", "cart", split="d06", streaming=True)))
scores = [ek.score(ek.play("reference", row, catalog), row, catalog) for row in rows]
print(json.dumps(dict(
    alone=[f.parent.name + "/" + f.name for f in alone],
    same=whole[:] == rows[:] and stream == rows[0],
    joined=load_dataset("{EPISODES}", "cart", split="d00+d06").num_rows,
    cut=[r["episode_id"] for r in load_dataset("{EPISODES}", "cart", split="d06[:2]")],
    held_out=list(load_dataset("{EPISODES}", "cart_test", split="d00")["episode_id"]),
    own=[
        len(ek.load_episodes("{EPISODES}", "cart_test", split=split))
        for split in ("d00", "d00+d06", "d06[:1]")
    ],
    products=load_dataset("{CATALOG}", split="train").num_rows,
    vectors=load_dataset("{SEARCH}", split="train").num_rows,
    configs=load_dataset_builder("{EPISODES}", "cart").config.name,
    passed=[s.passed for s in scores],
    found=len(catalog.search_engine.search("charger", depth=5)),
    written=sorted(path.name for path in catalog.path.iterdir()),
    origin=catalog.origin[0],
)))
"""
    )
    assert found["alone"] == ["cart/d06.parquet"]
    assert found["same"] and found["joined"] == 6 and found["own"] == [2, 4, 1]
    assert found["cut"] == ["cart-d06-train-000000", "cart-d06-train-000001"]
    assert found["held_out"] == ["cart-d00-test-000000", "cart-d00-test-000001"]
    assert found["products"] == found["vectors"] == 3000
    assert found["passed"] == [True] * 3 and found["found"] == 5
    assert found["written"] == ["README.md", "data", "manifest.json"], "no arrays in its cache"
    assert found["configs"] == "cart" and found["origin"] == CATALOG


def test_polars_and_pandas_read_the_files(episodes: Path) -> None:
    import pandas as pd
    import polars as pl

    file = episodes / "cart" / "d06.parquet"
    wanted = [json.loads(row["goal"]) for row in load_episodes(episodes, "cart", "d06")]
    frame = pl.read_parquet(file)
    assert [json.loads(text) for text in frame["goal"]] == wanted
    paths = frame["goal"].str.json_path_match("$.items[0].product_id").to_list()
    assert paths == [goal["items"][0]["product_id"] for goal in wanted]
    frame = pd.read_parquet(file)
    assert list(frame["goal"].map(json.loads)) == wanted
    assert frame["axes"][0]["tool_budget"] == frame["tool_budget"][0]


def test_logins(client: Client, double: HubDouble, episodes: Path) -> None:
    for token, said in (
        (None, "no login"),
        ("hf_nonsense", "does not accept the token"),
        (READ, "read-only"),
        (OTHER, "may not write"),
    ):
        done = client.publish(episodes, "--repo", EPISODES, token=token)
        assert done.returncode == 1 and said in done.stderr, (token, done.stderr)
        assert not token or token not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert not double.repos and not double.calls("PUT", "")


def test_private_dataset(client: Client, double: HubDouble, episodes: Path) -> None:
    put(double, episodes, EPISODES, private=True)
    code = f"""
print(json.dumps(error(lambda: ek.load_episodes("{EPISODES}", "cart", split="d00"))))
"""
    for token in (None, OTHER, "hf_nonsense"):
        said = client.python(code, token=token)
        assert "EpisodeError" in said and "logged in" in said or "log in" in said, said
        assert not token or token not in said
    assert client.python(code, token=READ) is None


def test_branch_and_pull_request(client: Client, double: HubDouble, episodes: Path) -> None:
    put(double, episodes, EPISODES)
    repo = double.repos[EPISODES]
    first = repo.at("main").oid
    card = client.home.parent / "card.md"
    card.write_text("---\nlicense: apache-2.0\n---\n# Other\n")
    done = client.publish(episodes, "--repo", EPISODES, "--card", card, "--create-pr", token=OTHER)
    assert done.returncode == 0 and "discussions/1" in done.stdout, done.stderr
    assert repo.at("main").oid == first
    assert b"# Other" in repo.at("refs/pr/1").files["README.md"].data
    done = client.publish(episodes, "--repo", EPISODES, "--card", card, "--revision", "next")
    assert done.returncode == 0, done.stderr
    assert repo.at("main").oid == first and repo.at("next").oid != first
    assert repo.at("next").parent == first
    done = client.publish(episodes, "--repo", EPISODES, "--card", card, "--private")
    assert done.returncode == 1 and "is public" in done.stderr


def test_an_upload_that_was_cut_goes_on(client: Client, double: HubDouble, episodes: Path) -> None:
    code = f"""
from ecomkit.release import hub
release = hub.read_release({str(episodes)!r})
print(json.dumps(error(lambda: hub.publish(release, "{EPISODES}"))))
"""
    # Four large files; after the second the storage is gone for good.
    double.fail("POST", r"/commit/main", 503, times=99)
    said = client.python(code)
    assert "HubError" in said and "run the command again" in said
    assert WRITE not in said
    assert len(double.repos[EPISODES].history()) == 1
    assert len(double.calls("PUT", "/storage/")) == 4
    double.troubles.clear()
    # The commit is made, but its answer is lost: that is no reason for a second one.
    double.fail("POST", r"/commit/main", 502, after=True)
    assert client.python(code) is None
    assert len(double.repos[EPISODES].history()) == 2
    assert len(double.calls("PUT", "/storage/")) == 4, "what was there was not sent again"


def test_a_download_that_is_cut_goes_on(
    client: Client, double: HubDouble, episodes: Path, shop_folder: Path
) -> None:
    put(double, episodes, EPISODES)
    put(double, shop_folder / "catalog", CATALOG)
    double.cut_after = 5000
    double.fail("GET", r"/resolve/.*/manifest.json", 503)
    found = client.python(
        f"""
import huggingface_hub.constants
huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = 1000  # what is kept of a cut download
rows = ek.load_episodes("{EPISODES}", "cart", split="d06")
catalog = ek.load_catalog("{CATALOG}")
print(json.dumps([len(rows), catalog.size]))
"""
    )
    assert found == [3, 3000]
    assert "bytes=5000-" in double.ranges
    assert len(double.cut) == 2


def test_a_damaged_file_is_never_used(
    client: Client, double: HubDouble, episodes: Path, shop_folder: Path
) -> None:
    put(double, episodes, EPISODES)
    put(double, shop_folder / "catalog", CATALOG)
    good = double.repos[EPISODES].at("main").oid
    product_file = "data/products-00000-of-00001.parquet"

    def flip(data: bytes) -> bytes:
        return data[:4000] + bytes([data[4000] ^ 1]) + data[4001:]

    double.alter(EPISODES, "cart/d06.parquet", flip)
    double.alter(EPISODES, "cart/d00.parquet", lambda data: data[:-100])
    double.alter(CATALOG, product_file, flip)
    said = client.python(
        f"""
import pathlib
said = [error(lambda: ek.load_episodes("{EPISODES}", "cart", split=s)) for s in ("d06", "d00")]
said.append(error(lambda: ek.load_catalog("{CATALOG}")))
# A file that went bad on this disk is fetched again.
rows = ek.load_episodes("{EPISODES}", "cart", split="d06", revision="{good}")
path = next(pathlib.Path(".").rglob("{good}/cart/d06.parquet")).resolve()
data = bytearray(path.read_bytes()); data[4000] ^= 1; path.write_bytes(data)
rows = ek.load_episodes("{EPISODES}", "cart", split="d06", revision="{good}")
said.append(len(rows))
print(json.dumps(said))
"""
    )
    assert "EpisodeError" in said[0] and "does not match its checksum" in said[0]
    assert "EpisodeError" in said[1] and "the file is cut" in said[1]
    assert "CatalogError" in said[2] and "checksum" in said[2]
    assert said[3] == 3


def test_what_does_not_fit_names_what_does(
    client: Client, double: HubDouble, episodes: Path, shop_folder: Path, tmp_path: Path
) -> None:
    from ecomkit.catalog import synthesize, synthetic_manifest, write_catalog

    put(double, shop_folder / "catalog", CATALOG)
    double.repos[CATALOG].refs["refs/tags/v1"] = double.repos[CATALOG].at("main").oid
    write_catalog(synthesize(400, 8), tmp_path / "other", synthetic_manifest(400, 8))
    put(double, tmp_path / "other", CATALOG)
    put(double, shop_folder / "embeddings", SEARCH)
    put(double, episodes, EPISODES)
    double.repos[EPISODES].refs["refs/tags/now"] = double.repos[EPISODES].at("main").oid
    double.alter(
        EPISODES,
        "manifest.json",
        lambda data: data.replace(b'"generator_version": "', b'"generator_version": "0.'),
    )
    said = client.python(
        f"""
catalog = ek.load_catalog("{CATALOG}")
rows = ek.load_episodes("{EPISODES}", "cart", revision="now")
import ecomkit.data.loading as loading
print(json.dumps([
    error(lambda: loading.check_fit(rows, catalog)),
    error(lambda: ek.load_episodes("{EPISODES}", "cart", revision="now", catalog=catalog)),
    error(lambda: loading.check_fit(rows, ek.load_catalog("{CATALOG}", revision="v1"))),
    error(lambda: ek.load_episodes("{EPISODES}", "cart")),
    error(lambda: ek.load_catalog("{CATALOG}", search="{SEARCH}")),
    error(lambda: ek.load_episodes("{EPISODES}", "cart", revision="v9")),
    error(lambda: ek.load_episodes("{EPISODES}", "carts", revision="now")),
    error(lambda: ek.load_episodes("{CATALOG}", "cart")),
    error(lambda: ek.load_catalog("{EPISODES}", revision="now")),
    error(lambda: ek.load_catalog("lab/nothing")),
]))
"""
    )
    assert "CatalogError" in said[0] and "revision='v1' fits" in said[0]
    assert said[1] == said[0]
    assert said[2] is None
    assert "EpisodeError" in said[3] and "revision='now' fits" in said[3]
    assert "CatalogError" in said[4] and "none of their revisions fits" in said[4]
    assert "no revision 'v9'" in said[5] and "now, main" in said[5]
    assert "UnknownName" in said[6] and "cart" in said[6]
    assert "belongs to a catalog" in said[7]
    assert "belongs to episodes" in said[8]
    assert "there is no dataset 'lab/nothing'" in said[9]


def test_info(client: Client, double: HubDouble, episodes: Path, shop_folder: Path) -> None:
    put(double, episodes, EPISODES)
    double.repos[EPISODES].refs["refs/tags/v1"] = double.repos[EPISODES].at("main").oid
    words = ("-m", "ecomkit.cli", "info")
    done = client.run(*words, EPISODES, "--catalog", shop_folder / "catalog")
    assert done.returncode == 0, done.stderr
    assert "v1, main" in done.stdout and "fits the catalog" in done.stdout
    assert re.search(r"cart_test +2 +2\n", done.stdout) and "generator version" in done.stdout
    fetched = {path.rsplit("/", 1)[1] for _, path, *_ in double.calls("GET", "/resolve/")}
    assert fetched == {"manifest.json"}, "no data is fetched to say what there is"
    done = client.run(*words, "lab/nothing")
    assert done.returncode == 2 and "there is no dataset" in done.stderr


# Without the Hub --------------------------------------------------------------------------------


def test_publish_to_a_folder(episodes: Path, shop_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "release"
    done = hub.publish_to_folder(hub.read_release(episodes), target, dry_run=True)
    assert done.changes.added and not target.exists()
    assert hub.publish_to_folder(hub.read_release(episodes), target).made_commit
    stamps = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    assert not hub.publish_to_folder(hub.read_release(episodes), target).made_commit
    assert stamps == {path: path.stat().st_mtime_ns for path in target.rglob("*")}
    assert load_episodes(target, "cart", "d06")[:] == load_episodes(episodes, "cart", "d06")[:]

    (target / "notes.txt").write_text("mine")
    second = tmp_path / "second"
    shutil.copytree(episodes, second)
    manifest = json.loads((second / "manifest.json").read_text())
    manifest["files"] = [e for e in manifest["files"] if not e["path"].startswith("cart_test")]
    (second / "manifest.json").write_text(json.dumps(manifest))
    done = hub.publish_to_folder(hub.read_release(second, catalog=shop_folder / "catalog"), target)
    assert done.changes.removed == ("cart_test/d00.parquet", "cart_test/d06.parquet")
    assert not (target / "cart_test").exists()
    assert (target / "notes.txt").exists(), "a file that no release brought stays"


def test_what_is_not_published(episodes: Path, shop_folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(episodes, copied)
    (copied / ".parts").mkdir()
    with pytest.raises(EpisodeError, match="not finished"):
        hub.read_release(copied)
    (copied / ".parts").rmdir()
    data = bytearray((copied / "cart" / "d06.parquet").read_bytes())
    data[4000] ^= 1
    (copied / "cart" / "d06.parquet").write_bytes(data)
    with pytest.raises(EpisodeError, match="not beside them"):
        hub.read_release(copied)
    with pytest.raises(EpisodeError, match="checksum"):
        hub.read_release(copied, licence="apache-2.0")
    with pytest.raises(EcomkitError, match="does not exist"):
        hub.read_release(tmp_path / "none")
    with pytest.raises(HubError, match="holds no episodes"):
        hub.publish_to_folder(hub.read_release(episodes), shop_folder / "catalog")
    with pytest.raises(HubError, match="to be published"):
        hub.publish_to_folder(hub.read_release(episodes), episodes)
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["files"][0]["path"] = "../catalog/manifest.json"
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EpisodeError, match="outside"):
        hub.read_release(copied)


def test_an_import_needs_a_licence(tmp_path: Path) -> None:
    from ecomkit.catalog import synthesize, synthetic_manifest, write_catalog

    manifest = {**synthetic_manifest(50, 1), "source": {"kind": "import", "name": "shop.csv"}}
    write_catalog(synthesize(50, 1), tmp_path / "catalog", manifest)
    with pytest.raises(CatalogError, match=r"shop\.csv.*--license"):
        hub.read_release(tmp_path / "catalog")
    release = hub.read_release(
        tmp_path / "catalog", licence="cc-by-4.0", source_url="https://shop.example"
    )
    hub.publish_to_folder(release, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (written["license"], written["source_url"]) == ("cc-by-4.0", "https://shop.example")
    assert load_catalog(tmp_path / "out").hash == load_catalog(tmp_path / "catalog").hash
