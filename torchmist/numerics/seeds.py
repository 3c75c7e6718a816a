"""Seeds of draws, as an int or as a generator of numpy, as scikit-learn takes them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from torchmist.checks import check_count

__all__ = ["Seed", "as_seed"]

# In quotes, as numpy loads its generators when they are first named.
Seed: TypeAlias = "int | np.random.Generator | np.random.RandomState | None"


def as_seed(state: Seed) -> int:
    """An int as it is; of a generator of numpy one that is drawn from it, for None a new one.

    Raises:
        ValueError: for what is neither, and for a negative int.

    Example:
        >>> as_seed(3), as_seed(np.random.default_rng(0)) == as_seed(np.random.default_rng(0))
        (3, True)
    """
    if state is None:
        state = np.random.default_rng()
    if isinstance(state, np.random.Generator):
        return int(state.integers(2**31))
    if isinstance(state, np.random.RandomState):
        return int(state.randint(2**31 - 1))
    return check_count(state, "random_state", 0)
