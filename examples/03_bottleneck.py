"""Information bottleneck: keep what x says about y within a budget of nats about x.

Maximise I(z; y) subject to I(z; x) <= budget: two estimates of MI and a controller,
``loss = -mist_mi(z, y) + control(mist_mi(z, x))``, where ``MITarget`` raises the weight while the
budget is exceeded. A linear code of Gaussian columns has nothing to hide in: ``goal=None``, the
derivatives of both values. x and y are jointly Gaussian in four columns and z = W x + noise, so
that both quantities are known exactly from W and the best possible curve is known as well (Chechik
et al. 2005): the table shows how close the codes come.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import torchmist

RHO = torch.tensor([0.95, 0.8, 0.6, 0.3])  # correlations of the four pairs of columns
D = len(RHO)


def exact(weight: Tensor) -> tuple[float, float]:
    """I(z; x) and I(z; y) in nats."""
    noise = torch.eye(D)
    whole = torch.logdet(weight @ weight.T + noise)
    given_y = torch.logdet(weight @ torch.diag(1 - RHO.square()) @ weight.T + noise)
    return float(whole) / 2, float(whole - given_y) / 2


def best_curve(betas: np.ndarray) -> np.ndarray:
    """I(z; x) and I(z; y) of the optimal codes, ``[len(betas), 2]``."""
    left = 1 - RHO.square().numpy()
    gain = np.maximum((betas[:, None] * (1 - left) - 1) / left, 0)  # squared weights
    about_x = 0.5 * np.log1p(gain).sum(1)
    return np.stack([about_x, about_x - 0.5 * np.log1p(left * gain).sum(1)], 1)


def train(budget: float, steps: int, seed: int) -> tuple[float, float]:
    """Exact I(z; x) and I(z; y) of the code that was learned from samples."""
    torch.manual_seed(seed)
    weight = nn.Parameter(0.3 * torch.randn(D, D))
    control = torchmist.MITarget(budget, lam=0.5, rate=0.05)
    optimizer = torch.optim.Adam([weight], 3e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        x = torch.randn(256, D)
        y = RHO * x + (1 - RHO.square()).sqrt() * torch.randn(256, D)
        z = x @ weight.T + torch.randn(256, D)
        about_y, about_x = (torchmist.mist_mi(z, other, goal=None) for other in (y, x))
        loss = control(about_x) - about_y
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return exact(weight.detach())


def main(argv: list[str] | None = None) -> None:
    """Train for several budgets, print the table, save the curve."""
    parser = argparse.ArgumentParser(description="The Gaussian information bottleneck")
    default = Path(__file__).parent / "output" / "03_bottleneck.png"
    parser.add_argument("--out", type=Path, default=default, help="where the figure goes")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.5, 1.0, 2.0, 3.0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    curve = best_curve(np.geomspace(1.0, 1e4, 4000))
    print("Exact information of the learned codes, nats")
    print("budget   I(z;x)   I(z;y)   best I(z;y) at that I(z;x)   share")
    points = []
    for budget in args.budgets:
        about_x, about_y = train(budget, args.steps, args.seed)
        points.append((about_x, about_y))
        best = float(np.interp(about_x, *curve.T))
        print(
            f"{budget:6.2f}   {about_x:6.3f}   {about_y:6.3f}   {best:26.3f}   "
            f"{100 * about_y / max(best, 1e-9):4.0f} %",
            flush=True,
        )
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(*curve.T, color="black", linewidth=1, label="best possible")
    axes.scatter(*zip(*points), zorder=3, label="learned by mist_mi")
    axes.set(xlabel="I(z; x), nats", ylabel="I(z; y), nats", xlim=(0, 5))
    axes.legend()
    axes.grid(alpha=0.3)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=120)
    print(f"figure: {args.out}")


if __name__ == "__main__":
    main()
