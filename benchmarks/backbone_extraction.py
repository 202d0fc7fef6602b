"""Images a second through a frozen backbone: ours, from uint8 images to the store on disk, against timm's plain loop.

    python benchmarks/backbone_extraction.py --images cifar10 --resolution 96

timm's loop is what its documentation shows: `create_model(num_classes=0)`, `create_transform` of its data config on
Pillow images, a DataLoader without workers, `model(batch)` under `torch.inference_mode`. Beside it stands timm's model
alone on batches that are ready, which no loop around it can beat in the same precision. All take turns in one process;
numbers are processor time, the median over rounds, because wall time on a shared machine says little.

Agreement: cosine of each image's embedding with that of timm's loop, mean and least.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch.utils.data import DataLoader, Dataset

import phispace as ph
from phispace.data.imageset import ImageSet
from phispace.embeddings.extract import extract
from phispace.encoders.build import build_encoder


def set_of(name: str, count: int, data_dir: Path | None) -> ImageSet:
    images = ph.load_images(name, data_dir=data_dir)
    return images.take(images.where("test")[:count])


class Pictures(Dataset):
    def __init__(self, images: ImageSet, transform: Callable) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = self.images.images[index]
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        return self.transform(picture.convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="timm:tf_efficientnet_lite0")
    parser.add_argument("--images", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--resolution", type=int, default=96)
    parser.add_argument("--batch", type=int, default=64, help="of timm's loop; ours is the encoder's own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weights", default="pretrained")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = set_of(options.images, options.count, options.data_dir)
    encoder = build_encoder(
        options.encoder, images.shape[0], images.shape[1], resolution=options.resolution, weights=options.weights
    ).eval()

    model = timm.create_model(options.encoder.partition(":")[2], num_classes=0).eval()
    model.load_state_dict(encoder.network.state_dict())
    config = resolve_data_config({}, model=model)
    size = (3, options.resolution, options.resolution)
    transform = create_transform(**{**config, "input_size": size, "crop_pct": 1.0})
    ready = [
        torch.stack(b) for b in _split([Pictures(images, transform)[i] for i in range(len(images))], options.batch)
    ]
    last = [b.contiguous(memory_format=torch.channels_last) for b in ready]
    model_last = timm.create_model(options.encoder.partition(":")[2], num_classes=0).eval()
    model_last.load_state_dict(model.state_dict())
    model_last.to(memory_format=torch.channels_last)

    def loop() -> np.ndarray:
        loader = DataLoader(Pictures(images, transform), batch_size=options.batch, num_workers=0)
        with torch.inference_mode():
            return torch.cat([model(batch) for batch in loader]).numpy()

    def alone(network: torch.nn.Module, batches: list[torch.Tensor], bf16: bool) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            return torch.cat([network(batch).float() for batch in batches]).numpy()

    folder = tempfile.TemporaryDirectory()
    number = iter(range(10**6))

    def ours(precision: str) -> np.ndarray:
        out = Path(folder.name) / f"store-{next(number)}"
        return np.array(extract(encoder, images, precision=precision, out=out)["features"].vectors)

    ways: dict[str, Callable[[], np.ndarray]] = {
        "timm's loop, float32": loop,
        "timm's model alone, float32": lambda: alone(model, ready, False),
        "timm's model alone, float32, channels_last": lambda: alone(model_last, last, False),
        "timm's model alone, bf16, channels_last": lambda: alone(model_last, last, True),
        "phispace, float32": lambda: ours("float32"),
        "phispace, bf16": lambda: ours("bf16"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    vectors: dict[str, np.ndarray] = {}
    for round_ in range(1 + options.rounds):  # the first is not counted
        for name, way in ways.items():
            started = time.process_time()
            vectors[name] = way()
            if round_:
                seconds[name].append(time.process_time() - started)
    base = statistics.median(seconds["timm's loop, float32"])
    print(f"{options.encoder}, {len(images)} images of {images.name}, {options.resolution} pixels, one thread,")
    print(
        f"batches of {options.batch} (timm) and {encoder.extraction_batch} (phispace), {options.rounds} rounds in turns"
    )
    print(f"{'':<44} {'images/s':>9} {'of the loop':>12} {'cosine mean':>12} {'least':>9}")
    exact = vectors["timm's loop, float32"].astype(np.float64)
    for name, taken in seconds.items():
        mine = statistics.median(taken)
        other = vectors[name].astype(np.float64)
        cosine = (exact * other).sum(1) / (np.linalg.norm(exact, axis=1) * np.linalg.norm(other, axis=1))
        print(
            f"{name:<44} {len(images) / mine:9.0f} {base / mine:11.2f}x {cosine.mean():12.6f} {cosine.min():9.6f}"
            f"  ({len(images) / max(taken):.0f} to {len(images) / min(taken):.0f})"
        )
    folder.cleanup()


def _split(tensors: list[torch.Tensor], size: int) -> list[list[torch.Tensor]]:
    return [tensors[start : start + size] for start in range(0, len(tensors), size)]


if __name__ == "__main__":
    main()
