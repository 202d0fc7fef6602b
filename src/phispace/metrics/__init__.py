"""Metrics: pure functions on arrays, used by training's monitors and by evaluation alike."""
