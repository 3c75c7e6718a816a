"""Samples of a flow beside those that it was fitted to, as a picture; needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor

from torchmist.figures.blank import blank_figure

__all__ = ["plot_flow"]

_SHOWN = 500
_SIDE = 5


def plot_flow(
    flow: Callable[[Tensor], Tensor], samples: Tensor, path: str | os.PathLike[str], *,
    shape: tuple[int, int] | None = None, seed: int = 0,
) -> None:  # fmt: skip
    """Real samples on the left, those of the flow on the right.

    Args:
        flow: latents ``[N, d]`` to data.
        samples: ``[N, d]``, real ones.
        path: the file to write.
        shape: height and width of images whose pixels the columns are; without it samples are
            points in the plane of the two leading principal directions of the real ones.
        seed: of what is shown.

    Raises:
        ValueError: for a shape of another number of pixels than there are columns.
    """
    d = samples.shape[1]
    if shape is not None and shape[0] * shape[1] != d:
        raise ValueError(f"expected a shape of {d} pixels, the columns of the samples, got {shape}")
    generator = torch.Generator().manual_seed(seed)
    real = samples[torch.randperm(len(samples), generator=generator)[:_SHOWN]].detach().cpu()
    latent = torch.randn(len(real), d, generator=generator)
    with torch.no_grad():
        made = flow(latent.to(samples)).cpu()
    figure = blank_figure("a picture of a flow", 8, 4)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    mean, scale = real.mean(0), real.std(0).clamp(min=1e-12)
    plane = torch.linalg.svd((real - mean) / scale, full_matrices=False).Vh[:2]
    for axes, name, values in zip(panels, ("real", "flow"), (real, made)):
        axes.set_title(name)
        if shape is not None:
            axes.imshow(_tiles(values, shape), cmap="gray")
            axes.set_axis_off()
            continue
        place = ((values - mean) / scale) @ plane.mT
        second = place[:, 1] if d > 1 else torch.rand(len(place), generator=generator)
        axes.scatter(place[:, 0], second, s=6, alpha=0.5)
    figure.savefig(path, dpi=120)


def _tiles(images: Tensor, shape: tuple[int, int]) -> Tensor:
    """Up to 25 images ``[N, h w]`` as one picture."""
    images = images[: _SIDE**2]
    blank = torch.zeros(_SIDE**2 - len(images), images.shape[1])
    rows = torch.cat([images, blank]).view(_SIDE, _SIDE, *shape).transpose(1, 2)
    return rows.reshape(_SIDE * shape[0], _SIDE * shape[1])
