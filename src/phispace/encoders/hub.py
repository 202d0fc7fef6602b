"""Weights from the Hugging Face hub, through its own client: cached there, checked, and one sentence where that fails.

The client keeps each large file under its sha256, which the hub states; that is compared with the file's own at each
opening, so neither a download that broke off nor a cache that decayed passes. `HF_ENDPOINT` names a mirror,
`HF_HUB_CACHE` the folder, `HF_HUB_OFFLINE=1` forbids the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phispace.encoders.weights import Source, check_sha256, offline
from phispace.errors import DataError, MissingDependencyError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def hub_source(repository: str, files: Sequence[str], advice: str) -> Source:
    """The first of these files that the repository has, from the cache or downloaded.

    Args:
        repository: `owner/name`, with `@revision` for another than the main one.
        files: names, tried in this order.
        advice: what can be done without a network, a sentence.

    Raises:
        DataError: it is nowhere, or damaged.
        MissingDependencyError: the hub's client is not installed.
    """
    try:
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"Weights from the hub need the package 'huggingface_hub', which is not installed. {advice}"
        ) from error
    reason = "downloads are switched off by HF_HUB_OFFLINE"
    for local in (True, False):
        if not local and offline():
            break
        for name in files:
            try:
                path, stated = _file(repository, name, local)
            except LocalEntryNotFoundError as error:
                reason = reason if local else _reason(error)
                continue
            except EntryNotFoundError:
                reason = f"the repository has none of {', '.join(files)}"
                continue
            except Exception as error:  # the client's transport has errors of its own, which differ by version
                reason = _reason(error)
                break
            digest = check_sha256(path, stated, f"the {name} of {repository}")
            return Source("hub", f"{repository}/{name}", path, digest)
    where = os.environ.get("HF_ENDPOINT") or "huggingface.co"
    raise DataError(
        f"The weights of {repository} are not on this machine and could not be fetched from {where} ({reason}). "
        f"{advice}"
    )


def _file(repository: str, name: str, local: bool) -> tuple[Path, str]:
    """A file, and the sha256 (or what of it is known) that it must have."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    repo, _, revision = repository.partition("@")
    place: dict[str, Any] = {"revision": revision or None, "endpoint": os.environ.get("HF_ENDPOINT")}
    if not local:
        get_hf_file_metadata(
            hf_hub_url(repo, name, **place)
        )  # without a network this fails at once; a download retries
    cache = os.environ.get("HF_HUB_CACHE")
    path = Path(hf_hub_download(repo, name, local_files_only=local, cache_dir=cache, **place))
    stated = path.resolve().name  # the cache names what it holds by the digest that the hub gave
    if not _SHA256.fullmatch(stated):
        raise DataError(f"the hub states no sha256 of {name}")
    return path, stated


def _reason(error: BaseException) -> str:
    """The innermost cause, in its own first line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = (str(error).strip().splitlines() or [""])[0]
    return text[:160].rstrip(".") or type(error).__name__


def cached_models() -> list[str]:
    """Names of timm's models whose weights the hub's cache holds."""
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(os.environ.get("HF_HUB_CACHE") or HF_HUB_CACHE)
    found = folder.glob("models--timm--*/snapshots/*/*")
    weights = {p.parents[2].name for p in found if p.suffix in (".safetensors", ".bin", ".pth") and p.exists()}
    return sorted(name.removeprefix("models--timm--") for name in weights)
