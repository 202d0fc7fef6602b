"""Pictures of a code, bounds, curves and the film of a run, in Python and by command."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from phispace.api.bounds import likelihood_bounds, trained_variance
from phispace.api.latents import WHAT, draw_latents
from phispace.cli import app
from phispace.data.imageset import ImageSet
from phispace.errors import InputError
from phispace.methods import REGISTRY
from phispace.run import Run

# -- pictures


def test_all_pictures_of_a_vae(vae_run: Run, images: ImageSet):
    made = draw_latents(vae_run, images=images)
    assert list(made.files) == [*WHAT, "numbers"]
    for name in WHAT:
        assert min(Image.open(made.files[name]).size) > 200, name
    numbers = json.loads(made.files["numbers"].read_text())
    assert numbers["dimensions"] == numbers["active_units"] == 2
    assert sum(numbers["kl"]) == pytest.approx(numbers["kl_total"], rel=1e-5)
    assert numbers["dims"] == [0, 1]


def test_the_same_seed_draws_the_same_samples(vae_run: Run, images: ImageSet, tmp_path):
    drawn = [
        draw_latents(vae_run, ["samples"], images=images, seed=seed, out=tmp_path / str(i))
        .files["samples"]
        .read_bytes()
        for i, seed in enumerate((3, 3, 4))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_code_of_many_dimensions_shows_the_two_that_carry_most(others: dict[str, Run], images: ImageSet):
    made = draw_latents(others["wide"], ["grid", "traversals", "scatter"], images=images)
    kl = np.array(made.numbers["kl"])
    assert sorted(made.numbers["dims"]) == sorted(np.argsort(-kl)[:2].tolist())
    chosen = draw_latents(others["wide"], ["scatter"], images=images, dims=(6, 1))
    assert chosen.numbers["dims"] == [6, 1]


def test_an_autoencoder_has_no_prior(others: dict[str, Run], images: ImageSet):
    made = draw_latents(others["auto"], images=images)
    assert set(made.files) == {"scatter", "grid", "traversals", "interpolations", "numbers"}
    assert made.numbers["kl"] is None
    with pytest.raises(InputError, match=r"'samples' cannot be drawn of auto: it has no prior"):
        draw_latents(others["auto"], ["samples"], images=images)
    with pytest.raises(InputError, match="no posterior"):
        likelihood_bounds(others["auto"], images=images)


def test_a_run_without_a_decoder_is_refused_in_a_sentence(others: dict[str, Run], images: ImageSet):
    with pytest.raises(InputError, match=r"trained by 'supervised', which has no decoder of codes alone.*vae"):
        draw_latents(others["plain"], images=images)
    with pytest.raises(InputError, match="no decoder"):
        likelihood_bounds(others["plain"], images=images)


def test_pictures_and_splits_that_are_not_there_are_named(vae_run: Run, images: ImageSet):
    with pytest.raises(InputError, match=r"no picture 'nothing'.*scatter, grid"):
        draw_latents(vae_run, ["nothing"], images=images)
    with pytest.raises(InputError, match="no images in split 'unlabelled'"):
        draw_latents(vae_run, images=images, split="unlabelled")


# -- bounds


def test_bounds_are_a_row_of_scores(vae_run: Run, images: ImageSet):
    (row,) = likelihood_bounds(vae_run, k=20, items=60, images=images)
    metrics = row["metrics"]
    assert row["evaluation"] == "bounds"
    assert row["n"] == {"test": 60}
    assert metrics["iwae_bits"] <= metrics["elbo_bits"]
    assert metrics["iwae_nats"] >= metrics["elbo_nats"]
    values = 64
    assert metrics["elbo_bits"] == pytest.approx(8 - metrics["elbo_nats"] / values / math.log(2), rel=1e-6)
    assert metrics["elbo_bits"] < 8, "better than a uniform guess"
    assert metrics["elbo_bits"] <= metrics["elbo_bits_trained"] + 0.01, "the fitted variance is the better one"
    assert row["details"]["variance_trained"] == 0.025
    assert row["details"]["variance"] == pytest.approx(0.05, abs=0.04)
    assert any("k = 20" in caveat for caveat in row["caveats"])
    assert any(e["evaluation"] == "bounds" for e in vae_run.scores())
    assert likelihood_bounds(vae_run, k=20, items=60, images=images)[0]["metrics"] == metrics


def test_drawn_pixels_are_bounded_in_bits_of_their_own(others: dict[str, Run], images: ImageSet):
    (row,) = likelihood_bounds(others["wide"], k=5, items=40, images=images)
    assert 0 < row["metrics"]["iwae_bits"] <= row["metrics"]["elbo_bits"] < 1.2
    assert "elbo_bits_trained" not in row["metrics"]
    assert any("black or white" in caveat for caveat in row["caveats"])


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("vae", {}, 0.5),
        ("vae", {"beta": 0.5}, 0.25),
        ("vae", {"beta": 0.5, "observation": "mse-mean"}, 25.0),
        ("vae", {"beta": 0.0}, None),
        ("vae", {"observation": "gaussian"}, None),
        ("beta-vae", {"capacity": 3.0}, None),
        ("beta-tcvae", {}, None),
    ],
)
def test_the_variance_that_a_loss_stands_for(method, options, expected):
    assert trained_variance(REGISTRY.get(method).Config(**options), 100) == expected


def test_the_loss_is_the_negative_elbo_of_that_variance(vae_run: Run, images: ImageSet):
    """Σ (x - x̂)² + β KL = β (Σ (x - x̂)² / 2v + KL) with v = β / 2, so but for the density's constant they are one."""
    import torch

    from phispace.methods.bounds import bounds, gaussian_log_density
    from phispace.training.restore import load_method

    method = load_method(vae_run)
    x = torch.from_numpy(images.images[images.where("test")]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        found = bounds(
            *method.posterior(x), lambda z: gaussian_log_density(x, method.decoder(z), [0.025]), 50,
            torch.Generator().manual_seed(0),
        )  # fmt: skip
    constant = 0.5 * 64 * math.log(2 * math.pi * 0.025)
    loss = 0.05 * (-float(found.elbo.mean()) - constant)
    assert vae_run.record["result"]["best_val_loss"] == pytest.approx(loss, rel=0.1)


# -- commands


def test_commands(vae_run: Run, tmp_path, images: ImageSet, monkeypatch):
    import phispace.api.bounds as api_bounds
    import phispace.api.codes as codes

    # The run's images are a part of the digits, which a name does not give back.
    monkeypatch.setattr(codes, "images_of", lambda *a, **k: images)
    monkeypatch.setattr(api_bounds, "images_of", lambda *a, **k: images)
    runner = CliRunner()
    out = runner.invoke(app, ["latents", str(vae_run.path), "--what", "kl", "-q", "-o", str(tmp_path / "pictures")])
    assert out.exit_code == 0, out.output
    assert "dimensions in use: 2 of 2" in out.output
    assert (tmp_path / "pictures" / "kl.png").exists()
    out = runner.invoke(app, ["bounds", str(vae_run.path), "-k", "3", "--items", "20", "-q", "--json"])
    assert out.exit_code == 0, out.output
    assert json.loads(out.output)[0]["options"]["k"] == 3
    out = runner.invoke(
        app, ["curves", str(vae_run.path), "--validation", "--term", "kl", "-o", str(tmp_path / "c.png")]
    )
    assert out.exit_code == 0, out.output
    assert (tmp_path / "c.png").exists()
