"""Bytes that no client library would send. The server answers or closes, and serves the next one."""
import json
import random
import socket
import time

import pytest


def talk(cluster, data, seconds=10):
    """Everything the server says to `data` until it closes or is silent."""
    with cluster.connect() as connection:
        connection.settimeout(seconds)
        connection.sendall(data)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return received


def request_bytes(name, path="/v1/completions", close=True, **fields):
    body = json.dumps({"model": name, "prompt": "Hi", "max_tokens": 2, **fields}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + (b"Connection: close\r\n" if close else b"") + b"\r\n" + body


GARBAGE = [
    b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x00" * 4096,
    b"GET / HTTP/1.1\r\nHost: x\r\nBroken\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * 1_000_000,
    b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 1_000_000,
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(5000)) + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_refused_at_once(cluster, data):
    began = time.monotonic()
    answer = talk(cluster, data, seconds=15)
    assert answer == b"" or answer.startswith(b"HTTP/1."), answer[:100]
    assert b" 200 " not in answer.split(b"\r\n")[0] and b" 500 " not in answer.split(b"\r\n")[0]
    assert time.monotonic() - began < 14, "the connection was kept"


def test_random_garbage(cluster):
    noise = random.Random(1)
    for _ in range(50):
        data = bytes(noise.randrange(256) for _ in range(noise.randrange(1, 400))) + b"\r\n\r\n"
        with cluster.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(15)
            try:
                while connection.recv(65536):
                    pass
            except ConnectionResetError:
                pass


def test_byte_by_byte(cluster, name):
    with cluster.connect() as connection:
        for byte in request_bytes(name):
            connection.send(bytes([byte]))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_chunked_body(cluster, name):
    body = json.dumps({"model": name, "prompt": "Hi", "max_tokens": 2}).encode()
    pieces = [body[i:i + 7] for i in range(0, len(body), 7)]
    data = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert talk(cluster, data).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("coding", [b"gzip", b"identity", b"chunked, gzip", b"gzip, chunked"])
def test_a_body_is_never_served_as_a_request(cluster, coding):
    smuggled = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = talk(cluster, b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: " + coding + b"\r\n\r\n" + smuggled)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")) and answer.count(b"HTTP/1.1 ") == 1


def test_expect_continue(cluster, name):
    data = request_bytes(name).replace(b"Host: x\r\n", b"Host: x\r\nExpect: 100-continue\r\n")
    answer = talk(cluster, data)
    assert answer.startswith((b"HTTP/1.1 100 ", b"HTTP/1.1 200 ")) and b"HTTP/1.1 200 " in answer


def test_requests_one_after_the_other_on_one_connection(cluster, name):
    with cluster.connect() as connection:
        reader = connection.makefile("rb")
        for _ in range(5):
            connection.sendall(request_bytes(name, close=False))
            assert b" 200 " in reader.readline()
            length = 0
            while (line := reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert json.loads(reader.read(length))["object"] == "text_completion"


def test_a_stream_on_http_1_0(cluster, name):
    data = request_bytes(name, stream=True).replace(b"HTTP/1.1", b"HTTP/1.0")
    answer = talk(cluster, data)
    assert b" 200 " in answer.split(b"\r\n")[0] and answer.rstrip().endswith(b"data: [DONE]")


def test_many_connections_that_say_nothing(cluster):
    silent = [cluster.connect() for _ in range(200)]
    assert cluster.request("GET", "/health")[0] == 200
    for connection in silent:
        connection.close()
