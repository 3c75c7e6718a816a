"""Runs of recipes: they resume bit for bit, and export what they made."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from recipe_samples import STEPS, TINY, recipe_of, shorten
from safetensors import safe_open

from torchmist.weights import load_pretrained
from training.recipe import main
from training.stages import load_recipe
from training.stream import StreamData, shape_of
from training.trainer import RecipeTrainer

CPU = torch.device("cpu")


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """A file of a recipe that has every kind of step."""
    shorten(monkeypatch)
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def contents(folder: Path) -> dict[str, object]:
    """All that a checkpoint holds but how long it took."""
    files: dict[str, object] = {p.name: p.read_bytes() for p in folder.glob("*.safetensors")}
    state = json.loads((folder / "state.json").read_text())
    state.pop("seconds")
    return {**files, "state": state}


def run(file: Path, out: Path, *options: str) -> dict[str, object]:
    main([str(file), "--out", str(out), "--log-every", "1", *options])
    return contents(out / "checkpoint")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A folder with a whole run of the recipe in ``out``, exported to ``weights``."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "tiny.toml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        run(folder / "tiny.toml", folder / "out", "--export", str(folder / "weights"))
    return folder


# ---- runs ---------------------------------------------------------------------------------------
def test_the_tiny_recipe_has_every_kind_of_step(file) -> None:
    recipe = load_recipe(file)
    shapes = [shape_of(recipe, *recipe.at(step)) for step in range(recipe.steps)]
    assert {shape[-1] for shape in shapes} == {"mixed", "moved", "pursuit"}
    assert any(max(dx, dy) > 64 for _, _, dx, dy, _ in shapes)


def test_a_run_that_is_interrupted_ends_bit_for_bit_where_a_whole_one_does(
    file, tmp_path, done
) -> None:
    whole = contents(done / "out/checkpoint")
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


def test_processes_that_make_data_ahead_change_nothing(file, tmp_path, done) -> None:
    run(file, tmp_path / "ahead", "--max-minutes", "0")
    ahead = run(file, tmp_path / "ahead", "--workers", "1")
    assert ahead == contents(done / "out/checkpoint")


def test_a_run_that_is_done_is_not_run_again(file, tmp_path, done) -> None:
    shutil.copytree(done / "out", tmp_path / "out")
    assert run(file, tmp_path / "out") == contents(done / "out/checkpoint")


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


def test_a_run_may_start_from_the_weights_of_another(file, tmp_path, done) -> None:
    parent = contents(done / "out/checkpoint")
    file.write_text(TINY.replace("seed = 5", "seed = 6").replace("[1e-3, 1e-3]", "[0, 0]"))
    options = ("--init", str(done / "out/checkpoint"), "--max-minutes", "0")
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
def test_the_header_says_how_the_weights_were_made(file, done) -> None:
    path = done / "weights/tiny.safetensors"
    with safe_open(path, "pt") as opened:
        header = opened.metadata()
    provenance = json.loads(header["provenance"])
    recipe = load_recipe(file)
    assert provenance["recipe"] == "tiny" and provenance["seed"] == 5
    assert provenance["recipe_sha256"] == recipe.digest()
    assert [stage["name"] for stage in provenance["stages"]] == ["all", "pursuit"]
    assert provenance["stages"] == json.loads(json.dumps(recipe.to_dict()["stages"]))
    state = json.loads((done / "out/checkpoint/state.json").read_text())
    assert provenance["steps"] == STEPS and provenance["datasets"] == state["datasets"]
    assert provenance["seconds"] == round(state["seconds"]) and provenance["commit"]
    assert provenance["trained_range"] == {"n": [8, 40], "d": [1, 1024]}
    assert json.loads(header["config"]) == recipe.model.to_dict()


def test_exported_weights_are_the_average_and_give_the_stored_predictions(file, done) -> None:
    model = load_pretrained(done / "weights/tiny.safetensors")
    trainer = RecipeTrainer(load_recipe(file), CPU)
    trainer.load(done / "out/checkpoint")
    for ours, theirs in zip(model.parameters(), trainer.average.parameters(), strict=True):
        assert (ours == theirs).all()
    registry = json.loads((done / "weights/registry.json").read_text())
    assert registry["tiny"]["file"] == "tiny.safetensors"
    stored = json.loads((done / "weights/tiny.reference.json").read_text())
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
