"""Draws depend on the key alone; difficulty follows SPEC §2."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from ecomkit.core.difficulty import (
    AXIS_NAMES,
    PRESETS,
    axes_from,
    difficulty,
    quantity_chance,
    variant_chance,
)
from ecomkit.core.errors import UnknownName
from ecomkit.core.seeds import Rng, digest, mix64, rng


def test_known_numbers():
    # From the reference implementation of SplitMix64 with seed 1234567.
    stream = Rng(1234567)
    assert [stream.next64() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    values = np.array([1234567], dtype=np.uint64)
    assert int(mix64(values)[0]) == 6457827717110365317
    assert values[0] == 1234567


def test_the_same_key_in_another_process_and_hash_seed():
    code = (
        "from ecomkit.core.seeds import rng, digest; "
        "print(rng('cart', 6, 'é').next64(), digest({'b': 1, 'a': [1.5]}))"
    )
    outputs = set()
    for hash_seed in ("0", "1", "12345"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        outputs.add(subprocess.check_output([sys.executable, "-c", code], env=env))
    assert len(outputs) == 1
    assert str(rng("cart", 6, "é").next64()).encode() in outputs.pop()


def test_children_do_not_depend_on_draws_made():
    a, b = rng("x"), rng("x")
    a.next64()
    assert a.child("y").next64() == b.child("y").next64()
    assert rng("x").child("y").next64() != rng("x").child("z").next64()


def test_neighbouring_seeds_share_nothing():
    first = {rng("cart", seed).next64() for seed in range(2000)}
    shifted = {rng("cart", seed + 1).child("a").next64() for seed in range(2000)}
    assert len(first) == 2000
    assert not first & shifted


def test_draws_are_uniform_and_in_range():
    stream = rng("uniform")
    counts = [0] * 7
    for _ in range(14_000):
        counts[stream.below(7)] += 1
    assert min(counts) > 1800 and max(counts) < 2200
    assert sorted(stream.shuffled(range(10))) == list(range(10))
    sample = stream.sample(range(1000), 5)
    assert len(set(sample)) == 5
    assert stream.weighted(["a", "b"], [0, 3]) == "b"
    assert {stream.between(2, 4) for _ in range(200)} == {2, 3, 4}
    with pytest.raises(ValueError):
        stream.below(0)


def test_digest_is_of_the_value_not_of_its_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    with pytest.raises(ValueError):
        digest(float("nan"))


def test_axes_of_the_spec():
    shares = {0: 0.05, 6: 0.70, 12: 0.80}
    for d, share in shares.items():
        assert difficulty(d).p_missing == pytest.approx(share, abs=0.005)
    assert [difficulty(d).constraints for d in (0, 6, 12)] == [2, 5, 8]
    assert [difficulty(d).outputs for d in (0, 6, 12)] == [3, 5, 7]
    assert [difficulty(d).max_turns for d in (0, 6, 12)] == [4, 7, 10]
    assert [difficulty(d).search_depth for d in (0, 6, 12)] == [200, 140, 80]
    assert [difficulty(d).p_distractor for d in (0, 6, 12)] == [0.0, 0.12, 0.24]
    assert [difficulty(d).p_out_of_stock for d in (0, 6, 12)] == [0.0, 0.3, 0.5]
    assert [difficulty(d).p_noise for d in (0, 6, 12)] == [0.0, 0.06, 0.12]
    assert [round(variant_chance(d), 2) for d in (0, 3, 6, 9)] == [0.21, 0.66, 0.94, 0.99]
    assert [quantity_chance(d) for d in (0, 3, 6)] == [0.0, 0.3, 0.5]
    for d in range(12):
        easy, hard = difficulty(d), difficulty(d + 1)
        assert hard.p_missing > easy.p_missing and hard.p_switch > easy.p_switch


def test_one_axis_can_be_set_alone():
    base, changed = difficulty(6).to_dict(), difficulty(6, p_noise=0.0).to_dict()
    assert {name for name in AXIS_NAMES if base[name] != changed[name]} == {"p_noise"}
    assert len(AXIS_NAMES) == 12
    for preset in PRESETS:
        assert difficulty(3, preset) != difficulty(3)
    assert axes_from(base) == difficulty(6)


@pytest.mark.parametrize("d", [-1, 13, 2.0, "3", True, None])
def test_a_difficulty_out_of_range_is_refused(d):
    with pytest.raises(ValueError, match="0 to 12"):
        difficulty(d)


def test_wrong_axes_are_named():
    with pytest.raises(UnknownName, match="p_noise"):
        difficulty(3, p_nois=0.1)
    with pytest.raises(ValueError, match="p_noise"):
        difficulty(3, p_noise=1.5)
    with pytest.raises(ValueError, match="max_turns"):
        difficulty(3, max_turns=2.5)
    with pytest.raises(UnknownName, match="flash_sale"):
        difficulty(3, "flashsale")
