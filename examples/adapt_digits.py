r"""Adapt the estimator to images, see what it changed, and use it as a term of a loss.

Run it as a script (``python examples/adapt_digits.py``) or cell by cell.

1. *Adapt.* ``torchmist.adapt.adapt`` gets handwritten digits (64 pixels) and class labels, which
   are not paired.
2. *Before and after.* Held-out images, and labels that went through a noisy channel: with
   probability ``e`` a label is replaced by one of the nine others at random. The image determines
   its class, so I(image; label) = H(label) - H(noise) exactly, which base and adapted weights
   estimate.
3. *Use.* A small network changes images so that they keep their looks (squared error) but lose
   their class: ``loss = error + lam * regularizer(images, labels)`` with the adapted weights in
   ``MIRegularizer``. Judges that had no part in it, nearest neighbours and logistic regression, are
   fitted to changed training images and scored on changed held-out images.
"""

# %% Set-up
from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

import torchmist
from torchmist.adapt import adapt
from torchmist.models.network import QuantileNetwork
from torchmist.weights import save_weights

TRAIN = 1200  # images; the other 597 are held out
NOISES = (0.9, 0.7, 0.5, 0.35, 0.2, 0.1, 0.0)
BATCH = 256


def digits() -> tuple[Tensor, Tensor]:
    """Images ``[1797, 64]`` in 0..1 and their classes, in a fixed random order."""
    raw = load_digits()
    order = torch.randperm(len(raw.target), generator=torch.Generator().manual_seed(0))
    return torch.tensor(raw.data / 16).float()[order], torch.tensor(raw.target)[order]


# %% Before and after
def noisy(labels: Tensor, e: float, generator: torch.Generator) -> Tensor:
    """Labels of which a share ``e`` is replaced by one of the nine others."""
    moved = torch.rand(len(labels), generator=generator) < e
    step = torch.randint(1, 10, (len(labels),), generator=generator)
    return torch.where(moved, (labels + step) % 10, labels)


def information(labels: Tensor, e: float) -> float:
    """I(image; noisy label) in nats, exact."""
    p = torch.bincount(labels, minlength=10).double() / len(labels)
    out = (1 - e) * p + e * (1 - p) / 9
    noise = sum(-v * math.log(v) for v in (1 - e, *[e / 9] * 9) if v > 0)
    return float(-torch.xlogy(out, out).sum()) - noise


def compare(
    x: Tensor, labels: Tensor, models: dict[str, QuantileNetwork]
) -> dict[str, list[list[float]]]:
    """Truth, estimate and 90 % interval of every model at every noise, three draws each."""
    rows: dict[str, list[list[float]]] = {name: [] for name in models}
    generator = torch.Generator().manual_seed(1)
    for e in NOISES:
        for _ in range(3):
            some = torch.randperm(len(x), generator=generator)[:512]
            y = noisy(labels[some], e, generator)
            for name, model in models.items():
                r = torchmist.estimate(x[some], y, model=model)
                low, high = r.interval(0.9)
                rows[name].append([information(labels, e), r.mean, low, high])
    return rows


