"""Entropy of labels, and what it does to estimates and to their gradients."""

from __future__ import annotations

import math

import pytest
import torch

import torchmist
from torchmist.models.mist import MIST
from torchmist.samples.label_entropy import label_bound, label_entropy


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_entropy_of_equal_classes_is_the_logarithm_of_their_number(classes: int) -> None:
    index = torch.arange(60) % classes
    one_hot = torch.nn.functional.one_hot(index)[None].float()
    columns = one_hot[..., 1:] if classes == 2 else one_hot
    assert label_entropy(columns).item() == pytest.approx(math.log(classes))


def test_masked_labels_do_not_count() -> None:
    columns = torch.tensor([[[0.0], [1.0], [1.0], [1.0]]])
    mask = torch.tensor([[True, True, False, False]])
    assert label_entropy(columns, mask).item() == pytest.approx(math.log(2))


def test_the_smaller_entropy_bounds_and_floats_have_none() -> None:
    z, few, many = torch.randn(12, 1), torch.arange(12) % 2, torch.arange(12) % 4
    columns = (few[None, :, None].float(), torch.nn.functional.one_hot(many)[None].float())
    assert label_bound((few, many), columns).item() == pytest.approx(math.log(2))
    assert label_bound((z, z), (z[None], z[None])) is None


@pytest.mark.parametrize("form", ["function", "module"])
def test_value_stays_below_the_entropy_and_keeps_its_gradient(small: MIST, form: str) -> None:
    with torch.no_grad():
        small.head.project.bias[0] += 3.0
    forms = {
        "function": lambda a, b: torchmist.mist_mi(a, b, model=small),
        "module": torchmist.MIRegularizer(small),
    }
    label = (torch.arange(40) == 0).long()  # an entropy of 0.117 nats
    z = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    free = torchmist.mist_mi(z, label.float(), model=small)
    (wanted,) = torch.autograd.grad(free, z)
    value = forms[form](z, label)
    (got,) = torch.autograd.grad(value, z)
    bound = label_entropy(label[None, :, None].float()).item()
    assert free.item() > bound and value.item() <= bound + 1e-6
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("classes", [2, 3, 7, 20])
def test_labels_on_both_sides(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    label = torch.randint(classes, (400,), generator=generator)
    other = torch.randint(classes, (400,), generator=generator)
    same, apart = torchmist.estimate(label, label), torchmist.estimate(label, other)
    assert same.quantile(0.99) <= math.log(classes) + 1e-6
    assert same.mean > apart.mean
