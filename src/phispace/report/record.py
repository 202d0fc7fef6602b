"""Reading a run's record for people: tolerant of what an older run, or another tool's, does not say."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from phispace.report.document import Fact, Form, Number, Provenance
from phispace.report.numerals import significant
from phispace.run import Run

# Tables of the configuration whose values go to the command as --set.
_SET_TABLES = ("method", "training")
_NAMED = {("method", "name"), ("training", "seed")}


def field(record: Mapping[str, Any], *paths: str) -> Any:
    """The first of these dotted paths that the record has, or None."""
    for path in paths:
        value: Any = record
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def is_foreign(run: Run) -> bool:
    """Whether the directory holds the scores of embeddings that another tool made; nothing was trained."""
    return field(run.record, "kind") == "embeddings"


def images_name(run: Run) -> str:
    """Short name of the images a run was trained on."""
    return str(field(run.record, "images.name", "config.images.name") or "its images")


def method_name(run: Run) -> str:
    return str(field(run.record, "config.method.name") or "unknown")


def method_title(run: Run) -> str:
    """The method's name for people, as a noun."""
    title = field(run.record, "method.title")
    if not title:
        return f"the method {method_name(run)}"
    return f"{'an' if str(title)[:1].lower() in 'aeiou' else 'a'} {title}"


def encoder_name(run: Run) -> str:
    return str(field(run.record, "config.encoder.name", "encoder.name") or "unknown")


def repeat_command(run: Run) -> str:
    """A command that makes the same again: the one that was given, else one with every option of the training."""
    argv = field(run.record, "argv")
    if is_foreign(run):
        return shlex.join(["phispace", *map(str, (argv or [])[1:])])
    if isinstance(argv, list) and argv[1:2] == ["train"] and "--resume" not in argv:
        return shlex.join(["phispace", *map(str, argv[1:])])
    config = run.config
    words = [
        "phispace",
        "train",
        method_name(run),
        "--images",
        images_name_or_path(run),
        "--encoder",
        encoder_name(run),
    ]
    if field(config, "images.size"):
        words += ["--size", str(config["images"]["size"])]
    words += ["--seed", str(field(config, "training.seed") or 0), "--out", f"{run.name}-again"]
    for table in ("encoder", "images"):
        for key, value in sorted((field(config, f"{table}.options") or {}).items()):
            words += ["--set", f"{table}.options.{key}={_toml(value)}"]
    for table in _SET_TABLES:
        for key, value in (config.get(table) or {}).items():
            if (table, key) not in _NAMED and value is not None and key not in ("devices", "num_nodes", "strategy"):
                words += ["--set", f"{table}.{key}={_toml(value)}"]
    return shlex.join(words)


def images_name_or_path(run: Run) -> str:
    """What --images was given."""
    return str(field(run.record, "config.images.name", "images.name") or "digits")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml(v) for v in value)}]"
    return str(value)


def cost_facts(run: Run) -> list[Fact]:
    """What the representation cost: minutes, images seen, parameters, multiply-adds."""
    record = run.record
    wanted: list[tuple[str, Form, tuple[str, ...]]] = [
        ("Training", "minutes", ("result.minutes", "result.training_minutes")),
        ("Epochs", "count", ("result.epochs", "config.method.epochs")),
        ("Images seen", "count", ("result.images_seen",)),
        ("Images a second", "count", ("result.images_per_second",)),
        ("Parameters", "count", ("encoder.parameters", "result.parameters")),
        ("Multiply-adds an image", "count", ("encoder.multiply_adds", "result.multiply_adds")),
    ]
    found = []
    for name, form, paths in wanted:
        value = field(record, *paths)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found.append(Fact(name=name, value=Number(value=float(value), form=form)))
    return found


def provenance_of(run: Run, sources: tuple[str, ...] = ()) -> Provenance:
    """Everything that is needed to trust or to repeat the run."""
    record = run.record
    machine = field(record, "provenance") or {}
    facts = [("Run", run.name), ("Status", field(record, "status")), ("Begun", field(record, "created"))]
    facts += [("Ended", field(record, "completed", "ended"))]
    facts += [("Images", _images_text(record)), ("Images' fingerprint", field(record, "images.fingerprint"))]
    sittings = field(record, "sittings")
    if isinstance(sittings, list) and len(sittings) > 1:
        facts += [("Sittings", f"{len(sittings)}: it was resumed, which changes no number")]
    facts += [("Error", field(record, "error"))]
    facts += [("Encoder", encoder_name(run)), ("Best checkpoint", field(record, "best_checkpoint"))]
    facts += [("Seed", field(record, "config.training.seed"))]
    facts += [
        (f"Chosen {str(key).replace('_', ' ')}", _plain(value))
        for key, value in (field(record, "choices") or {}).items()
    ]
    git = field(machine, "git") or {}
    commit = str(field(git, "commit") or "")[:12] + (" with uncommitted changes" if field(git, "dirty") else "")
    facts += [("phispace", " ".join(str(v) for v in (field(machine, "phispace"), commit and f"({commit})") if v))]
    versions = {"Python": field(machine, "python"), **(field(machine, "packages") or {})}
    facts += [("Versions", ", ".join(f"{k} {v}" for k, v in versions.items() if v))]
    processors, memory = field(machine, "processors"), field(machine, "memory_gb")
    parts = [field(machine, "processor"), processors and f"{processors} processors", memory and f"{memory} GB"]
    facts += [("Machine", ", ".join(str(p) for p in parts if p)), ("System", field(machine, "platform"))]
    arguments = field(record, "argv", "arguments")
    made_by = shlex.join(map(str, arguments)) if isinstance(arguments, list) else str(arguments or "")
    facts += [("Was started as", made_by)]
    config = run.path / "config.toml"
    return Provenance(
        command=repeat_command(run),
        facts=tuple(Fact(name=name, value=str(value)) for name, value in facts if value not in (None, "")),
        configuration=config.read_text(encoding="utf-8", errors="replace") if config.is_file() else "",
        sources=sources,
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    if isinstance(value, float):
        return significant(value)
    return str(value)


def _images_text(record: Mapping[str, Any]) -> str:
    name = field(record, "images.name", "config.images.name")
    shape = field(record, "images.shape")
    counts = field(record, "images.items", "images.counts")
    parts = [str(name or "")]
    if isinstance(shape, list):
        parts.append(" × ".join(map(str, shape)))
    if isinstance(counts, Mapping):
        totals = {k: sum(v.values()) if isinstance(v, Mapping) else v for k, v in counts.items()}
        parts.append(", ".join(f"{k} {n:,}" for k, n in totals.items() if isinstance(n, (int, float))))
    return "; ".join(p for p in parts if p)
