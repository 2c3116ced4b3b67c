"""Workers that come and go while a router runs: found by Kubernetes (a fake API server over HTTPS), DNS and lists."""
import contextlib
import threading
import time

import pytest

from certificates import Authority
from cluster import small_model, wait_until
from fake_kubernetes import NOT_READY, READY, TERMINATING, FakeApi, slice_of
from processes import refused_start, start_router, start_worker

SOURCE = "k8s://test/workers:grpc"


@pytest.fixture(scope="module")
def stack():
    if small_model() is None:
        pytest.skip("no model: put stories260K.gguf into ../shared/data/models")
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def workers(stack):
    return [start_worker(stack), start_worker(stack)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def api(authority):
    cert, key = authority.issue("api", "IP:127.0.0.1")
    api = FakeApi(cert, key, token="first-token").start()
    yield api
    api.stop()


@pytest.fixture
def credentials(tmp_path, authority):
    (tmp_path / "token").write_text("first-token\n")
    (tmp_path / "ca.crt").write_text(authority.cert.read_text())
    (tmp_path / "namespace").write_text("test")
    return tmp_path


@pytest.fixture
def router(api, credentials):
    with contextlib.ExitStack() as stack:
        yield start_router(stack, "--workers", SOURCE, "--kubernetes-api", f"https://127.0.0.1:{api.port}",
                           "--kubernetes-credentials", credentials)


def test_workers_come_and_go(api, router, workers):
    first, second = workers
    assert router.workers() == {}
    api.set(slice_of("s1", first.port, ("uid-1", "127.0.0.1", READY)))
    router.wait_workers({first.address: "ready"})
    # Not ready: connected, but nothing is placed there.
    api.set(slice_of("s2", second.port, ("uid-2", "127.0.0.1", NOT_READY)))
    router.wait_workers({first.address: "ready", second.address: "joining"})
    assert len(router.get("/bessemer/state")["models"][0]["workers"]) == 1
    api.set(slice_of("s2", second.port, ("uid-2", "127.0.0.1", READY)))
    router.wait_workers({first.address: "ready", second.address: "ready"})
    assert router.post("/v1/completions", {"model": "small", "prompt": "Once", "max_tokens": 4})["usage"]["completion_tokens"]
    api.set(slice_of("s1", first.port, ("uid-1", "127.0.0.1", TERMINATING)))
    router.wait_workers({first.address: "draining", second.address: "ready"})
    api.delete("s1")
    wait_until(lambda: router.get("/bessemer/state")["workers"][0]["problem"] == "no longer listed", 10, "removed")
    # A pod in a second slice is still one worker, and stays when the first slice goes.
    api.set(slice_of("s3", second.port, ("uid-2", "127.0.0.1", READY)))
    api.delete("s2")
    time.sleep(0.5)
    assert router.workers()[second.address] == "ready"


def test_removal_does_not_end_a_stream(api, router, workers):
    first = workers[0]
    api.set(slice_of("s1", first.port, ("uid-1", "127.0.0.1", READY)))
    router.wait_workers({first.address: "ready"})
    answers = []
    body = {"model": "small", "prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True}
    thread = threading.Thread(target=lambda: answers.append(router.post("/v1/completions", body)))
    thread.start()
    wait_until(lambda: router.get("/bessemer/state")["workers"][0]["load"]["from_this_router"] > 0, 10, "the stream runs")
    api.delete("s1")
    router.wait_workers({first.address: "draining"})
    thread.join(60)
    assert answers[0]["usage"]["completion_tokens"] == 400


def test_broken_watches_and_410(api, router, workers):
    first, second = workers
    api.set(slice_of("s1", first.port, ("uid-1", "127.0.0.1", READY)))
    router.wait_workers({first.address: "ready"})
    lists = api.lists
    api.break_watches()
    wait_until(lambda: api.live_watches == 1 and api.watches >= 2, 10, "another watch")
    api.set(slice_of("s2", second.port, ("uid-2", "127.0.0.1", READY)))
    router.wait_workers({first.address: "ready", second.address: "ready"})
    assert api.lists == lists, "a watch that broke goes on where it was"
    # What the watch would have said is forgotten: the list is had anew, and what it lacks has left.
    port = api.port
    api.stop()
    api.delete("s1")
    api.forget_history()
    api.start(port)
    router.wait_workers({first.address: "draining", second.address: "ready"})
    assert api.lists > lists


def test_an_outage_of_the_api_server_changes_nothing(api, router, workers):
    first, second = workers
    api.set(slice_of("s1", first.port, ("uid-1", "127.0.0.1", READY)))
    router.wait_workers({first.address: "ready"})
    port = api.port
    api.stop()
    router.wait_for_log("who was there before stays")
    time.sleep(2)
    assert router.workers() == {first.address: "ready"}
    assert router.post("/v1/completions", {"model": "small", "prompt": "Once", "max_tokens": 2})["usage"]
    api.start(port)
    api.set(slice_of("s2", second.port, ("uid-2", "127.0.0.1", READY)))
    router.wait_workers({first.address: "ready", second.address: "ready"})
    router.wait_for_log("is watched again")


def test_the_token_is_read_again(api, router, workers, credentials):
    first = workers[0]
    wait_until(lambda: api.live_watches == 1, 10, "a watch")
    api.token = "second-token"
    api.break_watches()
    router.wait_for_log("let the router's service account get, list and watch endpointslices")
    (credentials / "token").write_text("second-token")
    api.set(slice_of("s1", first.port, ("uid-1", "127.0.0.1", READY)))
    router.wait_workers({first.address: "ready"})


def test_another_authoritys_server_is_not_believed(api, workers, credentials, tmp_path):
    other = Authority(tmp_path / "other", "somebody else")
    (credentials / "ca.crt").write_text(other.cert.read_text())
    api.set(slice_of("s1", workers[0].port, ("uid-1", "127.0.0.1", READY)))
    with contextlib.ExitStack() as stack:
        router = start_router(stack, "--workers", SOURCE, "--kubernetes-api", f"https://127.0.0.1:{api.port}",
                              "--kubernetes-credentials", credentials)
        router.wait_for_log("certificate verify failed")
        assert router.workers() == {}
    assert api.lists == 0


def test_pages(api, router, workers):
    """More slices than a page holds; those of other ports and families do no harm."""
    first, second = workers
    for i in range(5):
        api.set(slice_of(f"s{i}", 1, (f"uid-{i}", "192.0.2.1", TERMINATING), family="IPv6"))
    api.set(slice_of("s8", first.port, ("uid-8", "127.0.0.1", READY)))
    api.set(slice_of("s9", second.port, ("uid-9", "127.0.0.1", READY)))
    api.forget_history()
    api.break_watches()
    wait_until(lambda: {first.address: "ready", second.address: "ready"}.items() <= router.workers().items(), 20, "both")


def test_names_of_dns(workers):
    port = workers[0].port
    with contextlib.ExitStack() as stack:
        router = start_router(stack, "--workers", f"dns://localhost:{port}", "--dns-interval-ms", "200")
        wait_until(lambda: router.workers().get(f"127.0.0.1:{port}") == "ready", 20, "the worker behind localhost")


def test_sources_that_cannot_be():
    assert "need kubernetes_api" in refused_start("router", "--workers", SOURCE)
    assert "is not dns://name:port" in refused_start("router", "--workers", "dns://nowhere")
