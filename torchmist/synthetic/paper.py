"""The meta-distribution of MIST (arXiv 2511.18945) over datasets with exactly known MI.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns on each side (``dx = dy = d``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchmist.synthetic.additive import additive_mi, sample_additive
from torchmist.synthetic.batch import Batch
from torchmist.synthetic.families import TRAIN_FAMILIES, PaperFamily
from torchmist.synthetic.latent import LatentParameters, latent_mi, sample_latent
from torchmist.synthetic.parameters import PaperParameters, ParameterBatch, check_dim
from torchmist.synthetic.warps import WARPS

__all__ = ["PaperMeta", "family_mi", "sample_family"]


class PaperMeta:
    """The paper's meta-distribution over datasets, or a part of it given by its families.

    Families are equally likely; :class:`PaperParameters` states the parameter laws.

    Args:
        families: names; the 16 training families by default.

    Raises:
        ValueError: for an unknown family, an empty selection, or sizes out of range.

    Example:
        >>> import torch
        >>> batch = PaperMeta().sample(8, 100, 5, generator=torch.Generator().manual_seed(0))
        >>> batch.x.shape, batch.mi.shape
        (torch.Size([8, 100, 5]), torch.Size([8]))
    """

    def __init__(self, families: Sequence[str] | None = None) -> None:
        self.families = tuple(TRAIN_FAMILIES if families is None else families)
        if not self.families:
            raise ValueError("expected at least one family, got none")
        self._parts = [PaperFamily.from_name(name) for name in self.families]

    def sample(
        self,
        batch_size: int,
        n: int,
        dim: int,
        dy: int | None = None,
        *,
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ) -> Batch:
        """``batch_size`` datasets of ``n`` samples with ``dx = dy = dim``.

        ``dy``: as other families take it (:class:`~torchmist.synthetic.registry.Sampler`); the
        paper's have as many columns on both sides.

        The family and the parameters of each dataset are drawn anew. Everything is made on the
        generator's device, then moved to ``device`` where one is given, so the datasets depend on
        the generator alone; the global random state is untouched.

        Raises:
            ValueError: if ``batch_size < 1``, ``n < 1`` or ``dim < 2``, and for another ``dy``.
        """
        check_dim(dim)
        if dy not in (None, dim):
            raise ValueError(f"expected as many columns on both sides, got {dim} and {dy}")
        if batch_size < 1:
            raise ValueError(f"expected batch_size >= 1 datasets, got {batch_size}")
        family = torch.randint(
            len(self.families), (batch_size,), generator=generator, device=generator.device
        )
        parameters = ParameterBatch.draw(batch_size, dim, generator=generator)
        batch = self.sample_from(family, parameters, n, generator=generator)
        return batch if device is None else batch.to(device)

    def sample_from(
        self, family: Tensor, parameters: ParameterBatch, n: int, *, generator: torch.Generator
    ) -> Batch:
        """Datasets of ``n`` samples with families ``[B]`` and parameters given, on their device.

        Raises:
            ValueError: if ``n < 1``.
        """
        if n < 1:
            raise ValueError(f"expected n >= 1 samples, got {n}")
        latent = self._latent(family, parameters)
        x, y = sample_latent(latent, n, parameters.dim, generator=generator)
        additive = self._where(family, "base", "additive_noise").nonzero().squeeze(-1)
        if len(additive):
            x[additive], y[additive] = sample_additive(
                parameters.epsilon[additive], n, generator=generator
            )
        for warp in sorted({part.warp for part in self._parts} - {"base"}):
            rows = self._where(family, "warp", warp).nonzero().squeeze(-1)
            warp_x, warp_y = WARPS[warp]
            x[rows], y[rows] = warp_x(x[rows]), warp_y(y[rows])
        mi = self.mutual_information(family, parameters).float()
        return Batch(x, y, mi, family, torch.zeros_like(mi))

    def mutual_information(self, family: Tensor, parameters: ParameterBatch) -> Tensor:
        """Exact I(X;Y) in nats of datasets with families and parameters given, ``[B]`` float64."""
        latent = latent_mi(self._latent(family, parameters), parameters.dim)
        additive = self._where(family, "base", "additive_noise")
        return torch.where(additive, additive_mi(parameters.epsilon), latent)

    def _where(self, family: Tensor, part: str, value: str) -> Tensor:
        """Which datasets' families have ``value`` as that part of their name, ``[B]`` bool."""
        member = [getattr(p, part) == value for p in self._parts]
        return torch.tensor(member, device=family.device)[family]

    def _latent(self, family: Tensor, p: ParameterBatch) -> LatentParameters:
        """The latent-variable form of each dataset (of additive noise: one that is not used)."""
        dense, lvm, two, student = (
            self._where(family, part, value)
            for part, value in (
                ("structure", "dense"),
                ("structure", "lvm"),
                ("structure", "2pair"),
                ("base", "student"),
            )
        )
        interacting = torch.where(two, 2, p.n_interacting).double()
        alpha = torch.where(lvm, p.alpha, 0.0)
        return LatentParameters(
            interacting=torch.where(dense, 0.0, interacting),
            epsilon=torch.where(dense, (1 - p.off_diag).sqrt(), 1.0),
            alpha=torch.where(dense, p.off_diag.sqrt(), alpha),
            beta=torch.where(lvm, p.beta, 0.0),
            lambd=torch.where(dense, 0.0, torch.where(lvm, p.lambd, p.strength)),
            eta=torch.where(dense, 0.0, torch.where(lvm, p.eta, p.strength)),
            df=torch.where(student, p.df, torch.inf),
        )


def sample_family(
    family: str, parameters: Sequence[PaperParameters], n: int, *, generator: torch.Generator
) -> Batch:
    """One dataset of ``n`` samples of ``family`` for each of ``parameters``.

    Raises:
        ValueError: for an unknown family, ``n < 1``, or parameters of different dimensions.
    """
    meta = PaperMeta([family])
    stacked = ParameterBatch.stack(parameters, generator.device)
    index = torch.zeros(len(parameters), dtype=torch.int64, device=generator.device)
    return meta.sample_from(index, stacked, n, generator=generator)


def family_mi(family: str, parameters: Sequence[PaperParameters]) -> Tensor:
    """Exact I(X;Y) in nats of ``family`` for each of ``parameters``, ``[B]`` float64.

    Raises:
        ValueError: for an unknown family or parameters of different dimensions.
    """
    meta = PaperMeta([family])
    index = torch.zeros(len(parameters), dtype=torch.int64)
    return meta.mutual_information(index, ParameterBatch.stack(parameters))
