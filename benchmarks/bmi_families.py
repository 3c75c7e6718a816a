"""The paper's families as samplers of the bmi benchmark library, the independent oracle.

The core never imports bmi; the evaluation and the tests do, through this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from bmi.benchmark.tasks import multinormal, student, wiggly
from bmi.samplers import (
    AdditiveUniformSampler,
    IndependentConcatenationSampler,
    TransformedSampler,
)
from bmi.transforms import half_cube
from numpy.typing import NDArray

from torchmist.synthetic import PaperFamily, PaperParameters

__all__ = ["BMISampler", "bmi_sampler"]

_TASKS: dict[tuple[str, str], tuple[Callable[..., Any], tuple[str, ...]]] = {
    ("normal", "dense"): (multinormal.task_multinormal_dense, ("off_diag",)),
    ("normal", "sparse"): (multinormal.task_multinormal_sparse, ("n_interacting", "strength")),
    ("normal", "2pair"): (multinormal.task_multinormal_2pair, ("strength",)),
    ("normal", "lvm"): (
        multinormal.task_multinormal_lvm,
        ("n_interacting", "alpha", "lambd", "beta", "eta"),
    ),
    ("student", "dense"): (student.task_student_dense, ("df", "off_diag")),
    ("student", "sparse"): (student.task_student_sparse, ("df", "n_interacting", "strength")),
    ("student", "2pair"): (student.task_student_2pair, ("df", "strength")),
}
_WARPS = {
    "halfcube": (half_cube, half_cube),
    "asinh": (jnp.arcsinh, jnp.arcsinh),
    "wigglify": (wiggly.wiggly_x, wiggly.wiggly_y),
}


class BMISampler:
    """A sampler of bmi and its exact MI, in the types used here."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler

    def mutual_information(self) -> float:
        """Exact I(X;Y) in nats."""
        return float(self._sampler.mutual_information())

    def sample(self, n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Samples X and Y, each ``[n, d]`` float32."""
        x, y = self._sampler.sample(n, seed)
        return np.array(x, dtype=np.float32), np.array(y, dtype=np.float32)


def bmi_sampler(family: str, parameters: PaperParameters) -> BMISampler:
    """The sampler of ``family`` with the very same parameters.

    Raises:
        ValueError: for an unknown family.
    """
    kind, dim = PaperFamily.from_name(family), parameters.dim
    if kind.base == "additive_noise":
        columns = [AdditiveUniformSampler(epsilon) for epsilon in parameters.epsilon]
        sampler: Any = IndependentConcatenationSampler(columns)
    else:
        task, names = _TASKS[kind.base, kind.structure]
        arguments = {name: getattr(parameters, name) for name in names}
        sampler = task(dim_x=dim, dim_y=dim, **arguments).sampler
    if kind.warp != "base":
        warp_x, warp_y = _WARPS[kind.warp]
        sampler = TransformedSampler(sampler, transform_x=warp_x, transform_y=warp_y)
    return BMISampler(sampler)
