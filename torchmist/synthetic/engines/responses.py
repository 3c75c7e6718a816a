r"""Responses: numbers that a network, a form, waves or sums of bent columns give to rows.

.. math:: y_k = s_k(x) + \sigma_k e_k, \qquad
          I(X;Y) = \sum_k \big( h(y_k) - \tfrac12 \log 2\pi e \sigma_k^2 \big)

as :mod:`~torchmist.synthetic.engines.teachers`, but of numbers, of which few rows do not show how
much is noise. All or a part of the columns count, which are correlated, grouped or bent; two
numbers follow columns of their own. Beside them stand columns of noise, and all may be rotated or
bent. The density of a number is that of many scores, each with its noise. Legend: ``B`` datasets,
``N`` samples, ``n`` of them, ``d`` columns of the side, ``r`` directions, ``q`` columns of numbers,
``G`` points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmist.synthetic.engines.class_chances import grouped_rows
from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.nets import Network, draw_network

__all__ = ["ResponseParameters", "Responses"]

_PILOT = 2048  # rows, by which scores get mean 0 and variance 1
_KINDS = ("network", "form", "waves", "sums", "products", "ridge")
_ENDS = (0.40, 0.55, 0.67, 0.82, 0.90, 1.0)  # shares up to which scores are of these kinds
_GROUPED, _CORRELATED, _BENT, _PART, _TWO = 0.2, 0.5, 0.25, 0.4, 0.3
_DIRECTIONS = 24
_LOW, _HIGH = 0.02, 1.5  # deviations of the noise
_FAR = 4.5  # deviations at which scores end
_ROWS, _AT_ONCE = 16_384, 4_000_000  # of the density, and numbers that are held at a time
_POINTS = 8192


@dataclass(frozen=True)
class Score:
    """A score of rows.

    ``counts`` ``[B, 1, d]``: columns that count; ``kind``; the ``network``; ``directions``
    ``[B, d, r]``, ``offsets`` ``[B, 1, r]`` and ``weights`` ``[B, r, 1]``; it is less its
    ``middle``, over its ``scale``, and then has ``noise``, ``[B, 1, 1]`` each.
    """

    counts: Tensor
    kind: str
    network: Network
    directions: Tensor
    offsets: Tensor
    weights: Tensor
    middle: Tensor
    scale: Tensor
    noise: Tensor

    def raw(self, z: Tensor) -> Tensor:
        """Scores ``[B, n, 1]`` of rows ``[B, n, d]``."""
        seen = z * self.counts
        if self.kind == "network":
            return self.network(seen)
        if self.kind == "sums":
            bent = (1.5 * seen + self.offsets[..., : z.shape[-1]]).sin()
            return (bent * self.counts) @ self.directions[..., :1]
        along = seen @ self.directions
        if self.kind == "form":
            along = along.square()
        elif self.kind == "waves":
            along = (1.5 * along + self.offsets[..., : along.shape[-1]]).cos()
        elif self.kind == "products":
            along = along * along.roll(1, -1)
        else:
            along = (along + self.offsets[..., : along.shape[-1]].cos()).relu()
        out: Tensor = along @ self.weights
        return out

    def __call__(self, z: Tensor) -> Tensor:
        """The same of mean 0 and variance 1, without far ones."""
        return ((self.raw(z) - self.middle) / self.scale).clamp(-_FAR, _FAR)


@dataclass(frozen=True)
class ResponseParameters:
    """What a side is, and the numbers that follow it.

    ``centres`` ``[B, C, d]`` of groups of rows; the ``scores``; ``bent`` ``[B, 1, 1]``: whether
    columns are shown by their sinh, and ``curved``: whether numbers are; ``turn``: of what is shown
    of the rows, and ``mixed``: of the numbers and noise beside them; ``columns`` ``q``.
    ``swapped``: X and Y change places once sampled.
    """

    centres: Tensor
    scores: tuple[Score, ...]
    bent: Tensor
    curved: Tensor
    turn: Rotation | None
    mixed: Rotation | None
    columns: int
    swapped: bool


class Responses(Family[ResponseParameters]):
    """Numbers that follow the side of more columns.

    Kinds of scores, how many numbers there are, and which side follows are shared by a call.
    """

    name = "responses"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> ResponseParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(5)
        swapped = u[0] < 0.5 if dx == dy else dy > dx
        d, q = (dy, dx) if swapped else (dx, dy)
        two = q > 1 and d > 3 and u[1] < _TWO
        groups = 1 + int(u[2] * 6) if u[2] < _GROUPED and not two else 1
        centres = random.normal(groups, d) * (groups > 1)
        first = torch.arange(d, device=centres.device) < d // 2
        shares = (first, ~first) if two else (torch.ones_like(first),)
        scores = tuple(_draw_score(random, share, centres, generator) for share in shares)
        turn = draw_rotation(random, d, random.coin(_CORRELATED, 1, 1)) if d > 1 else None
        mixed = draw_rotation(random, q, random.coin(0.5, 1, 1)) if q > 1 and u[3] < 0.5 else None
        return ResponseParameters(
            centres, scores, random.coin(_BENT, 1, 1), random.coin(_BENT, 1, 1), turn, mixed, q,
            swapped,
        )  # fmt: skip

    def sample_from(
        self, parameters: ResponseParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        z = grouped_rows(p.centres, n, generator)
        columns = (*z.shape[:2], p.columns)
        y = torch.randn(columns, generator=generator, device=z.device)
        for k, score in enumerate(p.scores):
            y[..., k : k + 1] = score(z) + score.noise * y[..., k : k + 1]
        y = torch.where(p.curved, y.sinh(), y)
        y = y if p.mixed is None else p.mixed(y)
        x = torch.where(p.bent, z.sinh(), z)
        x = x if p.turn is None else p.turn(x)
        return (y, x) if p.swapped else (x, y)

    def information(
        self, parameters: ResponseParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        p = parameters
        batch, _, d = p.centres.shape
        step = max(1, min(_ROWS, _AT_ONCE // (batch * (d + _DIRECTIONS + 64))))
        total = torch.zeros(2, batch, dtype=torch.float64, device=p.centres.device)
        for score in p.scores:
            parts = [
                score(grouped_rows(p.centres, min(step, _ROWS - start), generator))
                for start in range(0, _ROWS, step)
            ]
            mean, error = _told(torch.cat(parts, 1)[..., 0], score.noise[:, 0, 0])
            total += torch.stack([mean, error.square()])
        return total[0], total[1].sqrt()


def _draw_score(
    random: Random, share: Tensor, centres: Tensor, generator: torch.Generator
) -> Score:
    """A score of the columns in a ``share`` ``[d]`` of them."""
    d = len(share)
    u = random.choices(2)
    kind = next(name for name, end in zip(_KINDS, _ENDS) if u[0] <= end)
    r = 2 + int(u[1] * (_DIRECTIONS - 1))
    part = random.coin(_PART, 1, 1) & (random.uniform(1, d).argsort(-1) >= max(2, d // 2))
    counts = (share & ~part).float()
    counts = torch.where(counts.sum(-1, keepdim=True) > 0, counts, share.float())
    score = Score(
        counts, kind, draw_network(random, d, 1),
        random.normal(d, r) / counts.sum(-1, keepdim=True).sqrt(),
        2 * math.pi * random.uniform(1, max(d, r)), random.normal(r, 1),
        torch.zeros_like(counts[..., :1]), torch.ones_like(counts[..., :1]),
        random.log_uniform(_LOW, _HIGH, 1, 1),
    )  # fmt: skip
    pilot = score.raw(grouped_rows(centres, _PILOT, generator))
    middle = pilot.mean(1, keepdim=True)
    return replace(score, middle=middle, scale=(pilot - middle).std(1, keepdim=True) + 1e-3)


def _told(scores: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """I(s; s + noise e) in nats of ``scores`` ``[B, n]`` within 4.5, by the density of the sum, a
    convolution on a grid, and its standard error, ``[B]`` float64."""
    batch, n = scores.shape
    wide = _FAR + 6 * float(noise.max())
    step = 2 * wide / _POINTS
    place = ((scores.double() + wide) / step).floor().long().clamp(0, _POINTS - 1)
    first = torch.arange(batch, device=scores.device)[:, None] * _POINTS
    shares = (place + first).flatten().bincount(minlength=batch * _POINTS).view(batch, -1) / n
    grid = torch.arange(_POINTS, dtype=torch.float64, device=scores.device)
    apart = torch.minimum(grid, _POINTS - grid) * step / noise.double()[:, None]
    kernel = (-apart.square() / 2).exp() / (noise.double()[:, None] * math.sqrt(2 * math.pi))
    density = torch.fft.irfft(
        torch.fft.rfft(shares.double()) * torch.fft.rfft(kernel), n=_POINTS
    ).clamp(min=1e-12)
    log = density.log()
    weight = density * step
    entropy = -(weight * log).sum(-1)
    spread = (weight * log.square()).sum(-1) - entropy.square()
    own = 0.5 * (2 * math.pi * math.e * noise.double().square()).log()
    return entropy - own, (spread.clamp(min=0) / n).sqrt()
