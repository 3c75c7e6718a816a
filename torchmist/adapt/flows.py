"""A normalizing flow of one variable: an invertible map of normal latents onto its samples.

Columns are made standard normal first (:mod:`torchmist.adapt.marginals`) and their correlations are
taken out in closed form, so that the flow learns what is left of their dependence. One flow per
variable: a joint flow would change the mutual information.
Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchmist.adapt.marginals import Marginals

__all__ = ["Flow", "FlowReport"]

_DEPTH, _LEAST_SLOPE = 4, 1e-3  # coupling layers, and what normflows adds to slopes of splines
_SHRINK = 0.003  # of correlations, at least
_LOSS, _APART = -0.05, 0.95  # nats of held-out gain, and share told apart: what is beyond is no fit


@dataclass(frozen=True)
class FlowReport:
    """How well a flow fits.

    ``log_likelihood``: of held-out samples (dequantised) in nats per sample; ``gain``: what of it
    lies beyond independent columns with the same marginals, 0 is no dependence found;
    ``round_trip``: largest ``|forward(inverse(x)) - x|`` on them in deviations of the column;
    ``apart``: accuracy at which nearest neighbours tell generated from real ones, 0.5 by chance;
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


def _build(d: int, seed: int) -> Any:
    """Neural spline couplings of normflows (Durkan et al., 2019) with linear maps between them; at
    first all are the identity, up to the order of columns. One column needs none."""
    try:
        import normflows as nf
    except ImportError as error:
        raise ImportError(
            "expected normflows for torchmist.adapt, it is not installed; install it with "
            "pip install 'torchmist-mi[adapt]'"
        ) from error
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for index in range(_DEPTH if d > 1 else 0):
            spline = nf.flows.CoupledRationalQuadraticSpline(
                d, 1, 48, tail_bound=4.0, reverse_mask=bool(index % 2)
            )
            last = spline.prqct.transform_net.final_layer
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, math.log(math.expm1(1 - _LEAST_SLOPE)))
            layers += [spline, nf.flows.LULinearPermute(d)]
    return nf.NormalizingFlow(nf.distributions.DiagGaussian(d, trainable=False), layers)


class Flow(nn.Module):
    """An invertible map between standard normal latents and the samples of one variable.

    ``forward`` takes latents ``[..., d]`` to data, ``inverse`` data to latents. Constant columns
    are kept as they are and take no part.

    Args:
        x: ``[N, d]`` floating point, the sample whose marginals and correlations it takes over.
        seed: of the initial weights.

    Raises:
        ImportError: without normflows.
        ValueError: for constant data.
    """

    active: Tensor
    constant: Tensor
    step: Tensor
    root: Tensor
    network: Any

    def __init__(self, x: Tensor, seed: int = 0) -> None:
        super().__init__()
        self.register_buffer("constant", x[0].clone())
        self.register_buffer("active", x.std(0) > 0)
        if not bool(self.active.any()):
            raise ValueError("expected a column that varies, got constant data; nothing to fit")
        self.register_buffer("step", torch.stack([_step(column) for column in x.T]))
        smooth = self.dequantised(x, torch.Generator().manual_seed(seed))
        self.marginals = Marginals(smooth[:, self.active])
        self.register_buffer("root", _root(self.scores(smooth)))
        self.network = _build(int(self.active.sum()), seed)
        self.report: FlowReport | None = None

    def dequantised(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Values of columns on a grid plus uniform noise of one step."""
        return x + (torch.rand(x.shape, generator=generator).to(x) - 0.5) * self.step

    def scores(self, x: Tensor) -> Tensor:
        """``[N, d]`` data to normal scores of the varying columns."""
        return self.marginals.to_normal(x[:, self.active])

    def whiten(self, scores: Tensor) -> Tensor:
        """Normal scores ``[N, d]`` without their correlations, ``[N, d]``."""
        white: Tensor = torch.linalg.solve_triangular(self.root, scores.mT, upper=False)
        return white.mT

    def density(self, scores: Tensor) -> Tensor:
        """Log density ``[N]`` of normal scores ``[N, d]``, in nats."""
        out: Tensor = self.network.log_prob(self.whiten(scores))
        return out - self.root.diagonal().log().sum()

    @property
    def columns(self) -> int:
        """Columns ``d`` of the data."""
        return len(self.active)

    def keep(self) -> dict[str, Any]:
        """All that :func:`~torchmist.adapt.flow_fit.restore_flow` needs beside the samples."""
        report = None if self.report is None else asdict(self.report)
        return {"weights": self.state_dict(), "report": report}

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
        out[:, self.active] = self.network.inverse(self.whiten(self.scores(flat)))
        return out.view(x.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density ``[...]`` of data ``[..., d]`` in its varying columns, in nats."""
        flat = x.reshape(-1, self.columns)
        slope = self.marginals.log_slope(flat[:, self.active]).sum(-1)
        return (self.density(self.scores(flat)) + slope).view(x.shape[:-1])


def _root(z: Tensor) -> Tensor:
    """Cholesky factor of the correlations of scores ``[N, d]``, shrunk (Ledoit and Wolf, 2004)."""
    square, eye = z.square(), torch.eye(z.shape[1], device=z.device)
    moment = z.mT @ z / len(z)
    noise = (square.mT @ square / len(z) - moment.square()).sum() / len(z)
    shrink = (noise / (moment - eye).square().sum()).clamp(_SHRINK, 1.0)
    root: Tensor = torch.linalg.cholesky((1 - shrink) * moment + shrink * eye)
    return root


def _step(column: Tensor) -> Tensor:
    """The grid step of a column ``[N]`` that takes few values, 0 of others and of one value."""
    values = column.unique()
    few = 1 < len(values) <= max(2, min(64, len(column) // 4))
    step: Tensor = values.diff().min() if few else values.new_zeros(())
    return step
