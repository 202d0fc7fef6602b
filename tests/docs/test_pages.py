"""The pages say what is so: tables, links, commands and examples."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import shlex
import types
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
HEADINGS = ["Idea", "Objective", "What is logged", "Departures", "Results"]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def tokens(page: Path) -> list[Any]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks(language: str, page: Path) -> list[tuple[str, str]]:
    """(info string, text) of the fenced blocks in this language."""
    fences = [t for t in tokens(page) if t.type == "fence"]
    return [(t.info.strip(), t.content) for t in fences if t.info.split()[:1] == [language]]


def headings(page: Path) -> list[str]:
    parsed = tokens(page)
    return [parsed[i + 1].content for i, t in enumerate(parsed) if t.type == "heading_open"]


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def generator() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name)
def test_tables_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generator().updated(text) == text, "run python docs/generate.py"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for token in tokens(page):
        for child in token.children or []:
            target = child.attrs.get("href") or child.attrs.get("src")
            if not target or re.match(r"[a-z]+:", str(target)):
                continue
            path, _, fragment = str(target).partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), f"{name(page)} links to {target}"
            if fragment:
                assert fragment in [anchor(h) for h in headings(there)], f"{name(page)} links to {target}"


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.exists() or page.suffix != ".md":
            continue
        seen.add(page)
        for token in tokens(page):
            for child in token.children or []:
                target = str(child.attrs.get("href", "")).partition("#")[0]
                if target and ":" not in target:
                    waiting.append((page.parent / target).resolve())
    assert set(DOCS.rglob("*.md")) <= seen


def test_every_method_has_its_page_under_the_same_headings() -> None:
    from phispace.registry import registry

    for method in registry("methods").names():
        page = DOCS / "methods" / f"{method}.md"
        assert page.exists(), f"docs/methods/{method}.md is missing"
        level_two = [h for h in headings(page) if h in HEADINGS]
        assert level_two == HEADINGS


# -- commands


def commands(page: Path) -> list[str]:
    lines = [line for _, text in blocks("console", page) for line in text.splitlines()]
    return [line[2:] for line in lines if line.startswith("$ phispace ")]


ALL_COMMANDS = sorted({c for page in PAGES for c in commands(page)})


@pytest.mark.parametrize("line", ALL_COMMANDS)
def test_commands_exist_with_their_options(line: str) -> None:
    import typer

    from phispace.cli import app

    words = shlex.split(line, comments=True)[1:]
    command: Any = typer.main.get_command(app)
    context = None
    while hasattr(command, "commands"):
        verb = words.pop(0)
        if verb.startswith("-"):
            return
        assert verb in command.commands, f"{line}: there is no verb {verb}"
        command = command.commands[verb]
    context = command.make_context(command.name, words)
    check_names(command.name, context.params)


def check_names(verb: str, given: dict[str, Any]) -> None:
    """The names in a command are registered ones, and its settings are options."""
    from phispace.registry import registry

    if verb == "train" and not given["resume"]:
        from phispace.training.config import make_config

        make_config(
            given["method"],
            given["images"],
            encoder=given["encoder"],
            preset=given["preset"],
            settings=given["set_"] or (),
        )
    elif verb == "study":
        assert str(given["name"]).endswith(".toml") or given["name"] in registry("studies").names()
    elif verb == "evaluate":
        from phispace.api.scores import DEFAULT_EVALUATIONS, options_of
        from phispace.evaluation.evaluate import make_evaluation, resolve_names

        names = resolve_names(given["with_"] or DEFAULT_EVALUATIONS)
        for evaluation, options in options_of(names, given["set_"] or ()).items():
            make_evaluation(evaluation, options)
    elif verb == "map":
        from phispace.maps.make import make_projection
        from phispace.training.config import parse_settings

        make_projection(given["method"], parse_settings(given["set_"] or ()))
    elif verb == "show":
        registry(given["kind"]).resolve(given["name"])


def test_there_are_commands_for_every_verb() -> None:
    import typer

    from phispace.cli import app

    verbs = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    shown = {shlex.split(line)[1] for line in ALL_COMMANDS}
    assert verbs - shown <= {"list"}, f"no page shows {', '.join(sorted(verbs - shown - {'list'}))}"


# -- Python


PYTHON = [(page, i, info, text) for page in PAGES for i, (info, text) in enumerate(blocks("python", page))]
IDS = [f"{name(page)}:{i}" for page, i, _, _ in PYTHON]


@pytest.mark.parametrize(("page", "i", "info", "text"), PYTHON, ids=IDS)
def test_examples_use_what_is_there(page: Path, i: int, info: str, text: str) -> None:
    """Every example compiles, what it imports exists, and calls of imported functions take these arguments."""
    tree = ast.parse(text)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                module = importlib.import_module(item.name)
                known[item.asname or item.name.split(".")[0]] = (
                    module if item.asname else importlib.import_module(item.name.split(".")[0])
                )
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            for item in node.names:
                assert hasattr(module, item.name), f"{node.module} has no {item.name}"
                known[item.asname or item.name] = getattr(module, item.name)
    for node in ast.walk(tree):
        target = resolved(node, known) if isinstance(node, ast.Attribute) else None
        if isinstance(node, ast.Call):
            target = resolved(node.func, known)
            if target is not None and (getattr(target, "__module__", "") or "").startswith("phispace"):
                keywords = {k.arg: None for k in node.keywords if k.arg}
                if not any(isinstance(a, ast.Starred) for a in node.args):
                    inspect.signature(target).bind_partial(*[None] * len(node.args), **keywords)


def resolved(node: ast.AST, known: dict[str, Any]) -> Any:
    """The imported thing that a dotted name means; None where it is not one."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        parent = resolved(node.value, known)
        if parent is None or not (inspect.ismodule(parent) or inspect.isclass(parent)):
            return None
        assert hasattr(parent, node.attr), f"{parent!r} has no {node.attr}"
        return getattr(parent, node.attr)
    return None


RUNNING = [p for p in PYTHON if "run" in p[2].split()[1:]]


@pytest.mark.parametrize(("page", "i", "info", "text"), RUNNING, ids=[f"{name(page)}:{i}" for page, i, _, _ in RUNNING])
def test_examples_marked_so_run(
    page: Path, i: int, info: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(text, f"{name(page)}:{i}", "exec"), {"__name__": "example"})


@pytest.mark.slow
def test_the_first_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python example of the index, whole, with one epoch."""
    monkeypatch.chdir(tmp_path)
    text = blocks("python", DOCS / "index.md")[0][1].replace("epochs=5", "epochs=1")
    exec(compile(text, "docs/index.md", "exec"), {"__name__": "example"})
    assert (tmp_path / "runs" / "first" / "report.html").stat().st_size > 100_000


def test_toml_examples_are_studies() -> None:
    import tomllib

    from phispace.studies.study import parse

    for page in PAGES:
        for _, text in blocks("toml", page):
            parse(tomllib.loads(text), "example").at("smoke")


def test_no_page_names_a_place_on_somebodys_machine() -> None:
    for page in PAGES:
        found = re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users)/\S*", page.read_text(encoding="utf-8"))
        assert not found, f"{name(page)}: {found}"
