"""Drift: how soon is it noticed that a stream of images slowly changes, and how often is there a false alarm?

A reference and a stream are drawn apart from the test items, anew for every repeat. The stream comes in windows; each
is held against the reference by a two-sample test of `phispace.metrics.two_sample` on the first principal components
of the training items (of the clean test items, where there are none), and an alarm is a p-value of at most alpha.

    false_alarms_TEST     share of windows without change that raise an alarm; alpha is what it should be
    delay_CHANGE_TEST     mean number of windows from the beginning of a change to the first alarm; a stream without one
                          counts as its length + 1, and details say how many there were
    run_length_TEST       the same of streams in which nothing changes: what delay chance alone would give

Changes grow in equal steps over `ramp` windows and then stay:

    look_KIND             a growing share of the window's images is corrupted
    mix                   a growing share of the window is of one class, drawn for each stream

Sources: Rabanser, Günnemann and Lipton, "Failing Loudly", NeurIPS 2019 (arXiv 1810.11953), for the tests on reduced
vectors; the streams are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import Part, at_most, by_id, paired
from phispace.metrics.intervals import mean_interval, wilson
from phispace.metrics.separation import sample_items
from phispace.metrics.two_sample import classifier, ks, mmd
from phispace.randomness import rng

NAN = float("nan")
Test = Literal["mmd", "ks", "classifier"]
_FEWEST = 64
_FIT_ITEMS = 5000
_NO_LABELS = "The mix of classes is left out: fewer than two classes are known."


class DriftConfig(EvaluationConfig):
    """Options of the drift evaluation."""

    alpha: float = Field(0.05, gt=0, lt=1, description="p-value at which a window raises an alarm")
    window: int = Field(100, ge=8, description="items of a window; at most half of those outside the reference")
    reference: int = Field(500, ge=8, description="items of the reference; at most half of all")
    components: int = Field(32, ge=1, description="principal components that the tests see")
    tests: tuple[Test, ...] = Field(("mmd", "ks", "classifier"), min_length=1, description="which tests")
    kinds: tuple[str, ...] = Field(("gaussian-noise", "brightness"), description="corruptions of the changed look")
    severity: Annotated[int, Field(ge=1, le=5)] = Field(3, description="of the corruptions, 1 to 5")
    ramp: int = Field(8, ge=1, description="windows over which a change grows to its full strength")
    after: int = Field(4, ge=0, description="windows that follow at full strength")
    streams: int = Field(6, ge=2, description="streams of each change")
    quiet: int = Field(100, ge=10, description="windows without change, for the false alarms")
    n: int = Field(2000, ge=20, description="test items in all, at most")
    permutations: int = Field(99, ge=19, description="of mmd")


@dataclass(frozen=True)
class _Items:
    """Clean and changed vectors of the same items: x (n, D), y (n,), changed KIND -> (n, D)."""

    x: np.ndarray
    y: np.ndarray
    changed: Mapping[str, np.ndarray]


class Drift(Evaluation):
    """False alarms and delays of drift detectors on the representation."""

    name: ClassVar[str] = "drift"
    title: ClassVar[str] = "drift"
    needs: ClassVar[frozenset[str]] = frozenset({"test"})
    reference: ClassVar[str] = "Rabanser, Günnemann and Lipton, NeurIPS 2019 (arXiv 1810.11953); the streams are ours"
    primary: ClassVar[str] = "delay_mean"
    higher_is_better: ClassVar[bool] = False
    Config: ClassVar[type[EvaluationConfig]] = DriftConfig
    config: DriftConfig

    def variants(self) -> Mapping[str, str]:
        return dict.fromkeys(self._looks().values(), f"test:{self.config.n}")

    def _looks(self) -> dict[str, str]:
        return {kind: f"corrupt/{kind}/{self.config.severity}" for kind in self.config.kinds}

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        c = self.config
        there, caveats = self.variants_among(embeddings, others)
        items, more = self._items(by_id(embeddings, "test"), there, seed)
        caveats += more
        if len(items.x) < _FEWEST:
            why = f"Undefined: {len(items.x)} test items, and at least {_FEWEST} are needed to make windows of."
            return Scores({self.primary: NAN}, n={"test": len(items.x)}, caveats=[*caveats, why])
        items, fitted = self._reduced(items, embeddings, seed)
        changes = [f"look_{kind}" for kind in items.changed]
        if len(np.unique(items.y[items.y != UNKNOWN])) > 1:
            changes.append("mix")
        else:
            caveats.append(_NO_LABELS)
        metrics: dict[str, float] = {self.primary: NAN}
        interval: dict[str, tuple[float, float]] = {}
        details: dict[str, object] = {"alarms": {}, "unnoticed": {}, "share_changed": self._shares()}
        quiet = self._quiet(items, seed)
        for test, alarms in quiet.items():
            metrics[f"false_alarms_{test}"] = float(alarms.mean())
            interval[f"false_alarms_{test}"] = wilson(int(alarms.sum()), len(alarms))
        delays = []
        for change in ("nothing", *changes):
            found = self._streams(items, change, seed)
            for test, alarms in found.items():
                first = np.where(alarms.any(1), alarms.argmax(1) + 1, alarms.shape[1] + 1)
                key = f"run_length_{test}" if change == "nothing" else f"delay_{change}_{test}"
                metrics[key] = float(first.mean())
                interval[key] = mean_interval(first.astype(float))
                details["alarms"][f"{change}_{test}"] = alarms.mean(0).tolist()  # type: ignore[index]
                details["unnoticed"][f"{change}_{test}"] = int((~alarms.any(1)).sum())  # type: ignore[index]
                if change != "nothing":
                    delays.append(float(first.mean()))
        metrics[self.primary] = float(np.mean(delays)) if delays else NAN
        caveats.append(
            f"Windows of {self._window(items)}, a reference of {self._reference(items)}, {c.streams} streams of each "
            f"change; an alarm at p <= {c.alpha:g} on {items.x.shape[1]} principal components of the {fitted} items."
        )
        n = {"test": len(items.x), "streams": c.streams, "windows without change": c.quiet}
        return Scores(metrics, interval, n, caveats, details)

    def _items(self, part: Part, there: Mapping[str, Embeddings], seed: int) -> tuple[_Items, list[str]]:
        """The items that all stores of changed images have too."""
        looks = {kind: there[name] for kind, name in self._looks().items() if name in there}
        for store in looks.values():
            mine, _ = paired(part, store)
            part = part.take(mine)
        part, caveats = at_most(part, self.config.n, rng(seed, "drift", "items"))
        changed = {kind: paired(part, store)[1] for kind, store in looks.items()}
        if not looks:
            caveats = [*caveats, "The changed look is left out: there are no stores of corrupted images."]
        return _Items(part.x, part.y, changed), caveats

    def _reduced(self, items: _Items, embeddings: Embeddings, seed: int) -> tuple[_Items, str]:
        """All vectors in the first principal components of a sample of train, or of the clean test items."""
        from sklearn.decomposition import PCA

        train = embeddings.splits == "train"
        fitted = "training" if train.sum() >= _FEWEST else "test"
        rows = np.flatnonzero(train)
        rows = rows[np.argsort(embeddings.ids[rows], kind="stable")]
        rows = rows[sample_items(len(rows), _FIT_ITEMS, rng(seed, "drift", "components"))]
        sample = np.asarray(embeddings.vectors[rows], np.float32) if fitted == "training" else items.x
        width = min(self.config.components, *sample.shape)
        model = PCA(width, svd_solver="covariance_eigh" if sample.shape[1] <= 512 else "randomized", random_state=0)
        model.fit(sample)
        changed = {kind: model.transform(x) for kind, x in items.changed.items()}
        return _Items(model.transform(items.x), items.y, changed), fitted

    def _shares(self) -> list[float]:
        c = self.config
        return [min(1.0, (step + 1) / c.ramp) for step in range(c.ramp + c.after)]

    def _detectors(self, reference: np.ndarray, draws: np.random.Generator) -> Callable[[np.ndarray], dict[str, bool]]:
        """Alarm of each test for a window held against this reference."""

        def alarms(window: np.ndarray) -> dict[str, bool]:
            found: dict[str, bool] = {}
            for test in self.config.tests:
                if test == "mmd":
                    p = mmd(reference, window, draws, self.config.permutations).p_value
                elif test == "ks":
                    p = ks(reference, window).p_value
                else:
                    p = classifier(reference, window, draws).p_value
                found[test] = p <= self.config.alpha
            return found

        return alarms

    def _divided(self, items: _Items, draws: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        order = draws.permutation(len(items.x))
        held = self._reference(items)
        return order[:held], order[held:]

    def _reference(self, items: _Items) -> int:
        return min(self.config.reference, len(items.x) // 2)

    def _window(self, items: _Items) -> int:
        return min(self.config.window, (len(items.x) - self._reference(items)) // 2)

    def _quiet(self, items: _Items, seed: int) -> dict[str, np.ndarray]:
        """Alarms bool (quiet,) of windows without change; each has a reference and a window of its own."""
        found: dict[str, list[bool]] = {test: [] for test in self.config.tests}
        for number in range(self.config.quiet):
            draws = rng(seed, "drift", "quiet", number)
            held, stream = self._divided(items, draws)
            alarms = self._detectors(items.x[held], draws)(items.x[stream[: self._window(items)]])
            for test in found:
                found[test].append(alarms[test])
        return {test: np.array(values) for test, values in found.items()}

    def _streams(self, items: _Items, change: str, seed: int) -> dict[str, np.ndarray]:
        """Alarms bool (streams, windows) of streams with this change."""
        c, shares, size = self.config, self._shares(), self._window(items)
        found: dict[str, np.ndarray] = {test: np.zeros((c.streams, len(shares)), bool) for test in c.tests}
        for number in range(c.streams):
            draws = rng(seed, "drift", change, number)
            held, stream = self._divided(items, draws)
            alarms = self._detectors(items.x[held], draws)
            favoured = draws.choice(np.unique(items.y[items.y != UNKNOWN])) if change == "mix" else UNKNOWN
            for step, share in enumerate(shares):
                window = draws.choice(stream, size, replace=False)
                vectors = items.x[window]
                count = round(share * size)
                if change.startswith("look_"):
                    vectors = np.concatenate(
                        [items.changed[change.removeprefix("look_")][window[:count]], vectors[count:]]
                    )
                elif change == "mix":
                    of_class = stream[items.y[stream] == favoured]
                    if len(of_class):
                        more = draws.choice(of_class, count, replace=len(of_class) < count)
                        vectors = np.concatenate([items.x[more], vectors[count:]])
                for test, alarm in alarms(vectors).items():
                    found[test][number, step] = alarm
        return found
