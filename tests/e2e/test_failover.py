"""Streams that lose their worker: real workers, killed, stopped and drained in the middle of real answers."""
import concurrent.futures
import contextlib
import math
import os
import random
import re
import signal
import threading
import time

import pytest

from cluster import Cluster, counter_in, default_model, wait_until
from streams import Stream

KILLS = int(os.environ.get("BESSEMER_KILLS", "12"))  # 200 for a release
TOKENS = 64 if default_model() else 450  # the small model writes thousands a second
# What depends on history, each in its own way: noise, penalties, log-probabilities, several choices.
ASKED = {
    "drawn": {"temperature": 1.0, "seed": 11},
    "penalties": {"temperature": 1.0, "seed": 12, "frequency_penalty": 0.7, "presence_penalty": 0.4, "repetition_penalty": 1.2},
    "logprobs": {"temperature": 1.0, "seed": 13, "logprobs": 3},
    "two choices": {"temperature": 1.0, "seed": 14, "n": 2},
    "greedy": {"temperature": 0.0},
    "all": {"temperature": 1.0, "seed": 15, "n": 2, "logprobs": 2, "frequency_penalty": 0.5, "min_tokens": TOKENS - 8},
}


@pytest.fixture(scope="module")
def cluster(model):
    """Workers that come back: each test leaves two ready ones."""
    with Cluster(model) as cluster:
        yield cluster


def request_body(cluster, tokens=TOKENS, **more):
    name = cluster.get("/v1/models")["data"][0]["id"]
    return {"model": name, "prompt": "Once upon a time there was a small red", "max_tokens": tokens, "ignore_eos": True,
            "stream": True, "return_token_ids": True, **more}


def worker_with_work(cluster):
    """(index in the state's list, its load) of a worker that runs something."""
    for worker in cluster.state()["workers"]:
        if worker["load"]["from_this_router"] > 0:
            return worker
    return None


