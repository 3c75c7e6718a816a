"""Small untrained networks for the tests that need no trained weights, and quick adaptations."""

from __future__ import annotations

import dataclasses
import itertools
import time

import pytest
import torch

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.duo import DuoMIST
from torchmist.models.mist import MIST, MISTConfig
from torchmist.models.network import QuantileNetwork

LONG = (
    "test_site.py",
    "test_tutorials.py",
    "test_hub.py",
    "test_transforms.py",
    "test_examples.py",
)
"""Files that take longest, in that order: begun late, they would run alone at the end."""

SMALL = MISTConfig(
    odd=3, even=3, paired=2, basis_width=8, pair_width=8, feature_width=16, feature_layers=2,
    sample_width=16, inducing=4, heads=2, embedding=2, readout_width=8, head_width=32,
    quantiles=12, radial=1,
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest."""
    place = {name: k for k, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONG)))


class Constant(QuantileNetwork):
    """Says the same ``nats`` of all, with a gradient of 0."""

    def __init__(self, nats: float) -> None:
        super().__init__()
        self.nats = nats
        self.register_buffer("levels", torch.tensor([0.25, 0.75]))

    def forward(
        self, x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        return (0 * (x.sum() + y.sum()) + self.nats).expand(len(x), 2)


@pytest.fixture
def small() -> MIST:
    """An untrained network whose zero-initialised layers are made random as well."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MIST(SMALL).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.1)
    return model


def _tick(monkeypatch, seconds: float) -> None:
    """Each look at the clock takes ``seconds``: budgets are steps, as many on every machine."""
    looks = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(looks) * seconds)


@pytest.fixture
def steady(monkeypatch) -> None:
    """A step of a flow takes a fiftieth of a second."""
    _tick(monkeypatch, 0.02)


def hasten(monkeypatch) -> None:
    """Adaptation with fewer partitions and smaller datasets than in earnest; a look at the clock
    takes half a second."""
    _tick(monkeypatch, 0.5)
    monkeypatch.setattr("torchmist.adapt.sides._PARTITIONS", 6)
    monkeypatch.setattr("torchmist.adapt.sources._MOST", 100)
    monkeypatch.setattr("torchmist.adapt.sources.SIZES", (64, 80, 96))


@pytest.fixture
def quick(monkeypatch) -> None:
    """Adaptation as :func:`hasten` has it."""
    hasten(monkeypatch)


def make_duo() -> DuoMIST:
    """Two untrained networks and an arbiter, all away from where they start."""
    plain = dataclasses.replace(SMALL, quantiles=24)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        local = MIST(dataclasses.replace(plain, local=1))
        out = DuoMIST(
            MIST(plain), local, Arbiter(16, members=2), ("mist-v1", "mist-v2-preview")
        ).eval()
        with torch.no_grad():
            for p in out.parameters():
                p.add_(0.05 * torch.randn_like(p))
    return out.requires_grad_(False)


@pytest.fixture
def small_duo() -> DuoMIST:
    """Those of :func:`make_duo`."""
    return make_duo()


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Three dependent datasets of 40 samples, 5 columns of X and 7 of Y."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 40, 5, generator=generator)
    y = torch.randn(3, 40, 7, generator=generator) + x[..., :1]
    return x, y
