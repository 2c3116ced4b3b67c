#!/usr/bin/env python3
"""Measures llama.cpp's own error against the oracle, on sampled positions of prompts.json: the bound that parity.py holds the
cpu backend to. Run by hand when llama.cpp or the prompts change; needs xllamacpp from PyPI.

    peer_error.py [--model SmolLM2.gguf] [--program build/release/bin/bessemer_logits] [--positions 8]

llama.cpp's server gives log probabilities, so that is what is compared: they are the logits less a constant per position, and
the mean difference is taken without that constant. --program: the cpu backend at the same positions, on the line below.
"""
import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import xllamacpp  # noqa: E402

from numpy_llama import Llama  # noqa: E402
from parity import HERE, Program, default_model  # noqa: E402


class Peer:
    def __init__(self, model, context):
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_ctx = context
        params.n_parallel = 1
        params.warmup = False
        # As bessemer_logits: only the activations are rounded.
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        self.server = xllamacpp.Server(params)

    def log_probabilities(self, ids, vocabulary):
        """Of every token after `ids`."""
        answer = self.server.handle_completions(
            {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": vocabulary, "cache_prompt": True, "samplers": []})
        answer = answer if isinstance(answer, dict) else json.loads(answer)
        out = np.full(vocabulary, np.nan)
        for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
            out[entry["id"]] = entry["logprob"]
        return out


def error(values, oracle):
    difference = values - oracle
    return np.abs(difference - difference.mean()).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--program", type=Path, help="bessemer_logits")
    parser.add_argument("--positions", type=int, default=8, help="sampled from each prompt (default: %(default)s)")
    args = parser.parse_args()
    prompts = json.loads((HERE / "prompts.json").read_text(encoding="utf-8"))["prompts"]
    oracle = Llama(args.model)
    vocabulary = len(oracle.weight("token_embd.weight"))
    peer = Peer(args.model, 2048)
    errors = {"llama.cpp": [], "cpu backend": []}
    with tempfile.TemporaryDirectory() as folder:
        for prompt in prompts:
            ids = prompt["ids"]
            sample = np.unique(np.linspace(1, len(ids) - 1, args.positions, dtype=int))
            expected = oracle.head(oracle.hidden(ids)[sample]).astype(np.float64)
            ours = Program(args.program, args.model, folder, []).logits("cpu", [ids], vocabulary) if args.program else None
            for row, position in enumerate(sample):
                logits = peer.log_probabilities(ids[: position + 1], vocabulary)
                errors["llama.cpp"].append(error(logits, expected[row]))
                if ours is not None:
                    errors["cpu backend"].append(error(ours[position].astype(np.float64), expected[row]))
            print(prompt["name"], *(f"{name} {np.mean(e[-len(sample):]):.4f}" for name, e in errors.items() if e), flush=True)
    for name, values in errors.items():
        if values:
            print(f"{name}: {np.mean(values):.4f} over {len(values)} positions")


if __name__ == "__main__":
    sys.exit(main())
