"""Scores and selection of features behind the interfaces of scikit-learn."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import torchmist
from torchmist.scores import read_table, score_columns
from torchmist.scoring.parallel import _received, _sent
from torchmist.sklearn import MutualInfoSelector, mutual_info


@pytest.fixture(scope="module")
def table() -> tuple[np.ndarray, np.ndarray]:
    """Four columns that tell y less and less, and two that tell nothing."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=600)
    x = np.stack([y + s * rng.normal(size=600) for s in (0.3, 0.7, 1.5, 3.0)], -1)
    return np.concatenate([x, rng.normal(size=(600, 2))], 1), y


@parametrize_with_checks([MutualInfoSelector(), MutualInfoSelector(method="mrmr")])
def test_the_selector_keeps_the_contract_of_scikit_learn(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9])
def test_scores_of_gaussian_pairs_are_near_the_truth(rho: float) -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=1000)
    x = rho * y[:, None] + np.sqrt(1 - rho**2) * rng.normal(size=(1000, 20))
    found = mutual_info(x, y)
    assert found.mean() == pytest.approx(-0.5 * np.log(1 - rho**2), abs=0.03)


def test_a_wave_is_seen_that_no_correlation_shows() -> None:
    rng = np.random.default_rng(2)
    u = rng.uniform(size=1000)
    x = np.sin(4 * np.pi * u) + 0.1 * rng.normal(size=1000)
    assert mutual_info(x[:, None], u)[0] == pytest.approx(1.70, abs=0.15)  # by quadrature


def test_labels_against_labels_agree_with_the_posterior_of_the_counts() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 800)
    x = np.where(
        rng.random((800, 4)) < [0.9, 0.5, 0.2, 0.0], y[:, None], rng.integers(0, 3, (800, 4))
    )
    exact = [torchmist.estimate(x[:, k], y).mean for k in range(4)]
    np.testing.assert_allclose(mutual_info(x, y), exact, atol=0.02)


def test_labels_beside_numbers_count_the_same_on_either_side() -> None:
    rng = np.random.default_rng(4)
    label = rng.integers(0, 2, 600)
    number = 2.0 * label + rng.normal(size=600)
    one = mutual_info(label[:, None], number)[0]
    assert one == mutual_info(number[:, None], label)[0]
    assert one == pytest.approx(0.337, abs=0.05)  # classes two deviations apart, by quadrature


def test_a_score_never_exceeds_the_entropy_of_labels() -> None:
    y = np.repeat([0, 1], 100)
    x = np.stack([y, 1 - y, 10 * y + np.linspace(0, 1, 200)], -1).astype(float)
    scores = mutual_info(x, y)
    assert (scores <= np.log(2) + 1e-6).all() and (scores > 0.9 * np.log(2)).all()


def test_scores_do_not_change_under_monotone_maps_and_orders_of_samples(table) -> None:
    x, y = table
    order = np.random.default_rng(0).permutation(len(y))
    np.testing.assert_allclose(mutual_info(np.exp(x), -(y**3)), mutual_info(x, y), atol=1e-5)
    np.testing.assert_allclose(mutual_info(x[order], y[order]), mutual_info(x, y), atol=1e-5)


def test_constant_columns_score_zero(table) -> None:
    x, y = table
    x = x.copy()
    x[:, 1] = 7.0
    assert mutual_info(x, y)[1] == 0 and (mutual_info(x, np.ones(len(y))) == 0).all()


def test_codes_of_many_values_are_labels_only_while_their_order_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    years, city = rng.integers(1950, 2000, 2000), rng.integers(0, 40, 2000)
    effect = rng.normal(size=40)[city]
    y = years / 10 + effect + 0.5 * rng.normal(size=2000)
    taken = read_table(np.stack([years, city], -1), "X", "auto", torch.from_numpy(y)).taken
    assert taken == ("numbers", "labels")


def test_frames_with_categories_text_targets_and_sparse_matrices() -> None:
    rng = np.random.default_rng(6)
    y = rng.integers(0, 2, 300)
    frame = pd.DataFrame(
        {"word": pd.Categorical(np.where(y, "yes", "no")), "x": rng.normal(size=300)}
    )
    named = np.where(y, "spam", "ham")
    assert mutual_info(frame, named)[0] == pytest.approx(mutual_info(frame, y)[0])
    assert mutual_info(frame, named).argmax() == 0
    dense = rng.poisson(0.4, size=(300, 5)) * (1 + y[:, None])
    sparse = mutual_info(scipy.sparse.csr_matrix(dense), y)
    np.testing.assert_allclose(sparse, mutual_info(dense, y))


def test_other_weights_score_as_their_estimates_do(table) -> None:
    x, y = table
    found = mutual_info(x[:, :2], y, model="mist-fast")
    exact = [torchmist.estimate(x[:, k], y, model="mist-fast").mean for k in range(2)]
    np.testing.assert_allclose(found, exact, atol=1e-4)


