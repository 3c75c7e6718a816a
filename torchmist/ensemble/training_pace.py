"""When to stop collecting evidence, so that the time left is enough to learn from it."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Sequence

from torchmist.ensemble.arbiter_training import Data, Schedule, rows_of, train_members
from torchmist.ensemble.duo import DuoMIST

__all__ = ["Pace"]

_TRIED = 3  # steps


class Pace:
    """Compares what is left of the time with what a training will take.

    A step of the training takes as long as one on the first draws: a few are tried on a copy.

    Args:
        model: whose arbiter is to be trained.
        schedule: how.
        until: ``time.monotonic()`` at which it should be.
    """

    def __init__(self, model: DuoMIST, schedule: Schedule, until: float) -> None:
        self.model, self.schedule, self.until = model, schedule, until
        self._before, self._longest, self._step = time.monotonic(), 0.0, 0.0

    def over(self, kept: Sequence[Data], batches: int, fewest: int) -> bool:
        """Whether one more batch, as long as the longest so far, would leave too little time.

        To be asked before each batch. Never with less ``kept`` than so many ``batches``, and the
        ``fewest`` draws to learn from, those with ``check`` 0.
        """
        now = time.monotonic()
        self._longest = max(self._longest, now - self._before)
        if len(kept) == 1:
            self._step = self._seconds(rows_of(kept[0], slice(self.schedule.batch)))
        self._before = time.monotonic()
        rows = sum(int((part["check"] == 0).sum()) for part in kept)
        if len(kept) < batches or rows < fewest:
            return False
        steps = math.ceil((rows + len(kept[-1]["mi"])) / self.schedule.batch)
        seconds = self._longest + self.schedule.epochs * steps * self._step
        return self._before + seconds > self.until

    def _seconds(self, data: Data) -> float:
        """That a step on these draws takes, with the check after it."""
        arbiter = copy.deepcopy(self.model.arbiter).cpu().requires_grad_(True)
        few, start = dataclasses.replace(self.schedule, epochs=_TRIED), time.monotonic()
        train_members(arbiter, data, self.model.levels.cpu(), few, 0, data)
        return (time.monotonic() - start) / _TRIED
