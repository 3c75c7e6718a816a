"""Files from anywhere: damaged and hostile ones load, or are a clear error, and nothing more.

The oracle is the contract itself: a ``ValueError`` that says what was expected, or a model whose
tensors are those of the file. Nothing else may be raised, and no size that a header claims may cost
memory.
"""

from __future__ import annotations

import json
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import torchmist
from torchmist.cli import main
from torchmist.models.mist import MIST, MISTConfig
from torchmist.weight_files import build, read_file
from torchmist.weights import save_weights

TINY = MISTConfig(
    odd=2, even=2, paired=1, basis_width=2, pair_width=4, feature_width=2, feature_layers=1,
    sample_width=2, inducing=1, heads=1, embedding=1, readout_width=2, head_width=2, seeds=1,
    quantiles=2,
)  # fmt: skip
HOSTILE = (None, True, -1, 0, 3, 1.5, 2**31, 10**30, "64", [1], {"a": 1}, float("nan"))


def loads_or_says_why(path: Path) -> bool:
    """Whether a file loads; a ``ValueError`` that says what was expected is all else."""
    try:
        model = torchmist.load_pretrained(path)
    except ValueError as error:
        assert str(error).startswith("expected ")
        return False
    for name, value in load_file(path).items():
        assert torch.equal(model.state_dict()[name], value)
    return True


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "tiny.safetensors"
    ranges = {"n": [8, 500], "d": [1, 32], "mi": [0, 5.5]}
    save_weights(MIST(TINY), path, provenance={"trained_range": ranges}, evaluation={"mse": 0.1})
    return path.read_bytes()


def _damage(content: bytes, random_: random.Random) -> bytes:
    """A bit flipped, bytes replaced, cut off, put in, taken out or doubled, or another length."""
    data = bytearray(content)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    last = header if random_.random() < 0.8 else len(data)  # most of what can go wrong is there
    kind = random_.randrange(7)
    at = random_.randrange(last)
    if kind == 0:
        data[at] ^= 1 << random_.randrange(8)
    elif kind == 1:
        for _ in range(random_.randrange(1, 9)):
            data[random_.randrange(last)] = random_.randrange(256)
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        data[at:at] = random_.randbytes(random_.randrange(1, 20))
    elif kind == 4:
        del data[at : at + random_.randrange(1, 40)]
    elif kind == 5:
        data[at:at] = data[at : at + random_.randrange(1, 200)]
    else:
        data[:8] = struct.pack("<Q", random_.choice([0, 1, header, 2**31, 2**63, 2**64 - 1]))
    return bytes(data)


