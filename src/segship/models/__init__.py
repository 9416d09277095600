"""Inference-only networks; state-dict keys identical to MMSegmentation's."""
