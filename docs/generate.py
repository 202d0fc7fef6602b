"""Writes the tables in these pages from the registries, between markers; a test checks that they are up to date.

    python docs/generate.py            writes
    python docs/generate.py --check    says which pages are stale, and fails if any is

A marker is a comment `<!-- table: KIND ARGUMENTS -->`, its table ends at `<!-- end of table -->`:

    names KIND             the registered names of a kind, with a line on each
    options KIND NAME      options of one of them: name, default, what it is
    presets METHOD         a method's published settings
    views                  the augmentations
    corruptions            the corruptions
    training               the table [training] of a configuration
    verbs                  the verbs of the command
    steps                  the steps of studies
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
MARKER = re.compile(r"(<!-- table: ([^>]+?) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


def cell(text: object) -> str:
    """Text for a table cell: one line, no pipes."""
    return " ".join(str(text).replace("|", "\\|").split())


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([cell(c) for c in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def names(kind: str) -> str:
    """Registered names of a kind; where they have pages in a folder of that name, as links."""
    from phispace.describe import one_line
    from phispace.registry import registry

    def shown(name: str) -> str:
        return f"[`{name}`]({kind}/{name}.md)" if (DOCS / kind / f"{name}.md").exists() else f"`{name}`"

    return table(("name", "what it is"), ((shown(n), one_line(kind, n)) for n in registry(kind).names()))


def options(kind: str, name: str) -> str:
    """Options of one registered thing."""
    from phispace.registry import registry

    entry = registry(kind).get(name)
    config = getattr(entry, "Config", None)
    if config is not None and hasattr(config, "model_fields"):
        return fields(config)
    rows = []
    for key, parameter in inspect.signature(entry).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            rows.append((f"`{key}`", f"`{parameter.default!r}`"))
    return table(("option", "default"), rows)


def fields(model: Any) -> str:
    """Fields of a pydantic model."""
    rows = []
    for key, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        required = field.is_required()
        rows.append((f"`{key}`", "" if required else f"`{default!r}`", field.description or ""))
    if any(row[2] for row in rows):
        return table(("option", "default", "what it is"), rows)
    return table(("option", "default"), (row[:2] for row in rows))


def presets(method: str) -> str:
    """Published settings of a method."""
    from phispace.registry import registry

    rows = []
    for name, tables in registry("methods").get(method).presets.items():
        flat = (f"`{t}.{k}={v!r}`" for t, values in tables.items() for k, v in values.items())
        rows.append((f"`{name}`", ", ".join(flat)))
    return table(("preset", "what it sets"), rows)


def views() -> str:
    """The augmentations."""
    from phispace.data.views import describe_view, view_names

    return table(("view", "what it does"), ((f"`{n}`", describe_view(n)) for n in view_names()))


def corruptions() -> str:
    """The corruptions."""
    from phispace.data.corruptions import BENCHMARK, corruption_names, describe_corruption

    rows = ((f"`{n}`", describe_corruption(n), "yes" if n in BENCHMARK else "") for n in corruption_names())
    return table(("kind", "what it does", "in `robustness`"), rows)


def training() -> str:
    """[training] of a configuration."""
    from phispace.training.config import TrainingConfig

    return fields(TrainingConfig)


def verbs() -> str:
    """The command's verbs."""
    import typer

    from phispace.cli import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return table(("verb", "what it does"), ((f"`phispace {n}`", c.help or "") for n, c in commands.items()))


def steps() -> str:
    """Steps of studies."""
    from phispace.studies.steps import STEPS, get_step

    rows = []
    for name in STEPS:
        step = get_step(name)
        rows.append((f"`{name}`", (inspect.getdoc(step if inspect.isclass(step) else type(step)) or "").split("\n")[0]))
    return table(("step", "what it does"), rows)


TABLES: dict[str, Callable[..., str]] = {
    "names": names, "options": options, "presets": presets, "views": views, "training": training, "verbs": verbs,
    "steps": steps, "corruptions": corruptions,
}  # fmt: skip


def updated(text: str) -> str:
    """A page with every table made anew."""

    def made(match: re.Match[str]) -> str:
        kind, *arguments = match[2].split()
        return f"{match[1]}\n{TABLES[kind](*arguments)}\n{match[4]}"

    return MARKER.sub(made, text)


def main(arguments: list[str]) -> int:
    """Write, or with --check only compare."""
    stale = []
    for page in sorted(DOCS.rglob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = updated(before)
        if after != before:
            stale.append(page.relative_to(DOCS).as_posix())
            if "--check" not in arguments:
                page.write_text(after, encoding="utf-8")
    print("\n".join(stale) if stale else "All tables are up to date.")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
