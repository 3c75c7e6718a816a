"""Weights in folders and on the Hugging Face Hub: safetensors with a card, and nothing that is run.

Needs the extra ``torchmist-mi[hub]`` for repositories; folders need nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

from torchmist.models.network import QuantileNetwork
from torchmist.models.trained_range import TrainedRange
from torchmist.weights import load_pretrained, save_weights

__all__ = ["FILE", "from_pretrained", "push_to_hub", "save_folder"]

FILE = "model.safetensors"
"""The file of a folder or repository that holds the weights."""

_CARD = "README.md"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def save_folder(model: QuantileNetwork, folder: str | os.PathLike[str], *, card: str = "") -> Path:
    """Write ``model`` and its card into ``folder``, and return the path of the weights.

    Args:
        model: the network, with ``provenance`` and ``evaluation`` if it has them.
        folder: made if it is not there.
        card: Markdown on how the weights were made and what was measured; ``""`` says how to load
            them and what the header holds.
    """
    if not isinstance(model, QuantileNetwork):
        raise TypeError(
            f"expected model to be a network of torchmist, got {type(model).__name__}; pass what "
            f"torchmist.load_pretrained, adapt or finetune returns"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digest = save_weights(model, folder / FILE)
    (folder / _CARD).write_text(card or _default_card(model, digest))
    return folder / FILE


def from_pretrained(
    source: str | os.PathLike[str], *, revision: str | None = None, token: str | None = None,
    local_files_only: bool = False,
) -> QuantileNetwork:  # fmt: skip
    """A frozen network in eval mode from a folder, a file, a registered name or a repository.

    Only ``model.safetensors`` is read; nothing in it is run.

    Args:
        source: a folder of :func:`save_folder`, a ``.safetensors`` file, a name such as
            ``"mist"``, or ``"owner/name"`` of a repository on the Hub.
        revision: branch, tag or commit of the repository; a commit pins what is loaded.
        token: of the Hub, for repositories that are not public.
        local_files_only: take what is in the Hub's cache, and ask nobody.

    Raises:
        FileNotFoundError: for a folder without ``model.safetensors``.
        ImportError: for a repository without the extra ``torchmist-mi[hub]``.
        ValueError: as :func:`~torchmist.load_pretrained`.
    """
    path = Path(source)
    if path.is_dir():
        if not (path / FILE).is_file():
            raise FileNotFoundError(f"expected {FILE} in {path}; write it with save_folder")
        return load_pretrained(path / FILE)
    text = os.fspath(source)
    if path.suffix == ".safetensors" or not _REPOSITORY.fullmatch(text):
        return load_pretrained(text)
    found = _hub().hf_hub_download(
        text, FILE, revision=revision, token=token, local_files_only=local_files_only
    )
    return load_pretrained(found)


def push_to_hub(
    model: QuantileNetwork, repository: str, folder: str | os.PathLike[str], *, card: str = "",
    private: bool = True, token: str | None = None, message: str = "Weights of torchmist",
) -> str:  # fmt: skip
    """Write ``folder`` by :func:`save_folder`, upload it, and return the address of the commit.

    Args:
        model: the network.
        repository: ``"owner/name"``; made if it is not there.
        folder: where the files are kept on this machine.
        card: as :func:`save_folder`.
        private: of a repository that is made.
        token: of the Hub; ``None`` takes the one that is stored.
        message: of the commit.

    Raises:
        ImportError: without the extra ``torchmist-mi[hub]``.
        ValueError: for a name that is not ``"owner/name"``.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"expected a repository 'owner/name', got {repository!r}")
    hub: Any = _hub()
    save_folder(model, folder, card=card)
    api = hub.HfApi(token=token)
    api.create_repo(repository, private=private, exist_ok=True)
    commit = api.upload_folder(
        repo_id=repository, folder_path=os.fspath(folder), commit_message=message,
        allow_patterns=[FILE, _CARD],
    )  # fmt: skip
    return str(commit.commit_url)


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "expected huggingface_hub, which repositories on the Hub need: "
            "pip install 'torchmist-mi[hub]'; folders and files need none"
        ) from error
    return huggingface_hub


def _default_card(model: QuantileNetwork, digest: str) -> str:
    """A card with the tags of the Hub, how to load the weights, and what they were trained on."""
    stated = asdict(model.trained_range or TrainedRange())
    ranges = ", ".join(f"{key} {ends[0]} to {ends[1]}" for key, ends in stated.items() if ends)
    return (
        "---\nlibrary_name: torchmist\ntags:\n- mutual-information\n---\n\n"
        f"# Weights of torchmist\n\n{type(model).__name__}, sha256 `{digest}`; trained on "
        f"{ranges or 'sizes that the file does not state'}.\n\n```python\n"
        "from torchmist.hub import from_pretrained\n\n"
        'model = from_pretrained("owner/name")  # torchmist.estimate(x, y, model=model)\n```\n'
    )
