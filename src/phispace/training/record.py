"""What `run.json` says of a training."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from phispace.encoders.build import count_parameters, multiply_adds
from phispace.methods.base import Method
from phispace.provenance import arguments
from phispace.run import Run, now
from phispace.storage import sha256_file
from phispace.training.assemble import Plan, task_record
from phispace.training.checkpoints import WEIGHTS
from phispace.training.precision import Choice
from phispace.training.resume import split_counts

if TYPE_CHECKING:
    from phispace.training.guard import Guard


def first_record(
    plan: Plan, method: Method, speed: dict[str, Any], choice: Choice, provenance: dict[str, Any]
) -> dict[str, Any]:
    """The record of a run that begins."""
    images, encoder = plan.images, method.encoder
    return {
        "id": secrets.token_hex(8),
        "argv": arguments(),
        "seed": plan.seed,
        "provenance": provenance,
        "sittings": [{"began": now(), "provenance": provenance}],
        "images": {
            "name": images.name,
            "items": split_counts(images),
            "trained_on": len(plan.items.train),
            "validated_on": len(plan.items.val),
            "shape": list(images.shape),
            "classes": list(images.classes),
            "fingerprint": images.fingerprint,
            "quarantined": len(images.quarantine),
            "source": dict(images.source),
        },
        "task": task_record(plan.task),
        "encoder": {
            "name": plan.config.encoder.name,
            "layers": list(encoder.layers),
            "width": encoder.width(),
            "parameters": count_parameters(encoder),
            "multiply_adds": multiply_adds(encoder),
            **encoder.facts(),
        },
        "method": {"name": plan.config.method["name"], "title": method.title, "reference": method.reference,
                   "parameters": sum(p.numel() for p in method.parameters()), **method.facts()},
        **stages_record(plan),
        "choices": {
            **speed,
            "precision": choice.precision,
            "precision_reason": choice.reason,
            "precision_seconds": choice.seconds,
            "drop_last": plan.timeline.spans[0].drop_last,
            "channels_last": True,
            **({} if method.known is None else {"features": dict(method.known.about)}),
        },
    }  # fmt: skip


def stages_record(plan: Plan) -> dict[str, Any]:
    """What a method that trains in turns trains when."""
    if not plan.timeline.staged:
        return {}
    return {
        "stages": [
            {
                "name": span.name,
                "epochs": [span.epochs.start + 1, span.epochs.stop],
                "trained_on": len(span.items.train),
                "validated_on": len(span.items.val),
                "batch_size": span.batch_size,
            }
            for span in plan.timeline.spans
        ]
    }


def _digests(run: Run) -> dict[str, str]:
    """Of what the record speaks of: tables and the weights of each checkpoint; `phispace verify` compares them."""
    files = [run.path / name for name in ("config.toml", "metrics.csv")]
    files += [path / WEIGHTS for path in run.checkpoints()]
    return {path.relative_to(run.path).as_posix(): sha256_file(path) for path in files if path.is_file()}


def result_record(run: Run, plan: Plan, guard: Guard) -> dict[str, Any]:
    """Fields of the record when training is complete."""
    recorder = guard.recorder
    rows = {row["epoch"]: row for row in recorder.rows}
    spent = run.record.get("choices", {}).get("features", {})  # what computing the frozen encoder's values took
    best = rows.get(guard.best["epoch"], {}) if guard.best["val_loss"] is not None else {}
    result = {
        "epochs": recorder.latest.get("epoch", 0),
        "steps": recorder.step,
        "images_seen": recorder.images_seen,
        "minutes": round((recorder.seconds + spent.get("seconds", 0.0)) / 60, 3),
        "cpu_minutes": round((recorder.cpu_seconds + spent.get("cpu_seconds", 0.0)) / 60, 3),
        "best_epoch": None if guard.best["val_loss"] is None else guard.best["epoch"],
        "best_val_loss": guard.best["val_loss"],
        "best_val_accuracy": best.get("val_accuracy"),
        "stopped_early": guard.stopped_early,
    }
    return {
        "status": "completed",
        "completed": now(),
        "error": None,
        "sha256": _digests(run),
        "result": {k: v for k, v in result.items() if v is not None},
        "best_checkpoint": guard.best["checkpoint"],
        "health": recorder.health.verdict if recorder.health else None,
    }
