#!/usr/bin/env python3
"""Compares the logits of the backends with an independent forward (numpy_llama.py), teacher-forced, at every position.

    parity.py --program build/release/bin/bessemer_logits [--model SmolLM2.gguf] [--quick] [--backends reference,cpu]

The program is run as `PROGRAM --model M --backend B --ids FILE --out FILE.f32`. What must hold:
    reference  the largest difference of any logit is at most 1e-3
    cpu        (activations are int8) the same argmax wherever the oracle's margin is above 1.0; a mean absolute difference at
               most llama.cpp's own (with KV in int8: 0.16); a perplexity on prose.txt within 0.3 % of the oracle's
Printed too: the mean difference less each position's own (logits mean the same when a constant is added to all of a position),
and KL, because a perplexity's deviation is that plus the luck of the text (about 0.14 % on 4,000 tokens of prose).
Prints one table; exits 1 if anything fails, 77 if the model is not there. --quick: a few short prompts, no perplexity.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# OpenBLAS threads spin; on a busy machine two of them are slower than one by a factor of ten.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from numpy_llama import Llama  # noqa: E402

HERE = Path(__file__).parent
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
SKIPPED = 77  # CTest's SKIP_RETURN_CODE

MAX_DIFFERENCE = 1e-3  # reference backend, fp32 against fp32 in another order of summation
MEAN_DIFFERENCE = {"int8": 0.16}  # cpu backend, by KV type (worker/backend/decisions/0009-int8-kv.md)
PEER_MEAN_DIFFERENCE = 0.11  # llama.cpp measured on this model; the bound for all other types
SURE_MARGIN = 1.0  # between the oracle's first and second logit
PERPLEXITY_SHARE = 0.003

QUICK = {"plain_list", "chat_hello", "chat_system", "code_python", "unicode_math"}
POSITIONS_PER_RUN = 1200  # bounds the logits held at once: 49152 x 4 bytes each
SLICE = 256  # positions compared at once


@dataclass
class Difference:
    """Of logits against the oracle's; sums, so that prompts add up."""
    positions: int = 0
    values: int = 0
    largest: float = 0.0
    total: float = 0.0  # of absolute differences
    centred: float = 0.0  # the same, less each position's mean difference
    divergence: float = 0.0  # Kullback-Leibler, of the oracle's distribution from this one; nats
    other_argmax: int = 0  # positions whose argmax differs
    sure_other_argmax: int = 0  # those among them where the oracle was sure
    sure: int = 0
    loss: float = 0.0  # nats, where the next token is known
    oracle_loss: float = 0.0
    predicted: int = 0

    def add(self, other):
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, theirs) if name == "largest" else mine + theirs)

    def compare(self, oracle, logits, next_ids):
        """Both [positions, vocabulary]; next_ids may be one shorter than the positions."""
        if not np.isfinite(logits).all():
            raise SystemExit("a logit is not finite")
        difference = logits - oracle
        centred = difference - difference.mean(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)
        best = oracle.argmax(axis=-1)
        top = np.partition(oracle, -2, axis=-1)[:, -2:]
        sure = top[:, 1] - top[:, 0] > SURE_MARGIN
        other = logits.argmax(axis=-1) != best
        rows = np.arange(len(next_ids))
        mine, theirs = losses(logits), losses(oracle)  # -log p of every token
        self.add(Difference(
            positions=len(oracle), values=oracle.size, largest=float(np.abs(difference).max()),
            total=float(np.abs(difference).sum(dtype=np.float64)),
            centred=float(np.abs(centred).sum(dtype=np.float64)), other_argmax=int(other.sum()),
            sure_other_argmax=int((other & sure).sum()), sure=int(sure.sum()),
            divergence=float((np.exp(-theirs) * (mine - theirs)).sum()),
            loss=float(mine[rows, next_ids].sum()), oracle_loss=float(theirs[rows, next_ids].sum()),
            predicted=len(next_ids)))

    @property
    def mean(self):
        return self.total / self.values

    @property
    def centred_mean(self):
        return self.centred / self.values

    @property
    def perplexities(self):
        return np.exp(self.loss / self.predicted), np.exp(self.oracle_loss / self.predicted)


def losses(logits):
    wide = logits.astype(np.float64)
    peak = wide.max(axis=-1, keepdims=True)
    return peak + np.log(np.exp(wide - peak).sum(axis=-1, keepdims=True)) - wide


class Program:
    def __init__(self, path, model, folder, kv, extra):
        self.command = [str(path), "--model", str(model), *extra]
        self.folder = Path(folder)
        self.kv = kv

    def logits(self, backend, lists, vocabulary):
        """[positions of all lists, vocabulary], mapped from the program's output."""
        ids, out = self.folder / "ids.jsonl", self.folder / f"{backend}.f32"
        ids.write_text("".join(json.dumps(one) + "\n" for one in lists))
        # The reference as the oracle computes, the others as they are served.
        kv = "f32" if backend == "reference" else self.kv
        command = [*self.command, "--backend", backend, "--kv-dtype", kv, "--ids", str(ids), "--out", str(out)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stdout}")
        values = np.memmap(out, dtype=np.float32, mode="r")
        positions = sum(len(one) for one in lists)
        if values.size != positions * vocabulary:
            raise SystemExit(f"{out}: {values.size} values, not {positions} x {vocabulary}")
        return values.reshape(positions, vocabulary)


