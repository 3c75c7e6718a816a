"""``fit_flow``: fit a flow to one variable by maximum likelihood, and say whether it fits.

Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from torchmist.adapt.flows import Flow, FlowReport
from torchmist.numerics.early_stopping import fit_rows
from torchmist.progress import clock

__all__ = ["fit_flow", "restore_flow", "told_apart"]

_RATE, _PATIENCE = 1e-3, 8  # step size, and looks without a gain
_MOST = 2000  # samples of either kind that are compared


def told_apart(real: Tensor, made: Tensor) -> float:
    """Accuracy at which nearest neighbours tell real samples from generated ones, 0.5 by chance.

    A sample is taken for what its nearest neighbour is, among as many of either kind (the test of
    Henze, 1988, as a classifier: Lopez-Paz and Oquab, 2017).

    Args:
        real, made: ``[N, d]`` each, of about unit scale.
    """
    both = torch.cat([real[:_MOST], made[:_MOST]])
    is_real = torch.arange(len(both)) < len(real[:_MOST])
    nearest = torch.cdist(both, both).fill_diagonal_(torch.inf).argmin(-1)
    return float((is_real[nearest] == is_real).float().mean())


def fit_flow(samples: Tensor, *, seconds: float = 60.0, seed: int = 0, show: bool = True) -> Flow:
    """Fit a flow to one variable, stopping early on held-out likelihood.

    It begins as a Gaussian copula, and remains one where nothing beats that.

    Args:
        samples: ``[N, d]`` floating point, at least 32. Columns on a grid (integers, pixels) are
            dequantised with uniform noise of one step.
        seconds: the most time to take.
        seed: of the weights, the split and the batches.
        show: a progress bar.

    Returns:
        A :class:`Flow` in eval mode with its ``report``.

    Raises:
        ImportError: without normflows.
        TypeError, ValueError: for other shapes or dtypes, NaN or infinite values, too few samples
            or constant data.
    """
    _check(samples)
    samples = samples.detach().float()
    start = time.monotonic()
    fit, stop, generator = _split(samples, seed)
    flow = Flow(samples[fit], seed)
    smooth = flow.dequantised(samples, generator)
    scores = flow.scores(smooth)
    plain = flow.network.q0.log_prob(scores)  # of independent normal columns
    loss, steps = fit_rows(
        [flow.network], lambda rows: (plain[rows] - flow.density(scores[rows])).mean(), fit, stop,
        clock(start + seconds, show, "flow"), generator, rate=_RATE, patience=_PATIENCE,
    )  # fmt: skip
    flow.eval().requires_grad_(False)
    held = samples[stop]
    made = flow(torch.randn(len(fit), flow.columns, generator=generator))
    error = (flow(flow.inverse(held)) - held).abs() / samples.std(0).clamp(min=1e-12)
    flow.report = FlowReport(
        log_likelihood=float(flow.log_prob(smooth[stop]).mean()),
        gain=-loss,
        round_trip=float(error[:, flow.active].max()),
        apart=told_apart(scores[fit], flow.scores(made)),
        steps=steps,
        seconds=time.monotonic() - start,
    )
    return flow


def _split(samples: Tensor, seed: int) -> tuple[Tensor, Tensor, torch.Generator]:
    """The rows of nine tenths to fit and of a tenth to stop by, and what is random from there."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(samples), generator=generator)
    count = max(8, len(samples) // 10)
    return order[count:], order[:count], generator


def restore_flow(samples: Tensor, seed: int, kept: dict[str, Any]) -> Flow:
    """The flow of ``fit_flow(samples, seed=seed)`` from what :meth:`Flow.keep` gave."""
    fit, *_ = _split(samples, seed)
    flow = Flow(samples[fit], seed)
    flow.load_state_dict(kept["weights"])
    flow.report = FlowReport(**kept["report"])
    return flow.eval().requires_grad_(False)


def _check(samples: Tensor) -> None:
    if not isinstance(samples, Tensor) or not samples.is_floating_point():
        kind = samples.dtype if isinstance(samples, Tensor) else type(samples).__name__
        raise TypeError(
            f"expected samples to be a floating-point tensor, got {kind}; class labels need no flow"
        )
    bad = int((~torch.isfinite(samples)).sum())
    if samples.dim() != 2 or len(samples) < 32 or bad:
        raise ValueError(
            f"expected finite samples of shape [N, d] with N of at least 32, got "
            f"{list(samples.shape)} with {bad} NaN or infinite entries; drop their rows"
        )
