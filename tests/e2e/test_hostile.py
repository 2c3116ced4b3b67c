"""Clients that are slow, broken or greedy: each gets the right status, nothing of them stays, and nobody else notices."""
import contextlib
import json
import socket
import threading
import time

import pytest

from cluster import Cluster, rss_kb, wait_until

TIMEOUT_MS = 1500


@pytest.fixture(scope="module")
def front(model):
    flags = [f"--router.{name}-timeout-ms={TIMEOUT_MS}" for name in ("header", "body", "idle")]
    with Cluster(model, workers=1, flags=flags) as cluster:
        yield cluster


@pytest.fixture
def name(front):
    return front.get("/v1/models")["data"][0]["id"]


def connections(cluster):
    return cluster.state()["router"]["connections"]


def is_quiet(cluster):
    return connections(cluster) == 1 and cluster.is_idle()  # the one that asks


class Bystander:
    """Somebody well-behaved who asks all the time: always answered, never late."""

    def __init__(self, cluster, name):
        self.cluster, self.body = cluster, {"model": name, "prompt": "Hi", "max_tokens": 1}
        self.slowest, self.answers, self.over = 0.0, 0, threading.Event()
        self.failures = []

    def __enter__(self):
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()
        return self

    def ask(self):
        while not self.over.wait(0.05) or self.answers < 3:
            began = time.monotonic()
            status, _, body = self.cluster.request("POST", "/v1/completions", self.body)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.answers += 1
            if status != 200:
                self.failures.append(body)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(60)
        assert not self.failures, self.failures[:1]
        assert self.slowest < 5, f"a bystander waited {self.slowest:.1f} s"


@pytest.fixture(autouse=True)
def nobody_notices_and_nothing_stays(front, name):
    with Bystander(front, name):
        yield
    wait_until(lambda: is_quiet(front), 10, f"quiet again: {connections(front)} connections")


def read_all(connection, seconds=10):
    connection.settimeout(seconds)
    data = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while piece := connection.recv(65536):
            data += piece
    return data


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def drip(cluster, beginning, piece, count):
    """`count` connections that send a little all the time and never finish; the status that each of them gets, and when."""
    open_ones = [cluster.connect() for _ in range(count)]
    began = time.monotonic()
    for connection in open_ones:
        connection.sendall(beginning)
        connection.setblocking(False)
    answers = {}
    while len(answers) < count and time.monotonic() - began < 10:
        time.sleep(0.1)
        for connection in open_ones:
            if connection in answers:
                continue
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                connection.send(piece)
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                answers[connection] = connection.recv(65536)
    took = time.monotonic() - began
    for connection in open_ones:
        connection.close()
    return [status_of(answer) for answer in answers.values()], took


@pytest.mark.parametrize("beginning, piece", [
    (b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"z"),
    (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{", b" "),
    (b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
], ids=["head", "body", "chunks"])
def test_slowloris(front, beginning, piece):
    statuses, took = drip(front, beginning, piece, 100)
    assert statuses == [408] * 100
    assert took < TIMEOUT_MS / 1000 + 2


def test_connections_that_say_nothing_are_closed(front):
    silent = [front.connect() for _ in range(100)]
    assert connections(front) >= 100
    began = time.monotonic()
    assert [read_all(connection) for connection in silent] == [b""] * 100
    assert time.monotonic() - began < TIMEOUT_MS / 1000 + 2
    for connection in silent:
        connection.close()


def stream_request(name, tokens):
    body = json.dumps({"model": name, "prompt": "Once upon a time", "max_tokens": tokens, "stream": True, "ignore_eos": True,
                       "logprobs": 5}).encode()
    return b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_slow_readers(front, name):
    """They ask for streams and read nothing; what they were sent waits within its bound, and goes with them."""
    slow = []
    for _ in range(8):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((front.host, front.port))
        connection.sendall(stream_request(name, 400))
        slow.append(connection)
    wait_until(lambda: front.loads()[0]["from_this_router"] == 8, 10, "all are served")
    time.sleep(1)
    slow[0].settimeout(30)  # one of them wakes up
    data = b""
    while b"data: [DONE]" not in data:
        piece = slow[0].recv(65536)
        assert piece, data[-300:]
        data += piece
    for connection in slow:
        connection.close()


def test_readers_that_vanish(front, name):
    """With a reset, in the middle of a stream: their work ends with them."""
    for _ in range(5):
        with front.connect() as connection:
            connection.sendall(stream_request(name, 400))
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_bodies_of_ten_megabytes(front, name):
    """Bodies that are allowed and too long for any model, and bodies that are not allowed: none of their memory stays."""
    router = front.children("router")[0]
    text = "word " * (2 * 1024 * 1024)
    before = None
    for turn in range(6):
        status, _, answer = front.request("POST", "/v1/completions", {"model": name, "prompt": text})
        assert status == 400 and "tokens" in json.loads(answer)["error"]["message"], answer[:300]
        if turn == 1:  # the allocator has what it keeps
            before = rss_kb(router)
    assert rss_kb(router) - before < 64 * 1024


def test_bodies_beyond_the_limit_are_refused_before_they_come(front):
    with front.connect() as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n{")
        answer = read_all(connection)
    assert status_of(answer) == 413 and b"larger than 16777216 bytes" in answer, answer


@pytest.mark.parametrize("body", [
    b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"model": "x", "prompt": "\xff\xfe\xc3\x28"}',
    b'{"model": "x", "prompt": "\\ud800"}',
    b'{"model": "x", "prompt": "' + b"\x00" * 10 + b'"}',
    b"\x1f\x8b\x08\x00 not what it says",
], ids=["deep arrays", "deep objects", "not UTF-8", "half a surrogate pair", "zeros", "binary"])
def test_bodies_that_are_no_json(front, body):
    status, _, answer = front.request("POST", "/v1/completions", body, timeout=10)
    assert status == 400, answer
    error = json.loads(answer)["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"


@pytest.mark.parametrize("size, status", [(10_000, 200), (100_000, 431)])
def test_long_headers(front, size, status):
    with front.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: " + b"c" * size + b"\r\n\r\n")
        assert status_of(read_all(connection)) == status
