r"""MI of codes: X and Y are noisy views of a random item, or Y is a label of the item.

An item J of M, with weights :math:`w_j`, is seen as :math:`x = m_J + a_J e` and
:math:`y = m'_J + b_J e'` with independent normal noises. Given J both sides are independent, so

.. math:: I(X;Y) = H(J) + E[H(J|x,y) - H(J|x) - H(J|y)], \qquad I(X;L) = H(L) - E\, H(L|x)

where the posterior entropies are exact sums over the items. Their mean over draws of (x, y) has a
standard error several times below that of the mean of the log density ratio, and needs no
injectivity of the maps from items to means. Draws are stratified over the items, which makes the
stated error an upper bound.

Legend: ``B`` datasets, ``M`` items, ``R`` draws, ``dx``, ``dy`` columns, ``L`` labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.synthetic.engines.mixture_views import NormalView, View, view_dtype

__all__ = [
    "label_information",
    "mixture_information",
    "parts",
    "table_information",
    "table_label_information",
    "view_label_information",
    "views_information",
]

_CPU_ELEMENTS, _GPU_ELEMENTS = 1 << 16, 1 << 26  # draws times items worked on at once
_FLOOR = -60.0  # least log-weight of an item relative to the sum: what is below has no effect


@torch.no_grad()
def mixture_information(
    means_x: Tensor,
    means_y: Tensor,
    scale_x: Tensor,
    scale_y: Tensor,
    *,
    draws: int,
    generator: torch.Generator,
    log_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats of two noisy views of an item, and its standard error, ``[B]`` float64.

    Args:
        means_x: what the items look like in X, ``[B, M, dx]``.
        means_y: what the items look like in Y, ``[B, M, dy]``.
        scale_x: standard deviations of the noise of X, ``[B, 1, dx]`` or per item ``[B, M, dx]``.
        scale_y: those of Y, ``[B, 1, dy]`` or ``[B, M, dy]``.
        draws: Monte Carlo draws of a dataset; the error falls as one over their root.
        generator: source of randomness, on the device of the means.
        log_weights: logarithms of the items' weights up to a constant, ``[B, M]``; equal if None.
    """
    mi, error = [], []
    for part in parts(means_x, draws):
        x = NormalView(means_x[part], scale_x[part])
        y = NormalView(means_y[part], scale_y[part])
        weights = None if log_weights is None else log_weights[part]
        one = views_information(x, y, draws=draws, generator=generator, log_weights=weights)
        mi.append(one[0])
        error.append(one[1])
    return torch.cat(mi), torch.cat(error)


