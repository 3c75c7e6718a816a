"""One run of one method in one loop, and the record of many.

A run trains the host for a number of steps, or for seconds of processor time (the inner steps of a
method included), and asks the loop's judges. The setting of a method (see
:func:`benchmarks.loops.methods.settings`) is the best of three by the mean score on seeds that are
not reported, at equal steps; the table of equal seconds uses the same settings.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.loops.methods import Method, is_ours, make_method, settings
from benchmarks.loops.registry import LOOPS, Host, Judgement, Loop
from benchmarks.records import Records, exact_name

__all__ = ["CHOICE", "COLUMNS", "KEYS", "Runs", "train"]

COLUMNS = (
    "loop", "method", "budget", "setting", "seed", "model", "task", "held", "score", "own",
    "steps", "seconds", "detail",
)  # fmt: skip
KEYS = 6
CHOICE = (100, 101)
"""Seeds on which settings are chosen, in this order; they are not reported."""
_RAMP = 0.1  # share of the training in which the weight of the term grows
_LAST = 20  # steps at the end whose values are a method's own opinion


@dataclass(frozen=True)
class Trained:
    """A host after its training: the method's own value (nats, or NaN), steps and seconds."""

    host: Host
    own: float
    steps: int
    seconds: float


def _weights(loop: Loop, method: str, setting: float) -> tuple[float, float]:
    """The weight of the term and the learning rate that a setting means."""
    if loop.direction != "join":
        return setting, loop.rate
    own = settings(method, "join", 1.0) != settings("plain", "join", 1.0)
    return 1.0, loop.rate if own else setting


def train(
    loop: Loop, method: str, setting: float, seed: int, model: str,
    *, steps: int | None = None, seconds: float | None = None,
) -> Trained:  # fmt: skip
    """Train for ``steps``, or for ``seconds`` of processor time."""
    torch.manual_seed(seed)
    host = loop.host()
    term = make_method(method, host, loop.direction, setting, model)
    lam, rate = _weights(loop, method, setting)
    if method == "none" and loop.direction == "join":
        return Trained(host, math.nan, 0, 0.0)
    optimizer = torch.optim.Adam([*host.parameters(), *term.host], rate)
    limit = steps if steps is not None else 10**9
    start, taken, values = time.process_time(), 0, []
    while taken < limit:
        used = time.process_time() - start
        share = taken / limit if seconds is None else used / seconds
        if share >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
        values.append(_step(host, term, lam * min(1.0, share / _RAMP), optimizer))
        taken += 1
    sign = -1.0 if loop.direction == "join" else 1.0
    own = sign * float(np.mean(values[-_LAST:])) if term.nats and values else math.nan
    return Trained(host, own, taken, time.process_time() - start)


def _step(host: Host, term: Method, lam: float, optimizer: torch.optim.Optimizer) -> float:
    for _ in range(term.inner):
        with torch.no_grad():
            batch = host.batch()
        term.learn(batch)
    batch = host.batch()
    value = term.value(batch)
    loss = batch.task + lam * value
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(value.detach())


class Runs:
    """Runs with their record; those that it holds are not made again.

    Args:
        path: the CSV file.
        model: weights behind the methods of this library.
        choice: how many of :data:`CHOICE` are used.
        steps: in place of those of the loops (for quick trials).
    """

    def __init__(
        self, path: Path, model: str, *, choice: int = 1, steps: int | None = None
    ) -> None:  # fmt: skip
        self.records = Records(path, COLUMNS, KEYS)
        self.model, self.choice, self.steps = model, CHOICE[:choice], steps

    def forget(self, loop: str, method: str) -> None:
        """Drop the records of a method in a loop, so that it runs anew."""
        kept = [r for r in self.records.rows if (r["loop"], r["method"]) != (loop, method)]
        self.records.rows[:] = kept

    def score(self, loop: Loop, method: str, setting: float, seed: int, seconds: float) -> float:
        """The score of one run; ``seconds`` 0 for the loop's steps."""
        name = exact_name(self.model) if is_ours(method) else "-"
        budget = f"{seconds:g} s" if seconds else "steps"
        key = (loop.name, method, budget, setting, seed, name)
        if not self.records.has(*key):
            limit = None if seconds else (self.steps or loop.steps)
            made = train(
                loop, method, setting, seed, self.model, steps=limit, seconds=seconds or None
            )
            judged = self._judged(made)
            self.records.add(
                *key, judged.task, judged.held, loop.score(judged), made.own, made.steps,
                made.seconds, judged.detail,
            )  # fmt: skip
        return float(self.records.row(*key)["score"])

    def _judged(self, made: Trained) -> Judgement:
        """The verdict; a host that diverged has none."""
        finite = all(bool(torch.isfinite(p).all()) for p in made.host.parameters())
        if not finite:
            return Judgement(math.nan, math.nan, "diverged")
        return made.host.eval().judge()

    def chosen(self, loop: Loop, method: str) -> float:
        """The setting with the best mean score on the seeds of the choice."""
        grid = settings(method, loop.direction, loop.beta)
        if len(grid) == 1:
            return grid[0]
        means = [
            np.mean([self.score(loop, method, value, seed, 0) for seed in self.choice])
            for value in grid
        ]
        if not np.isfinite(means).any():
            return grid[0]
        return grid[int(np.nanargmax(means))]

    def run(self, name: str, method: str, seeds: int, seconds: float) -> None:
        """A method in a loop on all seeds, at equal steps (``seconds`` 0) or at equal seconds."""
        loop = LOOPS[name]
        setting = self.chosen(loop, method)
        for seed in range(seeds):
            self.score(loop, method, setting, seed, seconds)
