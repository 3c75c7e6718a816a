"""Pictures of the general meta-distribution: ``python -m benchmarks.gallery --out FILE.png``.

One row for each kind of block, four datasets in each: a column of X against the column of Y that it
is most dependent on, as drawn, with the exact MI of the whole dataset in the title. The outermost
samples of heavy tails lie outside of the pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from torchmist.copula import normal_scores
from torchmist.synthetic.general import KINDS, GeneralMeta

__all__ = ["draw", "main"]

_SIZES = ((1, 1), (1, 1), (2, 3), (3, 2))
_SAMPLES = 600


def _strongest(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The columns of ``x`` and ``y`` ``[N, d]`` of the largest correlation or quadratic one."""
    a, b = normal_scores(x), normal_scores(y)
    linear = (a.T @ b).abs()
    square = ((a.square() - 1).T @ (b.square() - 1)).abs() / 2
    mixed = torch.maximum((a.T @ (b.square() - 1)).abs(), ((a.square() - 1).T @ b).abs())
    best = int(torch.maximum(torch.maximum(linear, square), mixed).argmax())
    return x[:, best // b.shape[1]], y[:, best % b.shape[1]]


def _limits(values: Tensor) -> tuple[float, float]:
    """The middle 98 % with a margin, so that heavy tails leave something to see."""
    low, high = values.quantile(torch.tensor([0.01, 0.99])).tolist()
    margin = 0.15 * (high - low)
    return low - margin, high + margin


def draw(out: Path, seed: int) -> None:
    """Write the gallery."""
    figure = Figure(figsize=(9.6, 2.3 * len(KINDS)), layout="constrained")
    axes = figure.subplots(len(KINDS), len(_SIZES))
    for row, kind in zip(axes, KINDS):
        meta = GeneralMeta({kind: 1.0}, independent=0.0)
        for place, (ax, (dx, dy)) in enumerate(zip(row, _SIZES)):
            generator = torch.Generator().manual_seed(seed + place)
            batch = meta.sample(1, _SAMPLES, dx, dy, generator=generator)
            x, y = _strongest(batch.x[0], batch.y[0])
            ax.scatter(x, y, s=3, alpha=0.5)
            ax.set_title(f"{kind}, {dx} x {dy}: {batch.mi.item():.2f} nats", fontsize=9)
            ax.set(xticks=[], yticks=[], xlim=_limits(x), ylim=_limits(y))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=90)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/general.png"))
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    draw(options.out, options.seed)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
