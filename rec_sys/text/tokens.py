"""From texts to the token ids that the encoder reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from rec_sys.contracts import InputError

# Real reviews have 4 to 5 characters a token; a text is cut here before it is tokenised, so that 100,000 characters
# cost no more than what the encoder can read of them.
CHARACTERS_A_TOKEN: Final = 20


class TextTokenizer:
    """Reads the first tokens of each text, special tokens included.

    Args:
        path: A `tokenizer.json`.
        max_tokens: Tokens read of a text, and of its characters the first 20 times as many; None for all.
        prompt: Written before every text.
        pad_id: The token that stands where a text has ended.
        framed: Add the special tokens that frame a text.

    Raises:
        InputError: The file is no tokenizer.
    """

    def __init__(
        self, path: Path, max_tokens: int | None, prompt: str = "", pad_id: int = 0, *, framed: bool = True
    ) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise InputError(
                f"this is no tokenizer: {error}", where=str(path), remedy="give the tokenizer.json of the text model"
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if max_tokens is not None:
            self._tokenizer.enable_truncation(max_tokens)
        self._prompt, self._pad_id, self._framed = prompt, pad_id, framed
        self._max_characters = None if max_tokens is None else CHARACTERS_A_TOKEN * max_tokens

    @property
    def vocabulary_size(self) -> int:
        """Tokens that there are."""
        return self._tokenizer.get_vocab_size()

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """int32 [len(texts)]: tokens that `pad` will hold for each text."""
        return np.fromiter(map(len, self.read(texts)), dtype=np.int32, count=len(texts))

    def pad(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Token ids and attention mask, both int64 [len(texts), longest], padded on the right."""
        rows = self.read(texts)
        shape = len(rows), max(map(len, rows), default=0)
        token_ids, mask = np.full(shape, self._pad_id, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for place, row in enumerate(rows):
            token_ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return token_ids, mask

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text."""
        readable = [self._prompt + make_readable(text[: self._max_characters]) for text in texts]
        return [
            encoding.ids for encoding in self._tokenizer.encode_batch_fast(readable, add_special_tokens=self._framed)
        ]


def make_readable(text: str) -> str:
    """The text as a tokenizer can take it: half of a surrogate pair, as broken JSON leaves it, becomes `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")
