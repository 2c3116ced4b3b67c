"""Routers and workers that are replaced while clients ask, behind a load balancer too."""
import concurrent.futures
import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from cluster import small_model, wait_until
from processes import start_router, start_worker
from streams import Stream

NOTICE_MS = 2000


def ask(connection, method, path, body=None):
    connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def test_load_balancers_have_time_to_notice():
    if small_model() is None:
        pytest.skip("no model: put stories260K.gguf into ../shared/data/models")
    with contextlib.ExitStack() as stack:
        worker = start_worker(stack)
        router = start_router(stack, "--workers", worker.address, "--drain-notice-ms", NOTICE_MS)
        router.wait_workers({worker.address: "ready"})
        kept = http.client.HTTPConnection("127.0.0.1", router.port, timeout=30)  # as a client between two requests
        assert ask(kept, "GET", "/readyz")[0] == 200
        body = {"model": "small", "prompt": "Once", "max_tokens": 2}

        router.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        wait_until(lambda: ask(http.client.HTTPConnection("127.0.0.1", router.port), "GET", "/readyz")[0] == 503, 1, "not ready")
        time.sleep(0.5)  # idle, and still there
        status, headers, _ = ask(kept, "POST", "/v1/completions", body)
        assert status == 200 and headers["connection"] == "close"
        assert ask(http.client.HTTPConnection("127.0.0.1", router.port), "POST", "/v1/completions", body)[0] == 200
        assert time.monotonic() - began < NOTICE_MS / 1000, "too slow a machine to tell"
        assert router.process.wait(30) == 0
        assert time.monotonic() - began >= NOTICE_MS / 1000 - 0.1
        with pytest.raises(ConnectionError):
            ask(http.client.HTTPConnection("127.0.0.1", router.port), "GET", "/readyz")


def test_a_worker_that_has_stopped_is_named_in_words():
    if small_model() is None:
        pytest.skip("no model: put stories260K.gguf into ../shared/data/models")
    with contextlib.ExitStack() as stack:
        worker = start_worker(stack)
        router = start_router(stack, "--workers", worker.address)
        router.wait_workers({worker.address: "ready"})
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
        router.wait_workers({worker.address: "down"})
        problem = router.get("/bessemer/state")["workers"][0]["problem"]
        assert any(words in problem for words in ("closed the connection", "onnect", "shutting down")), problem
        assert "CANCELLED" not in "".join(router.output)


class Balancer:
    """haproxy before some routers. Plain TCP: it asks them whether they are ready, and knows nothing of requests."""

    def __init__(self, folder, ports):
        self.port, self.stats = free_port(), folder / "haproxy.sock"
        servers = "".join(f"  server r{i} 127.0.0.1:{port} check inter 100ms fall 1 rise 1\n" for i, port in enumerate(ports))
        self.config = folder / "haproxy.cfg"
        self.config.write_text(
            f"global\n  stats socket {self.stats}\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n"
            f"frontend front\n  bind 127.0.0.1:{self.port}\n  default_backend routers\n"
            f"backend routers\n  option httpchk GET /readyz\n  http-check expect status 200\n{servers}")

    def __enter__(self):
        self.process = subprocess.Popen(["haproxy", "-q", "-db", "-f", self.config])
        wait_until(lambda: self.ready() > 0, 10, "haproxy sees a router")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def ready(self):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as talk:
            talk.connect(str(self.stats))
            talk.sendall(b"show servers state routers\n")
            rows = [line.split() for line in talk.makefile().read().splitlines()]
            return sum(1 for row in rows if len(row) > 5 and row[1] == "routers" and row[5] == "2")
        return 0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_everything_is_replaced_under_load_and_no_request_fails(tmp_path):
    """Each worker and each router in turn, while clients that never retry ask through a load balancer."""
    if small_model() is None:
        pytest.skip("no model: put stories260K.gguf into ../shared/data/models")
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is missing: apt-get install haproxy")
    worker_ports, router_ports = [free_port(), free_port()], [free_port(), free_port()]
    addresses = [f"127.0.0.1:{port}" for port in worker_ports]
    with contextlib.ExitStack() as stack:
        def worker(port):
            return start_worker(stack, "--port", port, "--drain-ms", 1500)

        def router(port):
            # A load balancer looks ten times a second; a kept connection is told with the next answer.
            return start_router(stack, "--workers", *addresses, "--drain-notice-ms", 1000, port=port)

        workers, routers = [worker(port) for port in worker_ports], [router(port) for port in router_ports]
        for one in routers:
            one.wait_workers(dict.fromkeys(addresses, "ready"))
        balancer = stack.enter_context(Balancer(tmp_path, router_ports))
        wait_until(lambda: balancer.ready() == 2, 10, "haproxy sees both routers")
        body = {"model": "small", "prompt": "Once upon a time", "max_tokens": 300, "ignore_eos": True, "stream": True,
                "return_token_ids": True, "temperature": 1, "seed": 3, "n": 2, "frequency_penalty": 0.5}
        undisturbed = Stream(balancer, body).rest()
        stop = threading.Event()

        def stream():
            answers = []
            while not stop.is_set():
                answers.append(Stream(balancer, body).rest())
            return answers

        def ask_on_kept_connections():
            asked, connection = 0, None
            while not stop.is_set():
                connection = connection or http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=30)
                status, headers, _ = ask(connection, "POST", "/v1/completions", {"model": "small", "prompt": "Once", "max_tokens": 2})
                assert status == 200
                asked += 1
                if headers["connection"] == "close":
                    connection.close()
                    connection = None
                time.sleep(0.02)
            return asked

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            streams = [pool.submit(stream) for _ in range(4)]
            kept = [pool.submit(ask_on_kept_connections) for _ in range(2)]
            try:
                for i, old in enumerate(workers):
                    old.process.send_signal(signal.SIGTERM)
                    assert old.process.wait(30) == 0
                    workers[i] = worker(worker_ports[i])
                    for one in routers:
                        one.wait_workers(dict.fromkeys(addresses, "ready"))
                for i, old in enumerate(routers):
                    old.process.send_signal(signal.SIGTERM)
                    assert old.process.wait(60) == 0
                    routers[i] = router(router_ports[i])
                    routers[i].wait_workers(dict.fromkeys(addresses, "ready"))
                    wait_until(lambda: balancer.ready() == 2, 10, "haproxy sees both routers again")
            finally:
                stop.set()
            answers = [answer for one in streams for answer in one.result()]
            asked = sum(one.result() for one in kept)
        assert len(answers) >= 4 and asked >= 4
        assert all(answer == undisturbed for answer in answers)
        print(f"{len(answers)} streams and {asked} requests on kept connections: none failed, none differs")
