"""A queue of recent samples beside the batch: what it holds, the value and the gradient."""

from __future__ import annotations

import torch

import torchmist
from torchmist.terms.memory_bank import Memory, weighed

Z, Y = (torch.randn(60, d, generator=torch.Generator().manual_seed(d)) for d in (3, 2))


def test_memory_holds_the_last_samples_and_empties_for_other_ones() -> None:
    memory = Memory(5)
    memory.keep(torch.arange(4.0)[:, None], torch.arange(4))
    memory.keep(torch.arange(4.0, 8)[:, None], torch.arange(4, 8))
    z, y = memory.beside(torch.zeros(1, 1), torch.zeros(1, dtype=torch.long))
    assert y.tolist() == [0, 3, 4, 5, 6, 7] and z[:, 0].tolist() == [0.0, 3, 4, 5, 6, 7]
    assert len(memory.beside(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))[0]) == 2


def test_memory_gives_the_value_of_the_whole_and_its_gradient_to_the_batch(small) -> None:
    reg = torchmist.MIRegularizer(small, memory=45)
    reg(Z[15:], Y[15:])
    z, whole = Z[:15].clone().requires_grad_(), Z.clone().requires_grad_()
    value = reg(z, Y[:15])
    value.backward()
    expected = torchmist.mist_mi(whole, Y, model=small)
    expected.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(z.grad, 4 * whole.grad[:15], atol=1e-5, rtol=1e-3)
    assert len(reg.memory) == 45
    torch.testing.assert_close(reg.eval()(Z, Y), torchmist.mist_mi(Z, Y, model=small))


def test_weighed_changes_the_gradient_alone() -> None:
    x = torch.ones(3, requires_grad=True)
    out = weighed(x, 2.5)
    out.sum().backward()
    assert torch.equal(out, x) and x.grad.tolist() == [2.5] * 3


def kept_twice(y: torch.Tensor, recwarn) -> bool:
    """Whether batches of 20 out of ``y``, epoch after epoch, are said to be kept already."""
    torchmist.checks._warned.clear()
    memory, generator = Memory(400), torch.Generator().manual_seed(0)
    for _ in range(6):
        for rows in torch.randperm(len(y), generator=generator).split(20):
            memory.beside(rows[:, None].float(), y[rows])
            memory.keep(rows[:, None].float(), y[rows])
    return any("stand in the memory already" in str(w.message) for w in recwarn.list)


def test_rows_that_are_kept_twice_are_named(recwarn) -> None:
    assert kept_twice(Y.new_tensor(range(200))[:, None].sin(), recwarn)


def test_rows_of_more_data_than_are_kept_and_repeated_values_are_not(recwarn) -> None:
    codes = torch.arange(200) % 9
    for y in (torch.arange(2000).sin(), codes, codes.float()):
        assert not kept_twice(y, recwarn)
