"""The progress of an adaptation in a file, for the data that it was made with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["Checkpoint"]


class Checkpoint:
    """Parts by name, kept in ``state`` and, where there is a ``path``, in that file.

    Args:
        path: the file, read when it exists; ``None`` keeps nothing.
        samples: what the parts depend on.
        seed: likewise.

    Raises:
        ValueError: for a file that is no checkpoint, or one of other data or another seed.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, samples: Sequence[Tensor], seed: int
    ) -> None:
        self.path = None if path is None else Path(path)
        digest = hashlib.sha256(str(seed).encode())
        for value in samples:
            digest.update(value.contiguous().numpy().tobytes())
        self.state: dict[str, Any] = {"data": digest.hexdigest()}
        if self.path and self.path.exists():
            self.state = self._read(self.path)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            state: Any = torch.load(path, weights_only=True)
        except Exception as error:
            raise ValueError(
                f"expected {path} to be a checkpoint of an adaptation, could not read it; pass "
                f"another file or remove it"
            ) from error
        if not isinstance(state, dict) or state.get("data") != self.state["data"]:
            raise ValueError(
                f"expected {path} to be a checkpoint of this data and seed, it is of others; pass "
                f"another file or remove it"
            )
        return state

    def save(self, **parts: Any) -> None:
        """Add or replace parts, atomically."""
        self.state.update(parts)
        if self.path:
            temporary = self.path.with_name(self.path.name + ".part")
            torch.save(self.state, temporary)
            os.replace(temporary, self.path)
