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
_FEW = f"a batch of fewer than {MIN_SAMPLES} samples"
_CONSTANT = "a batch in which one side is constant"


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


def _live(z: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """Datasets ``[B, N, d]`` with four samples or more and no constant side, bool ``[B]``."""
    live = varies(z, y, mask) > 0
    return live if mask is None else live & (mask.sum(-1) >= MIN_SAMPLES)


def _warn_nothing(why: str) -> None:
    """``why``: one of the two reasons, so that each is said once."""
    if not torch.compiler.is_compiling():
        warn_once(f"torchmist: {why} has no mutual information to estimate: the term is 0 there")


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
        num_classes: of integer labels, or of one-hot columns. With a lift labels are columns whose
            place does not depend on which classes a batch holds; without it, they are checked
            against it alone.
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

    _width: int | None = None  # columns of the labels of the batch before

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

        But fewer than four samples, or as few left by the mask, are no error: such a batch, and one
        in which a side is constant, is 0 with a zero gradient, and one warning says so.

        With ``gather``, ``z`` and ``y`` are ``[N]`` or ``[N, d]``, without a mask.
        """
        check_tensors(z=z, y=y)
        check_num_classes(self.num_classes, z=z, y=y)
        warn_without_gradient(z, y)
        if self.gather:
            z, y = self._gathered(z, "z", mask), self._gathered(y, "y", mask)
        if 0 < min(z.dim(), y.dim()) <= max(z.dim(), y.dim()) < 3 and len(z) == len(y) == 0:
            return self._nothing(z, y, _FEW)
        a, b = stop_gradients(*check_pair(z, y, ("z", "y"), least=1), wrt)
        mask = check_mask(mask, a, least=0)
        network, live = self.estimator(a), _live(a, b, mask)
        if a.shape[1] < MIN_SAMPLES:
            return self._nothing(a, b, _FEW)
        whole = visible(live.all()) is not False
        if not whole:
            why = _FEW if bool(varies(a, b, mask).all()) else _CONSTANT
            if not bool(live.any()):
                return self._nothing(a, b, why)
            _warn_nothing(why)
        targets, bound = self._columns(y, b), label_bound((z, y), (a, b), mask)
        if not whole:
            a, b, targets = a[live], b[live], targets[live]
            mask, bound = (None if v is None else v[live] for v in (mask, bound))
        lifted = self._lifted(a, targets, mask, labels=self._labelled(y))
        views = [view for view, _ in lifted] or [a]
        each = torch.stack([pair_quantiles(view, b, network, mask, bound) for view in views])
        if not whole:
            zero = each.new_zeros(len(views), len(live), each.shape[-1])
            each = zero.masked_scatter(live[:, None], each)
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
            lifted = self._lifted(a, self._columns(y, b), None, labels=self._labelled(y))
            appended = [view[..., a.shape[-1] :] for view, _ in lifted]
            seen = torch.cat([a, *appended], -1)
            return seen if 3 in (z.dim(), y.dim()) else seen[0]

    def _nothing(self, z: Tensor, y: Tensor, why: str) -> Tensor:
        """0 with a zero gradient for all that would have one, and one warning."""
        _warn_nothing(why)
        if self.log is not None:
            levels = self.estimator(z).levels
            self._report(torch.zeros(1, len(levels), device=z.device), levels)
        touched = [v for v in (z, y, *self.parameters()) if v.is_floating_point()]
        return sum(((v.float() * 0).sum() for v in touched), torch.zeros((), device=z.device))

    def _labelled(self, y: Tensor) -> bool:
        """Whether the columns of ``y`` are classes."""
        return not y.is_floating_point() or y.shape[-1] == self.num_classes

    def _columns(self, y: Tensor, columns: Tensor) -> Tensor:
        """What a lift predicts of ``y``: its columns, at a fixed place for each class."""
        if y.is_floating_point() or not len(self.lifts):
            return columns
        if self.num_classes is not None:
            return fixed_one_hot(y, self.num_classes).expand(len(columns), -1, -1)
        width = columns.shape[-1]
        if not torch.compiler.is_compiling() and self._width not in (None, width):
            warn_once(
                "torchmist: batches hold different numbers of classes, and a lift numbers those "
                "of each batch anew: pass num_classes= to MIRegularizer, so that each class keeps "
                "its place"
            )
        self._width = width
        return columns

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
