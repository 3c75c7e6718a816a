"""Mutual information as a differentiable term of any PyTorch training loop."""

from torchmist.estimate import MIEstimate, estimate
from torchmist.functional import mist_mi
from torchmist.regularizer import MIRegularizer
from torchmist.weights import load_pretrained

__version__ = "0.1.0"

__all__ = ["MIEstimate", "MIRegularizer", "__version__", "estimate", "load_pretrained", "mist_mi"]
