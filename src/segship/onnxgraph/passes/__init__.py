"""Rewrites of an ONNX model in place, one a file, each named after what it does.

A pass takes the model, and the weights where they are kept apart; it returns whether it changed anything.
"""
