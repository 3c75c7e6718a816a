"""InfoMax: learn a code without labels, by maximising what two views share.

Real images (scikit-learn's 8x8 digits); the views are the left and the right half. What the halves
have in common is mostly the digit, so ``loss = -mist_mi(a, b, goal="maximize")`` teaches both
encoders the digit without a label. Judge: a linear probe of the two codes on held-out images,
before and after, and the same probe on the raw pixels and on as many principal components.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import torchmist

WIDTH, TRAIN = 8, 1200  # columns of each code; images to learn from


def encoder() -> nn.Sequential:
    """One half of an image ``[N, 32]`` to its code."""
    return nn.Sequential(nn.Linear(32, 128), nn.SiLU(), nn.Linear(128, WIDTH))


def halves(images: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right half of ``[N, 8, 8]`` images, ``[N, 32]`` each."""
    return images[:, :, :4].flatten(1), images[:, :, 4:].flatten(1)


def accuracy(codes: np.ndarray, labels: np.ndarray) -> float:
    """A linear probe, fitted to the training images and scored on the others."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    probe.fit(codes[:TRAIN], labels[:TRAIN])
    return float(probe.score(codes[TRAIN:], labels[TRAIN:]))


def noisy_halves(images: Tensor) -> list[Tensor]:
    """Both halves with a little noise, which no code can pass on."""
    return [half + 0.1 * torch.randn_like(half) for half in halves(images)]


def train(nets: nn.ModuleList, images: Tensor, steps: int) -> list[float]:
    """Make the codes of both halves share all they can; the nats they share at each step."""
    optimizer = torch.optim.Adam(nets.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    history = []
    for step in range(steps):
        views = noisy_halves(images[torch.randint(TRAIN, (256,))])
        codes = [net(view) for net, view in zip(nets, views)]
        loss = -torchmist.mist_mi(*codes, goal="maximize")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        history.append(-loss.item())
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}: the halves share {history[-1]:.2f} nats", flush=True)
    return history


def plot(history: list[float], rows: dict[str, float], path: Path) -> None:
    """MI over the steps, and the accuracies."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(history)
    left.set(xlabel="step", ylabel="MI of the two codes, nats")
    right.barh(list(rows), [100 * v for v in rows.values()])
    right.set(xlabel="linear probe, held-out accuracy, %", xlim=(0, 100))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"figure: {path}")


def main(argv: list[str] | None = None) -> None:
    """Train, print the table, save the figure."""
    parser = argparse.ArgumentParser(description="A code of the digits without labels")
    default = Path(__file__).parent / "output" / "04_infomax.png"
    parser.add_argument("--out", type=Path, default=default, help="where the figure goes")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)

    torch.manual_seed(args.seed)
    raw = load_digits()
    order = np.random.default_rng(args.seed).permutation(len(raw.target))
    images, labels = torch.tensor(raw.images[order] / 16).float(), raw.target[order]
    nets = nn.ModuleList([encoder(), encoder()])

    @torch.no_grad()
    def codes() -> np.ndarray:
        return torch.cat([net(half) for net, half in zip(nets, halves(images))], 1).numpy()

    pixels = images.flatten(1).numpy()
    leading = PCA(2 * WIDTH).fit(pixels[:TRAIN]).transform(pixels)
    rows = {
        "pixels (64)": accuracy(pixels, labels),
        f"PCA ({2 * WIDTH})": accuracy(leading, labels),
        f"codes before ({2 * WIDTH})": accuracy(codes(), labels),
    }
    history = train(nets, images, args.steps)
    rows[f"codes after ({2 * WIDTH})"] = accuracy(codes(), labels)

    print("Linear probe of the digit, held-out images")
    for name, value in rows.items():
        print(f"{name:<18} {100 * value:5.1f} %")
    with torch.no_grad():
        held_out = [net(view) for net, view in zip(nets, noisy_halves(images[TRAIN:]))]
    print(f"MI of the codes at the end: {history[-1]:.2f} nats (a digit: at most 2.30)")
    report = torchmist.MIRegularizer(goal="maximize").check(*held_out, steps=min(args.steps, 200))
    print(f"on held-out images: {report}")
    plot(history, rows, args.out)


if __name__ == "__main__":
    main()
