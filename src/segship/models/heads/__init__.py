"""Decode heads: feature maps in, low-resolution logits out."""
