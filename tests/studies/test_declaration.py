"""Declarations: what is read, what is refused, what a scale makes of it."""

from __future__ import annotations

import pytest

from phispace.errors import DataError, InputError
from phispace.registry import registry
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
    assert set(STEPS) >= {"train", "embed", "evaluate", "map", "film"}


def test_a_file_that_is_no_study_is_refused(tmp_path) -> None:
    (tmp_path / "bad.toml").write_text("title = ")
    with pytest.raises(DataError, match="not TOML"):
        load(str(tmp_path / "bad.toml"))
    with pytest.raises(DataError, match="does not exist"):
        load(str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match="Did you mean quickstart"):
        load("quickstrat")
