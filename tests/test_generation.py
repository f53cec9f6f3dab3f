"""Episode sets: same bytes however made, resumable, loadable, and damage is named."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

import ecomkit as ek
from ecomkit.core.errors import DrawFailed, EpisodeError, SearchUnavailable, UnknownName
from ecomkit.core.records import EPISODE_COLUMNS
from ecomkit.envs import REGISTRY
from ecomkit.envs.base import Redraw
from ecomkit.episodes.generate import Plan, chunks_of, damaged_files, generate

ROOT = Path(__file__).resolve().parents[1]
PLAN = Plan(("cart",), levels=(0, 6), train=6, test=3)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(shop_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("set") / "episodes"
    generate(shop_folder / "catalog", out, PLAN)
    return out


def test_load_dataset_opens_the_folder(written, tmp_path, monkeypatch):
    import datasets

    monkeypatch.setenv("HF_HOME", str(tmp_path))
    train = datasets.load_dataset(str(written), "cart", split="d06", cache_dir=str(tmp_path))
    held_out = datasets.load_dataset(
        str(written), "cart_test", split="d00", cache_dir=str(tmp_path)
    )
    assert (len(train), len(held_out)) == (6, 3)
    assert tuple(train.column_names) == EPISODE_COLUMNS
    assert train[0]["axes"]["tool_budget"] == 4
    assert train[0]["prompt"][1]["role"] == "user"


def test_load_episodes_reads_only_what_is_named(written, catalog):
    episodes = ek.load_episodes(written, "cart", split="d06[:2]")
    assert len(episodes) == 2
    assert len(ek.load_episodes(written, "cart", split="d00+d06")) == 12
    session = ek.replay(episodes[0], catalog)
    assert session.reset().messages[1]["content"] == episodes[0]["prompt"][1]["content"]
    with pytest.raises(UnknownName, match="cart_test"):
        ek.load_episodes(written, "carts")
    with pytest.raises(UnknownName, match="d06"):
        ek.load_episodes(written, "cart", split="d03")
    with pytest.raises(EpisodeError, match="cannot read"):
        ek.load_episodes(written / "none", "cart", split="d03")


def test_polars_and_pandas_read_the_files(written):
    frame = pl.read_parquet(written / "cart" / "d06.parquet")
    items = frame["goal"].str.json_decode(
        pl.Struct({"items": pl.List(pl.Struct({"quantity": pl.Int64}))})
    )
    assert items.struct.field("items").list.len().to_list() == [3] * 6


def test_goals_of_train_and_test_are_disjoint(written):
    goals = {
        config: set(
            pl.concat([pl.read_parquet(p) for p in sorted((written / config).glob("*.parquet"))])[
                "goal_hash"
            ]
        )
        for config in ("cart", "cart_test")
    }
    assert goals["cart"] and goals["cart_test"]
    assert not goals["cart"] & goals["cart_test"]


def test_the_manifest_counts_what_was_played(written):
    manifest = json.loads((written / "manifest.json").read_text())
    assert manifest["episodes"] == 18
    assert not damaged_files(written, manifest)
    for audit in manifest["audit"].values():
        assert sum(audit["near_misses"].values()) > 10
        assert not any(audit["near_miss_passes"].values())
        assert set(audit["policies"]) >= {"empty", "everything", "naive", "neighbour"}


@pytest.mark.slow
def test_workers_hash_seed_and_folder_change_no_byte(written, shop_folder, tmp_path):
    code = (
        "from ecomkit.episodes.generate import Plan, generate\n"
        "if __name__ == '__main__':\n"
        "    import sys\n"
        "    plan = Plan(('cart',), levels=(0, 6), train=6, test=3)\n"
        "    generate(sys.argv[1], sys.argv[2], plan, workers=int(sys.argv[3]))\n"
    )
    script = tmp_path / "make.py"
    script.write_text(code)
    for number, workers in enumerate((1, 2)):
        out = tmp_path / f"set{number}"
        env = {**os.environ, "PYTHONHASHSEED": str(number + 5), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, script, shop_folder / "catalog", out, str(workers)]
        subprocess.run(command, check=True, env=env, cwd=tmp_path)
        assert digests(out) == digests(written)


def test_a_second_run_changes_nothing(written, shop_folder):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*.parquet")}
    generate(shop_folder / "catalog", written, PLAN)
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*.parquet")} == before


def test_a_damaged_file_is_named_and_made_again(written, shop_folder):
    path = written / "cart" / "d00.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(EpisodeError, match=r"d00\.parquet has .* bytes"):
        ek.load_episodes(written, "cart", split="d00")
    generate(shop_folder / "catalog", written, PLAN)
    assert path.read_bytes() == whole


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(shop_folder, tmp_path):
    big = ("--difficulties", "0", "--train", "200", "--environments", "cart")
    paths = ("--catalog", str(shop_folder / "catalog"))

    def start(out):
        command = [sys.executable, str(ROOT / "scripts" / "generate_episodes.py")]
        return subprocess.Popen(
            [*command, *paths, "--out", str(out), *big],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert start(straight).wait() == 0
    process = start(broken)
    deadline = time.monotonic() + 60
    while not list(broken.glob(".parts/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "manifest.json").exists()
    assert start(broken).wait() == 0
    assert digests(broken) == digests(straight)


def test_parts_of_another_plan_are_refused(shop_folder, tmp_path):
    parts = tmp_path / ".parts"
    parts.mkdir()
    (parts / "settings.json").write_text('{"plan": "other"}')
    with pytest.raises(EpisodeError, match="another episode set"):
        generate(shop_folder / "catalog", tmp_path, PLAN)


def test_a_full_disk_leaves_what_was_written_whole(shop_folder, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    plan = Plan(("cart",), levels=(0, 3), train=2)
    real = pq.write_table
    calls = []

    def failing(table, where, **options):
        calls.append(where)
        if len(calls) == 2:
            Path(where).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        return real(table, where, **options)

    monkeypatch.setattr(pq, "write_table", failing)
    with pytest.raises(OSError, match="No space"):
        generate(shop_folder / "catalog", tmp_path / "out", plan)
    assert not (tmp_path / "out" / "manifest.json").exists()
    monkeypatch.setattr(pq, "write_table", real)
    manifest = generate(shop_folder / "catalog", tmp_path / "out", plan)
    assert manifest["episodes"] == 4
    assert not damaged_files(tmp_path / "out", manifest)


def test_chunks_cover_every_seed_once():
    plan = Plan(tuple(REGISTRY), train=120, test=60)
    seen = [
        (chunk.config, chunk.d, seed)
        for chunk in chunks_of(plan)
        for seed in range(chunk.first, chunk.first + chunk.count)
    ]
    assert len(seen) == len(set(seen)) == len(REGISTRY) * 13 * 180


def test_wrong_plans_are_refused(shop_folder, tmp_path):
    catalog = shop_folder / "catalog"
    with pytest.raises(UnknownName, match="cart"):
        generate(catalog, tmp_path, Plan(("carts",)))
    with pytest.raises(ValueError, match="0 to 12"):
        generate(catalog, tmp_path, Plan(("cart",), levels=(13,)))
    with pytest.raises(ValueError, match="above 0"):
        generate(catalog, tmp_path, Plan(("cart",), train=0))
    with pytest.raises(UnknownName, match="department"):
        generate(catalog, tmp_path / "a", Plan(("cart",), levels=(0,), department="nowhere"))


def test_drawing_without_search_says_what_to_run(plain_catalog, tmp_path):
    with pytest.raises(SearchUnavailable, match=r"build_embeddings\.py"):
        generate(plain_catalog.path, tmp_path, PLAN)


def test_a_hopeless_draw_names_the_axis(catalog, monkeypatch):
    from ecomkit.envs.cart import Cart

    monkeypatch.setattr(Cart, "_draw_item", lambda *args: None)
    with pytest.raises(DrawFailed, match=r"draw:constraints \(25×\)"):
        ek.draw_episode("cart", 3, 0, catalog)


def test_one_axis_changes_alone(catalog):
    """Axis ablations hold the rest still: the goal stays, only what the axis moves changes."""
    base = ek.draw_episode("cart", 6, 3, catalog, certify_episode=False)
    quiet = ek.draw_episode("cart", 6, 3, catalog, certify_episode=False, axes={"p_noise": 0.0})
    assert quiet.goal == base.goal and quiet.world["events"] == base.world["events"]
    assert quiet.prompt != base.prompt
    assert quiet.episode_id != base.episode_id
    assert [s["opening"] for s in quiet.user["slots"]] == [s["opening"] for s in base.user["slots"]]


class Rewording(BaseHTTPRequestHandler):
    """Says what it is given, with a greeting before it; leaks nothing."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = request["messages"][-1]["content"]
        quoted = text[text.rindex("\n") + 1 :] if "\n" in text else text
        answer = {"choices": [{"message": {"content": f"Well then. {quoted}"}}]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_a_language_model_may_phrase_the_customer(shop_folder, catalog, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rewording)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        plan = Plan(
            ("cart",),
            levels=(2,),
            train=2,
            llm_url=f"http://127.0.0.1:{server.server_port}/v1",
            llm_model="stub",
        )
        generate(shop_folder / "catalog", tmp_path, plan)
    finally:
        server.shutdown()
        server.server_close()
    episodes = ek.load_episodes(tmp_path, "cart", split="d02")
    for row in episodes:
        slots = json.loads(row["user"])["slots"]
        assert any(slot["statement"].startswith("Well then.") for slot in slots)
        # Frozen: replay needs no endpoint and gives the same words.
        session = ek.replay(row, catalog)
        assert session.reset().messages[1]["content"] == row["prompt"][1]["content"]


def test_what_a_catalog_cannot_carry_is_told_and_left_out(shop_folder, tmp_path, monkeypatch):
    from ecomkit.envs.tracking import Tracking

    def nothing(self, context):
        raise Redraw("order_history", "no order can be told from the others")

    monkeypatch.setattr(Tracking, "draw", nothing)
    catalog = shop_folder / "catalog"
    plan = Plan(("cart", "tracking"), levels=(0, 3), train=2)
    manifest = generate(catalog, tmp_path / "both", plan)
    assert manifest["episodes"] == 4
    assert "no order can be told" in manifest["unavailable"]["tracking"]
    with pytest.raises(EpisodeError, match="nothing can be drawn"):
        generate(catalog, tmp_path / "none", Plan(("tracking",), levels=(0,), train=2))
