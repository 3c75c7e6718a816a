"""`MIRegularizer` inside a host: frozen whatever the host calls."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

import torchmist
from torchmist.models.mist import MIST

Z = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
Y = torch.randn(30, 2, generator=torch.Generator().manual_seed(1))


class Host(nn.Module):
    def __init__(self, estimator: MIST, **options) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 4)
        self.term = torchmist.MIRegularizer(estimator, **options)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.term(self.encoder(x), y)


@pytest.mark.parametrize(
    "call",
    [
        lambda host: host.train(),
        lambda host: host.requires_grad_(True),
        lambda host: host.half().float(),
        lambda host: host.to(torch.float64).float(),
        lambda host: host.load_state_dict(host.state_dict()) and host,
        lambda host: host.apply(lambda m: m.train()),
        lambda host: copy.deepcopy(host),
        lambda host: host.zero_grad() or host,
    ],
    ids=["train", "requires_grad_", "half", "double", "state_dict", "apply", "deepcopy", "zero"],
)
def test_frozen_estimator_survives_what_the_host_calls(small, call) -> None:
    host = Host(small)
    expected = torchmist.mist_mi(Z, Y, model=small)
    host = call(host)
    network = host.term.estimator(Z)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert set(dict(host.named_parameters())) == {"encoder.weight", "encoder.bias"}
    assert set(host.state_dict()) == {"encoder.weight", "encoder.bias"}
    torch.testing.assert_close(host.term(Z, Y), expected)


def test_an_optimizer_of_the_host_moves_the_encoder_only(small) -> None:
    host = Host(small)
    before = copy.deepcopy(host.term.estimator(Z).state_dict())
    weight = host.encoder.weight.detach().clone()
    optimizer = torch.optim.SGD(host.parameters(), lr=1.0)
    host(Z, Y).backward()
    optimizer.step()
    assert not torch.equal(host.encoder.weight, weight)
    for name, value in host.term.estimator(Z).state_dict().items():
        assert torch.equal(value, before[name])


def test_saved_hosts_load_strictly_in_both_directions(small) -> None:
    buffer = io.BytesIO()
    torch.save(Host(small).state_dict(), buffer)
    buffer.seek(0)
    Host(small).load_state_dict(torch.load(buffer, weights_only=True), strict=True)


def test_pickle_round_trip(small) -> None:
    buffer = io.BytesIO()
    torch.save(torchmist.MIRegularizer(small), buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    torch.testing.assert_close(loaded(Z, Y), torchmist.mist_mi(Z, Y, model=small))


def test_trainable_is_an_ordinary_submodule(small) -> None:
    host = Host(small, trainable=True)
    names = dict(host.named_parameters())
    assert any(name.startswith("term.network.") for name in names)
    host(Z, Y).backward()
    assert names["term.network.head.project.weight"].grad.abs().sum() > 0
    assert all(p.grad is None for p in small.parameters())


@pytest.mark.parametrize("change", ["half", "bfloat16", "double", "float"])
def test_a_trainable_network_stays_in_single_precision(small, change: str) -> None:
    host = Host(small, trainable=True)
    before = [parameter.clone() for parameter in host.term.network.parameters()]
    order = [name for name, _ in host.named_parameters()]
    getattr(host, change)()
    dtype = host.encoder.weight.dtype
    assert all(torch.equal(*pair) for pair in zip(before, host.term.network.parameters()))
    assert [name for name, _ in host.named_parameters()] == order
    host.term(Z.to(dtype), Y).backward()
    grads = [parameter.grad for parameter in host.term.network.parameters()]
    assert {g.dtype for g in grads if g is not None} == {torch.float32}
    assert next(host.to("meta").term.network.parameters()).device.type == "meta"


def test_a_module_passed_in_is_copied(small) -> None:
    small.train().requires_grad_(True)
    torchmist.MIRegularizer(small)
    assert small.training and all(p.requires_grad for p in small.parameters())


def test_statistic_and_repr(small) -> None:
    term = torchmist.MIRegularizer(small, statistic=0.9)
    torch.testing.assert_close(term(Z, Y), torchmist.mist_mi(Z, Y, model=small, statistic=0.9))
    assert "trainable=False, statistic=0.9, gather=False" in repr(term)


def test_log_receives_the_value_and_its_interval(small) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    value = torchmist.MIRegularizer(small, log=seen.append)(Z.clone().requires_grad_(), Y)
    torch.testing.assert_close(seen[0]["mi"], value.detach())
    assert seen[0]["low"] < seen[0]["mi"] < seen[0]["high"]
    assert not any(v.requires_grad for v in seen[0].values())


def test_average_of_an_ema_and_fsdp_see_no_estimator(small) -> None:
    host = Host(small)
    averaged = torch.optim.swa_utils.AveragedModel(host)
    averaged.update_parameters(host)
    torch.testing.assert_close(averaged(Z, Y), host(Z, Y))
    assert not any(isinstance(m, MIST) for m in host.modules())  # what FSDP would wrap


@pytest.mark.parametrize("case", ["few", "none", "constant", "one class", "masked"])
def test_batches_without_information_are_zero_with_a_zero_gradient(small, case) -> None:
    """Parameters of the term take part too, so that no process waits for their gradient."""
    count = {"few": 3, "none": 0}.get(case, 12)
    z = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
    z = (0 * z if case == "constant" else z).requires_grad_()
    y, options = torch.arange(count) % 2, {}
    if case == "one class":
        y = 0 * y
    if case == "masked":
        options["mask"] = torch.arange(count) < 3
    logged: list[dict[str, torch.Tensor]] = []
    term = torchmist.MIRegularizer(small, trainable=True, lift=3, log=logged.append, num_classes=2)
    value = term(z, y, **options)
    value.backward()
    assert value.item() == 0 and logged[0]["mi"] == logged[0]["high"] == 0
    assert z.grad is not None and not z.grad.any()
    assert all(p.grad is not None and not p.grad.any() for p in term.parameters())


def test_an_epoch_over_one_class_at_a_time_ends(small) -> None:
    term, encoder = torchmist.MIRegularizer(small, num_classes=4), nn.Linear(3, 4)
    labels = torch.arange(30).div(8, rounding_mode="floor")
    for rows in torch.arange(30).split(9):  # the last batch has three samples
        encoder.zero_grad()
        term(encoder(Z[rows]), labels[rows]).backward()
        assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.mark.parametrize("lift", [None, 3])
def test_datasets_that_the_mask_leaves_few_reason_of_are_zero(small, lift) -> None:
    term = torchmist.MIRegularizer(small, lift=lift)
    z = torch.stack([Z, -Z, Z.flip(0)]).requires_grad_()
    y, mask = torch.stack([Y, Y, Y]), torch.ones(3, 30, dtype=torch.bool)
    mask[1, 3:], mask[2] = False, False
    value = term(z, y, mask=mask)
    value.backward()
    torch.testing.assert_close(value, term(Z, Y) / 3)
    assert torch.isfinite(z.grad).all() and z.grad[0].any() and not z.grad[1:].any()
    with pytest.raises(ValueError, match="at least 4 samples in each dataset"):
        torchmist.mist_mi(z, y, mask=mask, model=small)


def test_short_batches_are_checked_like_others(small) -> None:
    term = torchmist.MIRegularizer(small)
    with pytest.raises(ValueError, match="same number of datasets and samples"):
        term(Z[:3], Y[:2])
    with pytest.raises(ValueError, match="NaN or infinite"):
        term(Z[:3] / 0, Y[:3])


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize("wide", [False, True])
def test_a_state_of_before_the_first_call_begins_anew(small, goal, wide) -> None:
    z, y = Z, torch.randn(30, 40, generator=torch.Generator().manual_seed(2)) if wide else Y
    term = torchmist.MIRegularizer(small, goal=goal)
    before = term.state_dict()
    first = [term(z, y).item() for _ in range(3)]
    assert len(term.state_dict()) > len(before)
    other = torch.nn.Linear(2, 2).state_dict()
    assert term.load_state_dict(other, strict=False).missing_keys and term.pursuit.critic.taken
    file = io.BytesIO()
    torch.save(before, file)
    file.seek(0)
    term.load_state_dict(torch.load(file, weights_only=True))
    assert term.pursuit.critic.taken == 0
    assert [term(z, y).item() for _ in range(3)] == first


def test_a_mask_that_leaves_too_few_samples_is_not_called_constant(small) -> None:
    torchmist.checks._warned.clear()
    for rows in (0, 1, 3):
        mask = torch.arange(len(Z)) < rows
        with pytest.warns(UserWarning, match="a batch of fewer than 4 samples has no mutual"):
            assert torchmist.MIRegularizer(small)(Z, Y, mask=mask) == 0
        torchmist.checks._warned.clear()


@pytest.mark.parametrize("training", [False, True])
def test_a_critic_that_learned_other_codes_takes_no_value_below_what_a_network_says(
    small, training
) -> None:
    """Its bound falls to -2 nats on independent sides; its gradient is the one it was."""
    said: list[dict[str, torch.Tensor]] = []
    term = torchmist.MIRegularizer(small, goal="maximize", log=said.append)
    generator = torch.Generator().manual_seed(0)
    for _ in range(56):
        z = torch.randn(64, 2, generator=generator)
        term(z, z + 0.1 * torch.randn(64, 2, generator=generator))
    z, y = (torch.randn(64, 2, generator=generator) for _ in range(2))
    value = term.train(training)(z.requires_grad_(), y)
    opinions = said[-1]
    assert opinions["critic"] < -0.5 and -0.2 <= value < 0.1
    counted = [opinions[name] for name in ("raw", "whitened", "rotated")] + [torch.zeros(())]
    expected = -0.05 * (torch.stack(counted) / -0.05).exp().mean().log()
    torch.testing.assert_close(value.detach(), expected, atol=1e-6, rtol=0)
    assert torch.isfinite(torch.autograd.grad(-value, z)[0]).all()
