"""CLIP's byte-pair vocabulary: which numbers its text encoder sees for a text.

Source: CLIP (arXiv:2103.00020), Neural Machine Translation of Rare Words with Subword Units (arXiv:1508.07909).
"""

from __future__ import annotations

import gzip
import html
import itertools
import re
import zlib
from typing import TYPE_CHECKING

from segship.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FILES", "Vocabulary", "read_vocabulary"]

FILES = ("bpe_simple_vocab_16e6.txt.gz", "merges.txt")
"""What CLIP itself and Hugging Face's tokenizers call the file."""

_MERGES = 48_894
_MAXIMUM_BYTES = 2**23
_COMPRESSED = b"\x1f\x8b"
_END_OF_WORD = "</w>"
_PARTS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+", re.ASCII)
_PRINTED_FIRST = (range(33, 127), range(161, 173), range(174, 256))


class Vocabulary:
    """Pairs of parts of words, in the order in which they are joined.

    Args:
        merges: The pairs.
    """

    def __init__(self, merges: list[tuple[str, str]]) -> None:
        symbols = list(_symbols().values())
        words = [*symbols, *(symbol + _END_OF_WORD for symbol in symbols), *("".join(pair) for pair in merges)]
        self._numbers = {word: number for number, word in enumerate(words)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._symbols = _symbols()
        self.start, self.end = len(words), len(words) + 1

    def tokens(self, text: str, *, most: int) -> list[int]:
        """The numbers of a text, between those of its start and its end.

        Args:
            text: Letters, digits and signs of ASCII.
            most: How many there may be; longer texts are cut off before the end's number.

        Raises:
            UnsupportedError: A character is not of ASCII, or cannot be printed.
        """
        if not text.isascii() or not text.isprintable():
            raise UnsupportedError(f"{text!r:.80} has characters that are no printed ones of ASCII")
        plain = " ".join(html.unescape(html.unescape(text)).split()).lower()
        if not plain.isascii():
            raise UnsupportedError(f"{text!r:.80} names characters that are none of ASCII")
        found = [self.start]
        for part in _PARTS.findall(plain):
            found += [self._numbers[word] for word in self._joined(part)]
        return [*found[: most - 1], self.end]

    def _joined(self, part: str) -> list[str]:
        """The symbols of a part of a text, joined by the pairs in their order."""
        word = [self._symbols[ord(letter)] for letter in part]
        word[-1] += _END_OF_WORD
        while len(word) > 1:
            pairs = set(itertools.pairwise(word))
            first = min(pairs, key=lambda pair: self._ranks.get(pair, _MERGES))
            if first not in self._ranks:
                break
            word = _with_joined(word, first)
        return word


def _with_joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    """The word, in which a pair is one symbol wherever it stands."""
    found: list[str] = []
    for symbol in word:
        if found and found[-1] == pair[0] and symbol == pair[1]:
            found[-1] = "".join(pair)
        else:
            found.append(symbol)
    return found


def _symbols() -> dict[int, str]:
    """A character for each byte, those that can be printed first."""
    printed = [byte for bytes_ in _PRINTED_FIRST for byte in bytes_]
    others = [byte for byte in range(256) if byte not in printed]
    return {byte: chr(byte) for byte in printed} | {byte: chr(256 + place) for place, byte in enumerate(others)}


def read_vocabulary(path: Path) -> Vocabulary:
    """Read CLIP's ``bpe_simple_vocab_16e6.txt.gz``, or ``merges.txt`` as Hugging Face's tokenizers have it.

    Raises:
        ConfigError: The file cannot be read, or is another one.
    """
    lines = _text(path).split("\n")[1 : _MERGES + 1]
    merges = [tuple(line.split()) for line in lines]
    pairs = [(pair[0], pair[1]) for pair in merges if len(pair) == 2]  # noqa: PLR2004
    if len(pairs) != _MERGES or len(set(pairs)) != _MERGES:
        raise ConfigError(f"{path} is no vocabulary of CLIP's: expected {_MERGES} different pairs, one a line")
    vocabulary = Vocabulary(pairs)
    if not set("".join(map("".join, pairs))) <= set("".join(_symbols().values())):
        raise ConfigError(f"{path} is no vocabulary of CLIP's: its pairs have characters that stand for no byte")
    return vocabulary


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{path} is not a file")
        with path.open("rb") as file:
            data = file.read(_MAXIMUM_BYTES + 1)
        if data.startswith(_COMPRESSED):
            with gzip.open(path) as packed:
                data = packed.read(_MAXIMUM_BYTES + 1)
        if len(data) > _MAXIMUM_BYTES:
            raise ConfigError(f"{path} has more than {_MAXIMUM_BYTES} bytes, more than CLIP's vocabulary")
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ConfigError(f"{str(path)!r:.200} cannot be read: {error}") from None
