"""Hostile inputs: one module for each kind, whose ``CASES`` makes them and whose ``read`` is who reads them."""
