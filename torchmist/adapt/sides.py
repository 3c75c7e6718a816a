"""The two variables of an adaptation: checked, split in three, and mapped to what weights see.

Legend: ``N`` samples, ``d`` columns, ``k`` of them kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmist.adapt.cells import Pool
from torchmist.adapt.diffusion import DiffusionMap
from torchmist.adapt.partitions import centroids, clustered, k_means, sliced, ward
from torchmist.checks import check_side
from torchmist.estimate import as_tensor
from torchmist.models.cell_correction import CELLS, COARSER
from torchmist.models.config import MISTConfig
from torchmist.models.mist import MIST
from torchmist.models.projected import ProjectedMIST, Projection, column_scale, principal_map

__all__ = ["Side", "behind", "both_sides", "in_front"]

_FEWEST = 200
_PLAIN, _KEPT = 20, 16  # columns up to which all are kept, and principal directions beyond
_PARTITIONS = 40


@dataclass(frozen=True)
class Side:
    """One variable: samples ``[N, d]`` split in three, their map, and their diffusion map.

    Class labels have no diffusion map.
    """

    fit: Tensor
    calibrate: Tensor
    check: Tensor
    mean: Tensor
    map: Tensor
    diffusion: DiffusionMap | None

    @classmethod
    def of(cls, values: Tensor, labels: bool, order: Tensor) -> Side:
        """A random 65 %, 15 % and 20 % of ``values`` ``[N, d]``."""
        a, b = int(0.65 * len(order)), int(0.8 * len(order))
        fit = values[order[:a]]
        diffusion = None
        if labels:
            mean, matrix = torch.zeros(fit.shape[1]), torch.eye(fit.shape[1])
        else:
            mean, matrix = principal_map(fit, _KEPT if fit.shape[1] > _PLAIN else fit.shape[1])
            diffusion = DiffusionMap.of((fit - mean) @ matrix)
        return cls(fit, values[order[a:b]], values[order[b:]], mean, matrix, diffusion)

    @property
    def labels(self) -> bool:
        """Whether the samples are class labels."""
        return self.diffusion is None

    @property
    def landmarks(self) -> int:
        """Landmarks of the diffusion map."""
        return 0 if self.diffusion is None else len(self.diffusion.landmarks)

    def project(self, samples: Tensor) -> Tensor:
        """What the network sees of samples ``[N, d]``, ``[N, k]``."""
        return samples if self.labels else (samples - self.mean) @ self.map

    def pool(self, samples: Tensor, seed: int) -> Pool:
        """Projected samples, with clusters that are cut in all columns."""
        if self.diffusion is None:
            return Pool.of_labels(samples)
        z, generator = self.project(samples), torch.Generator().manual_seed(seed)
        places = self.diffusion(z)
        return Pool(z, clustered(self._scaled(samples), _PARTITIONS, generator, places))

    def sliced(self, samples: Tensor, seed: int) -> Pool:
        """Projected samples, with slices that are cut in all columns."""
        if self.diffusion is None:
            return Pool.of_labels(samples)
        generator = torch.Generator().manual_seed(seed)
        cut = sliced(self._scaled(samples), _PARTITIONS, generator)
        return Pool(self.project(samples), cut)

    def generated(self, z: Tensor, seed: int) -> Pool:
        """Samples ``[N, k]`` that a flow made, with clusters."""
        places = None if self.diffusion is None else self.diffusion(z)
        generator = torch.Generator().manual_seed(seed)
        return Pool(z, clustered(z, _PARTITIONS, generator, places))

    def _scaled(self, samples: Tensor) -> Tensor:
        return (samples - self.mean) * column_scale(self.fit)

    def cells(self, seed: int) -> dict[str, Tensor]:
        """The buffers of :class:`~torchmist.models.cell_correction.SoftCells`; none for labels."""
        if self.diffusion is None:
            return {}
        places = self.diffusion.places
        part = k_means(places, CELLS, torch.Generator().manual_seed(seed))
        out = {
            "landmarks": self.diffusion.landmarks,
            "reach": self.diffusion.reach,
            "cell": part,
            "places": places,
        }
        for wanted, name in zip(COARSER, ward(*centroids(places, part), COARSER)):
            whole = torch.cat([name, name[-1:].expand(CELLS - len(name))])
            out[f"union_{wanted}"] = torch.nn.functional.one_hot(whole, wanted).float()
        return out


def both_sides(x: Any, y: Any, seed: int) -> tuple[Side, Side]:
    """Both variables, checked and split.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.estimate`, and for fewer than 200 samples.
    """
    sides = []
    for index, (name, raw) in enumerate((("x", x), ("y", y))):
        value = as_tensor(raw, name)
        columns = check_side(value, name)
        if len(columns) != 1 or columns.shape[1] < _FEWEST:
            raise ValueError(
                f"expected {name} of shape [N, d] with N of at least {_FEWEST}, got "
                f"{list(value.shape)}; with fewer samples use the base weights"
            )
        generator = torch.Generator().manual_seed(seed + index)
        order = torch.randperm(columns.shape[1], generator=generator)
        sides.append(Side.of(columns[0].float().cpu(), not value.is_floating_point(), order))
    return sides[0], sides[1]


def behind(network: MIST, sides: tuple[Side, Side], seed: int) -> ProjectedMIST:
    """The network for samples that are projected already, with a correction that says nothing."""
    x, y = sides
    kx, ky = x.map.shape[1], y.map.shape[1]
    projection = Projection(kx, ky, kx, ky, x.landmarks, y.landmarks)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        out = ProjectedMIST(MISTConfig.from_dict(network.config.to_dict()), projection)
    state = out.state_dict()
    state.update(network.state_dict())
    for name, side in zip("xy", sides):
        state[f"map_{name}"] = torch.eye(side.map.shape[1])
        state.update({f"correction.{name}.{k}": v for k, v in side.cells(seed).items()})
    out.load_state_dict(state)
    return out.eval()


def in_front(model: ProjectedMIST, sides: tuple[Side, Side]) -> ProjectedMIST:
    """The trained network with the maps of both sides, for the samples as they came."""
    (dx, kx), (dy, ky) = (s.map.shape for s in sides)
    projection = Projection(dx, dy, kx, ky, sides[0].landmarks, sides[1].landmarks)
    with torch.random.fork_rng(devices=[]):
        out = ProjectedMIST(model.config, projection)
    state = model.state_dict()
    for name, side in zip("xy", sides):
        state[f"mean_{name}"], state[f"map_{name}"] = side.mean, side.map
    out.load_state_dict(state)
    return out.eval().requires_grad_(False)
