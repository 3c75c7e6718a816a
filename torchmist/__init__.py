"""Mutual information as a differentiable term of any PyTorch training loop."""

from torchmist.audit import AuditReport, audit
from torchmist.conditional import conditional_mi, estimate_conditional
from torchmist.estimate import MIEstimate, estimate
from torchmist.functional import mist_mi
from torchmist.regularizer import MIRegularizer
from torchmist.target import MITarget
from torchmist.weights import load_pretrained

__version__ = "0.1.0"

__all__ = [
    "AuditReport",
    "MIEstimate",
    "MIRegularizer",
    "MITarget",
    "__version__",
    "audit",
    "conditional_mi",
    "estimate",
    "estimate_conditional",
    "load_pretrained",
    "mist_mi",
]
