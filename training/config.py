"""Training presets: one frozen dataclass holds every number of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from torchmist.models.config import MISTConfig

__all__ = ["PRESETS", "TrainConfig"]


@dataclass(frozen=True)
class TrainConfig:
    """All that a training run depends on beside the code.

    Args:
        model: sizes of the network.
        steps: optimiser steps; the learning rate follows a cosine over them.
        seed: with the step number, the seed of every draw.
        init: weights to start from, a registered name or a file, of the same sizes but perhaps
            without ``radial`` inputs; empty for random ones.
        trained: names of the modules that are trained, the others stay as they are; empty for all.
        learning_rate, final_learning_rate, warmup: the schedule.
        weight_decay, clip: of AdamW, and the gradient norm allowed.
        average: decay of the exponential moving average of the weights, which are what is
            validated and exported.
        mean_weight: weight of the Huber loss of the mean in nats beside the pinball loss.
        moved: share of the steps on pairs of datasets, one moved a little (``general`` only).
        moved_weight: weight of the loss of the change of MI, the only one in those steps: moved
            pairs are of another law, and what they say of levels would be another prior.
        meta: the meta-distribution, ``paper`` or ``general``.
        warped: share of the datasets of ``general`` that are warped, of up to five columns.
        ramp: share of the steps over which the mixed and warped datasets of ``general`` grow from
            a third to their full share.
        samples, dims: ranges of N and of d. ``paper``: d = dx = dy half uniform, half log-uniform;
            N half uniform, half crowded at small sizes (log-uniform in the square root of the
            range's logarithm). ``general``: all log-uniform, dx = dy in half of the batches.
        large: share of the steps of ``general`` whose N is in the upper two octaves of its range.
        batch_cost, batch_range: datasets per step, by cost ``N (d + 16) + 12 d^2`` with d the mean
            of dx and dy, in multiples of 8 within the range.
        log_every, validate_every: steps between rows of metrics and validations.
        validation_seed, validation_size: held-out draws, and datasets per size in them.
    """

    model: MISTConfig = field(default_factory=MISTConfig)
    steps: int = 4000
    seed: int = 0
    init: str = ""
    trained: tuple[str, ...] = ()
    learning_rate: float = 1e-3
    final_learning_rate: float = 2e-5
    warmup: int = 200
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998
    mean_weight: float = 0.15
    moved: float = 0.0
    moved_weight: float = 0.1
    meta: Literal["paper", "general"] = "paper"
    warped: float = 0.05
    ramp: float = 0.4
    samples: tuple[int, int] = (10, 500)
    dims: tuple[int, int] = (2, 32)
    large: float = 0.0
    batch_cost: int = 300_000
    batch_range: tuple[int, int] = (8, 64)
    log_every: int = 50
    validate_every: int = 500
    validation_seed: int = 1_000_003
    validation_size: int = 16

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Inverse of :meth:`to_dict`; an unknown key raises ``TypeError``."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise TypeError(f"unknown TrainConfig keys {unknown}; known keys are {sorted(known)}")
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        if isinstance(values.get("model"), dict):
            values["model"] = MISTConfig.from_dict(values["model"])
        return cls(**values)


_PAPER = TrainConfig()
_SMOKE = replace(
    _PAPER,
    model=MISTConfig(
        odd=3, even=3, paired=2, basis_width=8, pair_width=8, feature_width=16, feature_layers=1,
        sample_width=16, inducing=4, heads=2, embedding=2, readout_width=8, head_width=32,
        quantiles=12,
    ),
    steps=600, warmup=20, dims=(2, 5), samples=(10, 100), batch_cost=20_000, batch_range=(8, 16),
    log_every=10, validate_every=200, validation_size=4,
)  # fmt: skip
_GENERAL = replace(
    _PAPER, model=MISTConfig(radial=True), meta="general", steps=17_000,
    seed=2, learning_rate=8e-4, samples=(10, 4096), dims=(1, 64), large=0.25, moved=0.35,
    moved_weight=0.25, average=0.999, validate_every=4000,
)  # fmt: skip
_WARPED = replace(
    _GENERAL, steps=3000, seed=42, learning_rate=3e-4, large=0.5, moved=0.2,
    warped=0.2, ramp=0.0,
)  # fmt: skip
_MOVED = replace(
    _GENERAL, steps=3000, seed=46, learning_rate=2e-4, final_learning_rate=1e-5,
    ramp=0.0, large=0.1, moved=0.7, moved_weight=0.5,
)  # fmt: skip
_SETTLE = replace(
    _GENERAL, trained=("trunk", "blend", "head"), steps=3000, seed=16,
    learning_rate=2e-4, final_learning_rate=1e-5, ramp=0.0, large=0.4, moved=0.0,
)  # fmt: skip
_ON_GPU: dict[str, Any] = {"batch_cost": 4_800_000, "batch_range": (8, 1024)}
_GENERAL_GPU = replace(
    _GENERAL, steps=10_000, seed=40, learning_rate=1e-3, final_learning_rate=1e-5,
    ramp=0.0, large=0.35, **_ON_GPU,
)  # fmt: skip
_SETTLE_GPU = replace(_SETTLE, steps=2000, seed=41, **_ON_GPU)
PRESETS = {
    "general": _GENERAL,
    "general-gpu": _GENERAL_GPU,
    "moved": _MOVED,
    "paper": _PAPER,
    "settle": _SETTLE,
    "settle-gpu": _SETTLE_GPU,
    "smoke": _SMOKE,
    "warped": _WARPED,
}
