"""Our tokenizer through the program tokenize_tool, and what the comparing scripts share."""
import json
import os
import pathlib
import subprocess

import gguf

SKIPPED = 77  # exit status: CTest reports the test as skipped
SHOWN = 10    # differences
CONTROL = 3   # tokenizer.ggml.token_type
SHARED = pathlib.Path(__file__).resolve().parents[2].parent / "shared/data/tokenizers"


def default_model():
    """Where `make serve` keeps the default model."""
    xdg = os.environ.get("XDG_CACHE_HOME")
    cache = os.environ.get("BESSEMER_CACHE") or (xdg and f"{xdg}/bessemer") or os.path.expanduser("~/.cache/bessemer")
    return pathlib.Path(cache) / "models/SmolLM2-135M-Instruct.Q4_1.gguf"


def vocabulary(path):
    """Spellings of control tokens and of some others."""
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    specials = [token for token, kind in zip(tokens, kinds) if kind == CONTROL]
    plain = [token.replace("Ġ", " ").replace("Ċ", "\n").replace("▁", " ") for token in tokens]
    return specials, [token for token in plain if token]


def with_pre_tokenizer(path, name, folder):
    """A copy of the vocabulary-only file `path` that names another pre-tokenizer. GGUF: key, type (4 bytes), length (8), text."""
    data = pathlib.Path(path).read_bytes()
    assert data[8:16] == bytes(8), f"{path} has tensors, which would move"
    key = b"tokenizer.ggml.pre"
    at = data.index(key) + len(key) + 4
    old = int.from_bytes(data[at:at + 8], "little")
    copy = pathlib.Path(folder) / f"{name}.gguf"
    copy.write_bytes(data[:at] + len(name).to_bytes(8, "little") + name.encode() + data[at + 8 + old:])
    return copy


def encode_ours(tool, model, texts, *flags):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    run = subprocess.run([tool, "--model", str(model), "--lines", *flags], input=lines.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def report(name, pairs):
    """`pairs`: (text, ours, theirs). Prints the first that differ; returns how many do."""
    pairs = list(pairs)
    different = [pair for pair in pairs if pair[1] != pair[2]]
    for text, ours, theirs in different[:SHOWN]:
        print(f"text {text!r}\n  ours   {ours}\n  theirs {theirs}")
    print(f"{name}: {len(different)} of {len(pairs)} texts differ", flush=True)
    return len(different)
