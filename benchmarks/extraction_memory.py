"""Peak memory of extraction for N and for 4 N images: it should not grow with the number of images.

    python benchmarks/extraction_memory.py --images 20000

Each size runs in its own process, on images in a memory-mapped file as the cache holds them. Two peaks are read from
the kernel: resident memory above what the process had when extraction began, and the part of it that is anonymous,
which is what cannot be given back (pages of the mapped images count as resident for as long as nobody else needs
memory). Linux only. The peer is the obvious way: all images as one float tensor through the encoder in batches, the
results concatenated. Both run in float32.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SIZE, CHANNELS, BATCH = 32, 3, 100  # small batches, so that their activations (10 MB a layer) hide little


def status(field: str) -> float:
    """A field of /proc/self/status in megabytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/self/status has no {field}; this benchmark needs Linux.")


class Peak:
    """Largest anonymous memory seen while the block runs, and the kernel's own resident peak."""

    def __enter__(self) -> Peak:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        self.resident_before, self.anonymous_before = status("VmRSS"), status("RssAnon")
        self.anonymous, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.005):
            self.anonymous = max(self.anonymous, status("RssAnon") - self.anonymous_before)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.resident = status("VmHWM") - self.resident_before


def measure(way: str, n: int, folder: Path, threads: int) -> dict[str, float]:
    """Run one extraction in this process."""
    import time

    import numpy as np
    import torch

    from phispace.data.imageset import ImageSet
    from phispace.embeddings.extract import extract
    from phispace.encoders.build import build_encoder

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    pixels = np.load(folder / "images.npy", mmap_mode="r")[:n]
    encoder = build_encoder("convnet4", CHANNELS, SIZE).eval()
    ids = np.array([f"{i:07d}" for i in range(n)])
    images = ImageSet(pixels, np.zeros(n, np.int64), ids, ("x",), np.full(n, "train"), name="noise")
    # what is allocated once is allocated now
    extract(encoder, images.take(np.arange(min(n, 5000))), precision="float32", batch_size=BATCH, out=folder / "warm")
    started = time.perf_counter()
    with Peak() as peak:
        if way == "phispace":
            made = extract(encoder, images, precision="float32", batch_size=BATCH, out=folder / f"store-{n}")[
                "features"
            ]
            shape = made.vectors.shape
        else:
            x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float().div_(255)
            with torch.inference_mode():
                shape = tuple(torch.cat([encoder(batch) for batch in x.split(BATCH)]).shape)
    seconds = time.perf_counter() - started
    stored = shape[0] * shape[1] * 4 / 2**20
    return {"resident": peak.resident, "anonymous": peak.anonymous, "stored": stored, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000, help="N; 4 N are measured too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=3, metavar=("WAY", "N", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, n, folder = options.child
        print(json.dumps(measure(way, int(n), Path(folder), options.threads)))
        return

    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder, total = Path(name), 4 * options.images
        pixels = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (total, SIZE, SIZE, CHANNELS))
        rng = np.random.default_rng(0)
        for start in range(0, total, 10_000):
            block = pixels[start : start + 10_000]
            block[:] = rng.integers(0, 256, block.shape, dtype=np.uint8)
        del pixels, block
        found: dict[tuple[str, int], dict[str, float]] = {}
        print(f"{'way':<10}{'images':>9}{'resident +MB':>14}{'anonymous +MB':>15}{'vectors MB':>12}{'images/s':>10}")
        for way in ("phispace", "in memory"):
            for n in (options.images, total):
                command = [sys.executable, __file__, "--threads", str(options.threads), "--child", way, str(n), name]
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                row = found[way, n] = json.loads(out.splitlines()[-1])
                print(
                    f"{way:<10}{n:>9,}{row['resident']:>14.0f}{row['anonymous']:>15.0f}{row['stored']:>12.0f}"
                    f"{n / row['seconds']:>10.0f}"
                )
        for way in ("phispace", "in memory"):
            small, large = found[way, options.images], found[way, total]
            growth = large["anonymous"] - small["anonymous"]
            more = 3 * options.images
            print(
                f"{way}: four times the images take {growth:+.0f} MB more, {growth * 2**20 / more:.0f} bytes an image."
            )
        ratio = found["in memory", total]["anonymous"] / max(1.0, found["phispace", total]["anonymous"])
        print(f"Ratio of the peaks at {total:,} images: {ratio:.1f}")


if __name__ == "__main__":
    main()
