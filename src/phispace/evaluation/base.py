"""How good is a representation? The contract of an evaluation.

An evaluation sees stores, never an encoder. What it cannot say is `nan` with a reason in `caveats`, not 0 and not a
crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.items import Items
from phispace.storage import jsonable


class EvaluationConfig(BaseModel):
    """An evaluation's options; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Scores:
    """What an evaluation found.

    Attributes:
        metrics: name -> value; `nan` where undefined.
        interval: name -> 95 % interval (low, high), for the metrics that have one.
        n: counts that the numbers rest on, for example {"train": 1437, "test": 360}.
        caveats: sentences a reader must know.
        details: further JSON-able results (confusion matrix, per-class accuracy, chosen options).
        items: the metrics that are means over test items, item by item, for paired comparisons; None = there is none.
    """

    metrics: dict[str, float]
    interval: dict[str, tuple[float, float]] = field(default_factory=dict)
    n: dict[str, int] = field(default_factory=dict)
    caveats: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    items: Items | None = field(default=None, repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the items: what is undefined becomes None."""
        plain: dict[str, Any] = jsonable({f.name: getattr(self, f.name) for f in fields(self) if f.name != "items"})
        return plain


class Evaluation:
    """Base of all evaluations.

    Class attributes:
        name: registered name; a score's key is `name.metric`.
        title: name for people.
        needs: which parts of the store must be there, of {"train", "val", "test", "labels", "factors", "others"}.
        reference: definition's source.
        primary: the metric that tables show first.
        higher_is_better: for `primary`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    reference: ClassVar[str]
    primary: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    Config: ClassVar[type[EvaluationConfig]] = EvaluationConfig

    def __init__(self, config: EvaluationConfig | None = None) -> None:
        self.config = config if config is not None else self.Config()

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """Score one store.

        Args:
            embeddings: a store whose items name their split; test is read here and nowhere else.
            others: further stores, paired with this one by id: those of `variants` under their names, or any others
                for evaluations that compare.
            seed: for draws.

        Raises:
            InputError: a part that `needs` names is missing.
        """
        raise NotImplementedError(f"{type(self).__name__} must define run (abstract)")

    def variants(self) -> Mapping[str, str]:
        """The stores of changed images that `run` looks for among `others`: a variant's name (see
        `phispace.data.variants`) -> the splits it needs, joined by `+`; `test:1000` is at most 1,000 items of test.
        By default none.

        Whoever has the encoder extracts them first. A foreign store has none: what rests on them is `nan`.
        """
        return {}

    def other_images(self) -> Mapping[str, str]:
        """The stores of other images under the same encoder that `run` looks for among `others` as `images/NAME`: name
        of an image set -> its items, as in `variants`. By default none.
        """
        return {}

    def variants_among(
        self, embeddings: Embeddings, others: Mapping[str, Embeddings] | None
    ) -> tuple[dict[str, Embeddings], list[str]]:
        """Those of `variants` that are there, and a caveat about those that are not.

        Raises:
            InputError: a store of another width, which another encoder made.
        """
        there = {name: others[name] for name in self.variants() if others and name in others}
        for name, store in there.items():
            if store.dim != embeddings.dim:
                raise InputError(
                    f"The store {name} has {store.dim} dimensions and the store itself {embeddings.dim}; one encoder's "
                    "are expected."
                )
        missing = [name for name in self.variants() if name not in there] if there else []
        if not missing:
            return there, []
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        return there, [f"Without {named}, of which there are no stores."]

    def check_needs(self, embeddings: Embeddings) -> None:
        """Raise InputError in one sentence if a part is missing."""
        for split in ("train", "val", "test"):
            if split in self.needs and not (embeddings.splits == split).any():
                there = ", ".join(sorted(set(embeddings.splits.tolist()))) or "nothing"
                raise InputError(
                    f"The evaluation {self.name!r} needs items of split {split!r}; this store has {there}."
                )
        if "labels" in self.needs and not (embeddings.labels >= 0).any():
            raise InputError(f"The evaluation {self.name!r} needs labels; all labels of this store are unknown.")
        if "factors" in self.needs and not any(c.startswith("factor_") for c in embeddings.items.column_names):
            raise InputError(
                f"The evaluation {self.name!r} needs known factors of variation (columns factor_NAME of the items), as "
                "the images `sprites` have; this store has none."
            )
