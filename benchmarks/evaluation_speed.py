"""How long the default evaluation takes, and its ratios to scikit-learn in the same run.

    python benchmarks/evaluation_speed.py                        # 50,000 x 512 train, 10,000 x 512 test
    python benchmarks/evaluation_speed.py --n 5000               # a tenth of it
    python benchmarks/evaluation_speed.py --store runs/x/embeddings/cifar10/best/fc1

The embeddings are synthetic unless a store is named: ten classes in a 48-dimensional space, mixed into 512 correlated,
rectified dimensions, with noise set so that the linear probe reaches about 90 %. A tenth of train is val.

kNN is held against KNeighborsClassifier (brute force, as many jobs as processors), once with cosine, our default, and
once with its own default, the Euclidean distance; the linear probe against StandardScaler and LogisticRegression (its
default solver, lbfgs) over the strengths that ours tried, the best one chosen on val in both. Ratio = scikit-learn's
time / ours, each its fastest of `--rounds` turns; above 1 ours is faster. CPU seconds are of all threads, and hold on a
machine that others use too.

Peak memory is that of this process while it evaluates, before scikit-learn's turn; the embeddings are made by another
process and memory-mapped here.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.evaluation import REGISTRY
from phispace.evaluation.evaluate import make_evaluation
from phispace.provenance import usable_processors

DEFAULT = ("knn", "linear", "clustering", "retrieval", "health")
BAR_SECONDS, BAR_GB = 180, 3


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


def store_at(path: Path, n: int, d: int) -> Embeddings:
    """The synthetic embeddings, made by a process of its own so that their making does not count as our memory."""
    made = multiprocessing.get_context("spawn").Process(target=_save, args=(path, n, d))
    made.start()
    made.join()
    if made.exitcode:
        raise SystemExit(made.exitcode)
    return Embeddings.open(path)


def _save(path: Path, n: int, d: int) -> None:
    embeddings(n, n // 5, d).save(path)


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}, found


def sklearn_knn(store: Embeddings, metric: str) -> float:
    """Accuracy of the uniform vote of 20, as our default."""
    from sklearn.neighbors import KNeighborsClassifier

    train, test = store.part("train", labelled=True), store.part("test", labelled=True)
    model = KNeighborsClassifier(20, metric=metric, algorithm="brute", n_jobs=usable_processors())
    return float(model.fit(train.vectors, train.labels).score(test.vectors, test.labels))


def sklearn_linear(store: Embeddings, strengths: tuple[float, ...]) -> float:
    """Test accuracy with the strength that is best on val."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train, val, test = (store.part(s, labelled=True) for s in ("train", "val", "test"))
    scaler = StandardScaler().fit(train.vectors)
    x, v = scaler.transform(train.vectors), scaler.transform(val.vectors)
    best: tuple[float, Any] = (-1.0, None)
    for l2 in strengths:
        model = LogisticRegression(C=1 / (len(x) * l2), max_iter=1000).fit(x, train.labels)
        accuracy = float(model.score(v, val.labels))
        if accuracy > best[0]:
            best = (accuracy, model)
    return float(best[1].score(scaler.transform(test.vectors), test.labels))


def ours(store: Embeddings, name: str, **options: Any) -> dict[str, Any]:
    spent, scores = timed(lambda: make_evaluation(name, options).run(store))
    return {**spent, "score": scores.metrics[make_evaluation(name).primary], "details": scores.details}


def peer(work: Callable[[], float]) -> dict[str, Any]:
    spent, score = timed(work)
    return {**spent, "score": score}