def pid_of(cluster, worker):
    """The child that listens on the worker's port."""
    port = worker["address"].rsplit(":", 1)[1]
    wanted = f"{int(port):04X}"
    inodes = {line.split()[9] for table in ("tcp", "tcp6") for line in open(f"/proc/net/{table}")
              if line.split()[1].endswith(":" + wanted) and line.split()[3] == "0A"}
    for pid in cluster.children("worker"):
        with contextlib.suppress(FileNotFoundError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(FileNotFoundError):
                    found = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{descriptor}"))
                    if found and found.group(1) in inodes:
                        return pid
    raise AssertionError(f"no worker listens on {port}")


def counter(cluster, name, **labels):
    return counter_in(cluster.request("GET", "/metrics")[2].decode(), name, **labels)


def resumes(cluster):
    """Those after a death: "lane" where it was not known that nobody may be attached to."""
    return counter(cluster, "resumes_total", cause="crash") + counter(cluster, "resumes_total", cause="lane")


def kill_in_mid_stream(cluster, body, events):
    """The answer of a stream whose worker is killed, if that is still at it, behind so many events."""
    stream = Stream(cluster, body)
    stream.read(events)
    worker = worker_with_work(cluster)
    if worker:
        cluster.kill_child(pid_of(cluster, worker))
    answer = stream.rest()
    wait_until(lambda: len(cluster.children("worker")) == 2, 60, "the supervisor's restart")
    cluster.wait_ready(60)
    return answer


@pytest.mark.parametrize("what", ASKED)
def test_a_killed_worker_is_not_noticed(cluster, what):
    body = request_body(cluster, **ASKED[what])
    undisturbed = Stream(cluster, body).rest()
    assert all(one["finish"] == "length" and len(one["ids"]) == TOKENS for one in undisturbed.values())
    wanted = resumes(cluster) + math.ceil(KILLS / len(ASKED))
    generator = random.Random(what)
    for _ in range(4 * KILLS):  # some answers are faster than their killer
        answer = kill_in_mid_stream(cluster, body, generator.randint(2, TOKENS // 2))
        assert answer == undisturbed
        if resumes(cluster) >= wanted:
            break
    assert resumes(cluster) >= wanted
    assert counter(cluster, "failed_streams_total") == 0
    assert counter(cluster, "poisoned_total") == 0


def test_a_whole_answer_goes_on_too(cluster):
    body = request_body(cluster, **ASKED["drawn"], stream=False)
    undisturbed = cluster.post("/v1/completions", body)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(cluster.post, "/v1/completions", body)
        worker = wait_until(lambda: worker_with_work(cluster), 10, "running")
        cluster.kill_child(pid_of(cluster, worker))
        again = answer.result()
    assert again["choices"] == undisturbed["choices"]
    assert again["usage"]["completion_tokens"] == undisturbed["usage"]["completion_tokens"]
    wait_until(lambda: len(cluster.children("worker")) == 2, 60, "the supervisor's restart")
    cluster.wait_ready(60)


def test_a_stopped_worker_is_left_behind_and_comes_back(cluster):
    """SIGSTOP: sockets stay open, nothing is said. The lease ends it; SIGCONT brings the worker back."""
    body = request_body(cluster, **ASKED["drawn"])
    undisturbed = Stream(cluster, body).rest()
    stream = Stream(cluster, body)
    stream.read(6)
    pid = pid_of(cluster, wait_until(lambda: worker_with_work(cluster), 10, "running"))
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert stream.rest() == undisturbed
        assert time.monotonic() - began > 1, "it had ended before the stop"
    finally:
        os.kill(pid, signal.SIGCONT)
    cluster.wait_ready(30)
    assert counter(cluster, "resumes_total", cause="lease") >= 1


def test_both_workers_killed_and_the_stream_waits_for_one_to_return(cluster):
    body = request_body(cluster, **ASKED["penalties"])
    undisturbed = Stream(cluster, body).rest()
    stream = Stream(cluster, body)
    stream.read(6)
    for pid in cluster.children("worker"):
        cluster.kill_child(pid)
    assert stream.rest() == undisturbed
    cluster.wait_ready(60)
    cluster.wait_idle(10)


def test_a_draining_worker_hands_its_streams_over(model):
    """SIGTERM, as a roll-out sends it. A third of its grace is long before the end of these answers, on fast
    cores too."""
    with Cluster(model, flags=["--worker.drain-ms=600"]) as cluster:
        tokens = 7 * TOKENS if default_model() else TOKENS
        bodies = [request_body(cluster, tokens, **{**ASKED["all"], "seed": seed}) for seed in range(4)]
        undisturbed = [Stream(cluster, body).rest() for body in bodies]
        streams = [Stream(cluster, body) for body in bodies]
        for stream in streams:
            stream.read(4)
        worker = wait_until(lambda: worker_with_work(cluster), 10, "running")
        cluster.expected_deaths += 1
        os.kill(pid_of(cluster, worker), signal.SIGTERM)
        assert [stream.rest() for stream in streams] == undisturbed
        assert counter(cluster, "resumes_total", cause="handoff") >= 1
        assert counter(cluster, "failed_streams_total") == 0
        wait_until(lambda: len(cluster.children("worker")) == 2, 60, "the supervisor's restart")
        cluster.wait_ready(60)
        cluster.wait_idle(10)


def test_a_rolling_restart_fails_no_request(model):
    """All workers, one after the other, while clients that never retry keep asking."""
    with Cluster(model, flags=["--worker.drain-ms=900"]) as cluster:
        body = request_body(cluster, TOKENS // 2, **ASKED["drawn"])
        undisturbed = Stream(cluster, body).rest()
        stop = threading.Event()

        def ask():
            answers = []
            while not stop.is_set():
                answers.append(Stream(cluster, body).rest())
            return answers

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(ask) for _ in range(4)]
            for pid in cluster.children("worker"):
                cluster.expected_deaths += 1
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda gone=pid: gone not in cluster.children("worker") and len(cluster.children("worker")) == 2, 60,
                           "the supervisor's restart")
                cluster.wait_ready(60)
            stop.set()
            answers = [answer for client in clients for answer in client.result()]
        assert len(answers) >= 4 and all(answer == undisturbed for answer in answers)
        cluster.wait_idle(10)
