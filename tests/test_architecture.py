"""The house keeps its rules: imports run one way, nothing heavy at start, only storage writes files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import phispace
from phispace.registry import KINDS, registry

SOURCE = Path(phispace.__file__).parent

CORE = {
    "errors",
    "registry",
    "storage",
    "provenance",
    "randomness",
    "progress",
    "run",
    "metrics",
    "__init__",
    "describe",
    "denormals",
}
LEFT = ["data", "encoders", "methods", "training"]  # each may import those before it

ALLOWED: dict[str, set[str]] = {room: CORE | set(LEFT[: i + 1]) for i, room in enumerate(LEFT)}
ALLOWED |= dict.fromkeys(CORE, CORE)
ALLOWED["metrics"] = CORE
STORE = CORE | {"embeddings.store"}
ALLOWED |= {
    "embeddings.store": CORE,
    "embeddings": STORE | set(LEFT) | {"embeddings"},
    "evaluation": STORE | {"evaluation"},
    # Pictures show images: maps and search take an ImageSet, never a model.
    "maps": STORE | {"maps", "data"},
    "search": STORE | {"search", "data"},
    "report": STORE | {"report", "evaluation", "maps", "search"},
}
# The outermost ring stands over all rooms.
OUTER = {"studies", "cli", "api", "export", "export_onnx", "predict", "sklearn"}


def _modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def _room(module: str) -> str:
    parts = module.split(".")
    if parts[:2] == ["embeddings", "store"]:
        return "embeddings.store"
    return parts[0]


def _imports(path: Path) -> set[str]:
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("phispace"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name.removeprefix("phispace.") for name in names if name != "phispace"}
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("phispace.") for a in node.names if a.name.startswith("phispace.")}
    return found


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    room = _room(module)
    if room in OUTER or path.name == "__init__.py":
        return
    back = sorted(
        name
        for name in _imports(path)
        if _room(name) not in ALLOWED[room] and (SOURCE / _room(name).split(".")[0]).exists()
    )
    back = [name for name in back if not _lazy_api(module, name)]
    assert not back, f"{module} imports {back}, which lie to the right of it"


def _lazy_api(module: str, name: str) -> bool:
    return name == "__version__"


def test_importing_phispace_loads_nothing_heavy() -> None:
    code = (
        "import sys, phispace, phispace.cli, phispace.registry as r\n"
        "[r.registry(k).names() for k in r.KINDS]\n"
        "print([m for m in ('torch', 'sklearn', 'matplotlib', 'faiss', 'umap', 'pandas', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_no_asserts_and_only_storage_writes(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Assert)], "asserts are for tests"
    if path.name == "storage.py":
        return
    writers = {"write_text", "write_bytes"}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name.split(".")[-1] in writers:
            assert name.startswith("storage.") or name in writers, f"{path.name}:{node.lineno} writes past storage"
        if name in ("open",) or name.endswith(".open"):
            modes = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
            wrong = [m for m in modes if isinstance(m, str) and m in ("w", "wb", "a", "ab", "x", "r+", "r+b", "w+b")]
            assert not wrong or name == "storage.atomic_open", f"{path.name}:{node.lineno} opens for writing"


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("kind", KINDS)
def test_every_registered_name_says_what_it_is(kind: str) -> None:
    from phispace.describe import one_line

    for name in registry(kind).names():
        assert len(one_line(kind, name)) > 10, f"{kind} {name} has no docstring"
