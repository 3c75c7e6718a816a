"""Weights: immutable files with their configuration, provenance and evaluation in the header."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from torchmist.duo import Arbiter, DuoMIST
from torchmist.models.config import MISTConfig
from torchmist.models.mist import MIST
from torchmist.models.network import QuantileNetwork
from torchmist.models.projected import ProjectedMIST, Projection

__all__ = ["ALIASES", "load_pretrained", "registry", "save_weights"]

ALIASES = {"mist": "mist-duo-v1", "mist-fast": "mist-v1"}
"""Names that move: ``"mist"`` is the default of estimates, ``"mist-fast"`` of terms in a loop."""


def registry() -> dict[str, dict[str, str]]:
    """The registered weights: name to ``{"file": ..., "sha256": ...}``."""
    text = files("torchmist.pretrained").joinpath("registry.json").read_text()
    content: dict[str, dict[str, str]] = json.loads(text)
    return content


def save_weights(
    model: QuantileNetwork, path: str | os.PathLike[str], *,
    provenance: dict[str, Any] | None = None, evaluation: dict[str, Any] | None = None,
) -> str:  # fmt: skip
    """Write ``model`` as safetensors with its header, and return the file's sha256.

    Args:
        model: the network.
        path: the file to write.
        provenance: how the weights were made; ``"trained_range"`` holds ``{"n": [low, high],
            "d": [low, high]}``, outside which estimates carry a warning. ``None`` takes what
            the model was loaded or adapted with.
        evaluation: the measured errors, likewise.
    """
    if provenance is None:
        provenance = getattr(model, "provenance", {})
    if evaluation is None:
        evaluation = getattr(model, "evaluation", {})
    header = {
        "format": "torchmist",
        "provenance": json.dumps(provenance),
        "evaluation": json.dumps(evaluation),
        **_sizes(model),
    }
    state = model.arbiter.state_dict() if isinstance(model, DuoMIST) else model.state_dict()
    tensors = {name: value.contiguous() for name, value in state.items()}
    save_file(tensors, os.fspath(path), metadata=header)
    return _sha256(Path(path))


def _sizes(model: QuantileNetwork) -> dict[str, str]:
    """What a header says of the kind and the sizes of a model."""
    if isinstance(model, DuoMIST):
        known = registry()
        parents = {name: known[name]["sha256"] for name in model.names}
        arbiter = {"width": model.arbiter.width, "quantiles": model.arbiter.quantiles}
        return {"model": "duo", "parents": json.dumps(parents), "arbiter": json.dumps(arbiter)}
    if not isinstance(model, MIST):
        raise TypeError(f"expected a MIST or a DuoMIST, got {type(model).__name__}")
    sizes = {"model": "mist", "config": json.dumps(model.config.to_dict())}
    if isinstance(model, ProjectedMIST):
        projection = json.dumps(model.projection.to_dict())
        return {**sizes, "model": "projected-mist", "projection": projection}
    return sizes


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(header: dict[str, str]) -> MIST:
    return MIST(MISTConfig.from_dict(json.loads(header["config"])))


def _projected(header: dict[str, str]) -> MIST:
    projection = Projection(**json.loads(header["projection"]))
    return ProjectedMIST(MISTConfig.from_dict(json.loads(header["config"])), projection)


def _duo(header: dict[str, str]) -> DuoMIST:
    parents: dict[str, str] = json.loads(header["parents"])
    known = registry()
    networks = []
    for name, digest in parents.items():
        found = known.get(name, {}).get("sha256")
        if found != digest:
            raise ValueError(
                f"expected the weights {name} of sha256 {digest}, which this file is an arbiter "
                f"of, got {found}; install a torchmist that ships them"
            )
        network = load_pretrained(name)
        assert isinstance(network, MIST)
        networks.append(network)
    plain, local = networks
    first, second = parents
    return DuoMIST(plain, local, Arbiter(**json.loads(header["arbiter"])), (first, second))


_MODELS: dict[str, Callable[[dict[str, str]], QuantileNetwork]] = {
    "mist": _plain,
    "projected-mist": _projected,
    "duo": _duo,
}


def _read(path: Path) -> QuantileNetwork:
    """The model in a safetensors file, with ``provenance`` and ``evaluation`` as attributes."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"expected a safetensors file written by torchmist, could not read {path}: {error}"
        ) from error
    if header.get("format") != "torchmist" or header.get("model") not in _MODELS:
        raise ValueError(
            f"expected a header with format 'torchmist' and model 'mist' in {path}, got "
            f"{ {k: header.get(k) for k in ('format', 'model')} }; write it with save_weights"
        )
    with torch.random.fork_rng(devices=[]):  # what the constructor draws is replaced
        model = _MODELS[header["model"]](header)
    own = model.arbiter if isinstance(model, DuoMIST) else model
    own.load_state_dict(tensors, strict=True)
    model.provenance = json.loads(header["provenance"])
    model.evaluation = json.loads(header["evaluation"])
    return model.eval().requires_grad_(False)


def load_pretrained(name: str | os.PathLike[str] = "mist") -> QuantileNetwork:
    """Trained MIST by registered name or file, frozen and in eval mode; never downloads.

    Args:
        name: ``"mist"`` (this version's default), an exact name such as ``"mist-paper-v1"``, or
            the path of a ``.safetensors`` file written by torchmist.

    Raises:
        ValueError: for an unknown name, a file of another format, or one whose sha256 is not the
            registered one.
        FileNotFoundError: for a path that does not exist.

    Example:
        >>> model = load_pretrained("mist")
        >>> sum(p.requires_grad for p in model.parameters())
        0
    """
    text = os.fspath(name)
    known = registry()
    if text.endswith(".safetensors") or os.sep in text:
        if not Path(text).is_file():
            raise FileNotFoundError(f"no weights at {text}; known names are {_names(known)}")
        return _read(Path(text))
    exact = ALIASES.get(text, text)
    if exact not in known:
        raise ValueError(
            f"expected a known model name or the path of a .safetensors file, got {text!r}; "
            f"known names are {_names(known)}"
        )
    entry = known[exact]
    with as_file(files("torchmist.pretrained").joinpath(entry["file"])) as path:
        found = _sha256(path)
        if found != entry["sha256"]:
            raise ValueError(
                f"expected sha256 {entry['sha256']} for {exact}, got {found}; the file is damaged: "
                f"install torchmist again"
            )
        return _read(path)


def _names(known: dict[str, dict[str, str]]) -> list[str]:
    return sorted([*ALIASES, *known])
