"""Fairness: predict without a protected variable, the whole trade-off.

The diabetes data of scikit-learn (442 patients): the code predicts the progression of the disease
and is to hold nothing of the patient's sex. The two are related, so the task has a use for what the
term removes, and the encoder is tempted to hide it: the term comes with a lift, whose parameters
go into the one optimizer. Judges: the prediction on held-out patients, and a fresh
nearest-neighbour classifier of the sex.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

import torchmist

SEX, WIDTH = 1, 4  # its column; columns of the code
NOISE = 0.3  # of the code, so that mutual information is finite


def data() -> tuple[Tensor, Tensor, Tensor]:
    """Standardised columns ``[442, 10]``, sex ``[442]`` as labels, and progression ``[442, 1]``."""
    raw = load_diabetes()
    x = torch.tensor(raw.data, dtype=torch.float32)
    target = torch.tensor(raw.target, dtype=torch.float32)[:, None]
    sex = (x[:, SEX] > 0).long()
    return (x - x.mean(0)) / x.std(0), sex, (target - target.mean()) / target.std()


def train(lam: float, steps: int, seed: int) -> tuple[float, float, float]:
    """R^2 of the task, the probe's balanced accuracy for the sex, and I(code; sex) in nats."""
    torch.manual_seed(seed)
    x, sex, target = data()
    order = torch.randperm(len(x))
    fit, held = order[:300], order[300:]
    encoder = nn.Sequential(nn.Linear(10, 64), nn.SiLU(), nn.Linear(64, WIDTH))
    head = nn.Linear(WIDTH, 1)
    term = torchmist.MIRegularizer(lift=WIDTH, warmup=steps // 10)
    modules = nn.ModuleList([encoder, head, term])
    optimizer = torch.optim.Adam(modules.parameters(), 2e-3, weight_decay=1e-4)

    def code(rows: Tensor) -> Tensor:
        seen = x[rows] + 0.2 * torch.randn(len(rows), 10)
        return encoder(seen) + NOISE * torch.randn(len(rows), WIDTH)

    for _ in range(steps):
        rows = fit[torch.randint(len(fit), (256,))]
        z = code(rows)
        loss = (head(z) - target[rows]).square().mean() + lam * term(z, sex[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def equal(rows: Tensor) -> Tensor:
        """4000 draws with as many of either sex."""
        parts = [rows[sex[rows] == k] for k in (0, 1)]
        return torch.cat([part[torch.randint(len(part), (2000,))] for part in parts])

    with torch.no_grad():
        rows = held.repeat(50)
        error = (head(code(rows)) - target[rows]).square().mean()
        r2 = float(1 - error / target[held].var())
        seen, new = equal(fit), equal(held)
        probe = KNeighborsClassifier(50).fit(code(seen).numpy(), sex[seen].numpy())
        accuracy = float(probe.score(code(new).numpy(), sex[new].numpy()))
        some = new[torch.randperm(len(new))[:500]]
        mi = float(torchmist.mist_mi(code(some), sex[some]))
    return r2, accuracy, mi


def main(argv: list[str] | None = None) -> None:
    """Train for several weights, print the table, save the trade-off."""
    parser = argparse.ArgumentParser(description="Predict without a protected variable")
    default = Path(__file__).parent / "output" / "02_fairness.png"
    parser.add_argument("--out", type=Path, default=default, help="where the figure goes")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--lam", nargs="+", type=float, default=[0.0, 0.1, 0.3, 1.0, 3.0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    print("Held-out patients; the sex by a fresh probe (chance 50 %)")
    print("  lam   R^2 of the task   sex by probe   I(code; sex), nats")
    points = []
    for lam in args.lam:
        points.append(train(lam, args.steps, args.seed))
        r2, accuracy, mi = points[-1]
        print(f"{lam:5.1f}   {r2:15.3f}   {100 * accuracy:10.1f} %   {mi:.3f}", flush=True)
    figure = Figure(figsize=(4.6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([100 * p[1] for p in points], [p[0] for p in points], marker="o")
    for lam, (r2, accuracy, _) in zip(args.lam, points):
        axes.annotate(f" lam {lam:g}", (100 * accuracy, r2))
    axes.axvline(50, color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="sex by a fresh probe, % (held out)", ylabel="R^2 of the progression")
    axes.grid(alpha=0.3)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=120)
    print(f"figure: {args.out}")


if __name__ == "__main__":
    main()
