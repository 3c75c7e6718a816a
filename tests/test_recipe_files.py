"""Recipes in files: stages, families and rates, and what is refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from recipe_samples import STEPS, TINY, recipe_of

from torchmist.synthetic.registry import FAMILIES
from training.stages import RECIPES, Stage, load_recipe
from training.trainer import RecipeTrainer, rate_at

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_committed_recipes_load_and_name_known_families(name) -> None:
    recipe = load_recipe(name)
    for stage in recipe.stages:
        assert set(stage.families) <= set(FAMILIES)
        for share in (stage.long, stage.few, stage.wide, stage.moved, stage.pursuit):
            assert 0 <= share <= 1
        assert stage.moved + stage.pursuit <= 1
    assert recipe.scaled(0.0002).steps >= len(recipe.stages)


def test_no_stage_of_mist_v2_leaves_out_a_family_of_the_stage_before() -> None:
    """Engines that came later are in the stages that had not begun."""
    recipe = load_recipe("mist-v2")
    assert recipe.name == "mist-v2" and recipe.model.local == 1
    for before, after in itertools.pairwise(recipe.stages):
        assert set(before.families) <= set(after.families)


def test_the_committed_checkpoint_of_mist_v2_can_be_resumed() -> None:
    """Its stages are those that it was trained on: a change of one of them would refuse it."""
    folder = Path(__file__).parents[1] / "training" / "checkpoints" / "mist-v2"
    state = json.loads((folder / "state.json").read_text())
    assert load_recipe("mist-v2").digest(state["step"]) == state["digest"]


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("warmup", "warm_up", r"unknown keys \['warm_up'\] in a stage of other.toml"),
        ("average", "averaged", r"unknown keys \['averaged'\] in other.toml"),
        ("radial", "radials", r"unknown MISTConfig keys \['radials'\]"),
    ],
)
def test_an_unknown_key_is_refused(tmp_path, old, new, match) -> None:
    with pytest.raises(TypeError, match=match):
        recipe_of(TINY.replace(old, new), tmp_path)


def test_an_unknown_family_is_refused_before_the_first_step(tmp_path) -> None:
    recipe = recipe_of(TINY.replace("copies = 0.5", "copy = 0.5"), tmp_path)
    with pytest.raises(ValueError, match="expected families among .* in stage 'pursuit', got 'cop"):
        RecipeTrainer(recipe, CPU)


def test_recipes_without_stages_steps_or_families_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"expected at least one \[\[stage\]\] in other.toml"):
        recipe_of('name = "empty"\nseed = 1\n', tmp_path)
    with pytest.raises(ValueError, match="expected steps >= 1 of stage 'all', got 0"):
        recipe_of(TINY.replace("steps = 5", "steps = 0"), tmp_path)
    with pytest.raises(ValueError, match="expected shares of families in stage 'a', got none"):
        Stage("a", 1, (1e-3, 1e-3))
    with pytest.raises(FileNotFoundError, match="expected one of the recipes .*'mist-v2'"):
        load_recipe("no-such-recipe")


def test_steps_belong_to_stages_in_their_order(tmp_path) -> None:
    recipe = recipe_of(TINY, tmp_path)
    places = [recipe.at(step) for step in range(STEPS)]
    assert places == [(0, k) for k in range(5)] + [(1, k) for k in range(4)]
    with pytest.raises(IndexError, match="beyond its end"):
        recipe.at(STEPS)


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    stage = Stage("a", 100, (1.0, 0.1), warmup=10, families={"general": 1})
    assert rate_at(stage, 0) == pytest.approx(0.1, rel=1e-3)
    assert rate_at(stage, 50) == pytest.approx(0.55)
    assert rate_at(stage, 99) == pytest.approx(0.1, abs=1e-3)
