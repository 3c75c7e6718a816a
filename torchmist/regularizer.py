"""``MIRegularizer``: the mutual-information term as a module of a host network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchmist.checks import (
    MIN_SAMPLES,
    check_mask,
    check_num_classes,
    check_pair,
    check_tensors,
    fixed_one_hot,
    visible,
    warn_once,
)
from torchmist.entropy import label_bound
from torchmist.functional import (
    Model,
    Statistic,
    Wrt,
    average,
    check_statistic,
    pair_quantiles,
    reduce_quantiles,
    resolve_model,
    stop_gradients,
    varies,
    warn_without_gradient,
)
from torchmist.gather import gather_samples
from torchmist.lift import Lift, LiftConfig
from torchmist.models.network import QuantileNetwork
from torchmist.weights import load_pretrained

__all__ = ["MIRegularizer"]

_CPU = torch.device("cpu")


def _lifts(lift: int | LiftConfig | None) -> list[Lift]:
    if lift is None:
        return []
    if isinstance(lift, int):
        lift = LiftConfig(lift)
    if not isinstance(lift, LiftConfig):
        raise TypeError(
            f"expected lift to be the number of columns of z or a LiftConfig, got {lift!r}"
        )
    return [Lift(lift) for _ in range(lift.count)]


class MIRegularizer(nn.Module):
    """:func:`~torchmist.mist_mi` as an ``nn.Module``, safe inside any host module.

    Frozen (the default), the estimator is no submodule: it stays in eval mode and float32, and out
    of the host's ``parameters()``, ``state_dict()``, ``train()``, ``requires_grad_()`` and
    ``half()``; it follows the device of its input. With ``trainable=True`` it is an ordinary
    submodule, to be fine-tuned and saved with the host.

    An encoder whose task needs what the term removes learns to hide it from a frozen estimator.
    ``lift`` is the cure: a small network ``h``, which learns to predict ``y`` from ``z`` in the
    host's own backward pass and optimizer, appends columns ``h(z)`` that bring the hidden part back
    into view, and ``I((z, h(z)); y) = I(z; y)``. It is for terms that are minimised only.

    Args:
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST`` module (which
            is copied).
        trainable: whether the estimator's weights are parameters of this module.
        statistic: ``"mean"``, ``"median"``, or a quantile level in (0, 1).
        lift: the number of columns of ``z``, or a :class:`~torchmist.lift.LiftConfig`. The lift's
            weights are ``parameters()`` of this module: hand them to the host's optimizer.
        gather: estimate from the samples of all processes of ``torch.distributed``, with the
            gradient that one process would have under ``DistributedDataParallel``.
        num_classes: of integer labels. With a lift they are columns whose place does not depend on
            which classes a batch holds; without it, labels are checked against it alone.
        log: called with a dict of detached 0-dim tensors (``"mi"`` and its ``"low"`` and
            ``"high"``, the 90 % interval, in nats) at every call of the module.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi`, ``load_pretrained`` and
            ``LiftConfig``.

    Example:
        >>> import torch
        >>> reg = MIRegularizer()
        >>> loss = reg(torch.randn(64, 2), torch.randn(64, 3))
        >>> len(list(reg.parameters()))
        0
    """

    def __init__(
        self, model: Model = "mist-fast", *, trainable: bool = False,
        statistic: Statistic = "mean", lift: int | LiftConfig | None = None,
        gather: bool = False, log: Callable[[dict[str, Tensor]], object] | None = None,
        num_classes: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_classes = num_classes
        check_statistic(statistic)
        self.statistic = statistic
        self.trainable = trainable
        self.gather = gather
        self.log = log
        self.lifts = nn.ModuleList(_lifts(lift))
        if isinstance(model, QuantileNetwork):
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

    def estimator(self, like: Tensor) -> QuantileNetwork:
        """The network, on the device of ``like``."""
        if self.trainable:
            return self.network
        network = self._frozen[0]
        if network.levels.device != like.device:
            network = copy.deepcopy(network).to(like.device)
            self._frozen = (network,)
        return network

    def forward(
        self, z: Tensor, y: Tensor, *, wrt: Wrt = "both", mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """+I(Z;Y) in nats, 0-dim; arguments and errors as :func:`~torchmist.mist_mi`.

        With ``gather``, ``z`` and ``y`` are ``[N]`` or ``[N, d]``, without a mask.
        """
        check_tensors(z=z, y=y)
        check_num_classes(self.num_classes, z=z, y=y)
        warn_without_gradient(z, y)
        if self.gather:
            z, y = self._gathered(z, "z", mask), self._gathered(y, "y", mask)
        if z.dim() in (1, 2, 3) and z.shape[z.dim() == 3] < MIN_SAMPLES:
            return self._nothing(z, y, f"a batch of fewer than {MIN_SAMPLES} samples")
        a, b = stop_gradients(*check_pair(z, y, ("z", "y")), wrt)
        network, mask = self.estimator(a), check_mask(mask, a)
        if mask is None and visible(varies(a, b).any()) is False:
            return self._nothing(z, y, "a batch in which one side is constant")
        lifted = self._lifted(a, self._columns(y, b), mask, labels=not y.is_floating_point())
        views = [view for view, _ in lifted] or [a]
        bound = label_bound((z, y), (a, b), mask)
        each = torch.stack([pair_quantiles(view, b, network, mask, bound) for view in views])
        if self.log is not None:
            self._report(each.detach().mean((0, 1))[None], network.levels)
        mi = reduce_quantiles(each.flatten(0, 1), network.levels, self.statistic)
        term = average(mi.view(len(views), -1).mean(0), weight)
        for _, error in lifted:
            term = term + (error - error.detach())  # a gradient for the lift, and nothing else
        return term

    def view(self, z: Tensor, y: Tensor) -> Tensor:
        """``z`` ``[N, d]`` with the columns that the lifts append, without gradients.

        It holds as much of ``y`` as ``z`` does: ``torchmist.estimate(term.view(z, y), y)`` judges a
        code by all that this term sees of it. Errors as :meth:`forward`.
        """
        check_tensors(z=z, y=y)
        a, b = check_pair(z, y, ("z", "y"))
        with torch.no_grad():
            lifted = self._lifted(a, self._columns(y, b), None, labels=not y.is_floating_point())
            appended = [view[..., a.shape[-1] :] for view, _ in lifted]
            return torch.cat([a, *appended], -1).view(*z.shape[: max(1, z.dim() - 1)], -1)

    def _nothing(self, z: Tensor, y: Tensor, what: str) -> Tensor:
        """0 with a zero gradient, and one warning: an epoch must not end in an exception."""
        warn_once(f"torchmist: {what} has no mutual information to estimate: the term is 0 there")
        both = [value.float().sum() for value in (z, y) if value.is_floating_point()]
        return sum(both, torch.zeros((), device=z.device)) * 0.0

    def _columns(self, y: Tensor, columns: Tensor) -> Tensor:
        """What a lift predicts of ``y``: its columns, at a fixed place for each class."""
        if self.num_classes is None or y.is_floating_point():
            return columns
        return fixed_one_hot(y, self.num_classes)

    def _lifted(
        self, z: Tensor, y: Tensor, mask: Tensor | None, *, labels: bool
    ) -> list[tuple[Tensor, Tensor]]:
        """Each lift's view of ``z`` and its error; ``labels``: the columns of ``y`` are classes."""
        return [lift(z, y, mask, squares=not labels) for lift in self.lifts]

    def _gathered(self, value: Tensor, name: str, mask: Tensor | None) -> Tensor:
        if value.dim() > 2 or mask is not None:
            raise ValueError(
                f"expected {name} of shape [N] or [N, d] and no mask with gather=True, got "
                f"{list(value.shape)}; estimate batches of datasets on their own process"
            )
        return gather_samples(value)

    def _report(self, quantiles: Tensor, levels: Tensor) -> None:
        assert self.log is not None
        names: dict[str, Statistic] = {"mi": "mean", "low": 0.05, "high": 0.95}
        self.log({k: reduce_quantiles(quantiles, levels, s)[0] for k, s in names.items()})

    def extra_repr(self) -> str:
        return f"trainable={self.trainable}, statistic={self.statistic!r}, gather={self.gather}"
