"""Settings of a detector: a frozen dataclass that is made from the configuration and written to manifests.

In: a mapping from the configuration. Out: the dataclass, lists as tuples; and back as plain JSON values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from bedsieve.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """Base of the settings' dataclasses; `detector` is their name in messages."""

    detector: ClassVar[str]

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> Self:
        """Defaults, changed by `settings`.

        Raises
        ------
        ConfigError
            If a key is unknown or a value can't be used.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ConfigError(
                f"{cls.detector}: unknown setting {', '.join(unknown)}. Known: "
                f"{', '.join(sorted(known))}."
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})

    def to_mapping(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