@torch.no_grad()
def views_information(
    x: View, y: View, *, draws: int, generator: torch.Generator, log_weights: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats of two views of any kind of an item, and its standard error, ``[B]`` float64.

    All datasets are worked on at once; ``parts`` says how many that should be. Other arguments as
    in ``mixture_information``.
    """
    batch, items = x.size
    weights = None if log_weights is None else _normalise(log_weights)
    values = []
    for u in _strata(batch, items, draws, generator):
        item = _choose(u, weights, items)
        a, b = x.logits(x.draw(item, generator)), y.logits(y.draw(item, generator))
        values.append(_entropies(a, b, weights))
    whole = torch.cat(values, 1).double()
    return _item_entropy(weights, x.size, whole.device) + whole.mean(1), whole.std(1) / draws**0.5


@torch.no_grad()
def label_information(
    means_x: Tensor,
    labels: Tensor,
    scale_x: Tensor,
    *,
    classes: int,
    draws: int,
    generator: torch.Generator,
    log_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """I(X; label) in nats of a noisy view of an item, and its standard error, ``[B]`` float64.

    Args:
        means_x: what the items look like in X, ``[B, M, dx]``.
        labels: the label of each item, ``[B, M]`` int64, in 0 to ``classes - 1``.
        scale_x: standard deviations of the noise, ``[B, 1, dx]`` or per item ``[B, M, dx]``.
        classes: number of labels.
        draws: Monte Carlo draws of a dataset; the error falls as one over their root.
        generator: source of randomness, on the device of the means.
        log_weights: logarithms of the items' weights up to a constant, ``[B, M]``; equal if None.
    """
    mi, error = [], []
    for part in parts(means_x, draws):
        x = NormalView(means_x[part], scale_x[part])
        weights = None if log_weights is None else log_weights[part]
        one = view_label_information(
            x, labels[part], classes=classes, draws=draws, generator=generator, log_weights=weights
        )
        mi.append(one[0])
        error.append(one[1])
    return torch.cat(mi), torch.cat(error)


@torch.no_grad()
def view_label_information(
    x: View,
    labels: Tensor,
    *,
    classes: int,
    draws: int,
    generator: torch.Generator,
    log_weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """I(X; label) in nats of a view of any kind of an item, and its standard error.

    Arguments as in ``label_information``; all datasets are worked on at once. The value and its
    standard error are ``[B]`` float64.
    """
    batch, items = x.size
    weights = None if log_weights is None else _normalise(log_weights)
    member = torch.nn.functional.one_hot(labels, classes).to(view_dtype())
    shares = member if weights is None else member * weights.exp()[..., None]
    prior = shares.sum(1).double()
    prior = prior / prior.sum(-1, keepdim=True)
    values = []
    for u in _strata(batch, items, draws, generator):
        a = x.logits(x.draw(_choose(u, weights, items), generator))
        posterior = a.sub_(a.amax(-1, keepdim=True)).exp_() @ shares
        posterior = posterior / posterior.sum(-1, keepdim=True)
        values.append(torch.xlogy(posterior, posterior).sum(-1))
    whole = torch.cat(values, 1).double()
    mi = whole.mean(1) - torch.xlogy(prior, prior).sum(-1)
    return mi, whole.std(1) / draws**0.5


@torch.no_grad()
def table_information(
    x: View, y: View, table: Tensor, *, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    r"""I(X;Y) in nats where X shows a cluster K, Y a cluster L, and (K, L) has a joint table.

    .. math:: I(X;Y) = I(K;L) + E[H(K,L|x,y) - H(K|x) - H(L|y)]

    by products of matrices, without a list of all pairs. The value and its standard error are
    ``[B]`` float64; without overlap of the clusters the value is the table's and the error 0.

    Args:
        x: what X shows of its ``K`` clusters.
        y: what Y shows of its ``L`` clusters.
        table: probabilities ``[B, K, L]``.
        draws: Monte Carlo draws of a dataset.
        generator: source of randomness, on the device of the views.
    """
    table, labels = table.to(view_dtype()), table.shape[-1]
    of_x, of_y, plogp = table.sum(-1), table.sum(-2), torch.xlogy(table, table)
    values = []
    for u in _strata(len(table), sum(table.shape[1:]), draws, generator):
        pair = _choose(u, _normalise(table.flatten(1).log()), table[0].numel())
        a = x.logits(x.draw(pair // labels, generator))
        b = y.logits(y.draw(pair % labels, generator))
        a, b = a - a.amax(-1, keepdim=True), b - b.amax(-1, keepdim=True)
        p, q = a.exp(), b.exp()
        ahead = p @ table
        whole = (ahead * q).sum(-1)
        mean = ((p * a) @ table * q + ahead * q * b + p @ plogp * q).sum(-1)
        value = whole.log() - mean / whole
        for weight, logits, prior in ((p, a, of_x), (q, b, of_y)):
            logits = logits + prior.clamp(min=1e-30).log()[:, None]
            value = value - _entropy(weight * prior[:, None], logits)
        values.append(value)
    value = torch.cat(values, 1).double()
    return _table_mi(table) + value.mean(1), value.std(1) / draws**0.5


@torch.no_grad()
def table_label_information(
    x: View, table: Tensor, *, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """I(X; L) in nats where X shows a cluster K and (K, L) has a joint table ``[B, K, L]``.

    Arguments as in ``table_information``. The value and its standard error are ``[B]`` float64.
    """
    table = table.to(view_dtype())
    values = []
    for u in _strata(len(table), table.shape[1], draws, generator):
        cluster = _choose(u, _normalise(table.sum(-1).log()), table.shape[1])
        a = x.logits(x.draw(cluster, generator))
        posterior = (a - a.amax(-1, keepdim=True)).exp() @ table
        posterior = posterior / posterior.sum(-1, keepdim=True)
        values.append(torch.xlogy(posterior, posterior).sum(-1))
    value = torch.cat(values, 1).double()
    prior = table.double().sum(-2)
    return value.mean(1) - torch.xlogy(prior, prior).sum(-1), value.std(1) / draws**0.5


def _entropies(a: Tensor, b: Tensor, weights: Tensor | None) -> Tensor:
    """``H(J|x,y) - H(J|x) - H(J|y)`` of each draw, ``[B, R]``; overwrites ``a`` and ``b``.

    The posterior of the item that was drawn is never far below ``1 / M`` on either side, so that
    the product of both densities, each over its largest, does not vanish in float32.
    """
    a.sub_(a.amax(-1, keepdim=True))
    b.sub_(b.amax(-1, keepdim=True))
    if weights is not None:
        a.add_(weights[:, None])
    of_x, of_y = a.exp(), b.exp()
    both = of_x * of_y
    entropy = _entropy(both, a + b) - _entropy(of_x, a)
    if weights is not None:
        b.add_(weights[:, None])
        of_y.mul_(weights.exp()[:, None])
    return entropy - _entropy(of_y, b)


def _entropy(weight: Tensor, logits: Tensor) -> Tensor:
    """Entropy of the law with unnormalised ``weight = exp(logits)``, ``[B, R]``."""
    whole = weight.sum(-1).clamp(min=1e-37)
    mean = (weight[..., None, :] @ logits[..., None]).squeeze((-1, -2))
    return whole.log() - mean / whole


def _table_mi(table: Tensor) -> Tensor:
    """I(K;L) in nats of joint tables ``[B, K, L]``, ``[B]`` float64."""
    p = table.double()
    product = p.sum(-1, keepdim=True) * p.sum(-2, keepdim=True)
    return (torch.xlogy(p, p) - torch.xlogy(p, product)).sum((-1, -2))


def _normalise(log_weights: Tensor) -> Tensor:
    """Log-weights whose exponentials sum to 1, none below the floor."""
    return log_weights.float().log_softmax(-1).clamp(min=_FLOOR)


def _item_entropy(weights: Tensor | None, size: tuple[int, int], device: torch.device) -> Tensor:
    """H(J) in nats, ``[B]`` float64."""
    batch, items = size
    if weights is None:
        return torch.full((batch,), float(items), device=device).double().log()
    return -(weights.double().exp() * weights.double()).sum(-1)


def _choose(u: Tensor, weights: Tensor | None, items: int) -> Tensor:
    """The item at each place ``u`` ``[B, R]`` of the cumulative weights."""
    if weights is None:
        return (u * items).long().clamp(max=items - 1)
    ends = weights.double().exp().cumsum(-1)[:, :-1].contiguous()
    return torch.searchsorted(ends, u.double().contiguous())


def _elements(device: torch.device) -> int:
    return _CPU_ELEMENTS if device.type == "cpu" else _GPU_ELEMENTS


def parts(means: Tensor, draws: int) -> list[slice]:
    """Slices of the datasets, of items ``means`` ``[B, M, d]``, that can be worked on at once."""
    batch, items = means.shape[:2]
    step = max(1, _elements(means.device) // (draws * items))
    return [slice(start, start + step) for start in range(0, batch, step)]


def _strata(batch: int, items: int, draws: int, generator: torch.Generator) -> list[Tensor]:
    """One uniform place within each of ``draws`` equal parts of (0, 1), ``[B, R]`` in pieces."""
    u = torch.rand(batch, draws, generator=generator, device=generator.device)
    u = (u + torch.arange(draws, device=u.device)) / draws
    return list(u.split(max(1, _elements(u.device) // (batch * items)), dim=1))
