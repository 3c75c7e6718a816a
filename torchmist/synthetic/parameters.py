"""The paper's parameter laws (MIST, arXiv 2511.18945), for one dataset or a batch of them.

Legend: ``B`` datasets, ``d`` columns on each side (``dx = dy = d``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral

import torch
from torch import Tensor

from torchmist.synthetic.families import PaperFamily

__all__ = ["PaperParameters", "ParameterBatch", "check_dim", "draw_parameters"]


@dataclass(frozen=True)
class PaperParameters:
    """All parameters of one dataset with ``dx = dy = dim``; a family uses some of them.

    Args:
        dim: columns on each side.
        off_diag: correlation of every two columns (dense), U(0, 0.5).
        strength: weight of the shared and of the private factors (sparse, 2pair), U(0.1, 5).
        n_interacting: pairs of columns with a shared factor (sparse, lvm), uniform in 1..dim;
            2pair has two.
        alpha: weight of the factor in all columns (lvm), U(0, 1).
        lambd: weight of each pair's shared factor (lvm), U(0.1, 3).
        beta: weight of the factor in all columns of one side (lvm), U(0, 1.5).
        eta: weight of the private factor of the other columns (lvm), U(0.1, 5).
        df: degrees of freedom (student), U(1, 10).
        epsilon: half-width of the noise of each column (additive_noise), U(0.1, 2).
    """

    dim: int
    off_diag: float
    strength: float
    n_interacting: int
    alpha: float
    lambd: float
    beta: float
    eta: float
    df: float
    epsilon: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ParameterBatch:
    """Parameters of ``B`` datasets of one dimension: fields as in :class:`PaperParameters`.

    Each is ``[B]`` float64, but for ``n_interacting`` ``[B]`` int64 and ``epsilon`` ``[B, d]``.
    """

    off_diag: Tensor
    strength: Tensor
    alpha: Tensor
    lambd: Tensor
    beta: Tensor
    eta: Tensor
    df: Tensor
    n_interacting: Tensor
    epsilon: Tensor

    @property
    def dim(self) -> int:
        """Columns on each side."""
        return self.epsilon.shape[-1]

    @classmethod
    def draw(cls, batch_size: int, dim: int, *, generator: torch.Generator) -> ParameterBatch:
        """Independent draws of every parameter, on the generator's device."""
        device = generator.device

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            size = (batch_size, *shape)
            u = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
            return low + (high - low) * u

        return cls(
            off_diag=uniform(0.0, 0.5),
            strength=uniform(0.1, 5.0),
            alpha=uniform(0.0, 1.0),
            lambd=uniform(0.1, 3.0),
            beta=uniform(0.0, 1.5),
            eta=uniform(0.1, 5.0),
            df=uniform(1.0, 10.0),
            n_interacting=torch.randint(
                1, dim + 1, (batch_size,), generator=generator, device=device
            ),
            epsilon=uniform(0.1, 2.0, dim),
        )

    @classmethod
    def stack(
        cls, parameters: Sequence[PaperParameters], device: torch.device | str = "cpu"
    ) -> ParameterBatch:
        """A batch of given parameters.

        Raises:
            ValueError: if there are none, their dimensions differ, or one is out of range.
        """
        dims = sorted({p.dim for p in parameters})
        if len(dims) != 1:
            raise ValueError(f"expected datasets of one dimension, got dimensions {dims}")
        for p in parameters:
            if len(p.epsilon) != p.dim or not 1 <= p.n_interacting <= p.dim:
                raise ValueError(
                    f"expected {p.dim} noise widths and 1 <= n_interacting <= {p.dim}, got "
                    f"{len(p.epsilon)} and {p.n_interacting}"
                )

        def column(name: str) -> Tensor:
            dtype = torch.int64 if name == "n_interacting" else torch.float64
            return torch.tensor([getattr(p, name) for p in parameters], dtype=dtype, device=device)

        return cls(**{f.name: column(f.name) for f in fields(cls)})

    def unbind(self) -> list[PaperParameters]:
        """One :class:`PaperParameters` for each dataset, the inverse of :meth:`stack`."""
        names = [f.name for f in fields(self)]
        rows = zip(*(getattr(self, name).tolist() for name in names))
        records = [dict(zip(names, row)) for row in rows]
        return [PaperParameters(self.dim, **{**r, "epsilon": tuple(r["epsilon"])}) for r in records]


def check_dim(dim: int) -> None:
    """Raises ``ValueError`` unless ``dim`` is an integer of at least 2."""
    if not isinstance(dim, Integral) or dim < 2:
        raise ValueError(f"expected an integer dim >= 2 (columns on each side), got {dim!r}")


def draw_parameters(family: str, dim: int, generator: torch.Generator) -> PaperParameters:
    """Parameters of one dataset of ``family`` with ``dx = dy = dim``.

    Every parameter is drawn whatever the family, so the draws of two families agree.

    Raises:
        ValueError: for an unknown family or ``dim < 2``.

    Example:
        >>> draw_parameters("student-sparse-base", 3, torch.Generator().manual_seed(0)).dim
        3
    """
    PaperFamily.from_name(family)
    check_dim(dim)
    return ParameterBatch.draw(1, dim, generator=generator).unbind()[0]
