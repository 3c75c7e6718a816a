"""Two networks and an arbiter: invariances, gradients, files that refer to their parents."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import torchmist
from torchmist.ensemble.arbiter import Arbiter
from torchmist.ensemble.correction_turned_axes import TURNED_COUNT
from torchmist.ensemble.duo import DuoMIST
from torchmist.ensemble.evidence import Evidence
from torchmist.models.column_products import CROSSED_COUNT
from torchmist.models.even_directions import EVEN_COUNT
from torchmist.models.independent_components import UNMIXED_COUNT
from torchmist.models.label_classifiers import TOLD_SIZES
from torchmist.models.label_curves import CURVE_COUNT
from torchmist.models.latent_classes import CLASSES_COUNT
from torchmist.models.manifold_dimensions import DIMENSION_COUNT
from torchmist.models.mist import MIST, MISTConfig
from torchmist.models.neighbourhood import FEATURE_COUNT, OPINION_COUNT
from torchmist.models.number_curves import NUMBER_COUNT
from torchmist.models.regimes import REGIMES_COUNT
from torchmist.models.repeated_variates import REPEATED_COUNT
from torchmist.models.settled_neighbours import SETTLED_COUNT
from torchmist.models.variates import SHARPNESS_COUNT, VARIATE_COUNT, VARIATE_OPINIONS
from torchmist.weights import registry, save_weights

SMALL = dict(
    odd=3, even=3, paired=2, basis_width=8, pair_width=8, feature_width=16, feature_layers=1,
    sample_width=16, inducing=4, heads=2, embedding=2, readout_width=8, head_width=32,
)  # fmt: skip
NAMES = ("mist-v1", "mist-v2-preview")


@pytest.fixture(scope="module")
def duo() -> DuoMIST:
    """A duo that reads all there is, whose parameters are all away from where they start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        out = DuoMIST(
            MIST(MISTConfig(**SMALL)),
            MIST(MISTConfig(**SMALL, local=1)),
            Arbiter(16, further=True, unmixed=True),
            NAMES,
        ).eval()
        with torch.no_grad():
            for p in out.parameters():
                p.add_(0.05 * torch.randn_like(p))
    return out.requires_grad_(False)


