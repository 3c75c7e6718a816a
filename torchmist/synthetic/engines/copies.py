r"""Near copies: pairs whose columns agree up to very little noise, beyond what a sample resolves.

.. math:: y_k = \rho_k x_k + \sqrt{1 - \rho_k^2}\, e_k, \qquad
          I(X;Y) = -\tfrac12 \sum_k \log(1 - \rho_k^2)

for one to three canonical pairs of 2 to 9 nats each, weaker ones beside them, and noise columns. A
network that has seen them knows where a sample stops to tell how much the sides share.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.family import Family

__all__ = ["Copies", "CopyParameters"]

_NATS = (2.0, 9.0)  # of a near copy
_WEAK = 1.0  # nats of a weaker pair at most
_PAIRS = 3


@dataclass(frozen=True)
class CopyParameters:
    """``nats`` ``[B, min(dx, dy)]`` of each canonical pair, 0 beyond those that share anything;
    ``order_x`` ``[B, dx]``, ``order_y`` ``[B, dy]``: where the columns stand."""

    nats: Tensor
    order_x: Tensor
    order_y: Tensor


class Copies(Family[CopyParameters]):
    """Canonical Gaussian pairs of which a few are nearly copies of each other."""

    name = "copies"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> CopyParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        device, most = generator.device, min(dx, dy)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device, dtype=torch.float64)

        place = torch.arange(most, device=device)
        near = 1 + (uniform(batch, 1) ** 2 * min(_PAIRS, most)).floor()
        used = 1 + (uniform(batch, 1) ** 2 * most).floor()
        low, high = _NATS
        strong = low + (high - low) * uniform(batch, most)
        weak = _WEAK * uniform(batch, most) ** 2
        nats = torch.where(place < near, strong, torch.where(place < used, weak, 0.0))
        return CopyParameters(nats, uniform(batch, dx).argsort(-1), uniform(batch, dy).argsort(-1))

    def sample_from(
        self, parameters: CopyParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        batch, pairs = p.nats.shape
        noise = (-2 * p.nats).exp().sqrt().unsqueeze(1)
        signal = (-torch.expm1(-2 * p.nats)).sqrt().unsqueeze(1)
        sides = []
        for order in (p.order_x, p.order_y):
            shape = (batch, n, order.shape[1])
            sides.append(
                torch.randn(shape, generator=generator, device=order.device, dtype=torch.float64)
            )
        x, y = sides
        y[..., :pairs] = signal * x[..., :pairs] + noise * y[..., :pairs]
        x = x.gather(-1, p.order_x[:, None].expand(-1, n, -1))
        y = y.gather(-1, p.order_y[:, None].expand(-1, n, -1))
        return x.float(), y.float()

    def information(
        self, parameters: CopyParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, which is 0, both ``[B]`` float64."""
        mi = parameters.nats.sum(-1)
        return mi, torch.zeros_like(mi)
