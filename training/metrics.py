"""Metrics of a run as CSV and TensorBoard, continued after a resume."""

from __future__ import annotations

import csv
from pathlib import Path

__all__ = ["MetricsWriter"]

_COLUMNS = (
    "step", "datasets", "seconds", "loss", "learning_rate", "gradient_norm", "datasets_per_second",
    *(f"{name}_{key}" for key in ("10-100", "100-300", "300-500", "500-5000")
      for name in ("mse", "median", "coverage")),
)  # fmt: skip


class MetricsWriter:
    """Appends rows to ``metrics.csv`` and to TensorBoard event files in ``folder``.

    Rows after ``step`` (of a run that was killed past its last checkpoint) are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        path = folder / "metrics.csv"
        kept: list[dict[str, str]] = []
        if step and path.is_file():
            with path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self._file = path.open("w", newline="")
        self._csv = csv.DictWriter(self._file, _COLUMNS)
        self._csv.writeheader()
        self._csv.writerows(kept)
        self._board = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, step: int, values: dict[str, float]) -> None:
        """One row; columns without a value stay empty."""
        row = {k: f"{v:.6g}" for k, v in values.items()}
        self._csv.writerow({"step": step, **row})
        self._file.flush()
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close both."""
        self._file.close()
        self._board.close()
