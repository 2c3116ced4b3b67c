#!/usr/bin/env python3
"""Load with disorder: many streaming clients, some of which hang up in the middle or ask for nonsense.

    soak.py [--seconds 120] [--clients 64] [--model FILE]      starts a cluster of its own
    soak.py --url http://127.0.0.1:8000                        loads one that runs (CPU and memory are not looked at)

Ends with a line of figures; the exit status is 1 when anything happened that was not asked for.
"""
import argparse
import asyncio
import collections
import json
import os
import random
import sys
import time

from cluster import MAX_IDLE_CPU, Cluster, default_model, idle_cpu_share, rss_kb, small_model

PROMPTS = ["Once upon a time", "def main():", "The sky is blue because", "List: one, two,", "Dear Madam,", "こんにちは"]
BAD = [b"{", b'{"model": 5}', b'{"model": "nobody", "prompt": "x"}', b'{"model": "%s", "prompt": "x", "temperature": 9}',
       b'{"model": "%s", "prompt": "x", "nonsense": 1}', b'{"model": "%s", "prompt": []}', b"\xff\xfe\x00"]
# Memory grows while blocks of the KV cache are used for the first time. A small one is all in use after the warm-up.
SMALL_CACHE = ["--worker.kv-cache-mb=48", "--worker.max-model-len=512"]
GROWTH_KB = 16 * 1024


class Soak:
    def __init__(self, host, port, model, seed):
        self.host, self.port, self.model, self.random = host, port, model, random.Random(seed)
        self.counts = collections.Counter()
        self.problems = []
        self.tokens = 0
        self.ttft = []

    async def post(self, body, path="/v1/completions"):
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body))
                     + body)
        status = int((await reader.readline()).split()[1])
        while (await reader.readline()).strip():
            pass
        return reader, writer, status

    async def bad(self):
        body = self.random.choice(BAD)
        body = body.replace(b"%s", self.model.encode())
        reader, writer, status = await self.post(body)
        answer = await reader.read()
        writer.close()
        self.counts["bad"] += 1
        if status not in (400, 404) or b'"error"' not in answer:
            self.problems.append(f"bad request got {status}: {answer[:200]!r}")

    async def stream(self, hang_up):
        tokens = self.random.randint(8, 96)
        body = {"model": self.model, "prompt": self.random.choice(PROMPTS), "max_tokens": tokens, "stream": True,
                "temperature": self.random.choice([0, 0.8]), "ignore_eos": True, "n": self.random.choice([1, 1, 1, 2]),
                "stream_options": {"include_usage": True}}
        began = time.monotonic()
        reader, writer, status = await self.post(json.dumps(body).encode())
        try:
            if status != 200:
                return self.problems.append(f"stream got {status}: {await reader.read()!r}")
            await self.read_stream(reader, body, began, self.random.randint(1, 12) if hang_up else None)
        finally:
            writer.close()

    async def read_stream(self, reader, body, began, hang_up_after):
        chunks, usage, reasons, done = 0, None, 0, False
        while line := await reader.readline():
            if not line.startswith(b"data: "):
                continue
            if chunks == 0:
                self.ttft.append(time.monotonic() - began)
            chunks += 1
            if line.startswith(b"data: [DONE]"):
                done = True
                break
            chunk = json.loads(line[6:])
            if "error" in chunk:
                return self.problems.append(f"error in a stream: {chunk}")
            usage = chunk.get("usage") or usage
            reasons += sum(choice["finish_reason"] == "length" for choice in chunk["choices"])
            if hang_up_after is not None and chunks >= hang_up_after:
                self.counts["hung_up"] += 1
                return
        wanted = body["n"] * body["max_tokens"]
        if not done or usage is None or usage["completion_tokens"] != wanted or reasons != body["n"]:
            return self.problems.append(f"stream of {wanted} tokens ended with {usage}, {reasons} reasons, done {done}")
        self.counts["complete"] += 1
        self.tokens += wanted

    async def client(self, until):
        while time.monotonic() < until:
            kind = self.random.random()
            try:
                if kind < 0.1:
                    await self.bad()
                else:
                    await self.stream(hang_up=kind < 0.3)
            except (ConnectionError, asyncio.IncompleteReadError, IndexError, json.JSONDecodeError) as error:
                self.problems.append(f"{type(error).__name__}: {error}")

    async def run(self, seconds, clients):
        until = time.monotonic() + seconds
        await asyncio.gather(*(self.client(until) for _ in range(clients)))


