"""The experiments of the literature, declared in TOML over registered steps."""

from phispace.registry import Registry

REGISTRY = Registry(
    "studies",
    {
        "quickstart": "phispace.studies.declared:quickstart",
        "supervised-tsne": "phispace.studies.declared:supervised_tsne",
        "few-labels": "phispace.studies.declared:few_labels",
    },
)
