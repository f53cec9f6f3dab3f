"""What travels to other processes: functions that use the kit, catalogs, sessions and errors."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ecomkit as ek
from ecomkit.catalog import Catalog
from ecomkit.core.errors import (
    CatalogError,
    EcomkitError,
    IndexDamaged,
    UnknownName,
    UnknownProduct,
)
from ecomkit.core.records import Action, Episode
from ecomkit.core.seeds import rng
from ecomkit.envs import REGISTRY
from ecomkit.scores.readers import BadRow
from ecomkit.session.session import Session
from ecomkit.shop.search import SearchEngine, open_search
from ecomkit.study.curriculum import CellDry


def through_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIES = [copy.copy, copy.deepcopy, through_pickle]


def fresh(code: str, *arguments: object, cwd: Path | None = None) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------------- functions that use the kit

_FUNCTIONS = """
import ecomkit as ek

def turns(row):
    return {"turns": ek.difficulty(row["d"]).max_turns}
"""


@pytest.mark.parametrize(("maker", "options"), [("cloudpickle", ""), ("dill", ", recurse=True")])
def test_a_function_of_main_that_uses_ek_travels(maker: str, options: str, tmp_path: Path) -> None:
    file = tmp_path / "function"
    write = f"import sys, {maker}\n{_FUNCTIONS}\nfile = open(sys.argv[1], 'wb')\n"
    fresh(f"{write}{maker}.dump(turns, file{options})", file)
    assert file.stat().st_size < 2000
    read = f"import sys, {maker}; print({maker}.load(open(sys.argv[1], 'rb'))({{'d': 6}}))"
    assert fresh(read, file).strip() == str({"turns": 7})


def test_a_function_of_a_module_is_pickled_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(_FUNCTIONS)
    code = (
        "import sys, pickle; sys.path.insert(0, ''); import mine, ecomkit; "
        "print(*(pickle.loads(pickle.dumps(one)) is one for one in (mine.turns, ecomkit)))"
    )
    assert fresh(code, cwd=tmp_path).split() == ["True", "True"]


def test_map_finds_its_cache_again(shop_folder: Path) -> None:
    """The fingerprint is the same from call to call and from process to process."""
    code = f"""{_FUNCTIONS}
import sys
from datasets import Dataset

catalog = ek.load_catalog(sys.argv[1])

def title(row):
    return {{"title": catalog.title(row["d"]), **turns(row)}}

def marks():
    rows = Dataset.from_dict({{"d": [0, 6]}})
    return [rows.map(function)._fingerprint for function in (turns, title)]

first = marks()
catalog.search_engine.search("desk lamp")
print(first == marks(), *first)
"""
    ways = [fresh(code, shop_folder / "catalog").split() for _ in range(2)]
    assert ways[0] == ways[1] and ways[0][0] == "True"


# ------------------------------------------------------------------------------------- catalogs


def test_a_copy_of_a_catalog_is_the_catalog(catalog: Catalog) -> None:
    for way in (copy.copy, copy.deepcopy):
        assert way(catalog) is catalog
        assert way(catalog.search_engine) is catalog.search_engine


def test_a_pickled_catalog_is_opened_again(
    shop_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(shop_folder)
    catalog = ek.load_catalog("catalog")
    expected = catalog.search_engine.search("desk lamp").tolist()
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(catalog)
    assert len(data) < 1000
    again = pickle.loads(data)
    assert again is not catalog
    assert (again.hash, again.product_at(7)) == (catalog.hash, catalog.product_at(7))
    assert again.search_engine.search("desk lamp").tolist() == expected
    assert again.search_engine.catalog is again
    engine = through_pickle(catalog.search_engine)
    assert engine.catalog.search_engine is engine


def test_a_catalog_without_search_or_from_the_hub(plain_catalog: Catalog) -> None:
    assert through_pickle(plain_catalog).search_engine is None
    plain_catalog.origin = ("someone/shop", "c0ffee")
    try:
        assert through_pickle(plain_catalog).origin == ("someone/shop", "c0ffee")
    finally:
        plain_catalog.origin = None


def test_what_was_replaced_is_not_taken_for_it(shop_folder: Path, tmp_path: Path) -> None:
    from ecomkit.catalog import synthesize, synthetic_manifest, write_catalog

    shutil.copytree(shop_folder, tmp_path / "shop")
    catalog = ek.load_catalog(tmp_path / "shop" / "catalog")
    shop, engine = pickle.dumps(catalog), pickle.dumps(catalog.search_engine)
    manifest = tmp_path / "shop" / "embeddings" / "manifest.json"
    changed = {**json.loads(manifest.read_text()), "hash": "0" * 64}
    manifest.write_text(json.dumps(changed))
    with pytest.raises(IndexDamaged, match="that was pickled"):
        pickle.loads(engine)
    write_catalog(synthesize(500, 8), tmp_path / "shop" / "catalog", synthetic_manifest(500, 8))
    with pytest.raises(CatalogError, match="that was pickled"):
        pickle.loads(shop)
    shutil.rmtree(tmp_path / "shop")
    with pytest.raises(CatalogError, match="no catalog at"):
        pickle.loads(shop)


def test_an_engine_of_no_folder_is_not_pickled(catalog: Catalog) -> None:
    own = catalog.search_engine
    made = SearchEngine(catalog, own.encoder, own.index, own.manifest)
    with pytest.raises(TypeError, match="open_search"):
        pickle.dumps(made)


def test_a_model_of_another_place_is_looked_for_there(catalog: Catalog) -> None:
    engine = open_search(catalog.search_engine.folder, catalog, model="elsewhere")
    assert through_pickle(engine).model == "elsewhere"


# ------------------------------------------------------------------------------------- sessions


class Recorder:
    """A session as the honest agent sees it, which writes down what is done."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.actions: list[Action] = []

    def play(self) -> list[Action]:
        policy = self.session.environment.honest(self.session)
        action = next(policy)
        while True:
            self.actions.append(action)
            seen = self.session.step(action)
            if seen.done:
                return self.actions
            action = policy.send(seen)


