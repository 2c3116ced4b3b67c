#!/usr/bin/env python3
"""What quantising a model costs in perplexity, ours and llama.cpp's beside each other, on the same file and text.

    perplexity.py --build build/release --peer $(bench/peer_llama.sh) [--model M.gguf] [--text TEXT] [--formats Q4_0,Q8_0]
                  [--json FILE]

For each format the peer's llama-quantize writes the model in it, and once more with these weights as F32: that file's
perplexity is the reference, and every deviation is of activations, KV and order of summation alone. The text is cut into
windows of 512 tokens, the second half of each is scored (as llama-perplexity does). KV is f16, of the reference f32. Both
programs compute the reference too: what they differ by is how far the two definitions agree.
"""
import argparse
import array
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

FORMATS = "Q4_0,Q4_1,Q5_0,Q5_1,Q8_0,Q4_K_M,Q5_K_M,Q6_K"
WINDOW = 512
FIRST = WINDOW // 2  # llama-perplexity scores the ids behind this one


def default_model():
    cache = os.environ.get("BESSEMER_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bessemer")
    return pathlib.Path(cache) / "models/SmolLM2-135M-Instruct.Q4_1.gguf"


def run(command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"perplexity: {' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stderr[-2000:]}")
    return done


def perplexity(losses):
    return math.exp(sum(losses) / len(losses))


class Ours:
    def __init__(self, build, model, text, folder):
        self.program = build / "bin/bessemer_logits"
        out = run([build / "bessemer", "tokenize", "--model", model, "--no-special", "--json"],
                  input=text.read_text(encoding="utf-8")).stdout
        ids = json.loads(out)["ids"]
        self.windows = [ids[at : at + WINDOW] for at in range(0, len(ids) - WINDOW + 1, WINDOW)]
        self.ids, self.out = folder / "ids.jsonl", folder / "losses.f32"
        self.ids.write_text("".join(json.dumps(one) + "\n" for one in self.windows))

    def __call__(self, model, kv):
        run([self.program, "--model", model, "--backend", "cpu", "--kv-dtype", kv, "--ids", self.ids, "--out", self.out,
             "--losses"])
        values = array.array("f", self.out.read_bytes())
        each = WINDOW - 1
        scored = [loss for at in range(0, len(values), each) for loss in values[at + FIRST : at + each]]
        return perplexity(scored)


class Peer:
    def __init__(self, folder, text, threads):
        self.folder, self.text, self.threads = folder, text, threads

    def __call__(self, model, kv):
        done = run([self.folder / "llama-perplexity", "-m", model, "-f", self.text, "-c", WINDOW, "-b", WINDOW, "-t", self.threads,
                    "-ctk", kv, "-ctv", kv])
        found = re.search(r"Final estimate: PPL = ([0-9.]+)", done.stdout + done.stderr)
        if not found:
            raise SystemExit(f"perplexity: llama-perplexity printed no estimate\n{done.stderr[-2000:]}")
        return float(found.group(1))

    def write(self, model, out, form):
        out.unlink(missing_ok=True)
        run([self.folder / "llama-quantize", "--allow-requantize", model, out, form, self.threads])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--peer", type=pathlib.Path, required=True, help="folder of llama.cpp's programs")
    parser.add_argument("--model", type=pathlib.Path, default=default_model())
    parser.add_argument("--text", type=pathlib.Path, default=pathlib.Path("tests/golden/prose.txt"))
    parser.add_argument("--formats", default=FORMATS)
    parser.add_argument("--json", type=pathlib.Path, help="also write the results here")
    options = parser.parse_args()
    peer = Peer(options.peer, options.text, len(os.sched_getaffinity(0)))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        base, quantised, dequantised = folder / "base.gguf", folder / "quantised.gguf", folder / "dequantised.gguf"
        peer.write(options.model, base, "F32")
        ours = Ours(options.build, options.model, options.text, folder)
        print(f"{options.model.name} on {options.text}, {len(ours.windows)} windows of {WINDOW} tokens")
        print(f"{'format':8} {'fp32':>9} {'(peer)':>9} {'ours':>9} {'':>8} {'llama.cpp':>9} {'':>8}")
        for form in options.formats.split(","):
            peer.write(base, quantised, form)
            peer.write(quantised, dequantised, "F32")
            row = dict(format=form, reference=ours(dequantised, "f32"), peer_reference=peer(dequantised, "f32"),
                       ours=ours(quantised, "f16"), peer=peer(quantised, "f16"))
            row["ours_off"] = row["ours"] / row["reference"] - 1
            row["peer_off"] = row["peer"] / row["peer_reference"] - 1
            rows.append(row)
            print("{format:8} {reference:9.4f} {peer_reference:9.4f} {ours:9.4f} {ours_off:+8.3%} {peer:9.4f} {peer_off:+8.3%}"
                  .format(**row), flush=True)
    if options.json:
        result = dict(model=options.model.name, text=str(options.text), window=WINDOW, rows=rows)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
