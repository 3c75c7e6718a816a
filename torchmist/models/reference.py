"""The published architecture of MIST (arXiv 2511.18945): the baseline, never the default.

It reads the columns in a fixed order and their raw values, so its estimates move when columns are
shuffled or rescaled. Parameter names are those of ``mist-statinf`` 0.1.1, whose checkpoints load.
Legend: ``B`` datasets, ``N`` samples, ``C`` padded columns, ``H`` width, ``Q`` quantiles.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from torchmist.quantile_head import quantile_levels

__all__ = ["ReferenceConfig", "ReferenceMIST"]

_PREFIXES = ("msm.", "core.")  # of Lightning checkpoints and of Hugging Face ones
_FORMAT = "torchmist-reference"


@dataclass(frozen=True)
class ReferenceConfig:
    """Sizes of a :class:`ReferenceMIST`, under the names of ``mist-statinf``.

    The defaults are those of the authors' released checkpoints (about 5 M parameters), with the
    quantile level as an input (MIST-QR).

    Args:
        max_input_dim: columns of X and Y together after padding; more are an error.
        phi_hidden_dim, n_phi_heads, phi_dim_forward, phi_activation_fun: of every attention block.
        sab_stack_layers, n_phi_layers, n_dec_layers: blocks among samples, through inducing points,
            and among pooled seeds.
        n_inds, n_seeds: inducing points and pooled seeds.
        n_rho_layers, rho_hidden_dim: the head.
        output_dim: outputs of the head.
        quantile_conditioned: whether the head takes a quantile level.
    """

    max_input_dim: int = 64
    n_phi_layers: int = 2
    n_dec_layers: int = 1
    phi_hidden_dim: int = 256
    n_phi_heads: int = 16
    phi_dim_forward: int = 1024
    phi_activation_fun: Literal["gelu", "relu"] = "gelu"
    n_rho_layers: int = 3
    rho_hidden_dim: int = 256
    n_inds: int = 32
    sab_stack_layers: int = 2
    n_seeds: int = 10
    output_dim: int = 1
    quantile_conditioned: bool = True

    def __post_init__(self) -> None:
        if self.phi_activation_fun not in ("gelu", "relu"):
            raise ValueError(
                f"expected phi_activation_fun 'gelu' or 'relu', got {self.phi_activation_fun!r}"
            )
        if self.phi_hidden_dim % self.n_phi_heads:
            raise ValueError(
                f"expected phi_hidden_dim to be a multiple of n_phi_heads={self.n_phi_heads}, got "
                f"{self.phi_hidden_dim}"
            )

    def to_dict(self) -> dict[str, Any]:
        """All fields as a plain dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ReferenceConfig:
        """Inverse of :meth:`to_dict`; an unknown key raises ``TypeError``."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise TypeError(
                f"unknown ReferenceConfig keys {unknown}; known keys are {sorted(known)}"
            )
        return cls(**values)


class _Attend(nn.Module):
    """Post-norm MAB (Lee et al. 2019): ``x`` attends to ``y``, then a feed-forward layer."""

    def __init__(self, c: ReferenceConfig, hidden: int) -> None:
        super().__init__()
        width = c.phi_hidden_dim
        self.mha = nn.MultiheadAttention(width, c.n_phi_heads, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.activation = F.gelu if c.phi_activation_fun == "gelu" else F.relu

    def forward(self, x: Tensor, y: Tensor, padding: Tensor | None = None) -> Tensor:
        read, _ = self.mha(x, y, y, key_padding_mask=padding, need_weights=False)
        x = self.norm1(x + read)
        out: Tensor = self.norm2(x + self.linear2(self.activation(self.linear1(x))))
        return out


class _SelfAttention(nn.Module):
    """SAB: a set attends to itself."""

    def __init__(self, c: ReferenceConfig) -> None:
        super().__init__()
        self.mab = _Attend(c, c.phi_hidden_dim)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        out: Tensor = self.mab(x, x, padding)
        return out


class _Induced(nn.Module):
    """ISAB: a set attends to itself through learned points ``i``."""

    def __init__(self, c: ReferenceConfig) -> None:
        super().__init__()
        self.i = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, c.n_inds, c.phi_hidden_dim)))
        self.mab0, self.mab1 = _Attend(c, c.phi_dim_forward), _Attend(c, c.phi_dim_forward)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        points = self.mab0(self.i.expand(len(x), -1, -1), x, padding)
        out: Tensor = self.mab1(x, points)
        return out


class _Pool(nn.Module):
    """PMA: learned seeds ``s`` attend to a set."""

    def __init__(self, c: ReferenceConfig, seeds: int) -> None:
        super().__init__()
        self.s = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, seeds, c.phi_hidden_dim)))
        self.mab = _Attend(c, c.phi_hidden_dim)

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        out: Tensor = self.mab(self.s.expand(len(x), -1, -1), x, padding)
        return out


class _Stack(nn.Module):
    """Self-attention blocks, each with a layer norm and dropout behind it, as one list."""

    def __init__(self, c: ReferenceConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(c.sab_stack_layers):
            self.layers += [_SelfAttention(c), nn.LayerNorm(c.phi_hidden_dim), nn.Dropout(0.3)]

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, padding) if isinstance(layer, _SelfAttention) else layer(x)
        return x


class _SetTransformer(nn.Module):
    """Embedding, attention among samples, induced attention, pooling, decoder: ``[B, H]``."""

    def __init__(self, c: ReferenceConfig) -> None:
        super().__init__()
        width = c.phi_hidden_dim
        self.embedding_mlp = nn.Sequential(
            nn.Linear(c.max_input_dim, 2 * width), nn.GELU(), nn.LayerNorm(2 * width),
            nn.Dropout(0.1), nn.Linear(2 * width, width), nn.GELU(), nn.LayerNorm(width),
        )  # fmt: skip
        self.feature_interaction_block = _Stack(c)
        self.encoder = nn.Sequential(*(_Induced(c) for _ in range(c.n_phi_layers)))
        self.pooling_pma = _Pool(c, c.n_seeds)
        decoder = [_SelfAttention(c) for _ in range(c.n_dec_layers)]
        self.decoder = nn.Sequential(*decoder, _Pool(c, 1))
        self.output_layer = nn.Linear(width, width)

    def forward(self, source: Tensor, padding: Tensor | None) -> Tensor:
        blank = source.sum(-1) == 0  # as published: also a real sample whose row sums to 0
        x = self.feature_interaction_block(self.embedding_mlp(source), blank)
        for block in self.encoder:
            x = block(x, padding)
        pooled: Tensor = self.decoder(self.pooling_pma(x, padding))
        out: Tensor = self.output_layer(pooled[:, 0])
        return out


class ReferenceMIST(nn.Module):
    """The published MIST and MIST-QR: a set transformer over rows of raw columns.

    Rows are X beside Y, zero-padded to ``max_input_dim`` columns. There is dropout in train mode.

    Example:
        >>> import torch
        >>> config = ReferenceConfig(phi_hidden_dim=16, n_phi_heads=2, phi_dim_forward=32)
        >>> model = ReferenceMIST(config).eval()
        >>> model(torch.randn(3, 50, 2), torch.randn(3, 50, 2)).shape
        torch.Size([3, 24])
    """

    levels: Tensor

    def __init__(self, config: ReferenceConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or ReferenceConfig()
        self.register_buffer("levels", quantile_levels(24), persistent=False)
        self.phi = _SetTransformer(c)
        widths = [c.phi_hidden_dim + c.quantile_conditioned]
        widths += [c.rho_hidden_dim] * (c.n_rho_layers - 1) + [c.output_dim]
        layers: list[nn.Module] = []
        for wide, narrow in itertools.pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.rho = nn.Sequential(*layers[:-1])
        self.provenance: dict[str, Any] = {}

    def rows(self, x: Tensor, y: Tensor) -> Tensor:
        """X beside Y with zeros behind, ``[B, N, C]``.

        Raises ``ValueError`` where there are too many columns (the published code cuts them).
        """
        spare = self.config.max_input_dim - x.shape[-1] - y.shape[-1]
        if spare < 0:
            raise ValueError(
                f"expected at most {self.config.max_input_dim} columns in X and Y together, got "
                f"{x.shape[-1]} + {y.shape[-1]}"
            )
        return F.pad(torch.cat([x, y], -1), (0, spare))

    def at(
        self, source: Tensor, tau: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """The published forward pass, ``[B, output_dim]``.

        Args:
            source: rows ``[B, N, C]``.
            tau: quantile levels ``[B, 1]``, if the network takes them.
            padding: ``[B, N]`` bool, True for rows that are none.
        """
        found = self.phi(source, padding)
        if self.config.quantile_conditioned:
            if tau is None:
                raise ValueError("expected a quantile level tau [B, 1] for each dataset, got None")
            found = torch.cat([found, tau], 1)
        out: Tensor = self.rho(found)
        return out

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Outputs at all ``levels`` in nats, ``[B, Q]``; of MIST without levels, ``[B, 1]``."""
        found = self.phi(self.rows(x, y), None)
        if self.config.quantile_conditioned:
            tau = self.levels.expand(len(found), -1)[..., None]
            found = torch.cat([found[:, None].expand(-1, tau.shape[1], -1), tau], -1)
        out: Tensor = self.rho(found)
        return out[..., 0] if self.config.quantile_conditioned else out

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Load tensors named as in ``mist-statinf``, with or without ``msm.`` or ``core.``."""
        prefix = next((p for p in _PREFIXES if all(k.startswith(p) for k in state)), "")
        self.load_state_dict({k[len(prefix) :]: v for k, v in state.items()}, strict=True)

    def save(self, path: str | os.PathLike[str], provenance: dict[str, Any]) -> None:
        """Write safetensors with the configuration and ``provenance`` in the header."""
        header = {
            "format": _FORMAT, "config": json.dumps(self.config.to_dict()),
            "provenance": json.dumps(provenance),
        }  # fmt: skip
        tensors = {name: value.contiguous() for name, value in self.state_dict().items()}
        save_file(tensors, os.fspath(path), metadata=header)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], config: ReferenceConfig | None = None
    ) -> ReferenceMIST:
        """A frozen network from a file, in eval mode.

        Args:
            path: ``.safetensors`` by :meth:`save` or from the authors, or their ``.ckpt`` or
                ``.pt``.
            config: sizes of an authors' file, which does not state them.

        Raises:
            ValueError: if the file holds pickled objects beside tensors.
        """
        if Path(path).suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
            state: Mapping[str, Tensor] = load_file(path)
        else:
            header, state = {}, _tensors(path)
        if header.get("format") == _FORMAT:
            config = ReferenceConfig.from_dict(json.loads(header["config"]))
        with torch.random.fork_rng(devices=[]):  # what the constructor draws is replaced
            model = cls(config)
        model.load_published(state)
        model.provenance = json.loads(header.get("provenance", "{}"))
        return model.eval().requires_grad_(False)


def _tensors(path: str | os.PathLike[str]) -> Mapping[str, Tensor]:
    """The state dict in a torch file, alone or under ``state_dict``."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"expected tensors alone in {path}, found pickled objects; if you trust the file, read "
            f"it with torch.load(path, weights_only=False)['state_dict'] and pass that to "
            f"load_published"
        ) from error
    state: Mapping[str, Tensor] = content.get("state_dict", content)
    return state
