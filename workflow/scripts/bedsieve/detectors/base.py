"""What every detector of the library has in common: PyOD's contract, without importing it.

In: a feature matrix X (n, columns). Out: scores, higher = more anomalous; a threshold beside them,
never mixed into them. The score of a training point is the score that `decision_function` gives it.
"""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bedsieve.errors import BedsieveError, InputError
from bedsieve.files import replacing


class Detector(ABC):
    """Base of the detectors.

    A subclass stores its constructor's parameters under their own names and nothing else (so
    `sklearn.base.clone` works), and gives `_fit` and `_score`. What `_fit` learns are attributes
    with a trailing underscore: arrays or numbers.

    Attributes
    ----------
    decision_scores_ : ndarray of float64, shape (n,)
        Scores of the training points.
    threshold_ : float
        Quantile 1 - contamination of `decision_scores_`.
    labels_ : ndarray of int64, shape (n,)
        1 where the score exceeds the threshold. A point that cannot be scored (NaN) is 0.
    """

    contamination: float
    random_state: int | None
    decision_scores_: NDArray[np.float64]
    threshold_: float
    labels_: NDArray[np.int64]

    @abstractmethod
    def _fit(self, X: NDArray[np.float64], y: ArrayLike | None) -> None:
        """Learn from X; sets attributes with a trailing underscore."""

    @abstractmethod
    def _score(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores of X, shape (n,); NaN where a point cannot be judged."""

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from X (n, columns), score it and set the threshold.

        Raises
        ------
        BedsieveError
            If X is no matrix, or contamination is not between 0 and 0.5.
        """
        if not 0 < self.contamination <= 0.5:
            raise BedsieveError(f"contamination must lie in (0, 0.5], not {self.contamination}.")
        matrix = _matrix(X)
        self._fit(matrix, y)
        self.decision_scores_ = self._score(matrix)
        known = self.decision_scores_[~np.isnan(self.decision_scores_)]
        self.threshold_ = float(np.quantile(known, 1 - self.contamination)) if known.size else 1.0
        self.labels_ = self._label(self.decision_scores_)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Scores of X, shape (n,), higher = more anomalous.

        Raises
        ------
        BedsieveError
            If the detector is not fitted.
        """
        self._check_fitted()
        return self._score(_matrix(X))

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """1 where the score of X exceeds `threshold_`, else 0; shape (n,)."""
        return self._label(self.decision_function(X))

    def _label(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        return (scores > self.threshold_).astype(np.int64)

    def _check_fitted(self) -> None:
        if not hasattr(self, "threshold_"):
            raise BedsieveError(f"{type(self).__name__} is not fitted. Call fit first.")

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls.__init__).parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor parameters by name, as scikit-learn asks for them."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Set constructor parameters.

        Raises
        ------
        BedsieveError
            If there is no such parameter.
        """
        for name, value in params.items():
            if name not in self._parameter_names():
                raise BedsieveError(f"{type(self).__name__} has no parameter {name}.")
            setattr(self, name, value)
        return self

    def save(self, path: str | Path) -> None:
        """Write parameters and fitted attributes to an .npz file (no pickle)."""
        self._check_fitted()
        fitted = {name: value for name, value in vars(self).items() if name.endswith("_")}
        with replacing(path) as part, open(part, "wb") as stream:
            np.savez(
                stream, params=np.array(json.dumps(self.get_params())), allow_pickle=False, **fitted
            )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file does not hold this detector's parameters.
        """
        with np.load(path, allow_pickle=False) as stored:
            params = json.loads(str(stored["params"]))
            if sorted(params) != cls._parameter_names():
                raise InputError(path, f"this is no {cls.__name__}", "Fit and save it again")
            detector = cls(**params)
            for name in stored.files:
                if name != "params":
                    value = stored[name]
                    setattr(detector, name, value.item() if value.ndim == 0 else value)
        return detector


def _matrix(X: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(X, np.float64)
    if matrix.ndim != 2:
        raise BedsieveError(f"X must have two dimensions (points, columns), not {matrix.ndim}.")
    return matrix
