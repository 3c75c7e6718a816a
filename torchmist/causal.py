"""Tests of conditional independence for causal discovery: causal-learn and tigramite.

:class:`CausalLearnTest` is known to causal-learn as ``"torchmist"`` once this module is imported:
``pc(data, indep_test="torchmist", discrete=[2, 5])``. :class:`TigramiteTest` goes to ``PCMCI`` as
``cond_ind_test``. Their p-values are those of :func:`torchmist.conditional_independence_test`.
Without a condition, tigramite gets those of :func:`torchmist.independence_test`, and causal-learn,
which runs hundreds of tests on one table, those of the same scores as with a condition, under
orders of all rows, with what its tests have in common computed once. Both libraries come with
``pip install 'torchmist-mi[causal]'``; each class needs its own alone.

Legend: ``N`` samples, ``D`` columns.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from torchmist.conditional import estimate_conditional
from torchmist.estimation import estimate
from torchmist.functional import Model
from torchmist.independence import check_options, independence_test, sorted_given, sorted_pair
from torchmist.permutation_tests.autocorrelation import block_length
from torchmist.permutation_tests.residual_test import ResidualCache, residual_p_value
from torchmist.samples.column_kinds import Sorted
from torchmist.samples.columns import Discrete
from torchmist.scores import read_table

__all__ = ["CausalLearnTest", "TigramiteTest"]

Array = NDArray[Any]
_NAME = "torchmist"


def _stand_in(package: str, error: ImportError) -> type:
    """A base class in place of that of a package that is not there; no instance can be made."""

    class Absent:
        def __init__(self, *_: Any, **__: Any) -> None:
            raise ImportError(
                f"expected {package} for torchmist.causal.{type(self).__name__}, got {error}; "
                f"install it with pip install 'torchmist-mi[causal]'"
            )

    return Absent


try:
    from causallearn.utils.cit import CIT_Base, register_ci_test
except ImportError as error:
    CIT_Base, register_ci_test = _stand_in("causal-learn 0.1.4.2 or later", error), None
try:
    from tigramite.independence_tests.independence_tests_base import CondIndTest
except ImportError as error:
    CondIndTest = _stand_in("tigramite", error)


def _p_value(
    parts: Sequence[Array], marks: Sequence[list[bool]], permutations: int, stop: int | None,
    seed: int, cache: ResidualCache | None = None,
) -> float:  # fmt: skip
    """The p-value of x and y, given z unless it is empty: ``parts`` ``[N, d]``, masks of labels;
    ``cache``: of earlier tests of the same table."""
    x: Sorted
    y: Sorted
    given: Sorted | None = None
    if parts[2].shape[1]:
        x, y, given, _ = sorted_given(parts, marks)
    else:
        x, y = sorted_pair(parts[:2], marks[:2])[:2]
    options = (permutations, stop, torch.Generator().manual_seed(seed))
    cache = ResidualCache() if cache is None else cache
    return residual_p_value(x, y, given, *options, cache)[0]


class CausalLearnTest(CIT_Base):  # type: ignore[misc]
    """The test of causal-learn by the name ``"torchmist"``, for tables of numbers and labels.

    Made by causal-learn from what is given to ``pc``, ``fci`` and others beside
    ``indep_test="torchmist"``; called with columns, it returns a p-value.

    Args:
        data: ``[N, D]``, without missing values.
        discrete: which columns are labels: names are their indices as strings, or indices or a
            mask. ``"auto"``: those of at most 20 distinct values, five times each on average, and
            bool ones (:func:`torchmist.scores.read_table`).
        permutations, stop: as for :func:`torchmist.independence_test`. A search only asks whether p
            is at most its level, so that 10 of 199 decide at 5 % as all would; for 1 % take 999 and
            10. The level holds for any number; of more (499 and 25), edges near it hang less on the
            seed.
        seed: of the permutations of every test.
        cache_path: a JSON file of p-values, as for all tests of causal-learn.

    Raises:
        ImportError: without causal-learn.
        TypeError, ValueError: for data that is no table of finite numbers; for columns that are not
            there, for a cache of other options, and for ``permutations`` and ``stop`` as
            :func:`torchmist.independence_test`.
    """

    def __init__(
        self,
        data: Array,
        discrete: Discrete = "auto",
        permutations: int = 199,
        stop: int | None = 10,
        seed: int = 0,
        cache_path: str | None = None,
    ) -> None:
        if not isinstance(data, np.ndarray) or data.ndim != 2:
            raise ValueError(
                f"expected data as an array [N, D], got {type(data).__name__} of shape "
                f"{list(np.shape(data))}; pass frame.to_numpy() and discrete="
            )
        table = read_table(data, "data", discrete, argument="discrete")
        check_options("kernels", permutations, stop, None)
        super().__init__(data, cache_path=cache_path)
        self.labels = tuple(kind == "labels" for kind in table.taken)
        self.permutations, self.stop, self.seed = permutations, stop, seed
        self._residuals = ResidualCache()
        chosen = repr((self.labels, permutations, stop, seed))
        key = hashlib.md5(chosen.encode()).hexdigest()
        if self.pvalue_cache.get("parameters_hash", key) != key:
            raise ValueError(
                f"expected p-values of the same labels, permutations, stop and seed in "
                f"{cache_path}, got those of others; give another path"
            )
        self.check_cache_method_consistent(_NAME, key)

    def __call__(self, X: int, Y: int, condition_set: Iterable[int] | None = None) -> float:
        """The p-value of columns ``X`` and ``Y`` given those of ``condition_set``."""
        xs, ys, given, key = self.get_formatted_XYZ_and_cachekey(X, Y, condition_set)
        if key not in self.pvalue_cache:
            parts = [self.data[:, columns] for columns in (xs, ys, given)]
            marks = [[self.labels[k] for k in columns] for columns in (xs, ys, given)]
            chosen = (self.permutations, self.stop, self.seed)
            self.pvalue_cache[key] = _p_value(parts, marks, *chosen, cache=self._residuals)
        return float(self.pvalue_cache[key])


if register_ci_test is not None:
    register_ci_test(_NAME, CausalLearnTest)


class TigramiteTest(CondIndTest):  # type: ignore[misc]
    """The test as a ``CondIndTest`` of tigramite: ``PCMCI(frame, TigramiteTest())``.

    The value of a link is the estimate of the (conditional) mutual information in nats, its p-value
    that of permutations (``significance="shuffle_test"``); ``"fixed_thres"`` compares the value
    alone. Columns that are marked as discrete in all rows of the ``data_type`` of the dataframe are
    labels.

    Without a condition, rows are permuted in blocks that are longer than the series remember
    (``sig_blocklength``, by default :func:`torchmist.lags.block_length` of the first columns).
    Given a condition they are permuted among rows that are alike in it, which takes series for
    independent rows given their parents, as in the second step of PCMCI.

    Args:
        model: what estimates the value: a registered name, a file or a module.
        stop: as for :func:`torchmist.independence_test`.
        options: those of ``CondIndTest``: ``sig_samples`` is the number of permutations (199 by
            default), ``seed`` that of the permutations.

    Raises:
        ImportError: without tigramite.
        ValueError: for another ``significance``.
    """

    measure = "torchmist"

    def __init__(self, model: Model = "mist", stop: int | None = 20, **options: Any) -> None:
        chosen = {"significance": "shuffle_test", "sig_samples": 199, "seed": 42, **options}
        if chosen["significance"] not in ("shuffle_test", "fixed_thres"):
            raise ValueError(
                f"expected significance 'shuffle_test' or 'fixed_thres', got "
                f"{chosen['significance']!r}"
            )
        self.model, self.stop, self.seed = model, stop, int(chosen["seed"])
        self.two_sided, self.residual_based = False, False
        super().__init__(**chosen)

    def get_dependence_measure(
        self, array: Array, xyz: Array, data_type: Array | None = None
    ) -> float:
        """The estimate in nats for rows ``array`` ``[D, N]``, of x, y, z where ``xyz`` ``[D]`` is
        0, 1, 2."""
        (x, y, given), (of_x, of_y, of_given) = _sides(array, xyz, data_type)
        options: dict[str, Any] = {"discrete_x": of_x, "discrete_y": of_y, "model": self.model}
        with warnings.catch_warnings():  # that rows are those of series is known here
            warnings.simplefilter("ignore", UserWarning)
            if given.shape[1] == 0:
                return float(estimate(x, y, **options).mean)
            found = estimate_conditional(x, y, given, discrete_given=of_given, **options)
        return float(found.mean)

    def get_shuffle_significance(
        self,
        array: Array,
        xyz: Array,
        value: float,
        data_type: Array | None = None,
        return_null_dist: bool = False,
    ) -> float:
        """The p-value by permutations; ``value`` is not needed for it.

        Raises:
            ValueError: for ``return_null_dist``: scores of permutations are no values in nats.
        """
        if return_null_dist:
            raise ValueError(
                "expected return_null_dist=False, got True: permutations are compared by scores, "
                "not by values in nats"
            )
        parts, marks = _sides(array, xyz, data_type)
        if parts[2].shape[1]:
            return _p_value(parts, marks, self.sig_samples, self.stop, self.seed)
        both = (torch.from_numpy(part[:, 0]) for part in parts[:2])
        options: dict[str, Any] = {"discrete_x": marks[0], "discrete_y": marks[1]}
        return independence_test(
            *parts[:2],
            model=None,
            permutations=self.sig_samples,
            stop=self.stop,
            block=self.sig_blocklength or block_length(*both),
            generator=torch.Generator().manual_seed(self.seed),
            **options,
        ).p_value


def _sides(
    array: Array, xyz: Array, data_type: Array | None
) -> tuple[list[Array], list[list[bool]]]:
    """x, y and z ``[N, d]`` of rows ``array`` ``[D, N]``, and masks of their labels."""
    rows = [np.flatnonzero(np.asarray(xyz) == k) for k in range(3)]
    discrete = np.zeros(len(array), bool)
    if data_type is not None:
        discrete = np.asarray(data_type).astype(bool).all(1)
    parts = [np.ascontiguousarray(np.asarray(array)[k].T) for k in rows]
    return parts, [discrete[k].tolist() for k in rows]