@pytest.fixture
def sample() -> tuple[torch.Tensor, torch.Tensor]:
    """Two datasets of 60 samples with 3 and 2 columns."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 60, 3, generator=generator)
    return x, x[..., :2] + 0.5 * torch.randn(2, 60, 2, generator=generator)


def test_estimates_are_free_of_order_of_maps_and_of_the_swap(duo, sample) -> None:
    x, y = sample
    out = duo(x, y)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    for changed in (duo(y, x), duo(x[:, order], y[:, order]), duo(x.flip(-1).exp(), -y)):
        torch.testing.assert_close(changed, out, atol=1e-4, rtol=1e-4)


def test_quantiles_increase_and_padding_changes_nothing(duo, sample) -> None:
    x, y = sample
    out = duo(x, y)
    assert out.shape == (2, 24) and bool((out.diff(dim=-1) >= 0).all())
    longer = [torch.cat([v, torch.randn(2, 9, v.shape[-1])], 1) for v in (x, y)]
    mask = torch.arange(69).expand(2, -1) < 60
    torch.testing.assert_close(duo(*longer, mask), out, atol=1e-4, rtol=1e-4)


def test_a_gradient_reaches_both_sides(duo, sample) -> None:
    x, y = (v.clone().requires_grad_() for v in sample)
    duo(x, y).mean().backward()
    for v in (x, y):
        assert v.grad is not None and bool(v.grad.isfinite().all()) and bool((v.grad != 0).any())


@pytest.mark.parametrize("columns", [1, 3])
def test_double_precision_is_read_as_single(duo, columns) -> None:
    x, y = (torch.randn(2, 50, columns, dtype=torch.float64) for _ in range(2))
    torch.testing.assert_close(duo(x, y), duo(x.float(), y.float()))


def test_autocast_changes_nothing_of_the_variates(duo, sample) -> None:
    x, y = sample
    plain = duo.ask(x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = duo.ask(x, y)
    torch.testing.assert_close(cast.variates, plain.variates)
    torch.testing.assert_close(cast.correlations, plain.correlations)


def evidence(opinions: float) -> Evidence:
    """Networks of medians about 0.7 and 1.4 nats, and opinions that agree."""
    plain, local = torch.linspace(0.5, 1.0, 24)[None], torch.linspace(1.0, 2.0, 24)[None]
    said, sizes = torch.full((1, OPINION_COUNT), opinions), torch.tensor([[50.0, 2.0, 3.0]])
    found = [torch.full((1, VARIATE_OPINIONS), opinions)]
    found += [torch.zeros(1, count) for count in (VARIATE_COUNT, SHARPNESS_COUNT)]
    found += [torch.full((1, 1), opinions), torch.zeros(1, 3), torch.zeros(1, CROSSED_COUNT)]
    counts = UNMIXED_COUNT, sum(TOLD_SIZES), REPEATED_COUNT, REGIMES_COUNT, SETTLED_COUNT
    later = TURNED_COUNT + 24, CLASSES_COUNT, EVEN_COUNT, DIMENSION_COUNT, CURVE_COUNT, NUMBER_COUNT
    found += [torch.zeros(1, k) for k in (*counts, 24, *later)]
    features = torch.zeros(1, FEATURE_COUNT)
    return Evidence(plain, local, said, torch.zeros(1), features, *found, sizes)


@pytest.mark.parametrize("further", [False, True])
def test_an_untrained_arbiter_has_the_mean_of_all_candidates_as_its_median(further) -> None:
    seen = evidence(1.0)
    out = Arbiter(further=further)(seen)
    t = torch.log(torch.ones(OPINION_COUNT + VARIATE_OPINIONS + 1) + 0.2)
    plain, local = (torch.log(q + 0.2) for q in (seen.plain, seen.local))
    medians = plain[0, 11], local[0, 11]  # the lower of both middle quantiles
    others = torch.stack([*medians, torch.zeros(()), local.mean()])
    expected = torch.cat([t, others]).mean()
    found = torch.log(out + 0.2)[0, 11:13].mean()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_members_are_averaged_in_t_and_stretched_by_the_doubt() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        arbiter = Arbiter(16, members=3)
        for p in arbiter.members.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
        seen = evidence(0.4)
        each = arbiter.each(seen)
        assert each.shape == (3, 1, 24)
        torch.testing.assert_close(arbiter(seen), each.mean(0).exp() - 0.2)
        for p in arbiter.doubt.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
    stretched = arbiter.doubt(each)
    torch.testing.assert_close(arbiter(seen), stretched.exp() - 0.2)
    assert not torch.allclose(stretched, each.mean(0))


def test_a_file_holds_the_arbiter_and_names_its_parents(duo, tmp_path) -> None:
    path = tmp_path / "duo.safetensors"
    save_weights(duo, path, provenance={"seed": 3}, evaluation={})
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        assert all(
            name.startswith(("members", "doubt", "further", "unmixing", "mean", "scale"))
            for name in file.keys()
        )
    parents = json.loads(header["parents"])
    assert parents == {name: registry()[name]["sha256"] for name in NAMES}
    loaded = torchmist.load_pretrained(path)
    assert isinstance(loaded, DuoMIST) and loaded.provenance == {"seed": 3}
    own, found = duo.arbiter.state_dict(), loaded.arbiter.state_dict()
    assert all(torch.equal(own[k], found[k]) for k in own)


def test_other_parents_are_refused(duo, tmp_path) -> None:
    path = tmp_path / "duo.safetensors"
    header = {"format": "torchmist", "model": "duo", "provenance": "{}", "evaluation": "{}",
              "parents": json.dumps({"mist-v1": "0", "mist-v2-preview": "0"}),
              "arbiter": json.dumps(duo.arbiter.sizes())}  # fmt: skip
    save_file(duo.arbiter.state_dict(), path, metadata=header)
    with pytest.raises(ValueError, match="expected the weights mist-v1 of sha256 0.*install"):
        torchmist.load_pretrained(path)


def test_more_members_than_a_file_holds_are_refused(duo, tmp_path) -> None:
    path = tmp_path / "duo.safetensors"
    parents = {name: registry()[name]["sha256"] for name in NAMES}
    sizes = {**duo.arbiter.sizes(), "members": 100}
    header = {"format": "torchmist", "model": "duo", "provenance": "{}", "evaluation": "{}",
              "parents": json.dumps(parents), "arbiter": json.dumps(sizes)}  # fmt: skip
    save_file(duo.arbiter.state_dict(), path, metadata=header)
    with pytest.raises(ValueError, match="expected tensors for 100 members"):
        torchmist.load_pretrained(path)
