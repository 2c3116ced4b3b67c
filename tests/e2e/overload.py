#!/usr/bin/env python3
"""More than a cluster can do: two routers over the same workers, two tenants of weights 1 and 3, three times the load that fits.

    overload.py [--seconds 60] [--times 3] [--workers 2] [--model FILE]

What fits is measured first, by clients that ask again as soon as they are answered. Then each tenant sends half of the load to
both routers, its arrivals at random, whatever is answered. Who is refused comes back once, when the Retry-After says. Ends with a
line of figures; the exit status is 1 when
  - fewer answers a second are in time (--in-time) than 90 % of the most that was seen,
  - the tenants' shares of what was computed are off their weights by more than 5 points of a hundred,
  - a router's line or a worker's queue was longer than its bound,
  - fewer than 95 of 100 that came back as they were told were let in.
"""
import argparse
import asyncio
import collections
import contextlib
import json
import pathlib
import random
import sys
import tempfile
import time

from cluster import default_model, small_model
from processes import Process
from tenants_file import TenantsFile

WEIGHTS = {"one": 1, "three": 3}
MAX_WAITING = 256  # in a router
WORKER_WAITING = 16
SLOTS = 8  # of a worker: more at once only make each slower on a CPU
MAX_WAIT_S = 5
OUTPUT = 16


class Answer:
    def __init__(self, status, retry_after_s, tokens, took_s):
        self.status, self.retry_after_s, self.tokens, self.took_s = status, retry_after_s, tokens, took_s


