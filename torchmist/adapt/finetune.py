"""Fine-tuning within a number of seconds, resumable.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchmist.adapt.flows import progress
from torchmist.adapt.warp import Meta
from torchmist.losses import quantile_loss
from torchmist.models.projected import ProjectedMIST

__all__ = ["FineTuner", "Source"]

_BATCH_COST = 250_000
_CHECKPOINT_SECONDS = 30.0
_HEAD = 10.0  # learning rate of the correction, which starts at nothing, over that of the rest


@dataclass(frozen=True)
class Source:
    """A meta-distribution, its ``share`` of the steps, and the most samples it can give."""

    meta: Meta
    share: float
    most: int


class FineTuner:
    """Trains a copy of ``model`` on several sources; the learning rate follows the seconds.

    Args:
        model: where to start.
        sources: what to train on.
        dx, dy: columns of both sides.
        seed: of all draws.
        rate: peak learning rate; that of the correction of a ``ProjectedMIST`` is ten times it.
        core: whether to train the rest than the correction.
    """

    def __init__(
        self, model: ProjectedMIST, sources: Sequence[Source], dx: int, dy: int, *, seed: int = 0,
        rate: float = 4e-4, core: bool = True,
    ) -> None:  # fmt: skip
        self.model = copy.deepcopy(model).requires_grad_(True)
        head = list(self.model.correction.parameters())
        known = {id(p) for p in head}
        rest = [p for p in self.model.parameters() if id(p) not in known]
        for parameter in rest:
            parameter.requires_grad_(core)
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.sources, self.dx, self.dy, self.rate = tuple(sources), dx, dy, rate
        self.generator = torch.Generator().manual_seed(seed)
        groups = [{"params": head, "factor": _HEAD}]
        if core:
            groups.append({"params": rest, "factor": 1.0})
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=1e-4)
        self.seconds, self.steps = 0.0, 0

    def start_from(self, model: ProjectedMIST) -> None:
        """Begin with the weights of another model."""
        self.model.load_state_dict(model.state_dict())
        self.average.load_state_dict(model.state_dict())

    def state(self) -> dict[str, Any]:
        """All that :meth:`restore` needs."""
        return {
            "model": self.model.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(), "seconds": self.seconds,
            "steps": self.steps, "generator": self.generator.get_state(),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.seconds, self.steps = state["seconds"], state["steps"]

    def _draw(self) -> tuple[Source, int, int]:
        """The source, number of datasets and of samples of the next step."""
        shares = torch.tensor([s.share for s in self.sources])
        index = int(torch.multinomial(shares, 1, generator=self.generator))
        source = self.sources[index]
        u = float(torch.rand(1, generator=self.generator))
        n = int(32 * (source.most / 32) ** u)
        d = (self.dx + self.dy) / 2
        batch = int(_BATCH_COST // (n * (d + 16) + 12 * d * d))
        return source, min(max(batch, 4), 32), n

    def _step(self, share_done: float) -> float:
        source, count, n = self._draw()
        batch = source.meta.sample(count, n, self.dx, self.dy, generator=self.generator)
        warm = min(1.0, (self.steps + 1) / 30)
        rate = warm * self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share_done)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        quantiles = self.model(batch.x, batch.y)
        loss = quantile_loss(quantiles, batch.mi, self.model.levels)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        decay = min(0.99, (1 + self.steps) / (10 + self.steps))
        ours: list[Tensor] = list(self.average.parameters())
        theirs: list[Tensor] = list(self.model.parameters())
        with torch.no_grad():
            torch._foreach_lerp_(ours, theirs, 1 - decay)
        return float(loss.detach())

    def run(
        self, seconds: float, *, what: str, show: bool, save: Callable[[], None] | None = None
    ) -> None:
        """Train until ``seconds`` are used up, those of earlier runs included.

        ``save`` is called every half minute, at the end, and when the run is interrupted.
        """
        before, start = self.seconds, time.monotonic()
        saved, loss = start, math.nan
        with progress(seconds, what, show) as bar:
            try:
                while self.seconds < seconds:
                    value = self._step(self.seconds / seconds)
                    loss = value if math.isnan(loss) else 0.95 * loss + 0.05 * value
                    now = time.monotonic()
                    self.seconds = before + now - start
                    bar.n = min(seconds, self.seconds)
                    bar.set_postfix_str(f"loss {loss:.3f}, step {self.steps}")
                    if save and now - saved > _CHECKPOINT_SECONDS:
                        save()
                        saved = now
            finally:
                if save:
                    save()
