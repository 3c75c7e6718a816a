"""Outputs of the authors' package, to hold our reference architecture against.

``pip install --no-deps mist-statinf==0.1.1``, then ``python -m benchmarks.reference_outputs``
writes ``tests/data/mist_statinf.json``. Only the package's two model files are read, which need
torch alone; its pinned jax 0.4.26 does not fit beside what the benchmarks need.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CONFIGS", "inputs", "main", "package", "randomise"]

_SMALL = {
    "max_input_dim": 12, "n_phi_layers": 1, "n_dec_layers": 1, "phi_hidden_dim": 16,
    "n_phi_heads": 2, "phi_dim_forward": 24, "phi_activation_fun": "relu", "n_rho_layers": 2,
    "rho_hidden_dim": 20, "n_inds": 4, "sab_stack_layers": 1, "n_seeds": 3,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "released": {
        "max_input_dim": 64, "n_phi_layers": 2, "n_dec_layers": 1, "phi_hidden_dim": 256,
        "n_phi_heads": 16, "phi_dim_forward": 1024, "phi_activation_fun": "gelu",
        "n_rho_layers": 3, "rho_hidden_dim": 256, "n_inds": 32, "sab_stack_layers": 2,
        "n_seeds": 10, "quantile_conditioned": True,
    },
    "small": {**_SMALL, "quantile_conditioned": True},
    "small without levels": {**_SMALL, "quantile_conditioned": False},
}  # fmt: skip
"""``released`` is the architecture of the authors' checkpoints."""


def randomise(model: nn.Module) -> None:
    """Fill every parameter, in the order of its name, from one seed."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            noise = torch.randn(value.shape, generator=generator)
            scale = 1.5 * value.shape[-1] ** -0.5 if value.dim() > 1 else 0.3
            centre = float(value.dim() == 1 and name.endswith("weight"))  # of layer norms
            value.copy_(centre + scale * noise)


def inputs(columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows ``[3, 20, C]``, padding and levels; a real row sums to 0, which is masked out."""
    generator = torch.Generator().manual_seed(1)
    source = torch.zeros(3, 20, columns)
    source[..., :8] = torch.randn(3, 20, 8, generator=generator)
    source[0, 3, :8] = torch.tensor([1.0, -1.0] * 4)
    padding = torch.arange(20) >= torch.tensor([20, 15, 12])[:, None]
    source[padding] = 0
    return source, padding, torch.tensor([[0.1], [0.5], [0.9]])


def package() -> ModuleType | None:
    """``mist_statinf.model.estimator`` without what the package imports first; None if absent."""
    name = "mist_statinf"
    if name not in sys.modules:
        found = importlib.util.find_spec(name)
        if found is None or not found.submodule_search_locations:
            return None
        bare = ModuleType(name)
        bare.__path__ = list(found.submodule_search_locations)
        sys.modules[name] = bare
    return importlib.import_module(f"{name}.model.estimator")


def main() -> None:
    """Write the outputs and the names and shapes of the parameters."""
    theirs = package()
    if theirs is None:
        raise SystemExit("mist_statinf is not installed: pip install --no-deps mist-statinf==0.1.1")
    out: dict[str, Any] = {}
    for name, config in CONFIGS.items():
        model = theirs.MISTModel(**config).eval()
        randomise(model)
        source, padding, tau = inputs(config["max_input_dim"])
        batches = {
            "whole": {"source": source, "tau": tau},
            "padded": {"source": source, "tau": tau, "padding_mask": padding},
        }
        with torch.no_grad():
            values = {k: model(b).flatten().tolist() for k, b in batches.items()}
        shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
        out[name] = {"outputs": values, "shapes": shapes}
    path = Path("tests/data/mist_statinf.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(out, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
