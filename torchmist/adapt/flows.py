"""``fit_flow``: a normalizing flow of one variable, fitted by maximum likelihood.

Columns are made standard normal first (:mod:`torchmist.adapt.marginals`) and their correlations are
taken out in closed form, so that the flow learns what is left of their dependence. One flow per
variable: a joint flow would change the mutual information.
Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchmist.adapt.marginals import Marginals

__all__ = ["Flow", "FlowReport", "fit_flow", "restore_flow"]

_SPLINE_COLUMNS = 16
_PATIENCE = 8


@dataclass(frozen=True)
class FlowReport:
    """How well a flow fits.

    ``log_likelihood``: of held-out samples (dequantised) in nats per sample; ``gain``: what of it
    lies beyond independent columns with the same marginals, 0 is no dependence found;
    ``round_trip``: largest ``|forward(inverse(x)) - x|`` on them in deviations of the column;
    ``steps``, ``seconds``: of the fit.
    """

    log_likelihood: float
    gain: float
    round_trip: float
    steps: int
    seconds: float


def _normflows() -> Any:
    try:
        import normflows
    except ImportError as error:
        raise ImportError(
            "expected normflows for torchmist.adapt, it is not installed; install it with "
            "pip install 'torchmist-mi[adapt]'"
        ) from error
    return normflows


def _build(d: int, seed: int, depth: int) -> nn.Module:
    """Neural spline couplings up to 16 columns, affine couplings beyond; of normflows."""
    nf = _normflows()
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for index in range(depth):
            if d <= _SPLINE_COLUMNS:
                layers.append(
                    nf.flows.CoupledRationalQuadraticSpline(
                        d, 1, 48, num_bins=8, tail_bound=4.0, reverse_mask=bool(index % 2)
                    )
                )
            else:
                kept = (d + 1) // 2
                net = nf.nets.MLP(
                    [kept, 128, 128, 2 * (d - kept)], init_zeros=True, output_fn="tanh",
                    output_scale=2.0,
                )  # fmt: skip
                layers.append(nf.flows.AffineCouplingBlock(net))
            layers.append(nf.flows.LULinearPermute(d))
        normal = nf.distributions.DiagGaussian(d, trainable=False)
        network: nn.Module = nf.NormalizingFlow(normal, layers)
        return network


def _depth(d: int) -> int:
    return 0 if d == 1 else 4 if d <= _SPLINE_COLUMNS else 8


class Flow(nn.Module):
    """An invertible map between standard normal latents and the samples of one variable.

    ``forward`` takes latents ``[..., d]`` to data, ``inverse`` data to latents. Constant columns
    are kept as they are and take no part.

    Args:
        x: ``[N, d]`` floating point, the sample whose marginals and correlations it takes over.
        seed: of the initial weights.
        depth: coupling layers; 0 is a Gaussian copula. ``None`` chooses by ``d``.
    """

    active: Tensor
    constant: Tensor
    step: Tensor
    root: Tensor

    def __init__(self, x: Tensor, seed: int = 0, depth: int | None = None) -> None:
        super().__init__()
        self.register_buffer("constant", x[0].clone())
        self.register_buffer("active", x.std(0) > 0)
        if not bool(self.active.any()):
            raise ValueError("expected a column that varies, got constant data; nothing to fit")
        self.register_buffer("step", _steps(x[:, self.active]))
        generator = torch.Generator().manual_seed(seed)
        self.marginals = Marginals(self._spread(x[:, self.active], generator))
        self.register_buffer("root", _root(self.scores(x, generator)))
        self.depth = _depth(int(self.active.sum())) if depth is None else depth
        self.network = _build(int(self.active.sum()), seed, self.depth)
        self.report: FlowReport | None = None

    def _spread(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Dequantisation: values of columns on a grid plus uniform noise of one step."""
        noise = torch.rand(x.shape, generator=generator).to(x)
        return x + (noise - 0.5) * self.step

    def scores(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """``[N, d]`` data to dequantised normal scores of the varying columns."""
        return self.marginals.to_normal(self._spread(x[:, self.active], generator))

    def whiten(self, scores: Tensor) -> Tensor:
        """Normal scores ``[N, d]`` without their correlations, ``[N, d]``."""
        white: Tensor = torch.linalg.solve_triangular(self.root, scores.mT, upper=False)
        return white.mT

    @property
    def columns(self) -> int:
        """Columns ``d`` of the data."""
        return len(self.active)

    def keep(self) -> dict[str, Any]:
        """All that :func:`restore_flow` needs beside the samples."""
        report = None if self.report is None else asdict(self.report)
        return {"depth": self.depth, "weights": self.state_dict(), "report": report}

    def forward(self, z: Tensor) -> Tensor:
        """Latents ``[..., d]`` to data; those of constant columns are ignored."""
        flat = z.reshape(-1, self.columns)
        out = self.constant.to(z).expand(len(flat), -1).clone()
        scores = self.network(flat[:, self.active]) @ self.root.mT
        out[:, self.active] = self.marginals.to_data(scores)
        return out.view(z.shape)

    def inverse(self, x: Tensor) -> Tensor:
        """Data ``[..., d]`` to latents, 0 in constant columns."""
        flat = x.reshape(-1, self.columns)
        out = torch.zeros_like(flat)
        network: Any = self.network
        scores = self.marginals.to_normal(flat[:, self.active])
        out[:, self.active] = network.inverse(self.whiten(scores))
        return out.view(x.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density ``[...]`` of data ``[..., d]`` in its varying columns, in nats."""
        flat = x.reshape(-1, self.columns)[:, self.active]
        network: Any = self.network
        density = network.log_prob(self.whiten(self.marginals.to_normal(flat)))
        density = density - self.root.diagonal().log().sum()
        out: Tensor = density + self.marginals.log_slope(flat).sum(-1)
        return out.view(x.shape[:-1])


def _root(z: Tensor) -> Tensor:
    """Cholesky factor of the correlations of scores ``[N, d]``, shrunk by held-out likelihood."""
    count = len(z) // 4
    held, rest = z[:count], z[count:]
    eye = torch.eye(z.shape[1], device=z.device)

    def factor(sample: Tensor, shrink: float) -> Tensor:
        correlation = sample.mT @ sample / len(sample)
        lower: Tensor = torch.linalg.cholesky((1 - shrink) * correlation + shrink * eye)
        return lower

    def likelihood(shrink: float) -> float:
        lower = factor(rest, shrink)
        white = torch.linalg.solve_triangular(lower, held.mT, upper=False)
        return float(-0.5 * white.square().sum(0).mean() - lower.diagonal().log().sum())

    return factor(z, max((0.003, 0.01, 0.03, 0.1, 0.3, 0.9), key=likelihood))


def _steps(x: Tensor) -> Tensor:
    """The grid step of columns that take few values, 0 for the others, ``[d]``."""
    steps = []
    for column in x.T:
        values = column.unique()
        few = len(values) <= max(2, min(64, len(column) // 4))
        steps.append(values.diff().min() if few else values.new_zeros(()))
    return torch.stack(steps)


@contextmanager
def progress(total: float, what: str, shown: bool) -> Iterator[Any]:
    """A tqdm bar over ``total`` seconds, or nothing that takes the same calls."""
    from tqdm import tqdm

    with tqdm(
        total=round(total), desc=what, disable=not shown,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total_fmt} s {postfix}",
    ) as bar:  # fmt: skip
        yield bar


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
    network: Any = flow.network
    held_scores = flow.scores(held, generator)
    trained = list(network.parameters())
    optimizer = torch.optim.AdamW(trained, 1e-3, weight_decay=1e-2) if trained else None
    with torch.no_grad():
        best = float(_mean_gain(flow, held_scores))
    state, worse, steps = copy.deepcopy(network.state_dict()), 0, 0
    with progress(seconds, "flow", show) as bar:
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
            bar.n = min(seconds, time.monotonic() - start)
            bar.set_postfix_str(f"held-out gain {best:.3f} nats")
    network.load_state_dict(state)
    plain = Flow(rest, seed, depth=0)
    with torch.no_grad():
        closed = float(_mean_gain(plain, held_scores))
    if closed > best:
        flow, best = plain, closed
    flow.eval().requires_grad_(False)
    error = (flow(flow.inverse(held)) - held).abs() / samples.std(0).clamp(min=1e-12)
    spread = held.clone()
    spread[:, flow.active] = flow._spread(held[:, flow.active], generator)
    flow.report = FlowReport(
        float(flow.log_prob(spread).mean()), best, float(error[:, flow.active].max()), steps,
        time.monotonic() - start,
    )  # fmt: skip
    return flow


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
