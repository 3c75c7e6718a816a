"""Feature selection by mutual information with the interfaces of scikit-learn.

:func:`mutual_info` is a ``score_func``; :class:`MutualInfoSelector` selects by relevance, by
minimum redundancy and maximum relevance, or by the joint mutual information of sets of columns.
Needs scikit-learn 1.6 or later, which comes with joblib (``pip install 'torchmist-mi[sklearn]'``).

Legend: ``N`` samples, ``F`` features.
"""

from __future__ import annotations

import numbers
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmist.diagnostics.row_order import order_notes
from torchmist.functional import Model
from torchmist.numerics.seeds import Seed
from torchmist.progress import Bar
from torchmist.samples.columns import Discrete
from torchmist.scores import Columns, read_table
from torchmist.scoring.feature_tables import (
    Marked,
    check_names,
    chosen_rows,
    drawn_rows,
    feature_tables,
    mixed_frame,
    read_target,
    table_shape,
)
from torchmist.scoring.parallel import check_jobs, parallel_joint, parallel_scores

try:
    from sklearn.base import BaseEstimator
    from sklearn.feature_selection import SelectorMixin
    from sklearn.utils._set_output import _get_output_config
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"expected scikit-learn 1.6 or later and joblib for torchmist.sklearn, got {error}; "
        f"install them with pip install 'torchmist-mi[sklearn]'"
    ) from error

__all__ = ["MutualInfoSelector", "mutual_info"]

Method = Literal["relevance", "mrmr", "joint"]
_JOINT_SAMPLES = 2000


