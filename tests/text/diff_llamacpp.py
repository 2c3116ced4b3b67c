#!/usr/bin/env python3
"""Compares our tokenizer's ids with llama.cpp's on generated texts.

    diff_llamacpp.py --tool build/release/bin/tokenize_tool --count 10000

Both sides add the special tokens that the vocabulary asks for and parse those spelled out in the text. Prints the first
differences and exits with 1 if there is any, with 77 (skipped) if the model is missing. A text is what JSON can hold: valid
Unicode without surrogates (llama.cpp reads other bytes as U+FFFD, or aborts).

Known to differ, by intent: WordPiece (diff_huggingface.py compares that), and `--pre` of gpt-4o, tekken, deepseek-llm and
deepseek-coder on rare characters, where llama.cpp approximates the models' expressions.
"""
import argparse
import itertools
import pathlib
import random
import sys
import tempfile

from hostile_texts import HostileTexts
from llamacpp import LlamaCpp
from ours import SKIPPED, default_model, encode_ours, report, vocabulary, with_pre_tokenizer


def compare(name, tool, model, texts):
    reference = LlamaCpp(model)
    return report(name, ((text, ids, reference.encode(text)) for text, ids in zip(texts, encode_ours(tool, model, texts), strict=True)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, help="the program tokenize_tool")
    parser.add_argument("--model", type=pathlib.Path, default=default_model(), help="a GGUF file, vocabulary-only or not; else the default model")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pre", help="act as if the file named this pre-tokenizer")
    args = parser.parse_args()
    if not args.model.exists():
        print(f"skipped: {args.model} is missing")
        return SKIPPED
    texts = list(itertools.islice(HostileTexts(random.Random(args.seed), *vocabulary(args.model)), args.count))
    with tempfile.TemporaryDirectory() as folder:
        model = with_pre_tokenizer(args.model, args.pre, folder) if args.pre else args.model
        return 1 if compare(f"{args.model.name}, seed {args.seed}", args.tool, model, texts) else 0


if __name__ == "__main__":
    sys.exit(main())
