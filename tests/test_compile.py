"""``torch.compile(fullgraph=True)`` with its default backend, on a CPU, in value and gradient."""

from __future__ import annotations

import os
import shutil

import pytest
import torch

import torchmist
from torchmist.models.config import MISTConfig
from torchmist.models.mist import MIST

TINY = MISTConfig(
    odd=2, even=2, paired=1, basis_width=4, pair_width=4, feature_width=8, feature_layers=1,
    sample_width=8, inducing=2, heads=2, embedding=1, readout_width=4, head_width=8, seeds=1,
    quantiles=4,
)  # fmt: skip


@pytest.mark.skipif(
    not os.environ.get("TORCHMIST_SLOW"), reason="minutes of a C++ compiler: make test-slow"
)
@pytest.mark.skipif(torch.__version__ < (2, 5), reason="torch.compile of its functions needs 2.5")
@pytest.mark.skipif(
    not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++")),
    reason="the default backend compiles C++",
)
def test_a_term_compiles_with_the_default_backend() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MIST(TINY).eval().requires_grad_(False)
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    term = torchmist.MIRegularizer(model)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 40, 2, generator=generator)
    y = y + x

    def step(z: torch.Tensor) -> torch.Tensor:
        return term(z, y)

    torch._dynamo.reset()
    found = []
    for run in (step, torch.compile(step, fullgraph=True)):
        z = x.clone().requires_grad_()
        value = run(z)
        value.backward()
        assert z.grad is not None and z.grad.any()
        found.append((value.detach(), z.grad))
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(
    not os.environ.get("TORCHMIST_SLOW"), reason="minutes of tracing: make test-slow"
)
@pytest.mark.skipif(torch.__version__ < (2, 5), reason="torch.compile of its functions needs 2.5")
def test_the_default_of_estimates_compiles_and_says_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(5, (2, 128), generator=generator)
    x, y = (torch.eye(5)[label] + 0.2 * torch.randn(2, 128, 5, generator=generator) for _ in "xy")
    model = torchmist.load_pretrained("mist").requires_grad_(False)
    torch._dynamo.reset()
    with torch.no_grad():
        found = torch.compile(model, fullgraph=True, backend="aot_eager")(x, y)
        torch.testing.assert_close(found, model(x, y), atol=1e-5, rtol=1e-4)
