"""φ as a scikit-learn transformer: fit, transform, clone, pipelines, grid searches, over any registered method.

    from phispace.sklearn import PhiTransformer
    pipeline = make_pipeline(PhiTransformer(epochs=10), LogisticRegression())
    pipeline.fit(images, labels)

Values. uint8 means 0 .. 255. Other numbers are taken as they are if all training values lie in [0, 1]; otherwise the
range of the training values becomes [0, 1], and what lies outside it later is clipped. Values are kept in 8 bits, as
all images here.

Layout. X is (N, H, W), (N, H, W, C), or rows (N, n_features) in the order of `image_shape` (C, H, W). Rows without an
`image_shape` are laid out as the smallest grey square that holds them, at least 4 x 4, row by row, zeros at its end.
Images that are not square are centred on black.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from phispace.data.imageset import UNKNOWN, ImageSet
from phispace.errors import InputError
from phispace.progress import Bars, Progress

_SMALLEST = 4
_BATCH = 64


class EstimatorInputError(InputError, ValueError):
    """Bad input to the transformer: ours, and the ValueError that scikit-learn's conventions ask for."""


class PhiTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learn a representation φ of images and give it as features.

    All rows are trained on; nothing is held out. The fitted estimator holds its weights as arrays: it pickles, and no
    run directory is left behind. The same rows, options, seed and threads give the same features.

    Args:
        method: a registered method; those that use labels need y, each distinct value of it being a class.
        encoder: a registered encoder; None = the method's own.
        layer: which layer `transform` gives, flattened.
        epochs, batch_size: None = the method's own.
        image_shape: (C, H, W) of a row, C = 1 or 3; None = see the module.
        random_state: int, RandomState or None, as everywhere in scikit-learn.
        precision: `float32`, `bf16`, or `auto`, which measures and so may choose differently each time.
        threads: to compute with; None = all.
        verbose: show bars.
        options: further options of the method, for example {"learning_rate": 0.01}.
        encoder_options: options of the encoder, for example {"width": 16}.

    Attributes:
        n_features_in_: values of a row.
        image_shape_: (C, H, W) of a row.
        value_range_: what became 0 and 1.
        classes_: distinct values of y, where the method uses labels.
        weights_: arrays by name.
        run_: what training recorded: status, choices, result.
    """

    image_shape_: tuple[int, int, int]
    value_range_: tuple[float, float]
    classes_: np.ndarray

    def __init__(
        self,
        method: str = "supervised",
        encoder: str | None = None,
        layer: str = "features",
        epochs: int | None = None,
        batch_size: int | None = None,
        image_shape: tuple[int, int, int] | None = None,
        random_state: Any = 0,
        precision: str = "float32",
        threads: int | None = None,
        verbose: bool = False,
        options: dict[str, Any] | None = None,
        encoder_options: dict[str, Any] | None = None,
    ) -> None:
        self.method = method
        self.encoder = encoder
        self.layer = layer
        self.epochs = epochs
        self.batch_size = batch_size
        self.image_shape = image_shape
        self.random_state = random_state
        self.precision = precision
        self.threads = threads
        self.verbose = verbose
        self.options = options
        self.encoder_options = encoder_options

    def fit(self, X: Any, y: Any = None) -> PhiTransformer:
        """Train the encoder on all rows.

        Args:
            X: images; see the module.
            y: (N,) classes; ignored by methods that use no labels.

        Raises:
            EstimatorInputError: (a ValueError) shapes, values or options that do not fit.
        """
        from phispace.training.restore import load_method
        from phispace.training.train import train

        X, y = self._validated(X, y, reset=True)
        images = self._images(X, y)
        try:
            config = self._config()
            with tempfile.TemporaryDirectory(prefix="phispace-fit-") as folder:
                run = train(config, Path(folder) / "run", images=images, progress=self._progress())
                trained = load_method(run, "last")
                trained.encoder.check_layers((self.layer,))
                self.run_ = {k: run.record[k] for k in ("status", "choices", "result") if k in run.record}
        except InputError as error:
            raise EstimatorInputError(str(error)) from error
        self.encoder_name_ = config.encoder.name
        self.encoder_options_ = {**config.encoder.options, **trained.encoder.appended}
        self.weights_ = {name: value.numpy().copy() for name, value in trained.encoder.state_dict().items()}
        self._n_features_out = trained.encoder.width(self.layer)
        self._network = trained.encoder
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features (N, D) float32 of images of the shape that was fitted.

        Batches always have the same size, filled up with zeros, because kernels for other sizes sum in another order:
        what a row becomes does not depend on the rows beside it.
        """
        from phispace.embeddings.extract import extract

        check_is_fitted(self)
        X, _ = self._validated(X, None, reset=False)
        n = len(X)
        filled = np.concatenate([X, np.zeros((-n % _BATCH, X.shape[1]), X.dtype)])
        images = self._images(filled, None)
        made = extract(self._encoder(), images, (self.layer,), precision="float32", batch_size=_BATCH)
        return np.asarray(made[self.layer].vectors[:n])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self._uses_labels()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []  # float32 whatever comes in
        return tags

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in super().__getstate__().items() if k != "_network"}

    def _uses_labels(self) -> bool:
        from phispace.methods import REGISTRY

        try:
            return bool(REGISTRY.get(self.method).uses_labels)
        except InputError:
            return False  # fit says what is wrong

    def _progress(self) -> Progress:
        return Bars() if self.verbose else Progress()

    def _config(self) -> Any:
        from phispace.training.config import RunConfig

        asked = {"epochs": self.epochs, "batch_size": self.batch_size}
        encoder = {"options": dict(self.encoder_options or {})} | ({"name": self.encoder} if self.encoder else {})
        return RunConfig.build(
            {
                "images": {"name": "X"},
                "encoder": encoder,
                "method": {
                    **(self.options or {}),
                    **{k: v for k, v in asked.items() if v is not None},
                    "name": self.method,
                },
                "training": {
                    "seed": int(check_random_state(self.random_state).randint(2**31 - 1)),
                    "precision": self.precision,
                    "threads": self.threads,
                    "tensorboard": False,
                    "checkpoints": "last",
                    "health_every": 0,
                    "devices": 1,
                },
            }
        )

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows (N, n_features) as they came, and y; sets the shapes, the range and the classes if `reset`."""
        shape = self.image_shape if reset else self.image_shape_
        if getattr(X, "ndim", 0) in (3, 4) and not hasattr(X, "sparse"):
            X, shape = self._rows(np.asarray(X))
        rule: dict[str, Any] = {"dtype": "numeric", "reset": reset}
        if reset and self._uses_labels():
            X, y = validate_data(self, X, y, **rule)
            check_classification_targets(y)
            self.classes_ = np.unique(y)
        else:
            X, y = validate_data(self, X, **rule), None
        if reset:
            self.image_shape_ = self._layout(X.shape[1], shape)
            self.value_range_ = _value_range(X)
        elif shape is not None and tuple(shape) != self.image_shape_:
            raise EstimatorInputError(f"Images of (C, H, W) = {self.image_shape_} were fitted; X has {tuple(shape)}.")
        if not reset and X.dtype == np.uint8 and self.value_range_ == (0.0, 1.0):
            raise EstimatorInputError("The fitted values lie in [0, 1]; X is uint8, 0 to 255. Divide it by 255.")
        return X, y

    @staticmethod
    def _rows(X: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
        """(N, H, W[, C]) to rows in the order (C, H, W)."""
        X = X[..., None] if X.ndim == 3 else X
        n, height, width, channels = X.shape
        return X.transpose(0, 3, 1, 2).reshape(n, -1), (channels, height, width)

    @staticmethod
    def _layout(n_features: int, shape: tuple[int, int, int] | None) -> tuple[int, int, int]:
        """(C, H, W) of a row; rows may be shorter than a square that nobody named."""
        if shape is None:
            side = max(_SMALLEST, math.isqrt(n_features - 1) + 1)
            return 1, side, side
        if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1 or math.prod(shape) != n_features:
            raise EstimatorInputError(
                f"image_shape is (C, H, W) with C = 1 or 3 and C * H * W = {n_features}, a row's values; got {shape}."
            )
        return int(shape[0]), int(shape[1]), int(shape[2])

    def _images(self, X: np.ndarray, y: np.ndarray | None) -> ImageSet:
        """Rows as square 8-bit images."""
        low, high = self.value_range_
        scaled = np.clip((X.astype(np.float64) - low) / (high - low), 0, 1)
        channels, height, width = self.image_shape_
        flat = np.zeros((len(X), channels * height * width), np.uint8)
        flat[:, : X.shape[1]] = np.round(scaled * 255)
        side = max(_SMALLEST, height, width)
        top, left = (side - height) // 2, (side - width) // 2
        pixels = np.zeros((len(X), side, side, channels), np.uint8)
        pixels[:, top : top + height, left : left + width] = flat.reshape(-1, channels, height, width).transpose(
            0, 2, 3, 1
        )
        labels = np.full(len(X), UNKNOWN, np.int64) if y is None else np.searchsorted(self.classes_, y).astype(np.int64)
        names = () if y is None else tuple(str(value) for value in self.classes_)
        ids = np.array([f"row/{i}" for i in range(len(X))], dtype=str)
        return ImageSet(pixels, labels, ids, names, np.full(len(X), "train"), name="X")

    def _encoder(self) -> Any:
        """The network with its weights; built again after unpickling."""
        if "_network" not in self.__dict__:
            import torch

            from phispace.encoders.build import build_encoder

            channels, height, width = self.image_shape_
            side = max(_SMALLEST, height, width)
            with torch.random.fork_rng(devices=()):
                network = build_encoder(self.encoder_name_, channels, side, **self.encoder_options_)
            network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in self.weights_.items()})
            self._network = network.eval()
        return self._network


def _value_range(X: np.ndarray) -> tuple[float, float]:
    """What becomes 0 and 1; see the module."""
    if X.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(X.min()), float(X.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low, low + 1.0)
