r"""Pairs of datasets that share their noise, the second moved a little, each with its known MI.

What an encoder does to a sample in one step of training: X is moved along a direction of its
channel while all randomness stays. The difference of the two informations is that of the moved
channel, with next to none of the noise of either sample, so an estimator can be trained on it
(a Sobolev term by finite differences; Czarnecki et al. 2017).

* ``gaussian``, ``student``: elliptical pairs, :math:`x' = x (1 + \delta A) + y\, \delta B` with
  random matrices; the scatter of the moved pair is known, and so is I (the log-determinants and the
  term in the degrees of freedom of :mod:`~torchmist.synthetic.general.canonical`);
* ``additive``, ``relation``: the scale of the noise of each column times :math:`e^{\delta v_k}`;
* ``classes``: the means and deviations of Gaussian classes moved; both I by the same random points.

In a third of the datasets functions of the columns of X are appended, the same before and after.
The columns themselves are mixed linearly in most elliptical datasets.

Legend: ``B`` pairs of datasets, ``N`` samples, ``dx``, ``dy`` columns, ``delta`` size of the move.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from torchmist.synthetic.additive import additive_mi, sample_additive
from torchmist.synthetic.batch import Batch
from torchmist.synthetic.general.canonical import canonical_mi, draw_correlations, sample_canonical
from torchmist.synthetic.general.mixing import append_features, mix_linearly
from torchmist.synthetic.general.mixtures import class_mi, draw_mixture, sample_mixture
from torchmist.synthetic.general.relations import draw_relations, relation_mi, sample_relations
from torchmist.synthetic.latent import student_correction

__all__ = ["MOVED_KINDS", "sample_moved"]

MOVED_KINDS: Mapping[str, float] = {
    "gaussian": 0.4,
    "student": 0.25,
    "additive": 0.15,
    "relation": 0.08,
    "classes": 0.12,
}
"""Kinds of pairs and their shares."""

_MIXED = 0.6  # share of elliptical pairs with linearly mixed columns
_APPENDED = 1 / 3  # share of datasets with appended functions of their columns
_SMALLEST, _LARGEST = 0.02, 0.3  # delta, log-uniform
_LABELS = range(3, 21)
_EPSILON = (0.05, 10.0)  # of additive noise, log-uniform

Moved = tuple[Tensor, Tensor, Tensor]  # x [B, 2 N, dx], before and after; y [B, N, dy]; MI [2, B]


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)


def _twin(generator: torch.Generator) -> torch.Generator:
    """A generator that will draw the same numbers."""
    return torch.Generator(generator.device).set_state(generator.get_state())


def _elliptical(
    delta: Tensor, n: int, dx: int, dy: int, generator: torch.Generator, student: bool
) -> Moved:
    batch = len(delta)
    rho = draw_correlations(batch, dx, dy, generator=generator)
    df = torch.full((batch,), torch.inf, dtype=torch.float64, device=rho.device)
    if student:
        df = 20 ** _uniform(generator, batch)
    x, y = sample_canonical(rho, df, n, dx, dy, generator=generator)
    inside = _normal(generator, batch, dx, dx) / math.sqrt(dx)
    inside = inside * (_uniform(generator, batch, 1, 1) < 0.5)
    own = torch.eye(dx, device=rho.device) + delta[:, None, None] * inside
    other = delta[:, None, None] * _normal(generator, batch, dy, dx) / math.sqrt(dy)
    moved = x @ own.float() + y @ other.float()
    mi = torch.stack(
        [canonical_mi(rho, df, dx, dy), _moved_mi(rho, own, other) + student_correction(df, dx, dy)]
    )
    return torch.cat([x, moved], 1), _mix(y, generator), mi


def _mix(x: Tensor, generator: torch.Generator) -> Tensor:
    """Some datasets' columns mixed linearly."""
    rows = (_uniform(generator, len(x)) < _MIXED).nonzero().squeeze(-1)
    if x.shape[-1] == 1 or not len(rows):
        return x
    return x.index_copy(0, rows, mix_linearly(x[rows], generator=generator))


def _moved_mi(rho: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """I(x own + y other; y) in nats, ``[B]``, of canonical Gaussian pairs of correlations ``rho``.

    ``own``: ``[B, dx, dx]``, ``other``: ``[B, dy, dx]``.
    """
    rank = rho.shape[-1]
    cross = torch.zeros_like(other.mT)  # [B, dx, dy], of x and y
    cross[:, range(rank), range(rank)] = rho
    with_y = own.mT @ cross + other.mT
    shared = own.mT @ cross @ other
    variance = own.mT @ own + other.mT @ other + shared + shared.mT
    rest = variance - with_y @ with_y.mT
    return 0.5 * (torch.logdet(variance) - torch.logdet(rest))


def _gaussian(delta: Tensor, n: int, dx: int, dy: int, generator: torch.Generator) -> Moved:
    return _elliptical(delta, n, dx, dy, generator, student=False)


def _student(delta: Tensor, n: int, dx: int, dy: int, generator: torch.Generator) -> Moved:
    return _elliptical(delta, n, dx, dy, generator, student=True)


def _with_noise(x: Tensor, d: int, generator: torch.Generator) -> Tensor:
    """``x`` ``[B, M, k]`` with noise columns up to ``d``; the same before and after the move."""
    shape = (*x.shape[:2], d - x.shape[-1])
    return torch.cat([x, torch.randn(shape, generator=generator, device=x.device)], -1)


def _noisier(
    draw: Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]], logs: Tensor, move: Tensor,
    dx: int, dy: int, generator: torch.Generator,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """X before and after its noise is scaled, and the Y that it is noise on, filled with noise."""
    twin = _twin(generator)
    y, x = draw(logs, generator)
    _, moved = draw(logs + move, twin)
    twin = _twin(generator)
    x, moved = _with_noise(x, dx, generator), _with_noise(moved, dx, twin)
    return torch.cat([x, moved], 1), _with_noise(y, dy, generator)


