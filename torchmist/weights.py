"""Weights: immutable files with their configuration, provenance and evaluation in the header."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.duo import DuoMIST
from torchmist.models.config import MISTConfig
from torchmist.models.mist import MIST
from torchmist.models.network import QuantileNetwork
from torchmist.numerics.own_thread import apart
from torchmist.weight_files import (
    WeightsFile,
    build,
    check_folder,
    header_object,
    is_path,
    read_file,
    read_registered,
    read_registry,
    sha256_of,
)

__all__ = ["ALIASES", "check_name", "load_pretrained", "registry", "save_weights"]

_PAIRS = "mist-pairs"  # the name of the default of pairs of columns (models.pair_network)
ALIASES = {"mist": "mist-duo-v24", "mist-fast": "mist-v1"}
"""Names that move: ``"mist"`` is the default of estimates, ``"mist-fast"`` of terms in a loop."""


def registry() -> dict[str, dict[str, str]]:
    """The registered weights: name to ``{"file": ..., "sha256": ...}``."""
    return read_registry("registry.json")


def save_weights(
    model: QuantileNetwork, path: str | os.PathLike[str], *,
    provenance: dict[str, Any] | None = None, evaluation: dict[str, Any] | None = None,
) -> str:  # fmt: skip
    """Write ``model`` as safetensors with its header, and return the file's sha256.

    Args:
        model: the network.
        path: the ``.safetensors`` file to write, in a folder that exists.
        provenance: how the weights were made; ``"trained_range"`` holds ``{"n": [low, high],
            "d": [low, high]}``, outside which estimates carry a warning. ``None`` takes what
            the model was loaded or adapted with.
        evaluation: the measured errors, likewise.

    Raises:
        TypeError: for what is no network of this library.
        ValueError: for another ending, which :func:`load_pretrained` would not take for a file, and
            for a folder that is not there.
    """
    if not isinstance(model, QuantileNetwork):
        raise TypeError(
            f"expected model to be a network of torchmist, got {type(model).__name__}; pass what "
            f"torchmist.load_pretrained, adapt or finetune returns"
        )
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a file that ends in .safetensors, got {path}; rename it")
    check_folder(path)
    if provenance is None:
        provenance = model.provenance
    if evaluation is None:
        evaluation = model.evaluation
    header = {
        "format": "torchmist",
        "provenance": json.dumps(provenance),
        "evaluation": json.dumps(evaluation),
        **_sizes(model),
    }
    state = model.arbiter.state_dict() if isinstance(model, DuoMIST) else model.state_dict()
    tensors = {name: value.contiguous() for name, value in state.items()}
    save_file(tensors, path, metadata=header)
    return sha256_of(path)


def _sizes(model: QuantileNetwork) -> dict[str, str]:
    """What a header says of the kind and the sizes of a model."""
    if isinstance(model, DuoMIST):
        known = registry()
        parents = {name: known[name]["sha256"] for name in model.names}
        arbiter = model.arbiter.sizes()
        return {"model": "duo", "parents": json.dumps(parents), "arbiter": json.dumps(arbiter)}
    if not isinstance(model, MIST):
        raise TypeError(f"expected a MIST or a DuoMIST, got {type(model).__name__}")
    return {"model": "mist", "config": json.dumps(model.config.to_dict())}


def _bound(sizes: dict[str, Any], file: WeightsFile, repeated: tuple[str, ...]) -> None:
    """Raise ``ValueError`` for a size that the file cannot have.

    None is above the count of numbers in it, and what is ``repeated`` has tensors of its own.
    """
    tensors, numbers = len(file.tensors), sum(value.numel() for value in file.tensors.values())
    for name, size in sizes.items():
        if not isinstance(size, (int, float)):
            continue
        if not size <= numbers:
            raise ValueError(
                f"expected sizes of at most the {numbers} numbers in {file.path}, got {name}: "
                f"{size}; write the file with save_weights"
            )
        if name in repeated and size > tensors:
            raise ValueError(
                f"expected tensors for {size} {name} in {file.path}, got {tensors} tensors; write "
                f"the file with save_weights"
            )


def _config(file: WeightsFile) -> MISTConfig:
    """The sizes in a header."""
    sizes = header_object(file.header, "config")
    _bound(sizes, file, ("feature_layers", "sample_layers"))
    try:
        return MISTConfig.from_dict(sizes)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected the sizes of a MIST in the header of {file.path}: {error}; install the "
            f"torchmist that wrote it"
        ) from error


def _plain(file: WeightsFile) -> MIST:
    config = _config(file)
    return build(lambda: MIST(config), file)


def _duo(file: WeightsFile) -> DuoMIST:
    parents, sizes = header_object(file.header, "parents"), header_object(file.header, "arbiter")
    _bound(sizes, file, ("members",))
    arbiter = build(lambda: Arbiter(**sizes), file)
    expected = 2 if arbiter.recognising is None else 3
    if len(parents) != expected:
        raise ValueError(
            f"expected {expected} parents in the header of {file.path}, got {list(parents)}; write "
            f"the file with save_weights"
        )
    plain, local, *expert = (_parent(name, digest, arbiter) for name, digest in parents.items())
    return DuoMIST(plain, local, arbiter, tuple(parents), *expert)


def _parent(name: str, digest: str, arbiter: Arbiter) -> MIST:
    """The registered network that an arbiter's file refers to."""
    found = registry().get(name, {}).get("sha256")
    if found != digest:
        raise ValueError(
            f"expected the weights {name} of sha256 {digest}, which this file is an arbiter of, "
            f"got {found}; install a torchmist that ships them"
        )
    network = _read(name)
    if not isinstance(network, MIST) or len(network.levels) != arbiter.quantiles:
        raise ValueError(
            f"expected a network of {arbiter.quantiles} quantiles, which the arbiter reads, got "
            f"{name}; write the file with save_weights"
        )
    return network


