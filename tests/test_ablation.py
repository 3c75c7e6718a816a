"""The ablation of arbiters: what is left out is left out, and every case is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from arbiter_draws import draws

from benchmarks import ablation
from benchmarks.records import Records
from training.stream import FAMILIES


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("draws")
    page, out = folder / "page.md", folder / "record.csv"
    page.write_text("<!-- begin table ablation -->\n<!-- end table ablation -->\n")
    torch.save(draws(800), folder / "part-0.pt")
    run(folder, page, out)
    return folder, page, out


def run(folder: Path, page: Path, out: Path) -> None:
    ablation.main(
        ["--folder", str(folder), "--epochs", "8", "--out", str(out), "--page", str(page)]
    )


def test_what_is_left_out_is_the_same_in_every_dataset() -> None:
    data = draws(100)
    less = ablation.without(data, ("features",))
    assert (less["features"] == less["features"][:1]).all()
    assert torch.allclose(less["features"][0], data["features"].mean(0))
    assert torch.equal(less["plain"], data["plain"])


def test_functions_that_are_near_the_truth_are_missed(judged) -> None:
    records = Records(judged[2], ablation.COLUMNS, 2)
    whole, less = (
        float(records.row(case, "all")["loss"]) for case in ("everything", "without variates")
    )
    assert less > 1.1 * whole


def test_every_case_and_family_is_judged_and_shown(judged) -> None:
    records = Records(judged[2], ablation.COLUMNS, 2)
    names = FAMILIES[:2]
    for case in ("everything", *(f"without {part}" for part in ablation.PARTS), *ablation.SIZES):
        assert [row["family"] for row in records if row["case"] == case] == ["all", *names]
    for name in names:
        rows = [records.row(f"without {name}{case}", name) for case in ("", ", with doubt")]
        assert [float(row["coverage"]) <= 1 for row in rows] == [True, True]
        assert f"| {name} |" in judged[1].read_text()


def test_a_finished_record_is_not_made_again(judged) -> None:
    folder, page, out = judged
    before, text = out.read_text(), page.read_text()
    run(folder, page, out)
    assert out.read_text() == before and page.read_text() == text
