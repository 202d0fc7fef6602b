"""What a run was asked to do: the tables [images] [encoder] [method] [training].

The resolved configuration has every option filled in; it is kept in the run's record and, for people, as
`config.toml`. Options come from the method's defaults, then a preset, then what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from phispace.errors import InputError
from phispace.training.settings import apply_overrides, deep_update, one_sentence
from phispace.training.settings import parse_settings as parse_settings

PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed", "32": "32-true", "float16": "16-mixed"}


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImagesConfig(_Table):
    """[images]: which images."""

    name: str = Field("digits", description="a name of `phispace list images`, or a path")
    data_dir: str | None = Field(None, description="where data sets lie on this machine")
    size: int | None = Field(None, ge=4, description="side in pixels; by default the source's own")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the source")


class EncoderConfig(_Table):
    """[encoder]: which network."""

    name: str = Field(description="a name of `phispace list encoders`")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the encoder")
    start: str | None = Field(
        None, description="run whose encoder's weights training begins with; RUN@CHECKPOINT for another than the best"
    )


class TrainingConfig(_Table):
    """[training]: how the work is done; the method's own numbers are in [method]."""

    seed: int = Field(0, ge=0, description="all draws are a function of it")
    precision: str = Field("auto", description="auto, float32, bf16, or a name that Lightning knows")
    threads: int | None = Field(None, ge=1, description="processor threads; by default all that may be used")
    accelerator: str = Field("auto", description="for Lightning")
    devices: int | str | tuple[int, ...] = Field("auto", description="for Lightning")
    num_nodes: int = Field(1, ge=1, description="for Lightning")
    strategy: str = Field("auto", description="for Lightning")
    sync_batchnorm: bool = Field(False, description="for Lightning: batch statistics over all devices (GPUs only)")
    cache_features: bool = Field(
        True, description="compute what a frozen encoder gives once, where images are not augmented"
    )
    gradient_clip: float | None = Field(None, gt=0, description="largest norm of the gradient")
    drop_last: bool | None = Field(None, description="leave out an epoch's rest; by default if it is under a tenth")
    refit: bool = Field(False, description="train on train and val together, everything fixed")
    checkpoints: Literal["improved", "all", "last"] = Field(
        "improved", description="which are kept: each that lowers the validation loss, each epoch's, or the last one"
    )
    checkpoint_seconds: float = Field(120.0, gt=0, description="time between checkpoints inside an epoch")
    checkpoint_steps: int | None = Field(None, ge=1, description="steps between checkpoints inside an epoch")
    patience: int | None = Field(None, ge=1, description="stop after so many epochs without a lower validation loss")
    health_every: int = Field(1, ge=0, description="epochs between measurements of the representation; 0: never")
    health_items: int = Field(1024, ge=16, description="images of train that they use (and half as many of val)")
    minutes: float | None = Field(
        None, gt=0, description="train as many epochs as fit, measured on a few steps; the run then has their number"
    )
    extend: Literal["continue", "restart"] = Field(
        "continue", description="a longer run's schedule: laid out anew over all epochs, or a new one for the added"
    )
    stop_on_collapse: bool = Field(
        False, description="stop when it has collapsed at two measurements; the last weights before are kept"
    )
    log_every: int = Field(50, ge=1, description="steps between points in TensorBoard")
    tensorboard: bool = Field(True, description="write TensorBoard's files")

    @field_validator("precision", mode="before")
    @classmethod
    def _known_precision(cls, value: Any) -> str:
        from typing import get_args

        from lightning_fabric.plugins.precision.precision import _PRECISION_INPUT_STR

        value = PRECISIONS.get(str(value), str(value))
        known = ("auto", *get_args(_PRECISION_INPUT_STR))
        if value not in known:
            raise ValueError(f"expected one of auto, float32, bf16, {', '.join(known[1:])}")
        return value

    @field_validator("devices", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


class RunConfig(_Table):
    """All four tables, resolved: every option has its value.

    `method` holds the method's name and all options of its `Config`.
    """

    images: ImagesConfig
    encoder: EncoderConfig
    method: dict[str, Any]
    training: TrainingConfig

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        data = dict(data)
        data.setdefault("images", {})
        data.setdefault("training", {})
        method = data.setdefault("method", {"name": "supervised"})
        if isinstance(method, Mapping) and "name" in method:
            encoder = data.get("encoder") or {}
            if isinstance(encoder, Mapping) and not encoder.get("name"):
                data["encoder"] = {**encoder, "name": method_class(str(method["name"])).default_encoder}
        return data

    @field_validator("method", mode="after")
    @classmethod
    def _method(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "name" not in value:
            raise ValueError("expected the method's name under `name`")
        from phispace.data.views.named import parse_views
        from phispace.methods import REGISTRY

        options = {k: v for k, v in value.items() if k != "name"}
        name = REGISTRY.resolve(str(value["name"]))
        config = method_class(name).Config(**options)
        parse_views(config.views, method_class(name).count_views(config))
        return {"name": name, **config.model_dump(mode="json")}

    @field_validator("encoder", mode="after")
    @classmethod
    def _encoder(cls, value: EncoderConfig) -> EncoderConfig:
        from phispace.encoders import REGISTRY
        from phispace.encoders.build import check_options

        check_options(value.name, value.options)
        return EncoderConfig(name=REGISTRY.resolve(value.name), options=value.options, start=value.start)

    @property
    def method_config(self) -> Any:
        """The method's `Config` object."""
        options = {k: v for k, v in self.method.items() if k != "name"}
        return method_class(self.method["name"]).Config(**options)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Plain values, as `run.json` and `config.toml` keep them."""
        return self.model_dump(mode="json")

    @classmethod
    def build(cls, tables: Mapping[str, Any]) -> RunConfig:
        """Validate plain tables.

        Raises:
            InputError: an unknown name or a value that does not fit; one sentence with the table and the key.
        """
        try:
            return cls.model_validate(dict(tables))
        except ValidationError as error:
            raise InputError(one_sentence(error, _known_keys(tables))) from error

    def with_epochs(self, epochs: int) -> RunConfig:
        """The same with another number of epochs; restarts of the schedule that lie beyond are left out."""
        restarts = [epoch for epoch in self.method.get("restarts", ()) if epoch < epochs]
        return self.with_method(epochs=epochs, **({"restarts": restarts} if "restarts" in self.method else {}))

    def with_method(self, **options: Any) -> RunConfig:
        """The same with other options of the method."""
        return RunConfig.build({**self.tables(), "method": {**self.method, **options}})

    def to_toml(self) -> str:
        """`config.toml`; keys without a value are left out."""
        import tomli_w

        from phispace.run import drop_none

        return tomli_w.dumps(drop_none(self.tables()))

    @classmethod
    def from_toml(cls, path: Path | str) -> RunConfig:
        """Read a `config.toml`, whole or in part.

        Raises:
            DataError: missing or not TOML. InputError: as `build`.
        """
        from phispace.run import read_toml

        return cls.build(read_toml(path))


def method_class(name: str) -> Any:
    """The class of a method by name."""
    from phispace.methods import REGISTRY

    return REGISTRY.get(name)


def make_config(
    method: str | None = None,
    images: str | None = None,
    *,
    encoder: str | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    settings: Sequence[str] = (),
    training: Mapping[str, Any] | None = None,
    data_dir: Path | str | None = None,
    size: int | None = None,
    base: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The resolved configuration of a run.

    With the tables of a run that is there as `base` and nothing else named, it is that run's own. Later ones win: the
    method's defaults, `base` (also a config file's tables), the preset, the named arguments, the settings.

    Args:
        preset: a name of the method's `presets`.
        settings: `table.key=value`, for example `method.learning_rate=0.01`; see `apply_overrides`.
        training: overrides of [training]; None values are left out.

    Raises:
        InputError: an unknown name, or a value that does not fit.
    """
    tables: dict[str, Any] = {k: dict(v) for k, v in (base or {}).items()}
    method = method or tables.get("method", {}).get("name") or "supervised"
    found = method_class(method)
    if preset is not None:
        if preset not in found.presets:
            there = ", ".join(found.presets) or "none"
            raise InputError(f"The method {method!r} has no preset {preset!r}; its presets are: {there}.")
        tables = deep_update(tables, split_encoder_options(found.presets[preset]))
    named: dict[str, Any] = {
        "images": {"name": images, "data_dir": None if data_dir is None else str(data_dir), "size": size},
        "encoder": {"name": encoder},
        "method": {"name": method, "epochs": epochs},
        "training": dict(training or {}),
    }
    named = {table: {k: v for k, v in keys.items() if v is not None} for table, keys in named.items()}
    wanted = apply_overrides(named, settings)
    one_of_both = wanted["training"].get("minutes"), wanted["method"].get("epochs")
    if None not in one_of_both:
        raise InputError(
            f"Both {one_of_both[0]} minutes and {one_of_both[1]} epochs are asked for, but the one sets the other; "
            "give one."
        )
    asked = named["encoder"].get("name")
    if asked is not None and tables.get("encoder", {}).get("name", asked) != asked:
        tables["encoder"] = {}  # options of a preset's encoder mean nothing to another one
    return RunConfig.build(apply_overrides(deep_update(tables, named), settings))


def split_encoder_options(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Tables in which keys of [images] and [encoder] that are none of theirs are options of the source or network."""
    result = {table: dict(keys) for table, keys in tables.items()}
    for table, kind in (("images", ImagesConfig), ("encoder", EncoderConfig)):
        if table in result:
            own = kind.model_fields
            options = {k: v for k, v in result[table].items() if k not in own}
            kept = {k: v for k, v in result[table].items() if k in own}
            if options:
                kept["options"] = {**kept.get("options", {}), **options}
            result[table] = kept
    return result


def with_epochs_for_minutes(config: RunConfig, epochs: int) -> RunConfig:
    """The configuration with this number in place of the minutes, for whoever repeats or resumes the run."""
    tables = config.with_epochs(epochs).tables()
    return RunConfig.build({**tables, "training": {**tables["training"], "minutes": None}})


def difference(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two nested tables differ: (dotted key, old value, new value), missing ones as None."""
    found: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys([*old, *new]):
        ours, theirs, name = old.get(key), new.get(key), f"{path}{key}"
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            found += difference(ours, theirs, f"{name}.")
        elif ours != theirs:
            found.append((name, ours, theirs))
    return found


def _known_keys(tables: Mapping[str, Any]) -> dict[str, list[str]]:
    """Keys by table, for messages."""
    known = {
        "images": [*ImagesConfig.model_fields],
        "encoder": [*EncoderConfig.model_fields],
        "training": [*TrainingConfig.model_fields],
        "": [*RunConfig.model_fields],
    }
    method = tables.get("method")
    if isinstance(method, Mapping) and "name" in method:
        known["method"] = ["name", *method_class(str(method["name"])).Config.model_fields]
    return known
