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
_CHARACTERS_A_TOKEN: Final = 20


class TextTokenizer:
    """Reads the first tokens of each text, special tokens included.

    Args:
        path: A `tokenizer.json`.
        max_tokens: Tokens read of a text; of its characters the first 20 times as many.

    Raises:
        InputError: The file is no tokenizer.
    """

    def __init__(self, path: Path, max_tokens: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise InputError(
                f"this is no tokenizer: {error}", where=str(path), remedy="give the tokenizer.json of the text model"
            ) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._max_characters = _CHARACTERS_A_TOKEN * max_tokens

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """int32 [len(texts)]: tokens that `pad` will hold for each text."""
        return np.fromiter(map(len, self._read(texts)), dtype=np.int32, count=len(texts))

    def pad(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Token ids and attention mask, both int64 [len(texts), longest], padded on the right with zeros."""
        rows = self._read(texts)
        token_ids = np.zeros((len(rows), max(map(len, rows), default=0)), dtype=np.int64)
        mask = np.zeros_like(token_ids)
        for place, row in enumerate(rows):
            token_ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return token_ids, mask

    def _read(self, texts: Sequence[str]) -> list[list[int]]:
        # Half of a surrogate pair, as broken JSON escapes leave it, has no UTF-8 form and becomes a question mark.
        readable = [text[: self._max_characters].encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(readable)]
