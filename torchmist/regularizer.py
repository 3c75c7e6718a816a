"""``MIRegularizer``: the mutual-information term as a module of a host network."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from torchmist.checks import check_count, check_tensors
from torchmist.critic import CriticConfig
from torchmist.functional import Model, own_network
from torchmist.gather import gather_samples
from torchmist.inference.degenerate import (
    among_all,
    few_reason,
    fewest_samples,
    live_datasets,
    touching_zero,
    warn_nothing,
    why_nothing,
)
from torchmist.inference.quantiles import (
    Statistic,
    answer,
    average,
    check_statistic,
    reduce_quantiles,
)
from torchmist.lift import LiftConfig, make_lifts
from torchmist.models.network import QuantileNetwork
from torchmist.samples.class_labels import check_class_number
from torchmist.samples.sample import Sample, Wrt, check_term, term_sample, without_hidden
from torchmist.terms.auto_goal import driven_answer, is_computed
from torchmist.terms.batch_goal import Told, all_live, pursued
from torchmist.terms.frozen_network import Frozen, keeping_dtype
from torchmist.terms.goal import Goal, check_goal
from torchmist.terms.label_places import LabelPlaces, labelled
from torchmist.terms.memory_bank import Memory, weighed
from torchmist.terms.probe import ProbeReport
from torchmist.terms.probe_schedule import ProbeSchedule, check_alone, judged
from torchmist.terms.warmup import Warmup

__all__ = ["MIRegularizer"]


class MIRegularizer(nn.Module):
    """:func:`~torchmist.mist_mi` as an ``nn.Module``, safe inside any host module.

    Frozen (the default), the estimator is no submodule: it stays in eval mode and float32, and out
    of the host's ``parameters()``, ``state_dict()``, ``train()``, ``requires_grad_()`` and
    ``half()``; it follows the device of its input. With ``trainable=True`` it is a submodule, to be
    fine-tuned and saved with the host, that stays in float32 when the host changes its dtype.

    A frozen estimator has blind spots, and an encoder that gains by them finds them. So codes have
    the gradient of :mod:`torchmist.terms.auto_goal`, and a ``goal`` guards the value, too:

    * ``goal="minimize"``, *added* to the loss: what is hidden must cost. A critic that learns
      beside the host, by steps of its own, shows the network what ``z`` knows of ``y``, and the
      value is a soft maximum of the network, the critic and a kernel estimate.
    * ``goal="maximize"``, *subtracted* from the loss: what is faked must not pay. The value, never
      below -0.2, is a soft minimum of a low quantile on several views and of the critic's bound.

    The sign is +I in both. Most of a goal's gradient is no derivative of the value, but that of a
    smooth kernel information (:mod:`torchmist.terms.goal`). In training mode the opinions are
    asked at the first two calls and at every eighth; those in between return and log the value of
    an earlier batch. A goal's critic has no parameters: it takes its own steps at calls that ask,
    with gradients, and is saved with the host. ``lift`` is the older way; the host trains it.

    Args:
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST`` module (which
            is copied).
        goal: ``"minimize"``, ``"maximize"``, ``"auto"``, where the way the term is driven is read
            off the gradient that comes back (but with a lift or ``trainable``), or None for the
            derivative of the value.
        memory: how many recent samples stand beside each batch in training mode, detached, so that
            a batch of 32 is estimated like one of 1,024; the gradient is scaled to that of the
            whole. Its rows leave again by themselves. For single datasets without a mask.
        trainable: whether the estimator's weights are parameters of this module.
        statistic: ``"mean"``, ``"median"``, or a quantile level in (0, 1); None is the mean, and
            0.05 with ``goal="maximize"``.
        lift: the number of columns of ``z``, or a :class:`~torchmist.lift.LiftConfig`. The lift's
            weights are ``parameters()`` of this module: hand them to the host's optimizer.
        gather: estimate from the samples of all processes of ``torch.distributed``, with the
            gradient that one process would have under ``DistributedDataParallel``.
        num_classes: of integer labels, or of one-hot columns. With a lift labels are columns whose
            place does not depend on which classes a batch holds; without it, they are checked
            against it alone.
        log: called at every call with a dict of detached 0-dim tensors: ``"mi"`` with ``"low"``
            and ``"high"``, the 90 % interval of the network, in nats; with a goal also the opinions
            behind the value (``"network"``, ``"critic"``, ``"kernel"`` or the views).
        critic: sizes and pace of a goal's critic, a :class:`~torchmist.critic.CriticConfig`.
        every: fit fresh probes every so many calls in training mode (:meth:`check`) to the last
            2,048 samples, and warn when they find more than the term says; 0 for never.
        warmup: the first calls in training mode with gradients, over which the gradient that goes
            back to ``z`` and ``y`` grows along a line from ``1 / warmup`` of its size to all of it:
            a tenth of a training. Value, lift, trainable network and critic are as without it.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi`, ``load_pretrained``, ``LiftConfig``,
            for an unknown ``goal``, one with a ``lift`` or ``trainable``, ``num_classes`` below 2.

    Example:
        >>> import torch
        >>> reg = MIRegularizer()
        >>> loss = reg(torch.randn(64, 2), torch.randn(64, 3))
        >>> len(list(reg.parameters()))
        0
    """

    def __init__(
        self, model: Model = "mist-fast", *, goal: Told = "auto", memory: int = 0,
        trainable: bool = False, statistic: Statistic | None = None,
        lift: int | LiftConfig | None = None, gather: bool = False,
        log: Callable[[dict[str, Tensor]], object] | None = None, num_classes: int | None = None,
        critic: CriticConfig | None = None, every: int = 0, warmup: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        check_goal(goal, critic, lift=lift, trainable=trainable)
        check_class_number(num_classes)
        if log is not None and not callable(log):
            raise TypeError(f"expected log to be callable with a dict, got {type(log).__name__}")
        self.num_classes = num_classes
        if statistic is not None:
            check_statistic(statistic)
        self.goal = pursued(goal)
        self.auto = goal == "auto" and lift is None and not trainable
        if self.goal is not None:
            self.pursuit = Goal(self.goal, critic or CriticConfig(), statistic)
        self.statistic: Statistic = self.pursuit.statistic if self.goal else statistic or "mean"
        self.memory = Memory(memory)
        self.every = check_count(every, "every", 0)
        self.warmup = Warmup(warmup)
        self._watch, self._places = ProbeSchedule(bool(every)), LabelPlaces()
        self.trainable, self.gather, self.log = trainable, gather, log
        self.lifts = nn.ModuleList(make_lifts(lift))
        network = own_network(model, trainable)
        if trainable:
            self.network = network.requires_grad_(True)
        else:
            self._frozen = Frozen(network)

    def estimator(self, like: Tensor) -> QuantileNetwork:
        """The network, on the device of ``like``."""
        return self.network if self.trainable else self._frozen.on(like.device)

    def forward(
        self, z: Tensor, y: Tensor, *, wrt: Wrt = "both", mask: Tensor | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """+I(Z;Y) in nats, 0-dim; arguments and errors as :func:`~torchmist.mist_mi`.

        But fewer than four samples, or as few left by the mask, are no error: such a batch, and one
        in which a side is constant, is 0 with a zero gradient, and one warning says so. With a goal
        that holds below the fewest samples its network was trained on (10 for ``mist-fast``), those
        of the memory included: it would read chance as nats there.

        With ``gather`` or ``memory``, ``z`` and ``y`` are ``[N]`` or ``[N, d]``, without a mask.
        """
        given = z, y
        z, y = (without_hidden(side, mask) for side in given)
        check_term(z, y, self.num_classes)
        learns, names = self.training and torch.is_grad_enabled(), ("z", "y")
        if learns:
            z, y = self.warmup(z, y)
        if self.goal and y.is_floating_point() and not z.is_floating_point():
            z, y, names = y, z, ("y", "z")
            wrt = {"z": "y", "y": "z"}.get(wrt, wrt)  # type: ignore[assignment]
        if self.gather:
            check_alone(z, y, mask, "gather=True", "estimate batches on their own process")
            z, y = gather_samples(z), gather_samples(y)
        batch, own = (z, y), None
        if self.memory.size and self.training:
            check_alone(z, y, mask, "memory")
            z, y = self.memory.beside(z, y)
            own = len(batch[0]) if len(z) > len(batch[0]) else None
        computed = self.auto and is_computed(*given, wrt)
        term = self._term(z, y, names, wrt, mask, weight, own, computed)
        if learns:
            self.memory.keep(*batch)
            if self.every:
                rows = self._watch.collect(*batch, mask, self.every)
                if rows is not None:
                    self.report = self.check(*rows)
        return term

    def _term(
        self, z: Tensor, y: Tensor, names: tuple[str, str], wrt: Wrt, mask: Tensor | None,
        weight: Tensor | None, own: int | None, computed: bool,
    ) -> Tensor:  # fmt: skip
        """The value of a batch, and of what of the memory stands behind its ``own`` samples."""
        if 0 < min(z.dim(), y.dim()) <= max(z.dim(), y.dim()) < 3 and len(z) == len(y) == 0:
            return self._nothing(z, y, few_reason(self._least(self.estimator(z))))
        sample = term_sample(z, y, names, wrt=wrt, mask=mask, degenerate=True)
        return self._value(sample, y, weight, own, computed)

    def _value(
        self, sample: Sample, y: Tensor, weight: Tensor | None = None, own: int | None = None,
        computed: bool = False,
    ) -> Tensor:  # fmt: skip
        """The value of a sample, 0 where there is nothing to estimate; ``y``: as it was passed;
        ``computed``: whether its gradient is the :func:`~torchmist.terms.auto_goal.driven` one."""
        a, b, mask = sample.x, sample.y, sample.mask
        network = self.estimator(a)
        least = self._least(network)
        live = live_datasets(a, b, mask, least)
        if a.shape[1] < least:
            return self._nothing(a, b, few_reason(least))
        whole = all_live(live, self.goal)
        if not whole:
            why = why_nothing(a, b, mask, least)
            if not bool(live.any()):
                return self._nothing(a, b, why)
            warn_nothing(why)
        targets = self._columns(y, b)
        if not whole:
            sample, targets = sample.pick(live), targets[live]
        if self.goal:
            return self._pursued(sample, targets, network, live, weight, y, own)
        if own is not None:
            a, b = (weighed(side, a.shape[1] / own) for side in (sample.x, sample.y))
            sample = sample._replace(x=a, y=b)
        return self._lifted(sample, targets, network, None if whole else live, weight, y, computed)

    def _lifted(
        self, sample: Sample, targets: Tensor, network: QuantileNetwork, live: Tensor | None,
        weight: Tensor | None, y: Tensor, computed: bool,
    ) -> Tensor:  # fmt: skip
        """The network's value through all lifts, 0 where a dataset is not ``live`` ``[B]``."""
        squares, mask = not labelled(y, self.num_classes), sample.mask
        lifted = [lift(sample.x, targets, mask, squares=squares) for lift in self.lifts]
        views = [view for view, _ in lifted] or [sample.x]
        own = sample.x.shape[-1], sample.y.shape[-1]
        if computed:  # without a lift
            mi, each = driven_answer(sample, network, self.statistic, own, frozen=True)
        else:
            each = torch.cat([answer(sample._replace(x=v), network, own).quantiles for v in views])
            mi = reduce_quantiles(each, network.levels, self.statistic)
        mi, each = (among_all(v.unflatten(0, (len(views), -1)), live) for v in (mi, each.detach()))
        if self.log is not None:
            self._report(each.mean((0, 1))[None], network.levels)
        # of the lifts' errors the gradient alone, by which they learn
        return sum((e - e.detach() for _, e in lifted), average(mi.mean(0), weight))

    def _pursued(
        self, sample: Sample, targets: Tensor, network: QuantileNetwork, live: Tensor,
        weight: Tensor | None, y: Tensor, own: int | None,
    ) -> Tensor:  # fmt: skip
        """The value of a goal on the datasets that are ``live`` ``[B]``, 0 elsewhere."""
        plain = labelled(y, self.num_classes)
        opinions = self.pursuit(sample, network, targets=targets, plain=plain, own=own)
        if self.log is not None:
            also = {name: value.detach().mean() for name, value in opinions.each.items()}
            also["mi"] = opinions.value.detach().mean()
            self._report(opinions.quantiles.detach().mean(0)[None], network.levels, also)
        some = live if len(opinions.value) < len(live) else None
        return average(among_all(opinions.value[None], some)[0], weight)

    def check(
        self, z: Tensor, y: Tensor, *, steps: int = 400, seed: int = 0, tolerance: float = 0.1
    ) -> ProbeReport:
        """Fit fresh probes to codes, and say what they find beside what this term says.

        It trains neither host nor term, and leaves the global random state alone. Pass codes that
        the encoder was *not* trained on, a thousand rows or more: in few a probe finds little.

        Args:
            z, y: ``[N]`` or ``[N, d]``, as in :meth:`forward`; detached here.
            steps: most steps of a probe; a second or two at 400.
            seed: of all that is random in it, an int.
            tolerance: nats that the probes may find beyond the estimate without a warning.

        Returns:
            A :class:`~torchmist.terms.probe.ProbeReport`; ``print(report)`` says it in a line.

        Raises:
            TypeError, ValueError: as :meth:`forward`; for fewer than 64 rows.
        """
        check_tensors(z=z, y=y)
        labels_first = y.is_floating_point() and not z.is_floating_point()
        (z, y), names = ((y, z), ("y", "z")) if labels_first else ((z, y), ("z", "y"))
        sample = term_sample(z, y, names)
        check_alone(z, y, None, "check")
        training, log = self.training, self.log
        try:
            self.eval()
            self.log = None
            with torch.no_grad():
                estimate = float(self._value(sample, y))
        finally:
            self.train(training)
            self.log = log
        report = judged(z, y, estimate, steps=steps, seed=seed, tolerance=tolerance)
        if report.hidden:
            warnings.warn(f"torchmist: {report}", UserWarning, stacklevel=2)
        return report

    def view(self, z: Tensor, y: Tensor) -> Tensor:
        """``z`` ``[N, d]`` with the columns that the lifts append, without gradients.

        It holds as much of ``y`` as ``z`` does: ``estimate(term.view(z, y), y)`` judges a code by
        all that this term sees of it. Errors as :meth:`forward`.
        """
        check_tensors(z=z, y=y)
        sample = term_sample(z, y)
        a = sample.x
        with torch.no_grad():
            targets, squares = self._columns(y, sample.y), not labelled(y, self.num_classes)
            lifted = [lift(a, targets, None, squares=squares) for lift in self.lifts]
            appended = [view[..., a.shape[-1] :] for view, _ in lifted]
            seen = torch.cat([a, *appended], -1)
            return seen if 3 in (z.dim(), y.dim()) else seen[0]

    def _least(self, network: QuantileNetwork) -> int:
        """Samples without which there is nothing to estimate."""
        return fewest_samples(network.trained_range, self.goal is not None)

    def _nothing(self, z: Tensor, y: Tensor, why: str) -> Tensor:
        """0 with a zero gradient for all that would have one, and one warning."""
        warn_nothing(why)
        if self.log is not None:
            levels = self.estimator(z).levels
            self._report(torch.zeros(1, len(levels), device=z.device, dtype=torch.float32), levels)
        return touching_zero((z, y, *self.parameters()), z.device)

    def _columns(self, y: Tensor, columns: Tensor) -> Tensor:
        """What a lift or a critic predicts of ``y``."""
        lift, goal = len(self.lifts) > 0, self.goal is not None
        return self._places(y, columns, self.num_classes, lift=lift, goal=goal)

    def _report(
        self, quantiles: Tensor, levels: Tensor, also: dict[str, Tensor] | None = None
    ) -> None:
        assert self.log is not None
        names: dict[str, Statistic] = {"mi": "mean", "low": 0.05, "high": 0.95}
        shown = {k: reduce_quantiles(quantiles, levels, s)[0] for k, s in names.items()}
        self.log({**shown, **(also or {})})

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MIRegularizer:
        """Follow the host to its device; a trainable network stays in float32."""
        for name, module in self.named_children():
            module._apply(keeping_dtype(fn) if name == "network" else fn)
        super()._apply(fn, recurse=False)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        text = f"trainable={self.trainable}, statistic={self.statistic!r}, gather={self.gather}"
        text += f", goal={self.goal!r}" if self.goal else ""
        return text + (f", memory={self.memory.size}" if self.memory.size else "")