def best_of(rounds: int, *works: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Each work's fastest round by CPU time, the works in turns, so that a busy moment hits all of them."""
    found = [[work() for work in works] for _ in range(rounds)]
    return [min(column, key=lambda row: row["cpu_seconds"]) for column in zip(*found, strict=True)]


def measure(store: Embeddings, rounds: int) -> dict[str, Any]:
    """Parts of the default evaluation, then the peers, in turns with ours (no rounds: without them)."""
    small = store.take(np.sort(np.random.default_rng(0).choice(len(store), min(500, len(store)), replace=False)))
    names = [name for name in DEFAULT if name in REGISTRY.names()]
    for name in names:  # imports and first calls are not what is measured
        make_evaluation(name).run(small)
    parts = {name: ours(store, name) for name in names}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows: dict[str, dict[str, Any]] = {}
    if rounds:
        strengths = tuple(row["l2"] for row in parts["linear"]["details"]["curve"])
        against: dict[str, tuple[tuple[str, dict[str, Any]], Callable[[], float]]] = {
            "linear probe": (("linear", {}), lambda: sklearn_linear(store, strengths)),
        }
        for metric in ("cosine", "euclidean"):
            options = {"metric": metric, "literature": False}
            against[f"kNN, k = 20, {metric}"] = (("knn", options), lambda metric=metric: sklearn_knn(store, metric))
        for name, ((evaluation, options), work) in against.items():
            mine, theirs = best_of(
                rounds, lambda e=evaluation, o=options: ours(store, e, **o), lambda work=work: peer(work)
            )
            rows[name] = {f"sklearn_{k}": v for k, v in theirs.items()}
            rows[name] |= {k: mine[k] for k in ("seconds", "cpu_seconds", "score")}
            rows[name]["ratio"] = theirs["seconds"] / mine["seconds"]
            rows[name]["cpu_ratio"] = theirs["cpu_seconds"] / mine["cpu_seconds"]
    return {
        "parts": {name: {k: row[k] for k in ("seconds", "cpu_seconds", "score")} for name, row in parts.items()},
        "absent": [name for name in DEFAULT if name not in names],
        "total_seconds": sum(row["seconds"] for row in parts.values()),
        "total_cpu_seconds": sum(row["cpu_seconds"] for row in parts.values()),
        "peak_gb": peak,
        "peers": rows,
    }


def show(found: dict[str, Any]) -> None:
    about = {k: v for k, v in found.items() if k not in ("parts", "peers", "absent")}
    print(", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in about.items()))
    print(f"\n{'part':<14}{'minutes':>9}{'seconds':>10}{'CPU s':>9}{'score':>10}")
    for name, row in found["parts"].items():
        seconds = row["seconds"]
        print(f"{name:<14}{seconds / 60:>9.2f}{seconds:>10.2f}{row['cpu_seconds']:>9.2f}{row['score']:>10.4f}")
    for name in found["absent"]:
        print(f"{name:<14}  (not registered)")
    total, peak = found["total_seconds"], found["peak_gb"]
    print(f"{'all':<14}{total / 60:>9.2f}{total:>10.2f}{found['total_cpu_seconds']:>9.2f}")
    print(f"bar: {BAR_SECONDS} s {'kept' if total < BAR_SECONDS else 'BROKEN'}, ", end="")
    print(f"{BAR_GB} GB {'kept' if peak < BAR_GB else 'BROKEN'} (peak {peak:.2f} GB)")
    if found["peers"]:
        head = ("seconds", "CPU s", "score", "sklearn s", "CPU s", "score", "ratio", "CPU ratio")
        print(f"\n{'against scikit-learn':<24}" + "".join(f"{h:>11}" for h in head))
    for name, row in found["peers"].items():
        keys = ("seconds", "cpu_seconds", "score", "sklearn_seconds", "sklearn_cpu_seconds", "sklearn_score")
        cells = "".join(f"{row[k]:>11.{4 if 'score' in k else 2}f}" for k in keys)
        print(f"{name:<24}{cells}{row['ratio']:>11.2f}{row['cpu_ratio']:>11.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=50_000, help="training items; test has a fifth of them")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--store", type=Path, help="an embeddings store instead of synthetic vectors")
    parser.add_argument("--rounds", type=int, default=1, help="of ours and scikit-learn's in turns; 0 leaves it out")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        store = Embeddings.open(options.store) if options.store else store_at(Path(folder), options.n, options.dim)
        found = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": platform.processor() or platform.machine(),
            "processors": usable_processors(),
            "load": os.getloadavg()[0],
            "items": {s: int((store.splits == s).sum()) for s in ("train", "val", "test")},
            "dim": store.dim,
            **measure(store, options.rounds),
        }
    if options.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
