"""The package as others get it: the wheel, the version, the light import."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import ecomkit

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "faiss", "datasets", "matplotlib", "polars", "pandas", "transformers")


def run_python(code: str, *args: str, cwd: Path | None = None) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, *args, "-c", code], capture_output=True, text=True, timeout=120, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_light() -> None:
    code = f"import sys, ecomkit; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run_python(code).strip() == "[]"


def test_import_is_quick() -> None:
    code = (
        "import time; start = time.perf_counter(); import ecomkit; "
        "print(time.perf_counter() - start)"
    )
    # The best of five: other work on the machine must not decide.
    assert min(float(run_python(code)) for _ in range(5)) < 0.25


def test_public_names_resolve() -> None:
    for name in ecomkit.__all__:
        assert getattr(ecomkit, name) is not None
        assert name in dir(ecomkit)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = ecomkit.no_such_name


def test_submodules_do_not_hide_functions_of_their_name() -> None:
    code = (
        "import ecomkit.session.session, ecomkit.core.difficulty, ecomkit as ek; "
        "print(callable(ek.replay), ek.difficulty(6).max_turns, callable(ek.replay)); "
        "from ecomkit.session.session import Session; from ecomkit import replay; "
        "print(replay is ek.replay)"
    )
    assert run_python(code).split() == ["True", "7", "True", "True"]


def test_no_submodule_hides_a_public_name() -> None:
    code = """
import importlib, pkgutil, sys, types
import ecomkit
for module in pkgutil.walk_packages(ecomkit.__path__, "ecomkit."):
    importlib.import_module(module.name)
for name, package in sorted(sys.modules.items()):
    if name.split(".")[0] == "ecomkit":
        for public in getattr(package, "__all__", ()):
            if isinstance(getattr(package, public), types.ModuleType):
                print(name, public)
"""
    assert run_python(code) == ""


def test_type_checkers_see_the_same_names() -> None:
    source = (ROOT / "ecomkit/__init__.py").read_text()
    block = source.split("if TYPE_CHECKING:")[1].split("_HOME")[0]
    seen: dict[str, object] = {}
    exec(block.replace("\n    ", "\n"), seen)
    seen.pop("__builtins__")
    assert set(seen) == set(ecomkit._HOME)
    assert all(value is getattr(ecomkit, name) for name, value in seen.items())


def test_declared_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    light = " ".join(project["dependencies"])
    extras = project["optional-dependencies"].values()
    declared = light + " ".join(name for extra in extras for name in extra)
    fixed = "datasets huggingface_hub polars faiss-cpu sentence-transformers jupyterlab matplotlib"
    for package in [*fixed.split(), "pytest"]:
        assert package in declared
    assert "torch" not in light
    assert "faiss" not in light


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_wheel_holds_code_and_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith("/METADATA"))).decode()
        scripts = archive.read(next(n for n in names if n.endswith("/entry_points.txt"))).decode()
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "ecomkit").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - names == set()
    assert not [name for name in names if name.startswith(("tests", "scripts", "data"))]
    assert f"Version: {ecomkit.__version__}\n" in metadata
    assert "ecomkit = ecomkit.cli:main" in scripts


@pytest.mark.slow
def test_installed_wheel_works(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    install = "-m pip install -q --no-deps --no-index --target".split()
    subprocess.run([sys.executable, *install, target, wheel], check=True, timeout=120)
    code = f"""
import sys
sys.path.insert(0, {str(target)!r})
import importlib, pkgutil
import ecomkit as ek
for module in pkgutil.walk_packages(ek.__path__, "ecomkit."):
    assert importlib.import_module(module.name).__file__.startswith({str(target)!r})
from ecomkit.catalog import synthesize, synthetic_manifest, write_catalog
write_catalog(synthesize(500, 7), "shop", synthetic_manifest(500, 7))
catalog = ek.load_catalog("shop")
episode = ek.draw_episode("cart", 0, 1, catalog, certify_episode=False)
trajectory = ek.play("reference", episode, catalog)
print(ek.score(trajectory, episode, catalog).passed, ek.__version__)
print([name for name in ("torch", "faiss") if name in sys.modules])
"""
    said = run_python(code, "-P", cwd=tmp_path).split("\n")
    assert said[0].split() == ["True", ecomkit.__version__]
    assert said[1] == "[]"
