"""The command line: what it reads, prints and refuses."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import torchmist
from torchmist.cli import _parser, main, read_columns


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200, 2))
    frame = pd.DataFrame({"a": a[:, 0], "b": a[:, 1], "c": a[:, 0] + 0.5 * rng.normal(size=200)})
    frame["kind"] = np.where(a[:, 0] > 0, "high", "low")
    path = tmp_path / "data.csv"
    frame.to_csv(path, index=False)
    return path


def test_every_command_has_a_row_on_its_page() -> None:
    page = (Path(__file__).parents[1] / "docs/cli.md").read_text()
    (commands,) = (a.choices for a in _parser()._actions if a.dest == "command")
    assert commands
    for name in commands:
        assert f"\n| `torchmist {name} DATA" in page, name


def test_estimate_prints_what_the_function_returns(data: Path, capsys) -> None:
    assert main(["estimate", str(data), "--x", "a,b", "--y", "c", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    r = torchmist.estimate(read_columns(data, ["a", "b"]), read_columns(data, ["c"]))
    assert shown["mean"] == pytest.approx(r.mean) and shown["samples"] == 200
    assert [shown["low"], shown["high"]] == pytest.approx(list(r.interval(0.9)))


def test_bits_are_nats_over_log_two(data: Path, capsys) -> None:
    means = []
    for extra in ([], ["--bits"]):
        assert main(["estimate", str(data), "--x", "a", "--y", "c", "--json", *extra]) == 0
        means.append(json.loads(capsys.readouterr().out)["mean"])
    assert means[1] == pytest.approx(means[0] / math.log(2))


def test_text_table_and_picture(data: Path, tmp_path: Path, capsys) -> None:
    picture = tmp_path / "mi.png"
    assert main(["estimate", str(data), "--x", "a", "--y", "c", "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "I(a; c) =" in out and "90 % interval" in out and picture.stat().st_size > 5_000


def test_labels(data: Path, capsys) -> None:
    assert main(["estimate", str(data), "--x", "a", "--y", "kind", "--labels", "--json"]) == 0
    assert 0.2 < json.loads(capsys.readouterr().out)["mean"] <= math.log(2)


def test_audit(data: Path, tmp_path: Path, capsys) -> None:
    picture = tmp_path / "audit.png"
    assert main(["audit", str(data), "--x", "a,b", "--plot", str(picture)]) == 0
    assert "mean absolute error" in capsys.readouterr().out and picture.is_file()
    assert main(["audit", str(data), "--x", "a,b", "--model", "mist-fast", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 27


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
def test_formats(data: Path, suffix: str, tmp_path: Path) -> None:
    frame = pd.read_csv(data)[["a", "b", "c"]]
    path, names = tmp_path / f"data{suffix}", ["a", "c"]
    if suffix == ".npy":
        np.save(path, frame.to_numpy())
        names = ["0", "2"]
    elif suffix == ".npz":
        np.savez(path, a=frame["a"], c=frame[["c"]])
    else:
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    np.testing.assert_allclose(read_columns(path, names), frame[["a", "c"]])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--x", "a,z", "--y", "c"], r"expected columns \['z'\]"),
        (["--x", "kind", "--y", "c"], "expected numbers in column kind"),
        (["--x", "a", "--y", "b,c", "--labels"], "expected one column of labels"),
        (["--x", "a", "--y", "c", "--level", "90"], r"expected --level in \(0, 1\)"),
        (["--x", "a", "--y", "c", "--model", "nothing"], "expected a known model name"),
    ],
)
def test_wrong_input_is_one_line_and_status_two(data, arguments, message, capsys) -> None:
    assert main(["estimate", str(data), *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("torchmist: ") and err.count("\n") == 1
    assert re.search(message, err)


def test_missing_values_files_and_rows(data: Path, tmp_path: Path, capsys) -> None:
    frame = pd.read_csv(data)
    frame.loc[3, "a"] = np.nan
    holes, few, odd = tmp_path / "holes.csv", tmp_path / "few.csv", tmp_path / "data.txt"
    frame.to_csv(holes, index=False)
    frame.iloc[10:13].to_csv(few, index=False)
    odd.write_text("a,c")
    for path, message in (
        (holes, "1 rows with missing or infinite"),
        (few, "at least 4 samples"),
        (odd, "expected a .csv"),
        (tmp_path / "none.csv", "expected a file"),
    ):
        assert main(["estimate", str(path), "--x", "a", "--y", "c"]) == 2
        assert message in capsys.readouterr().err


def broken(folder: Path) -> dict[str, tuple[Path, str]]:
    """Files that cannot be read, with what is said of each."""
    paths = {name: folder / name for name in (
        "nothing.csv", "head.csv", "binary.csv", "text.npy", "text.npz", "text.parquet",
        "rows.npy", "lengths.npz",
    )}  # fmt: skip
    paths["nothing.csv"].touch()
    paths["head.csv"].write_text("a,c\n")
    paths["binary.csv"].write_bytes(b"\xff\xfe\x00\x81" * 20)
    for name in ("text.npy", "text.npz", "text.parquet"):
        paths[name].write_text("not an array")
    np.save(paths["rows.npy"], np.zeros((0, 2)))
    np.savez(paths["lengths.npz"], a=np.zeros(20), b=np.zeros(30), c=np.zeros(20))
    said = {"nothing.csv": "the file is empty", "head.csv": "expected rows in head.csv",
            "rows.npy": "expected rows in rows.npy",
            "lengths.npz": "expected columns of one length"}  # fmt: skip
    return {k: (v, said.get(k, "could not read it")) for k, v in paths.items()}


def test_names_that_are_one_without_spaces_are_refused(tmp_path: Path, capsys) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("a,a ,c\n" + "1,2,3\n" * 9)
    assert main(["estimate", str(path), "--x", "a", "--y", "c"]) == 2
    assert "found 'a' more than once; rename them" in capsys.readouterr().err


def test_columns_that_may_be_empty(tmp_path: Path, capsys) -> None:
    path = tmp_path / "d.parquet"
    frame = pd.DataFrame({"a": pd.array([1, None, 3, 4] * 10, "Int64"), "b": np.arange(40.0)})
    frame.assign(day=pd.date_range("2020", periods=40)).to_parquet(path)
    assert main(["estimate", str(path), "--x", "a", "--y", "b"]) == 2
    assert "got 10 rows with missing or infinite ones in columns ['a']" in capsys.readouterr().err
    assert main(["estimate", str(path), "--x", "day", "--y", "b"]) == 2
    assert "datetime64" in (err := capsys.readouterr().err) and "convert dates to numbers" in err
    frame.dropna().to_parquet(path)
    assert read_columns(path, ["a"])[:3, 0].tolist() == [1, 3, 4]


def test_complex_numbers_are_two_columns(tmp_path: Path, capsys) -> None:
    np.save(tmp_path / "c.npy", np.ones((20, 2)) * 1j)
    assert main(["estimate", str(tmp_path / "c.npy"), "--x", "0", "--y", "1"]) == 2
    assert "pass real and imaginary part as two columns" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--plot", "--checkpoint"])
def test_a_missing_folder_is_said_before_training(data: Path, option, capsys) -> None:
    paths = {"--out": "w.safetensors", option: "nowhere/w.safetensors"}
    extra = [word for pair in paths.items() for word in pair]
    assert main(["adapt", str(data), "--x", "a", "--y", "c", *extra]) == 2
    assert "expected a folder for nowhere/w.safetensors, found none" in capsys.readouterr().err


def test_the_version(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"torchmist {torchmist.__version__}\n"


def test_empty_and_unreadable_files(tmp_path: Path, capsys) -> None:
    for path, message in broken(tmp_path).values():
        names = ("0", "1") if path.name == "rows.npy" else ("a,b", "c")
        assert main(["estimate", str(path), "--x", names[0], "--y", names[1]]) == 2, path
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1


def test_missing_labels_and_empty_names(data: Path, tmp_path: Path, capsys) -> None:
    frame = pd.read_csv(data)
    frame.loc[:2, "kind"] = None
    frame.to_csv(tmp_path / "holes.csv", index=False)
    arguments = ["estimate", str(tmp_path / "holes.csv"), "--x", "a"]
    assert main([*arguments, "--y", "kind", "--labels"]) == 2
    assert "3 missing ones in column kind" in capsys.readouterr().err
    assert main([*arguments[:-1], "a,,b", "--y", "c"]) == 2
    assert "expected column names separated by commas" in capsys.readouterr().err


def test_names_may_have_spaces_around_and_suffixes_capitals(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "DATA.CSV"
    path.write_text(data.read_text().replace("a,b,c,kind", "a, b ,c,kind"))
    assert read_columns(path, ["a", "b"]).shape == (200, 2)
    assert main(["estimate", str(path), "--x", "a, b", "--y", "c"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["estimate", "--x", "a,b", "--y", "kind", "--labels"],
        ["audit", "--x", "a"],
        ["adapt", "--x", "a", "--y", "c", "--out", "few.safetensors"],
        ["pairwise", "--discrete", "kind"],
    ],
)
def test_a_file_is_read_once(tmp_path: Path, data: Path, arguments, monkeypatch) -> None:
    few = tmp_path / "few.csv"
    pd.read_csv(data).iloc[:40].to_csv(few, index=False)
    read, seen = pd.read_csv, []
    monkeypatch.setattr(pd, "read_csv", lambda path: seen.append(path) or read(path))
    main([arguments[0], str(few), *arguments[1:]])
    assert seen == [few]


def test_readers_that_are_not_installed(data: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert main(["estimate", str(data), "--x", "a", "--y", "c"]) == 2
    assert "pip install 'torchmist-mi[cli]'" in capsys.readouterr().err


def test_too_few_rows_to_adapt(data: Path, tmp_path: Path, capsys) -> None:
    few = tmp_path / "few.csv"
    pd.read_csv(data).iloc[:100].to_csv(few, index=False)
    out = str(tmp_path / "weights.safetensors")
    assert main(["adapt", str(few), "--x", "a", "--y", "c", "--out", out]) == 2
    assert "N of at least 200, got [100, 1]" in capsys.readouterr().err
    pd.read_csv(data).iloc[:3].to_csv(few, index=False)
    assert main(["adapt", str(few), "--x", "a", "--y", "c", "--out", out]) == 2
    assert "N of at least 200, got [3, 1]" in capsys.readouterr().err


def test_interruption_is_said(data: Path, monkeypatch, capsys) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torchmist.cli.estimate", interrupt)
    assert main(["estimate", str(data), "--x", "a", "--y", "c"]) == 130
    assert capsys.readouterr().err == "torchmist: interrupted\n"
    monkeypatch.setattr("torchmist.adapt.adapt", interrupt)
    command = [
        "adapt",
        str(data),
        "--x",
        "a",
        "--y",
        "c",
        "--out",
        str(data.with_name("w.safetensors")),
    ]
    assert main(command) == 130
    assert "what --checkpoint saved is kept" in capsys.readouterr().err


def test_audit_in_bits(data: Path, capsys) -> None:
    options, shown = ["audit", str(data), "--x", "a", "--model", "mist-fast"], []
    for extra in ([], ["--bits"]):
        assert main([*options, "--json", *extra]) == 0
        shown.append(json.loads(capsys.readouterr().out))
    assert [s["unit"] for s in shown] == ["nats", "bits"]
    nats, bits = (s["rows"][0] for s in shown)
    for key in ("truth", "estimate", "low", "high", "error"):
        assert bits[key] == pytest.approx(nats[key] / math.log(2))
    assert main([*options, "--bits"]) == 0
    assert "bits, bias" in capsys.readouterr().out


def test_adapt_writes_weights_that_estimate_reads(tmp_path: Path, quick, capsys) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "data.npy", rng.normal(size=(240, 3)))
    out, picture = tmp_path / "out.safetensors", tmp_path / "adapt.png"
    data = [str(tmp_path / "data.npy"), "--x", "0,1", "--y", "2"]
    assert main(["adapt", *data, "--budget", "10", "--out", str(out), "--json", "--plot",
                 str(picture)]) == 0  # fmt: skip
    assert picture.stat().st_size > 10_000
    assert json.loads(capsys.readouterr().out)["weights"] == str(out)
    assert main(["estimate", *data, "--model", str(out)]) == 0
    assert main(["adapt", *data, "--out", "weights.pt"]) == 2
    assert "expected --out to end in .safetensors" in capsys.readouterr().err


def test_an_open_interval_is_valid_json(tmp_path: Path, capsys) -> None:
    x = np.random.default_rng(0).normal(size=(500, 1))
    path = tmp_path / "near.npy"
    np.save(path, np.c_[x, x + 1e-4 * np.random.default_rng(1).normal(size=(500, 1))])
    assert main(["estimate", str(path), "--x", "0", "--y", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["high"] is None and found["low"] > 3
