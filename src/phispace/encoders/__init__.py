"""φ: the networks. One file a family; the table below names them."""

from phispace.registry import Registry

REGISTRY = Registry(
    "encoders",
    {
        "convnet4": "phispace.encoders.convnet:ConvNet4",
        "convnet2": "phispace.encoders.convnet:ConvNet2",
        "vgg4": "phispace.encoders.vgg:VGG4",
        "speednet": "phispace.encoders.speednet:SpeedNet",
        "mlp": "phispace.encoders.mlp:MLP",
        "vit": "phispace.encoders.vit:ViT",
        "autoencoder-2d": "phispace.encoders.autoencoder_2d:Autoencoder2D",
        "vae-simple": "phispace.encoders.vae_simple:VAESimple",
        "vae-deep": "phispace.encoders.vae_deep:VAEDeep",
        "vae-residual": "phispace.encoders.vae_residual:VAEResidual",
        "vae-strided": "phispace.encoders.vae_strided:VAEStrided",
        "nin": "phispace.encoders.nin:NIN",
        "alexnet": "phispace.encoders.alexnet:AlexNet",
        "patch-dictionary": "phispace.encoders.patch_dictionary:PatchDictionary",
        "dim": "phispace.encoders.dim:DIMEncoder",
        "dcgan": "phispace.encoders.dcgan:DCGAN",
        "resnet18": "phispace.encoders.resnet:ResNet18",
    },
    aliases={
        "DenseNet121": "timm:densenet121",
        "ResNet50": "timm:resnet50",
        "ResNet101": "timm:resnet101",
        "InceptionV3": "timm:inception_v3",
        "MobileNetV2": "timm:mobilenetv2_100",
        "EfficientNet-Lite0": "timm:tf_efficientnet_lite0",
    },
    families={
        "timm": "phispace.encoders.timm_family:timm_model",
        "torchvision": "phispace.encoders.torchvision_family:torchvision_model",
    },
)
