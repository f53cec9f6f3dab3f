"""The README's commands and snippets, run in order in an empty folder, at a small size."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

# What the test makes smaller, or does not do to the machine that it runs on.
SMALLER = {
    "source .venv/bin/activate": "true",
    "scripts/quickstart\n": "python scripts/_quickstart.py --products 1500 --per-difficulty 2 "
    "--out data/quickstart\n",
    "scripts/test\n": "bash scripts/test --help\n",
    "--size 20000": "--size 2000",
    "--train 100": "--train 3",
}


def test_every_block_says_what_it_is() -> None:
    assert {language for language, _ in BLOCKS} == {"bash", "python"}


def test_every_name_of_the_replacements_is_there() -> None:
    assert [text for text in SMALLER if text not in README] == []


def test_files_named_are_there() -> None:
    for name in re.findall(r"`((?:ecomkit|scripts|tests)/[\w./]*)`", README):
        assert (ROOT / name).exists(), name


@pytest.mark.slow
def test_the_first_hour(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    python: list[str] = []
    for language, text in BLOCKS:
        for old, new in SMALLER.items():
            text = text.replace(old, new)
        if language == "python":
            # A reader goes on in the same session.
            python.append(text)
            text = "\n".join(python)
            command = [sys.executable, "-c", text]
        else:
            command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(
            command, input="quit\n", capture_output=True, text=True, cwd=tmp_path, env=env,
            timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
