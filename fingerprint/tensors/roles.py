"""What a tensor is for, from its name: the layer, the role, and which of its axes is the residual stream.

Names differ between families and file formats; roles do not. A matrix is then a bag of vectors in the residual
stream (what it reads or writes), and bags can be compared whatever the order or the number of their vectors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Axis = Literal[0, 1]
EMBED, HEAD = "embed", "head"
#: Roles whose vectors with the same index belong to the same neuron.
NEURON = ("gate", "up", "down")
ATTENTION = ("q", "k", "v", "o", "qkv")

#: Endings of names (without ``.weight``), their role, and the axis of the residual stream in a linear layer.
_LINEAR: tuple[tuple[str, str, Axis], ...] = (
    (r"(embed_tokens|wte|token_embd|tok_embeddings|embed_in|word_embeddings)", EMBED, 1),
    (r"(lm_head|embed_out|^output)", HEAD, 1),
    (r"(q_proj|attn_q|attention\.wq|attn\.query)", "q", 1),
    (r"(k_proj|attn_k|attention\.wk|attn\.key)", "k", 1),
    (r"(v_proj|attn_v|attention\.wv|attn\.value)", "v", 1),
    (r"(o_proj|attn_output|attention\.wo|attention\.dense|self_attention\.dense|self_attn\.dense|out_proj)", "o", 0),
    (r"(qkv_proj|query_key_value|attn_qkv|Wqkv)", "qkv", 1),
    (r"(gate_up_proj)", "gate_up", 1),
    (r"(gate_proj|ffn_gate|ffn_gate_exps|feed_forward\.w1|experts\.\d+\.w1)", "gate", 1),
    (r"(up_proj|ffn_up|ffn_up_exps|dense_h_to_4h|fc1|fc_in|feed_forward\.w3|experts\.\d+\.w3)", "up", 1),
    (r"(down_proj|ffn_down|ffn_down_exps|dense_4h_to_h|fc2|fc_out|feed_forward\.w2|experts\.\d+\.w2)", "down", 0),
)
#: GPT-2 stores its layers the other way round (input × output).
_CONV1D: tuple[tuple[str, str, Axis], ...] = (
    (r"(attn\.c_attn)", "qkv", 0),
    (r"(attn\.c_proj)", "o", 1),
    (r"(mlp\.c_fc)", "up", 0),
    (r"(mlp\.c_proj)", "down", 1),
)
_VECTORS: tuple[tuple[str, str], ...] = (
    (r"(input_layernorm|attn_norm|ln_1|attention_norm)", "norm.attention"),
    (r"(post_attention_layernorm|ln_2)", "norm.after_attention"),
    (r"(norm|output_norm|ln_f)", "norm.last"),
)
_LAYER = re.compile(r"(?:^|\.)(\d+)\.")
_EXPERT = re.compile(r"experts?\.(\d+)\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Layer (−1 outside the stack), role, and the residual axis (None: unknown)."""

    layer: int
    name: str
    axis: Axis | None


def role_of(name: str, shape: tuple[int, ...], hidden: int) -> Role:
    """The role of a tensor; a name that nobody knows is its own role."""
    bare = name.removesuffix(".weight")
    found = _LAYER.search(bare)
    layer = int(found.group(1)) if found else -1
    tail = bare[found.end() :] if found else bare
    if len(shape) < 2:
        return Role(layer=layer, name=_vector_role(tail, layer), axis=None)
    for patterns in (_CONV1D, _LINEAR):
        for pattern, role, axis in patterns:
            if re.search(pattern + "$", tail):
                expert = _EXPERT.search(tail)
                return Role(layer=layer, name=f"{role}.{expert.group(1)}" if expert else role, axis=axis)
    axes: list[Axis] = [axis for axis in (1, 0) if shape[axis] == hidden]
    return Role(layer=layer, name=tail, axis=axes[0] if len(axes) == 1 and len(shape) == 2 else None)


def _vector_role(tail: str, layer: int) -> str:
    for pattern, role in _VECTORS:
        if re.search(rf"(^|\.){pattern}$", tail) and (role != "norm.last" or layer < 0):
            return role
    return tail
