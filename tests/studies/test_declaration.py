"""Declarations: what is read, what is refused, what a scale makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from phispace.embeddings.store import Embeddings
from phispace.errors import DataError, InputError
from phispace.registry import registry
from phispace.run import Run
from phispace.studies.runner import run_study
from phispace.studies.steps import STEPS, get_step
from phispace.studies.study import SCALES, load, parse

TABLE = {
    "title": "t",
    "question": "q?",
    "images": "digits",
    "step": [
        {"do": "train", "id": "a", "epochs": {"smoke": 1, "cpu": 5, "paper": 50}},
        {"do": "accuracy", "runs": ["a"], "only": ["cpu"]},
    ],
}


def test_a_table_keyed_by_scales_gives_each_scale_its_value() -> None:
    study = parse(TABLE, "mine")
    assert study.at("smoke") == [{"do": "train", "id": "a", "epochs": 1}]
    assert study.at("cpu")[0]["epochs"] == 5
    assert study.at("cpu")[1] == {"do": "accuracy", "id": "accuracy", "runs": ["a"]}


def test_an_unknown_scale_or_a_missing_one_is_named() -> None:
    study = parse({**TABLE, "step": [{"do": "train", "epochs": {"smoke": 1}}]}, "mine")
    with pytest.raises(InputError, match="no scale 'huge'"):
        study.at("huge")
    with pytest.raises(InputError, match="'train' gives no value for the scale 'cpu'"):
        study.at("cpu")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"title": None}, "lacks title"),
        ({"step": None}, "lacks step"),
        ({"colour": "red"}, "unknown keys: colour"),
        ({"step": [{"id": "a"}]}, "lacks `do`"),
        ({"step": [{"do": "train"}, {"do": "train"}]}, "Two steps .* 'train'"),
    ],
)
def test_what_is_wrong_is_said(change: dict, says: str) -> None:
    table = {k: v for k, v in {**TABLE, **change}.items() if v is not None}
    with pytest.raises(DataError, match=says):
        parse(table, "mine")


@pytest.mark.parametrize("name", registry("studies").names())
@pytest.mark.parametrize("scale", SCALES)
def test_every_shipped_study_is_valid_at_every_scale(name: str, scale: str) -> None:
    steps = load(name).at(scale)
    seen: set[str] = set()
    for table in steps:
        step = get_step(table["do"])
        options = step.parse({k: v for k, v in table.items() if k not in ("do", "id")}, table["id"])
        assert step.title(options)
        for field in ("run", "of", "runs"):
            value = getattr(options, field, ())
            for reference in (value,) if isinstance(value, str) else value:
                assert reference in seen, f"{table['id']} refers to {reference}, which is not an earlier step"
        seen.add(table["id"])


def test_an_unknown_step_or_option_is_refused() -> None:
    with pytest.raises(InputError, match="There is no step 'dance'"):
        get_step("dance")
    with pytest.raises(InputError, match="Step 'x', option 'speed'"):
        get_step("train").parse({"speed": 1}, "x")
    for wrong in ({"headline": {"few-labels": "linear_1"}}, {"options": {"few-labels": {}}}):
        with pytest.raises(InputError, match=r"Step 'x'.*'few-labels' is not one of the evaluations; there are: knn"):
            get_step("evaluate").parse({"of": "e", "evaluations": ["knn"], **wrong}, "x")
    assert set(STEPS) >= {"train", "embed", "evaluate", "map", "film"}


def test_a_file_that_is_no_study_is_refused(tmp_path) -> None:
    (tmp_path / "bad.toml").write_text("title = ")
    with pytest.raises(DataError, match="not TOML"):
        load(str(tmp_path / "bad.toml"))
    with pytest.raises(DataError, match="does not exist"):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match="Did you mean quickstart"):
        load("quickstrat")


def test_a_training_may_be_on_further_images(tmp_path: Path) -> None:
    source = tmp_path / "two.toml"
    source.write_text(
        'title = "t"\nquestion = "q"\nimages = "digits"\n\n[others]\nforms = "sprites"\n\n'
        "[limit]\nsmoke = { train = 60, val = 20, test = 20 }\n\n"
        '[[step]]\ndo = "train"\nid = "a"\nepochs = 1\n\n'
        '[[step]]\ndo = "train"\nid = "b"\non = "forms"\nepochs = 1\nsettings = ["method.batch_size=20"]\n\n'
        '[[step]]\ndo = "embed"\nid = "stores"\nrun = "b"\nbaselines = ["pixels"]\n'
    )
    study = load(str(source))
    run_study(study, out=tmp_path / "out", scale="smoke")
    ran = [Run.open(tmp_path / "out" / "runs" / k).record["images"]["name"] for k in "ab"]
    assert ran == ["digits", "sprites"]
    store = Embeddings.open(tmp_path / "out" / "embeddings" / "stores" / "pixels")
    assert store.manifest["feature_shape"][1] == 64


def test_images_that_are_not_declared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'mnist', which are not among \[others\]: there are none"):
        parse({"title": "t", "question": "q", "images": "digits", "step": [{"do": "train", "on": "mnist"}]}, "x")


def test_options_of_the_images_are_the_studys_own(tmp_path: Path) -> None:
    """They belong to the source that the declaration names, not to another one that is asked for."""
    step = {"do": "train", "epochs": {"smoke": 1}, "encoder": "mlp", "settings": ["training.health_every=0"]}
    study = parse(
        {**TABLE, "images": "cells", "images_options": {"labelled": 60, "unlabelled": 30}, "step": [step]}, "m"
    )
    seen = []

    class Told(Exception):
        pass

    def told(images, scale):
        seen.append(len(images))
        raise Told

    object.__setattr__(study, "limited", told)
    with pytest.raises(Told):
        run_study(study, out=tmp_path / "own", scale="smoke")
    with pytest.raises(Told):
        run_study(study, out=tmp_path / "other", images="digits", scale="smoke")
    assert seen == [90, 1797]
