"""Going on with a run: what must be as it was, and what may differ.

A run goes on with its own configuration and its own images; anything else would be another run under the same name.
Only the number of epochs may grow. What concerns the machine alone (where data lie, how often is saved or logged,
threads) may differ.

More epochs: with a constant rate the longer run is the one that would have been made at once, bit for bit, unless the
method lays something else out over all steps (a teacher's momentum, the weight of a term), which is said. Where the
rate has a schedule, `training.extend` says what becomes of it:

    continue   the schedule is laid out anew over all epochs; from here on the rate follows the longer one, so it jumps
    restart    the schedule, with its warmup, begins anew and is laid out over the added epochs (a warm restart); a new
               run with `method.restarts` at that epoch is the same, bit for bit

What was done is said, and kept in the run's record under `extensions`.
"""

from __future__ import annotations

from typing import Any

from phispace.data.imageset import ImageSet
from phispace.errors import RunError
from phispace.run import Run, now
from phispace.training.config import RunConfig, difference, with_epochs_for_minutes

MAY_DIFFER = frozenset({
    "images.data_dir", "training.threads", "training.checkpoint_seconds", "training.checkpoint_steps",
    "training.log_every", "training.tensorboard", "training.stop_on_collapse",
    "training.extend",
})  # fmt: skip


def resumed_config(run: Run, asked: RunConfig | None, epochs: int | None) -> RunConfig:
    """The configuration to go on with: the run's own, with more epochs if wanted.

    Args:
        asked: what the user asks for now, or None for what the run was asked for. Its number of epochs and its restarts
            are not looked at: a default there would lengthen a run that nobody meant to lengthen.
        epochs: new number of epochs, or None for the run's own.

    Raises:
        RunError: an option differs (all are listed), or fewer epochs are asked for than are done.
    """
    own = RunConfig.build(run.config)
    wanted = _without_minutes(run, asked or own, epochs)
    changed = [
        f"{name}: {_show(old)} -> {_show(new)}"
        for name, old, new in difference(own.tables(), wanted.tables())
        if name not in (*MAY_DIFFER, "method.epochs", "method.restarts") and not _resolved(run, name, old, new)
    ]
    if changed:
        raise RunError(
            f"{run.path} was begun with other options; a run goes on with its own. Changed: {'; '.join(changed)}. "
            "Leave them out, or choose another --out."
        )
    had = int(own.method["epochs"])
    total = had if epochs is None else epochs
    if total < had:
        raise RunError(f"{run.path} is a run of {had} epochs; it can be extended, not shortened to {total}.")
    if "restarts" not in own.method:
        return wanted.with_method(epochs=total)
    restarts = tuple(own.method["restarts"])
    if total > had and wanted.training.extend == "restart" and _scheduled(own):
        restarts += (had,)
    return wanted.with_method(epochs=total, restarts=restarts)


def _without_minutes(run: Run, asked: RunConfig, epochs: int | None) -> RunConfig:
    """What is asked for, the minutes that the run was begun with left out: it has a number of epochs since."""
    minutes = asked.training.minutes
    if minutes is None:
        return asked
    if epochs is not None or minutes != run.record.get("choices", {}).get("minutes"):
        raise RunError(
            f"{run.path} is a run of {run.config['method']['epochs']} epochs; minutes are for a run that begins. "
            "Give a larger number with --epochs."
        )
    return with_epochs_for_minutes(asked, int(asked.method["epochs"]))


def _scheduled(config: RunConfig) -> bool:
    """Whether the learning rate changes over the steps."""
    return config.method.get("schedule", "constant") != "constant" or bool(config.method.get("warmup"))


def _resolved(run: Run, name: str, old: Any, new: Any) -> bool:
    """Whether the difference is only that `auto` is written out."""
    choice = run.record.get("choices", {}).get(name.removeprefix("training."))
    return "auto" in (old, new) and choice is not None and choice in (old, new)


def _show(value: Any) -> str:
    return "(none)" if value is None else repr(value)


def check_images(run: Run, images: ImageSet) -> None:
    """Raise RunError unless these are the images that the run was begun with."""
    record = run.record.get("images", {})
    if images.fingerprint == record.get("fingerprint"):
        return
    old, new = record.get("items", {}), split_counts(images)
    parts = [f"{name}: {old.get(name, 0)} -> {new.get(name, 0)}" for name in {**old, **new}]
    raise RunError(
        f"{run.path} was trained on other images: fingerprint {str(record.get('fingerprint'))[:12]}… then, "
        f"{images.fingerprint[:12]}… now ({', '.join(parts)} items; shape {record.get('shape')} -> "
        f"{list(images.shape)}). A run goes on with its own images."
    )


def split_counts(images: ImageSet) -> dict[str, int]:
    """Items by split."""
    return {split: sum(classes.values()) for split, classes in images.counts().items()}


def reopened(run: Run, config: RunConfig, provenance: dict[str, Any]) -> dict[str, Any]:
    """Fields of the record that change when a run goes on."""
    had, total = int(run.config["method"]["epochs"]), int(config.method["epochs"])
    fields: dict[str, Any] = {"status": "running", "error": None, "config": config.tables()}
    fields["sittings"] = [*run.record.get("sittings", []), {"began": now(), "provenance": provenance}]
    if total > had:
        note = {"from": had, "to": total, "at": now(), "schedule": config.method.get("schedule"),
                "extend": config.training.extend}  # fmt: skip
        fields["extensions"] = [*run.record.get("extensions", []), note]
    return fields


def extension_caveat(config: RunConfig, had: int) -> str | None:
    """What a user who asks for more epochs must know, or None."""
    total, schedule = int(config.method["epochs"]), config.method.get("schedule", "constant")
    if total <= had:
        return None
    said = [_schedule_caveat(config, had, total, schedule)] if _scheduled(config) else []
    others = [f"method.{name}" for name in _over_all_steps(config)]
    if others:
        said.append(
            f"What is laid out over all steps ({', '.join(others)}) follows the {total} epochs from here on, so a new "
            f"run of {total} epochs would end elsewhere."
        )
    return " ".join(said) or None


def _over_all_steps(config: RunConfig) -> list[str]:
    """Options, the learning rate's aside, by which something goes from its beginning to its end over all steps."""
    method = config.method
    laid_out = {
        "teacher_schedule": method.get("teacher_schedule") == "cosine",
        "temperature_warmup": bool(method.get("temperature_warmup")),
        "kl_warmup": bool(method.get("kl_warmup")),
        "capacity_steps": bool(method.get("capacity")),
        "resolutions": bool(method.get("resolutions")),
    }
    return [name for name, there in laid_out.items() if there]


def _schedule_caveat(config: RunConfig, had: int, total: int, schedule: str) -> str:
    if had in config.method["restarts"]:
        return (
            f"The schedule {schedule!r} begins anew after epoch {had} and is laid out over the {total - had} added "
            "epochs (a warm restart)."
        )
    return (
        f"The schedule {schedule!r} is laid out over all epochs; from here on the learning rate follows the one for "
        f"{total} epochs, so it jumps. A new run of {total} epochs would end elsewhere. (For a new cycle in the "
        "added epochs: --set training.extend=restart.)"
    )
