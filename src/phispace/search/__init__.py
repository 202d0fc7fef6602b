"""phispace.search"""
