"""What of [training] a method's form does not allow, said before anything is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phispace.errors import InputError
from phispace.training.config import RunConfig, method_class

if TYPE_CHECKING:
    from phispace.training.engine import World


def check_form(config: RunConfig, world: World) -> None:
    """Raise InputError for an option that the method has no use for.

    - A method without a gradient has none to clip, runs in one process, and sets all weights anew.
    - With several optimisers the trainer clips no gradient: they take turns within a step.
    - Minutes are turned into epochs by measuring steps in one process.
    - A collapse is seen by measurements alone.
    - Where validation losses do not compare, waiting for a lower one says nothing.
    """
    name, options = config.method["name"], config.training
    kind = method_class(name)
    if not kind.has_gradient and world.size > 1:
        raise InputError(
            f"The method {name!r} sets its weights in one process, not in {world.size}; use --devices 1 --num-nodes 1."
        )
    if not kind.has_gradient and config.encoder.start is not None:
        raise InputError(
            f"encoder.start is {config.encoder.start!r}, but the method {name!r} sets all weights of the encoder "
            "itself; leave it out."
        )
    if options.gradient_clip is not None and (not kind.has_gradient or kind.players):
        why = f"has {len(kind.players)} optimisers that take turns" if kind.has_gradient else "follows no gradient"
        raise InputError(
            f"training.gradient_clip is {options.gradient_clip:g}, but the method {name!r} {why}; leave it out."
        )
    if options.minutes is not None and (world.size > 1 or not kind.has_gradient):
        why = f"{world.size} processes" if world.size > 1 else f"the method {name!r}, whose passes are few and unequal"
        raise InputError(f"training.minutes is measured in one process on steps alike, not for {why}; give --epochs.")
    if options.stop_on_collapse and not options.health_every:
        raise InputError("training.stop_on_collapse needs measurements, but training.health_every is 0; make it 1.")
    if options.patience is not None and not kind.comparable:
        raise InputError(
            f"training.patience is {options.patience}, but a lower validation loss of the method {name!r} does not "
            "mean a better network; leave it out."
        )
