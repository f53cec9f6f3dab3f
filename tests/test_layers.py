"""The house rules of the code, read from its syntax: rooms, forbidden calls, what git holds."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ecomkit"

# Data flows one way: a room imports only from rooms to its left; modules inside one room are free.
ROOMS = """
    core catalog shop user envs session agents data episodes scores study views release adapters cli
""".split()


def module_files() -> dict[str, Path]:
    """Every module of the package by its dotted name, ``ecomkit`` itself included."""
    files = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        files[".".join(parts)] = path
    return files


MODULES = module_files()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}
SCRIPTS = {
    f"scripts/{path.name}": ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "scripts").glob("*.py"))
}


def imported(name: str, node: ast.stmt) -> Iterator[str]:
    """The modules of the package that one import statement in module ``name`` reads."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == "ecomkit":
                yield alias.name
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            is_package = MODULES[name].name == "__init__.py"
            parts = name.split(".")
            kept = parts[: len(parts) - node.level + is_package]
            base = ".".join([*kept, *([node.module] if node.module else [])])
        if base.split(".")[0] != "ecomkit":
            return
        for alias in node.names:
            full = f"{base}.{alias.name}"
            yield full if full in MODULES else base


def imports(name: str, anywhere: bool) -> set[str]:
    """What a module imports: anywhere in it, or only what runs when it is imported."""
    found: set[str] = set()

    def walk(nodes: list[ast.stmt]) -> None:
        for node in nodes:
            found.update(imported(name, node))
            if not anywhere:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                    walk(node.orelse)
                    continue
            for field in ("body", "orelse", "finalbody"):
                walk(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                walk(handler.body)

    walk(TREES[name].body)
    return found - {name}


def room(name: str) -> str:
    """The room of a dotted module name: its first part below the package."""
    return name.split(".")[1] if "." in name else ""


def arrows_up(anywhere: bool = True) -> list[str]:
    """Each import from a room further right, as a sentence."""
    wrong = []
    for name in MODULES:
        if name == "ecomkit":
            continue
        for other in sorted(imports(name, anywhere)):
            if other == "ecomkit":
                if room(name) == "cli":  # the command line uses the public interface
                    continue
                wrong.append(f"{name} imports the package root")
            elif ROOMS.index(room(other)) > ROOMS.index(room(name)):
                wrong.append(f"{name} imports {other}, which stands above it")
    return wrong


def test_every_module_has_a_room() -> None:
    unknown = {room(name) for name in MODULES if name != "ecomkit"} - set(ROOMS)
    assert not unknown, f"name these in ROOMS where they belong: {sorted(unknown)}"


def test_no_upward_arrow() -> None:
    assert arrows_up() == []


def test_the_reader_of_imports_sees_what_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "if True:\n    def f():\n        from ecomkit.cli import main\n"
    monkeypatch.setitem(TREES, "ecomkit.core.seeds", ast.parse(source))
    assert "ecomkit.cli" in imports("ecomkit.core.seeds", anywhere=True) or "cli" not in str(
        MODULES
    )
    assert imports("ecomkit.core.seeds", anywhere=False) == set()


def test_no_cycle_at_import_time() -> None:
    graph = {name: imports(name, anywhere=False) & set(MODULES) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "cycle: " + " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


FORBIDDEN_MODULES = {"random", "pickle", "cPickle", "dill", "cloudpickle", "secrets", "uuid"}
FORBIDDEN_CALLS = {
    "hash",
    "eval",
    "exec",
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "date.today",
    "datetime.date.today",
    "os.urandom",
    "torch.load",
}


def offences(tree: ast.AST) -> list[str]:
    """What a module does that the house forbids, with line numbers."""
    found = []
    for node in ast.walk(tree):
        said = None
        if isinstance(node, ast.Import):
            bad = [alias.name for alias in node.names if alias.name in FORBIDDEN_MODULES]
            said = f"import {bad[0]}" if bad else None
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module in FORBIDDEN_MODULES:
                said = f"from {node.module}"
            elif node.module == "time" and any(a.name == "time" for a in node.names):
                said = "from time import time"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS or called.startswith(("np.random.", "numpy.random.")):
                said = f"{called}()"
            for keyword in node.keywords:
                if keyword.arg == "trust_remote_code" and ast.unparse(keyword.value) != "False":
                    said = "trust_remote_code"
                if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                    said = "allow_pickle"
        if said:
            found.append(f"line {getattr(node, 'lineno', 0)}: {said}")
    return found


@pytest.mark.parametrize("name", [*TREES, *SCRIPTS])
def test_nothing_forbidden(name: str) -> None:
    assert offences({**TREES, **SCRIPTS}[name]) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = hash('a')",
        "import random",
        "from random import choice",
        "import time\nt = time.time()",
        "from datetime import datetime\nd = datetime.now()",
        "import numpy as np\nnp.random.shuffle([1])",
        "load('x', trust_remote_code=True)",
        "np.load('x', allow_pickle=True)",
        "eval('1')",
    ],
)
def test_the_reader_of_offences_sees_them(source: str) -> None:
    assert offences(ast.parse(source))


def tracked() -> list[str]:
    """The files that git holds; empty where this is no checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_top_level_holds_only_what_it_may() -> None:
    allowed = "pyproject.toml README.md LICENSE ecomkit scripts data_cards notebooks tests".split()
    tops = {name.split("/")[0] for name in tracked()}
    assert {top for top in tops if top not in allowed and not top.startswith(".")} == set()


def test_no_large_file() -> None:
    large = [name for name in tracked() if (ROOT / name).stat().st_size > 1_000_000]
    assert large == []


def test_no_path_of_one_machine() -> None:
    path = re.compile(r"(?<![\w.~:)}/$-])/(?:root|home|Users|work|opt|tmp|mnt|srv)/[\w.]")
    named = []
    for name in tracked():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if path.search(line):
                named.append(f"{name}:{number}: {line.strip()[:100]}")
    assert named == []


def test_scripts_can_be_run() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--stage", "scripts", ".ci"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    for line in listed.splitlines():
        mode, name = line.split()[0], line.split("\t")[1]
        file = ROOT / name
        if file.is_file() and file.read_bytes()[:2] == b"#!":
            assert mode == "100755", f"{name} has a #! line but is not executable"
