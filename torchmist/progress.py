"""A progress bar for long work: tqdm where it is installed, nothing where it is not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

__all__ = ["Bar", "clock"]


class Bar:
    """Counts ``total`` units while it is open.

    Args:
        total: how many there will be.
        unit: what they are called; of seconds, "s", no rate is shown.
        show: False for no bar.
        what: is being done.
    """

    def __init__(self, total: int, unit: str, show: bool, what: str = "") -> None:
        self.total, self.unit, self.show, self.what = total, unit, show, what
        self._bar: Any = None

    def __enter__(self) -> Bar:
        if self.show:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                return self
            seconds = (
                "{desc}: {percentage:3.0f}%|{bar}| {n}/{total} s" if self.unit == "s" else None
            )
            self._bar = tqdm(
                total=self.total, unit=self.unit, desc=self.what or None, bar_format=seconds
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._bar is not None:
            self._bar.close()

    def step(self, count: int) -> None:
        """Count so many units more."""
        if self._bar is not None:
            self._bar.update(count)

    def to(self, count: float) -> None:
        """Count up to so many whole units in all."""
        if self._bar is not None:
            self._bar.update(int(count) - self._bar.n)


def clock(until: float, show: bool, what: str, least: int = 0) -> Iterator[float]:
    """The time, again and again until it is over, with a bar of seconds.

    Args:
        until: ``time.monotonic()`` to stop at.
        show, what: as for :class:`Bar`.
        least: times that it is given whatever the time.
    """
    start, count = time.monotonic(), 0
    with Bar(max(1, round(until - start)), "s", show, what) as bar:
        while (now := time.monotonic()) < until or count < least:
            bar.to(now - start)
            count += 1
            yield now
