"""Trains in children that are killed with SIGKILL at random moments, resumes, and compares with one left alone.

Children are forked, so that a kill costs no new start of Python. Prints a JSON object.

    python kill_child.py FOLDER KILLS SEED [--staged] [SETTING ...]
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import small

import phispace.methods.supervised
import phispace.metrics.knn
import phispace.metrics.spectrum
import phispace.metrics.uniformity  # noqa: F401
from phispace.data import views  # noqa: F401
from phispace.data.views import affine  # noqa: F401
from phispace.training.train import train

EPOCHS = 8
SETTINGS = (
    "encoder.dropout=true",
    "method.views=shift-rotate",
    "training.checkpoint_steps=2",
    "method.schedule=cosine",
    "training.drop_last=false",
)
STAGED = (
    "encoder.dropout=0.2",
    "method.views=shift-rotate",
    "training.checkpoint_steps=2",
    "method.schedule=cosine",
    "method.last_batch_size=20",
    "method.last_learning_rate=0.003",
)


def work(out: Path, settings: tuple[str, ...]) -> None:
    """Train or go on, in a process of its own that ends here."""
    code = 1
    try:
        staged = settings[:1] == ("--staged",)
        images = small.few_labels() if staged else small.digits()
        asked = small.staged(*settings[1:], epochs=EPOCHS) if staged else small.config(*settings, epochs=EPOCHS)
        train(asked, out, images=images, resume=(out / "run.json").exists())
        code = 0
    finally:
        os._exit(code)


def child(out: Path, settings: tuple[str, ...], delay: float | None, after: int = 0) -> bool:
    """Run a child and kill it `delay` seconds after its checkpoint of step `after`; return whether it was at work."""
    pid = os.fork()
    if pid == 0:
        work(out, settings)
    if delay is None:
        _, status = os.waitpid(pid, 0)
    else:
        until = math.inf
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if until == math.inf and step_of(out) >= after:
                until = time.monotonic() + delay
            if time.monotonic() >= until:
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                break
            time.sleep(0.001)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status) != 0:
        raise SystemExit(f"the child failed with {os.WEXITSTATUS(status)}")
    return False


def step_of(out: Path) -> int:
    try:
        return json.loads((out / "checkpoints" / "last" / "checkpoint.json").read_text())["step"]
    except FileNotFoundError:
        return 0


def main(folder: Path, wanted: int, seed: int, settings: tuple[str, ...]) -> None:
    draw = random.Random(seed)
    small.digits()
    start = time.monotonic()
    child(folder / "alone", settings, None)
    seconds = time.monotonic() - start
    expected = small.outcome(folder / "alone")
    kills, rounds, steps, wrong = 0, 0, [], []
    while kills < wanted:
        out = folder / f"killed-{rounds}"
        # In turns at any moment, of the start too, and soon after one of the next checkpoints, however slow the start.
        while kills < wanted and (
            child(out, settings, draw.uniform(0.02, 0.6) * seconds)
            if kills % 2 == 0
            else child(out, settings, draw.uniform(0, 0.02) * seconds, step_of(out) + draw.randint(1, 12))
        ):
            kills += 1
            steps.append(step_of(out))
        child(out, settings, None)
        found = small.outcome(out)
        wrong += [f"{rounds}: {name}" for name in {**expected, **found} if expected.get(name) != found.get(name)]
        rounds += 1
    print(json.dumps({"kills": kills, "rounds": rounds, "steps": steps, "wrong": wrong, "seconds": seconds,
                      "files": len(expected)}))  # fmt: skip


if __name__ == "__main__":
    words = sys.argv[4:]
    asked = ("--staged", *STAGED, *words[1:]) if words[:1] == ["--staged"] else (*SETTINGS, *words)
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), asked)