def test_thousands_of_damaged_files_load_or_say_why(weights, tmp_path) -> None:
    random_, path = random.Random(0), tmp_path / "w.safetensors"
    outcomes = []
    for _ in range(1500):
        path.write_bytes(_damage(weights, random_))
        outcomes.append(loads_or_says_why(path))
    assert 10 < sum(outcomes) < 1500  # some damage is only to numbers; most is found


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all entries of nested objects and lists."""
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, inner in pairs:
        found.append((*path, key))
        if isinstance(inner, dict | list):
            found += _places(inner, (*path, key))
    return found


def _with_header(content: bytes, texts: dict[str, str]) -> bytes:
    """The file with other texts in its header and the same tensors."""
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.dumps({**json.loads(content[8:end]), "__metadata__": texts}).encode()
    return struct.pack("<Q", len(header)) + header + content[end:]


def test_hostile_entries_of_every_header_field_load_or_say_why(weights, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights)
    file = read_file(path)
    entries = {
        name: json.loads(file.header[name]) for name in ("config", "provenance", "evaluation")
    }
    plain = {name: file.header[name] for name in ("format", "model")}
    count, loaded = 0, 0
    for place in _places(entries):
        for value in (*HOSTILE, "gone"):
            changed = json.loads(json.dumps(entries))
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            if value == "gone":
                del inner[place[-1]]
            else:
                inner[place[-1]] = value
            texts = {name: json.dumps(entry) for name, entry in changed.items()}
            path.write_bytes(_with_header(weights, {**plain, **texts}))
            count, loaded = count + 1, loaded + loads_or_says_why(path)
    assert count > 300 and 0 < loaded < count / 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"head_width": 2**20}, "at most the .* numbers in .*got head_width"),
        ({"feature_layers": 500}, "expected tensors for"),
        ({"odd": 2**50}, "at most the .* numbers in .*got odd"),
        ({"seeds": 10**30}, "at most the .* numbers in .*got seeds"),
        ({"seeds": 9}, "fit its tensors"),
    ],
    ids=str,
)
def test_sizes_that_would_take_all_memory_are_refused(config, message, weights, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights)
    file = read_file(path)
    sizes = {**json.loads(file.header["config"]), **config}
    save_file(
        dict(file.tensors), path, metadata={**file.header, "config": json.dumps(sizes)}
    )  # head_width alone would be 4 TB
    with pytest.raises(ValueError, match=message):
        torchmist.load_pretrained(path)


@pytest.mark.parametrize("depth", [10, 100_000])
def test_deeply_nested_json_is_a_clear_error(depth, weights, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights)
    file = read_file(path)
    nested = "[" * depth + "]" * depth
    save_file(dict(file.tensors), path, metadata={**file.header, "config": nested})
    with pytest.raises(ValueError, match="the header's 'config'"):
        torchmist.load_pretrained(path)


@pytest.mark.parametrize("change", ["shape", "dtype", "missing", "extra", "nan"])
def test_tensors_that_do_not_fit_are_named(change, weights, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights)
    file = read_file(path)
    tensors = dict(file.tensors)
    name = "blend.0.weight"
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        tensors["zzz"] = torch.zeros(1)
    else:
        tensors[name] = {
            "shape": tensors[name].T.contiguous(), "dtype": tensors[name].half(),
            "nan": tensors[name] * torch.nan,
        }[change]  # fmt: skip
    save_file(tensors, path, metadata=dict(file.header))
    with pytest.raises(ValueError, match="zzz" if change == "extra" else name):
        torchmist.load_pretrained(path)


def test_a_pickle_is_not_run(tmp_path) -> None:
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return (Path.touch, (mark,))

    for name, prefix in (("w.safetensors", b""), ("v.safetensors", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(prefix + pickle.dumps(Evil()))
        with pytest.raises(ValueError, match="expected a safetensors file"):
            torchmist.load_pretrained(tmp_path / name)
    np.savez(tmp_path / "d.npz", a=np.array([Evil()] * 9), b=np.arange(9.0))
    assert main(["estimate", str(tmp_path / "d.npz"), "--x", "a", "--y", "b"]) == 2
    (tmp_path / "d.npy").write_bytes(pickle.dumps(Evil()))
    assert main(["estimate", str(tmp_path / "d.npy"), "--x", "0", "--y", "1"]) == 2
    assert not mark.exists()


def test_build_leaves_the_global_generator_alone(weights, tmp_path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights)
    before = torch.get_rng_state()
    build(lambda: MIST(TINY), read_file(path))
    assert torch.equal(torch.get_rng_state(), before)


def _tables(folder: Path) -> dict[str, bytes]:
    """A small file of each kind that the command line reads."""
    pandas = pytest.importorskip("pandas")
    values = np.random.default_rng(0).normal(size=(12, 2))
    np.save(folder / "d.npy", values)
    np.savez_compressed(folder / "d.npz", **{"0": values[:, 0], "1": values[:, 1]})
    frame = pandas.DataFrame(values, columns=["0", "1"])
    frame.to_csv(folder / "d.csv", index=False)
    frame.to_parquet(folder / "d.parquet")
    return {p.suffix: p.read_bytes() for p in folder.glob("d.*")}


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".npz", ".parquet"])
def test_damaged_tables_are_read_or_one_line_of_error(suffix, tmp_path, capsys) -> None:
    content, random_ = _tables(tmp_path)[suffix], random.Random(1)
    path = tmp_path / f"damaged{suffix}"
    seen = set()
    for _ in range(150):
        data = bytearray(content)
        for _ in range(random_.randrange(1, 6)):
            data[random_.randrange(len(data))] = random_.randrange(256)
        path.write_bytes(
            data[: random_.choice([len(data), len(data), random_.randrange(len(data))])]
        )
        seen.add(main(["estimate", str(path), "--x", "0", "--y", "1", "--model", "mist-fast"]))
        errors = [e for e in capsys.readouterr().err.splitlines() if e.startswith("torchmist: ")]
        assert len(errors) <= 1
    assert seen <= {0, 2} and 2 in seen
