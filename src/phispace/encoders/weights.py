"""Files of pretrained weights: found, checked, and read without running what is in them."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from phispace.errors import DataError, InputError, MissingDependencyError

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Source:
    """Where weights come from.

    Attributes:
        kind: package, hub, torchvision, file or random.
        name: of the package, the repository, or the file.
        path: of the file on this machine.
        sha256: of the file, compared with what its publisher says where he does.
        notes: what else a reader must know, in sentences.
    """

    kind: str
    name: str
    path: Path | None = None
    sha256: str | None = None
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, str | list[str]]:
        """For `run.json`; without the place on this machine."""
        found: dict[str, str | list[str]] = {"kind": self.kind, "name": self.name}
        if self.sha256 is not None:
            found["sha256"] = self.sha256
        if self.notes:
            found["notes"] = list(self.notes)
        return found


RANDOM = Source("random", "drawn by the seed")


def require_timm() -> None:
    """Raise MissingDependencyError where timm is not installed."""
    try:
        import timm  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "Networks of timm need the package 'timm', which is not installed: pip install timm."
        ) from error


def sha256_of(path: Path) -> str:
    """sha256 of a file; read once as long as its size and time of change stay."""
    status = path.stat()
    return _sha256(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(path: str, size: int, changed: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, what: str) -> str:
    """The sha256 of a file, which must begin as `expected` does (publishers give all of it or the first digits).

    Raises:
        DataError: another one.
    """
    found = sha256_of(path)
    if not found.startswith(expected):
        raise DataError(
            f"{path} is not {what}: its sha256 is {found}, {expected} is expected. Remove it and get it again."
        )
    return found


def read_weights(path: Path) -> Weights:
    """Tensors of a safetensors file or a pickle of tensors, which is opened with `weights_only`.

    A training checkpoint gives its averaged weights or its model (`state_dict_ema`, `model_ema`, `state_dict`,
    `model`); prefixes of wrappers (`module.`, `_orig_mod.`) are taken off.

    Raises:
        InputError: no such file. DataError: not such a file, or a pickle that would run code.
    """
    require_timm()
    from timm.models import load_state_dict

    if not path.is_file():
        raise InputError(f"There is no file of weights at {path}; a .safetensors, .pth or .pt is expected.")
    try:
        found = load_state_dict(str(path), device="cpu", weights_only=True)
    except (RuntimeError, ValueError, OSError, KeyError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(f"{path} cannot be read as weights: {reason}") from error
    wrong = next((k for k, v in found.items() if not isinstance(v, Tensor)), None) if found else "nothing"
    if wrong is not None:
        raise DataError(f"{path} does not hold tensors by name alone (there is {str(wrong)!r}); expected a state dict.")
    return dict(found)


def file_source(text: str) -> Source:
    """The source of a file that the user names."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise InputError(
            f"There is no file of weights at {text}; expected 'pretrained', 'random', or the path of a .safetensors, "
            ".pth or .pt file."
        )
    return Source("file", path.name, path.resolve(), sha256_of(path))


def misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What keeps weights from fitting a network, a phrase a tensor."""
    phrases = [f"{name} is missing" for name in expected if name not in found]
    phrases += [f"{name} is not known" for name in found if name not in expected]
    phrases += [
        f"{name} is {tuple(found[name].shape)}, {tuple(tensor.shape)} is expected"
        for name, tensor in expected.items()
        if name in found and tensor.shape != found[name].shape
    ]
    return phrases


def refuse(problems: Sequence[str], network: str, source: Source) -> None:
    """Raise DataError if there are any: nothing is loaded in part."""
    if problems:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise DataError(f"The weights of {source.name} do not fit {network}, and none of them is taken: {shown}.")


def offline() -> bool:
    """Whether the user forbids the network for hubs (HF_HUB_OFFLINE)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
