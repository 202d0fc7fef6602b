"""The studies of decoders as a whole, on the real handwritten digits in place of MNIST and CIFAR-10."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from phispace.report.document import Report
from phispace.studies.runner import run_study
from phispace.studies.study import load

ALONE = {"threads": 1, "precision": "float32"}


def _report(out: Path) -> Report:
    return Report.open(out / "report.json")


@pytest.mark.slow
def test_autoencoder_2d(tmp_path: Path) -> None:
    # 28 pixels, as the published network needs them.
    study = replace(load("autoencoder-2d"), images="digits", size=28)
    run_study(study, out=tmp_path / "out", scale="smoke", training=ALONE)
    steps = json.loads((tmp_path / "out" / "study.json").read_text())["steps"]
    rows = steps["scores"]["result"]["rows"]
    assert {"autoencoder", "untrained", "PCA 2 components", "pixels"} <= {r["store"] for r in rows}
    errors = {r["store"]: r["metrics"]["mse"] for r in steps["reconstructions"]["result"]["rows"]}
    assert set(errors) == {"autoencoder", "PCA 2 components", "mean-image"}
    assert len(steps["frames"]["result"]["frames"]) == 3
    for name in ("code/scatter.png", "code/grid.png", "reconstructions.png", "losses.png", "trajectory.png"):
        with Image.open(tmp_path / "out" / "figures" / name) as picture:
            assert min(picture.size) > 200
    assert {"figure", "table", "findings"} <= {s.kind for s in _report(tmp_path / "out").sections}


@pytest.mark.slow
def test_vae_latents(tmp_path: Path) -> None:
    study = load("vae-latents")
    kept = ("mnist-simple", "simple", "high-dimensional", "mean", "losses", "mean-code", "reconstructions",
            "stores", "scores", "longer")  # fmt: skip
    runs = ["simple", "high-dimensional"]
    steps = [dict(s) for s in study.steps if s["id"] in kept]
    for step in steps:
        if step["id"] in ("losses", "reconstructions", "stores"):
            step["runs"] = runs
    short = replace(study, images="digits", others={"digits": "digits"}, size=28, steps=tuple(steps))
    run_study(short, out=tmp_path / "out", scale="smoke", training=ALONE)
    found = json.loads((tmp_path / "out" / "study.json").read_text())["steps"]
    stores = {r["store"] for r in found["scores"]["result"]["rows"]}
    assert {"simple", "high-dimensional", "untrained simple", "PCA 2 components", "PCA 16 components"} <= stores
    # The mean over pixels with KL weight 1 collapses, and the report says so.
    assert found["mean-code"]["result"]["numbers"]["active_units"] == 0
    assert "posterior collapse" in found["mean-code"]["answer"]
    assert len(found["longer"]["result"]["by_epoch"]) == 2
    assert "no more than the source" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_disentanglement(tmp_path: Path) -> None:
    """Three methods with one network on sprites; four scores of each beside an untrained code and components."""
    study = replace(load("disentanglement"), images_options={"n": 600})
    kept = ("vae", "beta-vae", "beta-tcvae", "beta-tcvae-code", "stores", "scores")
    study = replace(study, steps=tuple(s for s in study.steps if s["id"] in kept))
    run_study(study, out=tmp_path / "out", scale="smoke", training=ALONE)
    steps = json.loads((tmp_path / "out" / "study.json").read_text())["steps"]
    rows = steps["scores"]["result"]["rows"]
    stores = {r["store"] for r in rows}
    assert {"vae", "beta-vae", "beta-tcvae", "PCA 10 components"} < stores
    assert len([s for s in stores if s.startswith("untrained")]) == 1, "the three began with one network"
    assert {r["evaluation"] for r in rows} == {"mig", "dci", "sap", "factorvae"}
    beside = ("vae", "PCA 10 components")
    defined = [r for r in rows if r["store"] in beside and r["evaluation"] != "factorvae"]
    assert all(0 <= value <= 1 for r in defined for value in r["metrics"].values())
    assert (tmp_path / "out" / "figures" / "beta-tcvae-code" / "traversals.png").exists()