def mutual_info(
    X: Any,
    y: Any,
    *,
    discrete_features: Discrete = "auto",
    discrete_target: Marked = "auto",
    model: Model = "mist-pairs",
    max_samples: int | None = None,
    random_state: Seed = 0,
    n_jobs: int | None = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    """I(X_f; y) of every feature in nats, ``[F]``: a ``score_func`` of ``SelectKBest``.

    Takes the place of both ``mutual_info_classif`` and ``mutual_info_regression``: whether ``y``
    holds classes or numbers is seen from its values. The scores do not change under increasing maps
    of columns, so that scaling before is of no use, and never exceed the entropy of labels.
    All rows are read. Of more than 16,384 of them, more than the weights were trained on, scores
    come from counts and nearest neighbours (:mod:`torchmist.scoring.many_rows`).

    Args:
        X: ``[N, F]`` array, tensor (also on a GPU), sparse matrix, dict of columns, or frame of
            pandas or polars.
        y: ``[N]``; text is class labels.
        discrete_features: which columns are labels: ``"auto"``
            (:func:`torchmist.scores.read_table` has the rules), True, False, or names, indices or a
            mask of columns.
        discrete_target: the same for ``y``.
        model: ``"mist-pairs"``; by an exact name such as ``"mist-pairs-v1"`` the weights alone, of
            any number of rows; ``"mist-fast"`` and ``"mist"`` score by weights for sets of
            columns, which takes ten to two hundred times as long.
        max_samples: score from this many rows, drawn without replacement; all by default.
        random_state: seed of that draw: an int, a generator of numpy, or None for a new one.
        n_jobs: processes of joblib over features. With None what ``joblib.parallel_config`` says:
            its Dask and Ray backends spread wide tables over machines.
        progress: show a bar, where tqdm is installed.

    Returns:
        ``[F]`` float64, at least 0.

    Raises:
        TypeError, ValueError: as :func:`torchmist.estimate`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(400, 3))
        >>> scores = mutual_info(X, X[:, 1] ** 2 + 0.1 * rng.normal(size=400))
        >>> int(scores.argmax())
        1
    """
    check_jobs(n_jobs)
    X = _collected(X)
    count, features = table_shape(X)
    order_notes(X=X, y=y)
    target = read_target(y, discrete_target)
    if count != len(target.values):
        raise ValueError(
            f"expected as many rows in X as in y, got {count} and {len(target.values)}"
        )
    rows = drawn_rows(count, max_samples, random_state)
    out = []
    with Bar(features, "feature", progress) as bar:
        for table in feature_tables(X, features, discrete_features, target):
            out.append(parallel_scores(*chosen_rows(rows, table, target), model, n_jobs, bar))
    return np.concatenate(out)


def _collected(X: Any) -> Any:
    """A table as it is, a lazy frame of polars as a frame."""
    return X.collect() if hasattr(X, "collect") else X


class MutualInfoSelector(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Keep the features that share most information with the target.

    - ``method="relevance"``: the largest I(X_f; y), each feature by itself;
    - ``"mrmr"``: one feature after the other, by relevance less the mean information that it shares
      with those chosen before, ``I(X_f; y) - mean_s I(X_f; X_s)`` (Peng, Long and Ding 2005,
      mutual information difference);
    - ``"joint"``: one feature after the other, by the information of the whole set,
      ``I((X_s, X_f); y)``: what is redundant adds nothing, and what tells something only together
      with others is seen once these are chosen. Sets of labels are counted; sets with numbers go
      through weights for sets of columns, which takes far longer than the other methods.

    Args:
        n_features_to_select: a number, a share of all (float below 1), or None for half.
        method: as above.
        discrete_features, discrete_target, model: as in :func:`mutual_info`.
        joint_model: weights for sets with numbers; ``"mist-fast"`` takes a sixth of the time of
            ``"mist"`` and sees fewer interactions.
        max_samples: rows to score from, drawn once; None for all (2,000 of them for ``"joint"``).
        random_state, n_jobs, progress: as in :func:`mutual_info`.

    Attributes:
        scores_: ``[F]`` nats: I(X_f; y) of each feature by itself.
        ranking_: places of the chosen features in the order of their choice.
        gains_: the criterion of each of them when it was chosen, in nats; for ``"joint"`` the
            information of the set with it.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(300, 4))
        >>> y = X[:, 0] + 0.7 * X[:, 1]
        >>> X[:, 3] = X[:, 0]  # redundant
        >>> MutualInfoSelector(2, method="mrmr").fit(X, y).get_support().tolist()[1:3]
        [True, False]
    """

    def __init__(
        self,
        n_features_to_select: int | float | None = None,
        *,
        method: Method = "relevance",
        discrete_features: Discrete = "auto",
        discrete_target: Marked = "auto",
        model: Model = "mist-pairs",
        joint_model: Model = "mist",
        max_samples: int | None = None,
        random_state: Seed = 0,
        n_jobs: int | None = None,
        progress: bool = False,
    ) -> None:
        self.n_features_to_select = n_features_to_select
        self.method = method
        self.discrete_features = discrete_features
        self.discrete_target = discrete_target
        self.model = model
        self.joint_model = joint_model
        self.max_samples = max_samples
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.progress = progress

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any) -> MutualInfoSelector:
        """Choose features of ``X`` ``[N, F]`` for ``y`` ``[N]``.

        Raises:
            ValueError: for an unknown method, a number of features outside 1 to F, a frame with
                two columns of one name, and as :func:`mutual_info`.
        """
        if self.method not in ("relevance", "mrmr", "joint"):
            raise ValueError(f"expected method 'relevance', 'mrmr' or 'joint', got {self.method!r}")
        check_jobs(self.n_jobs)
        X = _collected(X)
        order_notes(X=X, y=y)
        frame = hasattr(X, "columns")  # whose columns have types of their own
        if frame:
            check_names(X)
            validate_data(self, X, y, skip_check_array=True)
        else:
            text = self.discrete_features not in ("auto", False)  # text is labels if marked
            kind = None if text else "numeric"
            X, y = validate_data(self, X, y, dtype=kind, accept_sparse=("csc", "csr"))
        target = read_target(y, self.discrete_target)
        beside = target.values[:, 0]
        table = read_table(X, "X", self.discrete_features, beside, "discrete_features")
        count = self._count(len(table))
        most = self.max_samples
        if most is None and self.method == "joint":
            most = _JOINT_SAMPLES
        table, target = chosen_rows(
            drawn_rows(len(target.values), most, self.random_state), table, target
        )
        steps = len(table) * (1 if self.method == "relevance" else count)
        with Bar(steps, "feature", self.progress) as bar:
            self.scores_ = parallel_scores(table, target, self.model, self.n_jobs, bar)
            if self.method == "relevance":
                self.ranking_ = np.argsort(-self.scores_, kind="stable")[:count]
                self.gains_ = self.scores_[self.ranking_]
            elif self.method == "mrmr":
                self._fit_mrmr(table, count, bar)
            else:
                self._fit_joint(table, target, count, bar)
        return self

    def transform(self, X: Any) -> Any:
        """The chosen columns of ``X``: an array, or what ``set_output`` says.

        Of frames with text or categories a frame keeps the types of its columns, and an array
        holds objects where the chosen columns are not numbers alone.
        """
        X = _collected(X)
        if not mixed_frame(X):
            return super().transform(X)
        check_is_fitted(self, "ranking_")
        validate_data(self, X, reset=False, skip_check_array=True)
        places = np.flatnonzero(self._get_support_mask()).tolist()
        chosen = X.iloc[:, places] if hasattr(X, "iloc") else X[:, places]
        as_array = _get_output_config("transform", self)["dense"] == "default"
        return np.asarray(chosen) if as_array else chosen

    def _count(self, features: int) -> int:
        wanted = self.n_features_to_select
        if wanted is None:
            return max(1, features // 2)
        if isinstance(wanted, numbers.Integral) and not isinstance(wanted, bool):
            if 1 <= wanted <= features:
                return int(wanted)
        elif isinstance(wanted, numbers.Real) and 0 < wanted < 1:
            return max(1, round(float(wanted) * features))
        raise ValueError(
            f"expected n_features_to_select from 1 to {features}, a share between 0 and 1, or "
            f"None, got {wanted!r}"
        )

    def _fit_mrmr(self, table: Columns, count: int, bar: Bar) -> None:
        redundancy = np.zeros(len(table))
        ranking: list[int] = []
        gains: list[float] = []
        for k in range(count):
            worth = self.scores_ - redundancy / max(1, k)
            worth[ranking] = -np.inf
            ranking.append(int(worth.argmax()))
            gains.append(float(worth.max()))
            if k + 1 < count:
                last = table.pick(ranking[-1:])
                redundancy += parallel_scores(table, last, self.model, self.n_jobs, bar)
        self.ranking_, self.gains_ = np.array(ranking), np.array(gains)

    def _fit_joint(self, table: Columns, target: Columns, count: int, bar: Bar) -> None:
        ranking: list[int] = [int(self.scores_.argmax())]
        gains: list[float] = [float(self.scores_.max())]
        while len(ranking) < count:
            left = [k for k in range(len(table)) if k not in ranking]
            found = parallel_joint(table, ranking, left, target, self.joint_model, self.n_jobs, bar)
            ranking.append(left[int(found.argmax())])
            gains.append(float(found.max()))
        self.ranking_, self.gains_ = np.array(ranking), np.array(gains)

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self, "ranking_")
        mask = np.zeros(len(self.scores_), dtype=bool)
        mask[self.ranking_] = True
        return mask
