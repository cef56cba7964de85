"""What the `ensemble` section of the configuration asks for, and where what it needs is frozen.

In: the section as read. Out: the same, with names. Whatever is learnt lies in a folder named after all that
it depends on, below the model version: another choice gets another folder, and none is ever changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EQUAL, LEARNED = "equal", "learned"
SCORE, RANK, PROBABILITY = "score", "rank", "probability"


@dataclass(frozen=True)
class EnsembleSettings:
    """How members become one score and a flag.

    Parameters
    ----------
    members : tuple of str
    weights : dict of str to float, or ``"learned"``
        Of members only, 1 where not given.
    inputs : str
        ``score``, ``rank`` or ``probability``.
    threshold : float
        Used where `fdr` is None.
    fdr : float or None
        Share of good points among the flagged ones to aim at.
    prevalence : float or None
        Share of bad points; estimated where None.
    """

    members: tuple[str, ...]
    weights: Mapping[str, float] | str
    inputs: str
    threshold: float
    fdr: float | None
    prevalence: float | None

    @classmethod
    def from_config(cls, section: Mapping[str, Any]) -> EnsembleSettings:
        """From the configuration's section `ensemble`.

        A weight of a detector that is no member says nothing: an overlay can name fewer members, but it
        cannot take a weight out, since Snakemake merges mappings.
        """
        members, weights = tuple(section["members"]), section["weights"]
        if weights == EQUAL:
            weights = {}
        elif weights != LEARNED:
            weights = {name: weight for name, weight in weights.items() if name in members}
        return cls(
            members=members,
            weights=weights,
            inputs=section["inputs"],
            threshold=section["threshold"],
            fdr=section["fdr"],
            prevalence=section["prevalence"],
        )

    @property
    def learns(self) -> bool:
        """Whether anything has to be frozen before the members can be combined."""
        return self.weights == LEARNED or self.inputs != SCORE or self.fdr is not None

    @property
    def key(self) -> str:
        """Name of the folder that holds what is learnt: inputs, weights, and a digest of the rest.

        The level and the threshold are no part of it: they are applied to what is frozen.
        """
        weights = LEARNED if self.weights == LEARNED else "given" if self.weights else EQUAL
        content = [sorted(self.members), self.inputs, self.weights, self.prevalence]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self.inputs}-{weights}-{digest[:8]}"
