"""The image of a request: its body, or the one file of a form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from segship.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Scope

__all__ = ["image_of"]

_FIELDS = 16


async def image_of(scope: Scope, body: bytes) -> bytes:
    """The encoded image that a request holds.

    Args:
        scope: Of the request.
        body: Of the request: the image, or ``multipart/form-data`` with one file.

    Raises:
        InputError: The form is damaged, or holds another number of files.
    """
    headers = Headers(scope=scope)
    if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return body
    parser = MultiPartParser(headers, _whole(body), max_files=_FIELDS, max_fields=_FIELDS)
    parser.spool_max_size = len(body)  # it is in memory already: nothing goes to the disk
    try:
        form = await parser.parse()
    except (MultiPartException, MultipartParseError, KeyError, ValueError, UnicodeError):
        raise InputError("the form is damaged: send multipart/form-data with one file, or the image alone") from None
    try:
        uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(uploads) != 1:
            raise InputError(f"the form holds {len(uploads)} files: send one")
        return await uploads[0].read()
    finally:
        await form.close()


async def _whole(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
