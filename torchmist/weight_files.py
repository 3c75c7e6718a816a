"""Weights files from anywhere: nothing in them is run, and what they claim is checked before use.

A safetensors file is a header of JSON and numbers; no code is in it. What is left to guard against
is a header whose sizes would take all memory, that does not go with the numbers, or that holds
something else than a model of this library. All of these are a ``ValueError``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = ["WeightsFile", "build", "check_folder", "file_version", "header_object", "is_path",
           "read_file", "read_registered", "read_registry", "save_whole", "sha256_of"]  # fmt: skip

Module = TypeVar("Module", bound=nn.Module)
_FAILURES = (TypeError, ValueError, KeyError, RuntimeError, OverflowError, RecursionError)


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """What a file holds; ``registered``: whether its sha256 is one that this library ships."""

    path: Path
    header: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    registered: bool


def read_file(path: Path, registered: bool = False) -> WeightsFile:
    """The header and the tensors of a safetensors file.

    Raises:
        ValueError: for another format, a damaged or truncated file, and tensors that are not
            finite.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, UnicodeError, *_FAILURES) as error:
        raise ValueError(
            f"expected a safetensors file written by torchmist, could not read {path}: {error}"
        ) from error
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise ValueError(f"expected finite weights in {path}, got NaN or infinity in {name}")
    return WeightsFile(path, header, tensors, registered)


def check_folder(path: Path) -> None:
    """Raise ``ValueError`` unless a file can be written at ``path``, in a folder that exists."""
    if not path.parent.is_dir():
        raise ValueError(f"expected a folder for {path}, found none; make {path.parent} first")
    if path.is_dir():
        raise ValueError(f"expected a file to write, got the folder {path}; name a file in it")


def save_whole(content: Any, path: Path) -> None:
    """``torch.save`` through a temporary file, so that a kill leaves the old one."""
    temporary = path.with_name(path.name + ".part")
    torch.save(content, temporary)
    os.replace(temporary, path)


def is_path(text: str) -> bool:
    """Whether what is asked for is a file, by its path, and no registered name."""
    return text.endswith(".safetensors") or os.sep in text


def file_version(path: str) -> tuple[int, int, int] | None:
    """What another content of a file changes: its time, its size and which file it is; None where
    there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _shipped() -> Traversable:
    """The folder of the weights that ship: that of the package, or the one beside it in a clone.

    In the folder of a clone Python takes the clone's code before an installed one, and there the
    weights stand beside the code.

    Raises:
        ModuleNotFoundError: where there is neither.
    """
    try:
        return files("torchmist.pretrained")
    except ModuleNotFoundError as error:
        beside = Path(__file__).parents[1] / "pretrained"
        if not (beside / "registry.json").is_file():
            raise ModuleNotFoundError(
                f"expected the weights of torchmist in {Path(__file__).parent} or in {beside}, "
                f"found none; install torchmist again"
            ) from error
        return beside


def read_registry(name: str) -> dict[str, dict[str, str]]:
    """A registry that ships beside the weights: name to ``{"file": ..., "sha256": ...}``."""
    text = _shipped().joinpath(name).read_text()
    content: dict[str, dict[str, str]] = json.loads(text)
    return content


def read_registered(name: str, entry: Mapping[str, str]) -> WeightsFile:
    """What the shipped file of the weights ``name`` holds; ``entry``: theirs in a registry.

    Raises:
        ValueError: if its sha256 is not the registered one.
    """
    with as_file(_shipped().joinpath(entry["file"])) as path:
        found = sha256_of(path)
        if found != entry["sha256"]:
            raise ValueError(
                f"expected sha256 {entry['sha256']} for {name}, got {found}; the file is damaged: "
                f"install torchmist again"
            )
        return read_file(path, registered=True)


def header_object(header: Mapping[str, str], name: str) -> dict[str, Any]:
    """The JSON object of one entry of a header.

    Raises:
        ValueError: if the entry is missing, no JSON, or not an object.
    """
    try:
        value = json.loads(header.get(name, ""))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"expected JSON in the header's {name!r}, could not read it: {error}; write the file "
            f"with save_weights"
        ) from error
    if not isinstance(value, dict):
        raise ValueError(
            f"expected an object in the header's {name!r}, got {type(value).__name__}; write the "
            f"file with save_weights"
        )
    return value


def build(make: Callable[[], Module], file: WeightsFile) -> Module:
    """``make()`` with the tensors of ``file`` as its state.

    Unless the file is registered, it is made without memory first, so that sizes which the tensors
    do not have cost nothing.

    Raises:
        ValueError: if names, shapes or dtypes of the tensors are not those of its state.
    """
    try:
        if not file.registered:
            with torch.device("meta"):
                _compare(make().state_dict(), file.tensors)
        with torch.random.fork_rng(devices=[]):  # what the constructor draws is replaced
            model = make().float()  # whatever the default dtype
        model.load_state_dict(dict(file.tensors), strict=True)
    except _FAILURES as error:
        raise ValueError(
            f"expected the sizes in the header of {file.path} to fit its tensors: {error}; write "
            f"the file with save_weights"
        ) from error
    return model


def _compare(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Raise a ``ValueError`` where names, shapes or dtypes differ."""
    wrong = sorted(set(expected) ^ set(found))
    if wrong:
        raise ValueError(f"{len(wrong)} tensors such as {wrong[0]} are missing or unknown")
    for name, own in expected.items():
        value = found[name]
        if (own.shape, own.dtype) != (value.shape, value.dtype):
            raise ValueError(
                f"expected {name} to be {own.dtype} {list(own.shape)}, got {value.dtype} "
                f"{list(value.shape)}"
            )
