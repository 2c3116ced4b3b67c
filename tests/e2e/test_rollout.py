"""A router that is taken out of service behind a load balancer: told first, gone afterwards."""
import contextlib
import http.client
import json
import signal
import time

import pytest

from cluster import small_model, wait_until
from processes import start_router, start_worker

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
        assert "closed the connection" in problem or "onnect" in problem, problem
        assert "CANCELLED" not in "".join(router.output)
