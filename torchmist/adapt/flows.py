"""A normalizing flow of one variable: an invertible map of normal latents onto its samples.

Columns are made standard normal first (:mod:`torchmist.adapt.marginals`) and their correlations are
taken out in closed form, so that the flow learns what is left of their dependence. One flow per
variable: a joint flow would change the mutual information.
Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchmist.adapt.marginals import Marginals

__all__ = ["Flow", "FlowReport"]

_SPLINE_COLUMNS = 16
_LOSS, _APART = -0.05, 0.95  # nats of held-out gain, and share told apart: what is beyond is no fit


@dataclass(frozen=True)
class FlowReport:
    """How well a flow fits.

    ``log_likelihood``: of held-out samples (dequantised) in nats per sample; ``gain``: what of it
    lies beyond independent columns with the same marginals, 0 is no dependence found;
    ``round_trip``: largest ``|forward(inverse(x)) - x|`` on them in deviations of the column;
    ``apart``: accuracy at which a classifier tells them from generated ones, 0.5 by chance;
    ``steps``, ``seconds``: of the fit.
    """

    log_likelihood: float
    gain: float
    round_trip: float
    apart: float
    steps: int
    seconds: float

    @property
    def misfit(self) -> str:
        """Why the flow does not fit its data; empty if it does."""
        if not self.gain >= _LOSS:
            return f"its held-out likelihood is {-self.gain:.2f} nats below that of normal columns"
        if self.apart > _APART:
            return f"a classifier tells {100 * self.apart:.0f} % of its samples from real ones"
        return ""


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
        self.marginals = Marginals(self.spread(x[:, self.active], generator))
        self.register_buffer("root", _root(self.scores(x, generator)))
        self.depth = _depth(int(self.active.sum())) if depth is None else depth
        self.network = _build(int(self.active.sum()), seed, self.depth)
        self.report: FlowReport | None = None

    def spread(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Dequantisation: values of columns on a grid plus uniform noise of one step."""
        noise = torch.rand(x.shape, generator=generator).to(x)
        return x + (noise - 0.5) * self.step

    def scores(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """``[N, d]`` data to dequantised normal scores of the varying columns."""
        return self.marginals.to_normal(self.spread(x[:, self.active], generator))

    def whiten(self, scores: Tensor) -> Tensor:
        """Normal scores ``[N, d]`` without their correlations, ``[N, d]``."""
        white: Tensor = torch.linalg.solve_triangular(self.root, scores.mT, upper=False)
        return white.mT

    def on_grid(self, x: Tensor) -> Tensor:
        """Data ``[..., d]`` with columns of few values at the nearest of the grid's."""
        steps = torch.zeros_like(self.constant)
        steps[self.active] = self.step
        rounded = self.constant + ((x - self.constant) / steps.clamp(min=1e-12)).round() * steps
        return torch.where(steps > 0, rounded, x)

    def draw_scores(self, count: int, generator: torch.Generator) -> Tensor:
        """Normal scores of generated samples in the varying columns, ``[count, d]``."""
        latent = torch.randn(count, int(self.active.sum()), generator=generator)
        scores: Tensor = self.network(latent.to(self.root)) @ self.root.mT
        return scores

    @property
    def columns(self) -> int:
        """Columns ``d`` of the data."""
        return len(self.active)

    def keep(self) -> dict[str, Any]:
        """All that :func:`~torchmist.adapt.flow_fit.restore_flow` needs beside the samples."""
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
