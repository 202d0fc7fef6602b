"""Peak memory of training: images as uint8, once, memory-mapped, against float32 images in memory and a bare loop.

    python benchmarks/training_memory.py [--items 50000] [--batch 250] [--threads 2]

Each is measured in a process of its own: the peak resident size, less what the process had after its imports.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = 12


def peak() -> float:
    """Largest resident size up to now, in MB (Linux counts in KB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pixels_file(folder: Path, items: int) -> Path:
    import numpy as np

    path = folder / "images.npy"
    mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(items, 32, 32, 3))
    rng = np.random.default_rng(0)
    for start in range(0, items, 5000):
        mapped[start : start + 5000] = rng.integers(0, 256, mapped[start : start + 5000].shape, dtype=np.uint8)
    return path


def ours(path: Path, batch: int, threads: int) -> None:
    import numpy as np
    from pytorch_lightning.callbacks import Callback

    import phispace.data.views.affine
    import phispace.methods.supervised  # noqa: F401
    from phispace.data.imageset import ImageSet
    from phispace.data.splits import with_protocol_splits
    from phispace.training.config import make_config
    from phispace.training.train import train

    class Few(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx + 1 == STEPS:
                print(json.dumps({"base": base, "peak": peak()}), flush=True)
                sys.stdout.flush()
                import os

                os._exit(0)

    base = peak()
    pixels = np.load(path, mmap_mode="r")
    n = len(pixels)
    images = with_protocol_splits(
        ImageSet(pixels, np.arange(n) % 10, np.array([f"{i}" for i in range(n)]), tuple("0123456789"),
                 np.full(n, "train"), name="noise")
    )  # fmt: skip
    settings = [f"method.batch_size={batch}", "method.views=shift-rotate-flip", "training.precision=float32"]
    config = make_config("supervised", "noise", settings=settings, training={"threads": threads})
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", images=images, callbacks=[Few()])


def bare(path: Path, batch: int, threads: int) -> None:
    import numpy as np
    import torch

    from phispace.encoders.build import build_encoder

    base = peak()
    torch.set_num_threads(threads)
    pixels = torch.from_numpy(np.load(path)).permute(0, 3, 1, 2).float().div_(255)
    labels = torch.arange(len(pixels)) % 10
    encoder = build_encoder("convnet4", 3, 32)
    net = torch.nn.Sequential(encoder, torch.nn.Linear(512, 10))
    optimizer = torch.optim.Adam(net.parameters())
    order = torch.randperm(len(pixels))
    for step in range(STEPS):
        index = order[step * batch : (step + 1) * batch]
        loss = torch.nn.functional.cross_entropy(net(pixels[index]), labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(json.dumps({"base": base, "peak": peak()}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", choices=["ours", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--pixels", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        {"ours": ours, "bare": bare}[options.child](options.pixels, options.batch, options.threads)
        sys.exit()
    with tempfile.TemporaryDirectory() as place:
        file = pixels_file(Path(place), options.items)
        found = {}
        for name in ("ours", "bare"):
            command = [sys.executable, __file__, "--child", name, "--pixels", str(file),
                       "--batch", str(options.batch), "--threads", str(options.threads)]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
        for name, sizes in found.items():
            print(f"{name}: {sizes['peak'] - sizes['base']:8.0f} MB above {sizes['base']:.0f} MB of imports")
        ratio = (found["ours"]["peak"] - found["ours"]["base"]) / (found["bare"]["peak"] - found["bare"]["base"])
        print(f"ratio {ratio:.2f} ({options.items:,} images of 32 x 32 x 3, batch {options.batch})")
