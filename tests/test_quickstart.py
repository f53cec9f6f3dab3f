"""The one command, at a small size: made-up products, real files, bad options, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, str(ROOT / "scripts" / "_quickstart.py")]
REAL_DATA = os.environ.get("ECOMKIT_REAL_DATA", "")


def quickstart(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=300
    )


def check_tables(text: str) -> None:
    """The scale's ends are where they must be, and every difficulty is there."""
    rates = text.split("pass rate, %")[1].split("mean reward")[0].strip().split("\n")
    passed = {line.split()[0]: line.split()[1:] for line in rates[1:]}
    assert rates[0].split() == [f"d{d}" for d in range(13)]
    for agent in ("reference", "honest"):
        assert passed[agent] == ["100"] * 13
    for agent in ("empty", "talk_only", "constant", "everything", "neighbour"):
        assert passed[agent] == ["0"] * 13
    assert "; 0 not valid." in text


@pytest.mark.slow
def test_made_up_products(tmp_path: Path) -> None:
    done = quickstart(tmp_path, "--products", "2000", "--per-difficulty", "2", "--out", "here")
    assert done.returncode == 0, done.stderr
    check_tables(done.stdout)
    for name in ("catalog", "embeddings", "episodes", "trajectories", "scores.parquet"):
        assert (tmp_path / "here" / name).exists()
    commands = [line.strip() for line in done.stdout.split("\n") if line.startswith("  ")]
    shown = [line for line in commands if " show " in line]
    assert len(shown) == 2
    for line in shown:
        words = line.split(" ", 1)[1].split()
        said = subprocess.run(
            [sys.executable, "-m", "ecomkit.cli", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert said.returncode == 0 and "customer: " in said.stdout


@pytest.mark.slow
@pytest.mark.skipif(not REAL_DATA, reason="needs ECOMKIT_REAL_DATA")
@pytest.mark.parametrize("name", ["amazon_2020_sample.csv", "tau_retail_db.json"])
def test_real_input(tmp_path: Path, name: str) -> None:
    source = Path(REAL_DATA) / name
    done = quickstart(tmp_path, "--catalog", str(source), "--per-difficulty", "2", "--out", "here")
    assert done.returncode == 0, done.stderr
    check_tables(done.stdout)
    assert "filled: " in done.stdout


def test_bad_options_are_told(tmp_path: Path) -> None:
    for words, says in (
        (["--catalog", "nothing.csv"], "nothing.csv does not exist"),
        (["--products", "0"], "at least 1"),
        (["--per-difficulty", "x"], "invalid int"),
    ):
        done = quickstart(tmp_path, *words)
        assert done.returncode == 2
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_catalog_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    done = quickstart(tmp_path, "--catalog", "notes.csv", "--out", "here")
    assert done.returncode not in (0, 130)
    assert "Traceback" not in done.stderr
    assert "notes.csv" in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_every_process_and_leaves_whole_files(tmp_path: Path) -> None:
    words = ["--products", "2000", "--per-difficulty", "60", "--out", "here"]
    running = subprocess.Popen(
        [*COMMAND, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    parts = tmp_path / "here" / "episodes" / ".parts"
    deadline = time.monotonic() + 120
    while not list(parts.glob("*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    # Were a worker left behind, it would hold the pipe open and this would time out.
    said, _ = running.communicate(timeout=30)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    kept = [pq.read_table(path).num_rows for path in parts.glob("*.parquet")]
    assert kept and set(kept) <= {50, 10}
