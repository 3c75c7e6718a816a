"""Disentangle: two codes of one observation that share nothing.

Two independent factors lie behind a nonlinear mixture of ten columns. One encoder is to code the
first factor, another the second; without a term each code keeps what it happens to see of the other
factor. One line, ``loss + lam * mist_mi(a, b, goal="minimize")``, removes that. Judge: a fresh
nearest-neighbour regression of the factors from each code. Two cores take minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.neighbors import KNeighborsRegressor
from torch import Tensor, nn

import torchmist

NOISE = 0.1  # of the codes, so that their mutual information is finite


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, outputs)
    )


def train(lam: float, steps: int, seed: int) -> tuple[np.ndarray, float, float]:
    """R^2 ``[code, factor]`` of fresh probes on held-out draws, and the MI of the codes in nats.

    The MI twice: as the term says it, and the lower bound of a fresh judge.
    """
    torch.manual_seed(seed)
    mixture = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 10)).requires_grad_(False)
    encoders = nn.ModuleList([mlp(10, 4), mlp(10, 4)])
    heads = nn.ModuleList([nn.Linear(4, 1), nn.Linear(4, 1)])
    optimizer = torch.optim.Adam([*encoders.parameters(), *heads.parameters()], 2e-3)

    def draw(n: int) -> tuple[Tensor, list[Tensor]]:
        factors = torch.randn(n, 2)
        x = 3 * mixture(2 * factors) + 0.05 * torch.randn(n, 10)
        return factors, [net(x) + NOISE * torch.randn(n, 4) for net in encoders]

    for step in range(steps):
        factors, codes = draw(256)
        errors = [
            (head(code) - factors[:, [k]]).square().mean()
            for k, (head, code) in enumerate(zip(heads, codes))
        ]
        loss = sum(errors)
        if lam > 0:
            loss = loss + lam * torchmist.mist_mi(codes[0], codes[1], goal="minimize")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"  lam {lam:g}  step {step + 1:4d}/{steps}  loss {loss.item():.3f}", flush=True)

    print(f"  lam {lam:g}  judging the codes", flush=True)
    with torch.no_grad():
        (factors, codes), (new_factors, new_codes) = draw(4000), draw(2000)
        mi = float(torchmist.mist_mi(new_codes[0][:500], new_codes[1][:500]))
    judge = torchmist.MIRegularizer().check(new_codes[0], new_codes[1], steps=min(steps, 200)).probe
    score = np.zeros((2, 2))
    for c in range(2):
        for f in range(2):
            probe = KNeighborsRegressor(20).fit(codes[c].numpy(), factors[:, f].numpy())
            score[c, f] = probe.score(new_codes[c].numpy(), new_factors[:, f].numpy())
    return score, mi, judge


def main(argv: list[str] | None = None) -> None:
    """Train with and without the term, print the table, save the figure."""
    parser = argparse.ArgumentParser(description="Two codes that share nothing")
    default = Path(__file__).parent / "output" / "01_disentangle.png"
    parser.add_argument("--out", type=Path, default=default, help="where the figure goes")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--lam", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    results = {
        f"lam {lam:g}": train(lam, args.steps, args.seed) for lam in dict.fromkeys([0.0, args.lam])
    }
    print("R^2 of fresh probes on held-out draws; right: the code's own factor")
    print("term       right   wrong   MI of the codes, nats   a fresh judge, at least")
    figure = Figure(figsize=(3.4 * len(results), 3.4), layout="constrained")
    axes_of_all = figure.subplots(1, len(results))
    for axes, (name, (score, mi, judge)) in zip(axes_of_all, results.items()):
        right, wrong = score.diagonal().mean(), score[[0, 1], [1, 0]].mean()
        print(f"{name:<9} {right:6.3f}  {wrong:6.3f}   {mi:21.3f}   {judge:23.3f}")
        axes.imshow(score, vmin=0, vmax=1, cmap="Blues")
        for c in range(2):
            for f in range(2):
                axes.text(f, c, f"{score[c, f]:.2f}", ha="center", va="center")
        axes.set(title=name, xticks=[0, 1], yticks=[0, 1], xlabel="factor", ylabel="code")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=120)
    print(f"figure: {args.out}")


if __name__ == "__main__":
    main()
