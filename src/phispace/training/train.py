"""Train a method: from a configuration and images to a run directory.

Lightning's Trainer is the engine; devices, nodes and strategy go to it as they are. Around it stand counter-based
randomness, checkpoints without pickles, exact resume, and a record of what was done.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from phispace.data.imageset import ImageSet
from phispace.errors import (
    CollapsedError,
    DivergedError,
    InputError,
    InterruptedRunError,
    PhispaceError,
    RunError,
    StorageError,
)
from phispace.methods.base import Method
from phispace.methods.known import KnownFeatures
from phispace.progress import SILENT, Progress
from phispace.run import Run, lock_directory, refuse_unless_empty
from phispace.training import checkpoints
from phispace.training.assemble import Plan, make_method, make_plan
from phispace.training.config import RunConfig, with_epochs_for_minutes
from phispace.training.engine import Loaders, World, build_trainer, find_world
from phispace.training.forms import check_form
from phispace.training.guard import Guard
from phispace.training.health import Health
from phispace.training.minutes import fit_minutes
from phispace.training.precision import Choice
from phispace.training.quiet import quiet_lightning
from phispace.training.record import first_record, result_record, stages_record
from phispace.training.recorder import Recorder
from phispace.training.resume import check_images, extension_caveat, reopened, resumed_config
from phispace.training.samples import SampleGrids
from phispace.training.signals import StopSignals, interrupted
from phispace.training.speed import fast_process
from phispace.training.stages import Turns
from phispace.training.start import start_from

LookUp = Callable[[RunConfig, ImageSet, Run | None, Progress], KnownFeatures | None]
"""From the configuration, the images and the run that goes on (None for a new one) to the encoder's values for all
images, or None where they are to be computed at each step."""


def train(
    config: RunConfig | None,
    out: Path | str,
    *,
    images: ImageSet | None = None,
    resume: bool = False,
    epochs: int | None = None,
    progress: Progress | None = None,
    loggers: Sequence[Logger] = (),
    callbacks: Sequence[Callback] = (),
    look_up: LookUp | None = None,
) -> Run:
    """Train, or go on training.

    Trains on the split train (a method without labels also on `unlabelled`), validates on val after each epoch; test
    is never touched. torch's global random state is as it was afterwards.

    Args:
        config: what to do; with `resume` None means what the run was asked to do.
        out: run directory, new or empty unless `resume`.
        images: ready images; by default those that the configuration names are loaded.
        resume: go on from the last checkpoint; a run that is complete is returned as it is.
        epochs: with `resume`, a larger number extends the run; see `phispace.training.resume`.
        loggers: further Lightning loggers.
        callbacks: further Lightning callbacks; they may watch, and see the hooks after ours.
        look_up: gives what a frozen encoder gives for the images, where it does not change; see `LookUp`.

    Returns:
        the run, completed.

    Raises:
        RunError: the directory is not empty, locked, or its run was begun with other options or images.
        DivergedError: a loss was not finite. CollapsedError: see `training.stop_on_collapse`.
        InterruptedRunError: Ctrl-C or SIGTERM; the state is saved.
        InputError, DataError, StorageError: as their messages say.
    """
    progress, out = progress or SILENT, Path(out)
    run: Run | None = None
    if resume:
        run = Run.open(out)
        config = resumed_config(run, config, epochs)
    elif config is None:
        raise InputError("A new run needs a configuration; only --resume goes without.")
    elif epochs is not None:
        if config.training.minutes is not None:
            raise InputError(f"Both minutes and {epochs} epochs are asked for, but the one sets the other; give one.")
        config = config.with_epochs(epochs)
    # No file of ours is touched but by the first process; the others read what it has written.
    with quiet_lightning():
        world = find_world(config.training)
    check_form(config, world)
    if not world.first:
        progress = SILENT
    elif run is None:
        refuse_unless_empty(out)
    images = images if images is not None else _load(config, progress)
    if run is not None:
        check_images(run, images)
        if _is_complete(run, config):
            progress.say(f"{out} is complete: {config.method['epochs']} epochs are done. More: --epochs.")
            return run
    plan = make_plan(config, images)
    known = None if look_up is None else look_up(config, images, run, progress)
    with quiet_lightning(), torch.random.fork_rng(), lock_directory(out) if world.first else contextlib.nullcontext():
        return _Training(plan, out, run, world, progress, loggers, callbacks, known).run_all()


def _load(config: RunConfig, progress: Progress) -> ImageSet:
    from phispace.data.loading import load_images

    found = config.images
    return load_images(
        found.name,
        data_dir=Path(found.data_dir) if found.data_dir else None,
        size=found.size,
        options=found.options,
        progress=progress,
    )


def _is_complete(run: Run, config: RunConfig) -> bool:
    return run.record.get("status") == "completed" and int(run.config["method"]["epochs"]) == config.method["epochs"]


class _Training:
    """One sitting at a run."""

    def __init__(
        self,
        plan: Plan,
        out: Path,
        run: Run | None,
        world: World,
        progress: Progress,
        loggers: Sequence[Logger],
        callbacks: Sequence[Callback],
        known: KnownFeatures | None,
    ) -> None:
        self.plan = plan
        self.out = out
        self.world = world
        self.progress = progress
        self.loggers = loggers
        self.callbacks = callbacks
        self.begun = run
        self.known = known
        self.choice: Choice | None = None

    def run_all(self) -> Run:
        threads = self.plan.config.training.threads or self.world.threads
        with fast_process(threads) as speed:
            if self.begun is None and self.plan.config.training.minutes is not None:
                speed = {**speed, **self._fit_minutes(self.plan.config.training.minutes)}
            method = self._make_method()
            run, precision = self._open(method, speed)
            start = self._start_from(run)
            with self._outcome(run), StopSignals() as signals:
                guard = self._fit(run, method, precision, start, signals)
        if self.world.first:
            run.update(**result_record(run, self.plan, guard))
            if run.record["health"]:
                self.progress.say(run.record["health"])
        return run

    def _make_method(self) -> Method:
        method = make_method(self.plan)
        method.known = self.known
        self.plan = self.plan.in_stages(method)
        return method

    def _fit_minutes(self, minutes: float) -> dict[str, Any]:
        """Choose the number of epochs; returns what the record says of it."""
        began = time.perf_counter()
        method = self._make_method()
        self.choice = self.world.choose_precision(self.plan, method)
        fit = fit_minutes(self.plan, method, self.choice.precision, minutes, began)
        self.progress.say(fit.sentence())
        self.plan = make_plan(with_epochs_for_minutes(self.plan.config, fit.epochs), self.plan.images)
        return fit.record()

    def _open(self, method: Method, speed: dict[str, Any]) -> tuple[Run, str]:
        """Begin the run or open it again; the precision is chosen once and kept."""
        from phispace.provenance import provenance

        if self.begun is not None:
            run = self.begun
            had = int(run.config["method"]["epochs"])
            caveat = extension_caveat(self.plan.config, had)
            if caveat and self.world.first:
                self.progress.say(caveat)
            if self.world.first:
                choices = {**run.record.get("choices", {}), **speed}
                run.update(choices=choices, **stages_record(self.plan), **reopened(run, self.plan.config, provenance()))
            return run, str(run.record["choices"]["precision"])
        start = self.plan.config.encoder.start
        began_with = {} if start is None else {"began_with": start_from(method, start)}
        bad = len(self.plan.images.quarantine)
        if bad and self.world.first:
            many = f"{bad:,} images are" if bad > 1 else "1 image is"
            self.progress.say(f"{many} left out as unusable; `phispace data inspect` lists them.")
        if method.opening:
            self.progress.say(method.opening)
        choice = self.choice or self.world.choose_precision(self.plan, method)
        if self.plan.config.training.precision == "auto":
            self.progress.say(f"Precision {choice.precision}: {choice.reason}.")
        if not self.world.first:
            return Run(self.out, {}), choice.precision
        record = first_record(self.plan, method, speed, choice, provenance())
        return Run.create(self.out, {**record, **began_with}, self.plan.config.tables()), choice.precision

    def _start_from(self, run: Run) -> Path | None:
        if self.begun is None:
            return None
        start, faults = checkpoints.newest_resumable(run.path / "checkpoints")
        for fault in faults:
            self.progress.say(f"A checkpoint cannot be used, the one before it is taken: {fault}")
        if start is None and faults:
            raise RunError(f"{run.path} has no checkpoint that training can go on from: {' '.join(faults)}")
        return start

    def _fit(self, run: Run, method: Method, precision: str, start: Path | None, signals: StopSignals) -> Guard:
        plan, options = self.plan, self.plan.config.training
        total = plan.timeline.steps
        title = f"Training {method.title} on {plan.images.name}"
        with self.progress.task(title, total=total) as task:
            recorder = Recorder(run.path, plan, task, Health(plan, self.progress.say) if options.health_every else None)
            guard = Guard(run, plan, recorder, signals)
            loaders = Loaders(plan, guard)
            ours = [Turns(plan.timeline), recorder, SampleGrids(run.path), guard]
            trainer = build_trainer(
                options, run.path, precision, [*ours, *self.callbacks], self.loggers,
                epochs=int(plan.config.method["epochs"]), resumed=start is not None,
                step=int(checkpoints.read_record(start)["step"]) if start else 0, staged=plan.timeline.staged,
                players=bool(method.players) and self.world.size > 1,
            )  # fmt: skip
            method.to(memory_format=torch.channels_last)
            trainer.fit(method, datamodule=loaders, ckpt_path=None if start is None else str(start))
        return guard

    @contextlib.contextmanager
    def _outcome(self, run: Run) -> Iterator[None]:
        """Write into the record how the sitting ended."""
        try:
            yield
        except InterruptedRunError as error:
            self._note(run, "interrupted", error)
            raise
        except KeyboardInterrupt as error:
            stopped = interrupted(signal.SIGINT, run.path, saved=(run.path / "checkpoints" / "last").exists())
            self._note(run, "interrupted", stopped)
            raise stopped from error
        except CollapsedError as error:
            self._note(run, "collapsed", error)
            raise
        except DivergedError as error:
            self._note(run, "diverged", error)
            raise
        except BaseException as error:
            self._note(run, "failed", error)
            raise

    def _note(self, run: Run, status: str, error: BaseException) -> None:
        if self.world.first:
            text = str(error) if isinstance(error, PhispaceError) else f"{type(error).__name__}: {error}"
            with contextlib.suppress(StorageError):
                run.update(status=status, error=text)
