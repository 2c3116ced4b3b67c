"""Clients that vanish, workers that die, ctrl-C: nothing leaks and nobody is left hanging."""
import concurrent.futures
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

from cluster import BINARY, MAX_IDLE_CPU, Cluster, idle_cpu_share, wait_until
from conftest import make_client

# Measures time or CPU on a machine that others may share: once more before it counts, and pytest says so.
timed = pytest.mark.flaky(reruns=1, reruns_delay=2)

@pytest.fixture
def own_cluster(model):
    """For tests that break something."""
    with Cluster(model) as cluster:
        yield cluster


@pytest.fixture
def long_tokens(cluster):
    return min(2000, cluster.get("/v1/models")["data"][0]["max_model_len"] - 20)


def open_stream(cluster, tokens, path="/v1/completions", **fields):
    """A raw connection on which the first text has come."""
    name = cluster.get("/v1/models")["data"][0]["id"]
    body = json.dumps({"model": name, "prompt": "Once upon a time", "max_tokens": tokens, "ignore_eos": True, "stream": True,
                       **fields}).encode()
    connection = cluster.connect()
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    received = b""
    while b"data: {" not in received:
        received += connection.recv(4096)
    assert received.startswith(b"HTTP/1.1 200"), received
    return connection


def running(cluster):
    """Requests, those too that pause since nobody reads them."""
    return sum(load["from_this_router"] for load in cluster.loads())


@timed
@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
def test_a_client_that_hangs_up_frees_its_blocks_within_a_second(cluster, long_tokens, how):
    connections = [open_stream(cluster, long_tokens, n=2) for _ in range(3)]
    wait_until(lambda: running(cluster) >= 3, 10, "streams running")
    for connection in connections:
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how == "half_close":
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.close()
    began = time.monotonic()
    wait_until(cluster.is_idle, 5, "idle")
    assert time.monotonic() - began < 1.0
    for connection in connections:
        connection.close()


@timed
def test_hanging_up_in_the_middle_of_a_long_prompt_frees_its_blocks_within_a_second(cluster, name):
    longest = cluster.get("/v1/models")["data"][0]["max_model_len"]
    if longest < 4096:
        pytest.skip("the small model has done its longest prompt before anybody can hang up: run `bessemer pull smollm2`")
    draw = random.Random(time.monotonic_ns())  # nothing that the prefix cache has
    body = json.dumps({"model": name, "prompt": [draw.randrange(1000, 20000) for _ in range(longest - 100)],
                       "max_tokens": 8}).encode()
    connection = cluster.connect()
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    wait_until(lambda: running(cluster) == 1, 10, "running")
    time.sleep(1.5)
    assert running(cluster) == 1, "the prompt was done too soon to hang up in its middle"
    connection.close()
    cluster.wait_idle(1.0)


def test_a_hung_worker_is_not_ready(model):
    """All lanes fall silent and are tried again, in turn: none of them counts before its Hello."""
    with Cluster(model, workers=1) as cluster:
        worker, = cluster.children("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            wait_until(lambda: cluster.request("GET", "/health")[0] == 503, 10, "the worker is missed")
            until = time.monotonic() + 7  # longer than a lane waits for Hello
            while time.monotonic() < until:
                assert cluster.state()["workers"][0]["state"] == "down"
                time.sleep(0.1)
        finally:
            os.kill(worker, signal.SIGCONT)
        cluster.wait_ready(30)


@timed
def test_a_whole_answer_is_cancelled_too(cluster, long_tokens, name):
    body = json.dumps({"model": name, "prompt": "Once", "max_tokens": long_tokens, "ignore_eos": True}).encode()
    connection = cluster.connect()
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    wait_until(lambda: running(cluster) == 1, 10, "running")
    connection.close()
    cluster.wait_idle(1.0)


@timed
def test_breaking_out_of_the_official_stream_cancels(cluster, client, name, long_tokens):
    with client.completions.create(model=name, prompt="Once", max_tokens=long_tokens, stream=True,
                                   extra_body={"ignore_eos": True}) as stream:
        for _, _chunk in zip(range(3), stream):
            pass
    cluster.wait_idle(1.0)


def test_a_client_that_does_not_read_does_not_stop_others(cluster, client, name, long_tokens):
    slow = cluster.connect()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    body = json.dumps({"model": name, "prompt": "Once", "max_tokens": long_tokens, "ignore_eos": True, "stream": True}).encode()
    slow.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    time.sleep(0.5)
    for _ in range(4):
        assert client.completions.create(model=name, prompt="Hi", max_tokens=4).choices[0].text is not None
    slow.close()


@timed
@pytest.mark.skipif("BESSEMER_SANITIZED" in os.environ, reason="would measure the sanitizer")
def test_an_idle_cluster_uses_no_cpu(cluster):
    cluster.wait_idle()
    assert idle_cpu_share(cluster, seconds=5) < MAX_IDLE_CPU


def read_rest(connection):
    connection.settimeout(60)
    received = b""
    while piece := connection.recv(65536):
        received += piece
        if b"data: [DONE]" in received:
            break
    return received


def test_a_worker_killed_in_mid_stream(own_cluster):
    cluster = own_cluster
    tokens = min(1500, cluster.get("/v1/models")["data"][0]["max_model_len"] - 20)
    victims = cluster.children("worker")
    assert len(victims) == 2
    connections = [open_stream(cluster, tokens) for _ in range(4)]
    # Not "running": nobody reads, and a stream that has filled its connection pauses.
    wait_until(lambda: all(load["from_this_router"] > 0 for load in cluster.loads()), 10, "both workers busy")
    for connection in connections:  # before its first token a stream may start over on another worker, unseen
        while b'"text"' not in connection.recv(4096):
            pass
    old = {worker["incarnation"] for worker in cluster.state()["workers"]}
    cluster.kill_child(victims[0])

    for connection in connections:  # those of the dead one go on on the other (test_failover.py looks at what they say)
        data = read_rest(connection)
        assert data.rstrip(b"\r\n0").endswith(b"data: [DONE]"), data[-200:]
        assert b'"error"' not in data and b'"finish_reason":"length"' in data, data[-300:]
        connection.close()

    with make_client(cluster) as client:  # the other worker serves on, at once
        name = cluster.get("/v1/models")["data"][0]["id"]
        assert client.completions.create(model=name, prompt="Hi", max_tokens=2).usage.completion_tokens
    wait_until(lambda: len(cluster.children("worker")) == 2, 30, "the supervisor's restart")
    cluster.wait_ready(60)
    assert len(old & {worker["incarnation"] for worker in cluster.state()["workers"]}) == 1
    cluster.wait_idle()


def test_a_worker_killed_before_it_said_anything(own_cluster):
    """Nobody has seen a token yet, so another worker can begin again: no client notices."""
    cluster = own_cluster
    name = cluster.get("/v1/models")["data"][0]["id"]
    # Long enough that both are still busy when a swamped machine lets this process look; a sanitizer's workers are slow anyway.
    tokens = 150 if "BESSEMER_SANITIZED" in os.environ else 600
    body = {"model": name, "prompt": "Once upon a time", "max_tokens": tokens, "ignore_eos": True}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(cluster.post, "/v1/completions", body) for _ in range(4)]
        wait_until(lambda: all(load["running"] > 0 for load in cluster.loads()), 10, "both workers busy")
        cluster.kill_child(cluster.children("worker")[0])
        assert [answer.result()["usage"]["completion_tokens"] for answer in answers] == [tokens] * 4


