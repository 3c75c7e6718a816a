"""The audit: its exact MI, and what it reports."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from torchmist.auditing import AuditReport, AuditRow, audit, noisy_bins_mi
from torchmist.numerics.ranked import Ranked


def test_the_mi_of_noisy_bins_is_that_of_the_joint_table() -> None:
    b, e = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64), 0.15
    channel = torch.full((3, 3), e / 2, dtype=torch.float64).fill_diagonal_(1 - e)
    joint = b[:, None] * channel
    truth = (joint * (joint / (b[:, None] * joint.sum(0))).log()).sum().item()
    assert noisy_bins_mi(b, e) == pytest.approx(truth, rel=1e-12)


def test_channel_without_noise_gives_the_entropy() -> None:
    assert noisy_bins_mi(torch.full((4,), 0.25), 0.0) == pytest.approx(math.log(4))
    assert noisy_bins_mi(torch.full((2,), 0.5), 0.5) == pytest.approx(0.0, abs=1e-12)


def test_report_summarises_its_rows(tmp_path: Path) -> None:
    report = AuditReport(
        (
            AuditRow("column", 2, 0.1, 0.5, 0.6, 0.4, 0.7),
            AuditRow("radius", 4, 0.2, 1.0, 0.7, 0.6, 0.9),
        )
    )
    assert report.mean_absolute_error == pytest.approx(0.2)
    assert report.bias == pytest.approx(-0.1)
    assert report.coverage == 0.5
    assert "radius" in str(report) and "50 %" in str(report)
    report.plot(tmp_path / "audit.png")
    assert (tmp_path / "audit.png").stat().st_size > 5_000


def test_audit_is_reproducible_and_leaves_the_global_state_alone() -> None:
    x = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    one, again = (audit(x, bins=(3,), noise=(0.1,)) for _ in range(2))
    assert one == again and len(one.rows) == 3
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    "x, arguments, message",
    [
        (torch.zeros(20, 2), {}, "expected columns that vary"),
        (torch.randn(2, 20, 2), {}, "audit one dataset at a time"),
        (torch.arange(20), {}, r"floating point, got integers alone; .* pass x.astype\(float\)"),
        (torch.ones(20, 2, dtype=torch.int32), {}, "floating point, got integers"),
        (torch.randn(20), {"seed": None}, "expected seed to be an int of at least 0, got None"),
        (torch.randn(20), {"bins": (1,)}, "expected bins from 2 to 20"),
        (torch.randn(20), {"bins": 3}, "expected bins as a tuple.*got 3"),
        (torch.randn(20), {"bins": ()}, r"expected bins as a tuple.*got \(\)"),
        (torch.randn(20), {"noise": ()}, r"expected noise as a tuple.*got \(\)"),
        (torch.randn(4), {}, "expected x of at least 8 rows.*got 4; take more rows"),
        (torch.randn(20), {"noise": (1.0,)}, r"noise in \[0, 1\)"),
    ],
)
def test_wrong_input_is_an_error(x: torch.Tensor, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audit(x, **arguments)


def test_frames_and_dicts_are_audited_as_their_matrix() -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    options = {"bins": (2,), "noise": (0.1,), "model": "mist-fast"}
    expected = audit(x, **options)
    assert audit(pd.DataFrame(x, columns=["a", "b"]).convert_dtypes(), **options) == expected
    assert audit({"a": x[:, 0], "b": torch.tensor(x[:, 1])}, **options) == expected


def test_text_is_not_to_be_encoded_for_an_audit() -> None:
    with pytest.raises(TypeError, match="text such as 'a'; numbers alone are taken here"):
        audit(np.array(["a", "b"] * 10))


def test_the_columns_are_ranked_once_for_all_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked: list[int] = []

    class Spy:
        @staticmethod
        def of(side: torch.Tensor) -> Ranked:
            ranked.append(side.shape[-1])
            return Ranked.of(side)

    monkeypatch.setattr("torchmist.samples.column_kinds.Ranked", Spy)
    audit(torch.randn(60, 3, generator=torch.Generator().manual_seed(0)), model="mist-fast")
    assert ranked.count(3) == 1 and ranked.count(1) == 27
