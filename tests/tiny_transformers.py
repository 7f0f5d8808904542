"""A transformer of sentence-transformers that nobody trained: small, and of a width that no other encoder has."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

TINY_DIM, TINY_TOKENS = 32, 24
PROMPT = "review: "
_WORDS = "the a and is it strings guitar cable amp pick sound tone bright dull broke good bad great my in review : ."


def write_tiny_transformer(folder: Path, *, seed: int = 0, pooling: str = "cls", normalised: bool = True) -> Path:
    """Writes a model folder: a BERT, a pooling, a projection and, if wanted, unit length; with a prompt by default."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    bert = folder.with_name(f"{folder.name}-bert")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_word_pieces(),
        model_max_length=64,
        **{"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"},
    )
    tokenizer.save_pretrained(bert)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,  # so that texts differ from each other
    )
    BertModel(config).save_pretrained(bert)
    transformer = Transformer(str(bert))
    transformer.max_seq_length = TINY_TOKENS
    modules = [transformer, Pooling(48, pooling), Dense(48, TINY_DIM)]
    model = SentenceTransformer(
        modules=[*modules, *([Normalize()] if normalised else [])],
        device="cpu",
        prompts={"review": PROMPT, "bare": ""},
        default_prompt_name="review",
    )
    model.save(str(folder), create_model_card=False)
    return folder


def _word_pieces() -> Tokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = [letter for first in ("", "##") for letter in (f"{first}{chr(code)}" for code in range(97, 123))]
    pieces = {piece: number for number, piece in enumerate(dict.fromkeys([*special, *_WORDS.split(), *letters]))}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    frame = [(name, pieces[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=frame)
    return tokenizer
