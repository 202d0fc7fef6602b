"""phispace.training"""
