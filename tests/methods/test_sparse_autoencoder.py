"""The sparse autoencoder: which values are kept, its losses, how sparse the codes of digits become, its export."""

from __future__ import annotations

import learning
import numpy as np
import pytest
import torch

from phispace.encoders.build import build_encoder
from phispace.encoders.sparse import Sparse
from phispace.errors import InputError
from phispace.export import Origin, export_encoder, load_encoder
from phispace.methods.sparse_autoencoder import SparseAutoencoder, k_at, scale_free_l1

WIDE = {"name": "mlp", "hidden": (64,), "code": 100}


def test_the_k_largest_are_kept_as_they_are():
    x = torch.randn((50, 20), generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = Sparse(4)(x)
    values = x.detach().numpy()
    expected = np.where(values >= np.sort(values, 1)[:, -4:].min(1, keepdims=True), values, 0)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), (expected != 0).astype(np.float32))


def test_ties_and_constant_codes_keep_k_values():
    assert (Sparse(3)(torch.ones(5, 7)) != 0).sum(1).tolist() == [3] * 5
    assert (Sparse(3)(torch.zeros(5, 7)) != 0).sum() == 0
    assert torch.equal(Sparse("relu")(torch.tensor([[-1.0, 0.0, 2.0]])), torch.tensor([[0.0, 0.0, 2.0]]))


def test_the_penalty_is_its_formula_and_has_no_scale():
    z = torch.randn((30, 12), generator=torch.Generator().manual_seed(0)).relu()
    v = z.double().numpy()
    expected = np.abs(v).mean() / np.sqrt((v**2).mean())
    assert float(scale_free_l1(z)) == pytest.approx(expected, rel=1e-5)
    assert float(scale_free_l1(1e-6 * z)) == pytest.approx(expected, rel=1e-5)
    assert float(scale_free_l1(torch.ones(4, 5))) == pytest.approx(1)
    one = torch.zeros(4, 5)
    one[:, 0] = 3
    assert float(scale_free_l1(one)) == pytest.approx(0.2**0.5)
    zero = torch.zeros(4, 5, requires_grad=True)
    scale_free_l1(zero).backward()
    assert float(scale_free_l1(zero).detach()) == 0
    assert zero.grad.isfinite().all()


@pytest.mark.parametrize("loss", ["mse", "bce"])
@pytest.mark.parametrize("sparsity", ["k-sparse", "l1"])
def test_the_loss_is_its_formula(sparsity, loss):
    method = learning.make("sparse-autoencoder", WIDE, sparsity=sparsity, loss=loss, k=7, l1=0.3)
    images = learning.digits()[0][:20]
    with torch.no_grad():
        terms = method.loss_terms(learning.batch_of(images))
        dense = method.encoder(images, "dense").double().numpy()
        if sparsity == "l1":
            codes = np.maximum(dense, 0)
            penalty = np.abs(codes).mean() / np.sqrt((codes**2).mean())
            assert float(terms["l1"]) == pytest.approx(penalty, rel=1e-5)
        else:
            codes, penalty = np.where(dense >= np.sort(dense, 1)[:, [-7]], dense, 0), 0.0
        y = torch.sigmoid(method.decoder.body(torch.from_numpy(codes).float())).double().numpy()
    x = images.double().numpy()
    error = ((x - y) ** 2).mean() if loss == "mse" else -(x * np.log(y) + (1 - x) * np.log1p(-y)).mean()
    assert float(terms["loss"]) == pytest.approx(error + 0.3 * penalty, rel=1e-5)
    assert float(terms["active"]) == pytest.approx((codes != 0).mean())


def test_k_falls_to_half_time_and_validation_sees_the_last(monkeypatch):
    assert [k_at(step, 20, 50, 10) for step in (0, 5, 10, 15, 100)] == [50, 30, 10, 10, 10]
    method = learning.make("sparse-autoencoder", WIDE, k=10, k_start=50, epochs=1, batch_size=60)
    step = [0]
    monkeypatch.setattr(SparseAutoencoder, "global_step", property(lambda _: step[0]))
    batch = learning.batch_of(learning.digits()[0][:20])
    for place, expected in ((0, 0.5), (5, 0.3), (10, 0.1), (19, 0.1)):
        step[0] = place
        assert float(method.train().loss_terms(batch)["active"]) == pytest.approx(expected)
        assert float(method.eval().loss_terms(batch)["active"]) == pytest.approx(0.1)


def test_the_sparse_code_is_the_encoders_features_and_is_exported(tmp_path):
    method = learning.make("sparse-autoencoder", WIDE, k=7)
    encoder = method.encoder
    images = learning.digits()[0][:9]
    with torch.no_grad():
        codes = encoder(images)
        assert (codes != 0).sum(1).tolist() == [7] * 9
        assert (encoder(images, "dense") != 0).all()
        origin = Origin("mlp", {"hidden": (64,), "code": 100, **encoder.appended})
        assert origin.options["sparse"] == 7
        export_encoder(encoder, tmp_path / "out", origin, formats=("safetensors", "pt2"))
        assert torch.equal(load_encoder(tmp_path / "out")(images), codes)
        program = torch.export.load(tmp_path / "out" / "encoder.pt2").module()
        torch.testing.assert_close(program(images), codes)


def test_wrong_widths_are_named():
    with pytest.raises(InputError, match="keeps 25 values must have more than that; MLP has 8"):
        learning.make("sparse-autoencoder", {"name": "mlp", "hidden": (8,)})
    with pytest.raises(InputError, match=r"25 <= k_start <= 100.*got 200"):
        learning.make("sparse-autoencoder", WIDE, k_start=200)
    with pytest.raises(InputError, match=r"encoder\.sparse is 9 and the method makes it 25"):
        learning.make("sparse-autoencoder", WIDE | {"sparse": 9})
    assert learning.make("sparse-autoencoder", WIDE | {"sparse": 9}, k=9).encoder.width() == 100
    with pytest.raises(InputError, match="sparse code already"):
        build_encoder("mlp", 1, 8, sparse="relu").append_sparsity(3)


def test_k_values_tell_digits_apart():
    """10 of 100 values are not 0, fewer than a fifth of the dimensions are dead, and the image comes back from them."""
    method = learning.learn(learning.make("sparse-autoencoder", WIDE, k=10, k_start=50, epochs=25, learning_rate=1e-2))
    found = method.measure([learning.digits()[0][learning.TRAIN :]])
    assert found["active"] == pytest.approx(0.1, abs=0.001)
    assert found["dead"] < 0.2
    assert found["hoyer"] > 0.6
    assert learning.error(method) < 0.4 * learning.mean_image_error()
    assert learning.neighbours(method) > 0.85
    assert method.verdict(found).startswith("An image uses 10.0 of 100 values")


def test_a_larger_penalty_makes_fewer_values():
    active, error = [], []
    for weight in (0.0, 0.01, 0.1):
        made = learning.make("sparse-autoencoder", WIDE, sparsity="l1", l1=weight, epochs=20, learning_rate=1e-2)
        method = learning.learn(made)
        active.append(method.measure([learning.digits()[0]])["active"])
        error.append(learning.error(method))
    assert active[0] > 0.3
    assert active[1] < 0.75 * active[0]
    assert active[2] < 0.5 * active[1]
    assert error[0] < error[2]


def test_dead_dimensions_are_named():
    method = learning.make("sparse-autoencoder", WIDE, k=10)
    words = method.verdict({"active": 0.1, "dead": 0.7, "hoyer": 0.9})
    assert words.startswith("DEAD DIMENSIONS: an image uses 10.0 of 100 values; 70% are never used. Try a larger k")
