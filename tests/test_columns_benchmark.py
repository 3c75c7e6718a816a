"""The benchmark of columns as people bring them: its record, its page, and a tiny run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kraskov import kraskov

from benchmarks import columns, columns_cases, columns_items
from benchmarks.columns_cases import CASES
from benchmarks.records import Records
from torchmist.weights import ALIASES, save_weights

RECORDS = Records(columns.RESULTS, columns.COLUMNS, keys=3)


SHORT = {  # of ten draws
    "six sources with uniform delays, rotated": 3,
    "64 rectified units of four numbers": 8,
}


def test_every_case_is_recorded_within_a_tenth_or_its_interval() -> None:
    for case, (_, n) in CASES.items():
        row = RECORDS.row(case, n, ALIASES["mist"])
        assert int(row["held"]) == SHORT.get(case, int(row["draws"])), case
    assert columns.table(RECORDS, ALIASES["mist"]) in columns.PAGE.read_text()


@pytest.mark.parametrize("case", CASES)
def test_a_draw_is_the_same_again(case: str) -> None:
    make, _ = CASES[case]
    first, again = (make(100, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.y, again.y)
    assert len(first.x) == len(first.y) == 100 and 0 < first.truth == again.truth


def test_the_truth_of_levels_is_that_of_a_mixture() -> None:
    draw = columns_cases.levels(40_000, np.random.default_rng(0))
    noise, centres = 1.0, columns_cases._LEVELS
    spread = np.sqrt(1 + noise**2)  # of y about the level of its class
    density = np.exp(-0.5 * ((draw.y[:, None] - centres) / spread) ** 2).mean(1)
    entropy = -np.log(density / (spread * np.sqrt(2 * np.pi))).mean()
    assert draw.truth == pytest.approx(entropy - 0.5 * np.log(2 * np.pi * np.e), abs=0.01)


def test_the_truth_of_a_bilinear_form_is_that_of_a_density_of_many_draws() -> None:
    draw = columns_cases.bilinear(1_000_000, np.random.default_rng(0))
    density, edges = np.histogram(draw.y, bins=400, range=(-8, 8), density=True)
    filled = density[density > 0]
    entropy = -(filled * np.log(filled)).sum() * (edges[1] - edges[0])
    assert draw.truth == pytest.approx(entropy - 0.5 * np.log(2 * np.pi * np.e * 0.09), abs=0.005)


def test_three_bits_tell_their_parity_and_no_two_tell_anything() -> None:
    draw = columns_cases.parity(20_000, np.random.default_rng(0))
    assert np.array_equal(draw.y, draw.x[:, :3].sum(1) % 2)
    same = [draw.x[:, a] == draw.x[:, b] for a, b in ((0, 1), (0, 2), (1, 2))]
    assert max(abs(np.corrcoef(s, draw.y)[0, 1]) for s in same) < 0.03
    assert draw.truth == pytest.approx(np.log(2))


def test_neighbours_see_what_a_number_shares_with_itself_in_uniform_noise() -> None:
    draw = columns_cases.channels(4000, np.random.default_rng(0))
    x, y = (torch.from_numpy(side[:, :1]) for side in (draw.x, draw.y))
    assert draw.truth / 6 == pytest.approx(kraskov(x, y), abs=0.06)


@pytest.mark.parametrize("make", [columns_cases.sensors, columns_cases.waves])
def test_neighbours_see_in_each_pair_what_a_rotation_hides(make, monkeypatch) -> None:
    monkeypatch.setattr(columns_cases, "_turned", lambda x, rng: x)
    draw = make(4000, np.random.default_rng(0))
    pairs = draw.x.shape[1]
    x, y = (torch.from_numpy(side[:, :1]) for side in (draw.x, draw.y))
    assert draw.truth / pairs == pytest.approx(kraskov(x / x.std(), y / y.std()), abs=0.06)


def test_a_column_that_a_class_names_is_shared_as_a_gaussian_pair() -> None:
    draw = columns_cases.chosen(20_000, np.random.default_rng(0))
    named = (draw.x[:, :4] * draw.x[:, 4:]).sum(1)
    rho = np.corrcoef(named, draw.y)[0, 1]
    assert draw.truth == pytest.approx(-0.5 * np.log1p(-(rho**2)), abs=0.02)


@pytest.mark.parametrize(
    ("make", "known", "classes"),
    [
        (columns_cases.hidden, 0.5 * np.log1p(0.15**-2), [1 / 3] * 3),
        (columns_cases.captions, -0.7 * 4 * np.log(1 - 0.8**2), [0.3, 0.7]),
    ],
)
def test_what_a_hidden_class_costs_is_at_most_its_entropy(make, known, classes) -> None:
    """I(X; Y) is between I(X; Y | K) - H(K) and I(X; Y | K) of a class that X does not tell."""
    truth = make(10, np.random.default_rng(0)).truth
    assert known + float(np.dot(classes, np.log(classes))) < truth < known


def test_slopes_of_hidden_groups_are_bounded_by_those_of_known_ones() -> None:
    truth = columns_cases.groups(10, np.random.default_rng(0)).truth
    each = [np.linalg.slogdet(np.eye(2) + w @ w.T / 0.04)[1] / 2 for w in columns_cases._SLOPES]
    assert np.mean(each) - np.log(3) < truth < np.mean(each)


def test_means_over_rows_are_precise() -> None:
    for name, ratios in columns_cases._RATIOS.items():
        other = ratios(400_000, np.random.default_rng(1))
        error = other.std() / np.sqrt(len(other))
        assert error < 0.01
        assert columns_cases._mean(name) == pytest.approx(other.mean(), abs=6 * error)


def test_a_hundred_classes_are_told_by_their_densities() -> None:
    draw = columns_cases.classes(3000, np.random.default_rng(0))
    away = ((draw.x[:, None] - columns_cases._CENTRES) ** 2).sum(-1)
    log = -away / 2
    known = np.log(100) + (log[np.arange(3000), draw.y] - np.logaddexp.reduce(log, 1))
    assert known.mean() == pytest.approx(draw.truth, abs=0.05)


@pytest.mark.parametrize("make", [columns_cases.products, columns_cases.layers])
def test_functions_tell_the_numbers_that_they_are_of(make) -> None:
    """All four numbers are linear in the columns, nearly, and share what the truth says."""
    draw = make(20_000, np.random.default_rng(0))
    x, y = (torch.from_numpy(side - side.mean(0)) for side in (draw.x, draw.y))
    left, right = (torch.linalg.svd(side, full_matrices=False).U for side in (x, y))
    rho = torch.linalg.svdvals(left.T @ right)[:4]
    assert float(-torch.log1p(-rho.square()).sum() / 2) == pytest.approx(draw.truth, rel=0.03)


def _plug_in(table: np.ndarray) -> float:
    share = table / table.sum()
    product = share.sum(1, keepdims=True) * share.sum(0)
    seen = share > 0
    return float((share[seen] * np.log(share[seen] / product[seen])).sum())


@pytest.mark.parametrize(
    ("items", "lost"),
    [(columns_items._outputs, 0.02), (columns_items._markers, 0.02), (columns_items._bump, 0.3)],
)
def test_what_items_share_lies_between_those_that_are_told_apart_and_their_table(
    items, lost: float
) -> None:
    found, truth = items()
    sides = found.rows(60_000, np.random.default_rng(5))
    told = [
        ((side[:, None] - means) ** 2).sum(-1).argmin(1)
        for side, means in zip(sides, (found.x, found.y))
    ]
    table = np.zeros(found.table.shape)
    np.add.at(table, tuple(told), 1)
    cells = (found.table.shape[0] - 1) * (found.table.shape[1] - 1)
    low, high = _plug_in(table) - cells / 120_000, _plug_in(found.table)
    assert low - 0.02 < truth < high + 0.005 and high - low < lost


def test_shares_and_reads_tell_the_columns_behind_them() -> None:
    items, _ = columns_items._outputs()
    x, y, _ = columns_items.outputs(50, np.random.default_rng(1))
    before = items.rows(50, np.random.default_rng(1))
    for logs, columns_before in zip((np.log(x), y), before):
        apart = [side - side.mean(1, keepdims=True) for side in (logs, columns_before)]
        np.testing.assert_allclose(apart[0], apart[1], atol=1e-6)
    reads = columns_items.markers(50, np.random.default_rng(1))[0]
    behind = columns_items._markers()[0].rows(50, np.random.default_rng(1))[0]
    np.testing.assert_allclose(2 * np.log(reads), behind, atol=1e-9)


def test_a_tiny_run_writes_a_record_and_a_table(small, tmp_path) -> None:
    save_weights(small, tmp_path / "tiny.safetensors")
    page = tmp_path / "page.md"
    page.write_text("<!-- begin table columns -->\n<!-- end table columns -->")
    case = "labels Likert 5 x 5"
    columns.main(
        ["--model", str(tmp_path / "tiny.safetensors"), "--draws", "2", "--only", case,
         "--out", str(tmp_path / "columns.csv"), "--page", str(page)]
    )  # fmt: skip
    assert f"| {case} | 2,000 | 0.607 |" in page.read_text()
