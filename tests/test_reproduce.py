"""One command runs every benchmark: each is registered, named and really called."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import pytest

from benchmarks import reproduce
from benchmarks.registry import Benchmark, Command, benchmarks_of

ROOT = Path(reproduce.__file__).parent
ALL = benchmarks_of(("mist", "mist-paper-v1"), 1)
# they make pages of the records of others, or outputs that tests are held against
OTHERS = {"report", "term_report", "reproduce", "reference_outputs"}


class StopError(Exception):
    """The command line was read."""


def test_every_module_with_a_command_line_is_a_benchmark() -> None:
    commands = {c.module.removesuffix(".__main__") for b in ALL.values() for c in b.commands}
    files = [*ROOT.glob("*.py"), *ROOT.glob("*/__main__.py")]
    found = {
        (file.parent.name if file.name == "__main__.py" else file.stem)
        for file in files if "def main(" in file.read_text()
    }  # fmt: skip
    assert found - OTHERS == commands


def test_every_recorded_table_belongs_to_a_benchmark() -> None:
    named = {Path(record).name for b in ALL.values() for record in b.records}
    kept = {file.name for file in (ROOT / "results").glob("*.csv")}
    models = {name for name in kept if name.startswith(("kinds-", "mist-"))}  # one for each model
    assert kept - models <= named


@pytest.mark.parametrize("name", ALL)
def test_the_words_of_every_command_are_read(name, monkeypatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def read(self, *arguments):
        parse(self, *arguments)
        raise StopError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", read)
    for command in ALL[name].commands:
        with pytest.raises(StopError):
            command.run(1.0)


@pytest.fixture
def called(monkeypatch) -> list[tuple[str, list[str]]]:
    """The mains of all benchmarks, which only say how they were called."""
    made: list[tuple[str, list[str]]] = []
    for name in {c.module for b in ALL.values() for c in b.commands} | {"report"}:
        module = importlib.import_module(f"benchmarks.{name}")
        monkeypatch.setattr(
            module, "main", lambda words, name=name: made.append((name, list(words)))
        )
    return made


def test_all_of_them_run_and_a_model_is_named_once(called, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    reproduce.main(["--models", "mist-paper-v1", "mist-paper-v1"])
    assert [name for name, _ in called] == [
        *(c.module for b in benchmarks_of(("mist-paper-v1",), 2).values() for c in b.commands),
        "report",
    ]
    assert all(words.count("mist-paper-v1") <= 1 for _, words in called)


def test_only_the_named_ones_run(called) -> None:
    reproduce.main(["--only", "pursuits", "--minutes", "5"])
    assert called == [("pursuits", []), ("report", ["--readme"])]


def test_suites_stop_when_the_time_is_over(called) -> None:
    reproduce.main(["--only", "m_test", "--minutes", "5"])
    (_, words), *_ = called
    assert 4.9 < float(words[words.index("--minutes") + 1]) <= 5
    called.clear()
    reproduce.main(["--only", "m_test", "--minutes", "0"])
    assert called == [("report", ["--readme"])]


def test_what_is_recorded_and_does_not_resume_runs_only_again(called, monkeypatch, tmp_path):
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    record = tmp_path / "benchmarks/results/high_dim.csv"
    record.parent.mkdir(parents=True)
    record.touch()
    reproduce.main(["--only", "high_dim"])
    assert [name for name, _ in called] == ["report"]
    reproduce.main(["--only", "high_dim", "--again"])
    assert [name for name, _ in called] == ["report", "high_dim", "report"]


def test_the_list_names_records_and_commands(called, capsys) -> None:
    reproduce.main(["--list", "--only", "loops", "kinds"])
    text = capsys.readouterr().out
    assert not called
    assert "loops: training loops with a term" in text and "python -m benchmarks.loops\n" in text
    assert "python -m benchmarks.kinds --model mist" in text


def test_an_unknown_name_is_an_error_that_lists_the_known(capsys) -> None:
    with pytest.raises(SystemExit):
        reproduce.main(["--only", "loop"])
    assert "expected names among m_test" in capsys.readouterr().err


def test_a_benchmark_is_recorded_when_all_its_files_are_there(tmp_path) -> None:
    benchmark = Benchmark("b", "?", (Command("run"),), ("a.csv", "b.csv"))
    (tmp_path / "a.csv").touch()
    assert not benchmark.recorded(tmp_path)
    (tmp_path / "b.csv").touch()
    assert benchmark.recorded(tmp_path)
