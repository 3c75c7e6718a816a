"""The machinery of the kinds: registry, page, baselines, report and command."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from benchmarks.kinds import KINDS, baselines, kind, page, real, report
from benchmarks.kinds.__main__ import main
from benchmarks.kinds.baselines import neighbours, plug_in
from benchmarks.kinds.lift import Lift, lift
from torchmist.weights import save_weights


def test_draws_are_the_same_for_the_same_seed_and_differ_between_kinds() -> None:
    a, b = (KINDS["cubic"].draw(50, 3)[0] for _ in range(2))
    assert (a == b).all()
    assert (a != KINDS["cubic"].draw(50, 4)[0]).any()
    assert (KINDS["saw, 5 teeth"].draw(50, 3)[0] != KINDS["sine, 2 periods"].draw(50, 3)[0]).all()


def test_registering_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ValueError, match="taken; choose another"):
        kind("cubic")
    with pytest.raises(ValueError, match="expected tags among"):
        kind("new", "odd")
    with pytest.raises(ValueError, match="say what it draws"):
        kind("new")(lambda n, rng: (rng.random(n), rng.random(n), 0.0))


def test_an_absent_file_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"imdb_bert_768.npz in .* by --embeddings"):
        KINDS["sentence embeddings, clean"].draw(10, 0, tmp_path)
    np.savez(tmp_path / real.EMBEDDINGS, z=np.zeros(3))
    with pytest.raises(ValueError, match="expected arrays x and label"):
        KINDS["sentence embeddings, clean"].draw(10, 0, tmp_path)


def test_the_page_agrees_with_the_registry(tmp_path) -> None:
    copy = tmp_path / "kinds.md"
    copy.write_text(page.PAGE.read_text())
    page.main(["--page", str(copy)])
    assert copy.read_text() == page.PAGE.read_text(), "run python -m benchmarks.kinds.page"


def test_halves_of_the_digits_share_no_image_and_show_their_class() -> None:
    images, label = real.digits()
    first, second = (np.concatenate([np.flatnonzero(label == c)[h::2] for c in range(10)])
                     for h in (0, 1))  # fmt: skip
    nearest_one = cdist(images[second], images[first]).argmin(1)
    assert (label[first][nearest_one] == label[second]).mean() > 0.97
    x, y, _ = KINDS["digits, same class or not"].draw(2000, 0)
    assert not {r.tobytes() for r in x} & {r.tobytes() for r in y}


@pytest.mark.parametrize("seed", [101, 103, 105])
def test_lifts_keep_latents_apart(seed: int) -> None:
    layers = lift({101: 1, 103: 3, 105: 2}[seed], 256 if seed == 105 else 64, seed).layers
    assert all(np.linalg.cond(layer) < 10 for layer in layers)


def test_a_lift_refuses_a_layer_that_narrows() -> None:
    with pytest.raises(ValueError, match="widen the layers"):
        Lift(2, 32, 0)


def test_neighbours_by_force_are_those_of_the_tree_in_one_column_a_side() -> None:
    for name in ("cubic", "half atoms", "ordinal against continuous"):
        x, y, _ = KINDS[name].draw(600, 0)
        a, b = baselines._columns(x), baselines._columns(y)
        for tree_count, force in zip(baselines._by_tree(a, b, 5),
                                     baselines._by_force(x, y, a, b, 5)):  # fmt: skip
            assert np.allclose(tree_count, force)


def test_baselines_read_nothing_from_independent_sides_and_the_formula_from_gaussian_ones() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2000, 2))
    assert neighbours(x, y) < 0.05 and baselines.cca(x, y) < 0.01
    assert baselines.cca(x, x + y) == pytest.approx(math.log(2), abs=0.05)
    assert math.isnan(plug_in(x[:, 0], y[:, 0])) and math.isnan(baselines.cca(x[:4], y[:4]))
    label = rng.integers(0, 3, 2000)
    assert plug_in(label, label) == pytest.approx(math.log(3), abs=0.01)


def row(low: float, high: float, noted: int) -> dict[str, str]:
    return {"truth": "1", "low": str(low), "high": str(high), "warnings": str(noted)}


def test_silent_is_a_truth_far_outside_without_a_warning() -> None:
    assert report._is_silent(row(0.2, 0.8, 0)) and report._is_silent(row(1.2, 1.5, 0))
    assert not report._is_silent(row(0.2, 0.8, 1)) and not report._is_silent(row(0.2, 0.95, 0))
    assert report._is_silent(row(math.nan, math.nan, 0))


def test_behind_is_by_more_than_a_tenth_and_three_hundredths() -> None:
    def cell(error: float, near: float, tabled: float = math.nan) -> report.Cell:
        off = {"neighbours": near, "plug-in": tabled, "CCA": math.nan}
        return report.Cell("cubic", 256, 1, 1.0, 0.0, error, 1.0, 0, off)

    assert cell(0.14, 0.1).behind and not cell(0.12, 0.1).behind and not cell(1.05, 1.0).behind
    assert cell(0.14, 0.3, 0.1).behind and cell(math.nan, 1.0).behind


def test_the_command_goes_on_where_it_stopped(small, tmp_path, capsys) -> None:
    path = tmp_path / "tiny.safetensors"
    save_weights(small, path, provenance={}, evaluation={})
    out, others = tmp_path / "rows.csv", tmp_path / "kinds-baselines.csv"
    call = ["--model", str(path), "--out", str(out), "--pages", str(tmp_path), "--sizes", "64",
            "--only", "cubic", "near copy, 6.9 nats", "sentence embeddings, clean"]  # fmt: skip
    main([*call, "--seeds", "1"])
    said = capsys.readouterr().out
    assert "skipped sentence embeddings, clean: no folder is given" in said
    assert said.count("n=   64") == 2 and "a sample can show, number 1," in said
    first = out.read_text()
    main([*call, "--seeds", "2"])
    assert out.read_text().startswith(first) and len(out.read_text().splitlines()) == 5
    assert len(others.read_text().splitlines()) == 1 + 2 * 2 * len(baselines.BASELINES)
    assert "near copy, 6.9 nats * | 64" in (tmp_path / "tables" / "kinds.md").read_text()
    assert (tmp_path / "figures" / "kinds.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="expected kinds of benchmarks.kinds, got"):
        main([*call[:-3], "cubes"])
