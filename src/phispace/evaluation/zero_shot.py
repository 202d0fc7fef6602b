"""Zero-shot: are images of classes that were never labelled placed near the names of their classes?

Two classes at a time are held out, all pairs. A ridge regression maps the vectors of the other classes' training items
to the text vectors of their names; test items go where it sends them.

    unseen_pairs       accuracy of telling the two held-out classes apart by the nearer of their two text vectors: mean
                       over the pairs; `best` and `worst` pair beside it. Chance is a half.
    nearest_seen       the same by the held-out name nearest to the name of the seen class that a classifier predicts
    seen, unseen, harmonic_none       among all names, the nearest one: accuracy on test items of seen and of held-out
                       classes, and their harmonic mean. Maps are drawn to what was seen, so this needs the next step:
    ..._gaussian, ..._loop            first ask whether the item is of a new kind (`phispace.metrics.novelty`); if so,
                       the nearer held-out name, otherwise a classifier of the seen classes on the vectors themselves

The threshold of novelty is chosen without the held-out classes: two of the seen ones are held out in their place, and
it maximises their harmonic mean on val. The ridge's strength is chosen on val of the seen classes.

Source: Socher, Ganjoo, Manning and Ng, "Zero-Shot Learning Through Cross-Modal Transfer", NIPS 2013 (arXiv 1301.3666).
Departures: a linear map in closed form instead of a network of two layers; a ridge classifier instead of a softmax; the
threshold is chosen as said instead of swept. Harmonic mean: Xian et al., CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError, MissingDependencyError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import Part, labelled_parts
from phispace.evaluation.words import word_store
from phispace.metrics.intervals import mean_interval
from phispace.metrics.novelty import gaussian_novelty, loop_novelty
from phispace.metrics.separation import sample_items
from phispace.randomness import rng

NAN = float("nan")
_FEWEST_CLASSES = 5
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
_TAUGHT = "If the encoder was trained with labels of such classes, elsewhere or here, this is transfer, not zero-shot."


class ZeroShotConfig(EvaluationConfig):
    """Options of the zero-shot evaluation."""

    text: str = Field("glove", description="vectors of the class names: glove, minilm, a file, a sentence model's name")
    novelty: tuple[str, ...] = Field(("gaussian", "loop"), description="how a new kind is recognised")
    neighbours: int = Field(20, ge=1, description="of loop")
    train_items: int = Field(10_000, ge=20, description="at most so many training items, drawn at random")
    max_pairs: int = Field(45, ge=1, description="at most so many pairs of held-out classes, drawn at random")


@dataclass(frozen=True)
class _World:
    """The parts, standardised, and unit text vectors (K, d)."""

    train: Part
    val: Part
    test: Part
    words: np.ndarray


class ZeroShot(Evaluation):
    """Held-out classes recognised by the text vectors of their names, with and without detection of novelty."""

    name: ClassVar[str] = "zero-shot"
    title: ClassVar[str] = "zero-shot"
    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "labels"})
    reference: ClassVar[str] = "Socher, Ganjoo, Manning and Ng, NIPS 2013 (arXiv 1301.3666)"
    primary: ClassVar[str] = "unseen_pairs"
    Config: ClassVar[type[EvaluationConfig]] = ZeroShotConfig
    config: ZeroShotConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        parts = labelled_parts(embeddings)
        classes = [c for c in range(len(parts.classes)) if (parts.train.y == c).any() and (parts.test.y == c).any()]
        if parts.undefined or len(classes) < _FEWEST_CLASSES or not len(parts.val):
            why = parts.undefined or (
                f"Undefined: {len(classes)} classes with training and test items, and {_FEWEST_CLASSES} are needed, "
                "with val items."
            )
            return Scores({self.primary: NAN}, n=parts.n, caveats=[*parts.caveats, why])
        try:
            store = word_store([parts.classes[c] for c in classes], self.config.text)
        except (InputError, MissingDependencyError) as error:
            return Scores({self.primary: NAN}, n=parts.n, caveats=[*parts.caveats, f"Undefined: {error}"])
        words = np.asarray(store.vectors, np.float64)
        world = _world(parts.train, parts.val, parts.test, classes, words, self.config.train_items, seed)
        strength = _strength(world)
        pairs = list(combinations(range(len(classes)), 2))
        chosen = [pairs[i] for i in sample_items(len(pairs), self.config.max_pairs, rng(seed, "zero-shot", "pairs"))]
        found = [self._pair(world, pair, strength) for pair in chosen]
        metrics = {self.primary: NAN, "best_pair": NAN, "worst_pair": NAN}
        interval = {}
        for key in found[0]:
            values = np.array([row[key] for row in found])
            metrics[key] = float(values.mean())
            if len(values) > 1:
                interval[key] = mean_interval(values)
        names = [parts.classes[c] for c in classes]
        unseen = [row[self.primary] for row in found]
        metrics["best_pair"], metrics["worst_pair"] = max(unseen), min(unseen)
        details = {
            "text": self.config.text,
            "strength": strength,
            "pairs": [{"held_out": [names[a], names[b]], **row} for (a, b), row in zip(chosen, found, strict=True)],
            "word_cosines": {"classes": names, "cosines": (words @ words.T).tolist()},
        }
        best, worst = chosen[int(np.argmax(unseen))], chosen[int(np.argmin(unseen))]
        caveats = [
            *parts.caveats,
            _TAUGHT,
            f"Of {len(chosen)} pairs the best is {names[best[0]]}-{names[best[1]]}, the worst {names[worst[0]]}-"
            f"{names[worst[1]]}; intervals are over pairs, which share classes.",
        ]
        n = {"train": len(world.train), "val": len(world.val), "test": len(world.test), "pairs": len(chosen)}
        return Scores(metrics, interval, n, caveats, details)

    def _pair(self, world: _World, pair: tuple[int, int], strength: float) -> dict[str, float]:
        """All numbers of one held-out pair."""
        new = np.array(pair)
        seen = np.setdiff1d(np.arange(len(world.words)), new)
        send, classify = fit(world.train, seen, world.words, strength)
        test, y = send(world.test.x), world.test.y
        hidden = np.isin(y, new)
        among_new = new[nearest_word(test, world.words[new])]
        predicted = seen[classify(world.test.x)]
        told = new[(world.words[predicted] @ world.words[new].T).argmax(1)]
        found = {
            "unseen_pairs": _share(among_new[hidden] == y[hidden]),
            "nearest_seen": _share(told[hidden] == y[hidden]),
        }
        found |= _joint(nearest_word(test, world.words), y, hidden, "none")
        known = np.isin(world.train.y, seen)
        for kind in self.config.novelty:
            threshold = self._threshold(world, seen, strength, kind)
            novel = self._novelty(kind, test, send(world.train.x[known]), world.train.y[known], seen, world.words)
            found |= _joint(np.where(novel > threshold, among_new, predicted), y, hidden, kind)
        return found

    def _novelty(
        self, kind: str, points: np.ndarray, train: np.ndarray, y: np.ndarray, seen: np.ndarray, words: np.ndarray
    ) -> np.ndarray:
        if kind == "gaussian":
            return gaussian_novelty(points, train, np.searchsorted(seen, y), words[seen])
        return loop_novelty(points, train, min(self.config.neighbours, len(train) - 1))

    def _threshold(self, world: _World, seen: np.ndarray, strength: float, kind: str) -> float:
        """The novelty above which an item is called new: best on val, with the two seen classes in the place of the
        held-out ones whose names are least alike."""
        cosines = world.words[seen] @ world.words[seen].T
        a, b = np.unravel_index(int(np.argmin(cosines)), cosines.shape)
        stand_in = np.sort(seen[[a, b]])
        left = np.setdiff1d(seen, stand_in)
        send, classify = fit(world.train, left, world.words, strength)
        asked = np.isin(world.val.y, seen)
        x, y = world.val.x[asked], world.val.y[asked]
        hidden = np.isin(y, stand_in)
        known = np.isin(world.train.y, left)
        points = send(x)
        novel = self._novelty(kind, points, send(world.train.x[known]), world.train.y[known], left, world.words)
        new, old = stand_in[nearest_word(points, world.words[stand_in])], left[classify(x)]
        levels = np.quantile(novel, np.linspace(0, 1, 41))
        means = [_joint(np.where(novel > level, new, old), y, hidden, "")["harmonic_"] for level in levels]
        return float(levels[int(np.nanargmax(means))]) if np.isfinite(means).any() else float(levels[-1])


def _world(train: Part, val: Part, test: Part, classes: list[int], words: np.ndarray, most: int, seed: int) -> _World:
    """Labels become rows of `words`; vectors are standardised by train, 0 where a dimension does not vary."""
    place = np.full(max(classes) + 1, -1)
    place[classes] = np.arange(len(classes))
    made = []
    for part in (train, val, test):
        kept = part.take(np.isin(part.y, classes))
        made.append(Part(kept.x, place[kept.y], kept.ids))
    made[0] = made[0].take(sample_items(len(made[0]), most, rng(seed, "zero-shot", "train")))
    mean, spread = made[0].x.mean(0), made[0].x.std(0)
    scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0).astype(np.float32)
    ours, chosen, asked = (Part((p.x - mean) * scale, p.y, p.ids) for p in made)
    return _World(ours, chosen, asked, words)


def fit(
    train: Part, seen: np.ndarray, words: np.ndarray, strength: float
) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """Ridge regression of the seen classes' items to unit text vectors, and to classes.

        W = (XᵀX / n + λ I)⁻¹ XᵀY / n, with centred Y

    Args:
        train: standardised vectors (n, D), labels as rows of `words`.
        seen: int (S,), ascending.
        words: float64 (K, d).
        strength: λ.

    Returns:
        vectors (n, D) -> points (n, d), scaled to length 1; and -> positions in `seen`, int (n,).
    """
    known = np.isin(train.y, seen)
    x, y = train.x[known].astype(np.float64), train.y[known]
    centre = x.mean(0)
    x = x - centre
    onehot = (y[:, None] == seen).astype(np.float64)
    targets = np.concatenate([words[y], onehot], axis=1)
    level = targets.mean(0)
    # The smaller of the two Gram matrices: of the dimensions, or of the items where these are fewer.
    n, d = x.shape
    if d <= n:
        weights = np.linalg.solve(x.T @ x / n + strength * np.eye(d), x.T @ (targets - level) / n)
    else:
        weights = x.T @ np.linalg.solve(x @ x.T / n + strength * np.eye(n), (targets - level) / n)
    width = words.shape[1]

    def send(points: np.ndarray) -> np.ndarray:
        sent = (points - centre) @ weights[:, :width] + level[:width]
        length = np.linalg.norm(sent, axis=1, keepdims=True)
        return np.asarray(sent / np.maximum(length, 1e-12))

    def classify(points: np.ndarray) -> np.ndarray:
        return np.asarray(((points - centre) @ weights[:, width:] + level[width:]).argmax(1))

    return send, classify


def nearest_word(points: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Position of the word with the largest cosine, int (n,), of unit points (n, d) among unit words (K, d)."""
    return np.asarray((points @ words.T).argmax(1))


def _strength(world: _World) -> float:
    """λ by accuracy of the nearest word on val, all classes seen; of equal ones the strongest."""
    everything = np.arange(len(world.words))
    right = []
    for strength in _STRENGTHS:
        send, _ = fit(world.train, everything, world.words, strength)
        right.append(_share(nearest_word(send(world.val.x), world.words) == world.val.y))
    return max(zip(right, _STRENGTHS, strict=True))[1]


def _joint(said: np.ndarray, y: np.ndarray, hidden: np.ndarray, kind: str) -> dict[str, float]:
    """Accuracy on seen and on held-out classes among all of them, and the harmonic mean."""
    seen, unseen = _share(said[~hidden] == y[~hidden]), _share(said[hidden] == y[hidden])
    harmonic = 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0
    return {f"seen_{kind}": seen, f"unseen_{kind}": unseen, f"harmonic_{kind}": harmonic}


def _share(right: np.ndarray) -> float:
    return float(right.mean()) if len(right) else NAN
