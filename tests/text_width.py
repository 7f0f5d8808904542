"""The width of the text vectors that tests invent."""

from typing import Final

TEXT_DIM: Final = 20  # no encoder's width: a constant anywhere on the road would not fit
MINILM_DIM: Final = 384
