"""How good is a representation? One file a protocol; the table below names them."""

from phispace.registry import Registry

REGISTRY = Registry(
    "evaluations",
    {
        "classifier": "phispace.evaluation.classifier:Classifier",
        "knn": "phispace.evaluation.knn:KNN",
        "linear": "phispace.evaluation.linear:LinearProbe",
        "retrieval": "phispace.evaluation.retrieval:Retrieval",
        "separation": "phispace.evaluation.separation:Separation",
        "health": "phispace.evaluation.health:Health",
    },
)
