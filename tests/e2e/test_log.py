"""What a router's log says of its workers, without being asked for more than it says by itself."""
import contextlib

import pytest

from cluster import small_model
from processes import start_router, start_worker

pytestmark = pytest.mark.skipif(small_model() is None, reason="no small model: put stories260K.gguf into ../shared/data/models")


def line_with(process, text):
    process.wait_for_log(text)
    return next(line for line in process.output if text in line)


def test_who_joins_and_who_is_lost():
    with contextlib.ExitStack() as stack:
        worker = start_worker(stack)
        router = start_router(stack, "--workers", worker.address)
        assert "info" in line_with(router, f"worker {worker.address} joined: it serves small")
        worker.kill()
        assert "warn" in line_with(router, f"worker {worker.address} is lost: ")


def test_who_has_no_workers_is_told_how_to_name_them():
    with contextlib.ExitStack() as stack:
        assert "--workers HOST:PORT" in line_with(start_router(stack), "no workers are named")


def test_a_router_listens_on_localhost():
    with contextlib.ExitStack() as stack:
        router = start_router(stack, "--host", "localhost")
        assert router.get("/livez") is not None and router.host in ("localhost", "127.0.0.1")
