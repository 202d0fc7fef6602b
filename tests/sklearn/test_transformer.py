"""The transformer: scikit-learn's own checks, and what they do not ask."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from phispace.errors import InputError
from phispace.methods import REGISTRY
from phispace.sklearn import PhiTransformer

# Checks of scikit-learn that are expected to fail, each with its reason. (Of those that it skips by itself there is
# one: check_array_api_input, which runs where SCIPY_ARRAY_API is set only.)
EXPECTED_FAILURES: dict[str, str] = {}


def small(**options: object) -> PhiTransformer:
    return PhiTransformer(**{"encoder": "mlp", "epochs": 1, "threads": 1, **options})


@parametrize_with_checks([small()], expected_failed_checks=lambda estimator: EXPECTED_FAILURES)
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    bunch = load_digits()
    return bunch.data[:400], bunch.target[:400]


@pytest.fixture(scope="module")
def fitted(digits) -> PhiTransformer:
    return small(epochs=5, batch_size=64).fit(*digits)


def test_the_features_tell_digits_apart(digits) -> None:
    x, y = digits
    model = make_pipeline(small(epochs=10, batch_size=32), LogisticRegression(max_iter=500))
    assert model.fit(x[:300], y[:300]).score(x[300:], y[300:]) > 0.85


def test_a_grid_search_tries_our_options(digits) -> None:
    x, y = digits
    model = make_pipeline(small(), LogisticRegression(max_iter=200))
    grid = GridSearchCV(model, {"phitransformer__layer": ["features"], "phitransformer__epochs": [1, 4]}, cv=2)
    grid.fit(x[:200], y[:200])
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    assert grid.best_estimator_.named_steps["phitransformer"].epochs == grid.best_params_["phitransformer__epochs"]
    assert grid.score(x[200:], y[200:]) > 0.6


def test_fit_transform_names_and_dtype(fitted: PhiTransformer, digits) -> None:
    features = fitted.transform(digits[0])
    assert features.dtype == np.float32
    names = fitted.get_feature_names_out()
    assert names[0] == "phitransformer0"
    assert len(names) == features.shape[1]


def test_pickle_gives_the_same_features_and_holds_arrays_only(fitted: PhiTransformer, digits) -> None:
    x, _ = digits
    before = fitted.transform(x[:50])
    again = pickle.loads(pickle.dumps(fitted))
    assert "_network" not in again.__dict__
    assert all(isinstance(value, np.ndarray) for value in again.weights_.values())
    np.testing.assert_array_equal(again.transform(x[:50]), before)


def test_clone_is_unfitted_and_equal_in_its_options(fitted: PhiTransformer) -> None:
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "weights_")


def test_the_same_seed_gives_the_same_features_another_does_not(digits) -> None:
    x, y = digits
    one, two, other = (small(random_state=s).fit(x[:100], y[:100]).transform(x[:5]) for s in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_a_row_does_not_depend_on_the_rows_beside_it(fitted: PhiTransformer, digits) -> None:
    x, _ = digits
    whole = fitted.transform(x[:100])
    for i in (0, 63, 64, 99):
        np.testing.assert_array_equal(fitted.transform(x[i : i + 1])[0], whole[i])


def test_nothing_is_left_on_the_disk(digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    small().fit(digits[0][:50], digits[1][:50]).transform(digits[0][:5])
    assert list(tmp_path.iterdir()) == []


def test_uint8_and_the_same_values_in_0_to_1_are_the_same_images(digits) -> None:
    x, y = digits
    pixels = np.round(x / 16 * 255).astype(np.uint8)
    one = small().fit(pixels[:100], y[:100])
    two = small().fit(pixels[:100] / 255, y[:100])
    assert one.value_range_ == (0.0, 255.0)
    assert two.value_range_ == (0.0, 1.0)
    np.testing.assert_array_equal(one.transform(pixels[:9]), two.transform(pixels[:9] / 255))
    with pytest.raises(ValueError, match="uint8"):
        two.transform(pixels[:9])


def test_other_ranges_are_those_of_the_training_rows(digits) -> None:
    x, y = digits
    one = small().fit(x[:100], y[:100])
    assert one.value_range_ == (0.0, 16.0)
    np.testing.assert_array_equal(one.transform(x[:3] + 100), one.transform(np.full_like(x[:3], 16)))


def test_images_and_rows_of_the_same_pixels_agree(digits) -> None:
    x, y = digits
    colour = np.stack([x.reshape(-1, 8, 8)] * 3, axis=-1)[:60] / 16
    colour[..., 1] *= 0.5
    rows = colour.transpose(0, 3, 1, 2).reshape(60, -1)
    one = small().fit(colour, y[:60])
    two = small(image_shape=(3, 8, 8)).fit(rows, y[:60])
    assert one.image_shape_ == two.image_shape_ == (3, 8, 8)
    assert one.n_features_in_ == 192
    np.testing.assert_array_equal(one.transform(colour[:7]), two.transform(rows[:7]))
    with pytest.raises(ValueError, match=r"\(3, 8, 8\)"):
        one.transform(np.zeros((2, 16, 12)))


def test_grey_images_that_are_not_square(digits) -> None:
    images = digits[0].reshape(-1, 8, 8)[:40, :6]
    fitted = small().fit(images, digits[1][:40])
    assert fitted.image_shape_ == (1, 6, 8)
    assert fitted.transform(images).shape[0] == 40


@pytest.mark.parametrize(("n", "side"), [(1, 4), (2, 4), (5, 4), (16, 4), (17, 5), (64, 8), (65, 9)])
def test_rows_are_laid_out_on_the_smallest_square(n: int, side: int) -> None:
    x = np.random.default_rng(0).random((12, n))
    fitted = small().fit(x, np.arange(12) % 2)
    assert fitted.image_shape_ == (1, side, side)
    pixels = fitted._images(x, None).images.reshape(12, -1)
    np.testing.assert_array_equal(pixels[:, :n], np.round(x * 255))
    assert not pixels[:, n:].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "supervisd"}, "supervised"),
        ({"encoder": "resnet999"}, "resnet999"),
        ({"layer": "fc77"}, "fc77"),
        ({"options": {"learning_rat": 0.1}}, "learning_rat"),
        ({"encoder_options": {"depth": "many"}}, "depth"),
        ({"image_shape": (1, 9, 9)}, "image_shape"),
        ({"image_shape": (2, 4, 8)}, "image_shape"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_wrong_options_are_value_errors_and_ours(digits, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        small(**options).fit(digits[0][:30], digits[1][:30])
    assert isinstance(caught.value, InputError)


def test_labels_may_be_words_and_are_needed(digits) -> None:
    x, y = digits
    words = np.array(["even", "odd"])[y % 2]
    assert small().fit(x[:50], words[:50]).classes_.tolist() == ["even", "odd"]
    with pytest.raises(ValueError, match="requires y"):
        small().fit(x)


@pytest.mark.parametrize("method", REGISTRY.names())
def test_every_method_fits_and_transforms(method: str, digits) -> None:
    x, y = digits
    encoder = {"code": 4} if method in ("vae", "beta-vae", "beta-tcvae") else None  # they end in a linear code
    encoder = {"words": 12} if method == "patch-kmeans" else encoder
    staged = method == "greedy-layerwise"
    options = {"then": "nothing", "layer_epochs": 1} if staged else None  # a transformer hands it no labels
    fitted = PhiTransformer(
        method=method,
        encoder={"patch-kmeans": "patch-dictionary", "mae": "vit"}.get(method, "mlp"),
        encoder_options=encoder,
        options=options,
        epochs=3 if staged else 1,
        batch_size=32,
        threads=1,
    ).fit(x[:80], y[:80])
    assert np.isfinite(fitted.transform(x[:8])).all()
