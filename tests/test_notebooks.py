"""The notebooks: each runs from its first cell to its last, and what is committed is what ran."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"(?<![\w.~:)}/$-])/(?:root|home|Users|work|opt|tmp|mnt|srv)/[\w.]")
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert isinstance(found, list)
    return found


def test_they_are_numbered_and_there() -> None:
    numbers = [path.name[:2] for path in NOTEBOOKS]
    assert len(set(numbers)) == len(numbers) >= 5
    assert all(re.fullmatch(r"\d\d_[a-z_]+", path.stem) for path in NOTEBOOKS)


@by_name
def test_what_is_committed_was_run_from_top_to_bottom_and_shows_no_error(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr", "".join(output["text"])[:300]


@by_name
def test_it_is_light_and_names_no_machine_and_no_moment(path: Path) -> None:
    assert path.stat().st_size < 300_000
    assert not MACHINE.search(path.read_text(encoding="utf-8"))
    assert all("execution" not in cell["metadata"] for cell in cells(path))


@by_name
def test_it_shows_something_and_says_what(path: Path) -> None:
    found = cells(path)
    assert found[0]["cell_type"] == "markdown" and "".join(found[0]["source"]).startswith("# ")
    text = "".join("".join(c["source"]) for c in found if c["cell_type"] == "markdown")
    pictures = [
        output
        for cell in found
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert pictures and "What to see" in text


def source(path: Path) -> str:
    """The code of a notebook, without magics."""
    code = ("".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code")
    return "\n".join(code)


@by_name
def test_it_uses_nothing_private(path: Path) -> None:
    for node in ast.walk(ast.parse(source(path))):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        private = [name for name in names if name.startswith("_") and not name.endswith("__")]
        assert not private, f"line {node.lineno}"  # type: ignore[attr-defined]


@by_name
def test_every_picture_has_words_on_its_axes(path: Path) -> None:
    for cell in cells(path):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", ())):
            text = "".join(cell["source"])
            # Those helpers take the label of the x axis as an argument.
            assert "label" in text or re.search(r"\b(?:rates|bars|heat)\(", text), text[:200]
            assert "title" in text, text[:200]


@pytest.mark.slow
@by_name
def test_it_runs(path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            # The made-up shop, whatever lies in data/, and few episodes.
            cell.source = re.sub(r'FOLDER = ".*"', 'FOLDER = "no such folder"', cell.source)
            cell.source = re.sub(r"EPISODES = \d+", "EPISODES = 4", cell.source)
    client = nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.get("name") != "stderr", output.text[:300]


@pytest.fixture()
def lab(tmp_path: Path, episodes_folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """JupyterLab as the script starts it in a fresh checkout: its address, and the process."""
    pytest.importorskip("jupyterlab")
    (tmp_path / "scripts").mkdir()
    for name in ("notebooks", "_env.sh"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "quickstart").symlink_to(episodes_folder.parent)
    # The environment of the tests, with everything installed already.
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\n[ "$2" = pip ] || exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--port", str(port), "--ServerApp.port_retries=0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [tmp_path / "scripts" / "notebooks", *options, "--IdentityProvider.token=secret"],
            cwd="/",
            env={**os.environ, "HOME": str(tmp_path), "JUPYTER_NO_CONFIG": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield f"127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ask(address: str, path: str, data: Any = None) -> Any:
    """What the server's HTTP interface answers."""
    request = urllib.request.Request(
        f"http://{address}/api/{path}",
        data=None if data is None else json.dumps(data).encode(),
        headers={"Authorization": "token secret", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def run_there(socket_: Any, code: str) -> str:
    """What a cell prints in the kernel at the other end."""
    header = {"msg_id": str(time.monotonic_ns()), "session": "s", "username": ""}
    header |= {"msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    socket_.send(json.dumps({**message, "channel": "shell", "buffers": []}))
    said = ""
    while True:
        heard = json.loads(socket_.recv())
        if heard["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        assert heard["msg_type"] != "error", heard["content"]
        said += heard["content"].get("text", "") if heard["msg_type"] == "stream" else ""
        if heard["content"].get("execution_state") == "idle":
            return said


@pytest.mark.slow
def test_one_command_opens_them_on_the_data(
    lab: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    websocket = pytest.importorskip("websocket")
    address, process = lab
    deadline = time.monotonic() + 60
    while True:
        try:
            listed = ask(address, "contents/")["content"]
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None and time.monotonic() < deadline, (
                tmp_path / "log"
            ).read_text()[-2000:]
            time.sleep(0.2)
    assert {one["name"] for one in listed} >= {path.name for path in NOTEBOOKS}
    first = NOTEBOOKS[0].name
    notebook = ask(address, f"contents/{first}")["content"]
    kernel = {"name": notebook["metadata"]["kernelspec"]["name"]}
    session = {"path": first, "name": first, "type": "notebook", "kernel": kernel}
    key = ask(address, "sessions", session)["kernel"]["id"]
    there = websocket.create_connection(
        f"ws://{address}/api/kernels/{key}/channels?token=secret", timeout=60
    )
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert run_there(there, "import sys; print(sys.executable)").strip() == sys.executable
    assert "3,000 products" in "".join(run_there(there, one) for one in code[:2])
    # Not a shop made up on the spot, but the one that lies in the checkout.
    assert run_there(there, "print(shop.folder)").strip() == "../data/quickstart"
    there.close()
    process.terminate()
    assert process.wait(timeout=20) == 0, (tmp_path / "log").read_text()[-2000:]
