"""Training of the arbiter: draws are collected and repeatable, and what is fitted helps."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import draws

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.correction import Correction
from torchmist.ensemble.correction_classifiers import ClassifierCorrection
from torchmist.ensemble.correction_components import ComponentCorrection
from torchmist.ensemble.correction_even_directions import EvenDirectionCorrection
from torchmist.ensemble.correction_label_curves import LabelCurveCorrection
from torchmist.ensemble.correction_latent_classes import LatentClassCorrection
from torchmist.ensemble.correction_manifolds import ManifoldCorrection
from torchmist.ensemble.correction_number_curves import NumberCurveCorrection
from torchmist.ensemble.correction_repeats import RepeatCorrection
from torchmist.ensemble.evidence import Evidence
from torchmist.quantile_head import quantile_levels
from training import arbiter as command
from training.arbiter_fit import fit, thinned, with_rare_ones
from training.stages import load_recipe


@pytest.fixture(scope="module")
def fitted() -> tuple[Arbiter, dict[str, float]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arbiter = Arbiter(16, members=2)
        return arbiter, fit(arbiter, draws(), quantile_levels(24), epochs=6, doubt_steps=150)


def test_members_beat_both_networks_on_draws_that_trained_nothing(fitted) -> None:
    _, found = fitted
    assert found["datasets"] == 3500 and found["steps"] == 6 * 7
    assert found["members"] < 0.75 * min(found["plain"], found["local"])


def test_doubt_mends_the_coverage_on_families_that_were_left_out(fitted) -> None:
    _, found = fitted
    assert found["arbiter_strange_coverage"] > found["members_strange_coverage"] + 0.1
    assert found["arbiter_strange"] < found["members_strange"]


def test_of_draws_whose_information_nothing_shows_one_in_four_is_kept() -> None:
    data = draws(800)
    hidden = torch.arange(800) % 10 < 4
    data["mi"] = torch.where(hidden, 1e5, data["mi"])
    assert 70 <= int((thinned(data)["mi"] == 1e5).sum()) <= 90
    few = {**data, "sizes": torch.tensor([60.0, 2.0, 3.0]).expand(800, -1)}
    assert len(thinned(few)["mi"]) == 800


def test_draws_of_rare_families_are_repeated() -> None:
    data = draws(1000)
    data["family"] = torch.where(torch.arange(1000) < 4, 6.0, data["family"])
    more = with_rare_ones(data)
    assert len(more["mi"]) == 1000 + 4 * 4 and set(more) == set(data)
    assert torch.equal(more["mi"][:5], data["mi"][0].expand(5))
    assert torch.equal(more["plain"][20:], data["plain"][4:])


def test_fits_repeat_and_leave_the_global_random_state_alone() -> None:
    small, made = draws(200), []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            arbiter = Arbiter(16, members=1)
            state = torch.random.get_rng_state()
            fit(arbiter, small, quantile_levels(24), epochs=1, doubt_steps=5)
            assert (torch.random.get_rng_state() == state).all()
        made.append(arbiter.state_dict())
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def test_collected_draws_are_those_of_the_recipe(tmp_path) -> None:
    recipe = command._part(load_recipe("mist-duo-v9"), "small", 3)
    paths = [tmp_path / name for name in ("one.pt", "two.pt")]
    for path in paths:
        command.collect(recipe, path, minutes=0.0)  # one step
    one, two = (command.collected([path]) for path in paths)
    assert len(one["mi"]) == 8 and (one["check"] == 1).all()
    for name in ("mi", "family", *Evidence._fields):
        torch.testing.assert_close(one[name], two[name])
        assert torch.isfinite(one[name]).all()


@pytest.mark.parametrize(
    "words", [(), *(("--recipe", f"mist-duo-v{k}") for k in (15, 13, 12, 9))], ids=lambda w: w[1:]
)
def test_the_command_collects_draws_of_either_recipe(tmp_path, words, monkeypatch) -> None:
    parts = (
        ComponentCorrection, ClassifierCorrection, RepeatCorrection, LatentClassCorrection,
        EvenDirectionCorrection, ManifoldCorrection, LabelCurveCorrection,
        NumberCurveCorrection,
    )  # fmt: skip
    for part in parts:
        monkeypatch.setattr(part, "may_say_more", staticmethod(Correction.may_say_more))
    stage = load_recipe(words[-1] if words else command.RECIPE).stages[-1]
    options = ["--stage", stage.name, "--minutes", "0", "--folder", str(tmp_path)]
    command.main(["collect", *words, *options])
    assert len(command.collected([tmp_path / "part-0.pt"])["matched"]) == stage.batch[0]


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a stage among .*'middle'.*got 'late'"):
        command._part(load_recipe("mist-duo-v9"), "late", 0)
