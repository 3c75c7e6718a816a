"""Adapt the estimator to a modality: flows, warped meta-distributions, a retrained arbiter.

Needs the extra ``torchmist-mi[adapt]`` (normflows and tqdm).
"""

from torchmist.adapt.cells import CellMeta, Pool
from torchmist.adapt.flow_fit import fit_flow
from torchmist.adapt.flows import Flow, FlowReport
from torchmist.adapt.pictures import plot_flow
from torchmist.adapt.pipeline import adapt
from torchmist.adapt.report import AdaptReport
from torchmist.adapt.warp import WarpedMeta

__all__ = [
    "AdaptReport",
    "CellMeta",
    "Flow",
    "FlowReport",
    "Pool",
    "WarpedMeta",
    "adapt",
    "fit_flow",
    "plot_flow",
]
