"""t-SNE of phispace against scikit-learn's, in one run, on the same vectors: time beside faithfulness.

    python benchmarks/tsne.py                    10,000 vectors of 512 values, as the table in docs/benchmarks.md
    python benchmarks/tsne.py --items 2000       the same, smaller

Prints wall and CPU seconds, trustworthiness and kNN recall (k = 10, at most 2,000 queries against all items) of both,
and the ratio. The vectors are ten Gaussian clusters, each on a plane of its own, so that neighbourhoods mean something.
Both get perplexity 30, PCA initialisation, the same threads and the same vectors; imports are not counted. On a machine
with other work, set OMP_WAIT_POLICY=passive: threads that spin while they wait for a busy processor cost several times
the work itself, on both sides.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import numpy as np


def clusters(items: int, dim: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """float32 (items, dim) and labels: ten clusters, each on its own plane of eight directions, plus noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(items) % 10
    centres = 1.2 * random.normal(size=(10, dim))
    planes = random.normal(size=(10, 8, dim))
    inside = random.normal(size=(items, 8))
    vectors = centres[labels] + np.einsum("nk,nkd->nd", inside, planes[labels]) + 0.5 * random.normal(size=(items, dim))
    return vectors.astype(np.float32), labels


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--items", type=int, default=10_000)
    arguments.add_argument("--dim", type=int, default=512)
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()

    # Imported before the clock starts, on both sides.
    import openTSNE
    import sklearn
    from sklearn.manifold import TSNE

    from phispace.embeddings.store import Embeddings
    from phispace.maps.base import prepared
    from phispace.maps.make import make_map
    from phispace.maps.quality import measure
    from phispace.maps.tsne import threads

    vectors, labels = clusters(options.items, options.dim, options.seed)
    store = Embeddings.build(vectors, [str(k) for k in range(options.items)], labels)
    print(
        f"{options.items:,} x {options.dim} float32, perplexity 30, {threads(options.items)} threads, "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, "
        f"openTSNE {openTSNE.__version__}, scikit-learn {sklearn.__version__}"
    )
    rows = {}

    def timed(name: str, fit) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        xy = fit()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        found = measure(prepared(vectors), np.asarray(xy, np.float32), labels)
        rows[name] = wall, cpu
        print(
            f"{name:<14} {wall:8.1f} s wall  {cpu:8.1f} s CPU   trustworthiness {found['trustworthiness']:.4f}   "
            f"kNN recall {found['knn_recall']:.4f}   class agreement {found['class_agreement']:.4f}",
            flush=True,
        )

    timed("phispace", lambda: make_map(store, "tsne", seed=options.seed).xy)
    peer = TSNE(perplexity=30, init="pca", random_state=options.seed, n_jobs=threads(options.items))
    timed("scikit-learn", lambda: peer.fit_transform(vectors))
    wall, cpu = (rows["scikit-learn"][k] / rows["phispace"][k] for k in (0, 1))
    print(f"ratio: scikit-learn takes {wall:.2f} times phispace's wall time and {cpu:.2f} times its CPU time")


if __name__ == "__main__":
    main()
