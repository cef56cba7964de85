"""The detectors by name, as dotted names: naming one imports nothing."""

from __future__ import annotations

from importlib import import_module

from bedsieve.detectors.base import Detector
from bedsieve.errors import ConfigError

DETECTORS: dict[str, str] = {
    "along_track": "bedsieve.detectors.along_track.AlongTrack",
}


def detector_class(name: str) -> type[Detector]:
    """Import a detector's class.

    Raises
    ------
    ConfigError
        If there is no detector of that name.
    """
    if name not in DETECTORS:
        raise ConfigError(f"There is no detector {name!r}. Known: {', '.join(sorted(DETECTORS))}.")
    module, _, attribute = DETECTORS[name].rpartition(".")
    found: type[Detector] = getattr(import_module(module), attribute)
    return found
