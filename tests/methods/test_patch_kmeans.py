"""k-means over patches: whitening, iteration and features against independent evaluations, and what it is worth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from phispace.encoders.build import build_encoder
from phispace.encoders.patch_dictionary import PatchDictionary
from phispace.errors import InputError
from phispace.methods.base import Batch, Task
from phispace.methods.patch_kmeans import PatchKMeans
from phispace.methods.patches import Moments, Sample, draw_patches, normalise_contrast, zca
from phispace.methods.streaming_kmeans import Update, nearest

TOLERANCE = 1e-5


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(count: int = 300, values: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, values, generator=rng(seed)) @ torch.randn(values, values, generator=rng(seed + 1))


# -- patches


def test_patches_are_pieces_of_their_image() -> None:
    images = torch.arange(3 * 2 * 5 * 5, dtype=torch.float32).view(3, 2, 5, 5)
    drawn = draw_patches(images, 3, 200, rng()).view(3, 200, 2, 3, 3)
    for image, patches in zip(images, drawn, strict=True):
        pieces = [image[:, i : i + 3, j : j + 3] for i in range(3) for j in range(3)]
        seen = [sum(torch.equal(patch, piece) for patch in patches) for piece in pieces]
        assert sum(seen) == 200
        assert min(seen) > 5, "each place is equally likely"


def test_contrast_is_normalised_as_published() -> None:
    """On pixels of 0 to 255 the published constant is 10."""
    x = torch.rand(50, 12, generator=rng()) * 255
    y = x.double().numpy()
    expected = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 10)
    found = normalise_contrast(x, 10.0).numpy()
    assert np.abs(found - expected).max() < TOLERANCE
    assert np.isfinite(normalise_contrast(torch.ones(2, 12), 10.0).numpy()).all()


def test_moments_of_blocks_are_those_of_the_whole() -> None:
    x, moments = rows(), Moments(7)
    for block in x.split(64):
        moments.add(block)
    mean, covariance = moments.result()
    assert np.abs(mean.numpy() - x.double().mean(0).numpy()).max() < TOLERANCE
    assert np.abs(covariance.numpy() - np.cov(x.double().numpy().T, bias=True)).max() < TOLERANCE


def test_whitening_makes_the_covariance_what_the_formula_says() -> None:
    covariance = np.cov(rows().double().numpy().T, bias=True)
    w = zca(torch.from_numpy(covariance), 0.1).numpy()
    assert np.abs(w - w.T).max() < TOLERANCE
    # The white covariance commutes with the old one and has the eigenvalues λ / (λ + ε).
    white = w @ covariance @ w.T
    expected = covariance @ np.linalg.inv(covariance + 0.1 * np.eye(7))
    assert np.abs(white - expected).max() < TOLERANCE
    exact = zca(torch.from_numpy(covariance), 1e-12).numpy()
    assert np.abs(exact @ covariance @ exact.T - np.eye(7)).max() < TOLERANCE


def test_a_sample_of_a_stream_takes_each_row_equally_often() -> None:
    counts = torch.zeros(40)
    for seed in range(400):
        sample, draws = Sample(10, 1), rng(seed)
        for block in torch.arange(40.0)[:, None].split(7):
            sample.add(block, draws)
        assert len(sample.rows) == 10
        counts[sample.rows.flatten().long()] += 1
    assert counts.min() > 65  # 100 expected, standard deviation 8.7
    assert counts.max() < 135


# -- iteration


def test_an_iteration_is_scikit_learns() -> None:
    x = rows(2000)
    start = x[:12].clone()
    update = Update(start, spherical=False)
    for block in x.split(300):
        update.add(block)
    reference = KMeans(12, init=start.numpy(), n_init=1, max_iter=1, algorithm="lloyd", tol=0).fit(x.numpy())
    assert np.abs(update.result(x[:0]).numpy() - reference.cluster_centers_).max() < TOLERANCE
    distances = ((x.double().numpy()[:, None] - start.double().numpy()[None]) ** 2).sum(2).min(1)
    assert abs(update.error / distances.sum() - 1) < TOLERANCE


def test_a_spherical_iteration_is_the_published_one() -> None:
    x = rows(500)
    start = torch.nn.functional.normalize(rows(9, seed=5), dim=1)
    update = Update(start, spherical=True)
    for block in x.split(90):
        update.add(block)
    d, new = start.double().numpy(), start.double().numpy().copy()
    error = 0.0
    for row in x.double().numpy():
        word = int((d @ row).argmax())
        new[word] += (d[word] @ row) * row
        error += ((row - (d[word] @ row) * d[word]) ** 2).sum()
    new /= np.linalg.norm(new, axis=1, keepdims=True)
    assert np.abs(update.result(x[:0]).numpy() - new).max() < TOLERANCE
    assert abs(update.error / error - 1) < TOLERANCE


def test_nearest_words() -> None:
    x, d = rows(200), rows(11, seed=3)
    word, error = nearest(x, d, spherical=False)
    distances = ((x.double().numpy()[:, None] - d.double().numpy()[None]) ** 2).sum(2)
    assert (word.numpy() == distances.argmin(1)).all()
    assert np.abs(error.numpy() / np.maximum(distances.min(1), 1) - distances.min(1) / np.maximum(distances.min(1), 1)
                  ).max() < TOLERANCE  # fmt: skip


@pytest.mark.parametrize("spherical", [False, True])
def test_a_word_without_patches_begins_anew_at_one(spherical: bool) -> None:
    x = rows(50)
    start = torch.cat([x[:3], torch.full((2, 7), 1e6)]) if not spherical else torch.zeros(5, 7)
    if spherical:
        start[:, 0] = torch.tensor([1.0, -1, 0, 0, 0])
        start[2:, 1] = 1e-3  # nearly no direction: never the nearest
    update = Update(start, spherical)
    update.add(x)
    lonely = update.count == 0
    assert update.empty == int(lonely.sum()) >= 2
    new = update.result(x[40:41])
    first, *others = lonely.nonzero().flatten().tolist()
    begun = torch.nn.functional.normalize(x[40], dim=0) if spherical else x[40]
    torch.testing.assert_close(new[first], begun)
    expected = torch.nn.functional.normalize(start, dim=1) if spherical else start
    torch.testing.assert_close(new[others], expected[others])


# -- features


def learnt(size: int, channels: int, words: int = 10, **options: object) -> PatchDictionary:
    """An encoder whose whitening and words are random, not the identity."""
    torch.manual_seed(0)
    encoder = build_encoder("patch-dictionary", channels, size, words=words, **options)
    assert isinstance(encoder, PatchDictionary)
    d = len(encoder.patches.mean)
    spread = torch.randn(2 * d, d, generator=rng(1))
    encoder.patches.weight.copy_(zca(spread.T @ spread / (2 * d), 0.1))
    encoder.patches.mean.copy_(0.1 * torch.randn(d, generator=rng(2)))
    encoder.words.dictionary.data.copy_(2 * torch.randn(words, d, generator=rng(3)))
    return encoder.eval()


def patch_by_patch(encoder: PatchDictionary, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Activations (B, K, h, w) and features (B, K 4) by loops over patches, float64."""
    normalise, patches = encoder.stages["normalise"], encoder.patches
    x = (images - normalise.mean.double().numpy()) / normalise.std.double().numpy()
    w, m = patches.weight.double().numpy(), patches.mean.double().numpy()
    words = encoder.words.dictionary.detach().double().numpy()
    side = (x.shape[2] - patches.patch) // patches.stride + 1
    f = np.zeros((len(x), len(words), side, side))
    for b, i, j in np.ndindex(len(x), side, side):
        top, left = i * patches.stride, j * patches.stride
        p = x[b, :, top : top + patches.patch, left : left + patches.patch].ravel()
        p = (p - p.mean()) / np.sqrt(p.var() + patches.contrast)
        z = np.linalg.norm(w @ (p - m) - words, axis=1)
        f[b, :, i, j] = np.maximum(0, z.mean() - z)
    half = round(side / 2)
    parts = [
        f[:, :, a, b].mean((2, 3)) for a in (slice(half), slice(half, None)) for b in (slice(half), slice(half, None))
    ]
    return f, np.stack(parts, 2).reshape(len(x), -1)


