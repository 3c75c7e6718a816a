"""The ``general`` meta-distribution: any dimensions, labels, mixtures, relations, mixed columns."""

from torchmist.synthetic.general.meta import KINDS, GeneralMeta

__all__ = ["KINDS", "GeneralMeta"]
