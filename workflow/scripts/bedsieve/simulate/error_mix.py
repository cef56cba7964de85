"""How many errors of which kind and size: one block of numbers, fixed before any detector is judged.

In: nothing, or the `errors` block of a configuration. Out: an `ErrorMix`.
The numbers are ours. They follow what is known of bad points in Bedmap: most of them stand in long runs
(study B: "many in a row = a bad track sector"), 0.6 % to 1.4 % are flagged by its detectors, and the
sizes are those of the mechanisms (an internal layer lies at 50–85 % of the depth; crossings of honest
surveys agree to some tens of metres, so that a biased line starts beyond that).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from bedsieve.errors import ConfigError

KINDS = (
    "spike",
    "burst",
    "sector",
    "line_bias",
    "displaced",
    "unit_slip",
    "flat_line",
    "column_swap",
)


@dataclass(frozen=True)
class ErrorMix:
    """Prevalence, mix, lengths and amplitudes of injected errors.

    Attributes
    ----------
    prevalence : float
        Share of the points that are bad.
    share : dict of str to float
        Share of the bad points that each kind makes up; 0 or absent leaves a kind out.
    length : dict of str to (int, int)
        Shortest and longest run (points) of an event, log-uniform between; a line bias takes whole tracks.
    spike_m : (float, float)
        Size of a spike (m), either sign, log-uniform.
    layer_above, layer_below : (float, float)
        Thickness of a wrong layer as a factor of the true one: an internal layer, an echo from below.
    sector_m, line_bias_m : (float, float)
        Size of an offset (m), either sign.
    displaced_m : (float, float)
        How far (m) positions are displaced.
    unit_factors : tuple of float
        What a unit slip multiplies the thickness with.
    least_effect_m : float
        Displaced, flat and swapped runs are placed where their median error is at least this (m), since
        one that changes nothing cannot be found.
    """

    prevalence: float = 0.012
    share: Mapping[str, float] = field(
        default_factory=lambda: {
            "spike": 0.06,
            "burst": 0.18,
            "sector": 0.32,
            "line_bias": 0.18,
            "displaced": 0.08,
            "unit_slip": 0.06,
            "flat_line": 0.08,
            "column_swap": 0.04,
        }
    )
    length: Mapping[str, tuple[int, int]] = field(
        default_factory=lambda: {
            "spike": (1, 1),
            "burst": (6, 60),
            "sector": (80, 320),
            "line_bias": (80, 320),
            "displaced": (25, 120),
            "unit_slip": (5, 60),
            "flat_line": (25, 120),
            "column_swap": (5, 60),
        }
    )
    spike_m: tuple[float, float] = (150.0, 900.0)
    layer_above: tuple[float, float] = (0.5, 0.85)
    layer_below: tuple[float, float] = (1.12, 1.35)
    sector_m: tuple[float, float] = (60.0, 220.0)
    line_bias_m: tuple[float, float] = (60.0, 180.0)
    displaced_m: tuple[float, float] = (800.0, 3000.0)
    unit_factors: tuple[float, ...] = (0.3048, 3.28084)
    least_effect_m: float = 60.0

    def __post_init__(self) -> None:
        for name in ("share", "length"):
            unknown = sorted(set(getattr(self, name)) - set(KINDS))
            if unknown:
                raise ConfigError(
                    f"simulate.errors.{name}: {unknown[0]!r} is no kind of error. "
                    f"Known kinds: {', '.join(KINDS)}."
                )
        if not 0 <= self.prevalence <= 0.5:
            raise ConfigError(
                f"simulate.errors.prevalence: {self.prevalence} is not within 0 and 0.5."
            )

    def as_dict(self) -> dict[str, Any]:
        """The mix as a configuration block (plain lists and numbers)."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, block: Mapping[str, Any] | None) -> ErrorMix:
        """Read a configuration block; what it does not say keeps its default.

        Raises
        ------
        ConfigError
            If it holds a key or a kind that does not exist, or a prevalence that cannot be.
        """
        block = dict(block or {})
        default = cls()
        known = {f.name for f in fields(cls)}
        for key in block:
            if key not in known:
                raise ConfigError(
                    f"simulate.errors: unknown key {key!r}. Known keys: {', '.join(sorted(known))}."
                )
        for name in ("share", "length"):
            block[name] = {**getattr(default, name), **block.get(name, {})}
        block["length"] = {kind: tuple(pair) for kind, pair in block["length"].items()}
        for name, value in block.items():
            if isinstance(value, list):
                block[name] = tuple(value)
        return cls(**block)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
