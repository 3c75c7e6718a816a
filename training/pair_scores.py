"""Make the weights that score pairs of single columns, in two steps.

``python -m training.pair_scores collect --seed 0 --minutes 15`` draws pairs
(``training.pair_draws``) and keeps their statistics; ``python -m training.pair_scores fit --name
mist-pairs-v1`` trains a network of quantiles for each kind of pair on all that was collected, and
writes ``pretrained/NAME.safetensors`` with its sha256 beside it.

Legend: ``B`` pairs, ``N`` samples, ``S`` statistics.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchmist.copula import rank_transform
from torchmist.models.pair_network import PairHead, PairNetwork, save_pair_network
from torchmist.models.pair_statistics import (
    KINDS,
    OPINIONS,
    label_statistics,
    mixed_statistics,
    number_statistics,
)
from torchmist.quantile_head import from_nats, to_nats
from training.pair_draws import Draw, Kind, draw_pairs
from training.registry import commit, refuse_existing

__all__ = ["collect", "fit", "fit_head", "main", "statistics_of"]

PRETRAINED = Path(__file__).parent.parent / "pretrained"
_FIT_BATCH, _RATE = 1024, 2e-3
_BATCH = 32
_SMALLEST, _LARGEST = 10, 2**14
_SHARES: dict[Kind, float] = {"numbers": 0.6, "mixed": 0.25, "labels": 0.15}


def statistics_of(draw: Draw) -> Tensor:
    """Statistics ``[B, S]`` of a batch of pairs."""
    if draw.kind == "labels":
        x, y = draw.x.long(), draw.y.long()
        return label_statistics(x, y, (int(x.max()) + 1, int(y.max()) + 1))[0]
    y_scores = rank_transform(draw.y.mT[None])
    number = y_scores.scores[0], y_scores.codes[0]
    if draw.kind == "mixed":
        label = draw.x.long()
        return mixed_statistics(label, int(label.max()) + 1, number)[0]
    x_scores = rank_transform(draw.x.mT[None])
    return number_statistics((x_scores.scores[0], x_scores.codes[0]), number)[0]


def _size(g: torch.Generator) -> int:
    u = float(torch.rand((), generator=g))
    return round(math.exp(math.log(_SMALLEST) + u**0.8 * math.log(_LARGEST / _SMALLEST)))


def collect(seed: int, minutes: float, folder: Path) -> Path:
    """Draw pairs for some minutes, and write their statistics to ``folder/pairs-SEED.npz``.

    At least one batch of each kind.
    """
    g = torch.Generator().manual_seed(seed)
    stats: dict[str, list[Tensor]] = defaultdict(list)
    truth: dict[str, list[Tensor]] = defaultdict(list)
    weight = torch.tensor(list(_SHARES.values()))
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end or len(stats) < len(_SHARES):
        kind = list(_SHARES)[int(torch.multinomial(weight, 1, generator=g))]
        for draw in draw_pairs(g, kind, _BATCH, [_size(g), _size(g)]):
            stats[kind].append(statistics_of(draw))
            truth[kind].append(draw.mi.float())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"pairs-{seed}.npz"
    arrays = {f"{k}_stats": torch.cat(v).numpy() for k, v in stats.items()}
    arrays |= {f"{k}_mi": torch.cat(v).numpy() for k, v in truth.items()}
    np.savez(path, **arrays)
    return path


def _read(folder: Path, kind: str) -> tuple[Tensor, Tensor]:
    """Statistics ``[B, S]`` and true MI ``[B]`` of all that was collected of a kind."""
    paths = sorted(folder.glob("pairs-*.npz"))
    if not paths:
        raise ValueError(f"expected pairs-*.npz in {folder}, found none; run collect first")
    found = [np.load(path) for path in paths]
    return tuple(  # type: ignore[return-value]
        torch.from_numpy(np.concatenate([f[f"{kind}_{name}"] for f in found]))
        for name in ("stats", "mi")
    )


def _loss(head: PairHead, stats: Tensor, mi: Tensor, levels: Tensor) -> Tensor:
    """Pinball loss of the quantiles of ``log(I + 0.2)``."""
    error = from_nats(mi)[:, None] - head(stats)
    return torch.maximum(levels * error, (levels - 1) * error).mean()


def fit_head(
    head: PairHead, stats: Tensor, mi: Tensor, levels: Tensor, passes: int, seed: int = 0
) -> dict[str, float]:
    """Train on all but the last twentieth, and return the errors on that."""
    generator = torch.Generator().manual_seed(seed)
    cut = len(mi) - len(mi) // 20
    head.standardise(stats[:cut])
    size = min(_FIT_BATCH, cut)
    steps = passes * (cut // size)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, steps, pct_start=0.1)
    done = 0
    for _ in range(passes):
        order = torch.randperm(cut, generator=generator)
        for rows in order.split(size):
            if len(rows) < size or done == steps:
                continue
            loss = _loss(head, stats[rows], mi[rows], levels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            done += 1
    with torch.no_grad():
        quantiles = to_nats(head(stats[cut:]))
        error = quantiles.clamp(min=0).mean(-1) - mi[cut:]
        inside = (quantiles[:, 1] <= mi[cut:]) & (mi[cut:] <= quantiles[:, -2])
        return {
            "pairs": float(len(mi)),
            "loss": float(_loss(head, stats[cut:], mi[cut:], levels)),
            "mean absolute error, nats": float(error.abs().mean()),
            "coverage of the interval of 22/24": float(inside.float().mean()),
        }


def fit(name: str, passes: int, folder: Path, out: Path = PRETRAINED) -> Path:
    """Train the heads on what is in ``folder``, and write and register the weights."""
    path = out / f"{name}.safetensors"
    refuse_existing(path)
    torch.manual_seed(0)
    begin = time.monotonic()
    data = {kind: _read(folder, kind) for kind in KINDS}
    sizes = {kind: (stats.shape[1], OPINIONS[kind]) for kind, (stats, _) in data.items()}
    model = PairNetwork(sizes)
    for kind, (stats, mi) in data.items():
        errors = fit_head(model.heads[kind], stats, mi, model.levels, passes)  # type: ignore
        model.evaluation[kind] = errors
        print(kind, errors, flush=True)
    model.provenance = {
        "command": f"python -m training.pair_scores fit --name {name} --passes {passes}",
        "collected": "python -m training.pair_scores collect --minutes M, with --seed "
        + ", ".join(p.stem.split("-")[1] for p in sorted(folder.glob("pairs-*.npz"))),
        "pairs": sum(len(mi) for _, mi in data.values()),
        "seconds": round(time.monotonic() - begin),
        "torch": torch.__version__,
        "commit": commit(),
        "trained_range": {"n": [_SMALLEST, _LARGEST], "d": [1, 1], "classes": [2, 60]},
    }
    digest = save_pair_network(model.eval(), path)
    registry = out / "pairs.json"
    entries = json.loads(registry.read_text()) if registry.is_file() else {}
    entries[name] = {"file": path.name, "sha256": digest}
    registry.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
    return path


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("collect", help="draw pairs and keep their statistics")
    step.add_argument("--seed", type=int, default=0)
    step.add_argument("--minutes", type=float, default=15.0)
    step = steps.add_parser("fit", help="train on what was collected, and export")
    step.add_argument("--name", required=True)
    step.add_argument("--passes", type=int, default=30)
    for each in steps.choices.values():
        each.add_argument("--folder", type=Path, default=Path("runs/pairs"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.step == "collect":
        print(collect(options.seed, options.minutes, options.folder))
    else:
        print(fit(options.name, options.passes, options.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