# %% A term of a loss
def forget(
    x: Tensor, labels: Tensor, term: nn.Module | None, lam: float, steps: int
) -> nn.Sequential:
    """A network that changes images little and, with a term, hides their class."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(),
                        nn.Linear(128, 64))  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for step in range(steps):
        rows = torch.randint(len(x), (BATCH,))
        changed = net(x[rows]) + 0.05 * torch.randn(BATCH, 64)
        error = (changed - x[rows]).square().sum(-1).mean()
        loss = error
        if term is not None:
            loss = error + lam * min(1.0, step / 50) * term(changed, labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            print(f"  step {step + 1:4d}/{steps}  error {error.item():.3f}", flush=True)
    return net.eval()


@torch.no_grad()
def judge(net: nn.Module, x: Tensor, labels: Tensor) -> tuple[float, float]:
    """Squared error per image, and accuracy of the best judge on held-out images."""
    torch.manual_seed(1)
    changed = net(x) + 0.05 * torch.randn(len(x), 64)
    error = float((changed - x)[TRAIN:].square().sum(-1).mean())
    scores = []
    for probe in (KNeighborsClassifier(15), LogisticRegression(max_iter=1000)):
        probe.fit(changed[:TRAIN].numpy(), labels[:TRAIN].numpy())
        scores.append(float(probe.score(changed[TRAIN:].numpy(), labels[TRAIN:].numpy())))
    return error, max(scores)


# %% The picture
def draw(rows: dict[str, list[list[float]]], images: dict[str, Tensor], out: Path) -> None:
    """Estimate against truth before and after; images before and after."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    for ax, (name, values) in zip(axes, rows.items()):
        truth, mean, low, high = torch.tensor(values).T
        spread = torch.stack([mean - low, high - mean]).clamp(min=0)
        ax.errorbar(truth, mean, spread, fmt="o", markersize=4, alpha=0.7)
        ax.plot([0, 2.4], [0, 2.4], color="black", linewidth=0.8)
        off = float((mean - truth).abs().mean())
        ax.set(title=f"{name}: mean absolute error {off:.2f} nats", ylim=(-0.1, 2.6))
        ax.set(xlabel="exact I(image; label), nats", ylabel="estimate, 90 % interval")
    rows_of = [torch.cat(list(v[:8].view(8, 8, 8)), 1) for v in images.values()]
    axes[2].imshow(torch.cat(rows_of), cmap="gray", vmin=0, vmax=1)
    axes[2].set(title="\n".join(images), xticks=[], yticks=[])
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=120)
    plt.close(figure)


# %% All of it
def main(argv: list[str] | None = None) -> None:
    """Adapt, compare, use, and save the figure."""
    parser = argparse.ArgumentParser(description="adapt MIST to handwritten digits")
    default = Path(__file__).resolve().parent / "output" / "adapt_digits.png"
    parser.add_argument("--out", type=Path, default=default, help="where the figure goes")
    parser.add_argument("--steps", type=int, default=300, help="steps of the training of part 3")
    parser.add_argument("--budget", type=float, help="seconds of adaptation; default: as the steps")
    parser.add_argument("--lam", type=float, default=3.0, help="weight of the term")
    parser.add_argument("--base", default="mist", help="weights to adapt")
    args = parser.parse_args(argv)
    start = time.perf_counter()
    x, labels = digits()

    print("Part 1: adapt MIST to the images", flush=True)
    shuffled = torch.randperm(TRAIN, generator=torch.Generator().manual_seed(2))
    model = adapt(x[:TRAIN], labels[shuffled], base=args.base, budget=args.budget or args.steps)
    print(f"  {model.report}", flush=True)  # type: ignore[union-attr]
    weights = args.out.with_suffix(".safetensors")
    weights.parent.mkdir(parents=True, exist_ok=True)
    save_weights(model, weights)

    print("Part 2: held-out images and labels of known information", flush=True)
    base = torchmist.load_pretrained(args.base)
    rows = compare(x[TRAIN:], labels[TRAIN:], {"before": base, "after": model})
    for name, values in rows.items():
        truth, mean, low, high = torch.tensor(values).T
        held = float(((low <= truth) & (truth <= high)).float().mean())
        off = float((mean - truth).abs().mean())
        print(f"  MIST {name:<7} error {off:.3f} nats, 90 % intervals cover {100 * held:.0f} %")

    print("Part 3: images that lose their class", flush=True)
    images = {"held-out images": x[TRAIN:]}
    for name, term in (("without", None), ("with", torchmist.MIRegularizer(weights))):
        net = forget(x[:TRAIN], labels[:TRAIN], term, args.lam, args.steps)
        error, accuracy = judge(net, x, labels)
        print(
            f"  {name} the term: squared error {error:.2f} per image, the best judge finds the "
            f"class of {100 * accuracy:.0f} % (chance 10 %)"
        )
        with torch.no_grad():
            images[f"changed {name} the term: class found in {100 * accuracy:.0f} %"] = net(
                x[TRAIN:]
            )
    draw(rows, images, args.out)
    print(f"figure: {args.out}; {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
