"""How long the default evaluation takes, and its ratios to scikit-learn in the same run.

    python benchmarks/evaluation_speed.py                 # 50,000 x 512 train, 10,000 x 512 test
    python benchmarks/evaluation_speed.py --n 5000        # a tenth of it

The embeddings are synthetic: ten classes in a 48-dimensional space, mixed into 512 correlated, rectified dimensions,
with noise set so that the linear probe reaches about 90 %. kNN is held against KNeighborsClassifier (brute force,
cosine, all processors), the linear probe against StandardScaler and LogisticRegression (its default solver) over the
strengths that ours tried, the best one chosen on val in both.
Ratio = scikit-learn's time / ours; above 1 ours is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.evaluation import REGISTRY
from phispace.evaluation.evaluate import make_evaluation


def embeddings(n_train: int, n_test: int, d: int, seed: int = 0) -> Embeddings:
    """Train, val (a tenth of train) and test."""
    rng = np.random.default_rng(seed)
    n = n_train + n_test
    labels = rng.integers(0, 10, n)
    hidden = rng.normal(size=(10, 48))[labels] * 0.5 + rng.normal(size=(n, 48))
    x = np.maximum(hidden @ rng.normal(size=(48, d)) / 7 + 0.3 * rng.normal(size=(n, d)), 0)
    x = np.maximum(x.astype(np.float32) @ (rng.normal(size=(d, d)) / np.sqrt(d)).astype(np.float32), 0)
    splits = np.full(n, "train", dtype="<U5")
    splits[: n_train // 10] = "val"
    splits[n_train:] = "test"
    return Embeddings.build(x, [f"{i:06d}" for i in range(n)], labels, splits)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def sklearn_knn(store: Embeddings) -> float:
    """Accuracy of the uniform vote of 20, as our default."""
    from sklearn.neighbors import KNeighborsClassifier

    train, test = store.part("train"), store.part("test")
    model = KNeighborsClassifier(20, metric="cosine", algorithm="brute", n_jobs=-1)
    return float(model.fit(train.vectors, train.labels).score(test.vectors, test.labels))


def sklearn_linear(store: Embeddings, strengths: tuple[float, ...]) -> tuple[float, float]:
    """Test accuracy with the strength that is best on val, and that strength."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train, val, test = (store.part(s) for s in ("train", "val", "test"))
    scaler = StandardScaler().fit(train.vectors)
    x, v = scaler.transform(train.vectors), scaler.transform(val.vectors)
    best: tuple[float, Any, float] = (-1.0, None, 0.0)
    for l2 in strengths:
        model = LogisticRegression(C=1 / (len(x) * l2), max_iter=1000).fit(x, train.labels)
        accuracy = float(model.score(v, val.labels))
        if accuracy > best[0]:
            best = (accuracy, model, l2)
    return float(best[1].score(scaler.transform(test.vectors), test.labels)), best[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50_000, help="training items; test has a fifth of them")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    store = embeddings(options.n, options.n // 5, options.dim)
    small = store.take(np.arange(0, len(store), max(1, len(store) // 500)))
    for name in REGISTRY.names():  # imports and first calls are not what is measured
        make_evaluation(name).run(small)
    rows: dict[str, dict[str, float]] = {}
    details: dict[str, Any] = {}
    for name in REGISTRY.names():
        seconds, scores = timed(lambda name=name: make_evaluation(name).run(store))
        details[name] = scores.details
        rows[name] = {"seconds": seconds, "score": scores.metrics[make_evaluation(name).primary]}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    alone, _ = timed(lambda: make_evaluation("knn", {"literature": False}).run(store))
    rows["knn (k = 20 alone)"] = {"seconds": alone, "score": rows["knn"]["score"]}
    peers = {"knn (k = 20 alone)": timed(lambda: (sklearn_knn(store), 0.0))}
    strengths = tuple(row["l2"] for row in details["linear"]["curve"])
    peers["linear"] = timed(lambda: sklearn_linear(store, strengths))
    for name, (seconds, (score, _)) in peers.items():
        rows[name] |= {"sklearn_seconds": seconds, "sklearn_score": score, "ratio": seconds / rows[name]["seconds"]}
    total = sum(rows[name]["seconds"] for name in REGISTRY.names())
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
        "train": options.n,
        "test": options.n // 5,
        "dim": options.dim,
        "total_seconds": total,
        "peak_gb": peak,
    }
    if options.json:
        print(json.dumps({**about, "parts": rows}))
        return
    print(", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in about.items()))
    print(f"{'part':<22}{'seconds':>9}{'score':>9}{'sklearn s':>11}{'score':>9}{'ratio':>8}")
    for name, row in rows.items():
        peer = [
            f"{row[k]:.{p}f}" if k in row else ""
            for k, p in (("sklearn_seconds", 2), ("sklearn_score", 4), ("ratio", 2))
        ]
        print(f"{name:<22}{row['seconds']:>9.2f}{row['score']:>9.4f}{peer[0]:>11}{peer[1]:>9}{peer[2]:>8}")


if __name__ == "__main__":
    main()
