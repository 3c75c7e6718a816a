"""The benchmarks' own machinery, on small suites and made-up records."""

from __future__ import annotations

import csv
import math

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks import digits, dimensions, report, tables
from benchmarks.estimators import LEVELS, estimator, record_name
from benchmarks.run import COLUMNS, run
from benchmarks.suites import SUITES, Case
from torchmist.models.reference import ReferenceConfig, ReferenceMIST
from torchmist.weights import save_weights

QUANTILES = [f"q{100 * level:g}" for level in LEVELS]


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.random.default_rng(seed).normal(size=(2, n, 2))
    return x, x + y


@pytest.fixture
def weights(small, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_weights(small, path, provenance={}, evaluation={})
    return str(path)


@pytest.fixture
def suite(monkeypatch) -> str:
    cases = [Case(f"IMD/t{s}", n, s, 0.7, lambda n=n, s=s: draw(n, s))
             for n in (20, 40) for s in (0, 1)]  # fmt: skip
    monkeypatch.setitem(SUITES, "few", lambda: iter(cases))
    return "few"


def rows(path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def go(suite, names, path, **options) -> int:
    return run(suite, names, path, **{"sizes": [], "seeds": [], "minutes": 9.0, **options})


def test_files_are_estimators_named_after_themselves(weights) -> None:
    call, version = estimator(weights)
    value = call(*draw(30, 0))
    assert len(version) == 12 and len(value.quantiles) == len(LEVELS)
    assert list(value.quantiles) == sorted(value.quantiles)
    assert (
        record_name(weights) == "tiny" and record_name(f"{weights}-bootstrap") == "tiny-bootstrap"
    )


def test_the_published_network_is_an_estimator(monkeypatch, tmp_path) -> None:
    path = tmp_path / "reference.safetensors"
    config = ReferenceConfig(phi_hidden_dim=16, n_phi_heads=2, phi_dim_forward=16)
    ReferenceMIST(config).save(path, {})
    monkeypatch.setattr("benchmarks.estimators.REFERENCE", path)
    value = estimator("reference")[0](*draw(30, 0))
    assert math.isfinite(value.mean) and list(value.quantiles) == sorted(value.quantiles)


def test_unknown_estimators_are_named(tmp_path) -> None:
    with pytest.raises(ValueError, match="expected one of .*KSG.*, got 'nope'"):
        estimator("nope")
    with pytest.raises(FileNotFoundError, match="no weights at"):
        estimator(str(tmp_path / "none.safetensors"))


def test_a_run_resumes_and_renews_other_versions(suite, weights, tmp_path) -> None:
    path = tmp_path / "few.csv"
    assert go(suite, [weights], path, sizes=[20]) == 2
    assert go(suite, [weights], path) == 2
    assert go(suite, [weights], path) == 0
    assert set(rows(path)[0]) == set(COLUMNS) and len(rows(path)) == 4
    path.write_text(path.read_text().replace(estimator(weights)[1], "older", 1))
    assert go(suite, [weights], path) == 1
    assert len({r["version"] for r in rows(path)}) == 1 and len(rows(path)) == 4


def test_a_run_takes_each_such_case(suite, weights, tmp_path) -> None:
    path = tmp_path / "few.csv"
    assert go(suite, [weights], path, every=3) == 2
    assert [(r["task"], r["n"]) for r in rows(path)] == [("IMD/t0", "20"), ("IMD/t1", "40")]


def test_a_bootstrap_has_mean_and_variance_over_resamples(suite, weights, tmp_path) -> None:
    path = tmp_path / "few.csv"
    go(suite, [f"{weights}-bootstrap"], path, sizes=[20], seeds=[0])
    (row,) = rows(path)
    assert row["estimator"] == "tiny-bootstrap" and float(row["resampled_variance"]) > 0
    assert float(row["q2.5"]) <= float(row["resampled_mean"]) <= float(row["q97.5"])


def records(**errors: float) -> pd.DataFrame:
    """One record of each estimator at four sizes in both suites, with quantiles round the truth."""
    out = []
    for name, error in errors.items():
        for suite in ("IMD", "OoMD"):
            for n in (50, 100, 200, 500):
                row = {"task": f"{suite}/f", "n": n, "seed": n, "estimator": name, "truth": 1.0,
                       "estimate": 1 + error * 50 / n, "success": 1, "dx": 4,
                       "resampled_mean": 1 + error, "resampled_variance": 0.5}  # fmt: skip
                out.append(row | dict(zip(QUANTILES, LEVELS)) | {"q97.5": 1.1})
    frame = pd.DataFrame(out)
    return frame.assign(error=frame["estimate"] - frame["truth"])


def test_the_m_test_table_has_the_ratio_to_the_best_baseline() -> None:
    table = tables.m_test(records(KSG=2.0, ours=1.0), published=False)
    assert table.loc["KSG", "IMD n 10-100"] == pytest.approx(4.0)
    assert table.loc["best baseline / ours"].tolist() == pytest.approx([4.0] * 6)


def test_samples_needed_halve_where_the_error_falls_as_one_over_n() -> None:
    table = tables.samples_needed(records(KSG=2.0, ours=1.0))
    column = next(c for c in table if "n = 200" in c)
    assert table.loc["KSG", column] == pytest.approx(200)
    assert table.loc["ours", column] == pytest.approx(100)


def test_bootstrap_protocol() -> None:
    row = tables.bootstrap(records(KSG=2.0)).loc["KSG"]
    assert row["IMD bias²"] == pytest.approx(4.0) and row["IMD MSE"] == pytest.approx(4.5)
    assert row["IMD coverage of 95 %, %"] == 100.0


def test_coverage_counts_truths_within_the_intervals() -> None:
    row = tables.coverage(records(ours=0.0)).loc["ours"]
    assert row["IMD 95 %"] == 100.0 and row["IMD 90 %"] == 0.0
    assert row["IMD mean gap, points"] == pytest.approx((5 + 90 + 80 + 50) / 4)


def test_crps_of_a_point_is_its_error_and_of_an_ideal_normal_is_known() -> None:
    point = pd.DataFrame({**{key: [3.0] for key in QUANTILES}, "truth": [1.0]})
    assert tables.crps(point)[0] == pytest.approx(2.0)
    normal = torch.distributions.Normal(0.0, 1.0)
    cells = {k: [float(normal.icdf(torch.tensor(q)))] for k, q in zip(QUANTILES, LEVELS)}
    value = tables.crps(pd.DataFrame({**cells, "truth": [0.0]}))[0]
    assert value == pytest.approx((math.sqrt(2) - 1) / math.sqrt(math.pi), rel=0.06)


def test_the_grid_tells_seen_from_unseen() -> None:
    frame = records(ours=1.0).assign(task="normal-dense-base")
    other = records(ours=2.0).assign(task="normal-lvm-asinh", dx=64, n=1000)
    table = tables.extended(pd.concat([frame, other]))
    assert set(table) == {"seen family, seen n, seen d", "unseen family, unseen n, unseen d"}


def test_tables_go_between_their_marks(tmp_path) -> None:
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- begin table t -->\nold\n<!-- end table t -->\nb\n")
    report.write_tables(path, {"t": "| new |\n", "other": "x"})
    assert path.read_text() == "a\n<!-- begin table t -->\n| new |\n<!-- end table t -->\nb\n"


def test_functions_of_the_images_only_reduce_them() -> None:
    x, y = digits.views(0)
    assert x.shape == y.shape == (1000, 32)
    assert all(f(x).shape[1] <= 32 for f in digits.PROCESSED.values())
    sizes = [(a.shape, b.shape) for _, _, a, b in digits.cases(0)]
    assert all(a[0] == b[0] == 500 and a[1] + b[1] <= 64 for a, b in sizes)


def test_small_networks_train_on_one_dimension() -> None:
    trainer = dimensions.train((3, 3), 2)
    assert trainer.config.dims == (3, 3) and trainer.datasets == 16
    mse, median = dimensions.measure(trainer.average, 3, 20)
    assert mse > 0 and median > 0
