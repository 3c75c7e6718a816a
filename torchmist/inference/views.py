"""Other views of the same sample: whitened, rotated, and, of wide sides, running directions.

A linear map of a side that can be undone leaves the mutual information as it is and shows the
network what single columns drown: combinations of small variance, dependence along no axis.
Of a side of more columns than a batch can hold, a :class:`RunningDirections` keeps a few, from
correlations averaged over the batches before.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``k`` directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchmist.copula import normal_scores, standardise_units
from torchmist.models.local import whitened
from torchmist.numerics.eigen import eigenvectors

__all__ = ["RunningDirections", "rotated_view", "whitened_view"]

_RIDGE, _TINY = 1e-3, 1e-9
_STATE = ("within_z", "within_y", "between", "maps_z", "maps_y", "seen")


def whitened_view(z: Tensor, mask: Tensor | None = None) -> Tensor:
    """Normal scores of ``z`` ``[B, N, d]`` in a frame in which its columns are uncorrelated."""
    scores = normal_scores(z, mask).mT
    if mask is None:
        count = torch.full((1, 1, 1), float(z.shape[1]), device=z.device, dtype=torch.float32)
    else:
        count = mask.sum(-1)[:, None, None].to(scores.dtype)
    out: Tensor = whitened(scores, count).mT
    return out


def rotated_view(z: Tensor, mask: Tensor | None = None) -> Tensor:
    """Standardised columns of ``z`` ``[B, N, d]`` through one fixed random rotation of each ``d``.

    The rotation depends on ``d`` alone, and the global random state is left alone.
    """
    d = z.shape[-1]
    if d == 1:
        return z
    generator = torch.Generator().manual_seed(7919 + d)
    turn = torch.linalg.qr(
        torch.randn(d, d, generator=generator, device="cpu", dtype=torch.float32)
    ).Q.to(z.device)
    out: Tensor = standardise_units(z.float().mT, mask).mT @ turn
    return out


class RunningDirections(nn.Module):
    r"""A few directions of two wide sides, from running averages that leave the batch at hand out.

    Correlations :math:`R_z, R_y, C` of standardised columns are averaged exponentially. From them,
    shrunk by the number of samples behind them, half of the directions are canonical and half are
    principal ones, refreshed every few batches by subspace iteration from those before. They are
    constants of the backward pass. A batch is seen through directions which it had no part in, so
    that what they show is there and not fitted.

    Args:
        keep: directions of each wide side, ``k``.
        widest: sides of at most this many columns stay as they are.
        decay: of the running averages, per batch.
        every: batches from one refresh to the next.

    Example:
        >>> import torch
        >>> directions = RunningDirections(keep=8, widest=32)
        >>> z, y = torch.randn(1, 64, 100), torch.randn(1, 64, 2)
        >>> directions.learn(z, y)
        >>> [tuple(side.shape) for side in directions(z, y)]
        [(1, 64, 8), (1, 64, 2)]
    """

    within_z: Tensor | None
    within_y: Tensor | None
    between: Tensor | None
    maps_z: Tensor | None
    maps_y: Tensor | None
    seen: Tensor | None

    def __init__(
        self, keep: int = 16, widest: int = 32, decay: float = 0.97, every: int = 5
    ) -> None:
        super().__init__()
        self.keep, self.widest, self.decay, self.every = keep, widest, decay, every
        for name in _STATE:
            self.register_buffer(name, None)
        self.batches = 0

    def needed(self, z: Tensor, y: Tensor) -> bool:
        """Whether either side is wide."""
        return max(z.shape[-1], y.shape[-1]) > self.widest

    def forward(self, z: Tensor, y: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Both sides ``[B, N, d]``, wide ones as ``[B, N, k]``."""
        sides = []
        for side, maps in ((z, self.maps_z), (y, self.maps_y)):
            if side.shape[-1] > self.widest:
                if maps is None or maps.shape[0] != side.shape[-1]:
                    maps = _start(side.shape[-1], self.keep, side.device)
                side = standardise_units(side.float().mT, mask).mT @ maps.to(side.device)
            sides.append(side)
        return sides[0], sides[1]

    @torch.no_grad()
    def learn(self, z: Tensor, y: Tensor, mask: Tensor | None = None) -> None:
        """Take a batch into the averages, and renew the directions when it is time."""
        z, y = (standardise_units(v.detach().float().mT, mask).mT.flatten(0, 1) for v in (z, y))
        count = len(z) if mask is None else int(mask.sum())
        batch = (z.mT @ z / count, y.mT @ y / count, z.mT @ y / count)
        fresh = self.between is None or self.between.shape != batch[2].shape
        if fresh:
            self.batches = 0
            self.maps_z = self.maps_y = None
        share = max(1 - self.decay, 1 / (self.batches + 1))
        old = batch if fresh else (self.within_z, self.within_y, self.between)
        self.within_z, self.within_y, self.between = (
            torch.lerp(a, b, share) for a, b in zip(old, batch) if a is not None
        )
        self.batches += 1
        self.seen = torch.full((), float(self.batches), device=z.device, dtype=torch.float32)
        if self.batches == 1 or self.batches % self.every == 0:
            whole = count * min(self.batches, (1 + self.decay) / (1 - self.decay))
            self._renew(whole)

    def _renew(self, samples: float) -> None:
        within_z, within_y, between = self.within_z, self.within_y, self.between
        assert within_z is not None and within_y is not None and between is not None
        factors = [_shrunk_factor(r, samples) for r in (within_z, within_y)]
        whitened = torch.linalg.solve_triangular(factors[0], between, upper=False)
        whitened = torch.linalg.solve_triangular(factors[1], whitened.mT, upper=False).mT
        half = self.keep // 2
        found = _leading(whitened, half, None)
        pair = found, whitened.mT @ found
        for name, r, lower, ways in zip(("z", "y"), (within_z, within_y), factors, pair):
            if len(r) <= self.widest:
                continue
            canonical = torch.linalg.solve_triangular(lower.mT, ways, upper=True)
            old = getattr(self, f"maps_{name}")
            before = None if old is None else old[:, half:]
            principal = _leading(r, self.keep - half, before)
            scale = [(w * (r @ w)).sum(0).clamp(min=_TINY).rsqrt() for w in (canonical, principal)]
            setattr(
                self, f"maps_{name}", torch.cat([canonical * scale[0], principal * scale[1]], 1)
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RunningDirections:
        """Follow the host to its device, in float32."""
        for name in _STATE:
            value = getattr(self, name)
            if value is not None:
                device = fn(torch.zeros((), device=value.device, dtype=torch.float32)).device
                setattr(self, name, value.to(device))
        return self

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, *args: Any
    ) -> None:
        if metadata and not any(prefix + name in state_dict for name in _STATE):
            for name in _STATE:  # the state is one of before the first wide sides
                setattr(self, name, None)
        for name in _STATE:
            found, own = state_dict.get(prefix + name), getattr(self, name)
            if found is not None and (own is None or own.shape != found.shape):
                setattr(self, name, torch.zeros_like(found).float())
        super()._load_from_state_dict(state_dict, prefix, metadata, *args)
        self.batches = 0 if self.seen is None else int(self.seen)


