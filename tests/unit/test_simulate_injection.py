"""Errors put into tracks: what each kind does, how many there are, and what stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedsieve.errors import ConfigError
from bedsieve.simulate.error_mix import KINDS, ErrorMix
from bedsieve.simulate.injection import Injected, inject


def tracks(lines=40, points=200, seed=0, surface=True, bed=True):
    """Parallel lines over rolling ice; thickness near 1500 m, surface near 900 m."""
    rng = np.random.default_rng(seed)
    x = np.tile(np.arange(points) * 30.0, lines)
    line = np.repeat(np.arange(lines), points)
    y = line * 500.0
    thickness = 1500 + 300 * np.sin(x / 900.0) + rng.normal(0, 3, len(x))
    top = 900 + x / 100 if surface else np.full(len(x), np.nan)
    base = top - thickness if bed else np.full(len(x), np.nan)
    return {
        "ice_thickness": thickness,
        "east": x,
        "north": y,
        "line": line,
        "surface": top,
        "bed": base,
    }


def run(data, kinds=KINDS, seed=1, prevalence=0.03, **keywords) -> Injected:
    mix = ErrorMix.from_dict(
        {"prevalence": prevalence, "share": {k: float(k in kinds) / len(kinds) for k in KINDS}}
    )
    return inject(**data, rng=np.random.default_rng(seed), mix=mix, **keywords)


def test_prevalence_and_shares_are_met_and_every_kind_occurs():
    data = tracks(lines=400, points=100)
    mix = ErrorMix()
    found = inject(**data, rng=np.random.default_rng(0), mix=mix)
    n = len(data["line"])
    assert found.left_out == ()
    assert (found.kind >= 0).mean() == pytest.approx(mix.prevalence, rel=0.2)
    for number, kind in enumerate(KINDS):
        quota = mix.prevalence * mix.share[kind] * n
        assert abs((found.kind == number).sum() - quota) <= max(mix.length[kind][0], 0.6 * quota)


def test_honest_points_keep_every_value():
    data = tracks()
    found = run(data)
    honest = found.kind < 0
    assert 0 < (~honest).sum() < len(honest) / 4
    for name in ("ice_thickness", "surface", "bed", "east", "north"):
        assert np.array_equal(getattr(found, name)[honest], data[name][honest])
    assert (found.event[honest] == -1).all()
    assert (found.delta_m[honest] == 0).all()


def test_the_arrays_given_are_not_changed():
    data = tracks()
    before = {name: values.copy() for name, values in data.items()}
    run(data)
    assert all(np.array_equal(before[name], data[name]) for name in data)


def test_each_event_is_one_unbroken_run_of_one_kind_on_one_line():
    data = tracks(lines=60)
    # Lines whose points do not stand together: even ones first, then odd ones.
    mixed = np.argsort(np.arange(len(data["line"])) % 2, kind="stable")
    data = {name: values[mixed] for name, values in data.items()}
    found = run(data)
    for event in range(found.event.max() + 1):
        members = np.flatnonzero(found.event == event)
        assert len(set(found.kind[members])) == 1
        line = data["line"][members[0]]
        assert (data["line"][members] == line).all()
        along = np.flatnonzero(data["line"] == line)
        places = np.flatnonzero(np.isin(along, members))
        assert (np.diff(places) == 1).all()


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "column_swap"])
def test_the_bed_follows_the_thickness(kind):
    found = run(tracks(), kinds=[kind])
    bad = found.kind >= 0
    assert bad.any()
    assert np.allclose(found.bed[bad], found.surface[bad] - found.ice_thickness[bad])


@pytest.mark.parametrize("kind", KINDS)
def test_delta_is_what_the_error_added(kind):
    data = tracks()
    found = run(data, kinds=[kind])
    bad = found.kind >= 0
    assert bad.any()
    change = (found.ice_thickness - data["ice_thickness"])[bad]
    assert np.allclose(found.delta_m[bad], change)


def test_sizes_are_those_of_the_mix():
    data = tracks()
    mix = ErrorMix()
    spikes = run(data, kinds=["spike"])
    sizes = np.abs(spikes.delta_m[spikes.kind >= 0])
    assert sizes.min() >= mix.spike_m[0] - 1e-6
    assert sizes.max() <= mix.spike_m[1] + 1e-6
    assert (np.bincount(spikes.event[spikes.kind >= 0]) == 1).all()
    lines = run(data, kinds=["line_bias"])
    biased = lines.kind >= 0
    for line in np.unique(data["line"][biased]):
        whole = data["line"] == line
        assert biased[whole].all()
        assert np.ptp(lines.delta_m[whole]) == pytest.approx(0, abs=1e-6)
    slips = run(data, kinds=["unit_slip"])
    bad = slips.kind >= 0
    ratio = slips.ice_thickness[bad] / data["ice_thickness"][bad]
    assert np.isclose(ratio[:, None], mix.unit_factors).any(axis=1).all()


def test_a_flat_line_repeats_its_first_value():
    data = tracks()
    found = run(data, kinds=["flat_line"])
    for event in range(found.event.max() + 1):
        members = np.flatnonzero(found.event == event)
        assert np.ptp(found.ice_thickness[members]) == 0
        assert found.ice_thickness[members[0]] == data["ice_thickness"][members[0]]


def test_a_swap_exchanges_thickness_and_surface():
    data = tracks()
    found = run(data, kinds=["column_swap"])
    bad = found.kind >= 0
    assert bad.any()
    assert np.array_equal(found.ice_thickness[bad], data["surface"][bad])
    assert np.array_equal(found.surface[bad], data["ice_thickness"][bad])
    # The columns disagree: that is the error.
    assert np.array_equal(found.bed[bad], data["bed"][bad])


def test_without_surface_and_bed_a_swap_is_left_out_and_the_rest_stays():
    found = run(tracks(surface=False, bed=False))
    assert found.left_out == ("column_swap",)
    assert set(np.unique(found.kind)) == {-1, *range(len(KINDS))} - {KINDS.index("column_swap")}
    assert np.isnan(found.surface).all()
    assert np.isnan(found.bed).all()


def test_a_bed_without_a_surface_moves_with_the_thickness():
    data = tracks()
    data["surface"] = np.full_like(data["surface"], np.nan)
    found = run(data, kinds=["sector"])
    bad = found.kind >= 0
    assert np.allclose(found.bed[bad], data["bed"][bad] - found.delta_m[bad])


def test_where_the_truth_is_known_displaced_points_move_and_keep_their_thickness():
    data = tracks()

    def truth(east, north):
        return 1500 + 300 * np.sin(east / 900.0) + 0 * north

    found = run(data, kinds=["displaced"], thickness_at=truth)
    bad = found.kind >= 0
    moved = np.hypot(found.east - data["east"], found.north - data["north"])[bad]
    low, high = ErrorMix().displaced_m
    assert ((moved >= low - 1e-6) & (moved <= high + 1e-6)).all()
    assert np.array_equal(found.ice_thickness[bad], data["ice_thickness"][bad])
    expected = found.ice_thickness[bad] - truth(found.east[bad], found.north[bad])
    assert np.allclose(found.delta_m[bad], expected)


def test_on_real_tracks_displaced_points_carry_the_thickness_from_further_on():
    data = tracks()
    found = run(data, kinds=["displaced"])
    bad = np.flatnonzero(found.kind >= 0)
    assert np.array_equal(found.east, data["east"])
    for at in bad:
        line = data["line"] == data["line"][at]
        same = line & (data["ice_thickness"] == found.ice_thickness[at])
        assert np.abs(data["east"][same] - data["east"][at]).min() >= 700


def test_missing_thickness_is_never_touched():
    data = tracks()
    gone = np.arange(len(data["line"])) % 7 == 0
    data["ice_thickness"] = np.where(gone, np.nan, data["ice_thickness"])
    found = run(data)
    assert np.isnan(found.ice_thickness[gone]).all()
    assert (found.kind[gone] == -1).all()


def test_a_single_long_track_is_never_biased_as_a_whole():
    found = run(tracks(lines=1, points=3000), prevalence=0.02)
    assert "line_bias" in found.left_out
    assert (found.kind >= 0).mean() < 0.1


def test_nothing_to_inject_into():
    empty = {name: values[:0] for name, values in tracks().items()}
    found = run(empty)
    assert len(found.kind) == 0
    assert found.left_out == ()


def test_lengths_must_agree():
    data = tracks()
    data["east"] = data["east"][1:]
    with pytest.raises(ValueError, match="one value per point"):
        run(data)


@settings(max_examples=20, deadline=None)
@given(
    lines=st.integers(1, 12),
    points=st.integers(1, 150),
    seed=st.integers(0, 2**32 - 1),
    prevalence=st.floats(0, 0.2),
)
def test_any_tracks_get_finite_positive_thicknesses_and_the_same_ones_again(
    lines, points, seed, prevalence
):
    data = tracks(lines, points, seed)
    found = run(data, seed=seed, prevalence=prevalence)
    assert (found.ice_thickness > 0).all()
    assert ((found.event >= 0) == (found.kind >= 0)).all()
    again = run(data, seed=seed, prevalence=prevalence)
    assert np.array_equal(found.ice_thickness, again.ice_thickness)
    assert np.array_equal(found.event, again.event)


def test_the_mix_survives_a_configuration_file():
    mix = ErrorMix(prevalence=0.02, spike_m=(100.0, 200.0))
    assert ErrorMix.from_dict(mix.as_dict()) == mix
    assert ErrorMix.from_dict(None) == ErrorMix()
    partial = ErrorMix.from_dict({"share": {"spike": 0.5}})
    assert partial.share["spike"] == 0.5
    assert partial.share["burst"] == ErrorMix().share["burst"]
    assert sum(ErrorMix().share.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"prevelance": 0.1}, "prevelance"),
        ({"share": {"spikes": 0.1}}, "spikes"),
        ({"length": {"brust": [1, 2]}}, "brust"),
        ({"prevalence": 0.7}, "0.7"),
    ],
)
def test_a_wrong_mix_is_named(block, named):
    with pytest.raises(ConfigError, match=named):
        ErrorMix.from_dict(block)
