"""A trained encoder as arrays: latent points of any rows, one row at a time.

In: weights and inputs. Out: points of the plane and logits. Each row is summed in a fixed order, so a
point's place depends neither on the rows beside it nor on threads, and scoring needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from bedsieve.files import replacing
from bedsieve.kernels import copy_into

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Encoder:
    """Weights of an encoder and its head.

    Parameters
    ----------
    weights : mapping of str to float32 ndarray
        As `CentreNet.state_dict` names them: encoder.0.weight, encoder.0.bias, encoder.2.weight, …,
        head.weight, head.bias, centres.
    """

    weights: Mapping[str, Values]

    def encode(self, x: Values) -> tuple[Values, Values]:
        """Latent points (n, 2) and logits (n,) of scaled inputs (n, inputs)."""
        hidden, layers = x, self._layers()
        for number, (matrix, bias) in enumerate(layers):
            out = np.empty((len(x), bias.size), np.float32)
            _linear(hidden, matrix, bias, number < len(layers) - 1, out)
            hidden = out
        logit = np.empty((len(x), 1), np.float32)
        head = np.ascontiguousarray(self.weights["head.weight"].T)
        _linear(hidden, head, self.weights["head.bias"], False, logit)
        return hidden, logit[:, 0]

    def _layers(self) -> list[tuple[Values, Values]]:
        numbers = sorted(
            int(name.split(".")[1])
            for name in self.weights
            if name.endswith(".weight") and name[0] == "e"
        )
        return [
            (
                np.ascontiguousarray(self.weights[f"encoder.{n}.weight"].T),
                self.weights[f"encoder.{n}.bias"],
            )
            for n in numbers
        ]

    def save(self, path: str | Path) -> None:
        """Write the weights as safetensors."""
        from safetensors.numpy import save

        with replacing(path) as part:
            part.write_bytes(save(dict(self.weights)))

    @classmethod
    def load(cls, path: str | Path) -> Encoder:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file

        return cls(load_file(path))


@njit(cache=True, nogil=True)
def _linear(x, matrix, bias, rectify, out):  # type: ignore[no-untyped-def]
    inputs, width = matrix.shape
    for i in range(x.shape[0]):
        row = out[i]
        copy_into(row, bias)
        # Inputs outside, outputs inside: vectorised, and yet summed in one order.
        for c in range(inputs):
            value = x[i, c]
            for o in range(width):
                row[o] += value * matrix[c, o]
        if rectify:
            for o in range(width):
                row[o] = max(row[o], np.float32(0))
