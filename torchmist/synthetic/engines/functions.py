r"""Functions: noisy functions of a few latent coordinates that X shows exactly.

.. math:: y = g(s) + \sigma(s)\, e, \qquad x = f(s)\ \text{injective}, \qquad
          I(X;Y) = \mathrm E \log \frac{p(y|s)}{p(y)}

The noise may grow with s, y may follow one of several branches, be the noisy class of g(s), or show
several functions of the same s; independent functions of their own coordinates add up. Other
columns are smooth functions of the core or independent noise.

Legend: ``B`` datasets, ``N`` samples, ``P`` functions, ``K`` points, ``R`` coordinates,
``J`` branches, ``k`` classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchmist.synthetic.engines.family import Family
from torchmist.synthetic.engines.functions_columns import (
    chances,
    display,
    lay_out,
    one_hot,
    pick,
    uniform,
)
from torchmist.synthetic.engines.functions_density import (
    conditional_log_density,
    joint_log_density,
    marginal_log_density,
    noise,
)
from torchmist.synthetic.engines.functions_parameters import (
    FunctionParameters,
    draw_labels,
    draw_noise,
)
from torchmist.synthetic.engines.functions_shapes import draw_shapes, evaluate, latent

__all__ = ["Functions"]

_POINTS = 4096
_JOINT_POINTS = 384  # evaluation points where the marginal is a mixture in several columns
_COORDINATES = 4
_CLASSES = 12
_MOST_HOT = 20
_INDEPENDENT = 0.1
# name -> share; "joint" needs two columns of Y
_CHANNELS = {"plain": 0.5, "spread": 0.15, "branches": 0.12, "label": 0.18, "joint": 0.05}


class Functions(Family[FunctionParameters]):
    """The law of noisy functions.

    Args:
        channels: shares of the laws of Y given s, by name: ``plain`` (noise of constant scale),
            ``spread`` (of varying scale), ``branches``, ``label`` and ``joint`` (up to three
            functions of the same s); the engine's own by default.

    Raises:
        ValueError: for an unknown or missing channel.

    Example:
        >>> import torch
        >>> batch = Functions().sample(4, 50, 3, 2, generator=torch.Generator().manual_seed(0))
        >>> batch.x.shape, batch.y.shape
        (torch.Size([4, 50, 3]), torch.Size([4, 50, 2]))
    """

    name = "functions"

    def __init__(self, channels: dict[str, float] | None = None) -> None:
        self.channels = dict(_CHANNELS if channels is None else channels)
        if not self.channels or not set(self.channels) <= set(_CHANNELS):
            raise ValueError(
                f"expected channels among {sorted(_CHANNELS)}, got {sorted(self.channels)}"
            )

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> FunctionParameters:
        u = chances(12, generator=generator)
        swapped = u[0] < 0.5
        ds, dg = (dy, dx) if swapped else (dx, dy)
        channel = self._channel(u[1], dg)
        hot = channel == "label" and 3 <= dg <= _MOST_HOT and u[2] < 0.6
        functions = _functions(channel, hot, ds, dg, u[3], u[4])
        sources = 1 if channel == "joint" else functions
        coordinates = 1 + int(u[5] * min(_COORDINATES, ds // sources))
        core = sources * coordinates
        extra = _extra(ds - core, u[6], u[7], 0.4), _extra(dg - functions, u[8], u[9], 0.25)
        mixed = (0.4 if core <= 4 else 0.1 if core <= 6 else 0.0), 0.3 * (u[10] < 0.5)
        if channel == "label":
            extra, mixed = (extra[0], 0), (mixed[0], 0.0)
        shapes = draw_shapes(batch, functions, coordinates, channel == "joint", generator=generator)
        classes = dg if hot else _CLASSES
        return FunctionParameters(
            channel,
            shapes,
            swapped,
            hot,
            (ds, dg),
            extra,
            mixed,
            **draw_noise(channel, batch, functions, generator),
            **draw_labels(batch, functions, classes, hot, generator),
            independent=uniform(batch, generator=generator) < _INDEPENDENT,
        )

    def _channel(self, u: float, columns: int) -> str:
        shares = {
            name: share for name, share in self.channels.items() if columns > 1 or name != "joint"
        } or {"plain": 1.0}
        return pick(u, shares)

    def sample_from(
        self, parameters: FunctionParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        p = parameters
        batch, functions = p.kind.shape[:2]
        sources = 1 if p.channel == "joint" else functions

        def rand(*shape: int) -> Tensor:
            return uniform(batch, *shape, generator=generator)

        s = latent(p.shapes, rand(sources, n, p.shapes.coordinates))
        order = torch.randperm(n, generator=generator, device=s.device)
        core = s.transpose(1, 2).reshape(batch, n, -1)
        if p.channel == "label":
            y = _classes(p, s, rand(functions, n), rand(functions, n))
            shown = p.codes.gather(2, y)
        else:
            shown, _, _ = _outputs(p, s, rand(functions, n), rand(functions, n))
        shown = torch.where(p.independent[:, None, None], shown[..., order], shown).mT
        if p.hot:
            shown = one_hot(shown[..., 0], p.dims[1])
        x = display(core, p.shapes.discrete, p.extra[0], p.mixed[0], generator=generator)
        x = lay_out(x, p.dims[0], generator=generator)
        none = torch.zeros_like(p.independent)
        y = display(shown, none, p.extra[1], p.mixed[1], generator=generator)
        y = lay_out(y, p.dims[1], generator=generator)
        return (y, x) if p.swapped else (x, y)

    def information(
        self, parameters: FunctionParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        p = parameters
        batch, functions = p.kind.shape[:2]
        sources = 1 if p.channel == "joint" else functions

        def points(count: int, coordinates: int, size: int) -> Tensor:
            return _stratified(batch, size, count, coordinates, generator)

        s = latent(p.shapes, points(_POINTS, p.shapes.coordinates, sources))
        if p.channel == "label":
            mi, error = _label_information(p, s)
        elif p.channel == "joint":
            t = latent(p.shapes, points(_JOINT_POINTS, p.shapes.coordinates, 1))
            e = points(_JOINT_POINTS, functions, 1)[:, 0].mT
            mi, error = _joint_information(p, s, t, e)
        else:
            e = points(_POINTS, 2, functions)
            y, centre, scale = _outputs(p, s, e[..., 0], e[..., 1])
            given = conditional_log_density(y, centre, scale, p.weight, p.kind)
            marginal = marginal_log_density(
                y, centre, scale, p.weight, p.kind, p.channel != "spread"
            )
            # the point's own share of the mixture bounds its density from below
            gain = (given - marginal).clamp(max=math.log(_POINTS)).double()
            deviation, mean = torch.std_mean(gain, -1)
            mi, error = mean.sum(1), deviation.square().sum(1).div(_POINTS).sqrt()
        return mi.masked_fill(p.independent, 0), error.masked_fill(p.independent, 0)


def _functions(channel: str, hot: bool, ds: int, dg: int, u: float, v: float) -> int:
    """Number of functions: mostly one."""
    if channel == "joint":
        return min(dg, 2 if u < 0.6 else 3)
    if hot or u < 0.7:
        return 1
    return 1 + int(v * min(ds, dg, 4))


def _extra(room: int, u: float, v: float, share: float) -> int:
    """Redundant columns in a room: none mostly, but many where the room is wide."""
    if room > 48:
        return int(room ** (0.4 + 0.6 * v)) if u < 0.4 + share else 0
    return int(room**v) if room and u < share else 0


def _stratified(
    batch: int, size: int, count: int, coordinates: int, generator: torch.Generator
) -> Tensor:
    """Latin points ``[B, size, count, coordinates]``: one set, moved at random in each dataset."""
    device = generator.device
    order = torch.rand(size, count, coordinates, generator=generator, device=device).argsort(1)
    shift = uniform(batch, size, 1, coordinates, generator=generator)
    shifted = order / count + shift
    return shifted - shifted.floor()


def _outputs(
    p: FunctionParameters, s: Tensor, e: Tensor, branch: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Values ``[B, P, K]``, and the centres and scales ``[B, P, K, J]`` of their branches.

    ``e`` and ``branch`` are uniforms ``[B, P, K]``.
    """
    value = evaluate(p.shapes, s)
    scale = p.scale
    if p.channel == "spread":
        first = s[..., 0].tanh()
        scale = (
            p.spread[0] * first + p.spread[1] * (2 * first.abs() - 1) + p.spread[2] * value.tanh()
        ).exp() * p.scale
    else:
        scale = scale.expand_as(value)
    centre = p.gain * value[..., None] + p.tilt * s[..., :1]
    branches = centre.shape[-1]
    scale_each = scale[..., None].expand_as(centre)
    if branches == 1:
        return centre[..., 0] + scale * noise(p.kind, e), centre, scale_each
    chosen = (branch[..., None] > p.weight.cumsum(-1)[..., :-1]).sum(-1, keepdim=True)
    own = centre.gather(-1, chosen)[..., 0]
    return own + scale * noise(p.kind, e), centre, scale_each


