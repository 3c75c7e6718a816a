"""Train MIST from a preset: ``python -m training.train --preset paper --out runs/paper``.

Resumes bit for bit with ``--resume``. Runs on the CPU, on one GPU (``--device cuda``), or on
several processes through ``torchrun``; the data do not depend on the number of processes, nor on
that of the ``--workers`` that make them ahead.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from torchmist.models.losses import difference_loss, quantile_loss
from torchmist.models.mist import MIST
from torchmist.weights import load_pretrained
from training.ahead import Ahead
from training.checkpoint import Checkpoint
from training.config import PRESETS, TrainConfig
from training.data import step_data
from training.metrics import MetricsWriter
from training.processes import agree, join, update_average, warm_cosine
from training.validate import validate

__all__ = ["Trainer", "learning_rate", "main"]


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine from the peak to the final rate at the last step."""
    ends = config.learning_rate, config.final_learning_rate
    return warm_cosine(step, config.steps, config.warmup, *ends)


class Trainer:
    """Model, averaged weights and optimiser of a run, and one step of it.

    Args:
        config: the run.
        device: where the model and the data live.
        rank, world: this process among those of ``torch.distributed``.
        bf16: whether the network runs in bfloat16, the statistics of the sample apart. Of use where
            matrix products take most of the time; small steps take longer, for the casts.
    """

    workers: Ahead | None = None

    def __init__(
        self, config: TrainConfig, device: torch.device, rank: int = 0, world: int = 1, *,
        bf16: bool = False,
    ) -> None:  # fmt: skip
        if 8 % world:
            raise ValueError(
                f"expected 1, 2, 4 or 8 processes (batches are multiples of 8), got {world}"
            )
        self.config, self.device, self.rank, self.world = config, device, rank, world
        self.bf16 = bf16
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = self.build().to(device)
            self.average = self.build().to(device).eval().requires_grad_(False)
        if config.init:
            start = load_pretrained(config.init)
            if not isinstance(start, MIST):
                raise TypeError(
                    f"expected init to be the weights of a MIST, got {type(start).__name__}"
                )
            self.model.load_state_dict(self.model.state_of(start))
        self.average.load_state_dict(self.model.state_dict())
        self.optimizer = torch.optim.AdamW(
            self._trained(), betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
        self.step, self.datasets, self.seconds = 0, 0, 0.0
        self.validation: dict[str, float] = {}
        self.network: nn.Module = self.model
        if world > 1:
            self.network = DistributedDataParallel(self.model)

    def build(self) -> MIST:
        """A network of the run with random weights."""
        return MIST(self.config.model)

    def _trained(self) -> list[nn.Parameter]:
        """The parameters that are trained; the others need no gradient from here on."""
        if not self.config.trained:
            return list(self.model.parameters())
        self.model.requires_grad_(False)
        for name in self.config.trained:
            self.model.get_submodule(name).requires_grad_(True)
        return [p for p in self.model.parameters() if p.requires_grad]

    def loss(self, quantiles: Tensor, mi: Tensor) -> Tensor:
        """What is minimised, from quantiles ``[B, Q]`` and true MI ``[B]`` in nats."""
        weight = self.config.mean_weight
        return quantile_loss(quantiles, mi, self.model.levels, mean_weight=weight)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from ``checkpoint``."""
        self.model.load_state_dict(checkpoint.model)
        self.average.load_state_dict(checkpoint.average)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.step, self.datasets = checkpoint.step, checkpoint.datasets
        self.seconds, self.validation = checkpoint.seconds, checkpoint.validation

    def checkpoint(self) -> Checkpoint:
        """The state to resume from."""
        return Checkpoint(
            self.config, self.step, self.datasets, self.seconds, self.model.state_dict(),
            self.average.state_dict(), self.optimizer.state_dict(), self.validation,
        )  # fmt: skip

    def advance(self) -> tuple[Tensor, Tensor]:
        """One optimiser step; returns the loss and the gradient norm."""
        config = self.config
        rate = learning_rate(config, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        place = config, self.step, self.device, self.rank, self.world
        ahead = self.workers.next().to(self.device) if self.workers else None
        x, y, mi, moved = ahead or step_data(*place)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            quantiles = self.network(x, y)
        if moved:
            change = difference_loss(*quantiles.chunk(2), *mi.chunk(2))
            loss = config.moved_weight * change
        else:
            loss = self.loss(quantiles, mi)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        update_average(self.average, self.model, config.average, self.step)
        self.step += 1
        self.datasets += len(mi) * self.world
        return loss.detach(), norm


def run(trainer: Trainer, out: Path, *, checkpoint_minutes: float, max_minutes: float) -> None:
    """Train to the last step, or until ``max_minutes`` are over, writing into ``out``."""
    config, lead = trainer.config, trainer.rank == 0
    writer = MetricsWriter(out, trainer.step) if lead else None
    before, start = trainer.seconds, time.monotonic()
    saved, seen = start, trainer.datasets
    losses: list[Tensor] = []
    bar = tqdm(total=config.steps, initial=trainer.step, disable=not lead, mininterval=5)
    while trainer.step < config.steps:
        loss, norm = trainer.advance()
        losses.append(loss)
        bar.update()
        now = time.monotonic()
        trainer.seconds = before + now - start
        last = trainer.step == config.steps
        row: dict[str, float] = {}
        if lead and (trainer.step % config.validate_every == 0 or last):
            trainer.validation = validate(trainer.average, config, trainer.device)
            row.update(trainer.validation)
        if writer and (row or trainer.step % config.log_every == 0):
            rate = (trainer.datasets - seen) / (now - start)
            mean = torch.stack(losses).mean().item()
            losses.clear()
            row.update(
                datasets=trainer.datasets, seconds=trainer.seconds, loss=mean,
                learning_rate=learning_rate(config, trainer.step - 1),
                gradient_norm=norm.item(), datasets_per_second=rate,
            )  # fmt: skip
            writer.write(trainer.step, row)
            error = {k: f"{v:.3g}" for k, v in trainer.validation.items() if "mse" in k}
            bar.set_postfix(loss=f"{mean:.4f}", **error, datasets_per_s=f"{rate:.0f}")
        over = agree(now - start > 60 * max_minutes, trainer.device, trainer.world)
        if lead and (last or over or now - saved > 60 * checkpoint_minutes):
            trainer.checkpoint().save(out / "checkpoint.pt")
            saved = now
        if over:
            break
    bar.close()
    if writer:
        writer.close()


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="paper")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint and metrics")
    parser.add_argument("--resume", action="store_true", help="continue from OUT/checkpoint.pt")
    parser.add_argument("--steps", type=int, help="optimiser steps; may change at a resume")
    parser.add_argument("--learning-rate", type=float, help="peak (default: the preset's)")
    parser.add_argument("--init", help="start from these weights: a name or .safetensors file")
    parser.add_argument("--seed", type=int, help="seed of weights and data (default: the preset's)")
    parser.add_argument("--batch-cost", type=int, help="size of the batches (raise it on a GPU)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--bf16", action="store_true", help="the network in bfloat16")
    parser.add_argument("--workers", type=int, default=0, help="processes that make data ahead")
    parser.add_argument("--checkpoint-minutes", type=float, default=3.0)
    parser.add_argument("--max-minutes", type=float, default=math.inf, help="stop, resumable")
    options = parser.parse_args(arguments)

    config = PRESETS[options.preset]
    named = {
        "steps": options.steps,
        "seed": options.seed,
        "batch_cost": options.batch_cost,
        "learning_rate": options.learning_rate,
        "init": options.init,
    }
    config = replace(config, **{k: v for k, v in named.items() if v is not None})
    device, rank, world = join(options.device)

    path = options.out / "checkpoint.pt"
    if options.resume:
        checkpoint = Checkpoint.load(path, device)
        config = replace(checkpoint.config, steps=options.steps or checkpoint.config.steps)
        trainer = Trainer(config, device, rank, world, bf16=options.bf16)
        trainer.restore(checkpoint)
    elif path.exists():
        parser.error(f"{path} exists: pass --resume to continue it, or another --out")
    elif config.trained and not config.init:
        parser.error(f"--preset {options.preset} trains a part of a network: pass its --init")
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(config, device, rank, world, bf16=options.bf16)
    if options.workers:
        make = functools.partial(step_data, config, device=device, rank=rank, world=world)
        steps = range(trainer.step, config.steps)
        trainer.workers = Ahead(make, steps, options.workers)
    try:
        run(
            trainer, options.out,
            checkpoint_minutes=options.checkpoint_minutes, max_minutes=options.max_minutes,
        )  # fmt: skip
        if world > 1:
            dist.barrier()  # none leaves while another still talks to it
    finally:
        if trainer.workers:
            trainer.workers.close()
        if world > 1:
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
