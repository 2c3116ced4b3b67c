"""A router's configuration changes while it runs: by SIGHUP, and by itself when the file does."""
import contextlib
import signal
import urllib.error

import pytest

from cluster import small_model, wait_until
from processes import start_router, start_worker


@pytest.fixture(scope="module")
def workers():
    if small_model() is None:
        pytest.skip("no model: put stories260K.gguf into ../shared/data/models")
    with contextlib.ExitStack() as stack:
        yield [start_worker(stack), start_worker(stack)]


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


class File:
    def __init__(self, path):
        self.path = path

    def write(self, **settings):
        """Beside and renamed, as editors and Kubernetes do."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
        fresh.rename(self.path)


@pytest.fixture
def file(tmp_path):
    return File(tmp_path / "router.yaml")


def status_of(router, path, body):
    try:
        router.post(path, body)
        return 200
    except urllib.error.HTTPError as error:
        return error.code


def test_workers_and_limits(stack, file, workers):
    first, second = workers
    file.write(workers=[first.address], log_level="debug")
    router = start_router(stack, "--config", file.path)
    router.wait_workers({first.address: "ready"})
    long = {"model": "small", "prompt": "a" * 3000, "max_tokens": 1}
    assert status_of(router, "/v1/completions", long) != 413
    incarnation = router.get("/bessemer/state")["workers"][0]["incarnation"]

    file.write(workers=[first.address, second.address], max_body_bytes=2000, policy="round_robin")
    router.wait_workers({first.address: "ready", second.address: "ready"})
    assert status_of(router, "/v1/completions", long) == 413
    for _ in range(4):  # round_robin: both have answered
        router.post("/v1/completions", {"model": "small", "prompt": "Once", "max_tokens": 2})
    loads = [worker["load"]["requests_finished"] for worker in router.get("/bessemer/state")["workers"]]
    assert router.get("/bessemer/state")["workers"][0]["incarnation"] == incarnation
    wait_until(lambda: all(worker["load"]["requests_finished"] for worker in router.get("/bessemer/state")["workers"]), 10,
               f"both workers were used: {loads}")

    file.write(workers=[second.address], max_body_bytes=100_000)
    router.wait_workers({first.address: "draining", second.address: "ready"})
    assert status_of(router, "/v1/completions", long) != 413


def test_a_bad_file_is_refused_with_its_line(stack, file, workers):
    first = workers[0]
    file.write(workers=[first.address], max_body_bytes=2000)
    router = start_router(stack, "--config", file.path)
    router.wait_workers({first.address: "ready"})
    file.write(workers=[first.address], max_body_bites=5000)
    router.wait_for_log(f"{file.path}:2: unknown setting 'max_body_bites' (did you mean 'max_body_bytes'?); "
                        "the configuration before stays in force")
    file.write(workers=["nowhere"], max_body_bytes=5000)
    router.wait_for_log("worker 'nowhere' is not host:port")
    file.write(log_level="loud")
    router.wait_for_log('log_level = "loud" is none of')
    assert router.workers() == {first.address: "ready"}
    assert status_of(router, "/v1/completions", {"model": "small", "prompt": "a" * 3000, "max_tokens": 1}) == 413


def test_what_needs_a_restart_says_so(stack, file, workers):
    first, second = workers
    file.write(workers=[first.address], lanes=1)
    router = start_router(stack, "--config", file.path)
    router.wait_workers({first.address: "ready"})
    file.write(workers=[first.address, second.address], lanes=2, host='"0.0.0.0"')
    router.wait_for_log("host, lanes cannot change while the router runs")
    router.wait_workers({first.address: "ready", second.address: "ready"})


def test_sighup_and_the_level_of_the_log(stack, file, workers):
    file.write(workers=[workers[0].address], log_level="info")
    router = start_router(stack, "--config", file.path)
    router.process.send_signal(signal.SIGHUP)
    router.wait_for_log(f"{file.path} is read again and in force", 5)
    bare = start_router(stack, "--workers", workers[0].address)
    bare.process.send_signal(signal.SIGHUP)
    bare.wait_for_log("there is no configuration file and no certificate to read again")
    bare.wait_workers({workers[0].address: "ready"})


def test_flags_win_over_a_file_that_changes(stack, file, workers):
    file.write(workers=[workers[0].address], max_body_bytes=2000)
    router = start_router(stack, "--config", file.path, "--max-body-bytes", 100_000)
    file.write(workers=[worker.address for worker in workers], max_body_bytes=2001)
    router.wait_workers({worker.address: "ready" for worker in workers})
    assert status_of(router, "/v1/completions", {"model": "small", "prompt": "a" * 3000, "max_tokens": 1}) != 413


def test_who_has_left_is_forgotten_and_the_id_is_given_again(stack, file, workers):
    first = workers[0]
    with contextlib.ExitStack() as short:
        guest = start_worker(short)
        file.write(workers=[first.address, guest.address])
        router = start_router(stack, "--config", file.path)
        router.wait_workers({first.address: "ready", guest.address: "ready"})
        file.write(workers=[first.address])
        router.wait_workers({first.address: "ready", guest.address: "draining"})
    router.wait_workers({first.address: "ready"}, 10)  # gone, three seconds behind its lanes
    assert [worker["id"] for worker in router.get("/bessemer/state")["workers"]] == [0]
    second = workers[1]
    file.write(workers=[first.address, second.address])
    router.wait_workers({first.address: "ready", second.address: "ready"})
    state = router.get("/bessemer/state")
    assert sorted(worker["id"] for worker in state["workers"]) == [0, 1]
    for _ in range(4):
        assert router.post("/v1/completions", {"model": "small", "prompt": "Once", "max_tokens": 2})["usage"]
