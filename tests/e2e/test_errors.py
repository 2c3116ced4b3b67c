"""Mistakes get a 400 that names them, as the client's own exception classes; never a 500, never a closed connection."""
import json

import openai
import pytest

from cluster import Cluster

BAD_CHAT = [
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"tools": []}, "tools"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}],
      "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice.function.name"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs"),
    ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs"),
    ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages[0].content[0].type"),
    ({"messages": []}, "messages"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"n": 0}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"temprature": 1}, "temprature"),
    ({"logit_bias": {"999999999": 1}}, "logit_bias"),
    ({"stop_token_ids": [999999999]}, "stop_token_ids"),
]


@pytest.mark.parametrize("fields, param", BAD_CHAT, ids=[param for _, param in BAD_CHAT])
def test_bad_parameters(cluster, chat, name, fields, param):
    body = {"model": name, "messages": [{"role": "user", "content": "hi"}], **fields}
    status, _, answer = cluster.request("POST", "/v1/chat/completions", body)
    error = json.loads(answer)["error"]
    assert status == 400 and error["type"] == "invalid_request_error", answer
    assert error["param"] == param and error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"model": "\xff"}', b"[" * 100_000, b"{}" * 2,
                                  b'{"model": NaN}', b"\x00" * 100, b'{"a":' * 1000])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize"])
def test_bodies_that_are_no_request(cluster, path, body):
    status, _, answer = cluster.request("POST", path, body)
    assert status == 400, answer
    assert set(json.loads(answer)["error"]) == {"message", "type", "param", "code"}


def test_the_client_raises_its_own_classes(client, name):
    with pytest.raises(openai.NotFoundError) as caught:
        client.completions.create(model="nobody", prompt="x")
    assert caught.value.code == "model_not_found" and caught.value.param == "model"
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=name, prompt="x", temperature=9)
    assert caught.value.param == "temperature"


def test_a_prompt_beyond_the_context(cluster, client, name):
    longest = cluster.get("/v1/models")["data"][0]["max_model_len"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=name, prompt=[5] * (longest + 10), max_tokens=1)
    assert caught.value.code == "context_length_exceeded"
    assert str(longest) in caught.value.message and str(longest + 10) in caught.value.message
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=name, prompt=[5] * 10, max_tokens=longest)
    assert caught.value.code == "context_length_exceeded"


def test_ids_outside_the_vocabulary(client, name):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model=name, prompt=[2_000_000_000])
    assert caught.value.param == "prompt"


def test_errors_of_a_stream_come_before_it(cluster, name):
    body = {"model": name, "prompt": "x", "stream": True, "temperature": 9}
    status, headers, answer = cluster.request("POST", "/v1/completions", body)
    assert status == 400 and headers["content-type"].startswith("application/json") and json.loads(answer)["error"]


def test_a_body_beyond_the_limit(cluster):
    status, _, answer = cluster.request("POST", "/v1/completions", b" " * (17 << 20))
    assert status == 413 and json.loads(answer)["error"]["code"] == "request_too_large"


def test_a_template_that_refuses(cluster, chat, name):
    """Whatever a template thinks of odd orders of roles, the answer is 200 or 400."""
    for roles in (["assistant"], ["tool"], ["system"], ["user", "user"], ["assistant", "system", "tool"]):
        messages = [{"role": role, "content": "x", **({"tool_call_id": "1"} if role == "tool" else {})} for role in roles]
        status, _, answer = cluster.request("POST", "/v1/chat/completions",
                                            {"model": name, "messages": messages, "max_tokens": 1})
        assert status in (200, 400), answer


def test_a_request_that_leaves_nothing_to_draw_from(cluster, name):
    """Each field is well formed; together they ban every token."""
    status, _, answer = cluster.request("POST", "/v1/completions", {
        "model": name, "prompt": "x", "allowed_token_ids": [7], "logit_bias": {"7": -100}, "stop_token_ids": [7], "min_tokens": 1,
        "max_tokens": 4})
    assert status == 400 and json.loads(answer)["error"]["type"] == "invalid_request_error", answer


def test_a_request_beyond_its_time(model):
    with Cluster(model, workers=1, flags=["--router.request-timeout-ms=300"]) as cluster:
        name = cluster.get("/v1/models")["data"][0]["id"]
        body = {"model": name, "prompt": "x", "max_tokens": 400, "ignore_eos": True, "n": 8}
        status, headers, answer = cluster.request("POST", "/v1/completions", body)
        assert status == 504 and json.loads(answer)["error"]["code"] == "deadline_exceeded", answer
        assert headers["x-should-retry"] == "false"
        stream = cluster.request("POST", "/v1/completions", {**body, "stream": True})[2].decode()
        frames = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
        assert frames[-1] == "[DONE]" and json.loads(frames[-2])["error"]["code"] == "deadline_exceeded"
