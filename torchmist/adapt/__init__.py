"""Adapt the estimator to a modality: flows, warped meta-distributions, fine-tuning.

Needs the extra ``torchmist-mi[adapt]`` (normflows and tqdm).
"""

from torchmist.adapt.cells import CellMeta, Pool
from torchmist.adapt.flows import Flow, FlowReport, fit_flow
from torchmist.adapt.pictures import plot_flow
from torchmist.adapt.pipeline import adapt
from torchmist.adapt.report import AdaptReport
from torchmist.adapt.warp import CanonicalMeta, WarpedMeta, warp

__all__ = [
    "AdaptReport",
    "CanonicalMeta",
    "CellMeta",
    "Flow",
    "FlowReport",
    "Pool",
    "WarpedMeta",
    "adapt",
    "fit_flow",
    "plot_flow",
    "warp",
]
