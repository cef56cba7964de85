"""One contract for every detector that is of use outside the workflow: PyOD's, and what a published score needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from bedsieve.detectors.along_track import AlongTrack
from bedsieve.detectors.base import Detector
from bedsieve.errors import BedsieveError, InputError


def flight_lines(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Thickness, line and position along it over ten lines, and the rows with an injected spike."""
    rng = np.random.default_rng(seed)
    line = np.repeat(np.arange(10.0), 200)
    position = np.tile(np.arange(200.0), 10)
    thickness = 2000 + 300 * np.sin(position / 40 + line) + rng.normal(0, 10, line.size)
    spikes = np.arange(37, line.size, 97)
    thickness[spikes] += rng.choice([-700.0, 700.0], spikes.size)
    return np.column_stack([thickness, line, position]), spikes


DETECTORS: dict[str, type[Detector]] = {"along_track": AlongTrack}

# What each of them is tried on: a matrix and its rows with injected errors.
DATA: dict[str, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {"along_track": flight_lines}

every_detector = pytest.mark.parametrize("name", sorted(DETECTORS))


def fitted(name: str, **params: float) -> Detector:
    return DETECTORS[name](random_state=0, **params).fit(DATA[name](0)[0])


@every_detector
def test_shape_range_and_finiteness(name: str) -> None:
    X, _ = DATA[name](0)
    detector = fitted(name)
    for scores in (detector.decision_scores_, detector.decision_function(X)):
        assert scores.shape == (len(X),)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        assert scores.min() >= 0
        assert scores.max() <= 1


@every_detector
def test_injected_errors_score_higher(name: str) -> None:
    X, errors = DATA[name](0)
    scores = fitted(name).decision_function(X)
    others = np.delete(scores, errors)
    assert np.quantile(scores[errors], 0.25) > np.quantile(others, 0.95)


@every_detector
def test_training_scores_are_the_scores(name: str) -> None:
    X, _ = DATA[name](0)
    detector = fitted(name)
    np.testing.assert_array_equal(detector.decision_scores_, detector.decision_function(X))
    np.testing.assert_array_equal(detector.labels_, detector.predict(X))


@every_detector
def test_threshold_stands_beside_the_scores(name: str) -> None:
    strict, lax = fitted(name, contamination=0.005), fitted(name, contamination=0.2)
    np.testing.assert_array_equal(strict.decision_scores_, lax.decision_scores_)
    assert strict.threshold_ > lax.threshold_
    assert strict.labels_.mean() == pytest.approx(0.005, abs=0.002)
    assert lax.labels_.mean() == pytest.approx(0.2, abs=0.002)
    np.testing.assert_array_equal(lax.labels_, lax.decision_scores_ > lax.threshold_)


@every_detector
@pytest.mark.parametrize("contamination", [0.0, 0.6, float("nan")])
def test_contamination_that_cannot_be(name: str, contamination: float) -> None:
    with pytest.raises(BedsieveError, match="contamination"):
        fitted(name, contamination=contamination)


@every_detector
def test_clone_is_unfitted_with_the_same_parameters(name: str) -> None:
    detector = fitted(name, contamination=0.05)
    copy = clone(detector)
    assert copy.get_params() == detector.get_params()
    assert not hasattr(copy, "threshold_")
    with pytest.raises(BedsieveError, match="not fitted"):
        copy.decision_function(DATA[name](0)[0])


@every_detector
def test_constructor_only_stores(name: str) -> None:
    detector = DETECTORS[name]()
    assert vars(detector) == detector.get_params()
    assert detector.set_params(contamination=0.3).contamination == 0.3
    with pytest.raises(BedsieveError, match="no parameter"):
        detector.set_params(contaminaton=0.3)


@every_detector
def test_seed_gives_the_same_scores(name: str) -> None:
    np.testing.assert_array_equal(fitted(name).decision_scores_, fitted(name).decision_scores_)


@every_detector
def test_order_of_rows_does_not_matter(name: str) -> None:
    X, _ = DATA[name](0)
    order = np.random.default_rng(1).permutation(len(X))
    detector = fitted(name)
    np.testing.assert_allclose(
        detector.decision_function(X[order]), detector.decision_function(X)[order], atol=1e-7
    )


@every_detector
def test_new_data_leave_the_fit_alone(name: str) -> None:
    X, _ = DATA[name](0)
    detector = fitted(name)
    before = detector.decision_function(X)
    detector.decision_function(DATA[name](1)[0])
    np.testing.assert_array_equal(detector.decision_function(X), before)


@every_detector
def test_saved_and_loaded(name: str, tmp_path: Path) -> None:
    X, _ = DATA[name](0)
    detector = fitted(name, contamination=0.05)
    detector.save(tmp_path / "detector.npz")
    back = DETECTORS[name].load(tmp_path / "detector.npz")
    assert back.get_params() == detector.get_params()
    assert back.threshold_ == detector.threshold_
    np.testing.assert_array_equal(back.labels_, detector.labels_)
    np.testing.assert_array_equal(back.decision_function(X), detector.decision_function(X))


@every_detector
def test_loading_something_else(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", params=np.array('{"width": 3}'))
    with pytest.raises(InputError, match="this is no"):
        DETECTORS[name].load(tmp_path / "other.npz")


@every_detector
def test_matrix_is_asked_for(name: str) -> None:
    with pytest.raises(BedsieveError, match="two dimensions"):
        DETECTORS[name]().fit(np.zeros(5))


def test_along_track_scores_each_line_by_itself() -> None:
    X, _ = flight_lines()
    whole = fitted("along_track").decision_function(X)
    for line in range(10):
        rows = X[:, 1] == line
        np.testing.assert_array_equal(fitted("along_track").decision_function(X[rows]), whole[rows])


def test_along_track_without_positions_takes_the_order_of_rows() -> None:
    X, _ = flight_lines()
    detector = fitted("along_track")
    np.testing.assert_array_equal(
        detector.decision_function(X[:, :2]), detector.decision_function(X)
    )
    with pytest.raises(BedsieveError, match="columns"):
        detector.decision_function(X[:, :1])


def test_along_track_labels_no_point_that_it_cannot_judge() -> None:
    X, _ = flight_lines()
    short = np.array([[9999.0, 77.0, 0.0], [1.0, 77.0, 1.0]])
    detector = AlongTrack().fit(np.vstack([X, short]))
    assert np.isnan(detector.decision_scores_[-2:]).all()
    assert detector.labels_[-2:].tolist() == [0, 0]
    assert np.isfinite(detector.threshold_)


def test_importing_a_detector_imports_no_heavy_package() -> None:
    code = (
        "import sys, bedsieve.detectors.along_track; "
        "print([m for m in ('sklearn', 'torch', 'hdbscan') if m in sys.modules])"
    )
    path = Path(sys.modules["bedsieve"].__path__[0]).parent
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=path, check=True
    )
    assert done.stdout.strip() == "[]"
