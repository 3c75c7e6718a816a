"""Even functions of directions change an answer where a column shows more of them."""

from __future__ import annotations

import pytest
import torch
from arbiter_draws import assert_goes_on, assert_learned, draws, fitted_parent

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of, rows_of
from torchmist.ensemble.correction_even_directions import EvenDirectionCorrection
from torchmist.quantile_head import from_nats


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(CORRECTIONS.index("folded"))


def _folded(data: Data, form: torch.Tensor) -> Data:
    """The draws, of which a column shares so much with a form, and half of it with a direction."""
    parts = [form / 2, form, 1.5 * form, torch.full_like(form, 20.0), torch.full_like(form, 2.0)]
    return {**data, "folded": torch.stack(parts, -1)}


def test_directions_count_where_a_column_shows_more_than_the_answer(parent: Arbiter) -> None:
    data = draws(300)
    answer = parent(evidence_of(data)).mean(-1)
    data, answer = rows_of(data, answer < 5), answer[answer < 5]
    silent = (data, _folded(data, answer.clamp(max=0.0)), _folded(data, 0.8 * answer))
    more = _folded(data, 1.2 * answer.clamp(min=0) + 0.2)
    assert_goes_on(parent, silent, more, more["folded"][:, 1])


def test_its_candidates_are_a_direction_a_form_and_the_sum() -> None:
    part, answer = EvenDirectionCorrection(2, 24), from_nats(torch.full((20, 24), 0.5))
    found = part.candidates(evidence_of(_folded(draws(20), torch.full((20,), 1.0))), answer)
    torch.testing.assert_close(found, from_nats(torch.tensor([0.5, 1.0, 1.5])).expand(20, -1))


@pytest.mark.parametrize(
    ("rows", "columns", "read"),
    [(128, (1, 8), True), (127, (1, 8), False), (500, (7, 7), False), (256, (1, 64), True),
     (255, (64, 64), False), (5000, (8, 65), False)],
)  # fmt: skip
def test_it_is_asked_within_its_sizes(rows: int, columns: tuple[int, int], read: bool) -> None:
    assert EvenDirectionCorrection(2, 24).reads((100, rows), columns) == read


def test_what_directions_show_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data = rows_of(data, parent(evidence_of(data)).mean(-1) < 0.8 * data["mi"] - 0.1)
    assert_learned(parent, _folded(data, data["mi"]), share=0.3, epochs=10)
