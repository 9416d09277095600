"""Backbones: image in, a tuple of feature maps out."""
