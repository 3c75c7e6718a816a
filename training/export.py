"""Turn checkpoints into shipped weights: ``python -m training.export --name mist-paper-v1``.

Writes ``pretrained/NAME.safetensors`` (configuration, provenance, seed and evaluation in its
header), its sha256 into ``pretrained/registry.json``, and reference predictions beside it. Of
several checkpoints of one network, each trained on from another, the mean of the weights is
written (stochastic weight averaging, Izmailov et al. 2018), also with that of weights from which
they were trained on (``--with``; Wortsman et al. 2022): it keeps what these knew and the runs lost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from torchmist.models.mist import MIST
from torchmist.models.network import QuantileNetwork
from torchmist.weights import load_pretrained, save_weights
from training.checkpoint import Checkpoint
from training.config import PRESETS, TrainConfig
from training.registry import commit, refuse_existing, register
from training.validate import validate

__all__ = ["export", "main", "mean_of", "reference_predictions"]

PRETRAINED = Path(__file__).parent.parent / "pretrained"
_REFERENCE_SIZES = ((10, 2, 2), (40, 24, 24), (128, 1, 8), (300, 32, 3), (500, 17, 17))


def reference_predictions(model: QuantileNetwork) -> list[dict[str, Any]]:
    """Predicted quantiles (nats) of fixed Gaussian draws, to check a load or a port of the weights.

    Columns of x and of y are paired as ``y = x + e``, half a nat of ``log 2`` for each pair.
    """
    out = []
    for seed, (n, dx, dy) in enumerate(_REFERENCE_SIZES):
        generator = torch.Generator().manual_seed(seed)
        x, y = (torch.randn(1, n, d, generator=generator) for d in (dx, dy))
        shared = min(dx, dy)
        y[..., :shared] += x[..., :shared]
        with torch.no_grad():
            quantiles = model(x, y)[0]
        values = [round(q, 6) for q in quantiles.tolist()]
        mi = round(0.5 * shared * math.log(2), 6)
        out.append({"seed": seed, "n": n, "dx": dx, "dy": dy, "mi": mi, "quantiles": values})
    return out


def mean_of(checkpoints: list[Checkpoint], weights: Sequence[Path] = ()) -> Checkpoint:
    """The last checkpoint with the mean of the weights of all, validated anew if there are several.

    Args:
        checkpoints: of runs.
        weights: files of exported weights, which count as much as a checkpoint each.

    Raises:
        ValueError: if their networks differ in size.
    """
    last = checkpoints[-1]
    others = [load_pretrained(path) for path in weights]
    sizes = [c.config.model for c in checkpoints] + [m.config for m in others]
    if any(size != last.config.model for size in sizes):
        raise ValueError("expected weights of one network, got networks of different sizes")
    states = [c.average for c in checkpoints] + [m.state_dict() for m in others]
    if len(states) == 1:
        return last
    mean = {name: torch.stack([s[name] for s in states]).mean(0) for name in last.average}
    model = MIST(last.config.model).eval()
    model.load_state_dict(mean)
    errors = validate(model, last.config, torch.device("cpu"))
    return replace(last, average=mean, validation=errors)


def _command(config: TrainConfig) -> str:
    """The command that makes the same run; of a configuration of no preset, the nearest one's."""
    options = ("steps", "seed", "learning_rate", "init", "batch_cost")
    chosen = {name: getattr(config, name) for name in options}
    like = (name for name, p in PRESETS.items() if replace(p, **chosen) == config)
    preset = next(like, "settle" if config.trained else config.meta)
    words = f"python -m training.train --preset {preset}"
    for name, value in chosen.items():
        if value != "" and (name != "batch_cost" or value != PRESETS[preset].batch_cost):
            words += f" --{name.replace('_', '-')} {value}"
    return words + " --out runs/new"


def export(
    checkpoints: list[Checkpoint], name: str, evaluation: dict[str, Any],
    folder: Path = PRETRAINED, weights: Sequence[Path] = (),
) -> Path:  # fmt: skip
    """Write the averaged weights of ``checkpoints`` as ``name`` into ``folder``; register them.

    ``weights``: files whose weights are averaged with them.

    Raises:
        FileExistsError: if weights of that name are there: released weights never change.
    """
    path = folder / f"{name}.safetensors"
    refuse_existing(path)
    checkpoint = mean_of(checkpoints, weights)
    config = replace(checkpoint.config, init=Path(checkpoint.config.init).name)
    model = MIST(config.model).eval()
    model.load_state_dict(checkpoint.average)
    provenance = {
        "training": config.to_dict(),
        "command": _command(config),
        "steps": checkpoint.step,
        "datasets": checkpoint.datasets,
        "seconds": round(checkpoint.seconds),
        "seed": config.seed,
        "torch": torch.__version__,
        "commit": commit(),
        "averaged_seeds": [c.config.seed for c in checkpoints],
        "averaged_weights": [hashlib.sha256(p.read_bytes()).hexdigest() for p in weights],
        "trained_range": {"n": list(config.samples), "d": list(config.dims)},
    }
    evaluation = {"validation": checkpoint.validation, **evaluation}
    digest = save_weights(model, path, provenance=provenance, evaluation=evaluation)
    register(path, digest, reference_predictions(model))
    return path


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--name", required=True, help="a new name: released weights never change")
    parser.add_argument(
        "--checkpoint", type=Path, nargs="+", default=[Path("runs/paper/checkpoint.pt")],
        help="one, or several to average",
    )  # fmt: skip
    parser.add_argument(
        "--with", type=Path, nargs="*", default=[], dest="weights",
        help="files of weights to average with the checkpoints",
    )  # fmt: skip
    parser.add_argument("--evaluation", type=Path, help="JSON written by benchmarks.evaluate")
    parser.add_argument("--folder", type=Path, default=PRETRAINED)
    options = parser.parse_args(arguments)
    evaluation = json.loads(options.evaluation.read_text()) if options.evaluation else {}
    found = [Checkpoint.load(path, torch.device("cpu")) for path in options.checkpoint]
    path = export(found, options.name, evaluation, options.folder, options.weights)
    print(f"wrote {path} after {found[-1].step} steps, {found[-1].datasets} datasets")


if __name__ == "__main__":
    main()
