"""The one labelled part that an evaluation without a classifier looks at."""

from __future__ import annotations

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.evaluation.protocol import Part, by_id, shown_split


def scored_part(embeddings: Embeddings, split: str = "auto") -> tuple[str, Part, list[str]]:
    """The labelled items of a split, and what a reader must know about them.

    Args:
        split: `auto` = of test, val, train and unlabelled the first with labelled items.

    Raises:
        InputError: the store has no such part.
    """
    name = shown_split(embeddings, split, labelled=True)
    part = by_id(embeddings, name, labelled=True)
    inside = int((embeddings.splits == name).sum())
    caveats = []
    if len(part) < inside:
        caveats.append(f"{len(part):,} of {inside:,} {name} items are labelled; only these are scored.")
    return name, part, caveats


def undefined(part: Part) -> str | None:
    """Why nothing can be said about how the classes of a part lie, or None."""
    if len(np.unique(part.y)) < 2:
        return f"Undefined: all {len(part):,} items are of one class." if len(part) else "Undefined: there is no item."
    if (part.x == part.x[0]).all():
        return "Undefined: all vectors are equal, the representation has collapsed to a point."
    return None
