"""What an arbiter makes of datasets of known information: errors and coverage of intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of
from torchmist.ensemble.duo import DuoMIST
from torchmist.inference.quantiles import reduce_quantiles

__all__ = ["HeldOut", "estimates"]


@torch.no_grad()
def estimates(model: DuoMIST, arbiter: Arbiter, data: Data) -> tuple[Tensor, Tensor, Tensor]:
    """What an arbiter makes of evidence: means and both ends of 90 % intervals, each ``[B]``."""
    quantiles = arbiter(evidence_of(data)).clamp(min=0)
    levels = model.levels.cpu()
    low, high = (reduce_quantiles(quantiles, levels, level) for level in (0.05, 0.95))
    return quantiles.mean(-1), low, high


@dataclass(frozen=True)
class HeldOut:
    """Estimates on datasets that took no part in a training: means and 90 % intervals, in nats."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, model: DuoMIST, arbiter: Arbiter, data: Data) -> HeldOut:
        """Those of an arbiter from evidence."""
        return cls(*(tuple(v.tolist()) for v in estimates(model, arbiter, data)))

    def off(self, truth: Tensor) -> Tensor:
        """Absolute errors ``[B]`` beside the truth ``[B]``, nats."""
        return (torch.tensor(self.mean, device="cpu", dtype=torch.float32) - truth).abs()

    def error(self, truth: Tensor) -> float:
        """Mean absolute error beside the truth ``[B]``, nats."""
        return float(self.off(truth).mean())

    def coverage(self, truth: Tensor) -> float:
        """Share of intervals that hold the truth ``[B]``."""
        low, high = (
            torch.tensor(self.low, device="cpu", dtype=torch.float32),
            torch.tensor(self.high, device="cpu", dtype=torch.float32),
        )
        return float(((low <= truth) & (truth <= high)).float().mean())