def report(soak, seconds):
    ttft = sorted(soak.ttft) or [0]
    print(f"{seconds:.0f} s: {dict(soak.counts)}, {soak.tokens / seconds:.0f} tokens/s in complete answers, first token "
          f"p50 {ttft[len(ttft) // 2] * 1000:.0f} ms, p99 {ttft[len(ttft) * 99 // 100] * 1000:.0f} ms", flush=True)


def warm_up(soak, pids, seconds, clients):
    """Loads until memory grows no more: blocks are used for the first time, threads get their arenas. Returns kB per process."""
    asyncio.run(soak.run(seconds, clients))
    before = {pid: rss_kb(pid) for pid in pids}
    for _ in range(8):
        asyncio.run(soak.run(3, clients))
        now = {pid: rss_kb(pid) for pid in pids}
        if all(now[pid] - before[pid] < 1024 for pid in pids):
            return now
        before = now
    return before


def measured_soak(cluster, seconds, clients, seed=1):
    """Warms up, loads, and looks for what is left. Returns the list of problems."""
    model = cluster.get("/v1/models")["data"][0]["id"]
    pids = cluster.children("worker") + cluster.children("router")
    warm = Soak(cluster.host, cluster.port, model, seed)
    before = warm_up(warm, pids, max(2, seconds / 5), clients)
    cluster.wait_idle(10)
    soak = Soak(cluster.host, cluster.port, model, seed + 1)
    began = time.monotonic()
    asyncio.run(soak.run(seconds, clients))
    report(soak, time.monotonic() - began)
    problems = warm.problems + soak.problems
    try:
        cluster.wait_idle(5)
    except AssertionError as error:
        problems.append(str(error))
    if not soak.counts["complete"] or not soak.counts["hung_up"] or not soak.counts["bad"]:
        problems.append(f"the load was not what it should be: {soak.counts}")
    found = look_at_processes(cluster, pids, before)
    if "BESSEMER_SANITIZED" not in os.environ:  # else it is the sanitizer's memory and time
        problems += found
    return problems


def look_at_processes(cluster, pids, before):
    problems = []
    if cluster.children("worker") + cluster.children("router") != pids:
        return ["a process was restarted"]
    for pid in pids:
        grown = rss_kb(pid) - before[pid]
        print(f"process {pid}: {before[pid] // 1024} MB before, {grown:+d} kB after", flush=True)
        if grown > GROWTH_KB:
            problems.append(f"process {pid} has grown by {grown} kB from {before[pid]} kB")
    time.sleep(1)
    share = idle_cpu_share(cluster, seconds=4)
    print(f"idle CPU afterwards: {share:.2%} of one core", flush=True)
    if share >= MAX_IDLE_CPU:
        problems.append(f"idle CPU {share:.1%} of one core")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default=default_model() or small_model())
    parser.add_argument("--url")
    options = parser.parse_args()
    if options.url:
        host, port = options.url.removeprefix("http://").rstrip("/").split(":")
        import urllib.request
        model = json.load(urllib.request.urlopen(options.url + "/v1/models"))["data"][0]["id"]
        soak = Soak(host, int(port), model, options.seed)
        asyncio.run(soak.run(options.seconds, options.clients))
        report(soak, options.seconds)
        problems = soak.problems
    else:
        with Cluster(options.model, flags=SMALL_CACHE) as cluster:
            problems = measured_soak(cluster, options.seconds, options.clients, options.seed)
    for problem in problems[:20]:
        print("PROBLEM:", problem)
    print("no problem" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
