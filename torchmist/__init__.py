"""Mutual information as a differentiable term of any PyTorch training loop."""

from torchmist.audit import AuditReport, audit
from torchmist.estimate import MIEstimate, estimate
from torchmist.functional import mist_mi
from torchmist.regularizer import MIRegularizer
from torchmist.weights import load_pretrained

__version__ = "0.1.0"

__all__ = [
    "AuditReport",
    "MIEstimate",
    "MIRegularizer",
    "__version__",
    "audit",
    "estimate",
    "load_pretrained",
    "mist_mi",
]
