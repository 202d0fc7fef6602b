"""phispace.report"""
