"""Engines of the meta-distribution: general laws over datasets whose MI is exact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchmist.synthetic.engines.atoms import Atoms
from torchmist.synthetic.engines.channels import Channels
from torchmist.synthetic.engines.classes import Classes
from torchmist.synthetic.engines.codes import Codes
from torchmist.synthetic.engines.copies import Copies
from torchmist.synthetic.engines.crowds import Crowds
from torchmist.synthetic.engines.decisions import Decisions
from torchmist.synthetic.engines.directions import Directions
from torchmist.synthetic.engines.evens import Evens
from torchmist.synthetic.engines.expansions import Expansions
from torchmist.synthetic.engines.family import Family
from torchmist.synthetic.engines.functions import Functions
from torchmist.synthetic.engines.gates import Gates
from torchmist.synthetic.engines.groups import Groups
from torchmist.synthetic.engines.interactions import Interactions
from torchmist.synthetic.engines.joined import Joined
from torchmist.synthetic.engines.lifts import Lifts
from torchmist.synthetic.engines.markers import Markers
from torchmist.synthetic.engines.mixes import Mixes
from torchmist.synthetic.engines.pictures import Pictures
from torchmist.synthetic.engines.redundant import Redundant
from torchmist.synthetic.engines.regimes import Regimes
from torchmist.synthetic.engines.responses import Responses
from torchmist.synthetic.engines.shares import Shares
from torchmist.synthetic.engines.signals import Signals
from torchmist.synthetic.engines.spectra import Spectra
from torchmist.synthetic.engines.spikes import Spikes
from torchmist.synthetic.engines.spread import Spread
from torchmist.synthetic.engines.steep import Steep
from torchmist.synthetic.engines.teachers import Teachers

__all__ = ["ENGINES", "Family"]

ENGINES: Mapping[str, Family[Any]] = {
    family.name: family
    for family in (
        Codes(),
        Lifts(),
        Functions(),
        Atoms(),
        Copies(),
        Spectra(),
        Spread(),
        Directions(),
        Classes(),
        Joined(),
        Pictures(),
        Steep(),
        Groups(),
        Spikes(),
        Signals(),
        Channels(),
        Gates(),
        Interactions(),
        Mixes(),
        Expansions(),
        Decisions(),
        Regimes(),
        Markers(),
        Shares(),
        Crowds(),
        Evens(),
        Redundant(),
        Teachers(),
        Responses(),
    )
}
"""Every engine by its name."""
