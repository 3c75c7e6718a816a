"""Drop-in classes for code written against the CLUB repository (Cheng et al. 2020).

``from torchmist.club import CLUB`` in place of the repository's import is the whole change: the
constructor arguments, ``forward``, ``mi_est`` and ``learning_loss`` are kept, and the inner loop
that trained the variational network has nothing left to do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchmist.functional import Model
from torchmist.regularizer import MIRegularizer

__all__ = ["CLUB", "CLUBSample", "InfoNCE", "MINE", "NWJ"]


class CLUB(nn.Module):
    """+I(X;Y) in nats with the interface of CLUB; a frozen MIST behind it.

    Args:
        x_dim, y_dim: columns of the two sides, checked at every call.
        hidden_size: accepted and unused: there is no network to train.
        model: as in :func:`~torchmist.mist_mi`.

    Raises:
        ValueError: in a call, for other numbers of columns than ``x_dim`` and ``y_dim``.

    Example:
        >>> import torch
        >>> club = CLUB(3, 2, 64)
        >>> optimizer = torch.optim.Adam(club.parameters(), 1e-3)
        >>> club.learning_loss(torch.randn(32, 3), torch.randn(32, 2)).backward()
        >>> club(torch.randn(32, 3), torch.randn(32, 2)).shape
        torch.Size([])
    """

    def __init__(
        self, x_dim: int, y_dim: int, hidden_size: int | None = None, *, model: Model = "mist-fast"
    ) -> None:
        super().__init__()
        self.x_dim, self.y_dim = x_dim, y_dim
        self.term = MIRegularizer(model)
        self.placeholder = nn.Parameter(torch.zeros(()))  # so that an optimizer can be built

    def forward(self, x_samples: Tensor, y_samples: Tensor) -> Tensor:
        """+I in nats, 0-dim, of ``x_samples`` ``[N, x_dim]`` and ``y_samples`` ``[N, y_dim]``."""
        for name, value, size in (("x", x_samples, self.x_dim), ("y", y_samples, self.y_dim)):
            if value.shape[-1] != size:
                raise ValueError(
                    f"expected {size} columns in {name}_samples, as in the constructor, got "
                    f"{list(value.shape)}"
                )
        out: Tensor = self.term(x_samples, y_samples)
        return out

    def mi_est(self, x_samples: Tensor, y_samples: Tensor) -> Tensor:
        """The same as calling the module."""
        return self.forward(x_samples, y_samples)

    def learning_loss(self, x_samples: Tensor, y_samples: Tensor) -> Tensor:
        """Zero, with a zero gradient: nothing has to be trained. An inner loop may be removed."""
        return 0.0 * self.placeholder


CLUBSample = InfoNCE = MINE = NWJ = CLUB
"""The repository's other estimators have the same interface, and the same MIST behind it here."""
