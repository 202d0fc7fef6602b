"""Variants: the same images changed in a named way, so that one can ask what a representation makes of the change.

    corrupt/KIND/1..5      a corruption at a severity, see `phispace.data.corruptions`
    shift/DX,DY            moved by whole pixels to the right and down, the border reflected
    view/VIEWNAME/K        the K-th draw of an augmentation, see `phispace.data.views`
    mix/T                  (1 - T) x + T x', with the partner x' that `phispace.metrics.partners` names in its split

A variant is an `ImageSet` with the same ids, labels, splits and classes. Its pixels are made when a batch is read, and
depend on the set, the name, the seed and the image's id alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, cast

import numpy as np

from phispace.data.changed import Change, ChangedPixels
from phispace.data.imageset import SPLITS, ImageSet
from phispace.errors import InputError, UnfitError

FORMS = ("corrupt/KIND/SEVERITY", "shift/DX,DY", "view/VIEWNAME/K", "mix/T")
_VERSION = 1  # counted up when a change gives other pixels, so that stores of the former ones are made again


def make_variant(images: ImageSet, name: str, *, seed: int = 0) -> ImageSet:
    """The images under a named change.

    Args:
        images: any set.
        name: of one of the `FORMS`.
        seed: of the draws of corruptions and views; shifts and mixes have none.

    Returns:
        a set whose `images` are made batch by batch; its fingerprint is derived from the set's, the name and the seed.

    Raises:
        InputError: no such variant.
        UnfitError: these images cannot have it: a shift of the whole side, colours of grey images.
    """
    change = _change(images, name, seed)
    text = f"{images.fingerprint}\x1f{name}\x1f{seed}\x1f{_VERSION}"
    return replace(
        images,
        images=cast(Any, ChangedPixels(images.images.shape, change)),
        name=f"{images.name} {name}",
        source={**images.source, "variant": name, "variant_seed": seed},
        known_fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )


def _change(images: ImageSet, name: str, seed: int) -> Change:
    match name.split("/"):
        case ["corrupt", kind, severity] if severity.isdecimal():
            return _corrupted(images, kind, int(severity), seed)
        case ["shift", by] if _whole_numbers(by) is not None:
            return _shifted(images, *(_whole_numbers(by) or (0, 0)))
        case ["view", view, k] if k.isdecimal():
            return _viewed(images, view, int(k), seed)
        case ["mix", t] if _share(t) is not None:
            return _mixed(images, _share(t) or 0.0)
    raise InputError(f"There is no variant named {name!r}; expected {', '.join(FORMS)}.")


def _whole_numbers(text: str) -> tuple[int, int] | None:
    try:
        right, down = (int(n) for n in text.split(","))
    except ValueError:
        return None
    return right, down


def _share(text: str) -> float | None:
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _corrupted(images: ImageSet, kind: str, severity: int, seed: int) -> Change:
    from phispace.data.corruptions import check_corruption, corrupt

    check_corruption(kind, severity, images.shape[0])
    return lambda at: corrupt(np.asarray(images.images[at]), images.ids[at], kind, severity, seed)


def _shifted(images: ImageSet, right: int, down: int) -> Change:
    import torch

    from phispace.data.batches import gather
    from phispace.data.views.move import move

    _, height, width = images.shape
    if abs(right) >= width or abs(down) >= height:
        raise UnfitError(
            f"A shift of {right},{down} pixels leaves nothing of images of {width} x {height}; shift by less."
        )

    def change(at: np.ndarray) -> np.ndarray:
        # `move` says where a pixel comes from: the opposite of where the image goes
        x, one = gather(images.images, at), torch.ones(len(at), dtype=torch.int64)
        moved = move(x, -down * one, -right * one, torch.zeros(len(at), dtype=torch.bool), "reflect")
        return moved.permute(0, 2, 3, 1).numpy()

    return change


def _viewed(images: ImageSet, name: str, k: int, seed: int) -> Change:
    import torch

    from phispace.data.batches import gather
    from phispace.data.views import make_view
    from phispace.randomness import torch_rng

    _, height, width = images.shape
    if height != width:
        raise UnfitError(f"Views are of square images; these are {width} x {height}.")
    view = make_view(name, height)

    def change(at: np.ndarray) -> np.ndarray:
        pixels = gather(images.images, at)
        # one image at a time, with a generator of its own: its view does not depend on its neighbours in a batch
        seen = [
            view(pixels[i : i + 1], torch_rng(seed, f"variant/{name}", k, str(item)))
            for i, item in enumerate(images.ids[at])
        ]
        floats = torch.cat(seen).permute(0, 2, 3, 1)
        return (floats * 255).round_().clamp_(0, 255).to(torch.uint8).numpy()

    return change


def _mixed(images: ImageSet, share: float) -> Change:
    from phispace.metrics.partners import partners

    partner = np.arange(len(images))
    for split in SPLITS:
        members = images.where(split)
        partner[members] = members[partners(images.ids[members])]

    def change(at: np.ndarray) -> np.ndarray:
        mine, theirs = (np.asarray(images.images[p]).astype(np.float32) for p in (at, partner[at]))
        return np.rint((1 - share) * mine + share * theirs).astype(np.uint8)

    return change
