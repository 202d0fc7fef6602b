"""Images: the sources by name, and any path."""

from phispace.registry import Registry

REGISTRY = Registry(
    "images",
    {
        "digits": "phispace.data.digits:Digits",
        "sprites": "phispace.data.sprites:Sprites",
        "cifar10": "phispace.data.cifar:Cifar10",
        "cifar100": "phispace.data.cifar:Cifar100",
        "mnist": "phispace.data.mnist:Mnist",
        "fashion-mnist": "phispace.data.mnist:FashionMnist",
        "stl10": "phispace.data.stl10:Stl10",
        "svhn": "phispace.data.svhn:Svhn",
    },
)
