"""What a registered name is: from its own docstring, options and reference."""

from __future__ import annotations

import ast
import inspect
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from phispace.registry import registry


def one_line(kind: str, name: str) -> str:
    """First line of the entry's docstring and whether it is experimental, read from its source: nothing heavy is
    imported."""
    module, _, attribute = registry(kind).target(name).partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == attribute:
            line = (ast.get_docstring(node) or "").split("\n", 1)[0].removesuffix(" See the module.")
            declared = (n.target for n in node.body if isinstance(n, ast.AnnAssign))
            marked = any(isinstance(target, ast.Name) and target.id == "experimental" for target in declared)
            return f"{line} (experimental)" if marked else line
    return ""


def describe(kind: str, name: str) -> str:
    """Text for `phispace show`: docstring, options with types and defaults, source.

    Raises:
        InputError: no such kind or name.
    """
    table = registry(kind)
    name = table.resolve(name)
    entry = table.get(name)
    parts = [f"{table.kind[:-1] if table.kind != 'images' else 'images'} {name}", inspect.getdoc(entry) or ""]
    config = getattr(entry, "Config", None)
    aliases = [alias for alias, of in table.aliases.items() if of == name]
    if aliases:
        parts.append(f"Also called: {', '.join(aliases)}")
    if getattr(entry, "default_encoder", ""):
        parts.append(f"Encoder, unless another is named or a preset has one: {entry.default_encoder}")
    if config is not None and hasattr(config, "model_fields"):
        parts.append(_options(config))
    elif inspect.isclass(entry):
        parts.append(_keywords(entry))
    if table.kind == "encoders":
        parts.append(_of_every_encoder(entry))
    presets = getattr(entry, "presets", None)
    if presets:
        parts.append("Presets (--preset): " + "; ".join(f"{k}: {_flat(v)}" for k, v in presets.items()))
    if hasattr(entry, "layers") and isinstance(entry.layers, tuple):
        parts.append("Layers: " + ", ".join(entry.layers))
    reference = getattr(entry, "reference", None)
    if isinstance(reference, str):
        parts.append(f"Source: {reference}")
    if getattr(entry, "experimental", ""):
        parts.append(f"Experimental: {entry.experimental}")
    if table.kind == "studies":
        study = entry()
        parts.append(f"Question: {study.question}")
        parts.append("Steps: " + ", ".join(f"{s['id']} ({s['do']})" for s in study.steps))
        if study.reference:
            parts.append(f"Source: {study.reference}")
    return "\n\n".join(p for p in parts if p)


def _options(config: Any) -> str:
    lines = ["Options:"]
    for key, field in config.model_fields.items():
        kind = str(field.annotation).replace("typing.", "") if not inspect.isclass(field.annotation) else ""
        kind = kind or field.annotation.__name__
        lines.append(f"  {key}: {kind} = {field.get_default(call_default_factory=True)!r}")
        if field.description:
            lines.append(f"      {field.description}")
    return "\n".join(lines) if len(lines) > 1 else "No options."


def _of_every_encoder(entry: Any) -> str:
    lines = ["Options of every encoder:"]
    if "code" not in inspect.signature(entry).parameters:
        lines.append("  code: values of a linear layer that is added at the end, the new `features` (by default none)")
    lines.append("  sparse: sets the negative values of `features` to 0 (relu), or all but the k largest (a number)")
    return "\n".join(lines)


def _keywords(entry: Any) -> str:
    found = []
    for key, parameter in inspect.signature(entry).parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            kind = parameter.annotation
            name = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
            found.append(f"  {key}: {name} = {parameter.default!r}")
    return "\n".join(["Options:", *found]) if found else ""


def _flat(tables: Any) -> str:
    return ", ".join(f"{table}.{key}={value!r}" for table, row in tables.items() for key, value in row.items())
