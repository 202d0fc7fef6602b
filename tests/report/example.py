"""A run directory like one that training leaves, made by the code that reads and writes runs; numbers are invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phispace import storage
from phispace.maps.base import Map
from phispace.run import Run

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CONFIG: dict[str, Any] = {
    "images": {"name": "cifar10", "size": 32},
    "encoder": {"name": "convnet4", "options": {"dropout": 0.0}},
    "method": {
        "name": "supervised",
        "epochs": 12,
        "batch_size": 32,
        "learning_rate": 0.001,
        "views": "shift-rotate-flip",
    },
    "training": {"seed": 0, "precision": "auto", "threads": 2},
}
RECORD: dict[str, Any] = {
    "status": "completed",
    "created": "2025-11-21T20:10:00+00:00",
    "completed": "2025-11-21T20:19:12+00:00",
    "method": {"title": "supervised network"},
    "images": {
        "name": "cifar10",
        "fingerprint": "9f2c" * 16,
        "shape": [3, 32, 32],
        "items": {"train": 45000, "val": 5000, "test": 10000},
        "quarantined": 2,
    },
    "task": {"channels": 3, "size": 32, "classes": list(CLASSES)},
    "encoder": {"name": "convnet4", "parameters": 1_676_266, "multiply_adds": 21_300_000},
    "choices": {"precision": "bf16-mixed", "threads": 2, "channels_last": True},
    "best_checkpoint": "epoch=010-loss=0.4312",
    "result": {"minutes": 9.21, "epochs": 12, "best_epoch": 10, "images_seen": 540_000, "images_per_second": 977.4},
    "argv": ["phispace", "train", "supervised", "--images", "cifar10", "--epochs", "12"],
    "provenance": {
        "phispace": "0.1.0",
        "python": "3.11.7",
        "packages": {"torch": "2.14.1", "numpy": "2.4.6", "scikit-learn": "1.9.0"},
        "git": {"commit": "0123456789abcdef0123", "dirty": False},
        "platform": "Linux-6.1-x86_64",
        "processor": "Example CPU @ 2.70GHz",
        "processors": 2,
        "memory_gb": 16.0,
    },
}

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '" onload="alert(1)" x="',
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "<style>*{display:none}</style>",
    "<svg/onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)",
    "<!-- ",
    "--><b>",
    "]]><b>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "{{ 7 * 7 }}{% raw %}",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0>",
    "\x00<b>\x1b[31m\x7f",
    "\u202e<gnp.tac>\u202c",
    "lone \udcff surrogate <b>",
    "</details></pre></table><form action=//evil.example>",
    "`<b>`\n\n<h1>x</h1>",
)


def history_csv(epochs: int = 12) -> str:
    """A metrics.csv with a plausible course."""
    rows = [
        "epoch,step,images_seen,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy,health_effective_rank"
    ]
    rows.append("0,0,0,,,,2.3391,0.1012,9.4")
    for e in range(1, epochs + 1):
        loss = 0.28 + 1.5 * np.exp(-e / 3.2)
        val = 0.42 + 1.15 * np.exp(-e / 2.6) + 0.008 * max(0, e - 8)
        rows.append(
            f"{e},{e * 1407},{e * 45000},0.001,{loss:.5f},{0.93 - 0.5 * np.exp(-e / 3.2):.5f},{val:.5f},"
            f"{0.872 - 0.42 * np.exp(-e / 2.4):.5f},{18 + 45 * (1 - np.exp(-e / 4)):.3f}"
        )
    return "\n".join(rows) + "\n"


def _wilson(p: float, n: int = 10_000) -> tuple[float, float]:
    half = 1.96 * np.sqrt(p * (1 - p) / n)
    return round(p - half, 4), round(p + half, 4)


def score(evaluation: str, store: str, metrics: dict[str, float], **more: Any) -> dict[str, Any]:
    """A row of scores.json."""
    interval = {k: _wilson(v) for k, v in metrics.items() if "accuracy" in k and np.isfinite(v)}
    body = {"interval": interval, "n": {"train": 45000, "test": 10000}, "caveats": [], "details": {}, "options": {}}
    return {"evaluation": evaluation, "store": store, "metrics": metrics, **body, **more}


def confusion_counts(right: float = 0.87, n: int = 1000) -> list[list[int]]:
    """Ten classes of `n` images; cats and dogs are taken for each other most."""
    counts = np.full((10, 10), (1 - right) * n / 18)
    counts[3, 5] = counts[5, 3] = 95
    counts[0, 8] = counts[8, 0] = 40
    np.fill_diagonal(counts, 0)
    np.fill_diagonal(counts, n - counts.sum(1))
    return counts.round().astype(int).tolist()


def scores() -> list[dict[str, Any]]:
    """Scores of one layer beside its baselines."""
    rows = []
    table = {"features @ best": (0.8834, 0.8791, 61.3), "pixels": (0.3951, 0.3402, 21.7), "pca": (0.4052, 0.3893, 88.0)}
    table["untrained"] = (0.5212, 0.4431, 9.4)
    for store, (linear, knn, rank) in table.items():
        details = {"confusion": confusion_counts(), "classes": list(CLASSES)}
        caveats = (
            ["The chosen l2 = 1e-06 lies at the edge of the strengths that were tried."] if store == "pixels" else []
        )
        both = {"accuracy": linear, "balanced_accuracy": linear, "majority": 0.1}
        rows.append(score("linear", store, both, details=details, caveats=caveats))
        rows.append(score("knn", store, {"accuracy": knn, "accuracy_k200": knn - 0.011, "majority": 0.1}))
        health = {"rankme": rank, "spread": 0.97} if store != "pca" else {"rankme": float("nan"), "spread": 0.0}
        why = ["Ranks and uniformity are undefined: all vectors are zero."] if store == "pca" else []
        words = "No sign of collapse: about 61.3 of 512 directions are in use."
        rows.append(
            score("health", store, health, interval={}, caveats=why, details={"verdict": "healthy", "words": words})
        )
    rows.append(score("linear", "majority", {"accuracy": 0.1}))
    return [*rows, score("knn", "majority", {"accuracy": 0.1})]


def points(n: int = 1500, seed: int = 3) -> Map:
    """A map with ten groups."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    angle = labels * 2 * np.pi / 10
    xy = np.stack([np.cos(angle), np.sin(angle)], 1) * 30 + rng.normal(0, 5, (n, 2))
    quality = {
        "trustworthiness": 0.9731,
        "knn_recall": 0.412,
        "class_agreement": 0.871,
        "class_agreement_representation": 0.862,
        "leak": 0.009,
        "k": 10.0,
        "queries": 1500.0,
    }
    ids = np.array([f"test/{i:05d}.jpg" for i in range(n)])
    return Map(xy.astype(np.float32), ids, labels.astype(np.int64), CLASSES, "tsne", quality, {"options": {}})


def make_run(
    path: Path, *, record: dict[str, Any] | None = None, logged: bool = True, scored: bool = True, drawn: bool = True
) -> Run:
    """Write the run; `logged`, `scored` and `drawn` say whether metrics, scores and maps are there."""
    run = Run.create(path, {**RECORD, **(record or {})}, CONFIG)
    if logged:
        storage.write_text(path / "metrics.csv", history_csv())
    if scored:
        run.add_scores(scores())
    if drawn:
        from phispace.maps.scatter import draw_scatter

        made = points()
        stem = path / "maps" / "tsne-features-best-test"
        made.save(stem)
        draw_scatter(made, stem.with_suffix(".png"), title="t-SNE of features")
        _mosaic(stem.with_name(f"{stem.name}-mosaic.png"))
    return run


def _mosaic(path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)
    picture = Image.fromarray(tiles).resize((4000, 3000), Image.Resampling.BILINEAR)
    with storage.atomic_path(path) as temporary:
        picture.save(temporary)
