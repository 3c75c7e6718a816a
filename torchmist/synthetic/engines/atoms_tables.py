r"""Joint tables of counts, classes and digits, whose mutual information is a sum.

.. math:: I = \sum_{ij} t_{ij} \log \frac{t_{ij}}{t_{i \cdot}\, t_{\cdot j}}

Legend: ``F`` tables, ``A`` rows (values of X), ``C`` columns (values of Y).
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.synthetic.engines.functions_columns import uniform

__all__ = ["TABLES", "digits_table", "draw_table", "sample_table", "table_information"]

# name -> share
TABLES = {"common counts": 1.5, "rates": 2.0, "binomial": 1.0, "free": 1.5, "ordered": 1.0}


def table_information(table: Tensor) -> Tensor:
    """I(X;Y) in nats of tables ``[F, A, C]`` that sum to 1, ``[F]`` float64."""
    table = table.double()
    table = table / table.sum((1, 2), keepdim=True)
    entropy = torch.special.entr
    rows, columns = entropy(table.sum(2)).sum(-1), entropy(table.sum(1)).sum(-1)
    mi: Tensor = rows + columns - entropy(table).sum((1, 2))
    return mi


def sample_table(table: Tensor, n: int, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw ``n`` pairs of a row and a column of each table, both ``[F, n]`` int64."""
    u = uniform(len(table), n, generator=generator)
    steps = table.double().flatten(1).cumsum(-1)
    steps = (steps / steps[:, -1:])[:, :-1].contiguous()
    entry = torch.searchsorted(steps, u.double(), right=True)
    row = entry // table.shape[2]
    return row, entry - table.shape[2] * row


def draw_table(
    name: str, tables: int, rows: int, columns: int, *, generator: torch.Generator
) -> Tensor:
    """Draw tables ``[F, A, C]`` of one kind that sum to 1.

    ``common counts``: Poisson counts with a common part. ``rates``: Poisson counts whose log rate
    is linear in the row's score. ``binomial``: counts whose chance depends on the row. ``free``:
    log-normal entries. ``ordered``: confusions between neighbouring levels. Counts above the last
    value are shown as the last value.
    """
    device = generator.device

    def rand(*shape: int) -> Tensor:
        return uniform(tables, *shape, generator=generator)

    if name == "common counts":
        most = max(rows, columns) + 1
        common, own, other = (_poisson(0.1 * 60 ** rand(1), most) for _ in range(3))
        table = _shifted(own, rows).mT @ (common[..., None] * _shifted(other, columns))
        return table / table.sum((1, 2), keepdim=True)
    used = 2 + ((rows - 1) * rand(1, 1).sqrt()).floor()  # levels of X in use
    index = torch.arange(rows, device=device)[:, None]
    score = torch.special.ndtri(((index + 0.5) / used).clamp(max=1 - 1e-4))
    mass = (index < used).float()
    if name == "free":
        classes = 2 + ((columns - 1) * rand(1, 1).sqrt()).floor()
        noise = torch.randn(tables, rows, columns, generator=generator, device=device)
        value = (0.3 * 16 ** rand(1, 1) * noise).exp() * mass
        value = value * (torch.arange(columns, device=device) < classes)
        return value / value.sum((1, 2), keepdim=True)
    steep = 0.2 * 15 ** rand(1, 1) * (rand(1, 1) - 0.5).sign()
    if name == "ordered":
        place = (torch.arange(columns, device=device) + 0.5) / columns - (index + 0.5) / used
        law = (-(place * (1 + 40 * rand(1, 1) ** 2)).abs()).exp()
    elif name == "rates":
        rate = (0.3 * 20 ** rand(1, 1) * (steep * score).exp()).clamp(max=4.0 * columns)
        law = _poisson(rate[..., 0], columns)
    else:
        chance = torch.sigmoid(steep * score + 2 * rand(1, 1) - 1)
        count = torch.arange(columns, device=device)
        trials = 1 + ((columns - 1) * rand(1, 1)).floor()
        log_law = (
            torch.lgamma(trials + 1)
            - torch.lgamma(count + 1.0)
            - torch.lgamma((trials - count).clamp(min=0) + 1)
            + count * chance.log()
            + (trials - count) * torch.log1p(-chance)
        )
        law = log_law.masked_fill(count > trials, -torch.inf).exp()
    table = mass * law / law.sum(-1, keepdim=True).clamp(min=1e-30)  # unused rows may be 0
    return table / table.sum((1, 2), keepdim=True)


def _poisson(rate: Tensor, values: int) -> Tensor:
    """Poisson laws ``[..., values]`` of rates ``[...]``, the last value standing for the rest."""
    if rate.shape[-1] == 1:
        rate = rate[..., 0]
    count = torch.arange(values, device=rate.device)
    law = (count * rate[..., None].log() - rate[..., None] - torch.lgamma(count + 1.0)).exp()
    rest = (1 - law[..., :-1].sum(-1, keepdim=True)).clamp(min=0)
    return torch.cat((law[..., :-1], rest), -1)


def _shifted(law: Tensor, values: int) -> Tensor:
    """Laws ``[F, most, values]`` of c plus a draw of ``law`` ``[F, most]``, for every shift c."""
    most = law.shape[-1]
    source = (
        torch.arange(values - 1, device=law.device) - torch.arange(most, device=law.device)[:, None]
    )
    below = law[:, source.clamp(min=0)] * (source >= 0)
    return torch.cat((below, (1 - below.sum(-1, keepdim=True)).clamp(min=0)), -1)


def digits_table(
    tables: int, base: int, digits: int, classes: int, *, generator: torch.Generator
) -> Tensor:
    """Tables ``[F, base ** digits, classes]`` of labels that depend on all digits together.

    The label is a weighted sum of the digits modulo ``base`` (two thirds; parity for base 2) or a
    random class for every combination, and is replaced by a random class with some probability.
    Digits are equally likely in half of the tables, otherwise skewed alike.
    """
    device = generator.device
    rows = base**digits
    place = base ** torch.arange(digits, device=device)
    digit = torch.arange(rows, device=device)[:, None] // place % base  # [A, digits]
    factor = (
        torch.randint(1, base, (tables, 1, digits), generator=generator, device=device)
        if base > 2
        else torch.ones(tables, 1, digits, dtype=torch.int64, device=device)
    )
    total = (digit * factor).sum(-1) % min(base, classes)
    free = torch.randint(classes, (tables, rows), generator=generator, device=device)
    label = torch.where(uniform(tables, 1, generator=generator) < 2 / 3, total, free)
    hot = torch.nn.functional.one_hot(label, classes).float()
    flip = 0.002 * 400 ** uniform(tables, 1, 1, generator=generator)  # to 0.8
    skew = (uniform(tables, 1, generator=generator) - 0.5).clamp(min=0)
    mass = (-(skew * 2) * digit.sum(-1)).exp()
    mass = mass / mass.sum(-1, keepdim=True)
    return mass[..., None] * ((1 - flip) * hot + flip / classes)
