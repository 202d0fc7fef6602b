"""What a frozen encoder gives for the images of a set, known before training: looked up, not computed again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor


class KnownFeatures:
    """Rows (N, D) by the images' positions in their set; may be memory-mapped.

    Not part of a method's state: a copy of a method shares them, a checkpoint leaves them out.

    Args:
        vectors: float32 or float16 (N, D).
        about: for the run's record: `precision`, `seconds`, `cpu_seconds`, `vectors_sha256`; JSON-able.
    """

    def __init__(self, vectors: np.ndarray, about: Mapping[str, Any] | None = None) -> None:
        self.vectors = vectors
        self.about = dict(about or {})

    def __call__(self, index: Tensor) -> Tensor:
        """float32 (B, D) of positions int64 (B,), on the device of `index`."""
        rows = np.asarray(self.vectors[index.cpu().numpy()], np.float32)
        return torch.from_numpy(rows).to(index.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
