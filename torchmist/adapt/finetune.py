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
from torchmist.synthetic import Batch

__all__ = ["CorrectionTuner", "FineTuner", "Source"]

_BATCH_COST = 250_000
_CHECKPOINT_SECONDS = 30.0
_DECAY = 1e-2
_HEAD = 10.0  # learning rate of the correction over that of the rest
_REUSE, _ROWS = 6, 128  # steps on what was read for each batch that is read, and datasets in each


@dataclass(frozen=True)
class Source:
    """A meta-distribution, its ``share`` of the steps, and the most samples it can give."""

    meta: Meta
    share: float
    most: int


def draw_batch(sources: Sequence[Source], dx: int, dy: int, generator: torch.Generator) -> Batch:
    """Datasets of one of the ``sources`` and of one size."""
    shares = torch.tensor([s.share for s in sources])
    source = sources[int(torch.multinomial(shares, 1, generator=generator))]
    u = float(torch.rand(1, generator=generator))
    n = int(32 * (source.most / 32) ** u)
    d = (dx + dy) / 2
    count = min(max(int(_BATCH_COST // (n * (d + 16) + 12 * d * d)), 4), 32)
    return source.meta.sample(count, n, dx, dy, generator=generator)


class Tuner:
    """Trains ``model`` on several sources until a number of seconds is used up.

    ``average``: the mean of the latest weights; ``steps``, ``seconds``: of all runs.
    """

    def __init__(
        self, model: ProjectedMIST, sources: Sequence[Source], dx: int, dy: int, *, seed: int,
        rate: float, groups: Callable[[ProjectedMIST], list[dict[str, Any]]],
    ) -> None:  # fmt: skip
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.sources, self.dx, self.dy, self.rate = tuple(sources), dx, dy, rate
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer = torch.optim.AdamW(
            groups(self.model), betas=(0.9, 0.98), weight_decay=_DECAY
        )
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(True)
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

    def draw(self) -> Batch:
        """Datasets of one source and size."""
        return draw_batch(self.sources, self.dx, self.dy, self.generator)

    def step(self, share_done: float) -> float:
        """One step at that share of the time; the loss."""
        raise NotImplementedError

    def descend(self, quantiles: Tensor, mi: Tensor, share_done: float) -> float:
        """One optimiser step at the rate for that share of the time; the loss."""
        warm = min(1.0, (self.steps + 1) / 30)
        rate = warm * self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share_done)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        loss = quantile_loss(quantiles, mi, self.model.levels)
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
                    value = self.step(self.seconds / seconds)
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


class FineTuner(Tuner):
    """Fine-tunes the whole network.

    Args:
        model: where to start.
        sources: what to train on.
        dx, dy: columns of both sides.
        seed: of all draws.
        rate: peak learning rate; that of the correction, which starts at nothing, is ten times it.
    """

    def __init__(
        self, model: ProjectedMIST, sources: Sequence[Source], dx: int, dy: int, *, seed: int = 0,
        rate: float = 4e-4,
    ) -> None:  # fmt: skip
        super().__init__(model, sources, dx, dy, seed=seed, rate=rate, groups=_all_parameters)

    def step(self, share_done: float) -> float:
        """Forward and backward through the network."""
        batch = self.draw()
        return self.descend(self.model(batch.x, batch.y), batch.mi, share_done)


class CorrectionTuner(Tuner):
    """Trains the correction alone, on what the fixed network and the tables say of datasets.

    That is kept, so each dataset is drawn and read once and serves many steps. Arguments as for
    :class:`FineTuner`.
    """

    def __init__(
        self, model: ProjectedMIST, sources: Sequence[Source], dx: int, dy: int, *, seed: int = 0,
        rate: float = 2e-3,
    ) -> None:  # fmt: skip
        super().__init__(model, sources, dx, dy, seed=seed, rate=rate, groups=_correction)
        self.seen: list[Tensor] = []  # what was said, the quantiles, the truth

    def state(self) -> dict[str, Any]:
        """All that :meth:`restore` needs."""
        return {**super().state(), "seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a :meth:`state`."""
        super().restore(state)
        self.seen = list(state["seen"])

    def step(self, share_done: float) -> float:
        """Reads one more batch of datasets, then steps on random ones of all that were read."""
        batch = self.draw()
        with torch.no_grad():
            new = [*self.model.read(batch.x, batch.y), batch.mi]
        self.seen = [torch.cat(parts) for parts in zip(self.seen, new)] if self.seen else new
        said, quantiles, mi = self.seen
        loss = math.nan
        for _ in range(_REUSE):
            rows = torch.randint(len(mi), (_ROWS,), generator=self.generator)
            corrected = self.model.correction.correct(said[rows], quantiles[rows])
            loss = self.descend(corrected, mi[rows], share_done)
        return loss


def _all_parameters(model: ProjectedMIST) -> list[dict[str, Any]]:
    head = list(model.correction.parameters())
    known = {id(p) for p in head}
    rest = [p for p in model.parameters() if id(p) not in known]
    return [{"params": head, "factor": _HEAD}, {"params": rest, "factor": 1.0}]


def _correction(model: ProjectedMIST) -> list[dict[str, Any]]:
    return [{"params": list(model.correction.parameters()), "factor": 1.0}]
