"""Configurations of small trainings on digits."""

from __future__ import annotations

from phispace.training.config import RunConfig, make_config


def config(method: str, *settings: str, epochs: int = 2, encoder: str = "vae-simple") -> RunConfig:
    """One thread, float32, nothing that is not needed."""
    return make_config(
        method,
        "digits",
        encoder=encoder,
        epochs=epochs,
        settings=[
            "method.batch_size=50",
            "method.learning_rate=0.003",
            "training.threads=1",
            "training.precision=float32",
            "training.accelerator=cpu",
            "training.devices=1",
            "training.health_items=128",
            *settings,
        ],
    )
