"""Every benchmark by its name: the commands that make its records, and what these are.

A benchmark is a module of this folder with a ``main``, and one entry here. Commands run in the
order of the entries. What resumes leaves out by itself what its records hold; of the others, those
whose records are there are not run again unless that is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.estimators import REFERENCE, SAME_DATA, record_name

__all__ = ["Benchmark", "Command", "benchmarks_of"]

_CLASSICAL = ("KSG", "CCA")
_NEURAL = ("MINE", "InfoNCE", "NWJ")
_RESULTS = "benchmarks/results"


@dataclass(frozen=True)
class Command:
    """One call of a module's ``main`` with ``words``.

    ``timed``: whether it takes ``--minutes`` and stops, resumable, when they are over.
    """

    module: str
    words: tuple[str, ...] = ()
    timed: bool = False

    def run(self, minutes: float) -> None:
        """Run it, for ``minutes`` at most if it can stop."""
        main: Callable[[list[str] | None], None]
        main = importlib.import_module(f"benchmarks.{self.module}").main
        main([*self.words, *(["--minutes", f"{minutes:.3f}"] if self.timed else [])])

    def __str__(self) -> str:
        module = f"benchmarks.{self.module}".removesuffix(".__main__")
        return " ".join(["python -m", module, *self.words])


@dataclass(frozen=True)
class Benchmark:
    """What one benchmark asks, the commands that answer, and their records under the repository.

    ``resumes``: whether its commands leave out what the records hold already.
    """

    name: str
    question: str
    commands: tuple[Command, ...]
    records: tuple[str, ...]
    resumes: bool = True

    def recorded(self, root: Path) -> bool:
        """Whether all its records are there."""
        return all((root / record).exists() for record in self.records)


def _suites(models: tuple[str, ...], threads: int) -> list[Benchmark]:
    """The frozen suites of :mod:`benchmarks.run`."""
    named = (*models, *(["reference"] if REFERENCE.is_file() else []), *_CLASSICAL)
    same_data = [str(SAME_DATA)] if SAME_DATA.is_file() else []

    def suite(name: str, estimators: tuple[str, ...] | list[str], *options: str) -> Command:
        words = ("--suite", name, "--threads", str(threads), *options, "--estimators", *estimators)
        return Command("run", words, timed=True)

    def record(name: str) -> tuple[str, ...]:
        return (f"{_RESULTS}/{name}.csv",)

    resampled = [f"{name}-bootstrap" for name in (*_CLASSICAL, models[-1])]
    sizes = ("--sizes", "64", "256", "1000", "4000")
    few = ("--sizes", "64", "1000", "4000", "--seeds", "0")
    reference = [suite("speed", ["reference"], *sizes)] if "reference" in named else []
    return [
        Benchmark(
            "m_test", "the paper's test families", (
                suite("m_test", [*named, *same_data]),
                suite("m_test", resampled, "--every", "17"),
                suite("m_test", _NEURAL, "--every", "117"),
            ), record("m_test"),
        ),
        Benchmark("m_test_extended", "more samples and columns", (suite("m_test_extended", named),),
                  record("m_test_extended")),
        Benchmark(
            "bmi40", "the 40 tasks of BMI", (
                suite("bmi40", models),
                suite("bmi40", _CLASSICAL, "--sizes", "64", "128", "256", "512", "1000", "5000"),
                suite("bmi40", _NEURAL, "--sizes", "256", "--seeds", "0"),
                suite("bmi40", _CLASSICAL, "--sizes", "10000"),
            ), record("bmi40"),
        ),
        Benchmark("symmetry", "changes of the data that change no truth",
                  (suite("symmetry", named),), record("symmetry")),
        Benchmark(
            "speed", "time of estimators by the number of samples",
            (suite("speed", [*models, "KSG"]), *reference, suite("speed", ["MINE"], *few)),
            record("speed"),
        ),
        Benchmark("digits", "self-consistency on real images",
                  (Command("digits", ("--estimators", *named)),), record("digits")),
        Benchmark("dimensions", "whether training on mixed dimensions helps",
                  (Command("dimensions", ("--threads", str(threads))),), record("dimensions")),
    ]  # fmt: skip


def _single(
    name: str, question: str, *words: str, records: tuple[str, ...] = (), resumes: bool = True
) -> Benchmark:
    """A benchmark that is one command of the module of its name, and one record of that name."""
    where = records or (f"{_RESULTS}/{name}.csv",)
    return Benchmark(name, question, (Command(name, words),), where, resumes)


def benchmarks_of(models: tuple[str, ...], threads: int) -> dict[str, Benchmark]:
    """Every benchmark by its name, in the order of importance.

    Args:
        models: names or files of the weights; the last one stands for the paper's.
        threads: of those that run on several.
    """
    unique = tuple({record_name(name): name for name in models}.values())
    paper = record_name(unique[-1])
    json_of = f"{_RESULTS}/{paper}.json"
    found = [
        *_suites(unique, threads),
        Benchmark(
            "evaluate", "the table of the paper's test families",
            (Command("evaluate", ("--model", unique[-1], "--out", json_of)),),
            (json_of, f"{_RESULTS}/{paper}.csv"), resumes=False,
        ),
        Benchmark(
            "kinds", "kinds of data that people bring",
            (Command("kinds.__main__", ("--model", unique[0])),),
            (f"{_RESULTS}/kinds-{record_name(unique[0])}.csv",),
        ),
        Benchmark(
            "conditional", "conditional estimates beside their truths",
            (Command("conditional.__main__", ("--model", unique[0])),),
            (f"{_RESULTS}/conditional.csv",),
        ),
        _single("discrete", "labels from counts"),
        _single("columns", "columns as people bring them", "--model", unique[0]),
        _single("general", "what general weights must show", "--model", "mist-v1", resumes=False,
                records=(f"{_RESULTS}/general.json", f"{_RESULTS}/general.csv")),
        _single("high_dim", "more columns and samples than in training", resumes=False),
        _single("published", "settings that other papers report"),
        _single("ablation", "what the parts of an arbiter's evidence and prior are worth"),
        _single("pursuits", "whether an encoder can hide from a model or fool it"),
        Benchmark("loops", "training loops with a term",
                  (Command("loops.__main__"),), (f"{_RESULTS}/loops.csv",)),
        _single("feature_scores", "scores of features beside those of scikit-learn", resumes=False),
        _single("independence", "tests of independence: level, power, graphs"),
        _single("conflict", "tasks that need what the term removes"),
        _single("head_to_head", "terms against each other at equal wall-clock"),
        _single("gradient_quality", "the gradient beside the analytic one"),
        _single("step_cost", "time and memory that a term adds to a step"),
        _single("modality", "adapted weights on real modalities"),
        _single("variants", "smaller and larger networks", "--minutes", "60",
                "--out", f"{_RESULTS}/variants.csv"),
        _single("synthetic_throughput", "datasets a second", resumes=False,
                records=(f"{_RESULTS}/synthetic_throughput.json",)),
        Benchmark("ksg_speed", "time of one estimate beside the nearest neighbours'",
                  (Command("speed", ("--out", f"{_RESULTS}/speed.json")),),
                  (f"{_RESULTS}/speed.json",), resumes=False),
        _single("tricks", "what each speed trick gains", resumes=False),
        _single("pairwise_table", "all pairs of the columns of a real table",
                records=("benchmarks/figures/pairwise.png",), resumes=False),
        Benchmark("gallery", "pictures of the meta-distribution", (Command("gallery"),),
                  ("docs/figures/general.png",), resumes=False),
    ]  # fmt: skip
    return {benchmark.name: benchmark for benchmark in found}
