"""Running a study: what is missing is run, what was cut is resumed, and one report is written.

The state is `study.json` in the study's directory. A step is done when its recorded digest equals the one of what it
is asked now: its options, those of the steps that it refers to, the images' fingerprint, scale and seed. Steps that
train resume by themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace import storage
from phispace.errors import InputError, RunError
from phispace.progress import SILENT, Progress
from phispace.run import lock_directory, now, safe_name

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.studies.study import Study


@dataclass
class Context:
    """What a step may use.

    Attributes:
        out: the study's directory.
        load: loads the images; called once, when first needed.
        others: key -> loads one of the study's further image sets.
        scale, seed: as asked.
        results: what earlier steps found, by their ids.
        progress: shows what is being done.
        training: overrides of [training] for every training (threads, precision, devices).
    """

    out: Path
    load: Callable[[], ImageSet]
    scale: str
    seed: int
    progress: Progress
    training: Mapping[str, Any] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: Mapping[str, Callable[[], ImageSet]] = field(default_factory=dict)
    _loaded: dict[str, ImageSet] = field(default_factory=dict)

    @cached_property
    def images(self) -> ImageSet:
        return self.load()

    def images_named(self, key: str | None) -> ImageSet:
        """One of the study's further image sets, loaded once; None is the study's own."""
        if key is None:
            return self.images
        if key not in self._loaded:
            self._loaded[key] = self.others[key]()
        return self._loaded[key]

    def result(self, identity: str) -> dict[str, Any]:
        """What the step of this id found."""
        if identity not in self.results:
            raise InputError(f"No earlier step has the id {identity!r}; there are: {', '.join(self.results)}.")
        return self.results[identity]

    def place(self, *names: str) -> Path:
        """A path inside the study's directory; names are made safe."""
        return self.out.joinpath(*(safe_name(n) for n in names))


def _digest(step: Mapping[str, Any], digests: Mapping[str, str], base: str) -> str:
    text = json.dumps(step, sort_keys=True, default=str)

    def referred(value: Any) -> list[str]:
        if isinstance(value, Mapping):
            return [r for v in value.values() for r in referred(v)]
        if isinstance(value, list):
            return [r for v in value for r in referred(v)]
        return [digests[value]] if isinstance(value, str) and value in digests else []

    parts = [base, text, *referred({k: v for k, v in step.items() if k not in ("id", "do")})]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def run_study(
    study: Study,
    *,
    out: Path | str,
    images: str | None = None,
    load: Callable[[], ImageSet] | None = None,
    scale: str = "cpu",
    seed: int = 0,
    data_dir: Path | None = None,
    size: int | None = None,
    training: Mapping[str, Any] | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> tuple[Path, list[str]]:
    """Run a study in a directory, or go on with it, and write its report.

    Args:
        out: the study's directory; one study, scale, seed and image set each.
        images: a name or path instead of the study's own.
        load: gives the images instead (then `images` is only their name).
        training: overrides of [training] for every training.
        command: the command that repeats this, for the report.

    Returns:
        the path of report.html, and the steps' answers in words.

    Raises:
        RunError: the directory holds another study, or this one over other images, at another scale or seed.
    """
    from phispace.data.loading import load_images
    from phispace.report.render import render
    from phispace.studies.compose import compose
    from phispace.studies.steps import get_step

    out, progress = Path(out), progress or SILENT
    spec = images or study.images
    steps = study.at(scale)
    plans = [(s, *_prepared(get_step(s["do"]), s)) for s in steps]

    def loaded() -> ImageSet:
        if load is not None:
            found = load()
        else:
            own = study.images_options if spec == study.images else {}
            found = load_images(spec, data_dir=data_dir, size=size or study.size, options=own, progress=progress)
        return study.limited(found, scale)

    if out.exists() and not (out / "study.json").exists() and (out.is_file() or any(out.iterdir())):
        raise RunError(f"{out} exists and holds no study; choose another --out.")

    def further(name: str) -> ImageSet:
        return study.limited(load_images(name, data_dir=data_dir, size=study.size, progress=progress), scale)

    others = {key: partial(further, name) for key, name in study.others.items()}
    context = Context(out, loaded, scale, seed, progress, dict(training or {}), others=others)
    # The images come before the directory: where they are missing, nothing is left behind.
    identity = {"study": study.name, "scale": scale, "seed": seed, "fingerprint": context.images.fingerprint}
    with lock_directory(out):
        state = _state(out, identity, spec)
        storage.write_json(out / "study.json", state)  # also a study that is cut in its first step is one to go on with
        base = json.dumps(identity, sort_keys=True)
        digests: dict[str, str] = {}
        for number, (table, step, options) in enumerate(plans):
            name = table["id"]
            key = table.get("on")
            further_images = "" if key is None else context.images_named(key).fingerprint
            digests[name] = _digest(table, digests, base + further_images)
            done = state["steps"].get(name)
            if done is None or done["digest"] != digests[name]:
                progress.say(f"[{number + 1}/{len(plans)}] {step.title(options)}")
                outcome = step.run(context, name, options)
                done = {"digest": digests[name], "ended": now(), **outcome.as_json()}
                state["steps"][name] = done
                storage.write_json(out / "study.json", state)
            context.results[name] = done["result"]
        report = compose(study, context, [state["steps"][table["id"]] for table in steps], command)
        report.save(out / "report.json")
        render(report, out / "report.html")
        return out / "report.html", [step["answer"] for step in state["steps"].values() if step["answer"]]


def _prepared(step: Any, table: Mapping[str, Any]) -> tuple[Any, Any]:
    options = {k: v for k, v in table.items() if k not in ("do", "id")}
    return step, step.parse(options, table["id"])


def _state(out: Path, identity: Mapping[str, Any], spec: str) -> dict[str, Any]:
    path = out / "study.json"
    if not path.exists():
        return {**identity, "images": spec, "created": now(), "steps": {}}
    state = storage.read_json(path)
    changed = [f"{k} was {state.get(k)!r} and is {v!r}" for k, v in identity.items() if state.get(k) != v]
    if changed:
        raise RunError(f"{out} holds another study: {'; '.join(changed)}. Choose another --out.")
    return state
