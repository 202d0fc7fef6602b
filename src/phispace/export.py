"""The encoder leaves the house.

    encoder.safetensors  all weights and buffers
    encoder.json         what they are: name, options, channels, size, layers, normalisation, classes, digests, origin
    encoder.pt2          one layer as a PyTorch program: runs with plain PyTorch, without phispace
    encoder.onnx         the same layer for other runtimes, checked against PyTorch
    README.md            how to load each

The safetensors and the JSON are the lasting form: any later phispace rebuilds the network from them. The program is
bound to PyTorch's own promises about `torch.export`. The directory appears whole or not at all.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from phispace import __version__, storage
from phispace.encoders.base import DEFAULT_LAYER, Encoder, Normalise
from phispace.encoders.weights import misfits
from phispace.errors import DataError, InputError
from phispace.progress import SILENT, Progress
from phispace.run import Run, now

FORMATS = ("safetensors", "pt2", "onnx")
WEIGHTS, RECORD, PROGRAM, ONNX = "encoder.safetensors", "encoder.json", "encoder.pt2", "encoder.onnx"


@dataclass(frozen=True)
class Origin:
    """What an export says of the encoder beside its weights.

    Attributes:
        name: registered name of the encoder.
        options: its options.
        classes: names of the classes it was trained with, if any.
        provenance: run, checkpoint, method, images ...; JSON-able.
    """

    name: str
    options: Mapping[str, Any]
    classes: Sequence[str] = ()
    provenance: Mapping[str, Any] | None = None


class _Layer(nn.Module):
    """One layer as a function of the images alone."""

    def __init__(self, encoder: Encoder, layer: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.encoder(images, self.layer)
        return out


def export_run(
    run: Run,
    out: Path | str,
    *,
    checkpoint: str = "best",
    formats: Sequence[str] = FORMATS,
    layer: str = DEFAULT_LAYER,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a run's encoder into a directory; an earlier export there is replaced.

    Args:
        out: a directory that is new, empty, or an earlier export.
        checkpoint: a checkpoint's name, `best` or `last`.
        formats: of `safetensors` (with the JSON; always written), `pt2` and `onnx`.
        layer: what the program and the ONNX file give.

    Returns:
        the files.

    Raises:
        InputError: unknown format or layer, or a directory that holds something else.
        MissingDependencyError: ONNX is asked for and the extra is not installed.
        DataError: the ONNX file does not give PyTorch's output.
    """
    from phispace.training.checkpoints import read_record
    from phispace.training.restore import load_method

    place = run.checkpoint(checkpoint)
    method = load_method(run, place.name)
    record = read_record(place)
    config = run.config
    provenance: dict[str, Any] = {
        "run": run.name,
        "checkpoint": place.name,
        **{k: record[k] for k in ("epoch", "step") if k in record},
        "config": config,
        "images": run.record.get("images", {}),
        "provenance": run.record.get("provenance", {}),
        "result": run.record.get("result", {}),
    }
    encoder = config.get("encoder", {})
    options = {**encoder.get("options", {}), **method.encoder.appended}
    origin = Origin(str(encoder.get("name")), options, method.task.classes, provenance)
    return export_encoder(method.encoder, out, origin, formats=formats, layer=layer, progress=progress)


def export_encoder(
    encoder: Encoder,
    out: Path | str,
    origin: Origin,
    *,
    formats: Sequence[str] = FORMATS,
    layer: str = DEFAULT_LAYER,
    progress: Progress | None = None,
) -> list[Path]:
    """Write any encoder; see `export_run`."""
    from phispace.export_onnx import check_onnx, require_onnx, write_onnx

    out = Path(out)
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise InputError(f"The format {unknown[0]!r} is not known; expected {', '.join(FORMATS)}.")
    encoder.check_layers((layer,))
    if out.exists() and (out.is_file() or (any(out.iterdir()) and not (out / RECORD).is_file())):
        raise InputError(f"{out} is not empty and not an export; choose another directory.")
    if "onnx" in formats:
        require_onnx()
    encoder = _portable(encoder)
    program = _Layer(encoder, layer).eval()
    shape = (encoder.channels, encoder.size, encoder.size)
    files = [WEIGHTS]
    checks: dict[str, Any] = {}
    with (
        (progress or SILENT).task("Exporting", total=len({*formats, "safetensors"})) as task,
        storage.atomic_directory(out) as new,
    ):
        tensors = {name: value.detach().contiguous().clone() for name, value in encoder.state_dict().items()}
        storage.write_bytes(new / WEIGHTS, save_tensors(tensors, metadata={"format": "pt"}))
        task.advance()
        if "pt2" in formats:
            _write_program(program, torch.zeros(2, *shape), new / PROGRAM)
            files.append(PROGRAM)
            task.advance()
        if "onnx" in formats:
            files += write_onnx(program, torch.zeros(2, *shape), new / ONNX, layer)
            checks["onnx"] = check_onnx(program, new / ONNX, shape, layer)
            task.advance()
        record = _record(encoder, origin, layer, tensors)
        record["files"] = {
            name: {"sha256": storage.sha256_file(new / name), "bytes": (new / name).stat().st_size} for name in files
        }
        storage.write_json(new / RECORD, {**record, "checks": checks})
        storage.write_text(new / "README.md", _readme(record, files))
    return [out / name for name in (RECORD, *files, "README.md")]


