"""Maps: embeddings in the plane. One file a projection; the table below names them."""

from phispace.registry import Registry

REGISTRY = Registry(
    "maps",
    {
        "pca": "phispace.maps.pca:PCAProjection",
        "tsne": "phispace.maps.tsne:TSNEProjection",
        "umap": "phispace.maps.umap:UMAPProjection",
        "pacmap": "phispace.maps.pacmap:PaCMAPProjection",
        "isomap": "phispace.maps.isomap:IsomapProjection",
    },
)
