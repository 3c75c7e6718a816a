"""What each pursuit is about: items, what is shown of them, what is wanted, how it is trained.

Legend: ``E`` pursuits, ``M`` items, ``R`` dimensions of a source, ``D = max(dx, dy)`` columns of a
code, ``P`` weights of a pursuit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from training.pursuit_networks import Networks

__all__ = ["LABEL", "MODES", "SOURCE", "Population", "draw_population"]

SOURCE = 6  # dimensions of the widest source
LABEL = 0.03  # noise of a label column when its MI is computed: 33 deviations between classes
MODES = ("hide a variable", "hide a label", "part two codes", "join two views", "show the source")
_CLASSES = 10


@dataclass(frozen=True)
class Population:
    """Tensors of ``E`` pursuits; every one has the pursuits in its first dimension.

    An item has a source ``s`` and is seen as ``x = f(s) + e`` and either as a second code
    ``y = g(s) + e'`` or as a fixed target ``y = t + e'``.
    """

    mode: Tensor  # [E] int64, an index of MODES
    source: Tensor  # [E, M, R], columns of unit variance, or 0 where unused
    view_x: Tensor  # [E, 1, R], 1 where the encoder of X sees a dimension
    view_y: Tensor  # [E, 1, R]
    target: Tensor  # [E, M, dy], what Y shows where it is no code
    learned: Tensor  # [E, 1, 1] bool, whether Y is a code
    used: Tensor  # [E, 2, 1, D], 1 where a column carries the code; else noise
    noise_x: Tensor  # [E, 1, dx], standard deviations
    noise_y: Tensor  # [E, 1, dy], 0 at labels
    wanted: Tensor  # [E, 1, R], 1 where the decoder has to find a dimension
    task: Tensor  # [E], weight of the decoder's squared error
    weight: Tensor  # [E], weight of the estimate, negative where it is maximised
    level: Tensor  # [E], level of the quantile that is pursued, -1 for the mean
    scaled: Tensor  # [E] int64: codes as they are, of unit variance by column, or on the whole
    decorrelate: Tensor  # [E], weight of the squared correlations of a code's columns
    activation: Tensor  # [E] int64
    deep: Tensor  # [E] bool, whether encoders have two hidden layers
    rate: Tensor  # [E], step size
    adam: Tensor  # [E] bool; SGD with momentum if not
    weights: Tensor  # [E, P]
    first: Tensor  # [E, P], mean of the gradient
    second: Tensor  # [E, P], mean of its square
    steps: Tensor  # [E], steps done

    def replaced(self, where: Tensor, by: Population) -> Population:
        """These pursuits, with those at ``where`` ``[E]`` taken from ``by``."""

        def pick(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(where.view(-1, *[1] * (old.dim() - 1)), new, old)

        names = [field.name for field in fields(self)]
        return Population(**{n: pick(getattr(by, n), getattr(self, n)) for n in names})


class _Uniforms:
    """One uniform number for each pursuit at each call, from one draw of them all."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        uniform = torch.rand(96, count, generator=generator, device=generator.device)
        self.rows: Iterator[Tensor] = iter(uniform)

    def __call__(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * next(self.rows)

    def log(self, low: float, high: float) -> Tensor:
        """Log-uniform."""
        return low * (high / low) ** next(self.rows)

    def below(self, count: int | Tensor) -> Tensor:
        """An integer in 0 to ``count - 1``."""
        return (next(self.rows) * count).long()

    def chance(self, share: float | Tensor) -> Tensor:
        """True in ``share`` of the pursuits."""
        return next(self.rows) < share


@dataclass(frozen=True)
class _Dimensions:
    """The dimensions of a source: how many, and masks ``[E, R]`` of what they are for."""

    count: Tensor
    product: Tensor  # [E] bool: all pairs of shared and private parts are items
    active: Tensor
    shared: Tensor
    x: Tensor
    y: Tensor


def draw_population(
    count: int, items: int, dx: int, dy: int, *, generator: torch.Generator
) -> Population:
    """Draw ``count`` pursuits at their start, on the generator's device."""
    u = _Uniforms(count, generator)
    width = max(dx, dy)
    mode = u.below(len(MODES))
    hides, label, joins = mode <= 1, mode == 1, mode == 3
    raised, learned = mode >= 3, (mode == 2) | (mode == 3)
    parts = _dimensions(u, mode)
    source = _sources(u, parts, items, generator)
    # A variable to hide is one of what is shared, or of everything.
    of_target = torch.where((hides & u.chance(0.6))[:, None], parts.shared, parts.active)
    columns_x, columns_y = _columns(u, dx), _columns(u, dy)
    target = _targets(u, source * of_target[:, None], parts, dy, generator)
    classes, columns_label = _labels(u, source * of_target[:, None], dy, generator)
    columns_y = torch.where(label, columns_label, columns_y)
    place = torch.arange(width, device=mode.device)
    used_x, used_y = place < columns_x[:, None], place < columns_y[:, None]
    target = torch.where(label[:, None, None], classes, target) * used_y[:, None, :dy]
    noise_x = _noise(u, used_x[:, :dx], parts.count, generator)
    noise_y = _noise(u, used_y[:, :dy], parts.count, generator)
    noise_y = torch.where((label[:, None] & used_y[:, :dy])[:, None], 0.0, noise_y)
    easy = torch.where(u.chance(0.5)[:, None], parts.active & ~parts.shared, parts.shared)
    wanted = torch.where((hides & u.chance(0.35))[:, None], easy, parts.x | ~joins[:, None])
    wanted &= parts.active
    low, high, other = u(0.03, 0.3), u(0.7, 0.97), u.chance(0.1)
    level = torch.where(raised ^ other, low, high)
    scaled = torch.where(raised, 1 + u.chance(0.4).long(), (u(-1, 1.7).ceil()).long())
    networks = Networks(SOURCE, width)
    weights = networks.draw(u.log(0.7, 2.5), generator)
    adam = u.chance(0.75)
    return Population(
        mode=mode,
        source=source,
        view_x=parts.x[:, None].float(),
        view_y=parts.y[:, None].float(),
        target=target,
        learned=learned[:, None, None],
        used=torch.stack([used_x, used_y], 1)[:, :, None].float(),
        noise_x=noise_x,
        noise_y=noise_y,
        wanted=wanted[:, None].float(),
        task=torch.where(raised, 0.3 * u.chance(0.2), torch.where(u.chance(0.7), 1.0, 0.1)),
        weight=torch.where(raised, -1.0, 1.0) * u.log(0.2, 3.0),
        level=torch.where(u.chance(0.6), -1.0, level),
        scaled=scaled,
        decorrelate=torch.where(raised & u.chance(0.4), u.log(0.1, 3.0), 0.0),
        activation=u.below(3),
        deep=u.chance(0.6),
        rate=torch.where(adam, u.log(1e-3, 1e-2), u.log(1e-2, 1e-1)),
        adam=adam,
        weights=weights,
        first=torch.zeros_like(weights),
        second=torch.zeros_like(weights),
        steps=torch.zeros(count, device=mode.device),
    )


def _dimensions(u: _Uniforms, mode: Tensor) -> _Dimensions:
    """How many dimensions a source has, which are shared, and which each view sees.

    A third of the sources are products: every shared part occurs with every private part, which
    makes both exactly independent, however little noise there is. Of the views to be joined, some
    of these share nothing at all.
    """
    nothing = (mode == 3) & u.chance(0.2)
    product = u.chance(0.35) | nothing
    count = 1 + (SOURCE * u() ** 1.5).long()
    count = torch.where(product, count.clamp(min=2), count)
    shared_count = 1 + u.below(count)
    shared_count = torch.where(product, shared_count.minimum(count - 1), shared_count)
    place = torch.arange(SOURCE, device=mode.device)
    active = place < count[:, None]
    shared = place < shared_count[:, None]
    joins = (mode == 3)[:, None]
    private_x = active & ~shared & (product[:, None] | (place % 2 == 0))
    private_y = active & ~shared & ~private_x
    x = (shared & ~nothing[:, None]) | private_x
    y = shared | private_y
    return _Dimensions(
        count, product, active, shared,
        torch.where(joins, x, active), torch.where(joins, y, active),
    )  # fmt: skip


def _sources(u: _Uniforms, parts: _Dimensions, items: int, generator: torch.Generator) -> Tensor:
    """Sources ``[E, M, R]`` of unit variance: normal, uniform, in clusters, or near a lattice."""
    count, device = len(parts.count), generator.device
    shape = count, items, SOURCE
    normal = torch.randn(shape, generator=generator, device=device)
    uniform = 2 * torch.rand(shape, generator=generator, device=device) - 1
    centres = torch.randn(count, 16, SOURCE, generator=generator, device=device)
    clusters = (2 + 14 * u())[:, None]
    member = torch.rand(count, items, generator=generator, device=device) * clusters
    member = member.long()[..., None].expand(shape)
    spread, levels = u(0.05, 0.5)[:, None, None], (1 + u.below(3))[:, None, None]
    kind = u.below(4)[:, None, None]
    source = torch.where(kind == 0, normal, uniform)
    source = torch.where(kind == 2, centres.gather(1, member) + spread * normal, source)
    lattice = (uniform * (levels + 0.5)).round() + 0.3 * spread * normal
    source = torch.where(kind == 3, lattice, source)
    item = torch.arange(items, device=device)[None, :, None]
    privates = 2 ** (3 + u.below(4))[:, None, None]
    index = torch.where(parts.shared[:, None], item // privates, item % privates)
    index = torch.where(parts.product[:, None, None], index, item.expand(shape))
    return _standard(source.gather(1, index)) * parts.active[:, None]


def _columns(u: _Uniforms, width: int) -> Tensor:
    """How many columns carry a code, ``[E]``: mostly all of them."""
    some = 1 + u.below(width)
    return torch.where(u.chance(0.7), torch.full_like(some, width), some)


def _targets(
    u: _Uniforms, seen: Tensor, parts: _Dimensions, dy: int, generator: torch.Generator
) -> Tensor:
    """Variables ``[E, M, dy]`` to hide or to show: coordinates of what is seen, or functions."""
    place = torch.arange(dy, device=seen.device)
    available = (seen != 0).any(1).sum(-1, keepdim=True).clamp(min=1)
    index = (place % available)[:, None].expand(-1, seen.shape[1], -1)
    coordinates = seen.gather(2, index)
    mixing = torch.randn(len(seen), SOURCE, dy, generator=generator, device=seen.device)
    mixed = seen @ (mixing / available[..., None] ** 0.5)
    kind, pace = u.below(4)[:, None, None], u.log(0.7, 4.0)[:, None, None]
    bent = torch.where(kind == 2, (pace * mixed).tanh(), (pace * mixed).sin())
    plain = torch.where(kind == 0, coordinates, mixed)
    return _standard(torch.where(kind < 2, plain, bent))


def _labels(
    u: _Uniforms, seen: Tensor, dy: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Columns ``[E, M, dy]`` of a label of what is seen, and how many of them are used ``[E]``.

    Classes are ranges of a score, which is a projection, a wave of it or a product of two. They are
    one-hot, with or without a column for the first, or numbers in one column.
    """
    count, items, device = len(seen), seen.shape[1], seen.device
    columns = 1 + u.below(min(dy, _CLASSES))
    columns = torch.where(u.chance(0.6), columns.clamp(min=min(dy, _CLASSES)), columns)
    number = u.chance(0.3) & (columns == 1)
    left_out = (columns == 1) | u.chance(0.3)
    classes = torch.where(number, 2 + u.below(5), columns + left_out.long())
    mixing = torch.randn(count, SOURCE, 2, generator=generator, device=device)
    a, b = (seen @ mixing).unbind(-1)
    kind = u.below(4)[:, None]
    score = torch.where(kind == 2, (u.log(1.0, 4.0)[:, None] * a).sin(), a)
    score = torch.where(kind == 3, a * b, score)
    place = torch.arange(_CLASSES + 1, device=device)
    sizes = torch.randn(count, len(place), generator=generator, device=device)
    sizes = (0.7 * sizes).exp() * (place < classes[:, None])
    ends = (sizes.cumsum(-1) / sizes.sum(-1, keepdim=True)).clamp(max=1)
    last = score.sort(-1).values.gather(1, (ends * items - 1).round().long().clamp(min=0))
    label = (score[..., None] > last[:, None]).sum(-1, keepdim=True)
    hot = torch.arange(dy, device=device) + (left_out & ~number).long()[:, None, None]
    return torch.where(number[:, None, None], label, label == hot).float(), columns


def _noise(u: _Uniforms, used: Tensor, count: Tensor, generator: torch.Generator) -> Tensor:
    """Deviations ``[E, 1, d]`` of noise; more columns of the same source get more of it each."""
    repeats = (used.sum(-1) / count).clamp(min=1)
    uneven = 0.3 * u.chance(0.3)[:, None]
    shape = torch.randn(used.shape, generator=generator, device=used.device)
    noise = (u.log(0.08, 1.0) * repeats**0.5)[:, None] * (uneven * shape).exp()
    return torch.where(used, noise, 1.0)[:, None]


def _standard(x: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1 over the items; constant ones become 0."""
    x = x - x.mean(1, keepdim=True)
    return x / x.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6)
