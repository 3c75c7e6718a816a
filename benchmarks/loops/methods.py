"""The methods of the benchmark, each in its usual form, behind one interface.

Removal and squeezing: ``none``; of this library ``plain`` (the derivative of the value), ``auto``
(the term as it is by default), ``lift`` and ``goal``; CLUB (for labels with a categorical network),
MINE, InfoNCE with five inner steps, HSIC, distance correlation, gradient reversal; VIB and the
pairwise mixture bound where the code is squeezed. Joining: ``none`` (the untrained encoder),
``plain``, ``auto``, ``goal``, MINE, InfoNCE with a temperature, VICReg, Barlow Twins, HSIC,
distance correlation.

Legend: ``N`` rows, ``dz``, ``dy`` columns, ``C`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from benchmarks.judges import mlp
from benchmarks.loops.registry import Batch, Direction, Host
from benchmarks.rivals import RIVALS, Term
from torchmist import MIRegularizer

__all__ = ["METHODS", "Method", "is_ours", "make_method", "settings"]

METHODS: dict[Direction, tuple[str, ...]] = {
    "remove": (
        "none", "plain", "auto", "lift", "CLUB", "MINE", "InfoNCE", "HSIC", "dCor", "reversal",
        "goal",
    ),
    "squeeze": (
        "none", "plain", "auto", "lift", "CLUB", "MINE", "InfoNCE", "HSIC", "dCor", "VIB",
        "mixture", "goal",
    ),
    "join": (
        "none", "plain", "auto", "MINE", "InfoNCE", "VICReg", "Barlow", "HSIC", "dCor", "goal",
    ),
}  # fmt: skip
"""The methods that apply, the ones of this library by their options."""

_NATS, _BOUNDED = (0.1, 0.4, 1.6), (1.0, 4.0, 16.0)  # times beta: MI in nats, and indices in [0, 1]
_RATES = (0.001, 0.003, 0.01)
_OWN = {"InfoNCE": (0.1, 0.2, 0.5), "VICReg": (5.0, 25.0, 50.0), "Barlow": (0.003, 0.01, 0.03)}


def is_ours(name: str) -> bool:
    """Whether a method is one of this library."""
    return name in ("plain", "auto", "lift", "goal")


def settings(name: str, direction: Direction, beta: float) -> tuple[float, ...]:
    """The three settings of a method among which other seeds choose.

    The weight of the term where it stands beside a task; else the temperature of InfoNCE, the
    weight of the matched pairs of VICReg, of the off-diagonal of Barlow Twins, or, for a method
    that has none of its own, the learning rate.
    """
    if name == "none":
        return (0.0,)
    if direction == "join":
        return _OWN.get(name, _RATES)
    return tuple(beta * v for v in (_BOUNDED if name in ("HSIC", "dCor") else _NATS))


class Method:
    """No term at all, and the interface of those below.

    ``host`` are parameters for the host's optimizer, ``inner`` the inner steps of each step.
    ``nats`` says whether :meth:`value` is an estimate of MI (negative where it is maximised).
    """

    inner = 0
    nats = False

    def __init__(self) -> None:
        self.host: list[Tensor] = []

    def value(self, batch: Batch) -> Tensor:
        """What the host minimises, 0-dim."""
        return batch.z.sum() * 0

    def learn(self, batch: Batch) -> None:
        """One inner step on detached data."""


class Ours(Method):
    """A regularizer of this library; ``sign`` is -1 where information is maximised."""

    nats = True

    def __init__(self, regularizer: MIRegularizer, sign: float) -> None:
        super().__init__()
        self.regularizer, self.sign = regularizer, sign
        self.host = list(regularizer.parameters())

    def value(self, batch: Batch) -> Tensor:
        out: Tensor = self.sign * self.regularizer(batch.z, batch.y)
        return out


def _columns(y: Tensor, classes: int | None) -> Tensor:
    return y if classes is None else F.one_hot(y, classes).to(torch.get_default_dtype())


class Rival(Method):
    """A term of :mod:`benchmarks.rivals`; labels become one-hot columns."""

    def __init__(self, term: Term, classes: int | None, sign: float, *, nats: bool) -> None:
        super().__init__()
        self.rival, self.classes, self.sign, self.nats = term, classes, sign, nats
        self.inner, self.host = term.inner, term.host

    def value(self, batch: Batch) -> Tensor:
        return self.sign * self.rival.term(batch.z, _columns(batch.y, self.classes))

    def learn(self, batch: Batch) -> None:
        self.rival.learn(batch.z, _columns(batch.y, self.classes))


class LabelClub(Method):
    """CLUB for labels: ``E log q(y|z) - E log q(y'|z)`` with a categorical network."""

    inner, nats = 5, True

    def __init__(self, dz: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.network = mlp(dz, classes)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)

    def value(self, batch: Batch) -> Tensor:
        logs = self.network(batch.z).log_softmax(-1)
        share = F.one_hot(batch.y, self.classes).to(logs.dtype).mean(0)
        out: Tensor = (logs.gather(1, batch.y[:, None]).squeeze(1) - logs @ share).mean()
        return out

    def learn(self, batch: Batch) -> None:
        loss = F.cross_entropy(self.network(batch.z), batch.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class Reversal(Method):
    """Gradient reversal (Ganin et al. 2016): a predictor of y in the host's own optimizer.

    The value is 0; the predictor learns by its loss, the code by the same loss reversed.
    """

    def __init__(self, dz: int, dy: int, classes: int | None) -> None:
        super().__init__()
        self.classes = classes
        self.network = mlp(dz, dy if classes is None else classes)
        self.host = list(self.network.parameters())

    def _loss(self, found: Tensor, y: Tensor) -> Tensor:
        if self.classes is not None:
            return F.cross_entropy(found, y)
        return (found - y).square().sum(-1).mean() / 2

    def value(self, batch: Batch) -> Tensor:
        fixed = {k: v.detach() for k, v in self.network.named_parameters()}
        own = self._loss(self.network(batch.z.detach()), batch.y.detach())
        against = self._loss(functional_call(self.network, fixed, (batch.z,)), batch.y.detach())
        return own - against


class OfMeans(Method):
    """A value of the codes before their noise, whose standard deviation is known."""

    nats = True

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def value(self, batch: Batch) -> Tensor:
        assert batch.mean is not None
        return self.of(batch.mean)

    def of(self, mean: Tensor) -> Tensor:
        """The value of means ``[N, dz]``, 0-dim."""
        raise NotImplementedError


class Vib(OfMeans):
    """VIB (Alemi et al. 2017): the divergence of ``N(mean, noise^2)`` from a standard normal."""

    def of(self, mean: Tensor) -> Tensor:
        variance = self.noise**2
        each = mean.square() + variance - 1 - math.log(variance)
        return 0.5 * each.sum(-1).mean()


class Mixture(OfMeans):
    """The pairwise bound of Kolchinsky and Tracey (2017), KL form, of the batch's mixture."""

    def of(self, mean: Tensor) -> Tensor:
        square = (mean[:, None] - mean).square().sum(-1)
        near = torch.logsumexp(-square / (2 * self.noise**2), 1)
        return math.log(len(square)) - near.mean()


class Contrast(Method):
    """InfoNCE of normalised codes with a temperature, both ways (Chen et al. 2020)."""

    nats = True

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def value(self, batch: Batch) -> Tensor:
        a, b = (F.normalize(v, dim=-1) for v in (batch.z, batch.y))
        scores, place = a @ b.T / self.temperature, torch.arange(len(a))
        both = F.cross_entropy(scores, place) + F.cross_entropy(scores.T, place)
        return both / 2 - math.log(len(a))


class VicReg(Method):
    """VICReg (Bardes et al. 2022): matched pairs, deviations above 1, no covariances."""

    def __init__(self, matched: float) -> None:
        super().__init__()
        self.matched = matched

    def value(self, batch: Batch) -> Tensor:
        out = self.matched * F.mse_loss(batch.z, batch.y)
        for v in (batch.z, batch.y):
            v = v - v.mean(0)
            covariance = v.T @ v / (len(v) - 1)
            spread = F.relu(1 - (v.var(0) + 1e-4).sqrt()).mean()
            crossed = covariance.square().sum() - covariance.diagonal().square().sum()
            out = out + 25 * spread + crossed / v.shape[1]
        return out / 25


class BarlowTwins(Method):
    """Barlow Twins (Zbontar et al. 2021): the cross-correlation should be the identity."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def value(self, batch: Batch) -> Tensor:
        a, b = ((v - v.mean(0)) / (v.std(0) + 1e-5) for v in (batch.z, batch.y))
        c = a.T @ b / len(a)
        diagonal = c.diagonal()
        other = c.square().sum() - diagonal.square().sum()
        return (1 - diagonal).square().sum() + self.weight * other


def _ours(name: str, host: Host, direction: Direction, model: str) -> Method:
    sign = -1.0 if direction == "join" else 1.0
    make: Callable[..., MIRegularizer] = MIRegularizer
    if name in ("plain", "auto"):
        told = None if name == "plain" else "auto"
        return Ours(make(model, goal=told, num_classes=host.classes), sign)
    if name == "lift":
        return Ours(MIRegularizer(model, lift=host.dz, num_classes=host.classes), sign)
    goal = "maximize" if direction == "join" else "minimize"
    return Ours(make(model, goal=goal, memory=host.memory, num_classes=host.classes), sign)


def make_method(
    name: str, host: Host, direction: Direction, setting: float, model: str = "mist-fast"
) -> Method:
    """The method ``name`` for the pair of a host; ``setting`` as in :func:`settings`.

    Raises:
        ValueError: for a name that is not in :data:`METHODS` of this direction.
    """
    if name not in METHODS[direction]:
        raise ValueError(
            f"expected a method of {METHODS[direction]} for the direction {direction}, got {name!r}"
        )
    if is_ours(name):
        return _ours(name, host, direction, model)
    dy = host.dy if host.classes is None else host.classes
    sign = -1.0 if direction == "join" else 1.0
    special: dict[str, Callable[[], Method]] = {
        "none": Method,
        "reversal": lambda: Reversal(host.dz, dy, host.classes),
        "VIB": lambda: Vib(host.noise),
        "mixture": lambda: Mixture(host.noise),
        "VICReg": lambda: VicReg(setting),
        "Barlow": lambda: BarlowTwins(setting),
    }
    if direction == "join":
        special["InfoNCE"] = lambda: Contrast(setting)
    if host.classes is not None:
        special["CLUB"] = lambda: LabelClub(host.dz, dy)
    if name in special:
        return special[name]()
    nats = name in ("CLUB", "MINE", "InfoNCE")
    return Rival(RIVALS[name](host.dz, dy), host.classes, sign, nats=nats)