_MODELS: dict[str, Callable[[WeightsFile], QuantileNetwork]] = {
    "mist": _plain,
    "duo": _duo,
}


def _model(file: WeightsFile) -> QuantileNetwork:
    """The model in a file, with ``provenance`` and ``evaluation`` as attributes."""
    header = file.header
    if header.get("format") != "torchmist" or header.get("model") not in _MODELS:
        raise ValueError(
            f"expected a header with format 'torchmist' and model 'mist' in {file.path}, got "
            f"{ {k: header.get(k) for k in ('format', 'model')} }; write it with save_weights"
        )
    model = _MODELS[header["model"]](file)
    model.provenance = header_object(header, "provenance")
    model.evaluation = header_object(header, "evaluation")
    return model.eval().requires_grad_(False)


def load_pretrained(name: str | os.PathLike[str] = "mist") -> QuantileNetwork:
    """Trained MIST by registered name or file, frozen and in eval mode; never downloads.

    Args:
        name: ``"mist"`` (this version's default), an exact name such as ``"mist-paper-v1"``, or
            the path of a ``.safetensors`` file written by torchmist.

    Raises:
        TypeError: for what is neither a name nor a path.
        ValueError: for an unknown name, a file of another format, a damaged one, or one whose
            sha256 is not the registered one. Nothing in a file is run.
        FileNotFoundError: for a path that does not exist.

    Example:
        >>> model = load_pretrained("mist")
        >>> sum(p.requires_grad for p in model.parameters())
        0
    """
    check_name(name)
    return apart(lambda: _read(os.fspath(name)))


def _read(name: str) -> QuantileNetwork:
    """The model of a name or a path that :func:`check_name` has passed."""
    if is_path(name):
        return _model(read_file(Path(name)))
    exact = ALIASES.get(name, name)
    return _model(read_registered(exact, registry()[exact]))


def check_name(name: str | os.PathLike[str]) -> None:
    """Raise as :func:`load_pretrained` unless there are weights of this name or a file there."""
    if not isinstance(name, (str, os.PathLike)):
        raise TypeError(
            f"expected a registered name or the path of a .safetensors file, got "
            f"{type(name).__name__}; pass 'mist'"
        )
    text = os.fspath(name)
    known = sorted([*ALIASES, *registry()])
    pairs = [_PAIRS, *read_registry("pairs.json")]
    listed = f"known names are {known}, and {_PAIRS!r} for pairwise, lagged and sklearn alone"
    if is_path(text):
        if not Path(text).is_file():
            raise FileNotFoundError(f"no weights at {text}; {listed}")
        return
    if text in pairs:
        raise ValueError(
            f"expected weights for sets of columns, got {text!r}, which read pairs of single "
            f"columns for torchmist.pairwise, lagged and sklearn alone; known names are {known}"
        )
    if text not in known:
        near = difflib.get_close_matches(text.strip().lower(), [*known, *pairs], 1)
        raise ValueError(
            f"expected a known model name or the path of a .safetensors file, got {text!r}"
            + (f", did you mean {near[0]!r}?" if near else "")
            + f"; {listed}"
        )
