"""How good is a representation? One file a protocol; the table below names them."""

from phispace.registry import Registry

REGISTRY = Registry(
    "evaluations",
    {
        "classifier": "phispace.evaluation.classifier:Classifier",
        "knn": "phispace.evaluation.knn:KNN",
        "linear": "phispace.evaluation.linear:LinearProbe",
        "linear-sgd": "phispace.evaluation.linear_sgd:LinearSGD",
        "mlp": "phispace.evaluation.mlp:MLPProbe",
        "dense-1": "phispace.evaluation.dense:Dense1",
        "dense-2": "phispace.evaluation.dense:Dense2",
        "dense-3": "phispace.evaluation.dense:Dense3",
        "conv-block": "phispace.evaluation.conv_block:ConvBlock",
        "retrieval": "phispace.evaluation.retrieval:Retrieval",
        "clustering": "phispace.evaluation.clustering:Clustering",
        "density-clustering": "phispace.evaluation.density:DensityClustering",
        "separation": "phispace.evaluation.separation:Separation",
        "health": "phispace.evaluation.health:Health",
        "robustness": "phispace.evaluation.robustness:Robustness",
        "cka": "phispace.evaluation.cka:CKA",
    },
)