@pytest.mark.parametrize(
    ("size", "channels", "options"),
    [(12, 3, {}), (8, 1, {"patch": 3}), (11, 1, {"patch": 4, "stride": 2}), (32, 3, {"words": 700})],
)
def test_features_are_those_of_the_formula(size: int, channels: int, options: dict) -> None:
    encoder = learnt(size, channels, **options)
    images = np.random.default_rng(0).random((9 if size < 32 else 2, channels, size, size))
    active, features = patch_by_patch(encoder, images)
    x = torch.from_numpy(images).float()
    with torch.no_grad():
        found = encoder.taps(x, ("activation", "features"))
    assert np.abs(found["activation"].numpy() - active).max() < TOLERANCE
    assert np.abs(found["features"].numpy() - features).max() < TOLERANCE
    # With a gradient they are made in another way.
    assert np.abs(encoder(x).detach().numpy() - features).max() < TOLERANCE


def test_the_gradient_by_pieces_is_that_of_the_whole() -> None:
    encoder = learnt(16, 1, words=3000)  # 363,000 values an image: 11 images at a time
    x = torch.rand(24, 1, 16, 16, generator=rng())
    weights = torch.randn(24, 12000, generator=rng(1))
    (encoder(x) * weights).sum().backward()
    found = encoder.words.dictionary.grad.clone()
    encoder.words.dictionary.grad = None
    f = encoder(x, "activation")
    half = round(f.shape[2] / 2)
    parts = [
        f[:, :, a, b].mean((2, 3)) for a in (slice(half), slice(half, None)) for b in (slice(half), slice(half, None))
    ]
    (torch.stack(parts, 2).flatten(1) * weights).sum().backward()
    torch.testing.assert_close(found, encoder.words.dictionary.grad, rtol=1e-3, atol=1e-4)


