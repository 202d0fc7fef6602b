"""Configuration: defaults, presets, overrides, and what is said when it does not fit."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import small

from phispace.errors import DataError, InputError
from phispace.training.config import RunConfig, difference, make_config
from phispace.training.settings import apply_overrides, deep_update, parse_settings, parse_value
from phispace.training.train import train


def test_toml_round_trip(tmp_path: Path) -> None:
    config = make_config("supervised", "digits", preset="keras", settings=["encoder.width=16", "training.devices=2"])
    assert RunConfig.build(tomllib.loads(config.to_toml())) == config
    (tmp_path / "config.toml").write_text(config.to_toml())
    assert RunConfig.from_toml(tmp_path / "config.toml") == config
    assert config.encoder.options == {"width": 16}
    assert config.method["batch_size"] == 32


def test_order_defaults_preset_arguments_settings() -> None:
    assert make_config(preset="keras").method["epochs"] == 100
    assert make_config(preset="keras", epochs=7).method["epochs"] == 7
    assert make_config(preset="keras", epochs=7, settings=["method.epochs=9"]).method["epochs"] == 9
    assert make_config(settings=["training.seed=3"], training={"seed": 2, "threads": None}).training.seed == 3


def test_another_encoder_than_the_presets_takes_none_of_its_options() -> None:
    assert make_config(preset="keras", encoder="convnet2").encoder.options == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("0.5", 0.5), ("1e-3", 1e-3), ("true", True), ('"a b"', "a b"), ("adam", "adam"), ("[1, 2]", [1, 2]),
        ("none", None), ("a\nb", "a\nb"), ("", ""), ("2026x", "2026x"), ("C:\\x", "C:\\x"),
    ],
)  # fmt: skip
def test_values_in_tomls_syntax_or_as_text(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_settings_nest() -> None:
    assert parse_settings(["a.b=1", "a.c=x", "d=2"]) == {"a": {"b": 1, "c": "x"}, "d": 2}
    assert apply_overrides({"method": {"beta": 1, "k": 2}}, ["method.beta=0.5"]) == {"method": {"beta": 0.5, "k": 2}}
    before = {"a": {"b": 1}}
    assert deep_update(before, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    assert before == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("method.beta=3", "no option 'method.beta'. Did you mean"),
        ("method.learning_rat=3", "Did you mean learning_rate"),
        ("method.epochs=0", "'method.epochs' cannot be 0: input should be greater than or equal to 1"),
        ("method.epochs=many", "'method.epochs' cannot be 'many'"),
        ("method.optimizer=adm", "input should be 'adam'"),
        ("training.seeds=1", "no option 'training.seeds'. Did you mean seed"),
        ("training.precision=fp8", "'training.precision' cannot be 'fp8': expected one of auto, float32, bf16"),
        ("encoder.widht=3", "has no option 'widht'"),
        ("encoder.name=convnet9", "no encoder named 'convnet9'. Did you mean convnet4"),
        ("method.name=superviced", "no method named 'superviced'. Did you mean supervised"),
        ("images.size=2", "'images.size' cannot be 2"),
        ("foo.x=1", "begins with images, encoder, method or training"),
        ("method=3", "'method' is a table"),
        ("nonsense", "A setting is KEY=VALUE"),
        ("method..x=1", "A setting is KEY=VALUE"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(setting: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        make_config(settings=[setting])
    text = str(caught.value)
    assert expected in text
    assert "\n" not in text
    assert "pydantic" not in text


def test_unknown_preset_and_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no preset 'kerass'; its presets are: .*keras"):
        make_config(preset="kerass")
    with pytest.raises(InputError, match="no option 'optimiser'"):
        RunConfig.build({"optimiser": {}})
    (tmp_path / "bad.toml").write_text("[method\n")
    with pytest.raises(DataError, match="not TOML"):
        RunConfig.from_toml(tmp_path / "bad.toml")


def test_difference_names_dotted_keys() -> None:
    old, new = {"a": {"b": 1, "c": 2}, "d": 0}, {"a": {"b": 1, "c": 3, "e": 4}, "d": 0}
    assert difference(old, new) == [("a.c", 2, 3), ("a.e", None, 4)]


def test_a_runs_own_tables_as_base_change_only_in_what_is_named() -> None:
    own = make_config("supervised", "cifar10", preset="keras", settings=["encoder.width=8"], training={"seed": 4})
    assert make_config(base=own.tables()) == own
    again = make_config(base=own.tables(), settings=["training.log_every=7"])
    assert difference(own.tables(), again.tables()) == [("training.log_every", 50, 7)]


def test_an_option_of_a_view_that_does_not_fit_is_said_before_a_run_begins(tmp_path: Path) -> None:
    config = small.config("method.views=simclr(blur=2)")
    with pytest.raises(InputError, match="'blur' is a number between 0 and 1; got 2"):
        train(config, tmp_path / "run", images=small.digits())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "setting", "found"),
    [
        ("supervised", "views=none", {"views": "none", "test_time": "none"}),
        ("infomax", "prior=none", {"prior": "none"}),
        ("infomax", "local_layer=none", {"local_layer": None}),
        ("patch-kmeans", "views=none", {"views": "none"}),
    ],
)
def test_none_is_a_name_where_the_option_is_one_and_no_value_where_it_may_have_none(
    method: str, setting: str, found: dict[str, object]
) -> None:
    config = make_config(method, "digits", settings=[f"method.{setting}"])
    assert {name: config.method.get(name) for name in found} == found
