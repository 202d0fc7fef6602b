"""Bars of the KL, loss curves of several runs, and the report's sections about a code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phispace import storage
from phispace.errors import InputError
from phispace.maps.reconstructions import draw_reconstructions
from phispace.report.figures.latents import kl_bars, loss_curves
from phispace.report.latents import latent_sections
from phispace.run import Run


@pytest.mark.parametrize("width", [1, 2, 10, 64, 300])
def test_bars_for_codes_of_any_width(tmp_path, width):
    kl = np.random.default_rng(0).random(width)
    path = kl_bars(kl, kl > 0.5, tmp_path / "kl.png")
    assert Image.open(path).size == (1040, 680)
    assert path.with_name("kl.dark.png").exists()


def test_bars_need_one_activity_each(tmp_path):
    with pytest.raises(InputError, match=r"\(D,\) each"):
        kl_bars(np.zeros(3), np.zeros(2, bool), tmp_path / "kl.png")


def test_curves_of_runs_with_other_terms_and_scales(tmp_path):
    steps = list(range(0, 500, 50))
    runs = {
        "one": {"loss": (steps, [100.0 / (s + 1) for s in steps]), "kl": (steps, [0.0 for _ in steps])},
        "$other_": {"loss": (steps[:3], [-1.0, float("nan"), -3.0])},
    }
    path = loss_curves(runs, tmp_path / "curves.png", title="Losses")
    assert Image.open(path).size[0] > 1000


@pytest.mark.parametrize(
    ("runs", "match"),
    [({}, "at least one run"), ({"a": {}}, "at least one run"), ({"a": {"loss": ([1.0], [])}}, "0 values for 1 steps")],
)
def test_curves_that_cannot_be_are_refused(tmp_path, runs, match):
    with pytest.raises(InputError, match=match):
        loss_curves(runs, tmp_path / "curves.png")


def run_with(path: Path, health: str) -> Run:
    run = Run.create(path / "run", {}, {"method": {"name": "vae"}})
    run.update(health=health)
    return run


def test_a_collapse_stands_in_the_report(tmp_path):
    words = "POSTERIOR COLLAPSE: none of the 2 dimensions of the code is in use."
    (section,) = latent_sections(run_with(tmp_path, words))
    assert section.paragraphs == (words,)
    assert section.tone == "caution"


def test_pictures_of_a_code_stand_in_the_report(tmp_path):
    run = run_with(tmp_path, "All 2 dimensions of the code are in use (KL 2.00, 1.00 nats).")
    assert latent_sections(run) == []
    kl_bars(np.array([2.0, 1.0]), np.array([True, True]), run.path / "latents" / "kl.png")
    storage.write_json(run.path / "latents" / "latents.json", {"active_units": 2, "dimensions": 2, "kl_total": 3.0})
    (section,) = latent_sections(run)
    assert [f.path for f in section.figures] == ["latents/kl.png"]
    assert section.caption == "2 of 2 dimensions of the code are in use, 3.0 nats in all."


def test_reconstructions_stand_in_the_report(tmp_path):
    run = run_with(tmp_path, "")
    draw_reconstructions(np.zeros((2, 8, 8, 1)), {"run": np.ones((2, 8, 8, 1))}, run.path / "reconstructions.png")
    (section,) = latent_sections(run)
    assert section.path == "reconstructions.png"
    assert section.pixelated
