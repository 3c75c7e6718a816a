"""What people use today as a mutual-information term, each in its usual form, and this library.

``term(z, y)`` is what the encoder minimises (or maximises); ``learn(z, y)`` is one step of the
inner loop on detached data where there is one. :func:`make_term` reads names such as ``"CLUB"``,
``"mist"``, ``"mist-lift"`` and ``"mist-lift:count=2,pace=5,statistic=0.9"`` (fields of
``LiftConfig``, and the statistic). Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import torchmist
from torchmist.copula import normal_scores
from torchmist.functional import Model, Statistic
from torchmist.lift import LiftConfig

__all__ = ["RIVALS", "Term", "is_ours", "make_term"]


def _mlp(inputs: int, outputs: int, width: int = 64) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, outputs),
    )  # fmt: skip


class Term:
    """A term without an inner loop. ``host``: parameters for the host's own optimizer."""

    inner = 0

    def __init__(self, dz: int, dy: int) -> None:
        self.dz, self.dy = dz, dy
        self.host: list[Tensor] = []

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        """A 0-dim value, differentiable in both."""
        raise NotImplementedError

    def learn(self, z: Tensor, y: Tensor) -> None:
        """One inner step; nothing to do here."""

    def view(self, z: Tensor, y: Tensor) -> Tensor:
        """What the term sees of a code ``[N, dz]``; it holds as much of ``y`` as the code does."""
        return z


