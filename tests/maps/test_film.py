"""Films: comparable frames at the same trust, honest numbers, storage."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
from blobs import blobs, drifting

from phispace.errors import DataError, InputError
from phispace.maps import animation
from phispace.maps.animation import churned, fit_frames, moved, rotated_to, warm_options
from phispace.maps.film import BLURS, INHERITS, JUMPS, LAGS, SHARPENS, UNFAITHFUL, Caption, Film, judge


@pytest.fixture(scope="module")
def film() -> Film:
    return fit_frames(drifting())


def test_points_move_less_than_half_as_far_at_the_same_trust(film: Film) -> None:
    summary = film.summary()
    assert summary["displacement_ratio"] < 0.5
    assert summary["trustworthiness"] > summary["trustworthiness_independent"] - 0.005
    assert abs(np.nanmean(film.column("leak") - film.column("leak_independent"))) < 0.03


def test_frames_hold_the_same_items_in_the_same_order(film: Film) -> None:
    stores = drifting()
    assert film.xy.shape == (4, 200, 2)
    assert [c.epoch for c in film.captions] == [1, 2, 3, 4]
    assert film.captions[1].words == "epoch 2 · accuracy 50.0 %"
    shuffled = [s.take(np.random.default_rng(k).permutation(len(s))) for k, s in enumerate(stores)]
    shuffled[0] = stores[0]
    few = fit_frames(shuffled[:2], max_items=60, compare=False)
    same = fit_frames(stores[:2], max_items=60, compare=False)
    assert np.array_equal(few.xy, same.xy)
    assert len(few.ids) == 60
    assert np.bincount(few.labels).tolist() == [12] * 5
    assert "displacement_independent" not in same.table[1] or np.isnan(same.table[1]["displacement_independent"])


def test_each_row_says_what_it_should(film: Film) -> None:
    assert np.isnan(film.table[0]["displacement"])
    assert np.isnan(film.table[0]["churn"])
    for row in film.table[1:]:
        assert 0 < row["churn"] < 1
        assert row["displacement"] < row["displacement_p95"]
        assert -1 <= row["stability"] <= 1
        assert row["leak"] == pytest.approx(row["class_agreement"] - row["class_agreement_representation"])
    assert film.table[-1]["class_agreement"] > film.table[0]["class_agreement"]


def test_the_more_neighbours_are_new_the_less_of_the_layout_stays() -> None:
    still, lively, new = (warm_options(churn) for churn in (0.3, 0.8, 0.95))
    assert still["start_exaggeration"] < lively["start_exaggeration"]
    assert new == {"start_scale": "small"}
    others = drifting(frames=1, n=80, seed=5)[0]
    film = fit_frames([drifting(frames=1, n=80)[0], others], [Caption(1), Caption(2)], compare=False)
    assert film.table[1]["churn"] > 0.85
    assert [o["start_scale"] for o in film.info["options"]] == ["full", "small"]
    fixed = fit_frames(drifting(frames=2, n=80), strategy="constant", compare=False)
    assert [o["start_exaggeration"] for o in fixed.info["options"]] == [4.0, 4.0]


def test_the_same_clusters_again_hardly_move() -> None:
    store = blobs(150)
    film = fit_frames([store, store], [Caption(1), Caption(2)])
    assert film.table[1]["churn"] == 0
    assert film.table[1]["displacement"] < 0.25 * film.table[1]["displacement_independent"]


def test_independent_films_are_what_the_bar_is_measured_against() -> None:
    film = fit_frames(drifting(frames=2, n=120), strategy="independent")
    assert film.table[1]["displacement"] == film.table[1]["displacement_independent"]
    assert JUMPS in film.badges(1)
    full = fit_frames(drifting(frames=2, n=120), strategy="full", compare=False)
    assert full.strategy == "full"
    assert full.table[1]["displacement"] < film.table[1]["displacement"]


def test_neither_backwards_nor_joint_is_offered() -> None:
    stores = drifting(frames=3, n=40)
    with pytest.raises(InputError, match="training order"):
        fit_frames(stores[::-1])
    for name in ("backwards", "joint", "reverse"):
        with pytest.raises(InputError, match="warm, constant, full, independent"):
            fit_frames(stores, strategy=name)  # type: ignore[arg-type]
    options = set(inspect.signature(fit_frames).parameters)
    assert not options & {"backwards", "reverse", "joint", "order"}
    assert set(animation._STRATEGIES) == {"warm", "constant", "full", "independent", "identity"}


def test_bad_stores_and_captions_are_refused() -> None:
    stores = drifting(frames=2, n=40)
    with pytest.raises(InputError, match="at least one store"):
        fit_frames([])
    with pytest.raises(InputError, match="2 stores and 1 captions"):
        fit_frames(stores, [Caption(1)])
    with pytest.raises(InputError, match="epoch, accuracy and text"):
        fit_frames(stores, [{"epoch": 1}, {"epcoh": 2}])
    with pytest.raises(InputError, match="lacks 1 ids of the first store, 'item-0039'"):
        fit_frames([stores[0], stores[1].take(np.arange(39))])
    with pytest.raises(InputError, match="at least 4 items"):
        fit_frames([s.take(np.arange(3)) for s in stores])


def test_a_collapsed_checkpoint_is_one_point_and_the_next_one_starts_anew() -> None:
    good = blobs(40)
    flat = type(good).build(np.ones((40, 12)), good.ids, good.labels, classes=good.classes)
    film = fit_frames([good, flat, good])
    assert not film.xy[1].any()
    assert np.ptp(film.xy[2]) > 1
    assert np.isnan(film.table[1]["trustworthiness"])
    assert film.table[2]["class_agreement"] > 0.95
    assert film.badges(1) == film.badges(1)


def test_alignment_turns_and_mirrors_but_never_scales() -> None:
    random = np.random.default_rng(0)
    before = random.normal(size=(50, 2))
    turn = np.array([[np.cos(2), -np.sin(2)], [np.sin(2), np.cos(2)]]) @ np.diag([1, -1])
    before -= before.mean(axis=0)
    assert np.allclose(rotated_to(before @ turn + 5, before), before)
    assert np.allclose(rotated_to(3 * before @ turn, before), 3 * before)


def test_displacement_and_churn_by_hand() -> None:
    before = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert moved(before, before) == pytest.approx(np.zeros(4))
    assert moved(before, -before) == pytest.approx(np.full(4, 2))
    assert moved(10 * before, -10 * before) == pytest.approx(np.full(4, 2))
    assert churned(np.array([[1, 2, 3]]), np.array([[3, 2, 1]])) == pytest.approx([0])
    assert churned(np.array([[1, 2, 3]]), np.array([[3, 4, 5]])) == pytest.approx([0.8])
    assert churned(np.array([[1, 2]]), np.array([[3, 4]])) == pytest.approx([1])


def test_verdicts() -> None:
    good = {
        "displacement": 0.2, "displacement_independent": 1.0, "trustworthiness": 0.95,
        "trustworthiness_independent": 0.953, "leak": 0.02, "leak_independent": 0.0,
    }  # fmt: skip
    assert judge(good) == []
    assert judge(good | {"displacement": 0.26}) == [JUMPS]
    assert judge(good | {"trustworthiness": 0.94}) == [UNFAITHFUL]
    assert judge(good | {"leak": 0.05}) == [INHERITS]
    assert judge(good | {"leak": 0.05, "leak_independent": 0.045}) == [SHARPENS]
    assert judge(good | {"leak": -0.05}) == [LAGS]
    assert judge(good | {"leak": -0.05, "leak_independent": -0.06}) == [BLURS]
    assert judge({"leak": float("nan")}) == []


def test_a_jointly_fitted_film_would_be_caught(film: Film) -> None:
    """The beautiful lie: the last frame's layout shown for the first representation."""
    from phispace.maps.base import prepared
    from phispace.maps.quality import measure

    lie = measure(prepared(drifting()[0].vectors), film.xy[-1], film.labels)
    assert INHERITS in judge(lie | {"leak_independent": film.table[0]["leak_independent"]})


def test_films_survive_storage_and_damage_is_seen(film: Film, tmp_path: Path) -> None:
    path = film.save(tmp_path / "film")
    again = Film.open(path)
    assert np.array_equal(again.xy, film.xy)
    assert again.captions == film.captions
    assert again.info == film.info
    assert again.strategy == "warm"
    for mine, theirs in zip(film.table, again.table, strict=True):
        assert mine == pytest.approx(theirs, nan_ok=True)
    assert again.frame(1).quality["trustworthiness"] == film.table[1]["trustworthiness"]
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text.replace('"captions"', '"headings"'))
    with pytest.raises(DataError, match="cannot be read as a film"):
        Film.open(path)
    path.with_suffix(".json").write_text(text)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match="changed or is damaged"):
        Film.open(path)
