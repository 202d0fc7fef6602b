"""phispace: learn representations φ(x) of images, measure how good they are, show, search and report them.

    import phispace as ph

    run = ph.train("supervised", "digits", out="runs/first")
    scores = ph.evaluate(run)
    ph.draw_map(run, "tsne")
    neighbours = ph.search_images(run, ids=["digits/000007"])
    ph.write_report(run)

Names are imported when they are first used; importing phispace loads neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from phispace.api.compare import compare, leaderboard
    from phispace.api.film import draw_film
    from phispace.api.learn import embed, inspect, train
    from phispace.api.rerun import rerun
    from phispace.api.results import (
        draw_map,
        export_encoder,
        predict_classes,
        search_images,
        study,
        write_report,
    )
    from phispace.api.scores import evaluate
    from phispace.api.similarity import draw_similarities
    from phispace.api.transfer import transfer
    from phispace.api.verify import verify
    from phispace.data.imageset import ImageSet
    from phispace.data.loading import load_images
    from phispace.embeddings.foreign import load_embeddings
    from phispace.embeddings.store import Embeddings
    from phispace.errors import PhispaceError
    from phispace.maps.make import make_map
    from phispace.registry import registry
    from phispace.run import Run
    from phispace.sklearn import PhiTransformer

_PLACES = {
    **dict.fromkeys(("embed", "inspect", "train"), "api.learn"),
    "draw_film": "api.film",
    "draw_similarities": "api.similarity",
    **dict.fromkeys(
        ("draw_map", "export_encoder", "predict_classes", "search_images", "study", "write_report"),
        "api.results",
    ),
    **dict.fromkeys(("compare", "leaderboard"), "api.compare"),
    "evaluate": "api.scores",
    "rerun": "api.rerun",
    "transfer": "api.transfer",
    "verify": "api.verify",
    "load_embeddings": "embeddings.foreign",
    "ImageSet": "data.imageset",
    "load_images": "data.loading",
    "Embeddings": "embeddings.store",
    "PhispaceError": "errors",
    "make_map": "maps.make",
    "registry": "registry",
    "Run": "run",
    "PhiTransformer": "sklearn",
}

__all__ = [
    "Embeddings",
    "ImageSet",
    "PhiTransformer",
    "PhispaceError",
    "Run",
    "__version__",
    "compare",
    "draw_film",
    "draw_map",
    "draw_similarities",
    "embed",
    "evaluate",
    "export_encoder",
    "inspect",
    "leaderboard",
    "load_embeddings",
    "load_images",
    "make_map",
    "predict_classes",
    "registry",
    "rerun",
    "search_images",
    "study",
    "train",
    "transfer",
    "verify",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'phispace' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"phispace.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