def _classes(p: FunctionParameters, s: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Noisy classes ``[B, P, K]`` int64, from two uniforms of that shape."""
    value = evaluate(p.shapes, s)
    label = torch.searchsorted(p.thresholds[:, :, 0].contiguous(), value)
    other = (v * p.classes).floor().clamp(max=p.classes - 1).long()
    return torch.where(u < p.flip, other, label)


def _label_information(p: FunctionParameters, s: Tensor) -> tuple[Tensor, Tensor]:
    r"""MI of noisy classes: H(mean row) - H(row), the share of each class a mean over points."""
    label = torch.searchsorted(p.thresholds[:, :, 0].contiguous(), evaluate(p.shapes, s))
    count = p.codes.shape[-1]
    shares = torch.zeros(*label.shape[:2], count, dtype=torch.float64, device=s.device)
    shares.scatter_add_(2, label, torch.ones_like(label, dtype=torch.float64))
    shares = shares / label.shape[-1]
    flip, classes = p.flip.double(), p.classes.double()
    wrong = flip / classes
    used = torch.arange(count, device=s.device) < classes
    mean = ((1 - flip) * shares + wrong) * used
    entropy = torch.special.entr(mean).sum(-1)
    row = torch.special.entr(1 - flip + wrong) + (classes - 1) * torch.special.entr(wrong)
    log_mean = mean.clamp(min=1e-12).log()
    first = (shares * log_mean).sum(-1)
    variance = (shares * log_mean.square()).sum(-1) - first.square()
    variance = variance.clamp(min=0) * (1 - flip[..., 0]).square() / label.shape[-1]
    return (entropy - row[..., 0]).sum(1), variance.sum(1).sqrt()


def _joint_information(
    p: FunctionParameters, s: Tensor, t: Tensor, e: Tensor
) -> tuple[Tensor, Tensor]:
    """MI of several functions of the same coordinates, by a mixture over ``s``.

    It is evaluated at the points ``t`` ``[B, 1, E, R]`` with the noise of the uniforms ``e``
    ``[B, P, E]``; the known mean of log p(y|s) is a control variate.
    """
    centre = p.gain[..., 0] * evaluate(p.shapes, s)
    y, own, scale = _outputs(p, t, e, e)
    given = conditional_log_density(y, own, scale, p.weight, p.kind).sum(1).double()
    marginal = joint_log_density(y, centre, p.scale).double()
    gain = (given - marginal).clamp(max=math.log(_POINTS))
    known = -(p.scale.double().log() + 0.5 * math.log(2 * math.pi * math.e)).sum((1, 2))
    error = given - known[:, None]
    centred = error - error.mean(-1, keepdim=True)
    slope = (gain * centred).mean(-1, keepdim=True) / centred.square().mean(-1, keepdim=True)
    deviation, mean = torch.std_mean(gain - slope * error, -1)
    return mean, deviation / gain.shape[-1] ** 0.5
