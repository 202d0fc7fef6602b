"""What does an autoencoder cost beside its arithmetic? Its step against a hand-written encoder and decoder.

    python benchmarks/autoencoder_overhead.py [--batch 250 50] [--rounds 20] [--encoder convnet4] [--code 16]

Four steps take turns in one process, on the same ready-made batches with the same optimiser (float32):

    encoder   forward and backward of the encoder alone, with the mean square of its features as the loss
    bare      a plain nn.Sequential with the same layers as encoder and decoder, mean squared error
    ours      the method's `loss_terms`, as training calls it: encoder, mirrored decoder, its terms
    denoising the same of the denoising autoencoder with masking noise

Printed are medians over the rounds in milliseconds, and of the ratios within a round (ours over bare: 1 is the
arithmetic of the decoder and nothing else), with the multiply-adds beside them. What `phispace train` adds to a
step (views, Lightning, logging) does not depend on the method; `benchmarks/training_overhead.py` measures that.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from phispace.encoders.build import build_encoder, multiply_adds
from phispace.methods import REGISTRY
from phispace.methods.base import Batch, Method, Task

SIZE, CHANNELS, READY, WARM = 32, 3, 4, 2


def make(name: str, encoder: str, code: int, batch: int) -> Method:
    torch.manual_seed(0)
    kind = REGISTRY.get(name)
    network = build_encoder(encoder, CHANNELS, SIZE, code=code)
    config = kind.Config(batch_size=batch)
    return kind(network, config, Task(CHANNELS, SIZE, (), 50_000, 50_000 // batch)).to(
        memory_format=torch.channels_last
    )


def bare_loop(method: Method) -> nn.Sequential:
    """The same layers with no phispace code around them: the stages and the decoder's modules in one row."""
    return nn.Sequential(
        *copy.deepcopy(method.encoder).stages.values(), *copy.deepcopy(method.decoder).body, nn.Sigmoid()
    )


def stepper(weights: nn.Module, loss: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], None]:
    optimizer = torch.optim.Adam([p for p in weights.parameters() if p.requires_grad], 1e-3)

    def step(x: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()

    return step


def decoder_multiply_adds(method: Method, code: int) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        copy.deepcopy(method.decoder).eval()(torch.zeros(1, code))
    return int(counter.get_total_flops()) // 2


def measure(batch: int, rounds: int, encoder: str, code: int) -> None:
    ours, denoising = (make(n, encoder, code, batch).train() for n in ("autoencoder", "denoising-autoencoder"))
    bare, alone = bare_loop(ours).to(memory_format=torch.channels_last).train(), copy.deepcopy(ours.encoder).train()
    index, labels = torch.arange(batch), torch.full((batch,), -1)

    def through(method: Method) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: method.loss_terms(Batch((x,), labels, index))["loss"]

    steps = {
        "encoder": stepper(alone, lambda x: alone(x).square().mean()),
        "bare": stepper(bare, lambda x: nn.functional.mse_loss(bare(x), x)),
        "ours": stepper(ours, through(ours)),
        "denoising": stepper(denoising, through(denoising)),
    }
    ready = [
        torch.rand(batch, CHANNELS, SIZE, SIZE).contiguous(memory_format=torch.channels_last) for _ in range(READY)
    ]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for turn in range(-WARM, rounds):
        x = ready[turn % READY]
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step(x)
            if turn >= 0:
                taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    down, up = multiply_adds(ours.encoder), decoder_multiply_adds(ours, code)
    print(f"batch {batch}, {encoder} with code {code}, float32, {torch.get_num_threads()} threads, {rounds} rounds")
    for place, clock in enumerate(("wall", "processor")):
        found = {name: 1e3 * statistics.median(t[place] for t in times) for name, times in taken.items()}
        ratios = {
            "ours/bare": ("ours", "bare"),
            "denoising/bare": ("denoising", "bare"),
            "bare/encoder": ("bare", "encoder"),
        }
        print(f"  {clock}: " + ", ".join(f"{name} {value:.1f} ms" for name, value in found.items()))
        print("    " + ", ".join(f"{name} {_ratio(taken, a, b, place):.3f}" for name, (a, b) in ratios.items()))
    print(
        f"  multiply-adds: encoder {down / 1e6:.1f} M, decoder {up / 1e6:.1f} M, both/encoder {(down + up) / down:.2f}"
    )


def _ratio(taken: dict[str, list[tuple[float, float]]], one: str, other: str, place: int) -> float:
    """Median over the rounds of one's time over the other's in the same round."""
    return statistics.median(a[place] / b[place] for a, b in zip(taken[one], taken[other], strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[250, 50])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--encoder", default="convnet4")
    parser.add_argument("--code", type=int, default=16)
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    for size in options.batch:
        measure(size, options.rounds, options.encoder, options.code)
