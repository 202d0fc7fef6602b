"""A study: a TOML declaration over registered steps, at the scales 'smoke' (seconds), 'cpu' and 'paper'.

    title = "..."
    question = "..."
    images = "cifar10"
    images_options = { ... }                      # of that source, if it has any

    [others]                                      # further image sets, if there are any; `on` names one
    mnist = "mnist"

    [[step]]
    do = "train"                                  # a name of `phispace.studies.steps`
    id = "four"                                   # later steps refer to it
    epochs = { smoke = 1, cpu = 12, paper = 100 } # a table keyed by scales gives each scale its value

Any option may be such a table. A step whose `only` list lacks the scale is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace.errors import DataError, InputError
from phispace.run import read_toml

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet

SCALES = ("smoke", "cpu", "paper")


@dataclass(frozen=True)
class Study:
    """A declaration, as read.

    Attributes:
        name: registered name, or the file's stem.
        title: the report's title.
        question: what it asks, in one sentence.
        images: default images, a name or path.
        images_options: options of that source.
        steps: the steps' tables in order.
        reference: what experiment this repeats.
        size: images are resized to this, or None.
        guesses: key -> what the source guessed, in its order; a step's option `guess:KEY` stands for the text, and the
            report answers them in this order.
        others: key -> further image sets, a name or path each; a training's option `on` names a key.
        limit: scale -> split -> at most so many images (stratified, by a hash of the id); scales left out use all.
    """

    name: str
    title: str
    question: str
    images: str
    steps: tuple[Mapping[str, Any], ...]
    reference: str = ""
    size: int | None = None
    images_options: Mapping[str, Any] = field(default_factory=dict)
    limit: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    guesses: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)

    def limited(self, images: ImageSet, scale: str) -> ImageSet:
        """The images that this scale uses; the whole set where it has no limit."""
        counts = self.limit.get(scale)
        return images if counts is None else images_subset(images, **counts)

    def at(self, scale: str) -> list[dict[str, Any]]:
        """The steps with every scale table resolved.

        Raises:
            InputError: no such scale, or a table that lacks it.
        """
        if scale not in SCALES:
            raise InputError(f"There is no scale {scale!r}; there are: {', '.join(SCALES)}.")
        there = [step for step in self.steps if scale in step.get("only", SCALES)]
        chosen = [_resolve(step, scale, f"step {step.get('id', step['do'])!r}") for step in there]
        return [{k: self._guess(v) for k, v in step.items() if k != "only"} for step in chosen]

    def _guess(self, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("guess:"):
            return value
        key = value.removeprefix("guess:")
        if key not in self.guesses:
            raise InputError(f"The study {self.name!r} has no guess {key!r}; there are: {', '.join(self.guesses)}.")
        return self.guesses[key]


def _resolve(value: Any, scale: str, where: str) -> Any:
    if isinstance(value, Mapping):
        if value and set(value) <= set(SCALES):
            if scale not in value:
                raise InputError(f"{where} gives no value for the scale {scale!r}.")
            return _resolve(value[scale], scale, where)
        return {k: _resolve(v, scale, where) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(v, scale, where) for v in value]
    return value


def parse(table: Mapping[str, Any], name: str) -> Study:
    """A study from its TOML table.

    Raises:
        DataError: a key is missing or unknown, an id is used twice.
    """
    table = dict(table)
    steps = table.pop("step", [])
    missing = [key for key in ("title", "question", "images") if key not in table]
    if missing or not steps:
        raise DataError(f"The study {name!r} lacks {', '.join([*missing, *([] if steps else ['step'])])}.")
    known = {f.name for f in fields(Study)} - {"name", "steps"}
    unknown = sorted(set(table) - known)
    if unknown:
        raise DataError(f"The study {name!r} has unknown keys: {', '.join(unknown)}.")
    seen: set[str] = set()
    for number, step in enumerate(steps):
        if "do" not in step:
            raise DataError(f"Step {number + 1} of the study {name!r} lacks `do`.")
        step.setdefault("id", step["do"])
        if "on" in step and step["on"] not in table.get("others", {}):
            raise DataError(
                f"Step {step['id']!r} of the study {name!r} is on the images {step['on']!r}, which are not among "
                f"[others]: {', '.join(table.get('others', {})) or 'there are none'}."
            )
        if step["id"] in seen:
            raise DataError(f"Two steps of the study {name!r} have the id {step['id']!r}.")
        seen.add(step["id"])
    return Study(name=name, steps=tuple(steps), **table)


def images_subset(images: ImageSet, **at_most: int) -> ImageSet:
    """At most so many items of each split named, stratified by class and chosen by a hash of the id."""
    import numpy as np

    from phispace.maps.subset import stratified_subset

    chosen = []
    for split, count in at_most.items():
        positions = images.where(split)
        chosen.append(positions[stratified_subset(images.ids[positions], images.labels[positions], count)])
    return images.take(np.sort(np.concatenate(chosen)))


def load(name: str) -> Study:
    """A registered study by name, or one from a .toml file.

    Raises:
        InputError: no such study.
        DataError: a file that is not a study.
    """
    if name.endswith(".toml"):
        return parse(read_toml(Path(name)), Path(name).stem)
    from phispace.studies import REGISTRY

    found: Study = REGISTRY.get(name)()
    return found


def shipped(name: str) -> Study:
    """A study whose declaration comes with the package."""
    source = resources.files("phispace.studies") / "declarations" / f"{name}.toml"
    with resources.as_file(source) as path:
        return parse(read_toml(path), name)