class Load:
    def __init__(self, routers, keys, model, prompt_tokens, in_time_s, seed):
        self.routers, self.keys, self.model = routers, keys, model
        self.prompt_tokens, self.in_time_s = prompt_tokens, in_time_s
        self.random = random.Random(seed)
        self.problems = []

    def new_body(self):
        """A prompt that nobody has seen, so that nothing of it is cached."""
        ids = [self.random.randrange(300, 500) for _ in range(self.prompt_tokens)]
        return json.dumps({"model": self.model, "prompt": ids, "max_tokens": OUTPUT, "ignore_eos": True}).encode()

    async def ask(self, router, tenant, body):
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(router.host, router.port)
        try:
            writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n"
                         b"Content-Length: %d\r\n\r\n" % (self.keys[tenant].encode(), len(body)) + body)
            head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        status = int(lines[0].split()[1])
        tokens = 0
        if status == 200:
            usage = json.loads(answer)["usage"]
            tokens = usage["prompt_tokens"] + 2 * usage["completion_tokens"]  # what service is reckoned in
        elif status != 429:
            self.problems.append(f"status {status}: {answer[:300]!r}")
        return Answer(status, float(headers.get("retry-after-ms", 0)) / 1000, tokens, time.monotonic() - began)

    async def capacity(self, seconds, clients):
        """Answers a second, where everybody asks again at once."""
        end = time.monotonic() + seconds
        counted_from = end - 0.7 * seconds
        done = 0

        async def client(i):
            nonlocal done
            while time.monotonic() < end:
                answer = await self.ask(self.routers[i % 2], list(WEIGHTS)[i // 2 % 2], self.new_body())
                done += answer.status == 200 and counted_from < time.monotonic() < end
                await asyncio.sleep(answer.retry_after_s)

        await asyncio.gather(*(client(i) for i in range(clients)))
        return done / (0.7 * seconds)

    async def overload(self, seconds, rate):
        run = Overload(self, time.monotonic(), seconds)
        watch = asyncio.create_task(run.watch_lines())
        tasks = []
        while time.monotonic() < run.end:
            router, tenant = self.random.choice(self.routers), self.random.choice(list(WEIGHTS))
            tasks.append(asyncio.create_task(run.one(router, tenant)))
            await asyncio.sleep(self.random.expovariate(rate))
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        await asyncio.gather(*tasks)
        return run


class Overload:
    """What happened. Counted is from a quarter of the time on, when lines have their length."""

    def __init__(self, load, began, seconds):
        self.load = load
        self.counted_from, self.end = began + seconds / 4, began + seconds
        self.good = 0
        self.arrived = 0
        self.given = collections.Counter()
        self.came_back = collections.Counter()  # by status
        self.longest = collections.Counter()
        self.answers = collections.Counter()  # by status
        self.took = []  # of answers, seconds

    async def one(self, router, tenant):
        self.arrived += 1
        body = self.load.new_body()
        answer = self.take(await self.load.ask(router, tenant, body), tenant)
        if answer.status != 429:
            return
        if time.monotonic() + answer.retry_after_s > self.end:
            return  # when the load is over anybody is let in
        await asyncio.sleep(answer.retry_after_s)
        answer = self.take(await self.load.ask(router, tenant, body), tenant)
        self.came_back[answer.status] += 1

    def take(self, answer, tenant):
        self.answers[answer.status] += 1
        if answer.status == 200 and self.counted_from < time.monotonic() < self.end:
            self.good += answer.took_s <= self.load.in_time_s
            self.given[tenant] += answer.tokens
            self.took.append(answer.took_s)
        return answer

    async def watch_lines(self):
        while True:
            for router in self.load.routers:
                state = await asyncio.to_thread(router.get, "/bessemer/state")
                self.longest["router"] = max(self.longest["router"], state["router"]["waiting"])
                for worker in state["workers"]:
                    waiting = (worker.get("load") or {}).get("waiting", 0)
                    self.longest["worker"] = max(self.longest["worker"], waiting)
            await asyncio.sleep(0.1)

    def figures(self, fits, times):
        seconds = self.end - self.counted_from
        back = sum(self.came_back.values())
        return {
            "fits_per_s": round(fits, 2), "times": times, "arrived": self.arrived,
            "in_time_per_s": round(self.good / seconds, 2),
            "answers": dict(self.answers), "took_s": [round(q, 2) for q in quantiles(self.took)],
            "share_of_three": round(self.given["three"] / max(1, sum(self.given.values())), 3),
            "came_back": back, "let_in_share": round(self.came_back[200] / back, 3) if back else None,
            "longest_line": self.longest["router"], "longest_queue_of_a_worker": self.longest["worker"],
        }


def quantiles(values):
    """The median, the 99th of a hundred, the greatest."""
    values = sorted(values) or [0]
    return [values[min(len(values) - 1, int(share * len(values)))] for share in (0.5, 0.99, 1)]


def judge(figures, peak):
    problems = []
    if figures["in_time_per_s"] < 0.9 * peak:
        problems.append(f"{figures['in_time_per_s']} answers a second are in time; the most that was seen is {peak:.2f}")
    if abs(figures["share_of_three"] - 0.75) > 0.05:
        problems.append(f"the tenant of weight 3 got {figures['share_of_three']} of what was computed, not 0.75")
    if figures["longest_line"] > MAX_WAITING or figures["longest_queue_of_a_worker"] > WORKER_WAITING:
        problems.append("a line was longer than its bound")
    if figures["let_in_share"] is None or figures["let_in_share"] < 0.95:
        problems.append(f"of {figures['came_back']} that came back when they were told, {figures['let_in_share']} were let in")
    return problems


async def run(arguments, routers, keys):
    model = routers[0].get("/v1/models")["data"][0]["id"]
    load = Load(routers, keys, model, arguments.prompt, arguments.in_time, arguments.seed)
    fits = await load.capacity(arguments.seconds / 3, 2 * SLOTS * arguments.workers)
    print(f"{fits:.2f} requests a second fit", flush=True)
    peak = fits
    for times in (1, arguments.times):
        result = (await load.overload(arguments.seconds, times * fits)).figures(fits, times)
        print(json.dumps(result), flush=True)
        peak = max(peak, result["in_time_per_s"])
        if times == 1:
            await asyncio.sleep(MAX_WAIT_S)
    return load.problems[:10] + judge(result, peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=float, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=100, help="tokens")
    parser.add_argument("--in-time", type=float, default=MAX_WAIT_S + 3, help="seconds, of a whole answer")
    parser.add_argument("--model", default=default_model() or small_model())
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        tenants = TenantsFile(pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "tenants.yaml")
        tenants.write(**{name: {"weight": weight} for name, weight in WEIGHTS.items()})
        keys = {name: key for name, (key, _) in tenants.keys.items()}
        workers = [stack.enter_context(Process("worker", "--model", arguments.model, "--threads", 1, "--port", 0, "--kv-cache-mb",
                                               256, "--max-sequences", SLOTS, "--max-waiting", WORKER_WAITING)) for _ in range(arguments.workers)]
        routers = [stack.enter_context(Process("router", "--port", 0, "--threads", 1, "--workers", *(w.address for w in workers),
                                               "--tenants-file", tenants.path, "--max-waiting", MAX_WAITING, "--max-wait-ms",
                                               1000 * MAX_WAIT_S)) for _ in range(2)]
        for router in routers:
            router.key = keys["one"]
            router.wait_workers({worker.address: "ready" for worker in workers})
        problems = asyncio.run(run(arguments, routers, keys))
    print("\n".join(problems) or "as it should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
