"""What the parts of an arbiter's evidence and prior are worth: ``python -m benchmarks.ablation``.

Arbiters are fitted to the draws that ``python -m training.arbiter collect`` left in ``--folder``,
all for the same number of epochs: with everything, without a part of the evidence (its mean in
every dataset stands in its place), of other sizes, and without one family of the prior. All are
judged on draws of the prior that trained nothing; those that lack a family also on that family,
without the doubt and with a doubt that has learned from the other families that were left out.

Columns of the record: ``case``, ``family``, ``datasets`` judged, ``error`` (mean absolute, nats, of
truths below 5), ``loss`` (pinball, of log(I + 0.2)), ``coverage`` of the interval of 87.5 %,
``width`` of it (median, nats).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.pages import markdown, write_table
from benchmarks.records import Records
from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.arbiter_training import (
    Data,
    evidence_of,
    fresh_schedule,
    member_quantiles,
    rows_of,
    train_interval_width,
    train_members,
)
from torchmist.ensemble.evidence_features import evidence_numbers
from torchmist.models.losses import pinball_loss
from torchmist.quantile_head import from_nats, quantile_levels, to_nats
from training.arbiter import collected
from training.arbiter_fit import thinned
from training.stream import FAMILIES

__all__ = ["PARTS", "SIZES", "main", "without"]

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "benchmarks/results/ablation.csv"
PAGE = ROOT / "docs/engines.md"
COLUMNS = ("case", "family", "datasets", "error", "loss", "coverage", "width")
_MOST = 5.0  # nats: errors of larger truths would hide all others
_EPOCHS = 15

PARTS = {
    "the network of pairs": ("plain",),
    "the network of neighbours": ("local", "centre"),
    "neighbours and kernels": ("opinions",),
    "local statistics": ("features",),
    "variates": ("variates", "correlations", "sharpness"),
    "the linear information": ("linear",),
}
"""Parts of the evidence by name."""

SIZES = {
    "half as wide": {"width": 64},
    "twice as wide": {"width": 256},
    "one member": {"members": 1},
}
"""Other sizes of an arbiter by name."""


def without(data: Data, fields: Sequence[str]) -> Data:
    """``data`` with the mean of each of ``fields`` in place of its values."""
    means = {name: data[name].mean(0, keepdim=True).expand_as(data[name]) for name in fields}
    return {**data, **means}


def _fitted(data: Data, levels: Tensor, epochs: int, **sizes: Any) -> Arbiter:
    arbiter = Arbiter(**sizes)
    arbiter.standardise(evidence_numbers(evidence_of(data)))
    train_members(arbiter, data, levels, fresh_schedule(epochs), 0)
    return arbiter


def _judge(records: Records, case: str, t: Tensor, data: Data, levels: Tensor) -> None:
    """Add the rows of quantiles ``[B, Q]`` of ``t``: of all draws, and of each family."""
    groups = {"all": torch.ones_like(data["mi"], dtype=torch.bool)}
    for index in data["family"].unique().tolist():
        groups[FAMILIES[int(index)]] = data["family"] == index
    for name, rows in groups.items():
        mi, q = data["mi"][rows], t[rows]
        nats, below = to_nats(q), mi < _MOST
        inside = (nats[:, 1] <= mi) & (mi <= nats[:, -2])
        records.add(
            case, name, len(mi), float((nats.mean(-1) - mi)[below].abs().mean()),
            float(pinball_loss(q, from_nats(mi), levels)), float(inside.float().mean()),
            float((nats[:, -2] - nats[:, 1]).median()),
        )  # fmt: skip


def _stranger(
    records: Records, parts: tuple[Data, Data], levels: Tensor, epochs: int, known: Data
) -> None:
    """Arbiters without one family each, judged on that family."""
    train, held = parts
    names = {int(index): FAMILIES[int(index)] for index in train["family"].unique().tolist()}
    done = [f"without {name}, with doubt" for name in names.values()]
    if all(records.has(case, name) for case, name in zip(done, names.values())):
        return
    answers: dict[int, Data] = {}
    for index in names:
        arbiter = _fitted(rows_of(train, train["family"] != index), levels, epochs)
        both = [rows_of(part, part["family"] == index) for part in (train, held)]
        lacks = {name: torch.cat([part[name] for part in both]) for name in train}
        answers[index] = {**member_quantiles(arbiter, lacks), "family": lacks["family"]}
    for index, name in names.items():
        doubtful = Arbiter()
        others = [found for other, found in answers.items() if other != index]
        train_interval_width(doubtful, known, others, levels)
        each = answers[index]["each"].transpose(0, 1)
        with torch.no_grad():
            for case, t in (("", each.mean(0)), (", with doubt", doubtful.doubt(each))):
                if not records.has(f"without {name}{case}", name):
                    _judge(records, f"without {name}{case}", t, answers[index], levels)


def table(records: Records) -> str:
    """The page's tables: parts and sizes by family, and what is said of families left out."""
    cases = list(dict.fromkeys(row["case"] for row in records))
    judged = list(dict.fromkeys(row["family"] for row in records))
    whole = [c for c in cases if not any(c.startswith(f"without {f}") for f in judged)]

    def cell(case: str, family: str, column: str) -> str:
        value = float(records.row(case, family)[column])
        return f"{100 * value:.0f} %" if column == "coverage" else f"{value:.3f}"

    first = markdown(
        ["", "loss", "coverage", *judged[1:]],
        [[case, cell(case, "all", "loss"), cell(case, "all", "coverage"),
          *(cell(case, family, "error") for family in judged[1:])] for case in whole],
    )  # fmt: skip
    second = markdown(
        ["family", "error, trained on it", "not trained on it", "coverage, trained on it",
         "not trained on it", "with doubt", "median width, trained on it", "not", "with doubt"],
        [[f, *(cell(c, f, "error") for c in (whole[0], f"without {f}")),
          *(cell(c, f, column) for column in ("coverage", "width")
            for c in (whole[0], f"without {f}", f"without {f}, with doubt"))]
         for f in judged[1:] if records.has(f"without {f}, with doubt", f)],
    )  # fmt: skip
    return first + "\n" + second


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=Path("runs/arbiter"), help="of the draws")
    parser.add_argument("--epochs", type=int, default=_EPOCHS)
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    records, levels = Records(options.out, COLUMNS, 2), quantile_levels(Arbiter().quantiles)
    paths = sorted(options.folder.glob("part-*.pt"))
    if paths:
        data = thinned(collected(paths))
        parts = tuple(rows_of(data, data["check"] == k) for k in (0, 1))
        _run(records, (parts[0], parts[1]), levels, options.epochs)
    write_table(options.page, "ablation", table(records))


def _run(records: Records, parts: tuple[Data, Data], levels: Tensor, epochs: int) -> None:
    """Fit and judge every case that the record lacks."""
    train, held = parts
    cases: dict[str, tuple[Sequence[str], dict[str, int]]] = {
        "everything": ((), {}),
        **{f"without {name}": (fields, {}) for name, fields in PARTS.items()},
        **{name: ((), sizes) for name, sizes in SIZES.items()},
    }
    known: Data = {}
    for name, (fields, sizes) in cases.items():
        if records.has(name, "all") and known:
            continue
        arbiter = _fitted(without(train, fields), levels, epochs, **sizes)
        answer = member_quantiles(arbiter, without(held, fields))
        known = known or answer
        if not records.has(name, "all"):
            _judge(records, name, answer["each"].mean(1), held, levels)
    _stranger(records, parts, levels, epochs, known)


if __name__ == "__main__":
    main()
