"""Tests for causal discovery: labels, series, and graphs that causal-learn and tigramite find."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from torchmist import causal, conditional_independence_test, independence_test
from torchmist.permutation_tests.permutations import shuffled_blocks

PAGE = Path(__file__).parent.parent / "docs" / "independence.md"


def _collider(n: int, seed: int = 0) -> np.ndarray:
    """A label and a number, independent, that both cause a number, and a label that it causes."""
    rng = np.random.default_rng(seed)
    group, size = rng.integers(0, 3, n), rng.normal(size=n)
    effect = np.array([1.5, -1.5, 0.0])[group] + np.abs(size) + 0.4 * rng.normal(size=n)
    return np.c_[group, size, effect, effect + 0.4 * rng.normal(size=n) > 1].astype(float)


def _series(n: int, seed: int = 0) -> np.ndarray:
    """``a`` remembers itself and drives ``b`` by its absolute value, one step later."""
    rng = np.random.default_rng(seed)
    data, noise = np.zeros((n, 2)), rng.normal(size=(n, 2))
    for t in range(1, n):
        data[t] = 0.7 * data[t - 1, 0] + noise[t, 0], 2 * abs(data[t - 1, 0]) + 0.5 * noise[t, 1]
    return data


@pytest.fixture
def without(monkeypatch):
    """The module as it is where neither library is installed."""
    for name in ("causallearn.utils.cit", "tigramite.independence_tests.independence_tests_base"):
        monkeypatch.setitem(sys.modules, name.split(".")[0], None)
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("causal_alone", causal.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["CausalLearnTest", "TigramiteTest"])
def test_without_its_library_a_class_names_the_extra(without, name: str) -> None:
    with pytest.raises(ImportError, match=rf"{name}.*torchmist-mi\[causal\]"):
        getattr(without, name)(np.zeros((10, 2)))


def test_rows_of_tigramite_become_columns_and_labels() -> None:
    array = np.arange(20.0).reshape(4, 5)
    kinds = np.zeros((4, 5), int)
    kinds[2], kinds[3, 0] = 1, 1
    parts, marks = causal._sides(array, np.array([0, 2, 1, 2]), kinds)
    assert [part.shape for part in parts] == [(5, 1), (5, 1), (5, 2)]
    assert parts[2].T.tolist() == array[[1, 3]].tolist()
    assert marks == [[False], [True], [False, False]]


def test_p_values_given_a_condition_are_those_of_the_package() -> None:
    parts = _collider(100).T[:3, :, None]
    options = {"model": None, "permutations": 39, "stop": None, "discrete_x": True}
    seeded = {"generator": torch.Generator().manual_seed(3)}
    found = causal._p_value(parts, [[True], [False], [False]], 39, None, 3)
    assert found == conditional_independence_test(*parts, **options, **seeded).p_value


def test_p_values_without_a_condition_keep_the_level_and_see_a_square() -> None:
    def p_value(x, y):
        parts = (x[:, None], y[:, None], np.empty((len(x), 0)))
        return causal._p_value(parts, [[False], [False], []], 39, None, 0)

    rng = np.random.default_rng(0)
    rejected = sum(p_value(*rng.normal(size=(2, 40))) <= 0.05 for _ in range(100))
    assert rejected <= 12  # 5 expected, standard deviation 2.2
    x, e = rng.normal(size=(2, 200))
    assert p_value(x, x**2 + e) == 1 / 40


def test_rows_of_a_block_stay_together() -> None:
    orders = shuffled_blocks(torch.zeros(2, 30).long(), 6, 40, torch.Generator().manual_seed(0))
    assert orders.shape == (40, 2, 30)
    assert bool((orders.sort(-1).values == torch.arange(30)).all())
    follows = ((orders.diff(dim=-1) - 1) % 30 == 0).sum(-1)
    assert int(follows.min()) >= 25  # of 29 steps, 4 lie between blocks
    assert len({tuple(order.tolist()) for order in orders[:, 0]}) > 30


def test_blocks_keep_the_level_of_series_that_remember() -> None:
    rng, plain, blocks = np.random.default_rng(0), 0, 0
    for pair in rng.normal(size=(40, 2, 120)):
        for t in range(1, 120):
            pair[:, t] += 0.9 * pair[:, t - 1]
        options = {"model": None, "permutations": 19, "stop": None}
        plain += independence_test(*pair, **options).p_value <= 0.05
        blocks += independence_test(*pair, block=20, **options).p_value <= 0.05
    assert plain >= 14  # 2 expected of a test of that level
    assert blocks <= 6


def test_blocks_of_more_than_half_of_the_rows_are_refused() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 40))
    with pytest.raises(ValueError, match="block of at most 20 rows, half of the 40.*got 21"):
        independence_test(x, y, model=None, block=21)


def test_causal_learn_knows_the_test_by_its_name() -> None:
    cit = pytest.importorskip("causallearn.utils.cit")
    data = _collider(80)
    test = cit.CIT(data, "torchmist", permutations=39)
    assert isinstance(test, causal.CausalLearnTest) and isinstance(test, cit.CIT_Base)
    assert test.labels == (True, False, False, True)
    assert test(1, 0) == test(0, 1) == test.pvalue_cache["0;1"]
    marked = cit.CIT(data, "torchmist", discrete=[3], permutations=39)
    assert marked.labels == (False, False, False, True)


def test_pc_finds_a_mixed_collider() -> None:
    pc = pytest.importorskip("causallearn.search.ConstraintBased.PC").pc
    options = {"discrete": [0, 3], "show_progress": False}
    graph = pc(_collider(200), 0.05, "torchmist", **options).G.graph
    want = np.zeros((4, 4))
    for cause, effect in ((0, 2), (1, 2), (2, 3)):
        want[cause, effect], want[effect, cause] = -1, 1
    assert (graph == want).all()


def test_tables_that_causal_learn_cannot_test_are_refused() -> None:
    pytest.importorskip("causallearn")
    data = _collider(40)
    with pytest.raises(ValueError, match=r"array \[N, D\], got list"):
        causal.CausalLearnTest(data.tolist())
    with pytest.raises(ValueError, match="finite values"):
        causal.CausalLearnTest(np.where(data > 2, np.nan, data))
    with pytest.raises(ValueError, match="columns of data, got"):
        causal.CausalLearnTest(data, discrete=[7])
    with pytest.raises(ValueError, match="permutations of at least 1"):
        causal.CausalLearnTest(data, permutations=0)


def test_p_values_of_other_options_are_not_taken_from_the_cache(tmp_path) -> None:
    pytest.importorskip("causallearn")
    data, path = _collider(40), str(tmp_path / "cache" / "p.json")
    test = causal.CausalLearnTest(data, cache_path=path, permutations=19)
    test.SAVE_CACHE_CYCLE_SECONDS = -1
    value = test(0, 2)
    test(1, 2)  # writes what was found before
    again = causal.CausalLearnTest(data, cache_path=path, permutations=19)
    assert again.pvalue_cache["0;2"] == value
    with pytest.raises(ValueError, match="those of others; give another path"):
        causal.CausalLearnTest(data, cache_path=path, permutations=39)


def test_pcmci_finds_who_drives_whom() -> None:
    processing = pytest.importorskip("tigramite.data_processing")
    from tigramite.pcmci import PCMCI

    frame = processing.DataFrame(_series(200), var_names=["a", "b"])
    test = causal.TigramiteTest(model="mist-fast", sig_samples=99)
    found = PCMCI(frame, test).run_pcmci(tau_max=1, pc_alpha=0.05, alpha_level=0.01)
    assert found["graph"][..., 1].tolist() == [["-->", "-->"], ["", ""]]
    assert found["graph"][0, 1, 0] == ""
    assert found["val_matrix"][0, 1, 1] > 0.3  # nats


def test_the_value_of_a_link_is_in_nats_and_labels_are_those_of_the_frame() -> None:
    pytest.importorskip("tigramite")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (300, 1))
    y = 8.0 * x + rng.normal(size=(300, 1))
    test = causal.TigramiteTest(model="mist-fast", sig_samples=39, sig_blocklength=1)
    kinds = np.ones_like(x), np.zeros_like(x)
    value, p = test.run_test_raw(x.astype(float), y, x_type=kinds[0], y_type=kinds[1])
    assert value == pytest.approx(np.log(2), abs=0.08) and p == 1 / 40


def test_options_that_tigramite_cannot_have_are_refused() -> None:
    pytest.importorskip("tigramite")
    with pytest.raises(ValueError, match="expected significance 'shuffle_test'"):
        causal.TigramiteTest(significance="analytic")
    array = np.random.default_rng(0).normal(size=(2, 50))
    with pytest.raises(ValueError, match="expected return_null_dist=False"):
        causal.TigramiteTest().get_shuffle_significance(
            array, np.array([0, 1]), 0.1, return_null_dist=True
        )


def test_the_page_runs_as_pasted_as_far_as_its_libraries_are_there() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    space: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    for block in blocks:
        needed = set(re.findall(r"from (causallearn|tigramite)", block))
        if all(importlib.util.find_spec(name) for name in needed):
            exec(compile(block, PAGE.name, "exec"), space)
            ran += 1
    assert len(blocks) >= 3 and ran >= 1
