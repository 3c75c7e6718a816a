"""The information plane: coordinates against closed forms, hooks, choices, and callbacks."""

from __future__ import annotations

import math
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from torchmist.planes import InformationPlane, grid_cells, trainer_callback


def identity(d: int) -> nn.Sequential:
    layer = nn.Linear(d, d, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(d))
    return nn.Sequential(layer, nn.Dropout(0.5))


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_noise_gives_the_capacity_of_the_gaussian_channel() -> None:
    x = normal(1500, 2)
    plane = InformationPlane(identity(2), ["0"], noise=0.5)
    plane.observe(x, x[:, 0] + normal(1500, 1, 1)[:, 0])
    [record] = plane.measure(0)
    assert abs(record.input - math.log(1 + 1 / 0.25)) < 0.2  # two columns of log(5) / 2
    rho = 1 / math.sqrt(1.25 * 2)
    assert abs(record.target + 0.5 * math.log(1 - rho**2)) < 0.08
    assert record.input_low < math.log(5) < record.input_high


def test_bins_give_the_entropy_of_the_cells() -> None:
    x = torch.arange(4.0).repeat(250)[:, None]
    plane = InformationPlane(identity(1), ["0"], bins=4)
    plane.observe(x, torch.arange(1000) % 2)
    [record] = plane.measure(0)
    assert record.input == pytest.approx(math.log(4), abs=0.03)
    assert record.target == pytest.approx(math.log(2), abs=0.03)


def test_cells_are_those_of_a_naive_loop() -> None:
    code = normal(200, 2)
    low, high = float(code.min()), float(code.max())
    edges = [low + (high - low) * k / 3 for k in (1, 2)]
    naive = [tuple(sum(float(v) >= e for e in edges) for v in row) for row in code]
    names = sorted(set(naive))
    assert grid_cells(code, 3).tolist() == [names.index(cell) for cell in naive]


def test_batches_are_the_rows_of_one_batch() -> None:
    x, model = normal(300, 2), identity(2)
    once, often = (InformationPlane(model, ["0"], noise=0.5) for _ in range(2))
    once.observe(x, x[:, 0])
    for part in x.split(50):
        often.observe(part, part[:, 0])
    assert once.measure(0)[0].values() == pytest.approx(often.measure(0)[0].values(), abs=1e-4)


def test_capacity_keeps_the_same_rows_at_every_epoch() -> None:
    x, plane = normal(500, 2), InformationPlane(identity(2), ["0"], noise=0.5, capacity=100)
    for epoch in range(2):
        for part in x.split(60):
            plane.observe(part, part[:, 0])
        plane.measure(epoch)
    first, second = plane.records
    assert first.samples == 100 and first.values() == second.values()


def test_the_model_is_left_as_it_was() -> None:
    model = identity(2).train()
    model[1].eval()
    plane = InformationPlane(model, ["1"], noise=0.5)
    plane.observe(normal(10, 2), torch.zeros(10))
    assert model.training and model[0].training and not model[1].training
    assert not model[1]._forward_hooks and model[0].weight.grad is None


@pytest.mark.parametrize("choice", [{}, {"noise": 0.1, "bins": 30}], ids=["none", "both"])
def test_noise_or_bins_must_be_chosen(choice: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"either noise= or bins=.*I\(X;T\) is infinite"):
        InformationPlane(identity(2), ["0"], **choice)


@pytest.mark.parametrize("choice", [{"noise": 0.0}, {"noise": math.inf}, {"bins": 1}])
def test_choices_without_meaning_are_refused(choice: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected (noise > 0|bins >= 2)"):
        InformationPlane(identity(2), ["0"], **choice)


def test_unknown_layers_are_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="names of submodules.*the model has '0', '1'"):
        InformationPlane(identity(2), ["hidden"], noise=0.1)


def test_measuring_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 rows to measure, got 0"):
        InformationPlane(identity(2), ["0"], noise=0.1).measure(0)


def test_targets_of_another_length_are_refused() -> None:
    plane = InformationPlane(identity(2), ["0"], noise=0.1)
    with pytest.raises(ValueError, match="one row for each of the 9 of y"):
        plane.observe(normal(10, 2), torch.zeros(9))


class Mixed(nn.Module):
    """Takes the names of tokens and numbers, and keeps what came."""

    def __init__(self) -> None:
        super().__init__()
        self.names, self.body = nn.Embedding(5, 2), nn.Linear(3, 2)
        self.came: list[torch.dtype] = []

    def forward(self, tokens: Tensor, numbers: Tensor, mask: Tensor) -> Tensor:
        self.came = [tokens.dtype, numbers.dtype, mask.dtype]
        return self.names(tokens) + self.body(numbers)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_floats_come_to_a_model_in_its_dtype_and_integers_as_they_are(dtype) -> None:
    x, model = normal(60, 3), Mixed().to(dtype)
    batch = {"tokens": torch.arange(60) % 5, "numbers": x, "mask": x[:, 0] > 0}
    plane = InformationPlane(model, ["body"], noise=0.5)
    plane.observe(batch, x[:, 0])
    assert model.came == [torch.int64, dtype, torch.bool]
    with torch.no_grad():
        expected = model.body(x.to(dtype)).float()
    torch.testing.assert_close(plane._rows["code body"], expected)


