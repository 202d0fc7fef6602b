"""The studies that come with the package; each is a TOML file in `declarations/`."""

from __future__ import annotations

from phispace.studies.study import Study, shipped


def quickstart() -> Study:
    """Handwritten digits, a small supervised network, its honest baselines: the whole job in under two minutes."""
    return shipped("quickstart")


def supervised_tsne() -> Study:
    """A supervised network on CIFAR-10: what its dense layer represents, its map, and its film over training."""
    return shipped("supervised-tsne")


def pretraining() -> Study:
    """Why does unsupervised pretraining help? Networks with and without it, by number of labels, and their ways."""
    return shipped("pretraining")


def imagenet_transfer() -> Study:
    """An ImageNet backbone on CIFAR-10: by resolution, frozen and trained, few labels, and what accuracy costs."""
    return shipped("imagenet-transfer")


def fashion_to_mnist() -> Study:
    """Convolutions that learnt clothes, frozen for digits, and the other way round, by number of labels."""
    return shipped("fashion-to-mnist")


def few_labels() -> Study:
    """Few labelled, many unlabelled images (synthetic cells, or yours): labels alone or an autoencoder first."""
    return shipped("few-labels")


def autoencoder_2d() -> Study:
    """MNIST into two dimensions: the digits on a plane, what is decoded from it, and how separate the classes are."""
    return shipped("autoencoder-2d")


def vae_latents() -> Study:
    """Variational autoencoders of MNIST and CIFAR-10 as published, a flat and a modern one beside them."""
    return shipped("vae-latents")


def domain_adaptation() -> Study:
    """Labels of one domain, images of two: denoising autoencoder, CORAL, batch normalisation."""
    return shipped("domain-adaptation")


def disentanglement() -> Study:
    """VAE, beta-VAE and beta-TCVAE on sprites of known factors: does each dimension of the code follow one factor?"""
    return shipped("disentanglement")


def drift() -> Study:
    """Drift: how soon representations notice that a stream of images changes, and how often falsely."""
    return shipped("drift")


def infomax_vs_transformations() -> Study:
    """Deep InfoMax against auto-encoding transformations and the field beside them: searches, probes, maps, metrics."""
    return shipped("infomax-vs-transformations")


def one_shot() -> Study:
    """One labelled image of each class, on representations learnt with and without labels."""
    return shipped("one-shot")


def zero_shot() -> Study:
    """Classes that were never labelled, told apart by the text vectors of their names."""
    return shipped("zero-shot")
