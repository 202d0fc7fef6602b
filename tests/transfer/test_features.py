"""Features of frozen encoders: computed once, in parts that survive, the same as those of an extraction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from phispace.embeddings import features
from phispace.embeddings.extract import extract
from phispace.embeddings.features import identity, known_features
from phispace.encoders.build import build_encoder


def backbone(**options):
    torch.manual_seed(0)
    return build_encoder("timm:test_resnet", 1, 8, **{"weights": "random", "resolution": 32, **options}).eval()


def test_they_are_those_of_an_extraction_and_computed_once(digits, cache, monkeypatch):
    encoder = backbone()
    layers = ("features", "layer2.0")
    found = known_features(encoder, digits, layers)
    plain = extract(encoder, digits, layers, precision="float32")
    for layer in layers:
        assert np.array_equal(found[layer].vectors, plain[layer].vectors)
        assert np.array_equal(found[layer].ids, digits.ids)
        assert found[layer].path.parent == cache / "features"
    monkeypatch.setattr(features, "extract", None)
    again = known_features(encoder, digits, ("features",))["features"]
    assert np.array_equal(again.vectors, found["features"].vectors)


@pytest.mark.parametrize("option", [{"resolution": 40}, {"interpolation": "nearest"}, {"grey": "sum"}])
def test_the_key_knows_all_that_decides_the_vectors(digits, option):
    same = identity(backbone(), digits, "features")
    assert identity(backbone(), digits, "features") == same
    assert identity(backbone(**option), digits, "features") != same
    assert identity(backbone(), digits, "layer2.0") != same
    other = backbone()
    with torch.no_grad():
        other.network.bn1.running_mean += 1e-3
    assert identity(other, digits, "features") != same
    darker = replace(digits, images=digits.images // 2, known_fingerprint=None)
    assert identity(backbone(), darker, "features") != same


class Cut(Exception):
    """Stands for a crash."""


def test_an_extraction_that_was_cut_goes_on_with_the_missing_parts(digits, cache, monkeypatch):
    monkeypatch.setattr(features, "PART", 100)
    encoder = backbone()
    whole = extract(encoder, digits, precision="float32")["features"].vectors
    done = []

    def until_the_third(*arguments, shard, **options):
        if len(done) == 2:
            raise Cut
        done.append(shard)
        return extract(*arguments, shard=shard, **options)

    with monkeypatch.context() as patched:
        patched.setattr(features, "extract", until_the_third)
        with pytest.raises(Cut):
            known_features(encoder, digits)
    assert len(list((cache / "features").glob("*.shard-*"))) == 2
    more = []

    def counted(*arguments, shard, **options):
        more.append(shard)
        return extract(*arguments, shard=shard, **options)

    monkeypatch.setattr(features, "extract", counted)
    found = known_features(encoder, digits)["features"]
    assert more == [(2, 5), (3, 5), (4, 5)]
    assert np.array_equal(found.vectors, whole)
    assert not list((cache / "features").glob("*.shard-*"))


def test_a_damaged_store_is_made_again(digits):
    encoder = backbone()
    found = known_features(encoder, digits)["features"]
    expected = np.array(found.vectors)
    path = found.path / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-4] + b"oops")
    assert np.array_equal(known_features(encoder, digits)["features"].vectors, expected)


def test_another_precision_is_another_extraction_and_its_agreement_is_told(digits):
    encoder = backbone()
    exact = np.array(known_features(encoder, digits)["features"].vectors)
    coarse = known_features(encoder, digits, precision="bf16")["features"]
    assert coarse.manifest["precision"] == "bf16"
    assert coarse.manifest["bf16_agreement"]["min_cosine"] > 0.99
    assert not np.array_equal(coarse.vectors, exact)
    assert known_features(encoder, digits)["features"].manifest["precision"] == "bf16", "auto takes what is there"
    assert known_features(encoder, digits, precision="float32")["features"].manifest["precision"] == "float32"


def test_where_nothing_can_be_written_they_are_in_memory(digits, tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the cache should be")
    monkeypatch.setenv("PHISPACE_CACHE", str(blocked))
    found = known_features(backbone(), digits)["features"]
    assert found.path is None
    assert found.vectors.shape == (len(digits), 96)
