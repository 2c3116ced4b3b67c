import os
import signal

import openai
import pytest

from cluster import BINARY, Cluster, default_model, small_model


def pytest_configure():
    """A test run that is told to stop takes its clusters with it."""
    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def pytest_collection_modifyitems(items):
    """The load test last: what it would break should be found by something smaller first."""
    items.sort(key=lambda item: "soak" in item.nodeid)


@pytest.fixture(scope="session")
def model():
    path = default_model() or small_model()
    if path is None:
        pytest.skip("no model: run `bessemer pull smollm2`, or put stories260K.gguf into ../shared/data/models")
    if not os.path.isfile(BINARY):
        pytest.skip(f"no binary at {BINARY}: run `make build`, or set BESSEMER_BINARY")
    return path


@pytest.fixture(scope="session")
def shared_cluster(model):
    with Cluster(model) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster):
    """Two workers, shared by tests that leave it as they found it; whoever does not is named here."""
    yield shared_cluster
    shared_cluster.check_deaths()
    assert shared_cluster.process.poll() is None, "the cluster ended:\n" + shared_cluster.log()
    shared_cluster.wait_idle()


def make_client(cluster, **options):
    return openai.OpenAI(base_url=cluster.url + "/v1", api_key="none", max_retries=0, timeout=60, **options)


@pytest.fixture
def client(cluster):
    with make_client(cluster) as client:
        yield client


@pytest.fixture
def name(cluster):
    return cluster.get("/v1/models")["data"][0]["id"]


@pytest.fixture
def chat(cluster, client, name):
    """chat(text, **options) asks one user message of a model that has a chat template."""
    if default_model() is None:
        pytest.skip("no chat model: run `bessemer pull smollm2`")

    def ask(text, **options):
        options.setdefault("max_completion_tokens", 16)
        return client.chat.completions.create(model=name, messages=[{"role": "user", "content": text}], **options)

    return ask
