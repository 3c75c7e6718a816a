"""What the command line refuses before it computes, and what it says to do instead."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import torchmist
from torchmist.cli import main
from torchmist.commands.notes import command_note


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    frame["kind"] = np.where(frame["a"] > 0, "high", "low")
    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "arguments, fix",
    [
        (["estimate", "--x", "kind", "--y", "c"], "pass --discrete kind"),
        (["pairwise", "--columns", "a,kind"], "pass --discrete kind"),
        (["audit", "--x", "a,kind"], "leave it out"),
        (["adapt", "--x", "a", "--y", "kind", "--out", "w.safetensors"], "with --labels"),
        (["adapt", "--x", "kind", "--y", "a", "--out", "w.safetensors"], "with --labels"),
    ],
)
def test_text_is_refused_with_what_the_command_has(data: Path, arguments, fix, capsys) -> None:
    assert main([arguments[0], str(data), *arguments[1:]]) == 2
    err = capsys.readouterr().err
    assert "expected numbers in column kind" in err and fix in err
    assert ("--discrete" in err) == (arguments[0] in ("estimate", "pairwise"))


@pytest.mark.parametrize(
    "cells, found",
    [
        ({6: "bad"}, r"got 'bad' in row 7 of the data; correct or drop.*pass --discrete b"),
        (
            {2: "?", 9: "-"},
            r"got '\?' in row 3 of the data and others in 1 more of 60 rows; correct",
        ),
        (
            dict.fromkeys(range(60), "2024-01-05"),
            r"got '2024-01-05' in row 1 .* turn dates into num",
        ),
        ({0: "2024-01-05T10:00"}, r"got .* in row 1 of the data; turn dates into numbers"),
        (
            dict.fromkeys(range(60), "red"),
            r"got 'red' in row 1 .* 59 more.*rows; if it holds class",
        ),
    ],
    ids=["one", "two", "dates", "a date", "labels"],
)
def test_the_cell_that_is_no_number_is_shown_with_its_row(data, cells, found, capsys) -> None:
    frame = pd.read_csv(data).astype({"b": object})
    for row, cell in cells.items():
        frame.loc[row, "b"] = cell
    frame.to_csv(data, index=False)
    assert main(["estimate", str(data), "--x", "b", "--y", "c"]) == 2
    assert re.search("expected numbers in column b, " + found, capsys.readouterr().err)


def test_text_of_numbers_alone_is_to_be_saved_as_numbers(tmp_path: Path, capsys) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, a=np.array(["1.5", "2"] * 9), c=np.arange(18.0))
    assert main(["estimate", str(path), "--x", "a", "--y", "c"]) == 2
    assert "got text such as '1.5'; save it as numbers" in capsys.readouterr().err


def test_notes_name_the_options_of_the_command(tmp_path: Path, capsys) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "data.csv"
    frame = pd.DataFrame(
        {"a": rng.normal(size=300), "code": rng.integers(5, size=300).astype(float)}
    )
    frame["id"] = np.arange(300)
    frame.to_csv(path, index=False)
    command = ["estimate", str(path), "--x", "a", "--model", "mist-fast", "--y"]
    assert main([*command, "code", "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["warnings"]
    assert "whose order means nothing, pass --discrete COLUMN" in note
    assert main([*command, "id"]) == 0
    assert "class labels, pass --discrete COLUMN" in capsys.readouterr().err
    assert main([*command, "id", "--labels"]) == 0
    err = capsys.readouterr().err
    assert "are these numbers? then leave the column out of --discrete" in err
    assert "discrete_" not in err


def test_every_note_about_labels_has_words_for_the_command_line() -> None:
    sources = [path.read_text() for path in Path(torchmist.__file__).parent.rglob("*.py")]
    told = {end for text in sources for end in re.findall(r"pass \{[\w.]*argument\}=(\w+)", text)}
    assert told == {"True", "False"}
    assert all("--discrete" in command_note(f"pass discrete_x={end}") for end in told)


COMMANDS = [["estimate", "--x", "a", "--y", "c"], ["audit", "--x", "a"], ["pairwise"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_a_picture_that_cannot_be_written_is_said_first(command, tmp_path: Path, capsys) -> None:
    (tmp_path / "made.png").mkdir()
    for name, message in (
        ("nowhere/p.png", "expected a folder for"),
        ("p.xyz", "expected --plot to end in one of ."),
        ("made.png", "expected a file to write, got the folder"),
    ):
        plot = ["--plot", str(tmp_path / name)]
        assert main([command[0], "missing.csv", *command[1:], *plot]) == 2
        assert message in capsys.readouterr().err


def test_a_folder_is_no_file(tmp_path: Path, capsys) -> None:
    assert main(["estimate", str(tmp_path), "--x", "a", "--y", "c"]) == 2
    assert "found a folder; name a file in it" in capsys.readouterr().err


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_separators_than_commas_are_named(tmp_path: Path, mark: str, capsys) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"a{mark}b\n" + f"1,5{mark}2,5\n" * 9)
    assert main(["estimate", str(path), "--x", "a", "--y", "b"]) == 2
    assert f"expected commas between the columns of data.csv, found {mark!r}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["pairwise", "--columns", "a,b,a"],
        ["estimate", "--x", "a, b,a", "--y", "c"],
        ["audit", "--x", "a,a"],
    ],
)
def test_a_column_that_is_named_twice_is_refused(data: Path, arguments, capsys) -> None:
    assert main([arguments[0], str(data), *arguments[1:]]) == 2
    assert "to name a column once, got ['a'] more than once" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_of_more_axes_are_not_flattened(tmp_path: Path, suffix: str, capsys) -> None:
    path, images = tmp_path / f"data{suffix}", np.random.default_rng(0).normal(size=(50, 2, 2))
    if suffix == ".npy":
        np.save(path, images)
    else:
        np.savez(path, images=images, a=images[:, 0, 0], b=images[:, 0, 1])
        assert main(["estimate", str(path), "--x", "a", "--y", "b"]) == 0
    names = ("0", "1") if suffix == ".npy" else ("images", "a")
    assert main(["estimate", str(path), "--x", names[0], "--y", names[1]]) == 2
    assert "a matrix [N, d], got shape [50, 2, 2]; reshape it" in capsys.readouterr().err


def test_categorical_columns_are_labels_as_in_python(tmp_path: Path, capsys) -> None:
    pytest.importorskip("pyarrow")
    rng, path = np.random.default_rng(0), tmp_path / "data.parquet"
    a = rng.normal(size=200)
    frame = pd.DataFrame({"a": a, "kind": pd.Categorical(np.where(a > 0, "v", "u"))})
    frame.to_parquet(path)
    exact = torchmist.estimate(frame[["kind"]], frame[["a"]]).mean
    for extra in ([], ["--discrete", "kind"]):
        command = ["estimate", str(path), "--x", "kind", "--y", "a", "--json", *extra]
        assert main(command) == 0
        assert json.loads(capsys.readouterr().out)["mean"] == pytest.approx(exact)
    assert main(["pairwise", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kinds"] == ["numbers", "labels"]
    assert main(["audit", str(path), "--x", "kind"]) == 2
    assert "leave it out" in capsys.readouterr().err
    assert main(["adapt", str(path), "--x", "kind", "--y", "a", "--out", "w.safetensors"]) == 2
    assert "expected numbers in column kind, got category" in capsys.readouterr().err


def test_missing_categories_are_refused(tmp_path: Path, capsys) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "data.parquet"
    kinds = pd.Categorical(["u", None, "v", "u"] * 10)
    pd.DataFrame({"a": np.arange(40.0), "kind": kinds}).to_parquet(path)
    for extra in ([], ["--labels"]):
        assert main(["estimate", str(path), "--x", "a", "--y", "kind", *extra]) == 2
        assert "10 missing ones in" in capsys.readouterr().err


def test_three_rows_are_no_mini_batch(data: Path, tmp_path: Path, capsys) -> None:
    few = tmp_path / "few.csv"
    pd.read_csv(data).iloc[:3].to_csv(few, index=False)
    for command in (["estimate", "--x", "a", "--y", "c"], ["audit", "--x", "a"]):
        assert main([command[0], str(few), *command[1:]]) == 2
        err = capsys.readouterr().err
        assert "expected at least 4 samples in few.csv, got 3 rows" in err and "batch" not in err


@pytest.mark.parametrize("helped", [True, False])
def test_weights_that_gained_nothing_are_said_to_be_those_of_the_base(
    data: Path, tmp_path: Path, helped: bool, monkeypatch, capsys
) -> None:
    class Report:
        def __init__(self) -> None:
            self.helped = helped

        def __str__(self) -> str:
            return "report"

    class Model:
        report = Report()

    monkeypatch.setattr("torchmist.adapt.adapt", lambda *_, **__: Model())
    monkeypatch.setattr("torchmist.weights.save_weights", lambda *_: None)
    out = str(tmp_path / "w.safetensors")
    assert main(["adapt", str(data), "--x", "a", "--y", "c", "--out", out]) == 0
    said = capsys.readouterr().out
    assert ("its weights are those of mist" in said) == (not helped)
    assert ("use it as --model" in said) == helped


def test_a_name_that_the_header_repeats_is_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a, a,c,,\n" + "1,2,3,4,5\n" * 8)
    assert main(["estimate", str(path), "--x", "a", "--y", "c"]) == 2
    words = "expected columns of different names in data.csv, found 'a' more than once; rename them"
    assert words in capsys.readouterr().err
    path.write_text("a,a.1,c\n" + "".join(f"{k},{k % 3},{k % 5}\n" for k in range(20)))
    assert main(["estimate", str(path), "--x", "a,a.1", "--y", "c"]) == 0


def test_integers_beside_marked_columns_are_numbers_with_a_note(tmp_path: Path, capsys) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "data.csv"
    frame = pd.DataFrame({
        "s": rng.integers(0, 3, 80), "t": rng.integers(0, 4, 80), "many": rng.integers(0, 99, 80),
        "x": rng.normal(size=80), "u": rng.integers(0, 3, 80),
    })  # fmt: skip
    frame.to_csv(path, index=False)
    command = ["estimate", str(path), "--x", "s,t,many,x", "--y", "u", "--model", "mist-fast"]
    words = "column t: integers of 4 distinct values are numbers, as --discrete names other columns"
    assert main([*command, "--discrete", "s"]) == 0
    err = capsys.readouterr().err
    assert words in err and err.count("as --discrete names") == 1
    for extra in (["--discrete", "s,t"], ["--discrete", "u"], []):
        assert main([*command, *extra]) == 0
        assert "as --discrete names" not in capsys.readouterr().err
    assert main(["pairwise", str(path), "--discrete", "s,u"]) == 0
    assert words in capsys.readouterr().err
    assert main(["pairwise", str(path), "--discrete", "s,u", "--json"]) == 0
    assert words in json.loads(capsys.readouterr().out)["warnings"][0]


@pytest.mark.parametrize("command", ["estimate", "pairwise"])
def test_help_says_that_no_other_columns_are_labels(command: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "these and no others" in " ".join(capsys.readouterr().out.split())


def test_names_with_commas_stand_in_double_quotes(tmp_path: Path, capsys) -> None:
    path = tmp_path / "data.csv"
    path.write_text('"size, cm",b\n' + "".join(f"{k % 7},{k % 5}\n" for k in range(70)))
    assert main(["estimate", str(path), "--x", '"size, cm"', "--y", "b"]) == 0
    assert 'I("size, cm"; b) = ' in capsys.readouterr().out
    assert main(["estimate", str(path), "--x", "size, cm", "--y", "b"]) == 2
    assert "write names with commas in double quotes" in capsys.readouterr().err


def test_a_first_row_of_data_is_no_header(tmp_path: Path, capsys) -> None:
    path = tmp_path / "data.csv"
    path.write_text("0.5,1\n" * 9)
    assert main(["estimate", str(path), "--x", "a", "--y", "b"]) == 2
    assert "write a line with names above it" in capsys.readouterr().err


def test_text_in_another_encoding_is_to_be_saved_in_utf_8(tmp_path: Path, capsys) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(("größe,b\n" + "1,2\n" * 9).encode("latin-1"))
    assert main(["estimate", str(path), "--x", "größe", "--y", "b"]) == 2
    assert "a .csv file in UTF-8, could not read it" in capsys.readouterr().err


def test_fields_of_a_structured_array_are_columns(tmp_path: Path, capsys) -> None:
    values, path = np.random.default_rng(0).normal(size=(60, 2)), tmp_path / "data.npy"
    np.save(path, np.rec.fromarrays(values.T, names="a,b"))
    command = ["estimate", str(path), "--model", "mist-fast", "--json"]
    assert main([*command, "--x", "a", "--y", "b"]) == 0
    expected = torchmist.estimate(*values.T, model="mist-fast").mean
    assert json.loads(capsys.readouterr().out)["mean"] == pytest.approx(expected)


def test_rows_with_more_fields_than_names_are_not_shifted(tmp_path, capsys) -> None:
    pytest.importorskip("pandas")
    x, y = np.random.default_rng(0).normal(size=(2, 60)).round(4)
    y = (x + y).round(4)
    path = tmp_path / "t.csv"

    def found(lines: list[str], code: int = 0) -> str:
        path.write_text("\n".join(["a,b", *lines]) + "\n")
        command = ["estimate", str(path), "--x", "a", "--y", "b", "--model", "mist-fast"]
        assert main(command) == code
        return "".join(capsys.readouterr())

    plain = [f"{u},{v}" for u, v in zip(x, y)]
    wanted = found(plain)
    assert found([f"{line}," for line in plain]) == found([f"{line},," for line in plain]) == wanted
    for start, form in ((0, "{},{}"), (1, "{},{}"), (1, "row {},{}")):  # as R names rows
        named = [form.format(k, line) for k, line in enumerate(plain, start)]
        assert found(named) == wanted
    for line in ("{},7", "{},7,8", "7,{}"):
        text = found([line.format(row) for row in plain], code=2)
        assert "expected a name for each field of t.csv, found 2 names and" in text


@pytest.mark.parametrize(
    "arguments", [["pairwise"], ["pairwise", "--json"], ["estimate", "--x", "1.5", "--y", "-2"]]
)
def test_a_first_line_of_numbers_is_said_to_be_taken_for_names(tmp_path, arguments, capsys) -> None:
    path = tmp_path / "data.csv"
    rows = np.random.default_rng(0).normal(size=(20, 2)).round(3)
    path.write_text("1.5,-2\n" + "\n".join(f"{a},{b}" for a, b in rows))
    assert main([arguments[0], str(path), *(a.replace("-2", "-2 ") for a in arguments[1:])]) == 0
    said = "the first line of data.csv holds numbers alone (1.5, -2) and is taken for the names"
    shown = capsys.readouterr()
    assert said in (shown.out if "--json" in arguments else shown.err)
