r"""A fresh judge of a term: what probes that had no part in the training find in the codes.

Three probes are fitted to some rows, and their bounds are taken on rows that none of them saw:

* a critic of InfoNCE (van den Oord et al. 2018), stopped early on rows of its own:
  :math:`I \ge E[s_{ii} - \log \frac1K \sum_j e^{s_{ij}}]`, at most :math:`\log K` of held-out rows;
* a ridge regression of each column's normal scores: :math:`I \ge -\frac12 \log(1 - R^2)`, as the
  scores are normal, for the best column without ties;
* of labels, a logistic regression: :math:`I \ge H(Y) - E[-\log q(y|z)]`.

Legend: ``N`` samples, ``K`` held-out rows, ``dz``, ``dy`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchmist.checks import check_count
from torchmist.copula import normal_scores
from torchmist.numerics.early_stopping import fit_rows
from torchmist.numerics.magnitudes import balanced
from torchmist.samples.label_entropy import label_entropy

__all__ = ["FEWEST_ROWS", "ProbeReport", "probe_bounds"]

FEWEST_ROWS = 64
"""Rows without which there is no probe."""
_WIDTH, _EMBEDDING, _RATE = 128, 64, 2e-3
_RIDGES = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class ProbeReport:
    """What a term says of codes, and what fresh probes find on rows they did not see, in nats.

    ``bounds``: the lower bound of each probe by name; ``probe``: the largest of them and 0;
    ``error``: its standard error; ``estimate``: the term's; ``rows``: held-out rows.
    """

    estimate: float
    probe: float
    error: float
    bounds: dict[str, float]
    rows: int
    tolerance: float = 0.1

    @property
    def gap(self) -> float:
        """What the probes find beyond the estimate, nats; below 0 where they find less."""
        return self.probe - self.estimate

    @property
    def hidden(self) -> bool:
        """Whether the probes find more than ``tolerance`` and one standard error beyond it."""
        return self.gap > self.tolerance + self.error

    def __str__(self) -> str:
        found = ", ".join(f"{name} {value:.2f}" for name, value in self.bounds.items())
        verdict = (
            f"{self.gap:.2f} nats are hidden from the term" if self.hidden else
            "the probes find no more than the term says"
        )  # fmt: skip
        return (
            f"estimate {self.estimate:.2f} nats; fresh probes find at least {self.probe:.2f} "
            f"(+/- {self.error:.2f}) on {self.rows} held-out rows ({found}): {verdict}"
        )


def probe_bounds(
    z: Tensor, y: Tensor, *, steps: int = 400, seed: int = 0
) -> tuple[dict[str, tuple[float, float]], int]:
    """Lower bounds of I(Z;Y) and their standard errors by probe, nats, and the held-out rows.

    Rows are shuffled and split in 60, 15 and 25 %: to fit, to stop, to judge. All that is random
    follows from ``seed``.

    Args:
        z: ``[N, dz]`` floating point.
        y: ``[N, dy]`` floating point, or labels ``[N]``.
        steps: most steps of a probe that is a network.
        seed: of the split, the weights and the batches.

    Raises:
        ValueError: for fewer than 64 rows, no steps, or a seed that is no int from 0 on.

    Example:
        >>> z = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
        >>> bounds, rows = probe_bounds(z, z[:, 0] + 0.5 * z[:, 1], steps=50)
        >>> bounds["ridge"][0] > 1, rows
        (True, 100)
    """
    check_count(steps, "steps", 1)
    seed = check_count(seed, "seed", 0)
    if len(z) < FEWEST_ROWS:
        raise ValueError(
            f"expected at least {FEWEST_ROWS} rows to fit a probe and to judge by it, got "
            f"{len(z)}; collect the codes of several batches"
        )
    labels = not y.is_floating_point()
    z = balanced(z.detach().float().cpu().reshape(len(z), -1), 0)[0]
    y = y.detach().cpu().reshape(len(y), -1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(z), generator=generator, device="cpu")
    held = order[: len(z) // 4]
    stop = order[len(z) // 4 : 2 * len(z) // 5]
    fit = order[2 * len(z) // 5 :]
    parts = (fit, stop, held)
    bounds = {}
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        if labels:
            classes, index = y[:, 0].unique(return_inverse=True)
            columns = F.one_hot(index, max(2, len(classes))).float()
            bounds["logistic"] = _classified(z, index, columns, parts, steps, generator)
        else:
            columns = balanced(y.float(), 0)[0]
            smooth = _without_ties(columns)
            if smooth.shape[1]:
                bounds["ridge"] = _ridge(z, smooth, parts)
        bounds["critic"] = _contrasted(z, columns, parts, steps, generator)
    return bounds, len(held)


Parts = tuple[Tensor, Tensor, Tensor]


def _without_ties(y: Tensor) -> Tensor:
    """The columns whose scores are normal: at most one row in twenty has a value of another."""
    kept = [column for column in y.mT if len(column.unique()) >= 0.95 * len(column)]
    return torch.stack(kept, 1) if kept else y[:, :0]


def _scaled(v: Tensor, fit: Tensor) -> Tensor:
    return (v - v[fit].mean(0)) / v[fit].std(0).clamp(min=1e-6)


def _ridge(z: Tensor, y: Tensor, parts: Parts) -> tuple[float, float]:
    """The best column's bound, by the ridge and the column that are best on the second part."""
    fit, stop, held = parts
    a = _scaled(z, fit).double()
    b = normal_scores(y[None])[0].double()
    gram = a[fit].mT @ a[fit] / len(fit)
    moment = a[fit].mT @ (b[fit] - b[fit].mean(0)) / len(fit)
    best, choice = -math.inf, (0.0, 0.0)
    eye = torch.eye(a.shape[1], dtype=a.dtype, device="cpu")
    for ridge in _RIDGES:
        found = a @ torch.linalg.solve(gram + ridge * eye, moment) + b[fit].mean(0)
        variance = (b[fit] - found[fit]).square().mean(0).clamp(min=1e-9)

        def ratios(rows: Tensor, found: Tensor = found, variance: Tensor = variance) -> Tensor:
            """Log density of the scores given z over that of a standard normal."""
            lost = (b[rows] - found[rows]).square() / variance
            return (b[rows].square() - lost - variance.log()) / 2

        score, column = ratios(stop).mean(0).max(0)
        if float(score) > best:
            best = float(score)
            value = ratios(held)[:, int(column)]
            choice = float(value.mean()), float(value.std()) / len(held) ** 0.5
    return choice


