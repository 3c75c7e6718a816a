"""The progress of an adaptation in a file, for the data that it was made with."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmist.weight_files import check_folder, save_whole

__all__ = ["Checkpoint"]


class Checkpoint:
    """Parts by name and the ``seconds`` taken, kept in ``state`` and, if given, in a file.

    Args:
        path: the file, read when it exists; ``None`` keeps nothing.
        samples: what the parts depend on.
        seed: likewise.

    Raises:
        ValueError: for a file that is no checkpoint, or one of other data or another seed, and for
            a folder that does not exist, before there is anything to lose.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, samples: Sequence[Tensor], seed: int
    ) -> None:
        self.path = None if path is None else Path(path)
        if self.path:
            check_folder(self.path)
        digest = hashlib.sha256(str(seed).encode())
        for value in samples:
            digest.update(value.contiguous().numpy().tobytes())
        self.state: dict[str, Any] = {"data": digest.hexdigest(), "seconds": 0.0}
        if self.path and self.path.exists():
            fix = "pass another file or remove it"
            try:
                self.state = torch.load(self.path, weights_only=True)
                known = self.state["data"] == digest.hexdigest()
            except Exception as error:
                raise ValueError(
                    f"expected {path} to be a checkpoint of an adaptation, could not read it; {fix}"
                ) from error
            if not known:
                raise ValueError(
                    f"expected {path} to be a checkpoint of this data and seed, it is not; {fix}"
                )
        self.start: float = time.monotonic() - self.state["seconds"]

    @property
    def seconds(self) -> float:
        """That were taken so far, those of earlier runs included."""
        return time.monotonic() - self.start

    def save(self, **parts: Any) -> None:
        """Add or replace parts, atomically."""
        self.state.update(parts, seconds=self.seconds)
        if self.path:
            save_whole(self.state, self.path)
