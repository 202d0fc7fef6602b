"""Lightning without its banners, tips and the warnings that do not concern our use of it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

_LOGGERS = ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric")
_IRRELEVANT = (
    r".*does not have many workers.*",
    r".*number of training batches .* is smaller than the logging interval.*",
    r".*GPU available but not used.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*your dataloader is not resumable.*",
    r".*ended before the epoch ended and your dataloader.*",
    r".*in eval mode at the start of training.*",
    r".*Trying to infer the `batch_size`.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*[Tt]otal length of `.*` across ranks is zero.*",
    r".*Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`.*",
    r".*You defined a `validation_step` but have no `val_dataloader`.*",
    r".*`Trainer.fit` .* without a model.*",
    r".*configure_optimizers` returned `None`.*",
)


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Errors still come through; levels and filters are put back on leaving."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for pattern in _IRRELEVANT:
            warnings.filterwarnings("ignore", message=pattern)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
