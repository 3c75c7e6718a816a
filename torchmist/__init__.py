"""Mutual information as a differentiable term of any PyTorch training loop.

- :func:`mist_mi` is the term, +I in nats; :class:`MIRegularizer` is the same as a module, safer
  with ``goal="minimize"`` or ``goal="maximize"`` where an encoder is trained against it;
- :func:`estimate` measures a sample, with an interval; :func:`pairwise` all columns of a table.

``torchmist.adapt`` is a module to import by itself: ``from torchmist.adapt import adapt``.
"""

from torchmist.auditing import AuditReport, audit
from torchmist.column_pairs import Pairwise, pairwise
from torchmist.conditional import conditional_mi, estimate_conditional
from torchmist.estimation import MIEstimate, estimate
from torchmist.finetuning import finetune
from torchmist.functional import mist_mi
from torchmist.independence import conditional_independence_test, independence_test
from torchmist.lags import Lagged, TransferEntropy, lagged, transfer_entropy
from torchmist.regularizer import MIRegularizer
from torchmist.target import MITarget
from torchmist.weights import load_pretrained

__version__ = "1.0.0"

__all__ = [
    "AuditReport",
    "Lagged",
    "MIEstimate",
    "MIRegularizer",
    "MITarget",
    "Pairwise",
    "TransferEntropy",
    "__version__",
    "audit",
    "conditional_independence_test",
    "conditional_mi",
    "estimate",
    "estimate_conditional",
    "finetune",
    "independence_test",
    "lagged",
    "load_pretrained",
    "mist_mi",
    "pairwise",
    "transfer_entropy",
]
