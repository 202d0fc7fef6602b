"""Losses of runs over iterations, and the film of a code of two dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from phispace.api.curves import by_epoch, by_step, draw_curves
from phispace.api.film import draw_film
from phispace.data.imageset import ImageSet
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.run import Run


def test_curves_over_iterations(vae_run: Run, others: dict[str, Run], tmp_path):
    steps = by_step(vae_run)
    assert {"loss", "reconstruction", "kl", "mse"} <= set(steps)
    assert len(steps["loss"][0]) > 20
    assert steps["loss"][0] == sorted(set(steps["loss"][0]))
    assert by_step(others["wide"]) == {}
    assert len(by_epoch(others["wide"], "val_")["loss"][0]) == 2
    path = draw_curves([vae_run, others["wide"]], tmp_path / "curves.png")
    assert Image.open(path).size[0] > 1000
    with pytest.raises(InputError, match="term 'nothing'; there are: loss, reconstruction, kl"):
        draw_curves([vae_run], tmp_path / "curves.png", terms=["nothing"])
    with pytest.raises(InputError, match="Two runs are named 'vae'"):
        draw_curves([vae_run, vae_run], tmp_path / "curves.png")


def test_the_film_of_a_code_of_two_dimensions(vae_run: Run, images: ImageSet, others: dict[str, Run], tmp_path):
    made = draw_film(vae_run, strategy="identity", items=40, at_most=3, in_betweens=0, images=images, out=tmp_path)
    last = Embeddings.open(sorted((tmp_path / "embeddings").iterdir())[-1])
    order = {name: row for row, name in enumerate(last.ids)}
    np.testing.assert_allclose(made.film.xy[-1], last.vectors[[order[i] for i in made.film.ids]], rtol=1e-6)
    assert made.film.summary()["trustworthiness"] == 1
    assert made.files["webp"].stat().st_size > 0
    with pytest.raises(InputError, match="two dimensions as it is; these have 8"):
        draw_film(others["wide"], strategy="identity", items=40, images=images, out=tmp_path / "wide")