def compare_list(oracle, hidden, ids, logits):
    """The difference over one token list; the oracle's logits are made slice by slice."""
    out = Difference()
    for begin in range(0, len(ids), SLICE):
        end = min(begin + SLICE, len(ids))
        out.compare(oracle.head(hidden[begin:end]), np.asarray(logits[begin:end]), ids[begin + 1 : end + 1])
    return out


def groups(prompts):
    """Prompts that fit into one run of the program."""
    group, positions = [], 0
    for prompt in prompts:
        if group and positions + len(prompt["ids"]) > POSITIONS_PER_RUN:
            yield group
            group, positions = [], 0
        group.append(prompt)
        positions += len(prompt["ids"])
    if group:
        yield group


def print_row(backend, name, d):
    perplexity, oracle = d.perplexities
    print(f"{backend:10} {name:16} {d.positions:9} {d.largest:11.2e} {d.mean:9.2e} {d.centred_mean:9.2e} {d.divergence / d.positions:9.2e} {d.other_argmax:6} "
          f"{d.sure_other_argmax:5} of {d.sure:5} {perplexity:11.4f} {oracle:11.4f} {perplexity / oracle - 1:+8.3%}", flush=True)


def print_header():
    print(f"{'backend':10} {'prompt':16} {'positions':>9} {'max |d|':>11} {'mean |d|':>9} {'centred':>9} {'KL':>9} {'argmax':>6} {'where sure':>14} "
          f"{'perplexity':>11} {'fp32':>11} {'':>8}")


def failures(backend, kv, total, prose):
    if backend == "reference":
        if total.largest > MAX_DIFFERENCE:
            yield f"reference: a logit differs by {total.largest:.2e}, more than {MAX_DIFFERENCE:.0e}"
        return
    if total.sure_other_argmax:
        yield f"{backend}: another argmax at {total.sure_other_argmax} positions with a margin above {SURE_MARGIN}"
    bound = MEAN_DIFFERENCE.get(kv, PEER_MEAN_DIFFERENCE)
    if total.mean > bound:
        yield f"{backend}: a mean difference of {total.mean:.3f}, more than {bound}"
    if prose:
        perplexity, oracle = prose.perplexities
        if abs(perplexity / oracle - 1) > PERPLEXITY_SHARE:
            yield f"{backend}: perplexity {perplexity:.4f} is not within {PERPLEXITY_SHARE:.1%} of {oracle:.4f}"


def run(program, oracle, backends, prompts, prose):
    """Prints a row per prompt and backend; returns {backend: (total, prose or None)}."""
    vocabulary = len(oracle.weight("token_embd.weight"))
    totals = {backend: Difference() for backend in backends}
    print_header()
    for group in groups(prompts):
        hidden = [oracle.hidden(prompt["ids"]) for prompt in group]
        for backend in backends:
            logits = program.logits(backend, [prompt["ids"] for prompt in group], vocabulary)
            begin = 0
            for prompt, one in zip(group, hidden):
                end = begin + len(prompt["ids"])
                difference = compare_list(oracle, one, prompt["ids"], logits[begin:end])
                print_row(backend, prompt["name"], difference)
                totals[backend].add(difference)
                begin = end
    proses = {backend: None for backend in backends}
    quantised = [backend for backend in backends if backend != "reference"]
    if prose and quantised:
        hidden = oracle.hidden(prose)
        for backend in quantised:
            proses[backend] = compare_list(oracle, hidden, prose, program.logits(backend, [prose], vocabulary))
            print_row(backend, "prose.txt", proses[backend])
            totals[backend].add(proses[backend])
    for backend in backends:
        print_row(backend, "all", totals[backend])
    return {backend: (totals[backend], proses[backend]) for backend in backends}


def default_model():
    environment = os.environ
    cache = environment.get("BESSEMER_CACHE") or os.path.join(
        environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bessemer")
    return Path(cache) / "models" / MODEL


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True, help="bessemer_logits")
    parser.add_argument("--model", type=Path, default=default_model(), help="the SmolLM2 file (default: %(default)s)")
    parser.add_argument("--backends", default="reference,cpu", help="comma-separated (default: %(default)s)")
    parser.add_argument("--kv-dtype", default="f16", help="of all backends but the reference (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few short prompts, no perplexity")
    parser.add_argument("--only", help="comma-separated names of prompts; no perplexity unless 'prose' is among them")
    parser.add_argument("extra", nargs="*", help="after --: more flags for the program")
    args = parser.parse_args()
    if not args.model.exists():
        print(f"skipped: {args.model} is not there; `bessemer pull smollm2` fetches it")
        return SKIPPED
    golden = json.loads((HERE / "prompts.json").read_text(encoding="utf-8"))
    only = QUICK if args.quick else set(args.only.split(",")) if args.only else None
    prompts = [prompt for prompt in golden["prompts"] if only is None or prompt["name"] in only]
    prose = golden["prose"] if only is None or "prose" in only else None
    with tempfile.TemporaryDirectory(prefix="bessemer_parity_") as folder:
        program = Program(args.program, args.model, folder, args.kv_dtype, args.extra)
        results = run(program, Llama(args.model), args.backends.split(","), prompts, prose)
    wrong = [line for backend, (total, prose) in results.items() for line in failures(backend, args.kv_dtype, total, prose)]
    print("\n".join(wrong) if wrong else "all within tolerance")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
