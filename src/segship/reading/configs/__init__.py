"""Configs of MMEngine and mmcv, read as data."""
