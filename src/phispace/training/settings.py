"""`--set table.key=value`: overrides in TOML's syntax, and errors of validation in one sentence."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from phispace.errors import InputError

_WITH_OPTIONS = {"images": ("name", "data_dir", "size", "options"), "encoder": ("name", "options", "start")}


def parse_value(text: str) -> Any:
    """A value in TOML's syntax; what is none is taken as text, so that quotes may be left out."""
    if text.strip().lower() in ("none", "null"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except tomllib.TOMLDecodeError:
        return text.strip()


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`["perplexity=30", "init=pca"]` -> `{"perplexity": 30, "init": "pca"}`; dots make nested tables.

    Raises:
        InputError: no equals sign, or no key.
    """
    result: dict[str, Any] = {}
    for setting in [settings] if isinstance(settings, str) else settings:
        key, equals, value = setting.partition("=")
        path = [part.strip() for part in key.split(".")]
        if not equals or not all(path):
            raise InputError(f"A setting is KEY=VALUE, for example method.learning_rate=0.01; got {setting!r}.")
        table = result
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise InputError(f"The setting {setting!r} goes into {part!r}, which an earlier one made a value.")
        table[path[-1]] = parse_value(value)
    return result


def apply_overrides(tables: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Tables with settings such as `method.beta=0.5` applied.

    `encoder.KEY` and `images.KEY` mean an option of the encoder or the source where KEY is not a key of the table.

    Raises:
        InputError: not KEY=VALUE, or a table that there is not.
    """
    asked = parse_settings(settings)
    for table, keys in asked.items():
        if table not in ("images", "encoder", "method", "training"):
            raise InputError(
                f"A setting begins with images, encoder, method or training, for example method.{table}=...; "
                f"got {table!r}."
            )
        if not isinstance(keys, dict):
            raise InputError(f"{table!r} is a table; set a key in it, for example {table}.name=...")
    for table, own in _WITH_OPTIONS.items():
        if table in asked:
            options = {k: v for k, v in asked[table].items() if k not in own}
            asked[table] = {k: v for k, v in asked[table].items() if k in own}
            if options:
                asked[table]["options"] = {**asked[table].get("options", {}), **options}
    return deep_update(tables, asked)


def deep_update(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables with changes laid over them; neither argument is altered."""
    result = dict(tables)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = deep_update(old, value) if both else value  # type: ignore[arg-type]
    return result


def one_sentence(error: ValidationError, known: Mapping[str, Sequence[str]]) -> str:
    """The first thing that is wrong: where, what was received, what is expected.

    Args:
        known: table -> keys, for close matches.
    """
    problems = error.errors()
    first = problems[0]
    place = [str(part) for part in first["loc"]]
    if str(error.title) not in ("RunConfig", "ImagesConfig", "EncoderConfig", "TrainingConfig") and len(place) < 2:
        place = ["method", *place]
    name = ".".join(place) or str(error.title)
    more = f" ({len(problems) - 1} more like this.)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        there = list(known.get(place[0] if len(place) > 1 else "", ()))
        close = difflib.get_close_matches(place[-1], there, n=3, cutoff=0.5)
        hint = f"Did you mean {', '.join(close)}?" if close else f"There are: {', '.join(there)}."
        return f"There is no option {name!r}. {hint}{more}"
    wanted = first["msg"].removeprefix("Value error, ")
    wanted = wanted[:1].lower() + wanted[1:]
    received = "" if first["type"] == "missing" else f" cannot be {first['input']!r}"
    return f"The option {name!r}{received}: {wanted}.{more}"
