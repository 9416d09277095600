"""A running service against the package it should serve: as MMSegmentation's test_torchserve has it."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from segship.core.errors import InputError, one_line
from segship.runtime import Segmentor
from segship.vision.bands import as_picture, read_pixels
from segship.vision.draw import contact_sheet, overlay, write_jpeg
from segship.vision.image_files import find_images

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Agreement", "compare_service"]

Protocol: TypeAlias = Literal["segship", "torchserve", "v2"]

_SECONDS = 120
_LONGEST_REPLY = 2**30


@dataclass(frozen=True)
class Agreement:
    """One image.

    Attributes:
        image: Its file.
        labels_equal: Share of the pixels to which the service gives the package's label, 0-1.
    """

    image: Path
    labels_equal: float


def compare_service(
    url: str,
    package: str | os.PathLike[str],
    images: list[Path],
    *,
    protocol: Protocol = "segship",
    name: str = "",
    token: str = "",
    to: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Agreement]:
    """Ask a service for the mask of each image, and compare it with the package's own.

    Args:
        url: Of the service: ``http://127.0.0.1:8080``.
        package: What it should serve.
        images: Files, or folders of them.
        protocol: ``segship``: ``/v1/models/NAME/segment``. ``torchserve``: ``/predictions/NAME``, which gives a PNG.
            ``v2``: the Open Inference Protocol over REST, with binary tensors.
        name: Of the model; empty: the package's folder's.
        token: Sent as ``Authorization: Bearer``; empty: none is.
        to: Folder for a picture of each image, the service's mask beside the package's; None: none are drawn.
        progress: Called with (done, all) after each image.

    Returns:
        One for each image.

    Raises:
        InputError: The service cannot be reached, or answers something else than a mask.
        SegshipError: The package cannot be opened.
    """
    files = find_images(images)
    found = []
    service = _Service(url, protocol, name or Path(package).resolve().name, token)
    with Segmentor(package) as segmentor, contextlib.closing(service):
        for done, file in enumerate(files, 1):
            own, theirs = segmentor(file), service.mask(file.read_bytes(), segmentor)
            if own.shape != theirs.shape:
                raise InputError(f"{file}: the service's mask is {theirs.shape}, the package's {own.shape}")
            found.append(Agreement(file, float((own == theirs).mean())))
            if to is not None:
                rgb = as_picture(read_pixels(file, segmentor.spec))
                drawn = [overlay(rgb, mask, segmentor.spec.palette) for mask in (theirs, own)]
                sheet = contact_sheet(drawn, titles=("service", "package"), columns=2, width=960)
                write_jpeg(to / f"{file.stem}.jpg", sheet)
            if progress is not None:
                progress(done, len(files))
    return found


class _Service:
    def __init__(self, url: str, protocol: Protocol, name: str, token: str) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError(f"{url!r} is no address of a service: expected one as http://127.0.0.1:8080")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._url, self._protocol, self._name = url, protocol, name

    def close(self) -> None:
        self._connection.close()

    def mask(self, image: bytes, segmentor: Segmentor) -> NDArray[Any]:
        if self._protocol == "v2":
            return self._infer(image)
        path = f"/v1/models/{self._name}/segment?format=npy"
        if self._protocol == "torchserve":
            path = f"/predictions/{self._name}"
        body, _ = self._post(path, image, {"Content-Type": "application/octet-stream"})
        try:
            if self._protocol == "torchserve":
                with Image.open(io.BytesIO(body)) as picture:
                    return np.asarray(picture)
            return np.load(io.BytesIO(body), allow_pickle=False)  # type: ignore[no-any-return]
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{self._url} answers no mask of {len(segmentor.classes)} classes: {one_line(error)}"
            ) from None

    def _infer(self, image: bytes) -> NDArray[Any]:
        element = len(image).to_bytes(4, "little") + image
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(element)}}
        outputs = [{"name": "mask", "parameters": {"binary_data": True}}]
        text = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
        length = {"Inference-Header-Content-Length": str(len(text))}
        body, headers = self._post(f"/v2/models/{self._name}/infer", text + element, length)
        try:
            size = int(headers["inference-header-content-length"])
            mask = json.loads(body[:size])["outputs"][0]
            dtype = {"UINT8": np.uint8, "UINT16": np.uint16}[mask["datatype"]]
            return np.frombuffer(body[size:], dtype).reshape(mask["shape"])
        except (KeyError, IndexError, TypeError, ValueError):
            raise InputError(f"{self._url} answers no mask in the Open Inference Protocol's form") from None

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        try:
            self._connection.request("POST", path, body, {**self._headers, **headers})
            reply = self._connection.getresponse()
            answer = reply.read(_LONGEST_REPLY)
        except (OSError, http.client.HTTPException) as error:
            raise InputError(f"{self._url} cannot be asked: {one_line(error)}") from None
        if reply.status != http.HTTPStatus.OK:
            told = one_line(answer[:300].decode("utf-8", "replace"))
            raise InputError(f"{self._url}{path} answers {reply.status}: {told}")
        return answer, {key.lower(): value for key, value in reply.getheaders()}
