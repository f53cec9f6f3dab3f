"""The notebooks: each runs from its first cell to its last, and what is committed is what ran."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
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
