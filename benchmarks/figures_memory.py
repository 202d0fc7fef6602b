"""Does a run with many large images stay in memory? Peak of each command of a run with 100,000 images of 64 x 64.

    python benchmarks/figures_memory.py [--images 25000 100000]

Sprites are drawn into a temporary cache (1.2 GB for 100,000), then a small variational autoencoder is trained on them
for one epoch, embedded, scored and drawn, each by its own command in its own process. Printed is the kernel's peak of
resident memory of each process, which counts the pages of the memory-mapped images that it looked at, and its processor
time. What a picture needs should not grow with the set. One thread; Linux or macOS.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

RUN = "runs/vae"
COMMANDS = {
    "train one epoch": (
        "train", "vae", "--encoder", "mlp", "--set", "encoder.hidden=[64]", "--set", "encoder.batch_norm=false",
        "--set", "encoder.code=16", "--epochs", "1", "--images", "sprites", "--set", "images.n={n}", "--threads", "1",
        "--precision", "float32", "--out", RUN, "--quiet",
    ),
    "embed all": ("embed", RUN, "--quiet"),
    "reconstruct": ("reconstruct", RUN, "--quiet"),
    "latents": ("latents", RUN, "--quiet"),
    "map of all, PCA": ("map", RUN, "--method", "pca", "--split", "all", "--quiet"),
    "report": ("report", RUN),
}  # fmt: skip


def peak(command: list[str], folder: Path) -> tuple[float, float]:
    """Peak resident memory in MB and processor seconds of one command."""
    environment = os.environ | {"PHISPACE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    with (folder / "output.txt").open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", "from phispace.cli import main; main()", *command],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
        _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"phispace {' '.join(command)} failed:\n{(folder / 'output.txt').read_text()}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return usage.ru_maxrss / unit, usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[25_000, 100_000])
    options = parser.parse_args()
    print(f"{'command':<28}{'images':>9}{'peak MB':>10}{'CPU s':>8}")
    for n in options.images:
        with tempfile.TemporaryDirectory() as name:
            for label, command in COMMANDS.items():
                found = [part.replace("{n}", str(n)) for part in command]
                memory, seconds = peak(found, Path(name))
                print(f"{label:<28}{n:>9,}{memory:>10.0f}{seconds:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
