"""The command ``torchmist pairwise data.csv --plot out.png``: all pairs of columns of a file."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from torchmist.column_pairs import Pairwise, pairwise
from torchmist.commands.notes import ONLY_THESE, first_line_notes, unmarked_notes
from torchmist.commands.options import split_names
from torchmist.commands.table_files import TableFile

__all__ = ["add_pairwise"]


def add_pairwise(commands: Any) -> None:
    """Add the command to the subparsers ``commands``."""
    text = "I of all pairs of columns of a file, with intervals"
    command = commands.add_parser("pairwise", help=text, description=text)
    command.set_defaults(run=_run)
    command.add_argument("data", type=Path, help=".csv, .parquet, .npy or .npz file")
    command.add_argument("--columns", help="those to compare, separated by commas; all by default")
    text = f"columns that hold class labels, of any type, separated by commas; {ONLY_THESE}"
    command.add_argument("--discrete", help=text)
    command.add_argument("--model", default="mist-pairs", help="name or .safetensors file")
    command.add_argument("--level", type=float, default=0.9, help="of the intervals")
    command.add_argument("--normalized", action="store_true", help="print values from 0 to 1")
    command.add_argument("--bits", action="store_true", help="bits instead of nats")
    command.add_argument("--json", action="store_true", help="print JSON, with the intervals")
    command.add_argument("--plot", type=Path, help="write a clustered heat map to this file")


def _run(options: argparse.Namespace) -> None:
    marked = split_names(options.discrete, "--discrete") if options.discrete else []
    file = TableFile.read(options.data)
    names = list(file.columns)
    if options.columns:
        names = split_names(options.columns, "--columns")
    unknown = sorted(set(marked) - set(names))
    if unknown:
        raise ValueError(f"expected --discrete to name columns that are compared, got {unknown}")
    table = file.kinds(names, marked)
    found = pairwise(
        table, discrete=[k for k in table if k in marked] or "auto", level=options.level,
        model=options.model,
    )  # fmt: skip
    if options.plot:
        found.plot(options.plot)
    scale = 1 / math.log(2) if options.bits else 1.0
    notes = first_line_notes(file.path, file.columns) + unmarked_notes(table, marked)
    if options.json:
        content = _content(found, scale, "bits" if options.bits else "nats")
        print(json.dumps(content | {"warnings": notes}))
        return
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    _print(found.normalized if options.normalized else scale * found.estimate, found)


def _content(found: Pairwise, scale: float, unit: str) -> dict[str, Any]:
    """What is printed as JSON; None for what is infinite."""
    content: dict[str, Any] = {
        "names": found.names, "kinds": found.kinds, "unit": unit, "level": found.level,
        "normalized": np.round(found.normalized, 6).tolist(),
    }  # fmt: skip
    for name in ("estimate", "low", "high"):
        rows = np.round(scale * getattr(found, name), 6).tolist()
        content[name] = [[v if math.isfinite(v) else None for v in row] for row in rows]
    return content


def _print(matrix: Any, found: Pairwise) -> None:
    """The matrix as text, one line for each column."""
    wide = max(6, *(len(name) for name in found.names)) + 2
    print(" " * wide + "".join(name.rjust(wide) for name in found.names))
    for name, row in zip(found.names, matrix):
        cells = ("-" if not math.isfinite(v) else f"{v:.3f}" for v in row)
        print(name.ljust(wide) + "".join(cell.rjust(wide) for cell in cells))
