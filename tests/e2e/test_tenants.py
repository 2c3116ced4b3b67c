"""Who may ask, and how much: keys, limits by the minute, prefixes that stay apart, shares of a full worker."""
import collections
import contextlib
import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import openai
import pytest

from cluster import BINARY, START_SECONDS, counter_in, small_model, wait_until
from processes import start_router, start_worker
from tenants_file import TenantsFile


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def tenants(tmp_path):
    if small_model() is None:
        pytest.skip("no model: put stories260K.gguf into ../shared/data/models")
    return TenantsFile(tmp_path / "tenants.yaml")


def test_serve_waits_for_its_workers_without_a_key(tenants):
    """Nobody may ask without a key here; `serve` itself has none, and says that it is ready all the same."""
    tenants.write(alpha={})
    command = [BINARY, "serve", "--model", str(small_model()), "--port", "0", "--router.tenants-file", str(tenants.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as serve:
        alarm = threading.Timer(START_SECONDS, serve.kill)
        alarm.start()
        try:
            output = ""
            while "bessemer serves" not in output:
                line = serve.stdout.readline()
                assert line, output
                output += line
            assert output.count(" joined: ") == 2, output
            url = re.search(r" at (http://\S+) ", output)[1]
            with openai.OpenAI(base_url=url + "/v1", api_key=tenants.keys["alpha"][0], max_retries=0) as client:
                assert client.completions.create(model="stories260K", prompt="Once", max_tokens=4).choices[0].text
        finally:
            alarm.cancel()
            serve.send_signal(signal.SIGINT)
            serve.communicate(timeout=60)
        assert serve.returncode == 0


def ask(client, prompt="Once", tokens=4, **more):
    return client.completions.with_raw_response.create(model="small", prompt=prompt, max_tokens=tokens, **more)


def test_keys(stack, tenants, tmp_path):
    worker = start_worker(stack)
    tenants.write(acme={}, other={})
    log = tmp_path / "access.jsonl"
    router = start_router(stack, "--workers", worker.address, "--tenants-file", tenants.path, "--access-log", log)
    router.key = tenants.keys["acme"][0]
    router.wait_workers({worker.address: "ready"})
    ask(tenants.client(router, "acme"))
    stranger = openai.OpenAI(base_url=f"http://{router.address}/v1", api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        ask(stranger)
    assert refused.value.code == "invalid_api_key" and refused.value.response.headers["www-authenticate"] == "Bearer"
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    with pytest.raises(urllib.error.HTTPError) as bare:
        urllib.request.urlopen(f"http://{router.address}/bessemer/state", timeout=10)
    assert bare.value.code == 401
    for open_to_all in ("/health", "/livez", "/readyz", "/version", "/metrics", "/"):
        assert urllib.request.urlopen(f"http://{router.address}{open_to_all}", timeout=10).status == 200, open_to_all
    wait_until(lambda: len(log.read_text().splitlines()) >= 10, 5, "ten lines in the access log")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["tenant"] for line in lines if line["status"] == 200 and line["endpoint"] == "/v1/completions"] == ["acme"]

    # A key that is taken away is refused from the next request on; a file that is wrong changes nothing.
    tenants.write(other={})
    router.wait_for_log("read again and in force", 5)
    with pytest.raises(openai.AuthenticationError):
        ask(tenants.client(router, "acme"))
    tenants.write(other={"weight": 0})
    router.wait_for_log("weight must be from 1 to 1000, not 0; the configuration before stays in force", 5)
    ask(tenants.client(router, "other"))


def test_prefixes_stay_apart(stack, tenants):
    worker = start_worker(stack)
    tenants.write(acme={}, other={})
    router = start_router(stack, "--workers", worker.address, "--tenants-file", tenants.path)
    router.key = tenants.keys["acme"][0]
    router.wait_workers({worker.address: "ready"})
    prompt = "Once upon a time there was a little girl who had a dog. " * 4

    def cached(name, **more):
        return ask(tenants.client(router, name), prompt, **more).parse().usage.prompt_tokens_details.cached_tokens

    assert cached("acme") == 0
    assert cached("acme") > 0
    assert cached("other") == 0
    assert cached("other") > 0
    assert cached("acme", extra_body={"cache_salt": "x"}) == 0


def test_limits_over_two_routers(stack, tenants):
    worker = start_worker(stack)
    tenants.write(acme={"requests_per_minute": 6}, tokens={"tokens_per_minute": 300}, free={})
    routers = [start_router(stack, "--workers", worker.address, "--tenants-file", tenants.path) for _ in range(2)]
    for router in routers:
        router.key = tenants.keys["acme"][0]
        router.wait_workers({worker.address: "ready"})
        ask(tenants.client(router, "free"))
    time.sleep(1)  # both watch
    lefts = []
    for i in range(6):
        headers = ask(tenants.client(routers[i % 2], "acme")).headers
        assert headers["x-ratelimit-limit-requests"] == "6"
        lefts.append(int(headers["x-ratelimit-remaining-requests"]))
        time.sleep(0.5)  # so that the other router has heard of it
    assert lefts == sorted(lefts, reverse=True) and lefts[-1] == 0, lefts
    for router in routers:
        with pytest.raises(openai.RateLimitError) as refused:
            ask(tenants.client(router, "acme"))
        assert refused.value.code == "rate_limit_exceeded" and refused.value.type == "requests"
        assert 0 < int(refused.value.response.headers["retry-after-ms"]) <= 10_100
    assert "x-ratelimit-limit-requests" not in ask(tenants.client(routers[0], "free")).headers
    ask(tenants.client(routers[0], "tokens"), tokens=280, extra_body={"ignore_eos": True})
    time.sleep(1)
    with pytest.raises(openai.RateLimitError) as refused:
        ask(tenants.client(routers[1], "tokens"), "Once upon a time there was a little girl. " * 4)
    assert refused.value.type == "tokens"
    ask(tenants.client(routers[0], "acme", retries=2))  # the official client waits as it is told to


def test_a_full_worker_is_shared_by_weight(stack, tenants):
    """Two routers, a tenant on each with more to do than the worker can; the one of weight 3 gets three times as much."""
    worker = start_worker(stack, "--max-waiting", "4")
    tenants.write(one={"weight": 1}, three={"weight": 3})
    routers = [start_router(stack, "--workers", worker.address, "--tenants-file", tenants.path, "--max-waiting", "32") for _ in range(2)]
    for router in routers:
        router.key = tenants.keys["one"][0]
        router.wait_workers({worker.address: "ready"})
    given = collections.Counter()
    until = time.monotonic() + 20
    counted_from = until - 12

    def work(name, router):
        client = tenants.client(router, name, retries=20)
        while time.monotonic() < until:
            answer = ask(client, f"Once {time.monotonic()}", 40, extra_body={"ignore_eos": True}).parse()
            if time.monotonic() > counted_from:
                given[name] += answer.usage.completion_tokens

    threads = [threading.Thread(target=work, args=(name, router)) for router in routers for name in ("one", "three") for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    metrics = [urllib.request.urlopen(router.url("/metrics"), timeout=30).read().decode() for router in routers]

    def counted(name, **labels):
        return sum(counter_in(text, name, **labels) for text in metrics)

    for name, tokens in given.items():
        generated = counted("tenant_tokens_total", tenant=name, kind="generated")
        answered = counted("tenant_requests_total", tenant=name, outcome="answered")  # GETs are requests, too
        assert generated % 40 == 0 and tokens <= generated <= 40 * answered
    assert all('kept_places_total{outcome="let_in"}' in text for text in metrics)
    told = counted("kept_places_total", outcome="told")
    assert told <= counted("tenant_requests_total", outcome="refused")
    assert told >= sum(counted("kept_places_total", outcome=outcome) for outcome in ("let_in", "refused", "lapsed")), metrics
    share = given["three"] / (given["one"] + given["three"])
    assert 0.65 < share < 0.85, given
