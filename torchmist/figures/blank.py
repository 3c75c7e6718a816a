"""An empty figure of matplotlib, which is loaded when the first picture is asked for."""

from __future__ import annotations

from typing import Any

__all__ = ["blank_figure"]


def blank_figure(what: str, width: float, height: float) -> Any:
    """A figure of ``width`` by ``height`` inches; ``what``: the picture, as errors call it.

    Raises:
        ImportError: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f"expected matplotlib for {what}, got {error}; install it with "
            f"pip install 'torchmist-mi[cli]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")