@pytest.fixture(scope="module")
def played(catalog: Catalog) -> Callable[[str], tuple[Episode, list[Action]]]:
    def play(name: str) -> tuple[Episode, list[Action]]:
        episode = ek.draw_episode(name, 8, 3, catalog)
        return episode, Recorder(Session(episode, catalog)).play()

    return play


@pytest.mark.parametrize("name", list(REGISTRY))
def test_a_session_plays_on_after_every_step(name: str, catalog: Catalog, played: Any) -> None:
    episode, actions = played(name)
    whole = Session(episode, catalog, shaping=True, trace=True)
    seen = [whole.step(action) for action in actions]
    for stop in range(len(actions) + 1):
        for way in COPIES:
            first = Session(episode, catalog, shaping=True, trace=True)
            for action in actions[:stop]:
                first.step(action)
            before = (first.world.snapshot(), first.trajectory(), first.steps)
            second = way(first)
            assert (second.catalog is catalog) == (way is not through_pickle)
            # Each part acts on the copy, none on the session it comes from.
            assert [second.step(action) for action in actions[stop:]] == seen[stop:]
            assert second.score() == whole.score()
            assert second.trajectory() == whole.trajectory()
            assert second.world.digest() == whole.world.digest()
            assert [step.action for step in second.trace] == [step.action for step in whole.trace]
            assert second.fork().score() == whole.fork().score()
            assert (first.world.snapshot(), first.trajectory(), first.steps) == before
            second.reset()
            assert [second.step(action) for action in actions] == seen


@pytest.mark.parametrize("name", ["cart", "journey"])
def test_sessions_pickled_together_share_one_catalog(
    name: str, catalog: Catalog, played: Any
) -> None:
    episode, actions = played(name)
    sessions = [Session(episode, catalog) for _ in range(3)]
    for number, session in enumerate(sessions):
        session.step(actions[0])
        if number:
            session.step(actions[1])
    again = through_pickle({"sessions": sessions, "catalog": catalog})
    assert {id(session.catalog) for session in again["sessions"]} == {id(again["catalog"])}
    for session in again["sessions"]:
        assert session.world.catalog is session.context.catalog is session.catalog
        assert session.context.search is session.catalog.search_engine
        assert session.context.ask.__self__ is session
        assert session.environment is sessions[0].environment
        assert all(part.session is session for part in session.parts)
    assert [session.steps for session in again["sessions"]] == [1, 2, 2]


@pytest.mark.parametrize("way", COPIES)
def test_the_parts_of_a_session_are_copied(way: Any, catalog: Catalog, played: Any) -> None:
    session = Session(played("cart")[0], catalog)
    world = way(session.world)
    world.add_to_cart(catalog.variants_at(7)[0], 2)
    assert world.digest() != session.world.digest() == way(session.world).digest()
    user = way(session.user)
    user.reply("What else should I know?")
    assert session.user.stated == way(session.user).stated
    assert way(session.context).seed == session.episode.seed
    draws = rng("a key")
    draws.next64()
    assert way(draws).next64() == draws.next64()


def test_a_pickled_session_plays_on_in_another_process(
    catalog: Catalog, played: Any, tmp_path: Path
) -> None:
    episode, actions = played("journey")
    session = Session(episode, catalog)
    half = len(actions) // 2
    for action in actions[:half]:
        session.step(action)
    (tmp_path / "session").write_bytes(pickle.dumps((session, actions[half:])))
    for action in actions[half:]:
        session.step(action)
    code = (
        "import sys, pickle; session, actions = pickle.load(open(sys.argv[1], 'rb'))\n"
        "for action in actions: session.step(action)\n"
        "from ecomkit.core.seeds import digest; print(digest(session.trajectory().to_row()))"
    )
    from ecomkit.core.seeds import digest

    expected = digest(session.trajectory().to_row())
    assert fresh(code, tmp_path / "session").strip() == expected


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "error",
    [
        UnknownName("environment", "carts", ["cart", "bundle"]),
        UnknownProduct("B0"),
        CellDry("cart", 3, 12),
        BadRow("no messages", "cart-1", "me", 2),
    ],
)
def test_an_error_reaches_the_caller(error: EcomkitError) -> None:
    again = through_pickle(error)
    assert type(again) is type(error) and str(again) == str(error)
    assert vars(again) == vars(error)
