"""Both computations give the same training set on random small worlds full of ties, late rows and tombstones."""

import pytest
from worlds import random_world

from oracle.compare import compare
from oracle.training_set import MODES


@pytest.mark.parametrize("seed", range(80))
def test_both_computations_agree_on_a_random_world(tmp_path, seed):
    world, labels, commits = random_world(tmp_path, seed)
    snapshot_us = commits[len(commits) // 2] if seed % 2 else None
    for mode in MODES:
        brute = world.training_set(labels, mode, "brute", snapshot_us)
        window = world.training_set(labels, mode, "window", snapshot_us)
        result = compare(brute, window)
        assert result.equal, f"seed {seed}, mode {mode}: {result.differences}"
