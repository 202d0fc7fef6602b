"""Counter-based randomness: every draw is a function of (seed, purpose, epoch, step).

There is no hidden state to save or to lose, so a run that was killed and resumed draws what it would have drawn.
The key is the first 128 bits of sha256 over the canonical text of the path; numpy's Philox takes it whole.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def key(seed: int, purpose: str, *path: int | str) -> int:
    """A 128-bit key for this place in a run; distinct paths give distinct keys (up to sha256 collisions)."""
    text = "\x1f".join([str(int(seed)), purpose, *(f"{type(p).__name__}:{p}" for p in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")


def rng(seed: int, purpose: str, *path: int | str) -> np.random.Generator:
    """A numpy generator for this place, for example `rng(seed, "order", epoch)`."""
    return np.random.Generator(np.random.Philox(key=key(seed, purpose, *path)))


def torch_rng(seed: int, purpose: str, *path: int | str) -> torch.Generator:
    """A torch CPU generator for this place, for example `torch_rng(seed, "views", epoch, step)`."""
    import torch

    generator = torch.Generator()
    generator.manual_seed(key(seed, purpose, *path) & 0x7FFF_FFFF_FFFF_FFFF)
    return generator


def unit_hash(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on the text and the salt alone: the same on every machine and for ever."""
    digest = hashlib.sha256(f"{salt}\x1f{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