def test_floats_of_a_dtype_that_some_parameter_has_stay_as_they_are() -> None:
    model = Mixed().to(torch.bfloat16)
    model.names.double()
    plane = InformationPlane(model, ["body"], noise=0.5)
    x = normal(60, 3).bfloat16()
    plane.observe({"tokens": torch.arange(60) % 5, "numbers": x, "mask": x > 0}, x[:, 0])
    assert model.came == [torch.int64, torch.bfloat16, torch.bool]


def test_the_plot_has_a_path_for_every_layer(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    x, plane = normal(100, 2), InformationPlane(identity(2), ["0", "1"], noise=0.5)
    with pytest.raises(ValueError, match="call measure first"):
        plane.plot()
    for epoch in range(2):
        plane.observe(x, x[:, 0])
        plane.measure(epoch)
    figure = plane.plot(tmp_path / "plane.png")
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["0", "1"] and (tmp_path / "plane.png").stat().st_size > 5000


def test_the_callback_of_transformers_measures_every_epoch(monkeypatch, tmp_path: Path) -> None:
    # The interface of transformers.TrainerCallback alone: events as methods of a plain class.
    module = types.ModuleType("transformers")
    module.TrainerCallback = type("TrainerCallback", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", module)
    x, plane = normal(100, 2), InformationPlane(identity(2), ["0"], noise=0.5)
    path = tmp_path / "made at the end" / "plane.png"
    callback = trainer_callback(plane, [(x, x[:, 0])], path)
    state = types.SimpleNamespace(epoch=1.0, global_step=7, log_history=[])
    callback.on_epoch_end(None, state, None, model=None)
    callback.on_train_end(None, state, None, model=None)
    assert state.log_history[0]["plane/0/input"] == plane.records[0].input
    assert path.exists()
    with pytest.raises(TypeError, match="to iterate anew .* got generator, .* pass a DataLoader"):
        trainer_callback(plane, (batch for batch in [(x, x[:, 0])]))


def test_without_transformers_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match="pip install transformers"):
        trainer_callback(InformationPlane(identity(2), ["0"], noise=0.5), [])


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true", "bf16-mixed"])
def test_the_callback_of_lightning_logs_and_draws(tmp_path: Path, precision) -> None:
    lightning = pytest.importorskip("lightning")
    from torch.utils.data import DataLoader, TensorDataset

    from torchmist.lightning import InformationPlane as Callback

    class Model(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(2, 1)

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            return (self(batch[0])[:, 0] - batch[1]).square().mean()

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    x = normal(128, 2)
    loader = DataLoader(TensorDataset(x, x[:, 0]), batch_size=32)
    path = tmp_path / "made at the end" / "plane.png"
    callback = Callback(["body"], loader, noise=0.3, every=2, path=path)
    trainer = lightning.Trainer(
        max_epochs=3, accelerator="cpu", precision=precision, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[callback],
    )  # fmt: skip
    trainer.fit(Model(), loader)
    assert callback.plane is not None
    assert [r.epoch for r in callback.plane.records] == [0, 2]
    last = callback.plane.records[-1]
    assert float(trainer.callback_metrics["plane/body/target"]) == pytest.approx(last.target)
    assert path.exists()
    with pytest.raises(ValueError, match="either noise= or bins="):
        Callback(["body"], loader)
    with pytest.raises(TypeError, match="to iterate anew .* got list_iterator"):
        Callback(["body"], iter([(x, x[:, 0])]), noise=0.3)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"capacity": 2.5}, ValueError, "capacity to be an int of at least 4, got 2.5"),
        ({"seed": None}, ValueError, "seed to be an int of at least 0, got None"),
        ({"noise": "a"}, TypeError, "expected noise to be a number, got str"),
        ({"noise": None, "bins": 2.5}, TypeError, "expected bins to be an int, got float"),
        ({"model": torch.tanh}, TypeError, "expected model to be an nn.Module, got builtin"),
    ],
)
def test_settings_of_a_plane(options, error, match) -> None:
    chosen = {"model": identity(2), "layers": ["0"], "noise": 0.5, **options}
    with pytest.raises(error, match=match):
        InformationPlane(**chosen)


def test_a_target_of_a_plane_is_a_tensor() -> None:
    plane = InformationPlane(identity(2), ["0"], noise=0.5)
    with pytest.raises(TypeError, match="expected y to be a torch.Tensor, got ndarray"):
        plane.observe(normal(9, 2), normal(9, 1).numpy())


@pytest.mark.parametrize("side", [0, 1])
def test_a_batch_that_is_not_finite_is_refused_and_not_kept(side: int) -> None:
    plane, pair = InformationPlane(identity(2), ["0"], noise=0.5), (normal(50, 2), normal(50, 1, 1))
    wrong = [v.clone() for v in pair]
    wrong[side][7, 0] = torch.nan
    plane.observe(*pair)
    name = ("the code of '0'", "y")[side]
    with pytest.raises(ValueError, match=f"NaN or infinite entries in {name}; drop or impute"):
        plane.observe(*wrong)
    [record] = plane.measure(0)
    assert record.samples == 50