def _mlp(inputs: int, outputs: int, generator: torch.Generator) -> nn.Sequential:
    sizes = ((inputs, _WIDTH), (_WIDTH, _WIDTH), (_WIDTH, outputs))
    first, second, third = (nn.utils.skip_init(nn.Linear, i, o) for i, o in sizes)
    net = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), third)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                bound = layer.in_features**-0.5
                for weight in (layer.weight, layer.bias):
                    weight.copy_(
                        2
                        * bound
                        * torch.rand(
                            weight.shape, generator=generator, device="cpu", dtype=torch.float32
                        )
                        - bound
                    )
    return net


def _classified(
    z: Tensor, index: Tensor, columns: Tensor, parts: Parts, steps: int,
    generator: torch.Generator,
) -> tuple[float, float]:  # fmt: skip
    """H(Y) of the held-out labels minus their cross entropy under a network."""
    a, held = _scaled(z, parts[0]), parts[2]
    net = _mlp(a.shape[1], columns.shape[1], generator)
    fit_rows(
        [net], lambda rows: F.cross_entropy(net(a[rows]), index[rows]), *parts[:2], range(steps),
        generator, rate=_RATE,
    )  # fmt: skip
    with torch.no_grad():
        lost = F.cross_entropy(net(a[held]), index[held], reduction="none")
    value = float(label_entropy(columns[None, held])) - float(lost.mean())
    return value, float(lost.std()) / len(held) ** 0.5


def _contrasted(
    z: Tensor, y: Tensor, parts: Parts, steps: int, generator: torch.Generator
) -> tuple[float, float]:
    """The bound of InfoNCE on all held-out rows at once."""
    a, b = _scaled(z, parts[0]), _scaled(y, parts[0])
    nets = [_mlp(side.shape[1], _EMBEDDING, generator) for side in (a, b)]

    def ratios(rows: Tensor) -> Tensor:
        scores = nets[0](a[rows]) @ nets[1](b[rows]).mT / _EMBEDDING**0.5
        own: Tensor = scores.diagonal()
        out: Tensor = own - scores.logsumexp(1) + math.log(len(rows))
        return out

    fit_rows(
        nets, lambda rows: -ratios(rows).mean(), *parts[:2], range(steps), generator, rate=_RATE
    )
    with torch.no_grad():
        value = ratios(parts[2])
    return float(value.mean()), float(value.std()) / len(parts[2]) ** 0.5
