"""The network behind scores of single columns: from statistics of a pair to quantiles of its MI.

Its input is ``torchmist.models.pair_statistics``, so that a pair costs little more than counting
it. A head for each kind of pair blends the opinions among the statistics into a centre, from which
it measures quantiles of ``log(I + 0.2)``.

Legend: ``B`` pairs, ``S`` statistics, ``O`` opinions, ``Q`` quantiles.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from torchmist.heads import QuantileHead, quantile_levels, to_nats
from torchmist.models.layers import mlp

__all__ = [
    "PAIR_MODEL",
    "PairHead",
    "PairNetwork",
    "is_pair_model",
    "load_pair_network",
    "save_pair_network",
]

PAIR_MODEL = "mist-pairs"
"""The name that moves: the weights that score single columns by default."""
_EXACT = "mist-pairs-v1"
_FAR = 6.0  # standard deviations


class PairHead(nn.Module):
    """Quantiles ``[B, Q]`` of ``log(I + 0.2)`` from the statistics of one kind of pair.

    Args:
        statistics: their number; the first are ``log(I + 0.2)`` of opinions.
        opinions: the number of those.
        width: of three hidden layers.
        quantiles: of the head.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, statistics: int, opinions: int, width: int, quantiles: int) -> None:
        super().__init__()
        self.opinions = opinions
        self.register_buffer("mean", torch.zeros(statistics))
        self.register_buffer("scale", torch.ones(statistics))
        self.trunk = nn.Sequential(mlp(statistics, width, width, width), nn.GELU())
        self.share = nn.Linear(width, opinions)
        self.head = QuantileHead(width, quantiles)

    def standardise(self, statistics: Tensor) -> None:
        """Take the mean and deviation of ``statistics`` ``[B, S]`` as those of the input."""
        self.mean.copy_(statistics.mean(0))
        self.scale.copy_(statistics.std(0).clamp(min=1e-3))

    def forward(self, statistics: Tensor) -> Tensor:
        """``[B, Q]``, increasing along ``Q``."""
        hidden = self.trunk(((statistics - self.mean) / self.scale).clamp(-_FAR, _FAR))
        share = self.share(hidden).softmax(-1)
        centre = (share * statistics[:, : self.opinions]).sum(-1)
        out: Tensor = self.head(hidden, centre)
        return out


class PairNetwork(nn.Module):
    """A :class:`PairHead` for each kind of pair: numbers, labels beside numbers, and labels.

    Args:
        sizes: of each kind, the numbers of its statistics and opinions.
        width: of the heads.
        quantiles: of the heads.
    """

    levels: Tensor
    provenance: dict[str, Any]
    evaluation: dict[str, Any]

    def __init__(
        self, sizes: dict[str, tuple[int, int]], width: int = 128, quantiles: int = 24
    ) -> None:
        super().__init__()
        self.sizes = {kind: (int(s), int(o)) for kind, (s, o) in sizes.items()}
        self.width, self.quantiles = width, quantiles
        self.register_buffer("levels", quantile_levels(quantiles), persistent=False)
        self.heads = nn.ModuleDict(
            {kind: PairHead(s, o, width, quantiles) for kind, (s, o) in self.sizes.items()}
        )
        self.provenance, self.evaluation = {}, {}

    def forward(self, kind: str, statistics: Tensor) -> Tensor:
        """Quantiles of I(X;Y) in nats, ``[B, Q]``, of the ``statistics`` ``[B, S]`` of a kind."""
        return to_nats(self.heads[kind](statistics))


def save_pair_network(model: PairNetwork, path: str | os.PathLike[str]) -> str:
    """Write ``model`` with its provenance as safetensors, and return the sha256 of the file."""
    config = {"sizes": model.sizes, "width": model.width, "quantiles": model.quantiles}
    header = {
        "format": "torchmist",
        "model": "pairs",
        "config": json.dumps(config),
        "provenance": json.dumps(model.provenance),
        "evaluation": json.dumps(model.evaluation),
    }
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, os.fspath(path), metadata=header)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def is_pair_model(name: object) -> bool:
    """Whether ``name`` is the registered name or the file of weights for single columns."""
    if not isinstance(name, str):
        return False
    if name.endswith(".safetensors") and Path(name).is_file():
        with safe_open(name, framework="pt") as file:
            return (file.metadata() or {}).get("model") == "pairs"
    return name == PAIR_MODEL or name in _registry()


def _registry() -> dict[str, dict[str, str]]:
    text = files("torchmist.pretrained").joinpath("pairs.json").read_text()
    content: dict[str, dict[str, str]] = json.loads(text)
    return content


@lru_cache(maxsize=4)
def load_pair_network(name: str = PAIR_MODEL) -> PairNetwork:
    """Trained weights by registered name or file, frozen; never downloads.

    Raises:
        ValueError: for an unknown name, a file of another format, or one whose sha256 is not the
            registered one.

    Example:
        >>> network = load_pair_network()
        >>> sorted(network.sizes)
        ['labels', 'mixed', 'numbers']
    """
    if name.endswith(".safetensors"):
        return _read(Path(name))
    known, exact = _registry(), _EXACT if name == PAIR_MODEL else name
    if exact not in known:
        raise ValueError(
            f"expected weights for single columns, got {name!r}; known names are "
            f"{[PAIR_MODEL, *sorted(known)]}, and a .safetensors file will do"
        )
    with as_file(files("torchmist.pretrained").joinpath(known[exact]["file"])) as path:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != known[exact]["sha256"]:
            raise ValueError(
                f"expected sha256 {known[exact]['sha256']} for {exact}, got {found}; the file is "
                f"damaged: install torchmist again"
            )
        return _read(path)


def _read(path: Path) -> PairNetwork:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, FileNotFoundError) as error:
        raise ValueError(
            f"expected a safetensors file written by torchmist, could not read {path}: {error}"
        ) from error
    if header.get("model") != "pairs":
        raise ValueError(
            f"expected weights for pairs of single columns in {path}, got a header with model "
            f"{header.get('model')!r}"
        )
    with torch.random.fork_rng(devices=[]):  # what the constructor draws is replaced
        model = PairNetwork(**json.loads(header["config"]))
    model.load_state_dict(tensors, strict=True)
    model.provenance = json.loads(header["provenance"])
    model.evaluation = json.loads(header["evaluation"])
    return model.eval().requires_grad_(False)
