"""Where a result comes from: versions, the state of the checkout, the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import phispace

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "numpy", "scikit-learn", "Pillow")
_SECRET = re.compile(r"(?i)(token|secret|password|passwd|api[-_]?key|credential)")


def provenance() -> dict[str, Any]:
    """Versions, git state, platform and processor of this process, JSON-able; nothing about the user.

    Threads are not in it: they are a choice of the run, recorded there.
    """
    return {
        "phispace": phispace.__version__,
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "git": git_state(Path(phispace.__file__).parent),
        "platform": platform.platform(),
        "processor": cpu_model(),
        "processors": usable_processors(),
        "memory_gb": memory_gb(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git_state(directory: Path) -> dict[str, Any] | None:
    """Commit and whether tracked files differ from it, or None outside a checkout or without git.

    A directory that git ignores or does not track (an installed package inside someone's repository) is no checkout.
    """

    def git(*arguments: str) -> str | None:
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        try:
            done = subprocess.run(  # noqa: S603
                ["git", "-C", str(directory), *arguments],  # noqa: S607
                capture_output=True, text=True, timeout=10, check=True, env=environment,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = git("rev-parse", "HEAD")
    if not commit:
        return None
    changes = git("status", "--porcelain", "--untracked-files=no", "--", ".")
    return {"commit": commit, "dirty": bool(changes)}


def cpu_model() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def cpu_flags() -> frozenset[str]:
    """Instruction sets by the names of Linux (`avx512_bf16`, `amx_bf16` ...); empty where they are not told."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return frozenset(found.group(1).split()) if found else frozenset()


def usable_processors() -> int:
    """Processors that this process may run on: affinity, the control group's quota (Linux), OMP_NUM_THREADS."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()[:2]
        if quota != "max":
            count = min(count, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(count, int(asked)) if asked.isdigit() and int(asked) > 0 else count


def memory_gb() -> float | None:
    """Physical memory in GB, or None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        return None


def arguments() -> list[str]:
    """The command line, with the values of what looks like a secret and credentials inside addresses blanked."""
    return [*map(strip_credentials, _without_secrets(sys.argv))]


def _without_secrets(words: list[str]) -> list[str]:
    clean: list[str] = []
    hide = False
    for word in words:
        name, equals, _ = word.partition("=")
        if hide and not word.startswith("-"):
            clean.append("***")
            hide = False
            continue
        hide = word.startswith("-") and not equals and bool(_SECRET.search(word))
        clean.append(f"{name}=***" if equals and _SECRET.search(name) else word)
    return clean


def strip_credentials(text: str) -> str:
    """The same text with `user:password@` taken out of addresses."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)
