"""A small llama as a GGUF file, in any format that the gguf package can write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from fingerprint.bench.weights_transforms import Small, Values

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(model: Small, path: Path, kind: str, base_model: str = "") -> Path:
    """Write a llama checkpoint as GGUF, matrices in the format ``kind`` (Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, F16, BF16)."""
    from gguf import GGMLQuantizationType, GGUFWriter, quantize

    writer = GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_embedding_length(int(model.config["hidden_size"]))
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(int(model.config["intermediate_size"]))
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.heads)
    if base_model:
        organization, _, name = base_model.partition("/")
        writer.add_base_model_count(1)
        writer.add_base_model_name(0, name)
        writer.add_base_model_organization(0, organization)
        writer.add_base_model_repo_url(0, f"https://huggingface.co/{base_model}")
    vocabulary = json.loads((model.folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(vocabulary, key=lambda token: int(vocabulary[token])))
    for name, value in model.tensors.items():
        wide = value.ndim > 1
        data = quantize(_interleaved(name, value, model.heads), GGMLQuantizationType[kind]) if wide else value
        raw = GGMLQuantizationType[kind] if wide and kind not in ("F16", "F32") else None
        writer.add_tensor(_name(name), data, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _name(name: str) -> str:
    outside = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in outside:
        return outside[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{_NAMES[rest.removesuffix('.weight')]}.weight"


def _interleaved(name: str, value: Values, heads: int) -> Values:
    """Rotary halves as neighbouring pairs, as llama.cpp wants them."""
    if not name.endswith(("q_proj.weight", "k_proj.weight")):
        return value
    rows = value.reshape(heads, 2, value.shape[0] // heads // 2, value.shape[1])
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(value.shape))
