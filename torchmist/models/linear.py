r"""What the columns of both sides share were their scores Gaussian, without the bias of a sample.

.. math:: \tfrac12 (\log|R_x| + \log|R_y| - \log|R|) - b(n, d_x, d_y)

with b the expected value for independent columns. It is what sees dependence that is spread thinly
over hundreds of columns, where no few directions hold much of it. Where a side has more columns
than a quarter of the sample, its leading components stand for it. Scores of columns that differ
from one value in fewer than eight rows are cut, those of components at five deviations, and what
was lost of a variance counts as noise: else two columns that differ in the same row by chance would
share all.
Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.copula import standardise
from torchmist.models.directions import Through
from torchmist.models.gaussian import gaussian_bias
from torchmist.models.local import row_counts
from torchmist.models.pair_scores import side_scores

__all__ = ["SHARE", "gaussian_information", "linear_information"]

SHARE = 4
"""Rows for each column, from which all columns are taken."""
_RIDGE = 1e-8
_EDGE = 5.0  # deviations, beyond which no scores of distinct values lie
_FEW = 8  # rows that share the variance of a column, up to which its scores are cut
_SPARSE = 6  # rows over the fourth moment of a column, which is n / k where k rows differ from it
_ROUNDING = 1e-6  # of a variance of 1


def linear_information(
    x: Tensor, y: Tensor, mask: Tensor | None, through: tuple[Through, Through] | None
) -> Tensor:
    """Estimates ``[B, 1]`` in nats of ``[B, N, dx]`` and ``[B, N, dy]``.

    ``mask``: ``[B, N]`` bool, True for real samples; ``through``: both sides as
    :func:`torchmist.models.directions.see_through` shows them, or None, where all columns count.
    """
    most = x.shape[1] // SHARE
    n = row_counts(x, mask)
    rows = []
    for k, side in enumerate((x, y)):
        if through is None or side.shape[-1] <= most:
            shown = side_scores(side, mask)
            rows.append(_cut_sparse(standardise(shown.double().mT, mask).mT, n))
        else:
            shown = through[k].rows[..., : max(1, most)]
            rows.append(standardise(shown.double().mT, mask).mT.clamp(-_EDGE, _EDGE))
    return gaussian_information(rows[0], rows[1], n)[:, None].to(shown.dtype)


def _cut_sparse(rows: Tensor, n: Tensor) -> Tensor:
    """Columns ``[B, N, d]`` of variance 1, without what stands out too far in those that differ
    from one value in a few rows."""
    n = n[:, None, None].to(rows)
    edge = (n / _FEW).sqrt().clamp(min=_EDGE)
    fourth = rows.square().square().sum(1, keepdim=True) / n
    return torch.where(fourth > n / _SPARSE, rows.clamp(-edge, edge), rows)


def gaussian_information(x: Tensor, y: Tensor, n: Tensor, ridge: float = _RIDGE) -> Tensor:
    """What ``n`` ``[B]`` rows of columns of mean 0 and variance 1, ``[B, N, d]`` double precision
    with zeros for padding, share were they Gaussian, in nats and less its bias, ``[B]``.

    ``ridge``: variance of the noise that every column is taken to have.
    """
    logs = [_half_logdet(part, n, ridge) for part in (x, y, torch.cat([x, y], -1))]
    return logs[0] + logs[1] - logs[2] - gaussian_bias(n, x.shape[-1], y.shape[-1])


def _half_logdet(rows: Tensor, n: Tensor, ridge: float) -> Tensor:
    """Half the log-determinant of the ridge correlations of ``[B, N, d]``, ``[B]``; what a column
    lacks of a variance of 1 is noise."""
    gram = rows.mT @ rows / n.double()[:, None, None]
    lacking = 1 - gram.diagonal(dim1=-2, dim2=-1)
    gram = gram + torch.where(lacking > _ROUNDING, lacking, 0.0).diag_embed()
    eye = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
    lower = torch.linalg.cholesky_ex((gram + ridge * eye) / (1 + ridge)).L
    half: Tensor = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return half
