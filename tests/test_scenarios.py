"""Scenarios: environment in department, and what each gives when drawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from ecomkit.catalog.taxonomy import load_taxonomy
from ecomkit.core.errors import UnknownName
from ecomkit.envs import REGISTRY
from ecomkit.episodes.draw import draw, draw_goal
from ecomkit.episodes.scenarios import Scenario, check_scenario, list_scenarios, summary, to_frame

ROOT = Path(__file__).resolve().parents[1]


def test_names_read_both_ways():
    scenario = Scenario("cart", "chargers")
    assert scenario.name == "cart@chargers"
    assert Scenario.parse("cart@chargers") == scenario
    for wrong in ("cart", "cart@", "@chargers"):
        with pytest.raises(ValueError, match="environment@department"):
            Scenario.parse(wrong)


def test_every_environment_in_every_department_is_a_scenario(catalog):
    found = list_scenarios(catalog)
    assert len(found) == len(set(found)) == len(REGISTRY) * len(catalog.departments)
    assert [one.name for one in found] == sorted(one.name for one in found)
    if len(REGISTRY) >= 8:
        assert len(found) >= 400
    some = list_scenarios(catalog, ["tracking", "cart"], [catalog.departments[0]])
    assert [one.environment for one in some] == ["cart", "tracking"]


def test_unknown_names_are_told(catalog):
    with pytest.raises(UnknownName, match="nowhere"):
        list_scenarios(catalog, departments=["nowhere"])
    with pytest.raises(UnknownName, match="carts"):
        list_scenarios(catalog, environments=["carts"])


@pytest.mark.parametrize("name", list(REGISTRY))
def test_a_scenario_draws_at_every_level(name, catalog):
    department = catalog.departments[len(name) % len(catalog.departments)]
    report = check_scenario(Scenario(name, department), catalog, seeds=20)
    assert report.complete, report.problems
    assert report.drawn == report.seeds == 20
    assert report.products == len(catalog.rows(department=department))
    assert 1 < report.goals <= 20


def test_a_goal_is_the_one_of_the_whole_draw(catalog):
    for seed in range(4):
        options = {"department": catalog.departments[3]}
        whole = draw("cart", 6, seed, catalog, certify_episode=False, **options).episode
        assert draw_goal("cart", 6, seed, catalog, **options) == whole.goal_hash


def test_the_department_is_where_the_goal_lies(catalog):
    for department in catalog.departments[:6]:
        for name in REGISTRY:
            episode = draw(
                name, 3, 1, catalog, department=department, certify_episode=False
            ).episode
            assert episode.department == department


def test_what_cannot_be_drawn_is_reported_with_its_reason(catalog, monkeypatch):
    from ecomkit.envs.cart import Cart

    monkeypatch.setattr(Cart, "_draw_item", lambda *args: None)
    cart = check_scenario(Scenario("cart", catalog.departments[0]), catalog, levels=(0, 3), seeds=2)
    fine = check_scenario(
        Scenario("tracking", catalog.departments[0]), catalog, levels=(0, 3), seeds=2
    )
    assert not cart.complete and fine.complete
    assert (cart.drawn, cart.goals) == (0, 0)
    assert all("draw:constraints (25×)" in why for _, why in cart.problems)
    frame = to_frame([fine, cart])
    assert frame["scenario"].to_list() == [cart.scenario.name, fine.scenario.name]
    assert frame["d03"].to_list() == [False, True]
    assert "constraints" in frame["d03_why"][0]
    text = summary([cart, fine])
    assert "| cart | 1 | 0 | 0 | 0 |" in text and "| **all** | 2 | 1 | 1 | 1 |" in text


def test_the_command_writes_a_row_for_each_scenario(shop_folder, catalog, tmp_path):
    departments = list(catalog.departments[:2])
    command = [sys.executable, str(ROOT / "scripts" / "scenarios.py")]
    where = ["--catalog", str(shop_folder / "catalog"), "--workers", "1"]
    where += ["--environments", "cart", "tracking", "--departments", *departments]
    names = subprocess.run([*command, *where, "--list"], capture_output=True, text=True, check=True)
    assert names.stdout.split() == [f"{e}@{d}" for e in ("cart", "tracking") for d in departments]
    out = tmp_path / "scenarios.parquet"
    done = subprocess.run(
        [*command, *where, "--seeds", "3", "--difficulties", "0", "--out", str(out)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "4 of 4 scenarios" in done.stdout
    frame = pl.read_parquet(out)
    assert frame["scenario"].to_list() == names.stdout.split()
    assert frame["d00"].all() and (frame["goals"] <= frame["drawn"]).all()
    wrong = subprocess.run(
        [*command, *where[:2], "--departments", "nowhere"], capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "unknown department" in wrong.stderr


def test_the_built_in_taxonomy_has_departments_for_four_hundred_scenarios():
    assert 8 * len(load_taxonomy().departments) >= 400
