"""What every estimator of this library is: a network from a sample to quantiles of its MI.

Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from torchmist.models.trained_range import TrainedRange

__all__ = ["QuantileNetwork"]


class QuantileNetwork(nn.Module):
    """A module whose call ``network(x, y, mask)`` returns quantiles of I(X;Y) in nats, ``[B, Q]``.

    ``x``: ``[B, N, dx]``, ``y``: ``[B, N, dy]``, ``mask``: ``[B, N]`` bool of the real samples, or
    None. The quantiles increase along ``Q`` and stand at the ``levels`` ``[Q]``. ``provenance`` and
    ``evaluation`` say how the weights were made and how far off they are; ``trained_range`` is that
    of the provenance, None where it states none.
    """

    levels: Tensor
    evaluation: dict[str, Any]
    trained_range: TrainedRange | None

    def __init__(self) -> None:
        super().__init__()
        self.provenance, self.evaluation = {}, {}

    @property
    def provenance(self) -> dict[str, Any]:
        """How the weights were made.

        Setting it reads its ``"trained_range"``, and raises ``ValueError`` for a malformed one
        (:meth:`~torchmist.models.trained_range.TrainedRange.from_header`).
        """
        return self._provenance

    @provenance.setter
    def provenance(self, content: dict[str, Any]) -> None:
        stated = "trained_range" in content
        self.trained_range = TrainedRange.from_header(content["trained_range"]) if stated else None
        self._provenance = content

    def saw(self, family: str) -> bool:
        """Whether a stage of the recipe of these weights has datasets of ``family``.

        Not, where their header does not state the stages as this library writes them.
        """
        stages = self.provenance.get("stages")
        for stage in stages if isinstance(stages, (list, tuple)) else ():
            families = stage.get("families") if isinstance(stage, dict) else None
            share = families.get(family) if isinstance(families, dict) else None
            if isinstance(share, (int, float)) and share > 0:
                return True
        return False
