"""What a generator makes: pictures by command, and the report's section about them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_vae import config
from typer.testing import CliRunner

from phispace.api.decode import reconstruct
from phispace.api.latents import draw_latents
from phispace.cli import app
from phispace.data.imageset import ImageSet
from phispace.errors import InputError
from phispace.report.build import run_report, write
from phispace.report.document import Film, Gallery
from phispace.run import Run
from phispace.training.train import train

SETTINGS = ("encoder.width=4", "method.generator_width=4", "method.code=6", "training.tensorboard=false")


@pytest.fixture(scope="module", params=["uniform", "normal"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Run:
    settings = (*SETTINGS, f"method.prior={request.param}")
    return train(
        config("dcgan", *settings, epochs=2, encoder="dcgan"), tmp_path_factory.mktemp("gan") / "run", images=images
    )


def test_pictures_are_drawn_without_images(run: Run) -> None:
    done = CliRunner().invoke(app, ["latents", str(run.path), "-q"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for name in ("samples", "interpolations"):
        assert min(Image.open(run.path / "latents" / f"{name}.png").size) > 200
    numbers = json.loads((run.path / "latents" / "latents.json").read_text())
    assert (numbers["dimensions"], numbers["generator"]) == (6, True)


def test_the_same_seed_draws_the_same(run: Run, tmp_path: Path) -> None:
    drawn = [
        draw_latents(run, ["samples"], seed=seed, out=tmp_path / str(i)).files["samples"].read_bytes()
        for i, seed in enumerate((3, 3, 4))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_needs_codes_of_images_is_refused(run: Run, images: ImageSet) -> None:
    with pytest.raises(InputError, match=r"'traversals' cannot be drawn of run: its images have no codes"):
        draw_latents(run, ["traversals"])
    with pytest.raises(InputError, match="no decoder"):
        reconstruct([run], images=images)


def test_the_report_shows_what_it_made(run: Run) -> None:
    draw_latents(run)
    sections = {section.title: section for section in run_report(run).sections}
    film = sections["What did the generator make as it learnt?"]
    assert isinstance(film, Film)
    with Image.open(run.path / film.path) as moving:
        assert moving.n_frames == 3
        assert moving.size == Image.open(run.path / "samples" / "epoch=002.png").size
    assert [still.caption for still in film.stills] == ["Before training", "After epoch 1", "After epoch 2"]
    gallery = sections["What does the generator make?"]
    assert isinstance(gallery, Gallery)
    assert len(gallery.figures) == 2
    assert write(run.path).stat().st_size > 10_000


def test_a_damaged_picture_is_left_out(run: Run, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    (copy / "samples" / "epoch=001.png").write_bytes(b"not a picture")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(copy / "samples" / "epoch=000.png")
    section = next(s for s in run_report(Run.open(copy)).sections if s.title.startswith("What did the generator"))
    assert not isinstance(section, Film), "one picture of the last one's size is left"
