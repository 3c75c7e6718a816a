"""All tables and figures from the records: ``python -m benchmarks.report``.

Writes Markdown tables to ``benchmarks/tables/``, figures to ``benchmarks/figures/`` and one page
that opens offline, ``benchmarks/report.html``. ``--readme FILE`` also puts each table ``NAME``
between ``<!-- begin table NAME -->`` and ``<!-- end table NAME -->`` where a file has these marks.
"""

from __future__ import annotations

import argparse
import base64
import html
from pathlib import Path

import matplotlib
import pandas as pd

from benchmarks import tables
from benchmarks.figures import FIGURES
from benchmarks.pages import has_table, write_table
from benchmarks.run import RESULTS
from benchmarks.tables import markdown, read

__all__ = ["main", "write_tables"]

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>torchmist benchmarks</title>
<style>body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:1em 0;font-size:13px}td,th{border:1px solid #ccc;
padding:.25em .6em;text-align:right}td:first-child{text-align:left}img{max-width:100%}
div{overflow-x:auto}</style>
<h1>torchmist benchmarks</h1>
<p>Made by <code>python -m benchmarks.report</code> from the records in
<code>benchmarks/results/</code>. Rows marked (published) are numbers printed in papers, on their
own draws. <code>reference</code> is the published architecture at a quarter of its width and
<code>mist-same-data</code> ours, both trained here from nothing on the same 3,500 batches of the
paper's meta-distribution. All mutual information is in nats.</p>
"""
_NEURAL = ("MINE", "InfoNCE", "NWJ")

Table = tuple[str, str, pd.DataFrame, int]  # title, what it shows, cells, digits


def _table(text: str) -> str:
    """A Markdown table as HTML."""
    lines = [line.strip("|").split("|") for line in text.strip().splitlines()]
    head, body = lines[0], lines[2:]
    rows = ["<tr>" + "".join(f"<th>{html.escape(c.strip())}</th>" for c in head) + "</tr>"]
    rows += [
        "<tr>" + "".join(f"<td>{html.escape(c.strip())}</td>" for c in row) + "</tr>"
        for row in body
    ]
    return "<table>" + "".join(rows) + "</table>"


def _m_test_tables(frame: pd.DataFrame) -> dict[str, Table]:
    """Tables of the paper's test set."""
    plain, resampled = tables.only(frame, False), tables.only(frame, True)
    out: dict[str, Table] = {
        "m_test": (
            "M_test", "Mean squared error, nats², and how many times that of ours the best "
            "baseline has. Squared errors hang on a few data sets: see the medians too.",
            tables.m_test(plain), 2,
        ),
        "samples": (
            "Samples needed", "The n with which each estimator has the median error over M_test "
            "that the best baseline has at n; a dash: more than 500.",
            tables.samples_needed(plain), 3,
        ),
    }  # fmt: skip
    neural = tables.paired(plain, tuple(e for e in _NEURAL if e in set(plain["estimator"])))
    if len(neural):
        count = neural.groupby(["task", "n", "seed"]).ngroups
        out["m_test_neural"] = (
            "M_test with the neural baselines", f"The same on the {count} data sets on which "
            "MINE, InfoNCE and NWJ were run as well.",
            tables.m_test(neural, published=False), 2,
        )  # fmt: skip
    if len(resampled):
        names = tuple(sorted(set(resampled["estimator"])))
        both = tables.paired(frame, names)
        count = both.groupby(["task", "n", "seed"]).ngroups
        out["bootstrap"] = (
            "The paper's bootstrap protocol", f"On {count} data sets of M_test, 20 resamples each: "
            "squared bias, variance and mean squared error over resamples, nats².",
            tables.bootstrap(both), 3,
        )  # fmt: skip
        out["coverage"] = (
            "Coverage", f"Truths within central intervals, %, on the same {count} data sets.",
            tables.coverage(both), 3,
        )  # fmt: skip
        frame = frame[~frame["estimator"].isin(names)]
    out["coverage_all"] = (
        "Coverage on all of M_test", "Truths within central intervals, %.",
        tables.coverage(tables.only(frame, False)), 3,
    )  # fmt: skip
    return out


def _tables(results: Path) -> dict[str, Table]:
    """All tables that the records allow."""
    out: dict[str, Table] = {}
    frame = read(results, "m_test")
    if len(frame):
        out |= _m_test_tables(frame)
    frame = read(results, "bmi40")
    if len(frame):
        whole, tasks = tables.bmi40(tables.only(frame, False))
        out["bmi40"] = ("BMI-40", "Mean absolute error over the 40 tasks, nats.", whole, 3)
        tasks.columns = [f"{e}, n = {n}" for e, n in tasks.columns]
        kept = [c for c in tasks.columns if c.endswith(("n = 256", "n = 1000", "n = 5000"))]
        out["bmi40_tasks"] = ("BMI-40 by task", "Mean absolute error, nats.", tasks[kept], 2)
    frame = read(results, "m_test_extended")
    if len(frame):
        out["generalisation"] = (
            "Generalisation", "Median absolute error, nats, on M_test_extended: families in the "
            "paper's training or not, by size and dimension (seen: n up to 500, d up to 32).",
            tables.extended(frame), 3,
        )  # fmt: skip
    frame = read(results, "symmetry")
    if len(frame):
        out["symmetry"] = (
            "Symmetry", "How far estimates move, nats, under changes that cannot change MI.",
            tables.symmetry(frame), 2,
        )  # fmt: skip
    return out


def write_tables(page: Path, texts: dict[str, str]) -> None:
    """Put those of ``texts`` into ``page`` that it has marks for."""
    for name, text in texts.items():
        if has_table(page, name):
            write_table(page, name, text)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=RESULTS.parent)
    parser.add_argument("--readme", type=Path, nargs="*", default=[], help="files with marks")
    options = parser.parse_args(arguments)
    matplotlib.rcParams["svg.hashsalt"] = "torchmist"  # the same records, the same files
    folder = options.out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    made = _tables(options.results)
    texts = {name: markdown(cells, digits) for name, (_, _, cells, digits) in made.items()}
    page = [_HEAD]
    for name, (title, note, _, _) in made.items():
        (folder / f"{name}.md").write_text(f"{note}\n\n{texts[name]}")
        page.append(f"<h2>{html.escape(title)}</h2><p>{html.escape(note)}</p>")
        page.append(f"<div>{_table(texts[name])}</div>")
    for name, (title, records, draw) in FIGURES.items():
        frame = read(options.results, records)
        if not len(frame):
            continue
        says = draw(frame, options.out / "figures")
        data = base64.b64encode((options.out / "figures" / f"{name}.png").read_bytes()).decode()
        picture = f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'
        page.append(f"<h2>{html.escape(title)}</h2>{picture}<p>{html.escape(says)}</p>")
    (options.out / "report.html").write_text("\n".join(page) + "\n")
    for path in options.readme:
        write_tables(path, texts)
    print(f"wrote {len(made)} tables and {options.out / 'report.html'}")


if __name__ == "__main__":
    main()
