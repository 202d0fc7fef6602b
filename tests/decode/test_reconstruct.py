"""Reconstructions of runs: scores against direct formulas, baselines, the figure, what is refused."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from small_run import digits
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from typer.testing import CliRunner

from phispace import cli
from phispace.api.decode import reconstruct
from phispace.api.learn import train
from phispace.api.reconstruction import EVALUATION, decode_with, load_decoding, pixels_of, reconstruction_scores
from phispace.data.corruptions import corrupt
from phispace.data.imageset import ImageSet
from phispace.errors import InputError, PhispaceError
from phispace.evaluation.items import Items
from phispace.evaluation.priors import PRIORS
from phispace.maps.reconstructions import draw_reconstructions
from phispace.run import Run

SMALL = ["encoder.hidden=[32]", "encoder.code=6", "method.batch_size=50", "method.learning_rate=0.01"]
QUICK = {"threads": 1, "precision": "float32", "tensorboard": False, "health_every": 0}


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return digits(500)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    more = {"sparse-autoencoder": ["encoder.code=40", "method.k=6"], "supervised": ["method.batch_size=50"]}
    names = ("autoencoder", "denoising-autoencoder", "sparse-autoencoder", "supervised")
    return {
        name: train(
            name, images, encoder="mlp", out=folder / name, epochs=6, settings=[*SMALL, *more.get(name, [])],
            training=QUICK,
        )
        for name in names
    }  # fmt: skip


def of(rows: list[dict], store: str) -> dict:
    return next(row for row in rows if row["store"] == store)


def test_scores_are_their_formulas_over_the_test_images(runs, images):
    run = runs["autoencoder"]
    rows = reconstruction_scores(run, images)
    assert [row["store"] for row in rows] == ["features @ best", "pca", "mean-image"]
    positions = images.where("test")
    x = torch.from_numpy(pixels_of(images, positions))
    y = torch.from_numpy(decode_with(load_decoding(run))(x.numpy()))
    own = of(rows, "features @ best")
    assert own["options"] == {"split": "test"}
    assert own["n"] == {"test": len(positions)}
    assert own["metrics"]["mse"] == pytest.approx(float((x - y).square().mean()), rel=1e-5)
    each = [float(peak_signal_noise_ratio(b, a, data_range=1.0)) for a, b in zip(x, y, strict=True)]
    assert own["metrics"]["psnr"] == pytest.approx(np.mean(each), abs=1e-4)
    likeness = float(structural_similarity_index_measure(y, x, data_range=1.0))
    assert own["metrics"]["ssim"] == pytest.approx(likeness, abs=1e-5)
    for name, (low, high) in own["interval"].items():
        assert low < own["metrics"][name] < high
    stored = Items.open(run.path / own["items"]["path"])
    assert stored.values["mse"].mean() == pytest.approx(own["metrics"]["mse"])
    assert sorted(stored.ids) == sorted(images.ids[positions])
    assert [r for r in Run.open(run.path).scores() if r["evaluation"] == "reconstruction"] == rows


def test_baselines_are_the_mean_image_and_as_many_components(runs, images):
    rows = reconstruction_scores(runs["autoencoder"], images)
    train_, test = (pixels_of(images, images.where(s)).reshape(-1, 64).astype(np.float64) for s in ("train", "test"))
    expected = float(((train_.mean(0) - test) ** 2).mean())
    assert of(rows, "mean-image")["metrics"]["mse"] == pytest.approx(expected, rel=1e-5)
    pca = PCA(6, svd_solver="full").fit(train_)
    expected = float(((np.clip(pca.inverse_transform(pca.transform(test)), 0, 1) - test) ** 2).mean())
    assert of(rows, "pca")["metrics"]["mse"] == pytest.approx(expected, rel=1e-4)
    assert of(rows, "pca")["n"] == {"test": len(test), "train": len(train_), "components": 6}
    sparse = reconstruction_scores(runs["sparse-autoencoder"], images)
    assert of(sparse, "pca")["n"]["components"] == 6, "a k-sparse code has k values"
    for name in ("autoencoder", "denoising-autoencoder", "sparse-autoencoder"):
        own = reconstruction_scores(runs[name], images, baselines=False)
        assert len(own) == 1
        assert own[0]["metrics"]["mse"] < 0.9 * of(rows, "mean-image")["metrics"]["mse"]


def test_noise_removed_is_its_formula_and_has_its_controls(runs, images, monkeypatch):
    run = runs["autoencoder"]
    rows = reconstruction_scores(run, images)
    at = images.where("test")
    noisy = corrupt(images.images[at], images.ids[at], "gaussian-noise", 3)
    x, beside = (b.transpose(0, 3, 1, 2).astype(np.float64) / 255 for b in (images.images[at], noisy))
    norms = ((beside - x) ** 2).sum()
    decode = decode_with(load_decoding(run))
    moved = decode(beside.astype(np.float32)).astype(np.float64) - decode(x.astype(np.float32))
    own = of(rows, "features @ best")
    assert own["metrics"]["noise_removed"] == pytest.approx(1 - (moved**2).sum() / norms, abs=1e-5)
    low, high = own["interval"]["noise_removed"]
    assert low < own["metrics"]["noise_removed"] < high < low + 0.1
    assert of(rows, "mean-image")["metrics"]["noise_removed"] == 1, "a constant takes all away, and has a large error"
    components = PCA(6).fit(images.images[images.where("train")].reshape(-1, 64) / 255.0).components_
    through = (((beside - x).reshape(len(x), 64) @ components.T) ** 2).sum()  # before the cut to [0, 1], which is small
    assert of(rows, "pca")["metrics"]["noise_removed"] == pytest.approx(1 - through / norms, abs=0.02)
    # the controls of the scorecard, through the whole of it
    prior = next(p for p in PRIORS if p.evaluation == EVALUATION)
    for name, change, expected in (("low", lambda x: x, 0), ("high", lambda x: torch.full_like(x, 0.5), 1)):
        monkeypatch.setattr(type(load_decoding(run)), "reconstruct", lambda _self, x, change=change: change(x))
        row = reconstruction_scores(run, images, baselines=False)[0]
        assert prior.position(row) == pytest.approx(expected, abs=1e-6), name
        assert row["interval"]["noise_removed"] == pytest.approx((expected, expected), abs=1e-6)


def test_reconstructions_that_are_not_finite_are_told(runs, images, monkeypatch):
    kind = type(load_decoding(runs["autoencoder"]))
    monkeypatch.setattr(kind, "reconstruct", lambda _self, x: torch.cat([x[:2] * torch.nan, x[2:] * 0.5]))
    row = reconstruction_scores(runs["autoencoder"], images, baselines=False)[0]
    assert "2 reconstructions are not finite" in row["caveats"][0]
    assert row["metrics"]["noise_removed"] is None
    assert np.isfinite(row["metrics"]["mse"])


def test_one_figure_over_several_runs(runs, images, tmp_path):
    chosen = [runs[name] for name in ("autoencoder", "denoising-autoencoder", "sparse-autoencoder")]
    made = reconstruct(chosen, images=images, items=7, out=tmp_path / "rows.png")
    assert list(made.rows) == ["autoencoder", "denoising-autoencoder", "sparse-autoencoder"]
    assert made.figure == tmp_path / "rows.png"
    with Image.open(made.figure) as picture:
        assert picture.width > 7 * 64
        assert picture.height > 4 * 64


def test_the_command(runs, images, tmp_path):
    folder = tmp_path / "data"
    names = np.array(images.classes)
    np.savez(tmp_path / "few.npz", images=images.images[:60, :, :, 0], labels=names[images.labels[:60]])
    folder.mkdir()
    arguments = ["reconstruct", str(runs["autoencoder"].path), "--images", str(tmp_path / "few.npz"), "--quiet"]
    out = tmp_path / "picture.png"
    done = CliRunner().invoke(cli.app, [*arguments, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert out.stat().st_size > 1000
    rows = found["scores"]["autoencoder"]
    assert rows[0]["options"] == {"split": "test"}
    assert rows[0]["images"]["name"] == "few", "as of other scores on images that the run was not trained on"
    text = CliRunner().invoke(cli.app, [*arguments, "--out", str(out)]).stdout
    for word in ("reconstruction.mse", "reconstruction.psnr", "reconstruction.ssim", "mean-image", "Figure:"):
        assert word in text


def test_wrong_combinations_get_one_sentence(runs, images, tmp_path):
    with pytest.raises(InputError, match="supervised was trained by 'supervised', which has no decoder"):
        reconstruct([runs["autoencoder"], runs["supervised"]], images=images)
    with pytest.raises(InputError, match="No run was named"):
        reconstruct([])
    with pytest.raises(InputError, match="named twice"):
        reconstruct([runs["autoencoder"]] * 2, images=images)
    with pytest.raises(InputError, match="no images in split 'unlabelled'; it has train, val, test"):
        reconstruct([runs["autoencoder"]], images=images, split="unlabelled")
    wide = replace(images, images=np.repeat(images.images, 2, 1).repeat(2, 2), known_fingerprint=None)
    with pytest.raises(InputError, match=r"\(1, 8, 8\)"):
        reconstruct([runs["autoencoder"]], images=wide)
    other = train("autoencoder", digits(450), encoder="mlp", out=tmp_path / "other", epochs=1, settings=SMALL,
                  training=QUICK)  # fmt: skip
    with pytest.raises(InputError, match="trained on different images"):
        reconstruct([runs["autoencoder"], other])
    done = CliRunner().invoke(cli.app, ["reconstruct", str(runs["supervised"].path), "--quiet"])
    assert isinstance(done.exception, PhispaceError)
    assert not list(tmp_path.glob("*.png"))


def test_images_given_back_exactly_and_tiny_ones_are_told(runs, images, monkeypatch):
    method = load_decoding(runs["autoencoder"])
    kind = type(method)
    monkeypatch.setattr(kind, "reconstruct", lambda _self, x: torch.cat([x[:1], x[1:] * 0.5]))
    row = reconstruction_scores(runs["autoencoder"], images, baselines=False)[0]
    assert "infinite for 1 images" in row["caveats"][0]
    assert np.isfinite(row["metrics"]["psnr"])
    monkeypatch.setattr(kind, "reconstruct", lambda _self, x: x)
    row = reconstruction_scores(runs["autoencoder"], images, baselines=False)[0]
    assert row["metrics"]["mse"] == 0
    assert row["metrics"]["psnr"] is None
    assert row["metrics"]["ssim"] == pytest.approx(1)


def test_memory_does_not_grow_with_the_images(runs, images, monkeypatch):
    """Five times the images, and little of what they are as floats more."""
    monkeypatch.setattr("phispace.metrics.intervals._CELLS", 10_000)  # the bootstrap's own block, of a fixed size
    reconstruction_scores(runs["autoencoder"], images, baselines=False)  # what is loaded once
    peaks = []
    for times in (4, 20):
        many = ImageSet(
            np.concatenate([images.images] * times), np.concatenate([images.labels] * times),
            np.array([f"{i}" for i in range(times * len(images))]), images.classes,
            np.full(times * len(images), "test"), name="many",
        )  # fmt: skip
        tracemalloc.start()
        reconstruction_scores(runs["autoencoder"], many, baselines=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    floats = 16 * len(images) * 64 * 4
    assert peaks[1] - peaks[0] < 0.4 * floats, (peaks, floats)


def test_the_figure_takes_arrays_alone(tmp_path: Path):
    rng = np.random.default_rng(0)
    originals = rng.random((5, 9, 9, 3))
    rows = {"a $strange$ name": rng.random((5, 9, 9, 3)), "bytes": rng.integers(0, 256, (5, 9, 9, 3), np.uint8)}
    path = draw_reconstructions(originals, rows, tmp_path / "a.svg", notes={"bytes": "MSE 0.1"})
    assert "strange" in path.read_text() or path.stat().st_size > 1000
    with pytest.raises(InputError, match="no reconstructions"):
        draw_reconstructions(originals, {}, tmp_path / "b.png")
    with pytest.raises(InputError, match=r"'x' have shape \(4, 9, 9, 3\)"):
        draw_reconstructions(originals, {"x": originals[:4]}, tmp_path / "b.png")