class Mist(Term):
    """This library: the frozen term, with or without a lift, or as it is by default (``auto``)."""

    def __init__(
        self, dz: int, dy: int, *, model: Model = "mist-fast", lift: LiftConfig | None = None,
        statistic: Statistic = "mean", auto: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(dz, dy)
        self.regularizer = torchmist.MIRegularizer(
            model, lift=lift, statistic=statistic, goal="auto" if auto else None
        )
        self.host = list(self.regularizer.parameters())

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.regularizer(z, y)
        return out

    def view(self, z: Tensor, y: Tensor) -> Tensor:
        """The code and all that lifts append."""
        return self.regularizer.view(z, y)


class LogDet(Term):
    """MI of Gaussians with the sample's covariance."""

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        both = torch.cat([z, y], -1)
        both = (both - both.mean(0)) / (both.std(0) + 1e-6)
        r = both.T @ both / len(both) + 1e-4 * torch.eye(both.shape[1])
        parts = (r[: self.dz, : self.dz], r[self.dz :, self.dz :], r)
        a, b, c = (torch.linalg.slogdet(part).logabsdet for part in parts)
        out: Tensor = 0.5 * (a + b - c)
        return out


class RankLogDet(LogDet):
    """The same of normal scores: what ranks know, with the gradient of the copula layer."""

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        return super().term(normal_scores(z), normal_scores(y))


_TINY = 1e-12  # a batch of one class alone has no variance


def _kernel(x: Tensor) -> Tensor:
    square = torch.cdist(x, x).square()
    return torch.exp(-square / (square.detach().median() + 1e-9))


class Hsic(Term):
    """Normalised HSIC with Gaussian kernels of median width (Gretton et al. 2005)."""

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        centre = torch.eye(len(z)) - 1 / len(z)
        a, b = centre @ _kernel(z) @ centre, centre @ _kernel(y) @ centre
        return (a * b).sum() / ((a * a).sum() * (b * b).sum()).clamp(min=_TINY).sqrt()


class DistanceCorrelation(Term):
    """Squared distance correlation (Szekely et al. 2007)."""

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        centre = torch.eye(len(z)) - 1 / len(z)
        a, b = (centre @ (torch.cdist(v, v).square() + 1e-9).sqrt() @ centre for v in (z, y))
        return (a * b).mean() / ((a * a).mean() * (b * b).mean()).clamp(min=_TINY).sqrt()


class _Critic(Term):
    """Terms with a network that an inner loop trains."""

    inner = 5

    def _start(self, networks: list[nn.Module], rate: float = 1e-3) -> None:
        self.networks = nn.ModuleList(networks)
        self.optimizer = torch.optim.Adam(self.networks.parameters(), rate)

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        """What the inner loop minimises."""
        raise NotImplementedError

    def learn(self, z: Tensor, y: Tensor) -> None:
        loss = self.loss(z.detach(), y.detach())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class Club(_Critic):
    """CLUB (Cheng et al. 2020) with a Gaussian variational network."""

    def __init__(self, dz: int, dy: int) -> None:
        super().__init__(dz, dy)
        self._start([_mlp(dz, dy), nn.Sequential(_mlp(dz, dy), nn.Tanh())])

    def _moments(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.networks[0](z), self.networks[1](z)

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        mean, log_variance = self._moments(z)
        return ((y - mean).square() / log_variance.exp() + log_variance).sum(-1).mean()

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        mean, log_variance = self._moments(z)
        own = -(y - mean).square() / 2 / log_variance.exp()
        other = -(y[None] - mean[:, None]).square().mean(1) / 2 / log_variance.exp()
        return (own.sum(-1) - other.sum(-1)).mean()


class Mine(_Critic):
    """MINE (Belghazi et al. 2018), the Donsker-Varadhan bound."""

    def __init__(self, dz: int, dy: int) -> None:
        super().__init__(dz, dy)
        self._start([_mlp(dz + dy, 1)])

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        other = y[torch.randperm(len(y))]
        joint = self.networks[0](torch.cat([z, y], -1)).mean()
        product = self.networks[0](torch.cat([z, other], -1)).squeeze(-1)
        bound: Tensor = joint - (torch.logsumexp(product, 0) - math.log(len(z)))
        return bound

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        return -self.term(z, y)


class InfoNCE(_Critic):
    """InfoNCE (van den Oord et al. 2018) with a separable critic."""

    def __init__(self, dz: int, dy: int) -> None:
        super().__init__(dz, dy)
        self._start([_mlp(dz, 32), _mlp(dy, 32)])

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        scores: Tensor = self.networks[0](z) @ self.networks[1](y).T / 32**0.5
        return scores.diagonal().mean() - torch.logsumexp(scores, 1).mean() + math.log(len(z))

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        return -self.term(z, y)


class Adversary(_Critic):
    """A predictor of y from z: 1/2 log(var / mse), summed over columns (Barber and Agakov 2003)."""

    def __init__(self, dz: int, dy: int) -> None:
        super().__init__(dz, dy)
        self._start([_mlp(dz, dy)])

    def term(self, z: Tensor, y: Tensor) -> Tensor:
        error: Tensor = (self.networks[0](z) - y).square().mean(0)
        return 0.5 * ((y.var(0) + 1e-6) / (error + 1e-6)).log().sum()

    def loss(self, z: Tensor, y: Tensor) -> Tensor:
        return -self.term(z, y)


RIVALS: dict[str, Callable[[int, int], Term]] = {
    "log-det": LogDet,
    "log-det of ranks": RankLogDet,
    "HSIC": Hsic,
    "dCor": DistanceCorrelation,
    "CLUB": Club,
    "MINE": Mine,
    "InfoNCE": InfoNCE,
    "adversary": Adversary,
}


def is_ours(name: str) -> bool:
    """Whether a name of :func:`make_term` is one of this library."""
    return name.startswith("mist")


def make_term(name: str, dz: int, dy: int, model: Model = "mist-fast") -> Term:
    """The term of a name; ``model`` stands behind those of this library.

    Raises:
        ValueError: for a name that is neither in :data:`RIVALS` nor of the form
            ``mist[-lift][:key=value,...] or mist-auto``.
    """
    if not is_ours(name):
        if name not in RIVALS:
            raise ValueError(
                f"expected one of {sorted(RIVALS)}, mist[-lift][:key=value,...] or mist-auto, got "
                f"{name!r}"
            )
        return RIVALS[name](dz, dy)
    kind, _, text = name.partition(":")
    fields = dict(part.split("=", 1) for part in text.split(",") if part)
    word = fields.pop("statistic", "mean")
    named: dict[str, Statistic] = {"mean": "mean", "median": "median"}
    statistic = named[word] if word in named else float(word)
    if kind not in ("mist", "mist-lift", "mist-auto") or (fields and kind != "mist-lift"):
        raise ValueError(
            f"expected mist[-lift][:key=value,...], options of a lift, or mist-auto, got {name!r}"
        )
    lift = None
    if kind == "mist-lift":
        options: dict[str, Any] = {
            k: float(v) if k == "pace" else int(v) for k, v in fields.items()
        }
        lift = LiftConfig(dz, **options)
    return Mist(dz, dy, model=model, lift=lift, statistic=statistic, auto=kind == "mist-auto")