def test_announced_means_served(cluster):
    assert cluster.status_when_announced == 200


def test_all_workers_killed_and_back(own_cluster):
    cluster = own_cluster
    name = cluster.get("/v1/models")["data"][0]["id"]
    for pid in cluster.children("worker"):
        cluster.kill_child(pid)
    status, headers, body = cluster.request("POST", "/v1/completions", {"model": name, "prompt": "Hi", "max_tokens": 2})
    assert status in (200, 503), body  # it may have waited for the restart
    if status == 503:
        assert int(headers["retry-after"]) >= 1
    # 503 with Retry-After until the first of them is back, as clients retry it by themselves.
    again = {"model": name, "prompt": "Hi", "max_tokens": 2}
    wait_until(lambda: cluster.request("POST", "/v1/completions", again)[0] == 200, 60, "an answer after the restart")


def test_ctrl_c_lets_streams_finish(model):
    with Cluster(model) as cluster:
        connection = open_stream(cluster, 100)
        got = {}
        reader = threading.Thread(target=lambda: got.update(data=read_rest(connection)))
        reader.start()
        cluster.interrupt()
        assert cluster.process.wait(60) == 0, cluster.log()
        reader.join(10)
    data = got["data"]
    assert b"data: [DONE]" in data and b'"error"' not in data, data[-300:]
    assert b'"finish_reason":"length"' in data
    with pytest.raises(ConnectionError):
        cluster.connect()


def test_ctrl_c_lets_large_answers_leave_and_uploads_arrive(model):
    with Cluster(model) as cluster:
        name = cluster.get("/v1/models")["data"][0]["id"]
        body = json.dumps({"tokens": [0] * 1_000_000}).encode()  # a control token, spelt out: more than sockets take
        reader = cluster.connect()
        reader.sendall(b"POST /detokenize HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        head = reader.recv(1024)
        assert head.startswith(b"HTTP/1.1 200 "), head
        body = json.dumps({"model": name, "prompt": "Hi", "max_tokens": 2}).encode()
        upload = cluster.connect()
        upload.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:9])
        time.sleep(0.2)
        cluster.interrupt()
        time.sleep(0.5)
        upload.sendall(body[9:])
        assert read_rest(upload).startswith(b"HTTP/1.1 200 ")
        data = head + read_rest(reader)
        assert cluster.process.wait(60) == 0, cluster.log()
    head, _, body = data.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n", head


def test_nothing_is_left_behind(model):
    with Cluster(model) as cluster:
        pids = cluster.children("worker") + cluster.children("router")
        assert len(pids) == 3
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}"), f"process {pid} outlived the cluster"
    assert cluster.process.returncode == 0, cluster.log()


def test_children_die_with_their_parent(model):
    with Cluster(model) as cluster:
        pids = cluster.children("worker") + cluster.children("router")
        cluster.kill_supervisor()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 10, "children gone with their parent")


def test_a_taken_port_is_said(model, cluster):
    result = subprocess.run([BINARY, "serve", "--model", str(model), "--workers", "1", "--port", str(cluster.port)],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and str(cluster.port) in result.stdout + result.stderr