def _portable(encoder: Encoder) -> Encoder:
    """A copy on the CPU in float32, in evaluation mode."""
    import copy

    return copy.deepcopy(encoder).to("cpu", torch.float32).eval()


def _write_program(program: nn.Module, example: Tensor, path: Path) -> None:
    with storage.atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        exported = torch.export.export(program, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
        torch.export.save(exported, temporary)


def _record(encoder: Encoder, origin: Origin, layer: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    named = tuple(dict.fromkeys((*encoder.layers, layer)))  # the layer may be a reading, or a module inside
    stages = encoder.stages.values() if len(encoder.stages) else ()
    normalise = next((stage for stage in stages if isinstance(stage, Normalise)), None)
    return {
        "kind": "phispace encoder",
        "created": now(),
        "phispace": __version__,
        "torch": str(torch.__version__),
        "name": origin.name,
        "options": dict(origin.options),
        "channels": encoder.channels,
        "size": encoder.size,
        "input": "float32 (B, C, H, W) with values in [0, 1]; the normalisation is the first stage of the network",
        "normalisation": None
        if normalise is None
        else {"mean": normalise.mean.flatten().tolist(), "std": normalise.std.flatten().tolist()},
        "layer": layer,
        "layers": {name: list(shape) for name, shape in encoder.shapes_of(named).items()},
        "classes": list(origin.classes),
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "tensors": {name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in tensors.items()},
        "provenance": dict(origin.provenance or {}),
    }


def _readme(record: Mapping[str, Any], files: Sequence[str]) -> str:
    channels, size, layer = record["channels"], record["size"], record["layer"]
    shape = " x ".join(map(str, record["layers"][layer]))
    run = record["provenance"].get("run")
    lines = [
        f"# An encoder: {record['name']}",
        "",
        f"It takes images as float32 (B, {channels}, {size}, {size}) with values in [0, 1] (pixels divided by 255; "
        "nothing else: the normalisation is inside) and gives the layer "
        f"`{layer}`, {shape} values an image." + (f" From the run `{run}`." if run else ""),
        "`encoder.json` has the rest: layers, classes, digests, origin.",
        "",
    ]
    if PROGRAM in files:
        lines += [
            "## Plain PyTorch, without phispace",
            "",
            "```python",
            "import torch",
            f'encoder = torch.export.load("{PROGRAM}").module()',
            f"features = encoder(images)  # images: float32 (B, {channels}, {size}, {size}) in [0, 1]",
            "```",
            "",
            "Load programs only from where you trust; check the sha256 in `encoder.json`.",
            "",
        ]
    if ONNX in files:
        lines += [
            "## ONNX",
            "",
            "```python",
            "import onnxruntime",
            f'session = onnxruntime.InferenceSession("{ONNX}")',
            f'features = session.run(["{layer}"], {{"images": images}})[0]  # images: a numpy array',
            "```",
            "",
        ]
    return "\n".join(
        [
            *lines,
            "## phispace, any layer",
            "",
            "```python",
            "from phispace.export import load_encoder",
            'encoder = load_encoder(".")',
            f'features = encoder(images, layer="{layer}")  # layers: {", ".join(record["layers"])}',
            "```",
            "",
        ]
    )


def load_encoder(path: Path | str) -> Encoder:
    """Read an exported encoder back, in evaluation mode on the CPU.

    Args:
        path: the export's directory, or its `encoder.json`.

    Raises:
        DataError: missing, damaged or changed files; or weights that do not fit the network, each listed by name.
            Nothing is loaded in part.
        InputError: an encoder that this phispace does not have.
    """
    from phispace.encoders.build import build_encoder, to_be_filled

    folder = Path(path)
    folder = folder.parent if folder.name == RECORD else folder
    if not (folder / RECORD).is_file():
        raise DataError(f"{folder} is not an exported encoder (no {RECORD}); `phispace export RUN` makes one.")
    record = storage.read_json(folder / RECORD)
    try:
        name, options = str(record["name"]), dict(record["options"])
        channels, size = int(record["channels"]), int(record["size"])
        digest = str(record["files"][WEIGHTS]["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / RECORD} is not the record of an encoder: {error!r} is missing or wrong.") from error
    storage.check_sha256(folder / WEIGHTS, digest)
    try:
        tensors = load_tensors((folder / WEIGHTS).read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(f"{folder / WEIGHTS} cannot be read: {error}") from error
    with torch.random.fork_rng(devices=()):  # the weights drawn here are replaced; the caller's draws stay his own
        encoder = build_encoder(name, channels, size, **to_be_filled(name, options))
    problems = misfits(encoder.state_dict(), tensors)
    if problems:
        shown = "; ".join(problems[:6]) + (f"; and {len(problems) - 6} more" if len(problems) > 6 else "")
        raise DataError(
            f"{folder / WEIGHTS} does not fit the encoder {name!r} ({channels} channels, {size} pixels): {shown}."
        )
    encoder.load_state_dict(tensors)
    return encoder.eval()
