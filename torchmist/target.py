"""``MITarget``: the weight of a term that holds mutual information at a value."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from torchmist.checks import visible

__all__ = ["MITarget"]


class MITarget(nn.Module):
    """A weight ``lam`` that rises while MI is above ``target`` and falls while it is below.

    ``lam`` is multiplied by ``exp(rate * (mi - target))`` at every call in training mode: dual
    ascent in ``log lam`` on the constraint ``I <= target`` (the excess is held within 1 nat, so
    that a bad start cannot blow the weight up). With ``at_least=True`` the constraint is
    ``I >= target``, and the term is subtracted.

    Args:
        target: nats.
        lam: weight at the start.
        rate: relative change of the weight per call and nat.
        at_least: hold MI from below instead of from above.
        lowest, highest: bounds of the weight.

    Raises:
        TypeError: for a target, weight, rate or bound that is no number.
        ValueError: for a negative target or rate, bounds that are not positive, finite and in
            order, or ``lam`` outside of them.

    Example:
        >>> import torch
        >>> control = MITarget(0.5, lam=1.0, rate=0.1)
        >>> control(torch.tensor(1.0))  # the term, +lam * mi with the weight before the change
        tensor(1.)
        >>> control.lam > 1.0
        True
    """

    log_lam: Tensor

    def __init__(
        self, target: float, *, lam: float = 1.0, rate: float = 0.02, at_least: bool = False,
        lowest: float = 1e-4, highest: float = 1e3,
    ) -> None:  # fmt: skip
        super().__init__()
        numbers = {"target": target, "lam": lam, "rate": rate, "lowest": lowest, "highest": highest}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"expected {name} to be a number, got {type(value).__name__}")
        if not 0 < lowest <= highest < math.inf:
            raise ValueError(
                f"expected bounds 0 < lowest <= highest that are finite, got lowest={lowest}, "
                f"highest={highest}"
            )
        if not (target >= 0 and 0 <= rate < math.inf and lowest <= lam <= highest):
            raise ValueError(
                f"expected target and rate of at least 0 and {lowest} <= lam <= {highest}, got "
                f"target={target}, rate={rate}, lam={lam}"
            )
        self.target, self.rate, self.at_least = target, rate, at_least
        self.bounds = math.log(lowest), math.log(highest)
        self.register_buffer("log_lam", torch.tensor(math.log(lam), dtype=torch.float64))

    @property
    def lam(self) -> float:
        """The weight that the next call uses."""
        return math.exp(float(self.log_lam))

    def forward(self, mi: Tensor) -> Tensor:
        """The term to add to the loss: ``+lam * mi``, or ``-lam * mi`` with ``at_least``.

        Args:
            mi: 0-dim, nats, of :func:`~torchmist.mist_mi` or :class:`~torchmist.MIRegularizer`.

        Raises:
            TypeError: for what is no tensor.
            ValueError: for several values, and for NaN or infinity; the weight stays as it was.
        """
        if not isinstance(mi, Tensor):
            raise TypeError(
                f"expected mi to be a torch.Tensor, got {type(mi).__name__}; pass what mist_mi or "
                f"MIRegularizer returns"
            )
        if mi.numel() != 1:
            raise ValueError(f"expected mi to hold one number, got shape {list(mi.shape)}")
        if visible(mi.isfinite().all()) is False:
            raise ValueError(
                f"expected mi to be finite, got {float(mi)}; the weight is left as it was: skip "
                f"this batch, or look for where the value comes from"
            )
        sign = -1.0 if self.at_least else 1.0
        term = sign * self.log_lam.exp().to(mi.dtype) * mi
        if self.training:
            excess = sign * (mi.detach().double() - self.target)
            step = self.rate * excess.clamp(-1, 1)
            self.log_lam.copy_((self.log_lam + step).clamp(*self.bounds))
        return term

    def extra_repr(self) -> str:
        return f"target={self.target}, rate={self.rate}, at_least={self.at_least}"
