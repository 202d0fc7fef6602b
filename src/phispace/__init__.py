"""phispace: learn representations φ(x) of images, measure how good they are, show, search and report them."""

__version__ = "0.1.0"
