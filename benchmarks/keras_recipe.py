"""The author's recipe written in Keras with its ImageDataGenerator, against ours: the same network, schedule, images.

    python -m venv keras-env && keras-env/bin/pip install tensorflow-cpu scipy
    python benchmarks/keras_recipe.py --keras keras-env/bin/python [--images cifar10] [--data-dir DIR] [--steps 150]

Keras runs in its own environment, in a process of its own; the two sides take turns, three rounds each, with the same
number of threads. A round is `--steps` steps of batch 32 after a warm-up of 20. Printed are median images a second,
the seconds of one epoch of 50,000 images that follow from it, the ratio, and a hundred epochs, extrapolated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH = 32
KERAS = """
import json, sys, time
import os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
import keras
from keras import layers
threads = int(sys.argv[3])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)
try:
    from keras.preprocessing.image import ImageDataGenerator
except ImportError:
    from keras.src.legacy.preprocessing.image import ImageDataGenerator
data = np.load(sys.argv[1])
x, y = data["x"].astype("float32") / 255, keras.utils.to_categorical(data["y"], 10)
def norm():
    return [layers.BatchNormalization(epsilon=1e-3, momentum=0.99), layers.Activation("relu")]
net = keras.Sequential([keras.Input((32, 32, 3)),
    layers.Conv2D(32, 3, padding="same"), *norm(), layers.Conv2D(32, 3), *norm(), layers.MaxPooling2D(),
    layers.Conv2D(64, 3, padding="same"), *norm(), layers.Conv2D(64, 3), *norm(), layers.MaxPooling2D(),
    layers.Flatten(), layers.Dense(512), *norm(),
    layers.Dense(10), layers.BatchNormalization(epsilon=1e-3, momentum=0.99), layers.Activation("softmax")])
adam = keras.optimizers.Adam(1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
net.compile(adam, "categorical_crossentropy", metrics=["accuracy"])
augment = ImageDataGenerator(rotation_range=15, width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True)
flow = augment.flow(x, y, batch_size=32)
class Clock(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 19: self.start = time.perf_counter()
    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.start
steps = int(sys.argv[2])
clock = Clock()
net.fit(flow, steps_per_epoch=steps + 20, epochs=1, verbose=0, callbacks=[clock])
about = {"keras": keras.__version__, "tensorflow": tf.__version__, "parameters": net.count_params()}
print(json.dumps({"images_per_second": steps * 32 / clock.seconds, **about}))
"""


def keras_round(python: str, file: Path, steps: int, threads: int) -> dict[str, float]:
    done = subprocess.run(
        [python, "-c", KERAS, str(file), str(steps), str(threads)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"Keras failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def our_round(images, steps: int, threads: int, precision: str) -> dict[str, float]:
    """The real training, in this process, timed after its 20th step."""
    from pytorch_lightning.callbacks import Callback

    from phispace.training.config import make_config
    from phispace.training.train import train

    class Clock(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
            if batch_idx == 19:
                self.start = time.perf_counter()
            if batch_idx == 19 + steps:
                self.seconds = time.perf_counter() - self.start

    clock = Clock()
    config = make_config(
        "supervised", images.name, preset="keras", epochs=1, training={"threads": threads, "precision": precision}
    )
    with tempfile.TemporaryDirectory() as folder:
        run = train(config, Path(folder) / "run", images=images, callbacks=[clock])
        parameters = run.record["encoder"]["parameters"]
    return {"images_per_second": steps * BATCH / clock.seconds, "parameters": parameters}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras", required=True, help="the Python of the environment with tensorflow")
    parser.add_argument("--images", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    import numpy as np

    from phispace import load_images

    images = load_images(options.images, data_dir=options.data_dir)
    # Enough images for one round, so that a round is one short epoch.
    train, val = images.where("train")[: (options.steps + 21) * BATCH], images.where("val")[:100]
    few = images.take(np.sort(np.concatenate([train, val])))
    found: dict[str, list[float]] = {"Keras": [], "phispace, float32": [], "phispace, bf16": []}
    about: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "images.npz"
        np.savez(file, x=images.images[train], y=images.labels[train])
        for _ in range(options.rounds):
            about = keras_round(options.keras, file, options.steps, options.threads)
            found["Keras"].append(float(about["images_per_second"]))
            for precision in ("float32", "bf16"):
                made = our_round(few, options.steps, options.threads, precision)
                found[f"phispace, {precision}"].append(made["images_per_second"])
    print(f"Keras {about['keras']}, tensorflow {about['tensorflow']}, {options.threads} threads, batch {BATCH}")
    base = statistics.median(found["Keras"])
    for name, rates in found.items():
        middle = statistics.median(rates)
        epoch = 50_000 / middle
        print(
            f"{name:20} {middle:8,.0f} images/s ({min(rates):,.0f} to {max(rates):,.0f}), an epoch {epoch:6.1f} s, "
            f"a hundred epochs {epoch / 36:.1f} h (extrapolated), {middle / base:.2f} of Keras"
        )


if __name__ == "__main__":
    main()
