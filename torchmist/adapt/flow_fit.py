"""``fit_flow``: fit a flow to one variable by maximum likelihood, and say whether it fits.

Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import torch
from torch import Tensor, nn

from torchmist.adapt.flows import Flow, FlowReport
from torchmist.adapt.two_sample import told_apart
from torchmist.progress import Bar

__all__ = ["fit_flow", "restore_flow"]

_PATIENCE = 8


def _mean_gain(flow: Flow, z: Tensor) -> Tensor:
    """Log-likelihood of scores ``[N, d]`` beyond a standard normal, nats per sample."""
    network: Any = flow.network
    normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    density = network.log_prob(flow.whiten(z)) - flow.root.diagonal().log().sum()
    out: Tensor = (density - normal).mean()
    return out


def fit_flow(samples: Tensor, *, seconds: float = 60.0, seed: int = 0, show: bool = True) -> Flow:
    """Fit a flow to one variable, stopping early on held-out likelihood.

    Where the layers do not beat the Gaussian copula on it, they are left out.

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
    generator = torch.Generator().manual_seed(seed)
    rest, held = _split(samples, generator)
    flow = Flow(rest, seed)
    held_scores = flow.scores(held, generator)
    best, steps = _train(flow, rest, held_scores, generator, (start, seconds), show)
    plain = Flow(rest, seed, depth=0)
    with torch.no_grad():
        closed = float(_mean_gain(plain, held_scores))
    if closed > best:
        flow, best = plain, closed
    flow.eval().requires_grad_(False)
    error = (flow(flow.inverse(held)) - held).abs() / samples.std(0).clamp(min=1e-12)
    spread = held.clone()
    spread[:, flow.active] = flow.spread(held[:, flow.active], generator)
    apart = told_apart(
        flow.scores(rest, generator), flow.draw_scores(len(rest), generator), held_scores,
        flow.draw_scores(len(rest), generator), seed,
    )  # fmt: skip
    flow.report = FlowReport(
        float(flow.log_prob(spread).mean()), best, float(error[:, flow.active].max()), apart,
        steps, time.monotonic() - start,
    )  # fmt: skip
    return flow


def _train(
    flow: Flow, rest: Tensor, held_scores: Tensor, generator: torch.Generator,
    clock: tuple[float, float], show: bool,
) -> tuple[float, int]:  # fmt: skip
    """Train until nothing is gained, or so many seconds after the start, and keep what was best.

    Returns the gain on held-out scores, and the steps taken.
    """
    network: Any = flow.network
    trained = list(network.parameters())
    optimizer = torch.optim.AdamW(trained, 1e-3, weight_decay=1e-2) if trained else None
    with torch.no_grad():
        best = float(_mean_gain(flow, held_scores))
    state, worse, steps = copy.deepcopy(network.state_dict()), 0, 0
    start, seconds = clock
    last = start
    with Bar(max(1, round(seconds)), "s", show, "flow") as bar:
        while optimizer and worse < _PATIENCE and time.monotonic() - start < seconds:
            rows = torch.randint(len(rest), (min(256, len(rest)),), generator=generator)
            loss = -_mean_gain(flow, flow.scores(rest[rows], generator))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 5.0)
            optimizer.step()
            steps += 1
            if steps % 20:
                continue
            with torch.no_grad():
                gain = float(_mean_gain(flow, held_scores))
            worse += 1
            if gain > best:
                best, state, worse = gain, copy.deepcopy(network.state_dict()), 0
            now = time.monotonic()
            bar.step(int(now - start) - int(last - start))
            last = now
    network.load_state_dict(state)
    return best, steps


def _split(samples: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Nine tenths to fit, and a tenth held out."""
    order = torch.randperm(len(samples), generator=generator)
    count = max(8, len(samples) // 10)
    return samples[order[count:]], samples[order[:count]]


def restore_flow(samples: Tensor, seed: int, kept: dict[str, Any]) -> Flow:
    """The flow of ``fit_flow(samples, seed=seed)`` from what :meth:`Flow.keep` gave."""
    rest, _ = _split(samples, torch.Generator().manual_seed(seed))
    flow = Flow(rest, seed, kept["depth"])
    flow.load_state_dict(kept["weights"])
    flow.report = FlowReport(**kept["report"])
    return flow.eval().requires_grad_(False)


def _check(samples: Tensor) -> None:
    if not isinstance(samples, Tensor) or not samples.is_floating_point():
        kind = samples.dtype if isinstance(samples, Tensor) else type(samples).__name__
        raise TypeError(
            f"expected samples to be a floating-point tensor, got {kind}; class labels need no flow"
        )
    if samples.dim() != 2 or len(samples) < 32:
        raise ValueError(
            f"expected samples of shape [N, d] with N of at least 32, got {list(samples.shape)}"
        )
    if not bool(torch.isfinite(samples).all()):
        raise ValueError("expected finite samples, got NaN or infinite entries; drop those rows")
