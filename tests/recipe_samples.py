"""A tiny recipe that has every kind of step, for the tests of recipes and of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.pursuit import Pursuits
from training.stages import Recipe, load_recipe

TINY = """
name = "tiny"
seed = 5
average = 0.9

[model]
odd = 3
even = 3
basis_width = 8
pair_width = 8
feature_width = 16
feature_layers = 1
sample_width = 16
inducing = 4
heads = 2
embedding = 2
readout_width = 8
head_width = 32
quantiles = 12
radial = 1
local = 1

[[stage]]
name = "all"
steps = 5
rates = [1e-3, 1e-3]
warmup = 2
samples = [8, 40]
dims = [1, 4]
wide = 0.7
moved = 0.4
cost = 1.0
batch = [8, 8]
[stage.families]
general = 0.2
gaussian = 0.2
codes = 0.1
lifts = 0.2
functions = 0.1
atoms = 0.1
copies = 0.1

[[stage]]
name = "pursuit"
steps = 4
rates = [1e-3, 1e-4]
samples = [8, 40]
dims = [1, 4]
long = 0.5
pursuit = 0.7
pursuers = 2
advance = 1
cost = 1.0
batch = [8, 8]
families = {general = 0.5, copies = 0.5}
"""
STEPS = 9


def shorten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of pursuits are short."""
    monkeypatch.setitem(Pursuits.__init__.__kwdefaults__, "items", 64)
    monkeypatch.setitem(Pursuits.__init__.__kwdefaults__, "draws", 32)


def recipe_of(text: str, tmp_path: Path) -> Recipe:
    path = tmp_path / "other.toml"
    path.write_text(text)
    return load_recipe(path)
