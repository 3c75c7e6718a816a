r"""Two networks and an arbiter: one that reads pairs of columns, one that reads who is near whom.

The first (``plain``) is close to ideal where the world is Gaussian-like in its columns and silently
wrong elsewhere; the second (``local``) sees clusters, manifolds, waves, interactions and atoms, and
is too high on plain data. The arbiter reads the quantiles of both, the estimates of neighbours and
kernels, how far all of these disagree, and the sizes, and returns quantiles of
``t = log(I + 0.2)``,

.. math:: t_q = c + e^{s} (\bar t_q - \bar c) + a, \qquad
          \bar t_q = (1 - w)\, t^{plain}_q + w\, t^{local}_q,

with a share ``w`` in (0, 1), a shift ``a`` and a stretch ``s``. All that it reads is free of the
order of samples and columns, of monotone maps of columns and of the swap of the sides, so that the
estimate is as well. Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles, ``O`` opinions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchmist.heads import from_nats, quantile_levels, to_nats
from torchmist.models.mist import MIST
from torchmist.models.neighbourhood import OPINION_COUNT
from torchmist.models.network import QuantileNetwork
from torchmist.routes import route

__all__ = ["Arbiter", "DuoMIST"]

_LEAST = -0.19  # nats
_SIZES = 5
_FAR = 5.0  # deviations


class Arbiter(nn.Module):
    """Quantiles from those of two networks and from opinions.

    Args:
        width: of its two hidden layers.
        quantiles: of both networks.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int = 96, quantiles: int = 24) -> None:
        super().__init__()
        self.width, self.quantiles = width, quantiles
        read = 2 * OPINION_COUNT + 12 + _SIZES
        self.register_buffer("mean", torch.zeros(read))
        self.register_buffer("scale", torch.ones(read))
        self.network = nn.Sequential(
            nn.Linear(read, width), nn.GELU(), nn.Linear(width, width), nn.GELU(),
            nn.Linear(width, 4),
        )  # fmt: skip
        nn.init.zeros_(self.network[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.network[-1].bias)  # type: ignore[arg-type]

    def read(self, plain: Tensor, local: Tensor, opinions: Tensor, sizes: Tensor) -> Tensor:
        """What the arbiter sees, ``[B, F]``: quantiles ``[B, Q]`` and ``opinions`` ``[B, O]`` in
        nats, and ``sizes`` ``[B, 3]``: N, dx and dy."""
        t = from_nats(opinions.clamp(min=_LEAST))
        own = [from_nats(q.clamp(min=_LEAST)) for q in (plain, local)]
        marks = [q[:, [1, self.quantiles // 4, -1 - self.quantiles // 4, -2]] for q in own]
        centres = [q.mean(-1, keepdim=True) for q in own]
        n, dx, dy = sizes.to(t.dtype).unbind(-1)
        logs = [n.log(), torch.maximum(dx, dy).log(), torch.minimum(dx, dy).log()]
        logs += [(dx + dy).log() - n.log(), n.rsqrt()]
        return torch.cat(
            [*marks, *centres, centres[1] - centres[0], t.std(-1, keepdim=True), t,
             t - centres[0], torch.stack(logs, -1)], -1,
        )  # fmt: skip

    def standardise(self, read: Tensor) -> None:
        """Let the arbiter see what :meth:`read` gives less the mean and over the deviation of
        ``read`` ``[B, F]``."""
        self.mean.copy_(read.mean(0))
        self.scale.copy_(read.std(0).clamp(min=1e-3))

    def forward(self, plain: Tensor, local: Tensor, opinions: Tensor, sizes: Tensor) -> Tensor:
        """Quantiles ``[B, Q]`` in nats; arguments as :meth:`read`."""
        seen = (self.read(plain, local, opinions, sizes) - self.mean) / self.scale
        share, shift, low, high = self.network(seen.clamp(-_FAR, _FAR)).unsqueeze(-1).unbind(1)
        a, b = (from_nats(q.clamp(min=_LEAST)) for q in (plain, local))
        t = torch.lerp(a, b, torch.sigmoid(share))
        centre = t.median(-1, keepdim=True).values
        apart = t - centre
        stretch = torch.where(apart < 0, low, high).clamp(-3.0, 3.0).exp()
        return to_nats(centre + shift + stretch * apart)


class DuoMIST(QuantileNetwork):
    """Two :class:`~torchmist.models.mist.MIST` and an :class:`Arbiter` between them.

    Args:
        plain: network that reads pairs of columns.
        local: network with local statistics.
        arbiter: what decides between them.
        names: registered names of both networks, by which a file of the arbiter refers to them.
    """

    def __init__(self, plain: MIST, local: MIST, arbiter: Arbiter, names: tuple[str, str]) -> None:
        super().__init__()
        self.names = names
        self.plain, self.local, self.arbiter = plain, local, arbiter
        self.register_buffer("levels", quantile_levels(arbiter.quantiles), persistent=False)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Quantiles of I(X;Y) in nats, ``[B, Q]``, of ``[B, N, dx]`` and ``[B, N, dy]``."""
        out: Tensor = self.arbiter(*self.ask(x, y, mask))
        return out

    def ask(
        self, x: Tensor, y: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What the arbiter is given: both networks' quantiles, opinions and sizes."""
        plain = route(x, y, self.plain, mask)
        local, opinions = self.local.with_opinions(x, y, mask)
        if mask is None:
            n = torch.full((len(x), 1), float(x.shape[1]), device=x.device)
        else:
            n = mask.sum(-1, keepdim=True).float()
        dims = torch.tensor([[x.shape[-1], y.shape[-1]]], dtype=n.dtype, device=n.device)
        return plain, local, opinions, torch.cat([n, dims.expand(len(n), -1)], -1)
