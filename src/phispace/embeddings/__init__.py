"""phispace.embeddings"""
