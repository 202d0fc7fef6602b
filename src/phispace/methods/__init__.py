"""How φ is learned: one file a method; the table below names them."""

from phispace.registry import Registry

REGISTRY = Registry(
    "methods",
    {
        "supervised": "phispace.methods.supervised:Supervised",
        "transfer": "phispace.methods.transfer:Transfer",
        "autoencoder": "phispace.methods.autoencoder:Autoencoder",
        "denoising-autoencoder": "phispace.methods.denoising_autoencoder:DenoisingAutoencoder",
        "sparse-autoencoder": "phispace.methods.sparse_autoencoder:SparseAutoencoder",
        "greedy-layerwise": "phispace.methods.greedy_layerwise:GreedyLayerwise",
        "vae": "phispace.methods.vae:VAE",
        "beta-vae": "phispace.methods.beta_vae:BetaVAE",
        "beta-tcvae": "phispace.methods.beta_tcvae:BetaTCVAE",
        "patch-kmeans": "phispace.methods.patch_kmeans:PatchKMeans",
        "infomax": "phispace.methods.infomax:InfoMax",
        "rotation": "phispace.methods.rotation:Rotation",
        "transformations": "phispace.methods.transformations:Transformations",
        "simclr": "phispace.methods.simclr:SimCLR",
        "moco": "phispace.methods.moco:MoCo",
        "byol": "phispace.methods.byol:BYOL",
        "simsiam": "phispace.methods.simsiam:SimSiam",
        "dino": "phispace.methods.dino:DINO",
        "supcon": "phispace.methods.supcon:SupCon",
        "dcgan": "phispace.methods.dcgan:DCGANMethod",
        "barlow-twins": "phispace.methods.barlow_twins:BarlowTwins",
        "vicreg": "phispace.methods.vicreg:VICReg",
        "lejepa": "phispace.methods.lejepa:LeJEPA",
        "mae": "phispace.methods.mae:MAE",
    },
    aliases={"dim": "infomax", "rotnet": "rotation", "aet": "transformations"},
)
