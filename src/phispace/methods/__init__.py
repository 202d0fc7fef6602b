"""How φ is learned: one file a method; the table below names them."""

from phispace.registry import Registry

REGISTRY = Registry(
    "methods",
    {
        "supervised": "phispace.methods.supervised:Supervised",
        "vae": "phispace.methods.vae:VAE",
        "beta-vae": "phispace.methods.beta_vae:BetaVAE",
        "beta-tcvae": "phispace.methods.beta_tcvae:BetaTCVAE",
    },
)
