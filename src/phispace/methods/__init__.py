"""How φ is learned: one file a method; the table below names them."""

from phispace.registry import Registry

REGISTRY = Registry(
    "methods",
    {
        "supervised": "phispace.methods.supervised:Supervised",
    },
)
