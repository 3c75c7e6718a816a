"""All tables and figures from the records: ``python -m benchmarks.report``.

Writes Markdown tables to ``benchmarks/tables/``, figures to ``benchmarks/figures/`` and one page
that opens offline, ``benchmarks/report.html``.
"""

from __future__ import annotations

import argparse
import base64
import html
from pathlib import Path

from benchmarks.figures import FIGURES
from benchmarks.run import RESULTS
from benchmarks.tables import bmi40, m_test, markdown, read

__all__ = ["main"]

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>torchmist benchmarks</title>
<style>body{font:15px/1.5 sans-serif;max-width:62em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:1em 0;font-size:13px}td,th{border:1px solid #ccc;
padding:.25em .6em;text-align:right}td:first-child{text-align:left}img{max-width:100%}</style>
<h1>torchmist benchmarks</h1>
<p>Made by <code>python -m benchmarks.report</code> from the records in
<code>benchmarks/results/</code>. Rows marked (published) are numbers printed in papers, on their
own draws. All mutual information is in nats.</p>
"""


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


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=RESULTS.parent)
    options = parser.parse_args(arguments)
    tables: dict[str, tuple[str, str]] = {}
    frame = read(options.results, "bmi40")
    if len(frame):
        whole, tasks = bmi40(frame)
        note = "Mean absolute error over the 40 tasks of BMI (Czyz et al. 2023), nats."
        tables["bmi40"] = (note, markdown(whole))
        tasks.columns = [f"{e}, n = {n}" for e, n in tasks.columns]
        kept = [c for c in tasks.columns if c.endswith(("n = 256", "n = 1000", "n = 5000"))]
        tables["bmi40_tasks"] = ("The same by task.", markdown(tasks[kept], 2))
    for suite, note in (
        ("m_test", "Mean squared error on M_test, nats²; for KSG and CCA with their bootstrap."),
    ):
        frame = read(options.results, suite)
        if len(frame):
            tables[suite] = (note, markdown(m_test(frame), 2))
    for suite in ("m_test_extended", "symmetry"):
        frame = read(options.results, suite)
        if len(frame):
            good = frame[frame["success"] == 1]
            group = good["task"].str.split("/").str[-1]
            wide = good["error"].abs().groupby([group, good["estimator"]]).median().unstack()
            tables[suite] = (f"Median absolute error on {suite}, nats.", markdown(wide))
    folder = options.out / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    page = [_HEAD]
    for name, (note, text) in tables.items():
        (folder / f"{name}.md").write_text(f"{note}\n\n{text}")
        page.append(f"<h2>{html.escape(name)}</h2><p>{html.escape(note)}</p>{_table(text)}")
    for name, (suite, draw) in FIGURES.items():
        frame = read(options.results, suite)
        if not len(frame):
            continue
        good = frame[frame["success"] == 1].copy()
        good["absolute"] = good["error"].abs()
        says = draw(good, options.out / "figures")
        data = base64.b64encode((options.out / "figures" / f"{name}.png").read_bytes()).decode()
        picture = f'<img alt="{name}" src="data:image/png;base64,{data}">'
        page.append(f"<h2>{html.escape(name)}</h2>{picture}<p>{html.escape(says)}</p>")
    (options.out / "report.html").write_text("\n".join(page) + "\n")
    print(f"wrote {len(tables)} tables and {options.out / 'report.html'}")


if __name__ == "__main__":
    main()
