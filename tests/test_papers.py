"""The paper's families in the columns that both sides have in common."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.general.papers import PaperPairs
from torchmist.synthetic.paper import PaperMeta


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("dx", "dy"), [(3, 3), (5, 3), (2, 7)])
def test_common_columns_are_those_of_the_paper_and_the_others_are_noise(dx: int, dy: int) -> None:
    both = min(dx, dy)
    made = PaperPairs().sample(6, 4000, dx, dy, generator=generator())
    paper = PaperMeta().sample(6, 4000, both, generator=generator())
    assert torch.equal(made.mi, paper.mi) and torch.equal(made.family, paper.family)
    assert torch.equal(made.x[..., :both], paper.x) and torch.equal(made.y[..., :both], paper.y)
    columns = torch.cat([made.x[..., both:], made.y[..., both:], paper.x, paper.y], -1)
    signs = (columns > columns.median(1, keepdim=True).values).double() * 2 - 1
    extra = dx + dy - 2 * both
    alike = (signs[..., :extra].mT @ signs) / 4000
    alike[:, range(extra), range(extra)] = 0.0
    assert (alike.abs() < 0.08).all()  # five standard errors


def test_single_columns_share_what_their_correlation_says() -> None:
    made = PaperPairs().sample(8, 40_000, 1, 1, generator=generator(1))
    for x, y, mi in zip(made.x, made.y, made.mi):
        rho = torch.corrcoef(torch.cat([x, y], -1).mT.double())[0, 1]
        assert abs(float(-0.5 * torch.log1p(-(rho**2)) - mi)) < 0.03
    assert (made.family == 0).all()


@pytest.mark.parametrize(("dx", "dy"), [(5, 1), (1, 4)])
def test_a_single_column_beside_several_shares_with_one_direction_of_them(dx: int, dy: int) -> None:
    made = PaperPairs().sample(8, 40_000, dx, dy, generator=generator(2))
    for x, y, mi in zip(made.x.double(), made.y.double(), made.mi):
        logs = [torch.corrcoef(side.mT).det().log() if side.shape[1] > 1 else torch.zeros(())
                for side in (x, y, torch.cat([x, y], -1))]  # fmt: skip
        assert abs(float(0.5 * (logs[0] + logs[1] - logs[2]) - mi)) < 0.03
