"""What the rules say of SparKer's jobs while they are read: the seed of a survey, and how much its toys have to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def survey_seed(survey_no: int, seed: int) -> int:
    """Seed of a survey's sample, toys and fit from that of the models: its own, and the same in every run."""
    return 1000 * survey_no + seed


def toy_evaluations(section: Mapping[str, Any]) -> int:
    """Values of kernels that the largest batch of a survey's toys works out.

    Parameters
    ----------
    section : mapping
        The configuration's section `detectors.sparker`.
    """
    toys = -(-section["toys"] // section["batches"])
    points = section["inspected"] + section["reference"]
    return int(toys * points * section["kernels"] * section["steps"])
