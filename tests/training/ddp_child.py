"""Trains on two processes of one machine. Lightning starts the second one with this same command.

python ddp_child.py FOLDER [--resume] [--stop-at STEP] [--staged | --compared | --adversarial] [SETTING ...]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import small
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from phispace.errors import PhispaceError
from phispace.training.train import train


class StopAt(Callback):
    """Sends SIGTERM to the first process alone."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: object, pl_module: object, batch: object, batch_idx: int) -> None:
        if rank_zero_only.rank == 0 and trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


class Compare(Callback):
    """The first process prints the sum of each process's weights."""

    def on_train_end(self, trainer: object, pl_module: torch.nn.Module) -> None:
        own = torch.stack([p.detach().double().sum() for p in pl_module.parameters()]).sum()
        sums = pl_module.all_gather(own)
        if rank_zero_only.rank == 0:
            print("weights", *(repr(float(s)) for s in sums), flush=True)


def main(words: list[str]) -> None:
    out, words = Path(words[0]), words[1:]
    stop = [StopAt(int(words.pop(words.index("--stop-at") + 1)))] if "--stop-at" in words else []
    settings = [word for word in words if not word.startswith("--")]
    made = small.staged if "--staged" in words else small.compared if "--compared" in words else small.config
    if "--adversarial" in words:
        made, stop = small.adversarial, [Compare()]
        settings = [word for word in settings if not word.startswith(("encoder.", "training.drop_last"))]
    asked = made("training.devices=2", "training.strategy=ddp", *settings)
    images = small.few_labels() if "--staged" in words else small.digits()
    try:
        run = train(asked, out, images=images, resume="--resume" in words, callbacks=stop)
    except PhispaceError as error:
        print(rank_zero_only.rank, type(error).__name__, error, flush=True)
        sys.exit(error.exit_code)
    print(rank_zero_only.rank, run.record.get("status"), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
