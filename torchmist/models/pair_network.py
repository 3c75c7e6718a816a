"""The network behind scores of single columns: from statistics of a pair to quantiles of its MI.

Its input is ``torchmist.models.pair_statistics``, so that a pair costs little more than counting
it. A head for each kind of pair blends the opinions among the statistics into a centre, from which
it measures quantiles of ``log(I + 0.2)``.

Legend: ``B`` pairs, ``S`` statistics, ``O`` opinions, ``Q`` quantiles.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from torchmist.models.layers import mlp
from torchmist.models.standardised import Standardised
from torchmist.numerics.own_thread import apart
from torchmist.quantile_head import QuantileHead, quantile_levels, to_nats
from torchmist.weight_files import (
    WeightsFile,
    build,
    file_version,
    header_object,
    is_path,
    read_file,
    read_registered,
    read_registry,
    sha256_of,
)

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
_REGISTRY = "pairs.json"
_FAR = 6.0  # standard deviations


class PairHead(Standardised):
    """Quantiles ``[B, Q]`` of ``log(I + 0.2)`` from the statistics of one kind of pair.

    Args:
        statistics: their number; the first are ``log(I + 0.2)`` of opinions.
        opinions: the number of those.
        width: of three hidden layers.
        quantiles: of the head.
    """

    def __init__(self, statistics: int, opinions: int, width: int, quantiles: int) -> None:
        super().__init__()
        self.opinions = opinions
        self.keep_scale(statistics)
        self.trunk = nn.Sequential(mlp(statistics, width, width, width), nn.GELU())
        self.share = nn.Linear(width, opinions)
        self.head = QuantileHead(width, quantiles)

    def forward(self, statistics: Tensor) -> Tensor:
        """``[B, Q]``, increasing along ``Q``."""
        hidden = self.trunk(self.standardised(statistics).clamp(-_FAR, _FAR))
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
    return sha256_of(Path(path))


def is_pair_model(name: object) -> bool:
    """Whether ``name`` is the registered name or the file of weights for single columns."""
    if not isinstance(name, str):
        return False
    if name.endswith(".safetensors") and Path(name).is_file():
        with safe_open(name, framework="pt") as file:
            return (file.metadata() or {}).get("model") == "pairs"
    return name == PAIR_MODEL or name in read_registry(_REGISTRY)


def load_pair_network(name: str = PAIR_MODEL) -> PairNetwork:
    """Trained weights by registered name or file, frozen; never downloads.

    Kept for the next call; a file is read again once it has been written anew.

    Raises:
        ValueError: for an unknown name, a file of another format, or one whose sha256 is not the
            registered one.

    Example:
        >>> network = load_pair_network()
        >>> sorted(network.sizes)
        ['labels', 'mixed', 'numbers']
    """
    return _kept(name, file_version(name) if is_path(name) else None)


@lru_cache(maxsize=4)
def _kept(name: str, version: tuple[int, int, int] | None) -> PairNetwork:
    """The network of a name, or of one version of a file."""
    return apart(lambda: _read(name))


def _read(name: str) -> PairNetwork:
    if name.endswith(".safetensors"):
        return _model(read_file(Path(name)))
    known, exact = read_registry(_REGISTRY), _EXACT if name == PAIR_MODEL else name
    if exact not in known:
        raise ValueError(
            f"expected weights for single columns, got {name!r}; known names are "
            f"{[PAIR_MODEL, *sorted(known)]}, and a .safetensors file will do"
        )
    return _model(read_registered(exact, known[exact]))


def _model(file: WeightsFile) -> PairNetwork:
    header = file.header
    if header.get("model") != "pairs":
        raise ValueError(
            f"expected weights for pairs of single columns in {file.path}, got a header with model "
            f"{header.get('model')!r}"
        )
    config = header_object(header, "config")
    model = build(lambda: PairNetwork(**config), file)
    model.provenance = header_object(header, "provenance")
    model.evaluation = header_object(header, "evaluation")
    return model.eval().requires_grad_(False)
