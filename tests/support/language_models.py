"""Tiny protein language models with random weights, in the forms that the hub has them in."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, EsmConfig, EsmForMaskedLM

ESM_VOCABULARY = [
    *("<cls>", "<pad>", "<eos>", "<unk>"),
    *"LAGVSERTIDPKQNFYMHWCXBUZO.-",
    *("<null_1>", "<mask>"),
]
"""That of ESM-2."""

BERT_VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *"LAGVESIKRDTPNQFYMHCWXUBZO",
]
"""That of ProtBERT."""


def write_esm(folder: Path, *, seed: int = 0) -> Path:
    """Write a model of 2 layers, 16 wide, as ESM-2's checkpoints are: with its language head."""
    torch.manual_seed(seed)
    config = EsmConfig(
        vocab_size=len(ESM_VOCABULARY),
        pad_token_id=1,
        mask_token_id=len(ESM_VOCABULARY) - 1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        emb_layer_norm_before=False,
        token_dropout=True,
    )
    EsmForMaskedLM(config).save_pretrained(folder)
    _write_tokenizer(folder, ESM_VOCABULARY, {"tokenizer_class": "EsmTokenizer"})
    return folder


def write_bert(folder: Path) -> Path:
    """Write a model of 2 layers, 16 wide, as ProtBERT's."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(BERT_VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    _write_tokenizer(
        folder, BERT_VOCABULARY, {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    )
    return folder


def _write_tokenizer(folder: Path, vocabulary: list[str], settings: dict[str, object]) -> None:
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
