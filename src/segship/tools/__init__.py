"""The workshop: tools around a trained network. One file or folder for each, each callable from Python.

What they return is data: frozen dataclasses. ``segship tools NAME`` prints it.
"""
