"""Synthetic joint distributions whose mutual information is known exactly."""

from torchmist.synthetic.batch import Batch
from torchmist.synthetic.families import IMD_FAMILIES, OOMD_FAMILIES, TRAIN_FAMILIES, PaperFamily
from torchmist.synthetic.paper import PaperMeta, family_mi, sample_family
from torchmist.synthetic.parameters import PaperParameters, draw_parameters

__all__ = [
    "IMD_FAMILIES",
    "OOMD_FAMILIES",
    "TRAIN_FAMILIES",
    "Batch",
    "PaperFamily",
    "PaperMeta",
    "PaperParameters",
    "draw_parameters",
    "family_mi",
    "sample_family",
]
