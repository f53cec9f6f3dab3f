"""The set-up that the scripts share: which Python it takes, and what it says without one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OLD = '#!/bin/sh\nif [ "$1" = --version ]; then echo Python 3.9.1; fi\nexit 1\n'


@pytest.fixture()
def checkout(tmp_path: Path) -> Path:
    """A folder with the scripts and a PATH folder that holds an old Python and little else."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "cat", "grep"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "python3").write_text(OLD)
    (tools / "python3").chmod(0o755)
    return tmp_path


def bash(checkout: Path, text: str, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout / "tools"), **extra}
    return subprocess.run(
        [checkout / "tools" / "bash", "-c", text],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("script", ["quickstart", "test"])
def test_no_suitable_python_is_said(checkout: Path, script: str) -> None:
    done = bash(checkout, f"{checkout}/tools/bash {checkout}/scripts/{script}")
    assert done.returncode == 1
    assert "needs Python 3.11 or newer" in done.stderr
    assert "PYTHON=" in done.stderr
    assert done.stdout == ""
    assert not (checkout / ".venv").exists()


def test_a_named_python_is_taken(checkout: Path) -> None:
    find = f"set -euo pipefail; source {checkout}/scripts/_env.sh; find_python; echo $ROOT"
    done = bash(checkout, find, PYTHON=sys.executable)
    assert done.stdout.split() == [sys.executable, str(checkout)]


def test_help_needs_no_environment(checkout: Path) -> None:
    (checkout / "tools" / "sed").symlink_to(shutil.which("sed") or "sed")
    done = bash(checkout, f"{checkout}/tools/bash {checkout}/scripts/test --help")
    assert done.returncode == 0
    assert "--fast" in done.stdout
    assert not (checkout / ".venv").exists()
