"""``MIRegularizer``: the mutual-information term as a module of a host network."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from torchmist.checks import check_pair, check_tensors
from torchmist.functional import Model, Statistic, check_statistic, pair_mi, resolve_model
from torchmist.models.mist import MIST
from torchmist.weights import load_pretrained

__all__ = ["MIRegularizer"]

_CPU = torch.device("cpu")


class MIRegularizer(nn.Module):
    """:func:`~torchmist.mist_mi` as an ``nn.Module``, safe inside any host module.

    Frozen (the default), the estimator is no submodule: it stays in eval mode and float32, and out
    of the host's ``parameters()``, ``state_dict()``, ``train()``, ``requires_grad_()`` and
    ``half()``; it follows the device of its input. With ``trainable=True`` it is an ordinary
    submodule, to be fine-tuned and saved with the host.

    Args:
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST`` module (which
            is copied).
        trainable: whether the estimator's weights are parameters of this module.
        statistic: ``"mean"``, ``"median"``, or a quantile level in (0, 1).

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi` and ``load_pretrained``.

    Example:
        >>> import torch
        >>> reg = MIRegularizer()
        >>> loss = reg(torch.randn(64, 2), torch.randn(64, 3))
        >>> len(list(reg.parameters()))
        0
    """

    def __init__(
        self, model: Model = "mist", *, trainable: bool = False, statistic: Statistic = "mean"
    ) -> None:
        super().__init__()
        check_statistic(statistic)
        self.statistic = statistic
        self.trainable = trainable
        if isinstance(model, MIST):
            network = copy.deepcopy(model)
        elif trainable:
            network = load_pretrained(model)
        else:
            network = resolve_model(model, _CPU)
        if trainable:
            self.network = network.requires_grad_(True)
        else:
            self._frozen = (network.eval().requires_grad_(False),)

    def __deepcopy__(self, memo: dict[int, Any]) -> MIRegularizer:
        """A copy; frozen weights are shared, as nothing can change them."""
        twin = self.__class__.__new__(self.__class__)
        memo[id(self)] = twin
        for key, value in self.__dict__.items():
            twin.__dict__[key] = value if key == "_frozen" else copy.deepcopy(value, memo)
        return twin

    def estimator(self, like: Tensor) -> MIST:
        """The network, on the device of ``like``."""
        if self.trainable:
            return self.network
        network = self._frozen[0]
        if network.levels.device != like.device:
            network = copy.deepcopy(network).to(like.device)
            self._frozen = (network,)
        return network

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """+I(Z;Y) in nats, 0-dim; shapes and errors as :func:`~torchmist.mist_mi`."""
        check_tensors(z=z, y=y)
        a, b = check_pair(z, y, ("z", "y"))
        return pair_mi(a, b, self.estimator(a), self.statistic).mean()

    def extra_repr(self) -> str:
        return f"trainable={self.trainable}, statistic={self.statistic!r}"
