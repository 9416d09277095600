"""A package as a service: exact masks over HTTP, bounded in everything.

`serve` runs until it is told to stop, and so does `serve_on_ray`, on many machines; `application` is the ASGI
application alone, for a server of one's own, which then has to end slow connections itself.
"""

from __future__ import annotations

from segship.serve.app import application
from segship.serve.cluster import serve_on_ray
from segship.serve.options import Limits, ServeOptions
from segship.serve.process import serve

__all__ = ["Limits", "ServeOptions", "application", "serve", "serve_on_ray"]
