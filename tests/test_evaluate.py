"""The evaluation's own arithmetic, on a few datasets made here."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks import evaluate
from benchmarks.m_test import REPEATS, SIZES, TestSet, m_test
from torchmist.synthetic import PaperMeta
from torchmist.weights import save_weights


@pytest.fixture
def tests() -> list[TestSet]:
    out = []
    for seed, (suite, n) in enumerate([("IMD", 20), ("IMD", 150), ("OoMD", 400), ("OoMD", 99)]):
        batch = PaperMeta().sample(1, n, 3, generator=torch.Generator().manual_seed(seed))
        x, y = batch.x[0].numpy(), batch.y[0].numpy()
        out.append(TestSet(suite, "normal-dense-base", batch.mi.item(), x, y))
    return out


def test_sizes_are_those_of_the_paper() -> None:
    assert len(SIZES) == 20 and (SIZES[0], SIZES[-1]) == (10, 500) and REPEATS == 9


def test_summary_of_known_predictions(tests) -> None:
    truth = torch.tensor([t.mi for t in tests])
    levels = torch.tensor([0.05, 0.5, 0.95])
    quantiles = truth[:, None] + torch.tensor([[-1.0, 0.5, 2.0]])
    summary = evaluate.summarise(tests, quantiles, levels)
    assert set(summary) == {"IMD 10-100", "IMD 100-300", "OoMD 300-500", "OoMD 10-100"}
    for cell in summary.values():
        assert cell["mse"] == pytest.approx(0.25, rel=1e-4)
        assert cell["median_absolute_error"] == pytest.approx(0.5, rel=1e-4)
        assert cell["coverage_90"] == 1.0 and cell["datasets"] == 1


@pytest.mark.parametrize("name", sorted(evaluate.CHANGES))
def test_changes_leave_the_estimates_alone(small, tests, name) -> None:
    before = evaluate.predict(small, tests, evaluate.CHANGES["as drawn"])
    after = evaluate.predict(small, tests, evaluate.CHANGES[name])
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    x, _ = evaluate.CHANGES[name](torch.from_numpy(tests[0].x), torch.from_numpy(tests[0].y))
    assert (name == "as drawn") == (torch.equal(x, torch.from_numpy(tests[0].x)))


def test_command_writes_its_records(small, tests, tmp_path, monkeypatch, capsys) -> None:
    six = [*tests, TestSet("IMD", "f", 1.0, tests[2].x, tests[2].y),
           TestSet("OoMD", "f", 1.0, tests[1].x, tests[1].y)]  # fmt: skip
    monkeypatch.setattr(evaluate, "m_test", lambda cache: six)
    weights, readme = tmp_path / "w.safetensors", tmp_path / "README.md"
    save_weights(small, weights, provenance={}, evaluation={})
    readme.write_text("a\n<!-- begin table evaluation -->\nold\n<!-- end table evaluation -->\nb\n")
    out = tmp_path / "results" / "w.json"
    evaluate.main(["--model", str(weights), "--out", str(out), "--tables", str(readme)])
    written = json.loads(out.read_text())
    assert set(written["changes"]) == set(evaluate.CHANGES)
    assert len(out.with_suffix(".csv").read_text().splitlines()) == 7
    text = readme.read_text()
    assert text.startswith("a\n") and text.endswith("b\n") and "old" not in text
    assert "| **w** |" in text and "MIST (published)" in text
    assert "sides swapped" in capsys.readouterr().out


def test_m_test_is_read_back_from_its_cache(tests, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.m_test._make", lambda seed: tests)
    first = m_test(tmp_path, seed=1)
    monkeypatch.setattr("benchmarks.m_test._make", lambda seed: pytest.fail("made again"))
    again = m_test(tmp_path, seed=1)
    for a, b, c in zip(tests, first, again):
        assert a.suite == b.suite == c.suite and a.mi == pytest.approx(c.mi)
        np.testing.assert_array_equal(a.x, c.x)
