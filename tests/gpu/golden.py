#!/usr/bin/env python3
"""Compares the cuda backend with the reference's logits and with the CPU's greedy text, through the programs that are served.

    golden.py --build build/cuda --model SmolLM2-135M-Instruct.Q4_1.gguf [--out FILE.json]

logits  teacher-forced, KV in f32, over prompts of tests/golden/prompts.json, by bessemer_logits. Steps of 32 rows use the products
        for few rows, which round the activations to two bf16: every logit within 2e-2 of the reference's. Steps of 512 rows
        use bf16: a mean difference of at most 0.11 (what llama.cpp's CPU has on this model), the same argmax wherever the
        reference's margin is above 1.
text    greedy continuations of 20 prompts by `bessemer serve`, a worker on cuda and a worker on cpu, one by one and together.
        Where texts part, the CPU's margin between its two best tokens must be below 1 (its activations are int8: a mean
        difference of 0.1 in the logits).
Prints what it finds, exits 1 if anything fails.
"""
import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LOGIT_PROMPTS = ("plain_short", "plain_list", "chat_hello", "chat_answer", "code_python", "repetition")
EXACT, MEAN, SURE = 2e-2, 0.11, 1.0
PROMPTS, TOKENS = 20, 64


def logits(build, model, backend, chunk, lists, folder):
    ids, out = folder / "ids.jsonl", folder / f"{backend}-{chunk}.f32"
    ids.write_text("".join(json.dumps(one) + "\n" for one in lists))
    command = [build / "bin/bessemer_logits", "--model", model, "--backend", backend, "--kv-dtype", "f32", "--chunk", str(chunk),
               "--ids", ids, "--out", out]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {done.returncode}\n{done.stdout}")
    return np.fromfile(out, dtype=np.float32).reshape(sum(map(len, lists)), -1)


def compare_logits(build, model, prompts):
    lists = [prompt["ids"] for prompt in prompts if prompt["name"] in LOGIT_PROMPTS]
    result, wrong = {}, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        want = logits(build, model, "reference", 512, lists, folder)
        top = np.partition(want, -2, axis=-1)[:, -2:]
        sure = top[:, 1] - top[:, 0] > SURE
        for chunk in (32, 512):
            got = logits(build, model, "cuda", chunk, lists, folder)
            if not np.isfinite(got).all():
                sys.exit(f"cuda, steps of {chunk}: a logit is not finite")
            difference = np.abs(got - want)
            other = got.argmax(-1) != want.argmax(-1)
            row = {"positions": len(want), "largest": float(difference.max()), "mean": float(difference.mean(dtype=np.float64)),
                   "other_argmax": int(other.sum()), "sure_other_argmax": int((other & sure).sum()), "sure": int(sure.sum())}
            result[f"steps_of_{chunk}"] = row
            print(f"logits, steps of {chunk}: {json.dumps(row)}", flush=True)
            if chunk == 32 and row["largest"] > EXACT:
                wrong.append(f"steps of 32: a logit differs by {row['largest']:.2e}, more than {EXACT}")
            if row["mean"] > MEAN:
                wrong.append(f"steps of {chunk}: a mean difference of {row['mean']:.3f}, more than {MEAN}")
            if row["sure_other_argmax"]:
                wrong.append(f"steps of {chunk}: another argmax at {row['sure_other_argmax']} sure positions")
    return result, wrong


@contextlib.contextmanager
def server(build, model, backend, port):
    log = tempfile.TemporaryFile()
    process = subprocess.Popen([build / "bessemer", "serve", "--model", model, "--name", "golden", "--workers", "1", "--port",
                                str(port), "--worker.backend", backend], stdout=log, stderr=log)
    try:
        for _ in range(600):
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                if json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models"))["data"]:
                    break
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            process.terminate()
        if process.poll() is not None:
            log.seek(0)
            sys.exit(f"bessemer serve on {backend} ended:\n{log.read().decode()}")
        yield port
    finally:
        process.terminate()
        process.wait(30)
        log.seek(0)
        for line in log.read().decode().splitlines():
            if " ready at " in line or "memory:" in line:
                print(f"  {line}")


def complete(port, text):
    body = {"model": "golden", "prompt": text, "max_tokens": TOKENS, "temperature": 0, "logprobs": 2}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    try:
        return json.load(urllib.request.urlopen(request, timeout=120))["choices"][0]["logprobs"]
    except urllib.error.HTTPError as error:
        sys.exit(f"/v1/completions: {error.code} {error.read().decode()}")


def margin(logprobs, at):
    best = sorted(logprobs["top_logprobs"][at].values(), reverse=True)
    return best[0] - best[1]


def compare_texts(name, texts, cpu, cuda):
    wrong, partings = [], []
    for text, want, got in zip(texts, cpu, cuda):
        length = min(len(want["tokens"]), len(got["tokens"]))
        at = next((i for i in range(length) if want["tokens"][i] != got["tokens"][i]), None)
        if at is None:
            if len(want["tokens"]) != len(got["tokens"]):
                wrong.append(f"{name}: {text[:40]!r} ends after {len(got['tokens'])} tokens, on the CPU after {len(want['tokens'])}")
            continue
        partings.append({"prompt": text[:40], "token": at, "margin": margin(want, at)})
        if partings[-1]["margin"] > SURE:
            wrong.append(f"{name}: {text[:40]!r} parts at token {at}, where the CPU's margin is {partings[-1]['margin']:.2f}")
    print(f"{name}: {len(texts) - len(partings)} of {len(texts)} texts are the CPU's; others part at margins "
          f"{sorted(round(p['margin'], 3) for p in partings)}", flush=True)
    return {"texts": len(texts), "same": len(texts) - len(partings), "partings": partings}, wrong


def compare_served(build, model, prompts):
    texts = [prompt["text"] for prompt in prompts if prompt.get("text") and len(prompt["ids"]) < 300][:PROMPTS]
    if len(texts) < PROMPTS:
        sys.exit(f"tests/golden/prompts.json has {len(texts)} prompts with a text")
    with server(build, model, "cpu", 18080) as port:
        cpu = [complete(port, text) for text in texts]
    with server(build, model, "cuda", 18081) as port:
        complete(port, texts[0])
        start = time.time()
        alone = [complete(port, text) for text in texts]
        middle = time.time()
        with ThreadPoolExecutor(PROMPTS) as pool:
            together = list(pool.map(lambda text: complete(port, text), texts))
        end = time.time()
    tokens = sum(len(one["tokens"]) for one in alone)
    result = {"tokens": tokens, "alone_tokens_s": tokens / (middle - start), "together_tokens_s": tokens / (end - middle)}
    print(f"served: {result['alone_tokens_s']:.0f} tokens/s one by one, {result['together_tokens_s']:.0f} together", flush=True)
    wrong = []
    for name, outputs in (("alone", alone), ("together", together)):
        result[name], more = compare_texts(name, texts, cpu, outputs)
        wrong += more
    return result, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    prompts = json.loads((ROOT / "tests/golden/prompts.json").read_text(encoding="utf-8"))["prompts"]
    result, wrong = compare_logits(args.build, args.model, prompts)
    served, more = compare_served(args.build, args.model, prompts)
    wrong += more
    if args.out:
        args.out.write_text(json.dumps({"model": args.model.name, "logits": result, "served": served}) + "\n")
    print("\n".join(wrong) if wrong else "golden: all within tolerance")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
