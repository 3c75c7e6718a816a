"""``WarpedMeta``: a meta-distribution seen through one flow per side, with the labels it had.

I(f(X); g(Y)) = I(X; Y) for invertible f and g, so every label stays exact. Legend: ``B`` datasets,
``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from torchmist.adapt.flows import Flow
from torchmist.copula import normal_scores
from torchmist.synthetic import Batch
from torchmist.synthetic.registry import Sampler

__all__ = ["WarpedMeta"]


class WarpedMeta:
    """``meta`` in the modality of the flows: a meta-distribution with the same exact labels.

    Each column is made standard normal (an increasing map), then each side goes through its flow
    (an invertible one): neither changes MI.

    Args:
        meta: of continuous columns; a ``CanonicalMeta``, whose sides are exactly what flows map
            onto the data, or any other.
        flow_x, flow_y: fitted flows; ``None`` leaves a side as it is.
    """

    def __init__(self, meta: Sampler, flow_x: Flow | None, flow_y: Flow | None) -> None:
        self.meta, self.flow_x, self.flow_y = meta, flow_x, flow_y

    def sample(
        self, batch_size: int, n: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> Batch:
        """``batch_size`` datasets of ``n`` samples with their exact MI in nats.

        Raises:
            ValueError: for other ``dx`` or ``dy`` than the columns of the flows.
        """
        batch = self.meta.sample(batch_size, n, dx, dy, generator=generator)
        x, y = _through(self.flow_x, batch.x, "dx"), _through(self.flow_y, batch.y, "dy")
        return replace(batch, x=x, y=y)


@torch.no_grad()
def _through(flow: Flow | None, value: Tensor, name: str) -> Tensor:
    """``[B, N, d]`` to standard normal columns, and through the flow."""
    if flow is None:
        return value
    if value.shape[-1] != flow.columns:
        raise ValueError(
            f"expected {name}={flow.columns}, the columns of its flow, got {value.shape[-1]}"
        )
    out: Tensor = flow(normal_scores(value))
    return out
