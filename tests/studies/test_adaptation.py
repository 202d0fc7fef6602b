"""The study `domain-adaptation`: its numbers, by hand where that can be, and the whole on handwritten digits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phispace.data import load_images
from phispace.report.document import Findings, Report, Table
from phispace.studies.runner import run_study
from phispace.studies.steps.adaptation import proxy_a_distance
from phispace.studies.steps.adaptation_report import Domain, Representation, sections
from phispace.studies.study import load

ALONE = {"threads": 1, "precision": "float32"}


def test_the_proxy_a_distance_is_2_for_what_is_apart_and_0_for_what_is_alike() -> None:
    draws = np.random.default_rng(0)
    one, other = draws.normal(size=(2, 1200, 5))
    assert proxy_a_distance(one, other + 20, 0) == 2
    assert abs(proxy_a_distance(one, other, 0)) < 0.25
    # Two normal distributions 2 apart: a plane half-way errs on Φ(-1) = 15.9 % of each.
    shifted = other + np.array([2.0, 0, 0, 0, 0])
    assert proxy_a_distance(one, shifted, 0) == pytest.approx(2 * (1 - 2 * 0.1587), abs=0.12)
    assert np.isnan(proxy_a_distance(one[:1], other, 0))


def _domain(key: str, across: tuple[float, ...], within: tuple[float, ...]) -> Domain:
    names = ("learnt, both", "learnt, alone", "pixels")
    kinds = ("learnt", "learnt", "baseline")
    rows = [
        Representation(n, a, (a - 0.01, a + 0.01), w, 1.0, 100, k)
        for n, a, w, k in zip(names, across, within, kinds, strict=True)
    ]
    return Domain(key, key, tuple(rows))


@pytest.mark.parametrize(
    ("across", "verdict"),
    [((0.8, 0.6, 0.5), "yes"), ((0.8, 0.8, 0.5), "partly"), ((0.5, 0.8, 0.5), "no"), ((0.5, 0.5, 0.5), "open")],
)
def test_losses_ratios_and_verdicts(across: tuple[float, ...], verdict: str) -> None:
    domain = _domain("inverted", across, (0.95, 0.9, 0.9))
    parts, answer, headline, numbers = sections("digits", [domain], "denoising-autoencoder")
    found = numbers["domains"]["inverted"]["learnt, both"]
    assert found["transfer_loss"] == pytest.approx((1 - across[0]) - 0.1)
    ratios = next(p for p in parts if isinstance(p, Table) and p.title == "Over all targets")
    assert ratios.rows[0].cells[0].value == pytest.approx((1 - across[0]) / 0.1)
    assert ratios.rows[0].cells[1].value == pytest.approx(0.05 / 0.1)
    (finding,) = next(p for p in parts if isinstance(p, Findings)).findings
    assert finding.verdict == verdict
    assert f"{across[0]:.1%} right on a denoising-autoencoder of both domains, {across[1]:.1%} on one of" in answer
    assert [h.name for h in headline] == ["learnt on both"]


@pytest.mark.parametrize(
    ("across", "verdict"),
    [((0.5, 0.6, 0.7), "yes"), ((0.5, 0.6, 0.5), "partly"), ((0.5, 0.4, 0.3), "no"), ((0.5, 0.5, 0.5), "open")],
)
def test_what_is_found_of_the_adapted_network(across: tuple[float, ...], verdict: str) -> None:
    base = _domain("inverted", (0.5, 0.5, 0.5), (0.9, 0.9, 0.9))
    names = ("supervised", "supervised, CORAL", "supervised, batch normalisation")
    network = [
        Representation(n, a, (a - 0.01, a + 0.01), 0.9, 1.0, 100, "network")
        for n, a in zip(names, across, strict=True)
    ]  # fmt: skip
    domain = replace(base, rows=(*base.rows[:2], *network, base.rows[2]))
    parts, answer, headline, _ = sections("digits", [domain], "denoising-autoencoder")
    _, finding = next(p for p in parts if isinstance(p, Findings)).findings
    assert finding.verdict == verdict
    said = f"{across[0]:.1%} on the features of a network of the labels as it is, {across[1]:.1%} with CORAL and "
    assert f"{said}{across[2]:.1%} with batch normalisation." in answer
    assert [h.name for h in headline][1:] == ["network of the labels", "CORAL", "batch normalisation"]
    table = next(p for p in parts if isinstance(p, Table))
    assert [r.baseline for r in table.rows] == [False] * 5 + [True]


@pytest.mark.slow
def test_domain_adaptation(tmp_path: Path) -> None:
    """To inverted and coloured digits; the target's labels are used by nothing but what says so."""
    study = replace(load("domain-adaptation"), images="digits")
    run_study(study, out=tmp_path / "out", scale="smoke", training=ALONE)
    found = json.loads((tmp_path / "out" / "study.json").read_text())["steps"]["adaptation"]["result"]["domains"]
    assert list(found) == ["inverted", "coloured"]
    for rows in found.values():
        assert len(rows) == 8
        # The source's part is as it was; only what is said of the target changes.
        plain, coral, renormalised = (found_row for name, found_row in rows.items() if name.startswith("supervised"))
        assert plain["within"] == coral["within"] != renormalised["within"]
        assert len({plain["across"], coral["across"], renormalised["across"]}) == 3
        assert all(0 <= row["across"] <= 1 and row["n"] == 150 for row in rows.values())
    # Raw pixels of inverted digits look like nothing that a classifier of digits has seen.
    assert found["inverted"]["pixels"]["across"] < 0.5
    assert found["inverted"]["pixels"]["within"] > 0.7
    assert found["inverted"]["pixels"]["proxy_a_distance"] > 1.9
    for name in ("adaptation-inverted.png", "adaptation-coloured.png"):
        with Image.open(tmp_path / "out" / "figures" / name) as picture:
            assert min(picture.size) > 200
    tables = [s for s in Report.open(tmp_path / "out" / "report.json").sections if isinstance(s, Table)]
    assert [t.title for t in tables] == ["From digits to inverted", "From digits to coloured", "Over all targets"]


def test_a_target_may_be_another_set_of_the_same_classes(tmp_path: Path) -> None:
    from phispace.progress import SILENT
    from phispace.studies.runner import Context
    from phispace.studies.steps.adaptation import domains_of

    images = load_images("digits")
    other = replace(images, name="mine", images=255 - images.images, known_fingerprint=None)
    context = Context(tmp_path, lambda: images, "smoke", 0, SILENT, others={"mine": lambda: other})
    source, target = domains_of(context, "mine")
    assert (source.name, target.name) == ("digits", "mine")
    source, target = domains_of(context, "coloured")
    assert source.shape[0] == target.shape[0] == 3
