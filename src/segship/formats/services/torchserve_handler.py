"""TorchServe's handler of a package: an encoded image in, its mask as PNG out. torch is not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import segship
from segship.vision.palette import encode_mask

__all__ = ["Handler"]


class Handler:
    """What TorchServe makes one of in each worker."""

    def __init__(self) -> None:
        self.initialized = False

    def initialize(self, context: Any) -> None:
        """Open the package, which lies beside this file.

        Args:
            context: TorchServe's.
        """
        folder = Path(context.system_properties["model_dir"]) / "package"
        self._segmentor = segship.Segmentor(folder, threads=1)
        self.initialized = True

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[bytes | str]:
        """The mask of each request.

        Args:
            data: Requests; the image is the body, or the part ``data``.
            context: TorchServe's.

        Returns:
            A PNG each; of what is no image, why it is none, with status 400.
        """
        replies: list[bytes | str] = []
        for number, request in enumerate(data):
            image = request.get("data") or request.get("body") or b""
            try:
                replies.append(encode_mask(self._segmentor(bytes(image)), self._segmentor.spec.palette))
                context.set_response_content_type(number, "image/png")
            except segship.SegshipError as error:
                context.set_response_status(code=400, phrase="Bad Request", idx=number)
                replies.append(str(error))
        return replies
