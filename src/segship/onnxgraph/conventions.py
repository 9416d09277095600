"""What every graph has in common: names of its ends, and versions of its operators."""

__all__ = ["ATTENTION_OPSET", "INPUT", "OPSET", "OUTPUT"]

INPUT, OUTPUT = "image", "logits"

OPSET = 20
"""Every engine reads it."""

ATTENTION_OPSET = 23
"""The first that has attention as one operator; used for networks that have attention."""