def _start(d: int, keep: int, device: torch.device) -> Tensor:
    """Random orthonormal directions ``[d, k]``, the same ones for each ``d``."""
    generator = torch.Generator().manual_seed(104729 + d)
    out: Tensor = torch.linalg.qr(
        torch.randn(d, keep, generator=generator, device="cpu", dtype=torch.float32)
    ).Q.to(device)
    return out


def _leading(root: Tensor, count: int, before: Tensor | None) -> Tensor:
    """About the leading left singular vectors ``[d, count]`` of ``root`` ``[d, p]``."""
    d = len(root)
    if d <= 256:
        return eigenvectors(root @ root.mT)[1][:, -min(count, d) :]
    ways = _start(d, count, root.device) if before is None else before
    for _ in range(6 if before is None else 3):
        ways = torch.linalg.qr(root @ (root.mT @ ways)).Q
    return ways


def _shrunk_factor(correlation: Tensor, samples: float) -> Tensor:
    """Cholesky factor of correlations ``[d, d]``, shrunk as in Schäfer and Strimmer (2005)."""
    d = len(correlation)
    squares = (correlation.square().sum() - d).clamp(min=1e-6)
    share = ((d * (d - 1) - squares) / (samples * squares)).clamp(10 * _RIDGE, 1.0)
    eye = torch.eye(d, dtype=correlation.dtype, device=correlation.device)
    lower: Tensor = torch.linalg.cholesky_ex((1 - share) * correlation + share * eye).L
    return lower
