"""The term in PyTorch Lightning: a module like any other, logged by its own callback.

The term is a submodule of the ``LightningModule``, so the Trainer moves it, saves its lift and
leaves the frozen estimator alone; ``log=`` hands the value and its 90 % interval to ``self.log``.
Task: predict one column of x while the code forgets two others. Needs ``pip install lightning``.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path

import lightning
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import torchmist


class Forgetful(lightning.LightningModule):
    """An encoder and a head; the code predicts ``target`` and forgets ``nuisance``."""

    def __init__(self, lam: float) -> None:
        super().__init__()
        self.lam = lam
        self.encoder = nn.Sequential(nn.Linear(10, 64), nn.SiLU(), nn.Linear(64, 4))
        self.head = nn.Linear(4, 1)
        self.term = torchmist.MIRegularizer(lift=4, warmup=30, log=self.log_information)
        self.history: list[tuple[float, float, float]] = []

    def log_information(self, values: dict[str, Tensor]) -> None:
        """Called by the term at every step with ``mi``, ``low`` and ``high``, nats."""
        self.log_dict({f"information/{name}": value for name, value in values.items()})
        self.history.append((values["mi"].item(), values["low"].item(), values["high"].item()))

    def forward(self, x: Tensor) -> Tensor:
        """The code, with noise that keeps mutual information finite."""
        code = self.encoder(x)
        return code + 0.3 * torch.randn_like(code)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """Task loss plus the term."""
        x, target, nuisance = batch
        z = self(x)
        task = (self.head(z) - target).square().mean()
        self.log("task", task)
        return task + self.lam * self.term(z, nuisance)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimizer: encoder, head, and the lift of the term."""
        return torch.optim.Adam(self.parameters(), 2e-3)


def main(argv: list[str] | None = None) -> None:
    """Train, print the table, save the figure."""
    parser = argparse.ArgumentParser(description="The term in PyTorch Lightning")
    default = Path(__file__).parent / "output" / "05_lightning.png"
    parser.add_argument("--out", type=Path, default=default, help="where the figure goes")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lam", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    torch.manual_seed(args.seed)
    x = torch.randn(20_000, 10)
    nuisance = x[:, 1:3]
    target = x[:, :1] + 0.5 * nuisance[:, :1]
    loader = DataLoader(TensorDataset(x, target, nuisance), batch_size=256, shuffle=True)
    model = Forgetful(args.lam)
    trainer = lightning.Trainer(
        max_steps=args.steps, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, loader)

    metrics = trainer.logged_metrics | trainer.callback_metrics
    print("last step    value")
    for name in ("task", "information/mi", "information/low", "information/high"):
        unit = "nats" if name.startswith("information") else "mean squared error"
        print(f"{name:<18} {float(metrics[name]):6.3f} {unit}")
    mi, low, high = zip(*model.history)
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(mi, label="estimate with the lift")
    axes.fill_between(range(len(mi)), low, high, alpha=0.3, label="90 % interval")
    axes.set(xlabel="step", ylabel="I(code; nuisance), nats")
    axes.legend()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=120)
    print(f"figure: {args.out}")


if __name__ == "__main__":
    main()
