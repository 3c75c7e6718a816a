"""How far the posterior of a table is from tables of known information, and how wide to make it.

``python -m training.table_widths --tables 2750 --seed 1001`` draws tables of nine laws
(``training.table_laws``) and five ranges of rows in turn, and prints how often 90 % intervals hold
the truth, by law and rows: of the posterior as it is, stretched about its median, and drawn in
where its prior fits (``torchmist.discrete.table_stretch``). It writes the draws to
``training/table_widths.csv`` when given ``--write``. The factors of the stretch are the best of a
grid on earlier draws of six of the laws. How far intervals are drawn in is the best of
a grid on such draws (``--choose``): tables of the Dirichlet law, every third table, are to be
covered by 90 % in each range of rows, at little loss of any other law and range that has less than
that. The misfit and the concentration per cell at which half of this counts were set by hand, so
that tables of confusions of a few hundred rows lose little on draws of other seeds.

Legend: ``T`` tables, ``Q`` quantiles.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import trange

from torchmist.discrete.contingency import count_pairs
from torchmist.discrete.table_posterior import table_posterior
from torchmist.discrete.table_stretch import (
    Stretch,
    drawn_in,
    power_of,
    prior_misfit,
    stretch_of,
    stretched,
)
from torchmist.inference.quantiles import reduce_quantiles
from torchmist.quantile_head import quantile_levels
from torchmist.synthetic.random_tables import table_mi
from training.table_laws import draw_table

__all__ = ["GRID", "ROWS", "TURNS", "Draws", "choose", "draw_tables", "main"]

RESULT = Path(__file__).parent / "table_widths.csv"
TURNS = (
    "normal", "dirichlet", "copies", "topics", "dirichlet", "random", "functions", "confusion",
    "dirichlet", "blocks", "profiles",
)  # fmt: skip
ROWS = (30, 150, 500, 1500, 5000, 10_000)
_LEVELS = quantile_levels(dtype=torch.float64)
_MEDIAN = torch.tensor([0.5], dtype=torch.float64)
_GOAL = 0.9
GRID = {"narrow": (0.0, 0.05, 0.1, 0.15, 0.2), "sparse": (0.4, 0.5, 0.6, 0.7)}
_LOSS = 0.02  # of coverage that a law may lose in a range of rows


@dataclasses.dataclass(frozen=True, eq=False)
class Draws:
    """What is known of ``T`` tables: ``tables``, one row each, and ``quantiles`` ``[T, Q + 1]``.

    These are of the posterior as it is, at levels equally far from each other, and the median.
    """

    tables: pd.DataFrame
    quantiles: Tensor

    def stretched(self) -> Tensor:
        """Quantiles ``[T, Q]``, stretched about the median."""
        factors = torch.from_numpy(np.array([stretch_of(s) for s in self.tables.alone]))[..., None]
        most = torch.from_numpy(self.tables.most.to_numpy())[:, None]
        wide = stretched(
            self.quantiles[:, :-1], self.quantiles[:, -1:], factors[:, 0], factors[:, 1]
        )
        return wide.clamp(min=0).minimum(most)

    def drawn_in(self, stretch: Stretch) -> Tensor:
        """The same, drawn in."""
        known = self.tables[["alone", "misfit", "concentration"]].to_numpy().tolist()
        powers = (power_of(s, d, a, stretch) for s, d, a in known)
        return torch.stack([drawn_in(q, q, power) for q, power in zip(self.stretched(), powers)])

    def held(self, quantiles: Tensor) -> pd.Series:
        """Whether intervals of 90 % hold the truth."""
        low, high = (reduce_quantiles(quantiles, _LEVELS, level).numpy() for level in (0.05, 0.95))
        return self.tables.truth.between(low - 1e-9, high + 1e-9)

    def coverage(self, quantiles: Tensor) -> pd.DataFrame:
        """Shares of truths that intervals of 90 % hold, by law and by range of rows."""
        ranges = pd.cut(self.tables.n, ROWS, include_lowest=True)
        return pd.crosstab(self.tables.law, ranges, self.held(quantiles), aggfunc="mean")


def draw_tables(count: int, seed: int) -> Draws:
    """``count`` tables; of one class on a side there is nothing to ask, and none is kept."""
    rng, rows, quantiles = np.random.default_rng(seed), [], []
    for k in trange(count):
        law, table = draw_table(rng, TURNS[k % len(TURNS)])
        place = k // len(TURNS) % (len(ROWS) - 1)
        n = int(math.exp(rng.uniform(math.log(ROWS[place]), math.log(ROWS[place + 1]))))
        cells = rng.choice(table.size, size=n, p=table.ravel())
        counts = count_pairs(*np.divmod(cells, table.shape[1]))
        if min(counts.classes) < 2:
            continue
        posterior = table_posterior(counts)
        truth = float(table_mi(torch.from_numpy(table)))
        misfit = prior_misfit(counts, posterior.alpha)
        each = posterior.per_cell(counts)
        rows.append((law, n, truth, counts.singletons / n, misfit, each, posterior.most))
        quantiles.append(posterior.quantiles(torch.cat([_LEVELS, _MEDIAN])))
    columns = ["law", "n", "truth", "alone", "misfit", "concentration", "most"]
    return Draws(pd.DataFrame(rows, columns=columns), torch.stack(quantiles))


def choose(draws: Draws) -> Stretch:
    """The constants of the grid that are best on the draws."""
    before = draws.coverage(draws.stretched())

    def loss(stretch: Stretch) -> float:
        after = draws.coverage(draws.drawn_in(stretch))
        lost = (before.clip(upper=_GOAL) - _LOSS - after).drop("dirichlet").clip(lower=0)
        known = after.loc["dirichlet"] - _GOAL
        return float((known**2).mean() + (lost**2).mean().mean())

    grid = (dict(zip(GRID, values)) for values in itertools.product(*GRID.values()))
    return min((dataclasses.replace(Stretch(), **values) for values in grid), key=loss)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", type=int, default=2750)
    parser.add_argument("--seed", type=int, default=1001)
    parser.add_argument("--choose", action="store_true", help="the best constants of a grid")
    parser.add_argument("--write", action="store_true", help=f"the draws, to {RESULT.name}")
    options = parser.parse_args(arguments)
    draws = draw_tables(options.tables, options.seed)
    kinds = {
        "as it is": draws.quantiles[:, :-1], "stretched": draws.stretched(),
        "drawn in": draws.drawn_in(Stretch()),
    }  # fmt: skip
    if options.choose:
        best = choose(draws)
        kinds[f"best, {best}"] = draws.drawn_in(best)
    for name, quantiles in kinds.items():
        print(name, draws.coverage(quantiles).round(3).to_string(), sep="\n")
    if options.write:
        held = {name.replace(" ", "_"): draws.held(q) for name, q in list(kinds.items())[:3]}
        record = draws.tables.assign(**{name: value.astype(int) for name, value in held.items()})
        record.to_csv(RESULT, index=False, float_format="%.5g", lineterminator="\n")


if __name__ == "__main__":
    main()
