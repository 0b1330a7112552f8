"""The networks: built from a recipe, kept on disk in half precision, measured and sampled.

Weights are float16 on disk and float32 in memory. A child always starts from, or listens to, what its parent's folder
holds, never to a more precise copy in memory: what ships is what taught.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fingerprint.zoo.tables import Architecture

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
IGNORED = -100


def new_network(shape: Architecture, vocab: int, start: int, seed: int) -> nn.Module:
    """A network with random weights that depend on nothing but the seed and the shape."""
    ids = {"bos_token_id": start, "eos_token_id": start}
    config: dict[str, Any]
    if shape.kind == "llama":
        config = {
            "model_type": "llama",
            "hidden_size": shape.hidden,
            "intermediate_size": shape.ffn,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "max_position_embeddings": shape.context,
        }
    elif shape.kind == "lfm2":
        config = {
            "model_type": "lfm2",
            "hidden_size": shape.hidden,
            "intermediate_size": shape.ffn,
            "block_auto_adjust_ff_dim": False,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.heads,
            "max_position_embeddings": shape.context,
            # Its default is the start token here, which would then be a row of zeros that nothing is learned for.
            "pad_token_id": None,
            "layer_types": ["full_attention" if layer % 3 == 1 else "conv" for layer in range(shape.layers)],
        }
    else:
        config = {
            "model_type": "gpt2",
            "n_embd": shape.hidden,
            "n_inner": shape.ffn,
            "n_layer": shape.layers,
            "n_head": shape.heads,
            "n_positions": shape.context,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        }
    # At these widths 0.02 leaves attention flat for the first hundreds of steps.
    common = {"vocab_size": vocab, "tie_word_embeddings": True, "initializer_range": 0.05, **ids}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network_of(config | common)


def network_of(config: dict[str, Any]) -> nn.Module:
    """A network of one of the known architectures, by the `model_type` of its config."""
    from transformers import GPT2Config, GPT2LMHeadModel, Lfm2Config, Lfm2ForCausalLM, LlamaConfig, LlamaForCausalLM

    known = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "gpt2": (GPT2Config, GPT2LMHeadModel),
        "lfm2": (Lfm2Config, Lfm2ForCausalLM),
    }
    make_config, make_network = known[config["model_type"]]
    settings = {k: v for k, v in config.items() if k != "model_type"}
    network = cast("Any", make_network)(cast("Any", make_config)(**settings))
    return cast("nn.Module", network.float())


def load_network(folder: Path) -> nn.Module:
    """A finished model, in float32, ready to be measured or trained further."""
    network = network_of(json.loads((folder / CONFIG).read_text("utf-8")))
    weights = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
    # The output head is the embedding and is not stored twice.
    missing, unexpected = network.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise ValueError(f"{folder.name}: tensors do not fit the config: {sorted([*missing, *unexpected])}")
    return network.eval()


def save_network(network: nn.Module, folder: Path) -> None:
    """Writes config.json and model.safetensors."""
    weights = {
        name: tensor.detach().half().contiguous().clone()
        for name, tensor in network.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    config = cast("dict[str, Any]", cast("Any", network).config.to_dict())
    # float32: the precision to compute in on load; half precision is slow and coarse without an accelerator.
    config |= {"architectures": [type(network).__name__], "dtype": "float32"}
    for volatile in ("_name_or_path", "transformers_version"):
        config.pop(volatile, None)
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


def logits_of(network: nn.Module, ids: Tensor) -> Tensor:
    """Next-token logits at every position: (batch, time) → (batch, time, vocabulary)."""
    return cast("Tensor", network(input_ids=ids, use_cache=False).logits)


def parameters_of(network: nn.Module) -> int:
    """Number of weights, tied ones counted once."""
    return sum(p.numel() for p in network.parameters())


@torch.inference_mode()
def bits_per_byte(network: nn.Module, tokens: Tensor, start: int, n_bytes: int, context: int) -> float:
    """Bits that the model needs for each byte of a text; start tokens are context and cost nothing."""
    network.eval()
    nats = 0.0
    for offset in range(0, len(tokens) - 1, 16 * context):
        window = tokens[offset : offset + 16 * context + 1]
        x, y = window[:-1], window[1:].clone()
        y[y == start] = IGNORED
        pad = -len(x) % context
        x = nn.functional.pad(x, (0, pad), value=start).view(-1, context)
        y = nn.functional.pad(y, (0, pad), value=IGNORED).view(-1)
        logits = logits_of(network, x).flatten(0, 1)
        nats += float(nn.functional.cross_entropy(logits, y, ignore_index=IGNORED, reduction="sum"))
    return nats / math.log(2) / n_bytes


@torch.inference_mode()
def sample(network: nn.Module, prompts: Tensor, length: int, temperature: float, generator: torch.Generator) -> Tensor:
    """Continues equally long prompts to `length` tokens, drawing from the whole distribution."""
    from transformers import StaticCache

    network.eval()
    # A growing cache is copied at every step, which costs more than the network itself.
    cache = StaticCache(config=cast("Any", network).config, max_cache_len=length)
    tokens = step = prompts
    while tokens.shape[1] < length:
        out = network(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1)
        probabilities = torch.softmax(out.logits[:, -1] / temperature, dim=-1)
        step = torch.multinomial(probabilities, 1, generator=generator)
        tokens = torch.cat([tokens, step], dim=1)
    return tokens
