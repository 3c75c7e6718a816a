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


def _entries(folder: Path) -> dict[str, dict[str, str]]:
    """What ``registry.json`` of ``folder`` holds: file and sha256 by name."""
    path = folder / "registry.json"
    content: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.is_file() else {}
    return content


def refuse_existing(path: Path) -> None:
    """Raise ``FileExistsError`` where ``path`` is a file or its name is registered beside it.

    Released weights never change, and a name stays taken when its file is deleted.
    """
    if path.exists() or path.stem in _entries(path.parent):
        raise FileExistsError(
            f"expected a new name, but {path} exists or is registered; released weights never "
            f"change: choose another name"
        )


def register(path: Path, digest: str, predictions: list[dict[str, Any]]) -> None:
    """Enter the sha256 of the weights at ``path``; write reference predictions beside them.

    Raises:
        FileExistsError: if the name is registered with other content.
    """
    entries = _entries(path.parent)
    if entries.get(path.stem, {}).get("sha256", digest) != digest:
        raise FileExistsError(
            f"expected a new name, but {path.stem} is registered with sha256 "
            f"{entries[path.stem]['sha256']}, got {digest}; released weights never change: choose "
            f"another name"
        )
    entries[path.stem] = {"file": path.name, "sha256": digest}
    registry = path.parent / "registry.json"
    registry.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
    reference = path.with_name(f"{path.stem}.reference.json")
    reference.write_text(json.dumps(predictions, indent=1) + "\n")
