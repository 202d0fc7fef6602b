"""Evaluations of disentanglement and of groups, on stores: sprites' factors, departures, what cannot be said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from phispace.data.sprites import FACTORS, SHAPES, sample_factors
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.evaluate import make_evaluation
from phispace.evaluation.groups import GroupsConfig, known_groups, regrouped
from phispace.evaluation.knn import KNN, KNNConfig
from phispace.evaluation.linear import LinearProbe

NAMES = ("mig", "sap", "dci", "factorvae")
FAST = {"dci": {"trees": 5, "train_items": 300}, "factorvae": {"votes": 500, "test_votes": 500, "batch": 16}}


def sprites(kind: str = "perfect", n: int = 600, **columns: np.ndarray) -> Embeddings:
    """Codes of sprites' factors, as a store of a run has them."""
    rng = np.random.default_rng(0)
    factors = sample_factors(n, rng).astype(np.float64)
    codes = (factors - factors.mean(0)) / factors.std(0)
    if kind == "noise":
        codes = rng.normal(size=(n, 6))
    names = {f"factor_{name}": factors[:, k] for k, name in enumerate(FACTORS)} | columns
    splits = np.where(np.arange(n) % 4 == 0, "test", "train")
    ids = [f"sprite {i:04d}" for i in range(n)]
    return Embeddings.build(codes, ids, factors[:, 0].astype(int), splits, SHAPES, columns=names)


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_code_is_told_from_noise(name):
    evaluation = make_evaluation(name, FAST.get(name))
    good, bad = (evaluation.run(sprites(kind)) for kind in ("perfect", "noise"))
    assert good.metrics[evaluation.primary] > bad.metrics[evaluation.primary] + 0.1
    if "by_factor" in good.details:
        assert list(good.details["by_factor"]) == list(FACTORS)
    if name == "mig":
        assert good.metrics["mig"] > 0.95
        assert good.n == {"items": 600}
    if name == "factorvae":
        assert good.metrics["accuracy"] == 1
        assert any("stored items" in caveat for caveat in good.caveats)


@pytest.mark.parametrize("name", NAMES)
def test_a_store_without_factors_is_refused_in_a_sentence(name, digits):
    bare = Embeddings.build(np.asarray(digits.vectors), digits.ids, digits.labels, digits.splits, digits.classes)
    with pytest.raises(InputError, match=r"factor_NAME.*sprites"):
        make_evaluation(name).run(bare)


@pytest.mark.parametrize("name", NAMES)
def test_a_factor_that_does_not_vary_is_left_out_and_named(name):
    store = sprites(factor_dust=np.zeros(600))
    evaluation = make_evaluation(name, FAST.get(name))
    scores = evaluation.run(store)
    assert any("left out: dust" in caveat for caveat in scores.caveats)
    assert scores.metrics == evaluation.run(sprites()).metrics


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_too_many_dimensions(name):
    scores = make_evaluation(name, {"max_dims": 5}).run(sprites())
    assert math.isnan(scores.metrics[make_evaluation(name).primary])
    assert "6 dimensions" in scores.caveats[0]


def test_a_factor_of_many_values_is_cut_and_unknown_ones_are_left_out():
    rng = np.random.default_rng(1)
    smooth = rng.normal(size=600)
    unknown = sprites(factor_smooth=smooth, factor_gap=np.where(np.arange(600) < 10, np.nan, rng.integers(0, 3, 600)))
    scores = make_evaluation("mig").run(unknown)
    assert scores.n == {"items": 590}
    assert any("smooth has many values" in caveat for caveat in scores.caveats)
    assert any("10 items with unknown factors" in caveat for caveat in scores.caveats)


def test_items_are_drawn_and_the_draw_is_said():
    scores = make_evaluation("mig", {"items": 100}).run(sprites(), seed=1)
    assert scores.n == {"items": 100}
    assert "Of 100 items drawn from 600." in scores.caveats
    assert scores != make_evaluation("mig", {"items": 100}).run(sprites(), seed=2)


# -- groups


def animals(n: int = 200) -> Embeddings:
    """Vectors of four classes: two vehicles on the left, two animals on the right, and an unknown one."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, n)
    x = rng.normal(size=(n, 3)) + np.array([-3, -2.5, 2.5, 3, 0])[labels][:, None]
    splits = np.where(np.arange(n) % 4 == 0, "test", "train")
    names = ["ship", "truck", "cat", "dog", "teapot"]
    return Embeddings.build(x, [f"i{i:03d}" for i in range(n)], labels, splits, names)


def test_vehicles_and_animals_are_known_by_name():
    scores = make_evaluation("groups").run(animals())
    assert scores.details["groups"] == {"vehicles": ["ship", "truck"], "animals": ["cat", "dog"]}
    assert scores.details["left_out"] == ["teapot"]
    assert scores.metrics["linear_accuracy"] > 0.95
    grouped = regrouped(animals(), {"vehicles": ("ship", "truck"), "animals": ("cat", "dog")})
    assert scores.metrics["linear_accuracy"] == LinearProbe().run(grouped).metrics["accuracy"]
    assert scores.metrics["knn_accuracy"] == KNN(KNNConfig()).run(grouped).metrics["accuracy"]
    assert 0.3 < scores.metrics["silhouette"] < 1
    assert scores.interval["linear_accuracy"][0] <= scores.metrics["linear_accuracy"]


def test_groups_can_be_given_as_text():
    config = GroupsConfig(groups="wet = ship; dry=truck , dog")
    assert config.groups == {"wet": ("ship",), "dry": ("truck", "dog")}
    scores = make_evaluation("groups", {"groups": "wet=ship;dry=truck,dog"}).run(animals())
    assert scores.details["left_out"] == ["cat", "teapot"]
    with pytest.raises(ValidationError, match="NAME=CLASS"):
        GroupsConfig(groups="ship,truck")


def test_unknown_classes_stay_unknown():
    store = animals()
    grouped = regrouped(store, {"a": ("ship",), "b": ("dog",)})
    assert (grouped.labels == np.array([0, -1, -1, 1, -1])[store.labels]).all()
    hidden = Embeddings.build(store.vectors, store.ids, np.full(200, -1), store.splits, store.classes)
    assert (regrouped(hidden, {"a": ("ship",), "b": ("dog",)}).labels == -1).all()


def test_classes_that_no_known_grouping_has_give_the_reason(digits):
    scores = make_evaluation("groups").run(digits)
    assert math.isnan(scores.metrics["linear_accuracy"])
    assert "groups are not given" in scores.caveats[0]
    assert known_groups(("ship", "truck")) == {}


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ({"a": ("ship",)}, "two groups are needed"),
        ({"a": ("ship",), "b": ("shp",)}, "class 'shp'; this store has ship"),
        ({"a": ("ship",), "b": ("ship",)}, "in two groups"),
        ({"a": ("ship",), "b": ()}, "no classes"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups, match):
    with pytest.raises(InputError, match=match):
        regrouped(animals(), groups)