def test_intervals_of_scores_hold_the_truth() -> None:
    rng = np.random.default_rng(7)
    y = rng.normal(size=500)
    rho = np.linspace(0.1, 0.95, 100)
    x = rho * y[:, None] + np.sqrt(1 - rho**2) * rng.normal(size=(500, 100))
    low, high = score_columns(read_table(x), read_table(y)).interval(0.9)
    truth = -0.5 * np.log(1 - rho**2)
    assert 0.75 < ((low <= truth) & (truth <= high)).mean() <= 1


def test_a_sample_of_the_rows_is_enough_and_seeded(table) -> None:
    x, y = table
    first, again = (mutual_info(x, y, max_samples=200, random_state=3) for _ in range(2))
    assert (first == again).all() and (first != mutual_info(x, y)).any()
    np.testing.assert_allclose(first, mutual_info(x, y), atol=0.25)


def test_two_workers_of_joblib_score_as_one(table) -> None:
    x, y = table
    np.testing.assert_allclose(mutual_info(x, y, n_jobs=2), mutual_info(x, y), atol=1e-5)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        np.testing.assert_allclose(mutual_info(x, y), mutual_info(x, y, n_jobs=1), atol=1e-5)


def test_select_k_best_pipeline_and_grid_search(table) -> None:
    x, y = table
    model = make_pipeline(SelectKBest(mutual_info, k=2), LogisticRegression())
    search = GridSearchCV(model, {"selectkbest__k": [1, 3]}, cv=2).fit(x, y > 0)
    assert search.best_score_ > 0.85
    assert (
        make_pipeline(MutualInfoSelector(2), LogisticRegression()).fit(x, y > 0).score(x, y > 0)
        > 0.85
    )


def test_names_and_pandas_output(table) -> None:
    frame = pd.DataFrame(table[0], columns=list("abcdef"))
    selector = MutualInfoSelector(2).set_output(transform="pandas").fit(frame, table[1])
    assert list(selector.get_feature_names_out()) == ["a", "b"]
    assert list(selector.transform(frame).columns) == ["a", "b"]
    assert selector.ranking_.tolist() == [0, 1] and selector.gains_[0] > selector.gains_[1]


def test_mrmr_leaves_out_what_is_redundant() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=(2, 500))
    x = np.stack([a + 0.1 * rng.normal(size=500), a + 0.1 * rng.normal(size=500), b], -1)
    y = a + 0.6 * b
    assert MutualInfoSelector(2).fit(x, y).get_support().tolist() == [True, True, False]
    assert MutualInfoSelector(2, method="mrmr").fit(x, y).get_support()[2]


def test_the_joint_method_completes_an_exclusive_or() -> None:
    rng = np.random.default_rng(9)
    x = rng.integers(0, 2, size=(600, 6))
    y = 2 * x[:, 3] + (x[:, 3] ^ x[:, 1])  # column 3 by itself, 1 only beside it
    assert mutual_info(x, y ^ 2 * x[:, 3])[1] < 0.03
    joint = MutualInfoSelector(2, method="joint").fit(x, y)
    assert joint.ranking_.tolist() == [3, 1]
    assert joint.gains_[1] == pytest.approx(2 * np.log(2), abs=0.05)


def test_the_joint_method_over_two_workers_is_that_of_one() -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(200, 4))
    y = x[:, 0] + x[:, 2]
    fits = [
        MutualInfoSelector(2, method="joint", joint_model="mist-fast", n_jobs=n).fit(x, y)
        for n in (1, 2)
    ]
    assert sorted(fits[0].ranking_.tolist()) == [0, 2]
    np.testing.assert_allclose(fits[0].gains_, fits[1].gains_, atol=1e-4)


def test_errors_say_what_was_expected(table) -> None:
    x, y = table
    with pytest.raises(ValueError, match="expected X of shape"):
        mutual_info(x[0], y)
    with pytest.raises(ValueError, match="expected as many rows in X as in y"):
        mutual_info(x[:5], y)
    with pytest.raises(ValueError, match="expected method 'relevance', 'mrmr' or 'joint'"):
        MutualInfoSelector(method="best").fit(x, y)
    with pytest.raises(ValueError, match="expected n_features_to_select from 1 to 6"):
        MutualInfoSelector(7).fit(x, y)
    with pytest.raises(ValueError, match="expected discrete_target"):
        mutual_info(x, y, discrete_target="no")
    with pytest.raises(ValueError, match="expected max_samples of at least 10"):
        mutual_info(x, y, max_samples=3)
    twice = pd.DataFrame(x, columns=list("abcdea"))
    with pytest.raises(ValueError, match=r"for each column, got \['a'\] more than once; rename"):
        MutualInfoSelector(1).fit(twice, y)


