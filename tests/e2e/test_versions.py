"""A router and a worker of two revisions: every feature is honoured or refused, never accepted and ignored.

BESSEMER_OLD_BINARY names the other revision's binary; nothing is built here. Without it there is nothing to mix: the same rule
with single features hidden from a worker is tests/failover/feature_test.cpp, which always runs.
"""
import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from cluster import BINARY

OLD = os.environ.get("BESSEMER_OLD_BINARY")
PROMPT = "Once upon a time"
GREEDY = {"temperature": 0, "max_tokens": 12}


@contextlib.contextmanager
def process(binary, *arguments):
    """Its address, once it says READY."""
    child = subprocess.Popen([binary, *arguments, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        line = child.stdout.readline()
        assert line.startswith("READY "), f"{binary} {arguments[0]} did not start: {line!r}"
        yield line.split()[1]
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


class Front:
    def __init__(self, address):
        self.url = f"http://{address}"

    def ask(self, path, body=None):
        request = urllib.request.Request(self.url + path, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def model(self):
        status, models = self.ask("/v1/models")
        return models["data"][0]["id"] if status == 200 and models["data"] else None

    def complete(self, **fields):
        return self.ask("/v1/completions", {"model": self.name, "prompt": PROMPT, **fields})

    def text(self, **fields):
        status, answer = self.complete(**fields)
        assert status == 200, answer
        return answer["choices"][0]["text"]

    def ids(self, text):
        status, answer = self.ask("/tokenize", {"model": self.name, "prompt": text, "add_special_tokens": False})
        assert status == 200, answer
        return answer["tokens"]


@pytest.fixture(params=["old worker", "old router"])
def mixed(request, model):
    if not OLD:
        pytest.skip("BESSEMER_OLD_BINARY names no binary of another revision")
    worker_binary, router_binary = (OLD, BINARY) if request.param == "old worker" else (BINARY, OLD)
    with process(worker_binary, "worker", "--model", str(model)) as worker, \
            process(router_binary, "router", "--workers", worker) as router:
        front = Front(router)
        for _ in range(600):
            front.name = front.model()
            if front.name:
                break
            time.sleep(0.1)
        assert front.name, "the worker did not become ready: mixed versions must at least serve"
        yield front


# What a request with these fields must show if it is accepted. `plain` is the greedy answer without them.
def honours_n(answer, plain, front):
    return len(answer["choices"]) == 2


def honours_logprobs(answer, plain, front):
    return all(len(top) == 2 for top in answer["choices"][0]["logprobs"]["top_logprobs"])


def honours_prompt_logprobs(answer, plain, front):
    return len(answer["choices"][0]["prompt_logprobs"]) == answer["usage"]["prompt_tokens"]


def is_one_token(answer, plain, front):
    return len(set(front.ids(answer["choices"][0]["text"]))) <= 2  # and what a leading space may add


def is_greedy(answer, plain, front):
    return answer["choices"][0]["text"] == plain


def is_not_greedy(answer, plain, front):
    return answer["choices"][0]["text"] != plain


def is_long(answer, plain, front):
    return answer["usage"]["completion_tokens"] == 12


def cached_nothing(answer, plain, front):
    return (answer["usage"].get("prompt_tokens_details") or {}).get("cached_tokens", 0) == 0


FEATURES = {
    "n": ({**GREEDY, "n": 2}, honours_n),
    "logprobs": ({**GREEDY, "logprobs": 2}, honours_logprobs),
    "prompt_logprobs": ({**GREEDY, "prompt_logprobs": 1}, honours_prompt_logprobs),
    "logit_bias": ({**GREEDY, "logit_bias": {"300": 100}}, is_one_token),
    "allowed_token_ids": ({**GREEDY, "allowed_token_ids": [300]}, is_one_token),
    "top_k": ({"temperature": 1, "max_tokens": 12, "top_k": 1, "seed": 5}, is_greedy),
    "min_p": ({"temperature": 1, "max_tokens": 12, "min_p": 1.0, "seed": 5}, is_greedy),
    "repetition_penalty": ({**GREEDY, "max_tokens": 60, "repetition_penalty": 8.0}, is_not_greedy),
    "min_tokens": ({**GREEDY, "min_tokens": 12}, is_long),
    "cache_salt": ({**GREEDY, "cache_salt": "nobody else's"}, cached_nothing),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_feature_is_honoured_or_refused(mixed, feature):
    fields, honours = FEATURES[feature]
    plain = mixed.text(**{**GREEDY, "max_tokens": fields["max_tokens"]})
    status, answer = mixed.complete(**fields)
    if status == 200:
        assert honours(answer, plain, mixed), f"{feature} was accepted and ignored: {answer}"
    else:
        assert status == 400 and answer["error"]["message"], f"{feature}: status {status}, {answer}"


def test_streams_are_whole(mixed):
    whole = mixed.text(**GREEDY)
    request = urllib.request.Request(
        mixed.url + "/v1/completions", headers={"Content-Type": "application/json"},
        data=json.dumps({"model": mixed.name, "prompt": PROMPT, "stream": True, **GREEDY}).encode())
    with urllib.request.urlopen(request, timeout=120) as response:
        events = [line[6:].strip() for line in response.read().decode().split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    assert "".join(choice["text"] for event in events[:-1] for choice in json.loads(event)["choices"]) == whole
