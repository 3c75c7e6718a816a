"""The state of a recipe's run, one step of it, and its checkpoints.

A checkpoint is a folder of safetensors files of a few MB each, written anew and then renamed, so
that an interrupted write loses nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from torchmist.models.losses import difference_loss, quantile_losses
from torchmist.models.mist import MIST
from training.processes import update_average, warm_cosine
from training.pursuit import Pursuits
from training.stages import Recipe, Stage
from training.stream import FAMILIES, StreamData, check_families, shape_of, stream_data

__all__ = ["RecipeTrainer", "rate_at"]

_PURSUED = ((2, 2), (4, 4), (8, 8), (8, 1), (16, 16), (16, 4), (32, 32), (5, 3))
_MOST_ROWS = 1024
_FILES = ("model", "average", "exp_avg", "exp_avg_sq", "pursuits")


def rate_at(stage: Stage, place: int) -> float:
    """Learning rate at a step of a stage: a warm-up, and a cosine from its first to its last."""
    return warm_cosine(place, stage.steps, stage.warmup, *stage.rates)


def _flat(state: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors of nested dictionaries under names joined by dots."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        inner = _flat(value) if isinstance(value, dict) else {"": value}
        out |= {f"{name}.{k}".rstrip("."): v for k, v in inner.items()}
    return out


def _nested(state: dict[str, Tensor]) -> dict[str, Any]:
    """The inverse of :func:`_flat` for one level."""
    out: dict[str, Any] = {}
    for name, value in state.items():
        first, _, rest = name.partition(".")
        if rest:
            out.setdefault(first, {})[rest] = value
        else:
            out[first] = value
    return out


class RecipeTrainer:
    """Model, averaged weights, optimiser and pursuits of a run.

    Args:
        recipe: what is run.
        device: where the model and the data live.
        rank, world: this process among those of ``torch.distributed``.

    Raises:
        ValueError: if a stage names a family that is not known.
    """

    def __init__(self, recipe: Recipe, device: torch.device, rank: int = 0, world: int = 1) -> None:
        check_families(recipe)
        self.recipe, self.device, self.rank, self.world = recipe, device, rank, world
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.model = MIST(recipe.model).to(device)
            self.average = MIST(recipe.model).to(device).eval().requires_grad_(False)
        self.average.load_state_dict(self.model.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )
        self.network: nn.Module = self.model
        if world > 1:
            self.network = DistributedDataParallel(self.model, find_unused_parameters=True)
        self.step, self.datasets, self.seconds = 0, 0, 0.0
        self.pursuits: list[Pursuits] = []
        self.seen = torch.zeros(2, len(FAMILIES), device=device)

    @property
    def done(self) -> bool:
        """Whether all stages are over."""
        return self.step >= self.recipe.steps

    def _populations(self, count: int) -> list[Pursuits]:
        """Encoders that are trained against the network, made when first needed.

        They go on through all stages, as many as the first of these has.
        """
        if not self.pursuits:
            self.pursuits = [
                Pursuits(count, dx, dy, device=self.device, seed=self.recipe.seed + k)
                for k, (dx, dy) in enumerate(_PURSUED)
            ]
        return self.pursuits

    def _pursue(self) -> StreamData:
        """Train one population against the network for a few steps; return its codes."""
        index, place = self.recipe.at(self.step)
        _, n, *_ = shape_of(self.recipe, index, place)
        stage = self.recipe.stages[index]
        population = self._populations(stage.pursuers)[self.step % len(_PURSUED)]
        self.model.requires_grad_(False)
        population.advance(self.average if self.step % 2 else self.model, stage.advance)
        self.model.requires_grad_(True)
        x, y, mi, _ = population.batch(max(32, min(n, _MOST_ROWS)))
        share = slice(self.rank, None, self.world)
        family = torch.full((len(mi),), FAMILIES.index("pursuit"), device=self.device)
        return StreamData(x[share], y[share], mi[share].float(), family[share], False)

    def data(self) -> StreamData:
        """The data of the coming step."""
        made = stream_data(self.recipe, self.step, self.device, self.rank, self.world)
        return self._pursue() if made is None else made

    def advance(self, data: StreamData | None = None) -> tuple[Tensor, Tensor]:
        """One optimiser step on ``data`` (None: pursuit, or made here); the loss and its gradient's
        norm. A step whose gradient is not finite changes nothing."""
        index, place = self.recipe.at(self.step)
        stage = self.recipe.stages[index]
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(stage, place)
        data = (self.data() if data is None else data.to(self.device)).finite()
        quantiles = self.network(data.x, data.y)
        if data.moved:
            each = None
            change = difference_loss(*quantiles.chunk(2), *data.mi.chunk(2))
            loss = stage.moved_weight * change
        else:
            weight = self.recipe.mean_weight
            each = quantile_losses(quantiles, data.mi, self.model.levels, mean_weight=weight)
            loss = each.mean()
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        finite = torch.isfinite(norm)
        # what torch's GradScaler sets on an optimiser of its own accord
        self.optimizer.grad_scale = None  # type: ignore[attr-defined]
        self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        self.optimizer.step()
        update_average(self.average, self.model, self.recipe.average, self.step)
        losses = loss.detach().expand(len(data.family)) if each is None else each.detach()
        self._watch(losses, data.family)
        self.step += 1
        self.datasets += len(data.mi) * self.world
        return loss.detach(), norm

    @torch.no_grad()
    def _watch(self, losses: Tensor, family: Tensor) -> None:
        """Add up losses by family."""
        self.seen[0].index_add_(0, family, losses.nan_to_num())
        self.seen[1].index_add_(0, family, torch.ones_like(losses))

    def take_seen(self) -> dict[str, float]:
        """Mean loss of each family since the last call."""
        total, count = self.seen.tolist()
        self.seen.zero_()
        return {f: t / c for f, t, c in zip(FAMILIES, total, count) if c}

    # ---- checkpoints ----------------------------------------------------------------------------
    def save(self, folder: Path, *, whole: bool = True) -> None:
        """Write all that a resumed run needs into ``folder``, in place of what is there.

        Without the ``whole``, pursuits begin anew when it is resumed; they are most of its size.
        """
        new = folder.with_name(folder.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        names = [name for name, _ in self.model.named_parameters()]
        states = [self.optimizer.state.get(p, {}) for p in self.model.parameters()]
        tensors: dict[str, dict[str, Tensor]] = {
            "model": dict(self.model.state_dict()),
            "average": dict(self.average.state_dict()),
            "exp_avg": {n: s["exp_avg"] for n, s in zip(names, states) if s},
            "exp_avg_sq": {n: s["exp_avg_sq"] for n, s in zip(names, states) if s},
            "pursuits": {
                f"{k}.{name}": value
                for k, population in enumerate(self.pursuits if whole else [])
                for name, value in _flat(population.state_dict()).items()
            },
        }
        for name in _FILES:
            content = {k: v.detach().cpu().contiguous() for k, v in tensors[name].items()}
            save_file(content, new / f"{name}.safetensors")
        state = {
            "recipe": self.recipe.name, "digest": self.recipe.digest(self.step), "step": self.step,
            "datasets": self.datasets, "seconds": self.seconds, "optimizer_steps": self._steps(),
        }  # fmt: skip
        (new / "state.json").write_text(json.dumps(state, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)

    def _steps(self) -> float:
        """Steps that the optimiser has counted."""
        states = [s for s in self.optimizer.state.values() if "step" in s]
        return float(states[0]["step"]) if states else 0.0

    def load(self, folder: Path, *, anew: bool = False) -> None:
        """Continue from a checkpoint.

        Without the files of the moments the optimiser begins anew, without that of the pursuits
        these do.

        Args:
            folder: of the checkpoint.
            anew: take the weights and moments of another recipe's run, and start with the first
                step of this one.

        Raises:
            ValueError: if the checkpoint is that of another recipe.
        """
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
        if not anew and state["digest"] != self.recipe.digest(state["step"]):
            raise ValueError(
                f"expected a checkpoint of this very recipe {self.recipe.name!r} in {folder}, got "
                f"one of {state['recipe']!r} with other numbers; start anew in another folder"
            )
        paths = {name: folder / f"{name}.safetensors" for name in _FILES}
        files = {name: load_file(path) if path.is_file() else {} for name, path in paths.items()}
        self.model.load_state_dict(files["model"])
        self.average.load_state_dict(files["average"])
        for name, p in self.model.named_parameters():
            if name in files["exp_avg"]:
                self.optimizer.state[p] = {
                    "step": torch.tensor(state["optimizer_steps"], device=self.device),
                    "exp_avg": files["exp_avg"][name].to(self.device),
                    "exp_avg_sq": files["exp_avg_sq"][name].to(self.device),
                }
        if files["pursuits"]:
            count = len(files["pursuits"]["0.left"])
            for k, population in enumerate(self._populations(count)):
                lead = f"{k}."
                own = {
                    n[len(lead) :]: v for n, v in files["pursuits"].items() if n.startswith(lead)
                }
                population.load_state_dict(_nested(own))
        if not anew:
            self.step, self.datasets = state["step"], state["datasets"]
            self.seconds = state["seconds"]
