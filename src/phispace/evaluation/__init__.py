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
        "few-labels": "phispace.evaluation.few_labels:FewLabels",
        "episodes": "phispace.evaluation.episodes:EpisodesEvaluation",
        "clustering": "phispace.evaluation.clustering:Clustering",
        "density-clustering": "phispace.evaluation.density:DensityClustering",
        "retrieval": "phispace.evaluation.retrieval:Retrieval",
        "separation": "phispace.evaluation.separation:Separation",
        "health": "phispace.evaluation.health:Health",
        "intrinsic-dimension": "phispace.evaluation.intrinsic_dimension:IntrinsicDimension",
        "lidar": "phispace.evaluation.lidar:LiDAR",
        "smoothness": "phispace.evaluation.smoothness:Smoothness",
        "sparsity": "phispace.evaluation.sparsity:Sparsity",
        "manifold": "phispace.evaluation.manifold:Manifold",
        "hierarchy": "phispace.evaluation.hierarchy:Hierarchy",
        "robustness": "phispace.evaluation.robustness:Robustness",
        "cka": "phispace.evaluation.cka:CKA",
        "shared-factors": "phispace.evaluation.shared_factors:SharedFactors",
        "groups": "phispace.evaluation.groups:Groups",
        "mig": "phispace.evaluation.mig:MIG",
        "dci": "phispace.evaluation.dci:DCIScores",
        "sap": "phispace.evaluation.sap:SAP",
        "factorvae": "phispace.evaluation.factorvae:FactorVAEScore",
    },
)
