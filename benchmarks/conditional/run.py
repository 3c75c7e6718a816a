"""Runs of the laws: one record for each law, size, seed and method, appended so that a run goes on.

Evaluation only. Methods: ``torchmist`` (``estimate_conditional``), ``term`` (``conditional_mi``, as
in a loop), ``neighbours`` (the rival, which has no weights), and the other ways of
:data:`benchmarks.conditional.decompositions.DECOMPOSITIONS`.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import torch

import torchmist
from benchmarks.conditional.decompositions import DECOMPOSITIONS, Answer, answer
from benchmarks.conditional.registry import Law, Sample, columns_of
from benchmarks.conditional.rival import conditional_neighbours
from benchmarks.kinds.run import Appended
from torchmist.models.network import QuantileNetwork

__all__ = ["COLUMNS", "DIRECT", "RIVAL", "TERM", "Weights", "run_cell"]

COLUMNS = (
    "case", "n", "seed", "method", "weights", "truth", "estimate", "low", "high", "warnings",
    "seconds",
)  # fmt: skip
"""The mean and the ends of the 90 % interval in nats (nan without one); seconds of the processor.

``weights``: the exact name, empty for what has none.
"""

DIRECT, TERM, RIVAL = "torchmist", "term", "neighbours"


class Weights(NamedTuple):
    """A network and the exact name of its weights."""

    network: QuantileNetwork
    name: str


def _direct(s: Sample, model: QuantileNetwork) -> Answer:
    return answer(torchmist.estimate_conditional(s.x, s.y, s.given, model=model))


def _term(s: Sample, model: QuantileNetwork) -> Answer:
    given = [torch.from_numpy(np.ascontiguousarray(column)) for column in columns_of(s.given)]
    sides = [torch.from_numpy(np.ascontiguousarray(side)) for side in (s.x, s.y)]
    tensors = [v.float() if v.is_floating_point() else v.long() for v in (*sides, *given)]
    with torch.no_grad():
        value = torchmist.conditional_mi(tensors[0], tensors[1], tensors[2:], model=model)
    return Answer(float(value), math.nan, math.nan, 0)


def _rival(s: Sample, _: QuantileNetwork) -> Answer:
    return Answer(conditional_neighbours(s.x, s.y, s.given), math.nan, math.nan, 0)


def run_cell(
    law: Law, n: int, seeds: Iterable[int], model: Weights, term: Weights, records: Appended,
    route_seeds: int = 1,
) -> None:  # fmt: skip
    """Add what is not recorded yet of one law and size.

    Args:
        law: what to draw.
        n: rows.
        seeds: of the draws.
        model: of the direct estimate and the other ways.
        term: of the term of a loop.
        records: where to.
        route_seeds: the other ways are tried on the seeds below it.
    """
    Method = tuple[str, Callable[[Sample, QuantileNetwork], Answer | None], Weights]
    methods: list[Method] = [
        (DIRECT, _direct, model), (TERM, _term, term), (RIVAL, _rival, Weights(model.network, "")),
    ]  # fmt: skip
    others: list[Method] = [(name, route, model) for name, route in DECOMPOSITIONS.items()]
    for seed in seeds:
        sample = law.draw(n, seed)
        for name, method, (network, weights) in methods + (others if seed < route_seeds else []):
            if records.has(law.name, n, seed, name, weights):
                continue
            begin = time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = method(sample, network)
            if found is not None:
                seconds = time.process_time() - begin
                records.add(law.name, n, seed, name, weights, sample.truth, *found, seconds)