def _additive(delta: Tensor, n: int, dx: int, dy: int, generator: torch.Generator) -> Moved:
    pairs = min(dx, dy)
    low, high = (math.log(v) for v in _EPSILON)
    logs = low + (high - low) * _uniform(generator, len(delta), pairs)
    move = delta[:, None] * _normal(generator, len(delta), pairs)

    def draw(logs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return sample_additive(logs.exp(), n, generator=generator)

    x, y = _noisier(draw, logs, move, dx, dy, generator)
    return x, y, torch.stack([additive_mi(logs.exp()), additive_mi((logs + move).exp())])


def _relation(delta: Tensor, n: int, dx: int, dy: int, generator: torch.Generator) -> Moved:
    pairs = min(dx, dy, 12)
    relation, logs = draw_relations(len(delta), pairs, generator=generator)
    bounds = logs.new_tensor([-2.7, 1.5])  # within the table on both sides of the move
    logs = logs.clamp(*bounds)
    move = (logs + delta[:, None] * _normal(generator, len(delta), pairs)).clamp(*bounds) - logs

    def draw(logs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return sample_relations(relation, logs, n, generator=generator)

    x, y = _noisier(draw, logs, move, dx, dy, generator)
    return x, y, torch.stack([relation_mi(relation, logs), relation_mi(relation, logs + move)])


def _classes(delta: Tensor, n: int, dx: int, dy: int, generator: torch.Generator) -> Moved:
    """Columns against their label: ``dy`` of 1 (two classes) or 3 to 20, else Gaussian pairs."""
    if dy != 1 and dy not in _LABELS:
        return _gaussian(delta, n, dx, dy, generator)
    count, p = (2 if dy == 1 else dy), min(dx, 32)
    m = draw_mixture(len(delta), count, p, 1, generator=generator)
    size = delta.float()[:, None, None]
    spread = m.mean_x.std((1, 2), keepdim=True)
    after = dataclasses.replace(
        m,
        mean_x=m.mean_x + size * spread * _normal(generator, *m.mean_x.shape).float(),
        scale_x=m.scale_x * (size * _normal(generator, *m.scale_x.shape).float()).exp(),
    )
    twin = _twin(generator)
    mi = torch.stack(
        [class_mi(m, generator=generator)[0], class_mi(after, generator=_twin(twin))[0]]
    )
    twin = _twin(generator)
    x, _, label = sample_mixture(m, n, generator=generator)
    moved, *_ = sample_mixture(after, n, generator=twin)
    twin = _twin(generator)
    both = torch.cat([_with_noise(x, dx, generator), _with_noise(moved, dx, twin)], 1)
    one_hot = torch.nn.functional.one_hot(label, count).float()
    return both, one_hot[..., 1:] if dy == 1 else one_hot, mi


_MOVES: dict[str, Callable[[Tensor, int, int, int, torch.Generator], Moved]] = {
    "gaussian": _gaussian,
    "student": _student,
    "additive": _additive,
    "relation": _relation,
    "classes": _classes,
}


def sample_moved(
    batch_size: int, n: int, dx: int, dy: int, *, generator: torch.Generator,
    kinds: Mapping[str, float] = MOVED_KINDS,
) -> tuple[Batch, Batch]:  # fmt: skip
    """``batch_size`` datasets of ``n`` samples, and the same with X moved; on the generator's
    device. ``family`` indexes ``kinds``.

    Raises:
        ValueError: for unknown kinds, or none.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> before, after = sample_moved(8, 100, 3, 5, generator=generator)
        >>> bool((before.y == after.y).all()), before.x.shape
        (True, torch.Size([8, 100, 3]))
    """
    if set(kinds) - set(_MOVES) or not sum(kinds.values()) > 0:
        raise ValueError(f"expected shares of some of {sorted(_MOVES)}, got {dict(kinds)}")
    device = generator.device
    shares = torch.tensor(list(kinds.values()), dtype=torch.float64, device=device)
    family = torch.multinomial(shares, batch_size, replacement=True, generator=generator)
    delta = _SMALLEST * (_LARGEST / _SMALLEST) ** _uniform(generator, batch_size)
    x = torch.empty(2, batch_size, n, dx, device=device)
    y = torch.empty(batch_size, n, dy, device=device)
    mi = torch.empty(2, batch_size, dtype=torch.float64, device=device)
    appended = _uniform(generator, batch_size) < (_APPENDED if dx > 1 else 0.0)
    groups = 2 * family + appended
    for group in groups.unique().tolist():
        rows = (groups == group).nonzero().squeeze(-1)
        move = _MOVES[list(kinds)[group // 2]]
        columns = dx
        if group % 2:
            columns = 1 + int((dx - 1) * _uniform(generator, 1))
        both, y[rows], mi[:, rows] = move(delta[rows], n, columns, dy, generator)
        more = both[..., :0]
        if columns < dx:
            more = append_features(both, dx - columns, generator=generator)[..., columns:]
        if move in (_gaussian, _student):
            both = _mix(both, generator)
        both = torch.cat([both, more], -1)
        x[:, rows] = both.unflatten(1, (2, n)).movedim(1, 0)
    none = torch.zeros(batch_size, device=device)
    before, after = (Batch(x[k], y, mi[k].float(), family, none) for k in (0, 1))
    return before, after
