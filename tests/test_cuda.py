"""On a GPU: equal to the CPU, under autocast, ``torch.compile``, CUDA graphs, and in training."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import torchmist
from torchmist.synthetic import PaperMeta
from torchmist.synthetic.general import GeneralMeta
from torchmist.synthetic.general.moved import sample_moved
from training.config import PRESETS
from training.train import Trainer
from training.validate import validate

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = torch.device("cuda")
X = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
Y = torch.randn(300, 2, generator=torch.Generator().manual_seed(1)) + X[:, :2]


def gradient(term, x: torch.Tensor, y: torch.Tensor) -> tuple[float, torch.Tensor]:
    z = x.detach().clone().requires_grad_()
    value = term(z, y)
    value.backward()
    return value.item(), z.grad.cpu()


@pytest.mark.parametrize("rounded", [False, True])
def test_value_and_gradient_equal_those_of_the_cpu(rounded) -> None:
    x = (2 * X).round() / 2 if rounded else X
    value, grad = gradient(torchmist.mist_mi, x, Y)
    other, moved = gradient(torchmist.mist_mi, x.cuda(), Y.cuda())
    assert other == pytest.approx(value, abs=1e-4)
    if not rounded:  # which of equal values comes first is the device's choice
        torch.testing.assert_close(moved, grad, atol=1e-5, rtol=1e-2)


@pytest.mark.parametrize("n, dx", [(5000, 3), (200, 100)])
def test_routes(n, dx) -> None:
    x = torch.randn(n, dx, generator=torch.Generator().manual_seed(0))
    y = x[:, :2] + torch.randn(n, 2, generator=torch.Generator().manual_seed(1))
    with pytest.warns(UserWarning, match="torchmist"):
        torchmist.checks._warned.clear()
        expected = torchmist.mist_mi(x, y).item()
    assert torchmist.mist_mi(x.cuda(), y.cuda()).item() == pytest.approx(expected, abs=1e-3)


def test_masks_labels_and_estimates() -> None:
    labels, mask = (Y[:, 0] > 0).long(), torch.arange(300) < 200
    expected = torchmist.mist_mi(X, labels, mask=mask).item()
    got = torchmist.mist_mi(X.cuda(), labels.cuda(), mask=mask.cuda()).item()
    assert got == pytest.approx(expected, abs=1e-4)
    estimate = torchmist.estimate(X.cuda(), Y.cuda())
    assert estimate.mean == pytest.approx(torchmist.estimate(X, Y).mean, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_leaves_the_term_alone(dtype) -> None:
    def term(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cuda", dtype):
            return torchmist.mist_mi(z, y)

    expected = gradient(torchmist.mist_mi, X.cuda(), Y.cuda())
    value = gradient(term, X.cuda(), Y.cuda())
    assert value[0] == pytest.approx(expected[0], abs=1e-5)
    torch.testing.assert_close(value[1], expected[1], atol=1e-6, rtol=1e-3)


def test_scaled_steps_of_an_encoder_in_half_precision() -> None:
    torch.manual_seed(0)
    net, scaler = torch.nn.Linear(5, 2).cuda(), torch.amp.GradScaler("cuda")
    term = torchmist.MIRegularizer(lift=2).cuda()
    optimizer = torch.optim.Adam([*net.parameters(), *term.parameters()], lr=3e-2)
    values = []
    for _ in range(60):
        with torch.autocast("cuda", torch.float16):
            loss = term(net(X.cuda()), Y.cuda())
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        values.append(loss.item())
    assert values[-1] < 0.7 * values[0]


def test_compiled_host_step() -> None:
    torch.manual_seed(0)
    net = torch.nn.Linear(5, 3).cuda()
    term = torchmist.MIRegularizer()
    x, y = X.cuda(), Y.cuda()
    expected = gradient(lambda a, b: term(net(a), b), x, y)
    step = torch.compile(lambda a, b: term(net(a), b), fullgraph=True)
    value = gradient(step, x, y)
    assert value[0] == pytest.approx(expected[0], abs=1e-3)
    torch.testing.assert_close(value[1], expected[1], atol=1e-4, rtol=2e-2)


def test_cuda_graph_of_a_step() -> None:
    torch.manual_seed(0)
    net, term = torch.nn.Linear(5, 3).cuda(), torchmist.MIRegularizer().cuda()
    x, y = X.cuda(), Y.cuda()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            net.zero_grad()
            term(net(x), y).backward()
    torch.cuda.current_stream().wait_stream(stream)
    expected = net.weight.grad.clone()
    graph = torch.cuda.CUDAGraph()
    net.zero_grad()
    with torch.cuda.graph(graph):
        value = term(net(x), y)
        value.backward()
    graph.replay()
    torch.testing.assert_close(net.weight.grad, expected, atol=1e-5, rtol=1e-3)
    y.copy_(torch.randn(300, 2).cuda())
    graph.replay()
    assert value.item() == pytest.approx(term(net(x), y).item(), abs=1e-4)


@pytest.mark.parametrize("n, dx, dy", [(40, 1, 1), (300, 7, 3), (500, 24, 24)])
def test_datasets_are_made_on_the_device(n, dx, dy) -> None:
    generator = torch.Generator(GPU).manual_seed(0)
    batches = [GeneralMeta().sample(200, n, dx, dy, generator=generator)]
    batches += sample_moved(100, n, dx, dy, generator=generator)
    if dx == dy and dx > 1:
        batches.append(PaperMeta().sample(100, n, dx, generator=generator))
    for batch in batches:
        assert batch.x.is_cuda and batch.y.is_cuda and batch.mi.is_cuda
        assert batch.x.isfinite().all() and batch.y.isfinite().all()
        assert batch.mi.isfinite().all() and (batch.mi >= 0).all()


@pytest.mark.parametrize("bf16", [False, True])
def test_training_steps(tmp_path, bf16) -> None:
    config = replace(PRESETS["smoke"], meta="general", moved=0.4, steps=30, validate_every=30)
    trainer = Trainer(config, GPU, bf16=bf16)
    for _ in range(30):
        loss, norm = trainer.advance()
        assert loss.isfinite() and norm.isfinite()
    assert all(v == v for v in validate(trainer.average, config, GPU).values())
    checkpoint = trainer.checkpoint()
    checkpoint.save(tmp_path / "checkpoint.pt")
    other = Trainer(config, GPU, bf16=bf16)
    other.restore(checkpoint.load(tmp_path / "checkpoint.pt", GPU))
    torch.testing.assert_close(other.advance()[0], trainer.advance()[0])
