"""Command line: ``torchmist estimate data.csv --x a,b --y c``, ``audit``, ``adapt``, ``pairwise``.

Prints nats (or bits) with an interval, or JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

from torchmist import __version__
from torchmist.auditing import audit
from torchmist.checks import check_level
from torchmist.commands.notes import ONLY_THESE, command_note, first_line_notes, unmarked_notes
from torchmist.commands.options import check_picture, check_rows, split_names
from torchmist.commands.pairwise import add_pairwise
from torchmist.commands.table_files import TableFile, read_columns
from torchmist.estimation import MIEstimate, estimate
from torchmist.weight_files import check_folder

__all__ = ["main", "read_columns"]


def _sides(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The columns of X and of Y."""
    return split_names(options.x, "--x"), split_names(options.y, "--y")


def _plot(r: MIEstimate, unit: str, scale: float, path: Path) -> None:
    """The distribution function that the quantiles make, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(scale * r.quantiles[0].numpy(), r.levels.numpy(), marker="o", markersize=3)
    axes.axvline(scale * float(r.mean), color="black", linewidth=0.8)
    axes.set(xlabel=f"mutual information, {unit}", ylabel="probability that it is below")
    figure.savefig(path, dpi=120)


def _unit(options: argparse.Namespace) -> tuple[str, float]:
    """The unit asked for, and what nats are multiplied by."""
    return ("bits", 1 / math.log(2)) if options.bits else ("nats", 1.0)


def _estimate(options: argparse.Namespace) -> None:
    level = check_level(options.level, "--level")
    names, marked = _sides(options), split_names(options.discrete or "-", "--discrete")
    if options.labels and len(names[1]) != 1:
        raise ValueError(f"expected one column of labels, got {names[1]}")
    marked += names[1] if options.labels else []
    unknown = set(marked) - {"-", *names[0], *names[1]}
    if unknown:
        raise ValueError(f"expected --discrete to name columns of --x or --y, got {unknown}")
    file = TableFile.read(options.data)
    x, y = (file.kinds(side, marked) for side in names)
    samples = len(next(iter(x.values())))
    check_rows(samples, options.data)
    kinds = [[k for k in side if k in marked] or "auto" for side in (x, y)]
    r = estimate(x, y, model=options.model, discrete_x=kinds[0], discrete_y=kinds[1])
    unit, scale = _unit(options)
    mean, low, high = (scale * float(v) for v in (r.mean, *r.interval(level)))
    if options.plot:
        _plot(r, unit, scale, options.plot)
    notes = first_line_notes(file.path, file.columns)
    notes += [note for side in (x, y) for note in unmarked_notes(side, marked)]
    notes += [command_note(note) for note in r.warnings]
    if options.json:
        content = {
            "mean": mean, "low": low, "high": high if math.isfinite(high) else None,
            "level": level, "unit": unit, "samples": samples, "model": options.model,
            "warnings": notes,
        }  # fmt: skip
        print(json.dumps(content))
        return
    print(f"I({options.x}; {options.y}) = {mean:.4f} {unit}")
    print(f"{100 * level:g} % interval {low:.4f} to {high:.4f} {unit}, {samples} samples")
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)


def _audit(options: argparse.Namespace) -> None:
    text = "audit takes numbers alone, leave it out if it holds class labels"
    x = TableFile.read(options.data).numbers(split_names(options.x, "--x"), text)
    check_rows(len(x), options.data)
    report = audit(x, model=options.model)
    if options.plot:
        report.plot(options.plot)
    unit, scale = _unit(options)
    numbers = ("truth", "estimate", "low", "high")
    rows = tuple(
        dataclasses.replace(row, **{k: scale * getattr(row, k) for k in numbers})
        for row in report.rows
    )
    if options.json:
        content = [vars(row) | {"error": row.error} for row in rows]
        print(json.dumps({"unit": unit, "rows": content}))
    else:
        print(str(dataclasses.replace(report, rows=rows)).replace("nats", unit))


def _adapt(options: argparse.Namespace) -> None:
    from torchmist.adapt import adapt
    from torchmist.weights import save_weights

    if options.out.suffix != ".safetensors":
        raise ValueError(f"expected --out to end in .safetensors, got {options.out}")
    for path in (options.out, options.checkpoint):  # before the minutes of training
        if path:
            check_folder(path)
    names = _sides(options)
    file = TableFile.read(options.data)
    text = "pass class labels as the one column of --y, with --labels"
    x = file.numbers(names[0], text)
    marked = options.labels or file.categorical(names[1])
    y = file.labels(names[1]) if marked else file.numbers(names[1], text)
    model = adapt(
        x, y, base=options.model, budget=options.budget, checkpoint=options.checkpoint,
        show=not options.json,
    )  # fmt: skip
    save_weights(model, options.out)
    report: Any = model.report
    if options.plot:
        report.plot(options.plot)
    if options.json:
        print(json.dumps({"weights": str(options.out), **dataclasses.asdict(report)}))
    else:
        print(report)
        use = f"nothing was gained, its weights are those of {options.model}"
        if report.helped:
            use = "use it as --model, or as model= in Python"
        print(f"wrote {options.out}: {use}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="torchmist", description="Mutual information of columns")
    parser.add_argument("--version", action="version", version=f"torchmist {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function, text in (
        ("estimate", _estimate, "I(X;Y) of columns of a file, with an interval"),
        ("audit", _audit, "how far the estimator is off on targets made from X, of known MI"),
        ("adapt", _adapt, "train the weights on to data like X and Y, and save them"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=function)
        command.add_argument("data", type=Path, help=".csv, .parquet, .npy or .npz file")
        command.add_argument("--x", required=True, help="columns of X, separated by commas")
        command.add_argument("--model", default="mist", help="name or .safetensors file")
        command.add_argument("--json", action="store_true", help="print JSON")
        if name != "audit":
            command.add_argument("--y", required=True, help="columns of Y, separated by commas")
            command.add_argument("--labels", action="store_true", help="Y holds class labels")
        if name == "adapt":
            command.add_argument("--out", type=Path, required=True, help=".safetensors to write")
            command.add_argument("--budget", type=float, default=300.0, help="seconds")
            command.add_argument("--checkpoint", type=Path, help="file to resume from")
        else:
            command.add_argument("--bits", action="store_true", help="bits instead of nats")
        command.add_argument("--plot", type=Path, help="write a picture to this file")
        if name == "estimate":
            text = f"columns of X or Y that hold class labels, separated by commas; {ONLY_THESE}"
            command.add_argument("--discrete", help=text)
            command.add_argument("--level", type=float, default=0.9, help="of the interval")
    add_pairwise(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors of the input are one line on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torchmist: ")
        try:
            if options.plot:
                check_picture(options.plot)
            options.run(options)
        except (ImportError, ValueError, TypeError, OSError) as error:
            print(f"torchmist: {command_note(' '.join(str(error).split()))}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            kept = "; what --checkpoint saved is kept" if hasattr(options, "checkpoint") else ""
            print(f"torchmist: interrupted{kept}", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
