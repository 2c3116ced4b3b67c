#!/usr/bin/env python3
"""Compares our tokenizers with Hugging Face's `tokenizers` on generated texts: the pre-tokenizers' expressions, as the models
publish them, over GPT-2's vocabulary, and WordPiece.

    diff_huggingface.py --tool build/release/bin/tokenize_tool --count 5000

Prints the first differences and exits with 1 if there is any, with 77 (skipped) if the shared vocabularies are missing.
"""
import argparse
import itertools
import random
import sys
import tempfile
import unicodedata

import gguf
from hostile_texts import HostileTexts
from ours import CONTROL, SHARED, SKIPPED, encode_ours, report, vocabulary, with_pre_tokenizer
from tokenizers import BertWordPieceTokenizer, Regex, Tokenizer, models, pre_tokenizers

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
DEEPSEEK_CJK = "[一-龥ࠀ-一가-퟿]+"


def cased(tail):
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    front = r"[^\r\n\p{L}\p{N}]?"
    return f"{front}{upper}*{lower}+{tail}|{front}{upper}+{lower}*{tail}"


PUBLISHED = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "falcon": [r"[\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"],
    "llama-bpe": [rf"{CONTRACTION}|{WORD}|\p{{N}}{{1,3}}|{SIGNS}|{SPACES}"],
    "qwen2": [rf"{CONTRACTION}|{WORD}|\p{{N}}|{SIGNS}|{SPACES}"],
    "seed-coder": [rf"{CONTRACTION}|{WORD}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{SPACES}"],
    "gpt-4o": [cased(CONTRACTION + "?") + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES],
    "tekken": [cased("") + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", DEEPSEEK_CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
                    r"""| ?[\p{P}\p{S}]+[\r\n]*|""" + SPACES],
    "bloom": [" ?[^(\\s|.,!?…。，、।۔،)]+"],
}
IGNORE_MERGES = {"llama-bpe", "tekken"}


def generated(path, seed, count):
    specials, pieces = vocabulary(path)
    return list(itertools.islice(HostileTexts(random.Random(seed), specials, pieces), count))


def compare_expressions(tool, seed, count):
    path = SHARED / "gpt-2.gguf"
    fields = gguf.GGUFReader(path).fields
    ids = {token: id for id, token in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    end = "<|endoftext|>"
    texts = [text for text in generated(path, seed, count) if end not in text]
    different = 0
    for name, expressions in PUBLISHED.items():
        theirs = Tokenizer(models.BPE(ids, merges, ignore_merges=name in IGNORE_MERGES))
        splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in expressions]
        theirs.pre_tokenizer = pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        with tempfile.TemporaryDirectory() as folder:
            ours = encode_ours(tool, with_pre_tokenizer(path, name, folder), texts, "--no-special")
        different += report(name, ((text, mine, theirs.encode(text).ids) for text, mine in zip(texts, ours, strict=True)))
    return different


def unknown_punctuation():
    """What newer versions of Unicode call punctuation, and `tokenizers` does not yet."""
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    marks = (chr(code) for code in range(0x80, 0x20000) if unicodedata.category(chr(code))[0] == "P")
    return {mark for mark in marks if len(split(f"a{mark}b")) == 1}


def compare_wordpiece(tool, seed, count):
    path = SHARED / "bert-bge.gguf"
    fields = gguf.GGUFReader(path).fields
    tokens, kinds = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type"))
    special = [token for token, kind in zip(tokens, kinds) if kind == CONTROL]
    spelled = [token if kind == CONTROL else token[1:] if token.startswith("▁") else f"##{token}" for token, kind in zip(tokens, kinds)]
    theirs = BertWordPieceTokenizer({token: id for id, token in enumerate(spelled)}, lowercase=True)
    theirs.add_special_tokens(special)
    newer = unknown_punctuation()
    texts = [text for text in generated(path, seed, count) if newer.isdisjoint(text)]
    ours = encode_ours(tool, path, texts)
    return report("bert", ((text, mine, theirs.encode(text).ids) for text, mine in zip(texts, ours, strict=True)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, help="the program tokenize_tool")
    parser.add_argument("--count", type=int, default=5000, help="texts for each comparison")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not SHARED.exists():
        print(f"skipped: {SHARED} is missing")
        return SKIPPED
    different = compare_expressions(args.tool, args.seed, args.count) + compare_wordpiece(args.tool, args.seed, args.count)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
