"""The registry of weights beside their files: names, digests and reference predictions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["commit", "refuse_existing", "register"]


def commit() -> str:
    """The commit of the code, or ``unknown`` outside a repository."""
    try:
        shown = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return shown.stdout.strip()


def refuse_existing(path: Path) -> None:
    """Raise ``FileExistsError`` if there are weights at ``path``: released weights never change."""
    if path.exists():
        raise FileExistsError(
            f"expected a new name, but {path} exists; released weights never change: give the "
            f"recipe another name"
        )


def register(path: Path, digest: str, predictions: list[dict[str, Any]]) -> None:
    """Enter the sha256 of the weights at ``path``; write reference predictions beside them."""
    registry = path.parent / "registry.json"
    entries = json.loads(registry.read_text()) if registry.is_file() else {}
    entries[path.stem] = {"file": path.name, "sha256": digest}
    registry.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
    reference = path.with_name(f"{path.stem}.reference.json")
    reference.write_text(json.dumps(predictions, indent=1) + "\n")
