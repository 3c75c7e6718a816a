"""What an arbiter reads of datasets.

Legend: ``B`` datasets, ``Q`` quantiles, ``O`` opinions, ``F`` features.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from torchmist.quantile_head import from_nats

__all__ = ["Evidence", "in_t"]

_LEAST = -0.19  # nats


class Evidence(NamedTuple):
    """What an arbiter reads of ``B`` datasets.

    ``plain``, ``local``: quantiles of both networks ``[B, Q]`` in nats; ``opinions``: estimates of
    neighbours and kernels ``[B, O]`` in nats; ``variates`` ``[B, V]``: those between cross-fitted
    functions of both sides, whose ``correlations`` are ``[B, k]``, and ``sharpness`` the logs of
    the bounds' temperatures; ``linear`` ``[B, 1]``: what all columns share were they Gaussian, in
    nats; ``matched`` ``[B, 3]``: what columns share in pairs, by neighbours and were they Gaussian,
    in nats, and how many pairs there are; ``crossed`` ``[B, P]``: what variates say that have
    products of columns (:class:`~torchmist.models.column_products.Crossed`); ``unmixed``
    ``[B, U]``: what independent components share in pairs
    (:class:`~torchmist.models.independent_components.Unmixed`); ``told`` ``[B, L]``: what
    classifiers of a label show (:class:`~torchmist.models.label_classifiers.Told`); ``repeated``
    ``[B, R]``: what variates say once (:class:`~torchmist.models.repeated_variates.Repeated`);
    ``regimes`` ``[B, S]``: what mixtures say (:class:`~torchmist.models.regimes.Regimes`);
    ``settled`` ``[B, W]``: what neighbours say among all rows
    (:class:`~torchmist.models.settled_neighbours.Settled`); ``recognised`` ``[B, Q]``: quantiles in
    nats of a network that knows canonical laws alone; ``turned`` ``[B, T]``: what is said of turned
    axes (:class:`~torchmist.ensemble.correction_turned_axes.Turned`); ``crowded`` ``[B, K]``: what
    mixtures of many classes say (:class:`~torchmist.models.latent_classes.LatentClasses`);
    ``folded`` ``[B, E]``: what even functions of few directions show
    (:class:`~torchmist.models.even_directions.EvenDirections`); ``curved`` ``[B, D]``: of how many
    dimensions both sides are (:class:`~torchmist.models.manifold_dimensions.ManifoldDimensions`);
    ``learned`` ``[B, H]``: how fast a classifier of a label learns
    (:class:`~torchmist.models.label_curves.LabelCurves`); ``predicted`` ``[B, P]``: how fast a
    regression of numbers does (:class:`~torchmist.models.number_curves.NumberCurves`);
    ``centre`` ``[B]``: the ``t`` that
    the second network measures from; ``features``: means and deviations of its local statistics
    ``[B, F]``; ``sizes`` ``[B, 3]``: N, dx and dy.
    """

    plain: Tensor
    local: Tensor
    opinions: Tensor
    centre: Tensor
    features: Tensor
    variates: Tensor
    correlations: Tensor
    sharpness: Tensor
    linear: Tensor
    matched: Tensor
    crossed: Tensor
    unmixed: Tensor
    told: Tensor
    repeated: Tensor
    regimes: Tensor
    settled: Tensor
    recognised: Tensor
    turned: Tensor
    crowded: Tensor
    folded: Tensor
    curved: Tensor
    learned: Tensor
    predicted: Tensor
    sizes: Tensor


def in_t(nats: Tensor) -> Tensor:
    """``t`` of estimates in nats, which may lie below what it is defined for."""
    return from_nats(nats.clamp(min=_LEAST))
