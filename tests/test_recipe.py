"""Recipes: stages in a file, runs that resume bit for bit, and what is exported."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from torchmist.synthetic.registry import FAMILIES
from torchmist.weights import load_pretrained
from training.pursuit import Pursuits
from training.recipe import main
from training.stages import RECIPES, Recipe, Stage, load_recipe
from training.stream import StreamData, shape_of
from training.trainer import RecipeTrainer, rate_at

CPU = torch.device("cpu")
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


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """A file of a recipe that has every kind of step; lists of pursuits are short."""
    monkeypatch.setitem(Pursuits.__init__.__kwdefaults__, "items", 64)
    monkeypatch.setitem(Pursuits.__init__.__kwdefaults__, "draws", 32)
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def recipe_of(text: str, tmp_path: Path) -> Recipe:
    path = tmp_path / "other.toml"
    path.write_text(text)
    return load_recipe(path)


def contents(folder: Path) -> dict[str, object]:
    """All that a checkpoint holds but how long it took."""
    files: dict[str, object] = {p.name: p.read_bytes() for p in folder.glob("*.safetensors")}
    state = json.loads((folder / "state.json").read_text())
    state.pop("seconds")
    return {**files, "state": state}


def run(file: Path, out: Path, *options: str) -> dict[str, object]:
    main([str(file), "--out", str(out), "--log-every", "1", *options])
    return contents(out / "checkpoint")


# ---- runs ---------------------------------------------------------------------------------------
def test_the_tiny_recipe_has_every_kind_of_step(file) -> None:
    recipe = load_recipe(file)
    shapes = [shape_of(recipe, *recipe.at(step)) for step in range(recipe.steps)]
    assert {shape[-1] for shape in shapes} == {"mixed", "moved", "pursuit"}
    assert any(max(dx, dy) > 64 for _, _, dx, dy, _ in shapes)


def test_a_run_that_is_interrupted_ends_bit_for_bit_where_a_whole_one_does(file, tmp_path) -> None:
    whole = run(file, tmp_path / "whole")
    assert whole["state"]["step"] == STEPS
    for step in range(STEPS - 1):
        part = run(file, tmp_path / "part", "--max-minutes", "0")
        assert part["state"]["step"] == step + 1
        if step == 1:
            assert part != whole
    ahead = run(file, tmp_path / "part")
    assert ahead == whole
    rows = [json.loads(line) for line in (tmp_path / "part/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert all(math.isfinite(row["loss"]) and math.isfinite(row["norm"]) for row in rows)
    assert [row["stage"] for row in rows] == ["all"] * 5 + ["pursuit"] * 4
    assert rows[-1]["datasets"] == whole["state"]["datasets"]


def test_processes_that_make_data_ahead_change_nothing(file, tmp_path) -> None:
    run(file, tmp_path / "ahead", "--max-minutes", "0")
    ahead = run(file, tmp_path / "ahead", "--workers", "1")
    assert ahead == run(file, tmp_path / "alone")


def test_a_run_that_is_done_is_not_run_again(file, tmp_path) -> None:
    first = run(file, tmp_path / "out")
    assert run(file, tmp_path / "out") == first


def test_the_scaled_recipe_runs_whole(file, tmp_path) -> None:
    state = run(file, tmp_path / "out", "--scale", "0.2")["state"]
    assert state["step"] == 2


def test_training_lowers_the_loss(tmp_path) -> None:
    text = TINY.split("[[stage]]")[0] + (
        '[[stage]]\nname = "plain"\nsteps = 60\nrates = [3e-3, 1e-3]\nsamples = [60, 80]\n'
        "dims = [1, 2]\ncost = 1e5\nbatch = [8, 32]\nfamilies = {gaussian = 1}\n"
    )
    trainer = RecipeTrainer(recipe_of(text, tmp_path), CPU)
    losses = torch.stack([trainer.advance()[0] for _ in range(60)])
    assert trainer.done and losses[-15:].mean() < 0.7 * losses[:5].mean()
    assert set(trainer.take_seen()) == {"gaussian"} and not trainer.take_seen()


def test_a_step_whose_gradient_is_not_finite_changes_no_weight(file) -> None:
    trainer = RecipeTrainer(load_recipe(file), CPU)
    trainer.advance()
    before = [p.clone() for p in trainer.model.parameters()]
    x = torch.randn(4, 20, 2)
    trainer.model.head.register_full_backward_hook(
        lambda module, given, grad: tuple(None if g is None else g * math.nan for g in given)
    )
    data = StreamData(x, x.clone(), torch.ones(4), torch.zeros(4, dtype=torch.int64), False)
    _, norm = trainer.advance(data)
    assert not torch.isfinite(norm)
    assert all((p == q).all() for p, q in zip(trainer.model.parameters(), before))


def test_the_start_depends_on_the_seed_alone_and_leaves_the_global_state(file) -> None:
    recipe = load_recipe(file)
    state = torch.random.get_rng_state()
    first, again = (RecipeTrainer(recipe, CPU).model.state_dict() for _ in range(2))
    assert (torch.random.get_rng_state() == state).all()
    other = RecipeTrainer(dataclasses.replace(recipe, seed=6), CPU).model.state_dict()
    assert all((first[k] == again[k]).all() for k in first)
    assert any((first[k] != other[k]).any() for k in first)


# ---- checkpoints --------------------------------------------------------------------------------
def test_a_checkpoint_of_another_recipe_is_refused(file, tmp_path) -> None:
    run(file, tmp_path / "out", "--max-minutes", "0")
    file.write_text(TINY.replace("seed = 5", "seed = 6"))
    with pytest.raises(ValueError, match="expected a checkpoint of this very recipe 'tiny'"):
        run(file, tmp_path / "out")


def test_later_stages_may_change_while_a_run_goes_on(file, tmp_path) -> None:
    run(file, tmp_path / "out", "--max-minutes", "0")
    file.write_text(TINY.replace("steps = 4", "steps = 3").replace("advance = 1", "advance = 2"))
    assert run(file, tmp_path / "out")["state"]["step"] == STEPS - 1


def test_a_run_may_start_from_the_weights_of_another(file, tmp_path) -> None:
    parent = run(file, tmp_path / "parent")
    file.write_text(TINY.replace("seed = 5", "seed = 6").replace("[1e-3, 1e-3]", "[0, 0]"))
    options = ("--init", str(tmp_path / "parent/checkpoint"), "--max-minutes", "0")
    child = run(file, tmp_path / "child", *options)
    assert child["state"]["step"] == 1
    assert child["model.safetensors"] == parent["model.safetensors"]


def test_pursuits_of_one_stage_go_on_in_a_stage_of_more_or_fewer(file, tmp_path) -> None:
    more = TINY.split("[[stage]]")[2].replace("pursuers = 2", "pursuers = 3")
    file.write_text(f"{TINY}\n[[stage]]{more}".replace("pursuit = 0.7", "pursuit = 1.0"))
    whole = run(file, tmp_path / "whole")
    for _ in range(10):
        run(file, tmp_path / "part", "--max-minutes", "0")
    assert run(file, tmp_path / "part") == whole


# ---- exported weights ---------------------------------------------------------------------------
def test_the_header_says_how_the_weights_were_made(file, tmp_path) -> None:
    run(file, tmp_path / "out", "--export", str(tmp_path / "weights"))
    path = tmp_path / "weights/tiny.safetensors"
    with safe_open(path, "pt") as opened:
        header = opened.metadata()
    provenance = json.loads(header["provenance"])
    recipe = load_recipe(file)
    assert provenance["recipe"] == "tiny" and provenance["seed"] == 5
    assert provenance["recipe_sha256"] == recipe.digest()
    assert [stage["name"] for stage in provenance["stages"]] == ["all", "pursuit"]
    assert provenance["stages"] == json.loads(json.dumps(recipe.to_dict()["stages"]))
    state = json.loads((tmp_path / "out/checkpoint/state.json").read_text())
    assert provenance["steps"] == STEPS and provenance["datasets"] == state["datasets"]
    assert provenance["seconds"] == round(state["seconds"]) and provenance["commit"]
    assert provenance["trained_range"] == {"n": [8, 40], "d": [1, 1024]}
    assert json.loads(header["config"]) == recipe.model.to_dict()


def test_exported_weights_are_the_average_and_give_the_stored_predictions(file, tmp_path) -> None:
    run(file, tmp_path / "out", "--export", str(tmp_path / "weights"))
    model = load_pretrained(tmp_path / "weights/tiny.safetensors")
    trainer = RecipeTrainer(load_recipe(file), CPU)
    trainer.load(tmp_path / "out/checkpoint")
    for ours, theirs in zip(model.parameters(), trainer.average.parameters(), strict=True):
        assert (ours == theirs).all()
    registry = json.loads((tmp_path / "weights/registry.json").read_text())
    assert registry["tiny"]["file"] == "tiny.safetensors"
    stored = json.loads((tmp_path / "weights/tiny.reference.json").read_text())
    case = stored[0]
    generator = torch.Generator().manual_seed(case["seed"])
    x, y = (torch.randn(1, case["n"], d, generator=generator) for d in (case["dx"], case["dy"]))
    y += x
    found = model(x, y)[0].tolist()
    assert found == pytest.approx(case["quantiles"], abs=1e-4)


def test_weights_that_exist_are_never_written_over(file, tmp_path) -> None:
    """And the run is refused before its first step, not after its last."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "tiny.safetensors").write_bytes(b"released")
    (folder / "registry.json").write_text("{}")
    with pytest.raises(FileExistsError, match="expected a new name, but .*tiny.safetensors exists"):
        run(file, tmp_path / "out", "--export", str(folder))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        "tiny.safetensors": b"released", "registry.json": b"{}",
    }  # fmt: skip
    assert not (tmp_path / "out/checkpoint").exists()


# ---- recipes ------------------------------------------------------------------------------------
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


def test_steps_belong_to_stages_in_their_order(file) -> None:
    recipe = load_recipe(file)
    places = [recipe.at(step) for step in range(STEPS)]
    assert places == [(0, k) for k in range(5)] + [(1, k) for k in range(4)]
    with pytest.raises(IndexError, match="beyond its end"):
        recipe.at(STEPS)


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    stage = Stage("a", 100, (1.0, 0.1), warmup=10, families={"general": 1})
    assert rate_at(stage, 0) == pytest.approx(0.1, rel=1e-3)
    assert rate_at(stage, 50) == pytest.approx(0.55)
    assert rate_at(stage, 99) == pytest.approx(0.1, abs=1e-3)
