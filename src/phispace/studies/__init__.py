"""The experiments of the literature, declared in TOML over registered steps."""

from phispace.registry import Registry

REGISTRY = Registry(
    "studies",
    {
        "quickstart": "phispace.studies.declared:quickstart",
        "supervised-tsne": "phispace.studies.declared:supervised_tsne",
        "pretraining": "phispace.studies.declared:pretraining",
        "imagenet-transfer": "phispace.studies.declared:imagenet_transfer",
        "fashion-to-mnist": "phispace.studies.declared:fashion_to_mnist",
        "few-labels": "phispace.studies.declared:few_labels",
        "autoencoder-2d": "phispace.studies.declared:autoencoder_2d",
        "vae-latents": "phispace.studies.declared:vae_latents",
        "disentanglement": "phispace.studies.declared:disentanglement",
        "infomax-vs-transformations": "phispace.studies.declared:infomax_vs_transformations",
        "one-shot": "phispace.studies.declared:one_shot",
        "zero-shot": "phispace.studies.declared:zero_shot",
        "drift": "phispace.studies.declared:drift",
        "domain-adaptation": "phispace.studies.declared:domain_adaptation",
    },
)
