"""Search: the nearest items of a store.

from phispace.search.index import Index
similarity, position = Index.build(embeddings).search(vectors, k=10)
"""

from __future__ import annotations

from typing import Any

_EXPORTS = {
    "Index": "phispace.search.index",
    "find": "phispace.search.query",
    "by_id": "phispace.search.query",
    "by_vector": "phispace.search.query",
    "by_class": "phispace.search.query",
    "precision_at_k": "phispace.search.query",
    "draw_sheet": "phispace.search.sheet",
}

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_EXPORTS[name]), name)
