"""Every endpoint answers what it should, and everything else is refused in one shape."""
import json

import pytest

from cluster import wait_until


def test_probes(cluster):
    for path in ("/health", "/livez", "/readyz"):
        assert cluster.request("GET", path)[0] == 200


def test_models(cluster, client, name):
    models = client.models.list().data
    assert name in [model.id for model in models]
    for model in models:
        assert model.object == "model" and model.created > 0 and model.max_model_len > 0
        assert client.models.retrieve(model.id).id == model.id


def test_version(cluster):
    assert cluster.get("/version")["version"]


def test_metrics_count_requests(cluster, client, name):
    def value(line_start):
        text = cluster.request("GET", "/metrics")[2].decode()
        lines = [line for line in text.splitlines() if line.startswith(line_start)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    before = value('bessemer_router_requests_total{endpoint="/v1/completions"'), value("bessemer_router_generated_tokens_total")
    client.completions.create(model=name, prompt="Once", max_tokens=3, extra_body={"ignore_eos": True})
    wait_until(lambda: value('bessemer_router_requests_total{endpoint="/v1/completions"') > before[0], 2, "counted, once it has left")
    after = value('bessemer_router_requests_total{endpoint="/v1/completions"'), value("bessemer_router_generated_tokens_total")
    assert after[0] == before[0] + 1 and after[1] == before[1] + 3


def test_state_shows_each_worker(cluster):
    state = cluster.state()
    assert len(state["workers"]) == cluster.workers
    assert len({worker["incarnation"] for worker in state["workers"]}) == cluster.workers
    for worker in state["workers"]:
        assert worker["state"] == "ready" and worker["problem"] == "" and worker["load"]["kv_blocks_total"] > 0


def test_page(cluster):
    status, headers, body = cluster.request("GET", "/")
    assert status == 200 and headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"<title>Bessemer</title>" in body and len(body) < 32 * 1024
    assert b"src=\"http" not in body and b"@import" not in body, "the page must need nothing from elsewhere"


@pytest.mark.parametrize("text", ["Hello, world!", "", " two  spaces ", "naïve Zürich 東京 😀\n\ttab", "def f(x):\n    return x"])
def test_tokenize_and_back(cluster, text):
    ids = cluster.post("/tokenize", {"prompt": text, "add_special_tokens": False})
    assert ids["count"] == len(ids["tokens"]) and ids["max_model_len"] > 0
    back = cluster.post("/detokenize", {"tokens": ids["tokens"]})
    assert back["prompt"].removeprefix(" ") == text.removeprefix(" ") and back["content"] == back["prompt"]


def test_detokenize_of_half_a_character(cluster):
    ids = cluster.post("/tokenize", {"prompt": "\U0001f9ff", "add_special_tokens": False})["tokens"]
    assert len(ids) > 1, "the character must take several tokens, or the test shows nothing"
    assert "\ufffd" in cluster.post("/detokenize", {"tokens": ids[:-1]})["content"]


def test_detokenize_of_many_long_tokens(cluster):
    status, _, body = cluster.request("POST", "/detokenize", {"tokens": [46778]})
    if status != 200 or len(json.loads(body)["content"]) < 64:
        pytest.skip("the longest token of SmolLM2 is not in this vocabulary: run `bessemer pull smollm2`")
    status, _, body = cluster.request("POST", "/detokenize", {"tokens": [46778] * 1_000_000})
    assert "bytes" in assert_error(status, body, 400, "invalid_value")["message"], "81 MB of text from 6 MB of ids"


def test_tokenize_in_the_other_shape(cluster):
    assert set(cluster.post("/tokenize", {"content": "Hello"})) == {"tokens"}
    pieces = cluster.post("/tokenize", {"content": "Hello world", "with_pieces": True})["tokens"]
    assert all(set(token) == {"id", "piece"} for token in pieces)


def test_tokenize_counts_what_chat_will_see(cluster, chat):
    messages = [{"role": "user", "content": "How many tokens are these?"}]
    counted = cluster.post("/tokenize", {"messages": messages})["count"]
    assert chat(messages[0]["content"], max_completion_tokens=1).usage.prompt_tokens == counted


def assert_error(status, body, wanted_status, code, type="invalid_request_error"):
    assert status == wanted_status, body
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    assert (error["type"], error["code"]) == (type, code), error
    return error


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/chat", "/v1/chat/completions/", "/v1/models/", "/%00", "/..%2f"])
def test_unknown_paths(cluster, path):
    status, _, body = cluster.request("GET", path)
    assert_error(status, body, 404, None)


def test_unknown_model_page(cluster):
    status, _, body = cluster.request("GET", "/v1/models/nobody%2Fnone")
    assert "nobody/none" in assert_error(status, body, 404, "model_not_found")["message"]


@pytest.mark.parametrize("method, path", [("GET", "/v1/chat/completions"), ("PUT", "/v1/completions"), ("POST", "/v1/models"),
                                          ("DELETE", "/health"), ("PATCH", "/")])
def test_wrong_methods_name_the_right_ones(cluster, method, path):
    status, headers, body = cluster.request(method, path, body=b"{}" if method != "GET" else None)
    assert_error(status, body, 405, "method_not_supported")
    assert method not in headers["allow"].split(", ")


def test_head_has_the_headers_of_get_and_no_body(cluster):
    status, headers, body = cluster.request("HEAD", "/v1/models")
    assert status == 200 and body == b"" and int(headers["content-length"]) > 0


def test_request_ids(cluster):
    assert cluster.request("GET", "/health", headers={"x-request-id": "my-id_1"})[1]["x-request-id"] == "my-id_1"
    made = {cluster.request("GET", "/health")[1]["x-request-id"] for _ in range(5)}
    assert len(made) == 5 and None not in made
    assert cluster.request("GET", "/nothing")[1]["x-request-id"]
    assert cluster.request("GET", "/health", headers={"x-request-id": "x" * 5000})[1]["x-request-id"] != "x" * 5000