# -- method


def digits() -> tuple[torch.Tensor, np.ndarray]:
    found = load_digits()
    return torch.from_numpy(found.images / 16).float()[:, None], found.target


def made(dictionary: str = "plain", words: int = 48, seed: int = 0) -> PatchKMeans:
    torch.manual_seed(seed)
    encoder = build_encoder("patch-dictionary", 1, 8, words=words, patch=4)
    images = digits()[0][:600]
    encoder.initialise((images.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8), rng())
    config = PatchKMeans.Config(dictionary=dictionary, epochs=6)
    return PatchKMeans(encoder, config, Task(1, 8, (), 600, 1)).eval()


def learn(method: PatchKMeans, passes: int) -> list[dict[str, torch.Tensor]]:
    images = digits()[0][:600]
    batches = [Batch((x,), torch.full((len(x),), -1), torch.arange(len(x))) for x in images.split(250)]
    with torch.no_grad():
        return [method.fit_without_gradient(batches) for _ in range(passes)]


def test_autocast_moves_no_patch_to_another_word() -> None:
    plain, under = made("plain"), made("plain")
    expected = learn(plain, 2)
    with torch.autocast("cpu", torch.bfloat16):
        found = learn(under, 2)
    assert torch.equal(under.encoder.words.dictionary, plain.encoder.words.dictionary)
    assert [t["error"] for t in found] == [t["error"] for t in expected]


@pytest.mark.parametrize("dictionary", ["plain", "spherical"])
def test_patches_are_white_and_words_come_nearer(dictionary: str) -> None:
    method = made(dictionary)
    terms = learn(method, 6)
    losses = [float(t["loss"]) for t in terms]
    assert losses[-1] < losses[0] - 0.02
    assert all(later < earlier + 0.005 for earlier, later in pairwise(losses))
    images = digits()[0][600:1200]
    with torch.no_grad():
        white = method.encoder(images, "whitened").permute(0, 2, 3, 1).flatten(0, 2)
    values = np.linalg.eigvalsh(np.cov(white.numpy().T))
    assert 0.6 < values[-8:].mean() < 1.4, "large variances become 1"
    lengths = method.encoder.words.dictionary.norm(dim=1)
    assert torch.allclose(lengths, torch.ones(48)) == (dictionary == "spherical")
    assert int(method.passes) == 6


def score(method: PatchKMeans) -> float:
    """Linear accuracy from 100 labelled digits."""
    images, labels = digits()
    with torch.no_grad():
        codes = method.encoder(images).numpy()
    codes = (codes - codes[:600].mean(0)) / codes[:600].std(0).clip(1e-6)
    found = LogisticRegression(C=0.1, max_iter=500).fit(codes[:100], labels[:100])
    return float(found.score(codes[600:], labels[600:]))


@pytest.mark.parametrize("dictionary", ["plain", "spherical"])
def test_it_beats_its_untrained_self(dictionary: str) -> None:
    """With few words; of many, random ones are nearly as good on such small images."""
    untrained = np.mean([score(made(dictionary, words=8, seed=seed)) for seed in range(3)])
    method = made(dictionary, words=8)
    learn(method, 6)
    assert score(method) >= untrained + 0.02


def test_what_it_cannot_learn_is_refused() -> None:
    task = Task(1, 8, (), 100, 1)
    with pytest.raises(InputError, match="'patch-dictionary'; MLP has none"):
        PatchKMeans(build_encoder("mlp", 1, 8), PatchKMeans.Config(), task)
    with pytest.raises(InputError, match=r"leave encoder\.code out"):
        PatchKMeans(build_encoder("patch-dictionary", 1, 8, code=4), PatchKMeans.Config(), task)
    with pytest.raises(InputError, match="no 4 x 4 parts"):
        build_encoder("patch-dictionary", 1, 8, grid=4, stride=3)
