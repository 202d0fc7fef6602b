"""A run's codes with what decodes them: means, KL, labels, images, for pictures and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.api.learn import images_of
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.randomness import rng
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.methods.base import Method

_BATCH = 250


@dataclass(frozen=True)
class Codes:
    """Codes of some images.

    Attributes:
        run: name of the run.
        checkpoint, split: what was encoded with what.
        means: float32 (N, D), the code of each image.
        kl: float32 (N, D) in nats, or None where the method has no prior.
        positions: int64 (N,) in `images`.
        images: the image set.
        method: with `decode`.
    """

    run: str
    checkpoint: str
    split: str
    means: np.ndarray
    kl: np.ndarray | None
    positions: np.ndarray
    images: ImageSet
    method: Method

    @property
    def width(self) -> int:
        return int(self.means.shape[1])

    @property
    def labels(self) -> np.ndarray:
        return self.images.labels[self.positions]

    @property
    def classes(self) -> tuple[str, ...]:
        return self.images.classes

    def where(self) -> str:
        moment = self.checkpoint.partition("-")[0].replace("epoch=", "epoch ").replace(" 0", " ").replace(" 0", " ")
        return f"{self.images.name}, {self.split}, {moment}"

    def pixels(self, row: int) -> np.ndarray:
        """Image of a row, floats in [0, 1], (H, W, C)."""
        return np.asarray(self.images.images[self.positions[row]], np.float32) / 255

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Images, floats in [0, 1], (..., H, W, C) of codes (..., D)."""
        import torch

        flat = np.ascontiguousarray(codes, np.float32).reshape(-1, self.width)
        parts = []
        with torch.no_grad():
            for start in range(0, len(flat), _BATCH):
                decoded = self.method.decode(torch.from_numpy(flat[start : start + _BATCH]))  # type: ignore[operator]
                parts.append(decoded.clamp(0, 1).permute(0, 2, 3, 1).float().numpy())
        whole = np.concatenate(parts)
        return whole.reshape(*codes.shape[:-1], *whole.shape[1:])

    def weight(self) -> np.ndarray:
        """How much each dimension carries: its KL, or its variance where there is no prior; (D,)."""
        weight: np.ndarray = self.means.var(0) if self.kl is None else self.kl.mean(0)
        return weight

    def order(self) -> np.ndarray:
        """Dimensions, the one that carries most first."""
        return np.argsort(-self.weight(), kind="stable")

    def two_dims(self) -> tuple[int, int]:
        """The two that carry most, in their own order; (0, 1) where there are no more."""
        best = sorted(int(d) for d in self.order()[:2])
        return (best[0], best[1]) if len(best) == 2 else (0, 0)

    def active(self) -> np.ndarray:
        """Dimensions that are in use, bool (D,)."""
        import torch

        from phispace.methods.gaussian_codes import in_use

        return in_use(torch.from_numpy(self.means)).numpy()

    def example(self) -> tuple[np.ndarray, np.ndarray]:
        """A code (D,) to start from and its image: the image whose code is nearest to the middle of all."""
        middle = np.median(self.means, axis=0)
        row = int(((self.means - middle) ** 2).sum(1).argmin())
        return self.means[row], self.pixels(row)

    def pairs(self, count: int, seed: int) -> list[tuple[int, int]]:
        """Rows of images to go between, of different classes where there are several."""
        draw = rng(seed, "latent pairs")
        labels, found = self.labels, []
        for _ in range(count):
            one = int(draw.integers(len(labels)))
            others = np.flatnonzero(labels != labels[one])
            others = others if len(others) else np.arange(len(labels))
            found.append((one, int(draw.choice(others))))
        return found

    def numbers(self) -> dict[str, Any]:
        """What each dimension carries, JSON-able; in nats, means over the images."""
        active = self.active()
        return {
            "run": self.run,
            "checkpoint": self.checkpoint,
            "images": self.images.name,
            "split": self.split,
            "n": len(self.means),
            "dimensions": self.width,
            "active_units": int(active.sum()),
            "active": active.tolist(),
            "variance_of_means": self.means.var(0).tolist(),
            "kl": None if self.kl is None else self.kl.mean(0).tolist(),
            "kl_total": None if self.kl is None else float(self.kl.mean(0).sum()),
        }


def read_codes(
    run: Run,
    *,
    checkpoint: str = "best",
    split: str = "test",
    items: int = 5000,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Codes:
    """Encode a stratified subset of a split, in batches.

    Raises:
        InputError: the run's method has no decoder, or the split has no images.
    """
    import torch

    from phispace.embeddings.extract import check_images
    from phispace.embeddings.streaming import batches
    from phispace.maps.subset import stratified_subset
    from phispace.methods.gaussian_codes import kl_by_dimension
    from phispace.training.restore import load_method

    method = load_method(run, checkpoint)
    need_decoder(method, run)
    found = images_of(run, images, data_dir=data_dir, progress=progress)
    check_images(method.encoder, found)
    positions = found.where(split)
    if not len(positions):
        there = ", ".join(k for k, v in found.counts().items() if sum(v.values())) or "none"
        raise InputError(f"{found.name!r} has no images in split {split!r}; it has {there}.")
    positions = positions[stratified_subset(found.ids[positions], found.labels[positions], items)]
    posterior = getattr(method, "posterior", None)
    means, kl = [], []
    with torch.no_grad(), (progress or SILENT).task("Encoding", total=len(positions)) as task:
        for chosen, batch in batches(found, positions, _BATCH, torch.device("cpu")):
            if posterior is None:
                means.append(method.encoder(batch).flatten(1).float().numpy())
            else:
                mean, log_variance = posterior(batch)
                means.append(mean.numpy())
                kl.append(kl_by_dimension(mean, log_variance).numpy())
            task.advance(len(chosen))
    place = run.checkpoint(checkpoint).name
    return Codes(
        run.name, place, split, np.concatenate(means), np.concatenate(kl) if kl else None, positions, found, method
    )


def need_decoder(method: Method, run: Run) -> None:
    """Raise InputError in one sentence if the run's method cannot decode a code."""
    if not callable(getattr(method, "decode", None)):
        name = run.config.get("method", {}).get("name", type(method).__name__)
        raise InputError(
            f"The run {run.name} was trained by {name!r}, which has no decoder of codes alone, so none can be "
            "made an image; vae, beta-vae, beta-tcvae and autoencoder have one."
        )