@pytest.mark.parametrize("n_jobs", [0, 1.5, "2", True])
def test_numbers_of_processes_that_mean_nothing_are_errors(table, n_jobs) -> None:
    for call in (
        lambda: mutual_info(*table, n_jobs=n_jobs),
        lambda: MutualInfoSelector(1, n_jobs=n_jobs).fit(*table),
    ):
        with pytest.raises(ValueError, match="expected n_jobs to be None or an int other than 0"):
            call()


def mixed(y: np.ndarray) -> pd.DataFrame:
    """Text that tells the sign of ``y``, a category that tells nothing, and a bool."""
    text = np.where(y > 0, "high", "low")
    kind = pd.Categorical(np.resize(["a", "b"], len(y)))
    return pd.DataFrame({"text": text, "kind": kind, "large": np.abs(y) > 1, "noise": y[::-1]})


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_chosen_text_and_categories_come_out_as_they_are(table, output: str) -> None:
    data = mixed(table[1])
    selector = MutualInfoSelector(2, discrete_features=["text", "kind", "large"])
    found = selector.set_output(transform=output).fit_transform(data, table[1])
    chosen = data[["text", "large"]]
    if output == "pandas":
        pd.testing.assert_frame_equal(found, chosen)
    else:
        assert isinstance(found, np.ndarray) and (found == chosen.to_numpy()).all()


def test_a_frame_of_polars_keeps_the_types_of_its_columns(table) -> None:
    polars = pytest.importorskip("polars")
    data = polars.DataFrame({"a": table[0][:, 0], "text": ["a", "b"] * 300, "flag": table[1] > 0})
    selector = MutualInfoSelector(2, discrete_features=["text"]).set_output(transform="polars")
    assert selector.fit_transform(data, table[1]).equals(data.select("a", "flag"))


@pytest.mark.parametrize("seed", [np.random.RandomState, np.random.default_rng])
def test_generators_of_numpy_seed_the_draw_of_rows(table, seed) -> None:
    first, again = (mutual_info(*table, max_samples=100, random_state=seed(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_without_a_seed_each_draw_of_rows_is_another(table) -> None:
    draws = [mutual_info(*table, max_samples=50, random_state=None) for _ in range(2)]
    assert (draws[0] != draws[1]).any()


def test_a_seed_that_is_none_is_refused(table) -> None:
    with pytest.raises(ValueError, match="random_state to be an int of at least 0, got '0'"):
        mutual_info(*table, max_samples=50, random_state="0")


def test_dicts_structured_arrays_and_half_precision_are_tables(table) -> None:
    x, y = table
    expected = mutual_info(x, y)
    named = {f"x{k}": column for k, column in enumerate(x.T)}
    np.testing.assert_array_equal(mutual_info(named, y), expected)
    fields = np.rec.fromarrays(x.T, names=list(named))
    np.testing.assert_array_equal(mutual_info(fields, y), expected)
    half = torch.tensor(y).bfloat16()
    np.testing.assert_array_equal(mutual_info(x, half), mutual_info(x, half.float()))


def test_notes_name_the_argument_of_the_scores(table) -> None:
    with pytest.warns(UserWarning, match="then pass discrete_features=False"):
        mutual_info(table[0], table[1] > 0, discrete_features=[0], max_samples=313)


def test_notes_of_other_processes_name_the_argument_and_the_column(table) -> None:
    torchmist.checks._warned.clear()
    columns = {"code": table[0][:, 0], "other": table[0][:, 1]}
    note = "column code of X: .* then pass discrete_features=False"
    with joblib.parallel_config(backend="threading"), pytest.warns(UserWarning, match=note):
        mutual_info(columns, table[1] > 0, discrete_features=["code"], max_samples=331, n_jobs=2)
    torchmist.checks._warned.clear()
    with joblib.parallel_config(backend="threading"), pytest.warns(UserWarning, match=note):
        MutualInfoSelector(1, discrete_features=["code"], n_jobs=2, max_samples=331).fit(
            pd.DataFrame(columns), table[1] > 0
        )


def test_tables_reach_other_processes_whole(table) -> None:
    sent = read_table({"a": table[0][:, 0]}, "X", ["a"], argument="discrete_features")
    received = _received(_sent(sent))
    assert vars(received) | {"values": 0} == vars(sent) | {"values": 0}
    torch.testing.assert_close(received.values, sent.values)


def test_tables_of_pyarrow_with_equal_columns_have_names_of_their_own(table) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    data = pyarrow.table({"a": table[0][:, 0], "b": table[0][:, 0], "c": table[0][:, 4]})
    assert MutualInfoSelector(2).fit(data, table[1]).get_support().tolist() == [True, True, False]


def test_lazy_frames_are_fitted_and_transformed(table) -> None:
    polars = pytest.importorskip("polars")
    data = polars.DataFrame({"a": table[0][:, 0], "b": table[0][:, 4], "t": ["a", "b"] * 300})
    selector = MutualInfoSelector(1, discrete_features=["t"]).fit(data.lazy(), table[1])
    np.testing.assert_array_equal(selector.transform(data.lazy()), selector.transform(data))
