"""bessemer.v1.Inference with clients that know nothing of it but its address: reflection tells them the rest."""
import json
import pathlib
import re
import subprocess
import sys
import threading

import grpc
import pytest
from google.protobuf import any_pb2, descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from cluster import Cluster, wait_until

SERVICE = "bessemer.v1.Inference"
GRPCURL = pathlib.Path(sys.executable).parent / "grpcurl"


class Inference:
    """Calls by reflection: requests and answers are dicts in the field's own spelling."""

    def __init__(self, target):
        self.target = target
        self.channel = grpc.insecure_channel(target)
        database = ProtoReflectionDescriptorDatabase(self.channel)
        self.services = database.get_services()
        self.pool = descriptor_pool.DescriptorPool(database)
        self.methods = self.pool.FindServiceByName(SERVICE).methods_by_name

    def close(self):
        self.channel.close()

    def _message(self, descriptor):
        return message_factory.GetMessageClass(descriptor)

    def start(self, method, request, **options):
        """The call object of a stream, or the answer of a unary method; messages as they are."""
        descriptor = self.methods[method]
        kind = "unary_stream" if descriptor.server_streaming else "unary_unary"
        call = getattr(self.channel, kind)(f"/{SERVICE}/{method}",
                                           request_serializer=self._message(descriptor.input_type).SerializeToString,
                                           response_deserializer=self._message(descriptor.output_type).FromString)
        return call(json_format.ParseDict(request, self._message(descriptor.input_type)()), timeout=options.pop("timeout", 60),
                    **options)

    def unary(self, method, request):
        return json_format.MessageToDict(self.start(method, request), preserving_proto_field_name=True)

    def generate(self, **request):
        """(texts by choice, ids by choice, finish reasons by choice, usage)"""
        texts, ids, reasons, usage = {}, {}, {}, None
        for message in self.start("Generate", request):
            for choice in message.choices:
                texts[choice.index] = texts.get(choice.index, "") + choice.text
                ids.setdefault(choice.index, []).extend(choice.ids)
                if choice.finish_reason:
                    reasons[choice.index] = choice.finish_reason
            if message.HasField("usage"):
                usage = message.usage
        return texts, ids, reasons, usage

    def detail(self, error):
        """The ErrorDetail of a failed call."""
        encoded = dict(error.trailing_metadata())["grpc-status-details-bin"]
        details = self._message(self.pool.FindMessageTypeByName("bessemer.v1.StatusDetails")).FromString(encoded)
        assert details.code == error.code().value[0] and details.message == error.details()
        packed = any_pb2.Any.FromString(details.details[0].SerializeToString())
        detail = self._message(self.pool.FindMessageTypeByName("bessemer.v1.ErrorDetail"))()
        assert packed.Unpack(detail)
        return detail


def grpc_address(cluster):
    return re.search(r"gRPC clients on (\S+)", cluster.log()).group(1)


@pytest.fixture(scope="module")
def grpc_cluster(model):
    with Cluster(model, workers=1, flags=["--router.grpc-port=0"]) as cluster:
        yield cluster
        cluster.wait_idle()


@pytest.fixture(scope="module")
def inference(grpc_cluster):
    client = Inference(grpc_address(grpc_cluster))
    yield client
    client.close()


@pytest.fixture(scope="module")
def model_name(grpc_cluster):
    return grpc_cluster.get("/v1/models")["data"][0]["id"]


def test_reflection_and_health(inference):
    assert {SERVICE, "grpc.health.v1.Health"} <= set(inference.services)
    health = health_pb2_grpc.HealthStub(inference.channel)
    for service in ("", SERVICE):
        status = health.Check(health_pb2.HealthCheckRequest(service=service)).status
        assert status == health_pb2.HealthCheckResponse.SERVING


def test_the_same_answer_as_rest(grpc_cluster, inference, model_name):
    asked = {"model": model_name, "prompt": "Once upon a time", "max_tokens": 24, "temperature": 1, "seed": 11, "n": 2}
    rest = grpc_cluster.post("/v1/completions", asked)
    texts, ids, reasons, usage = inference.generate(**asked)
    assert texts == {c["index"]: c["text"] for c in rest["choices"]}
    assert set(reasons) == {0, 1} and all(len(one) <= 24 for one in ids.values())
    assert usage.completion_tokens == rest["usage"]["completion_tokens"]


def test_ids_in_and_text_in_are_the_same(inference, model_name):
    tokens = inference.unary("Tokenize", {"prompt": "Once upon a time"})["tokens"]
    by_text = inference.generate(model=model_name, prompt="Once upon a time", max_tokens=8, temperature=0)
    by_ids = inference.generate(model=model_name, prompt_ids=tokens, max_tokens=8, temperature=0)
    assert by_text[:2] == by_ids[:2]
    text = inference.unary("Detokenize", {"tokens": by_ids[1][0]})["text"]
    assert text.strip() == by_ids[0][0].strip()


def test_models(grpc_cluster, inference):
    listed = {one["id"] for one in inference.unary("ListModels", {})["models"]}
    assert listed == {one["id"] for one in grpc_cluster.get("/v1/models")["data"]}


def test_errors_have_a_code_and_the_details_of_rest(grpc_cluster, inference, model_name):
    for code, request in ((grpc.StatusCode.NOT_FOUND, {"model": "nobody", "prompt": "x"}),
                          (grpc.StatusCode.INVALID_ARGUMENT, {"model": model_name, "prompt": "x", "top_p": 2}),
                          (grpc.StatusCode.INVALID_ARGUMENT, {"model": model_name, "prompt": "x", "n": 100})):
        rest = json.loads(grpc_cluster.request("POST", "/v1/completions", request)[2])["error"]
        with pytest.raises(grpc.RpcError) as caught:
            inference.generate(**request)
        assert caught.value.code() == code
        assert caught.value.details() == rest["message"]
        detail = inference.detail(caught.value)
        assert (detail.type, detail.param, detail.code) == (rest["type"], rest["param"] or "", rest["code"] or "")


def test_what_a_client_cancels_stops(grpc_cluster, inference, model_name):
    call = inference.start("Generate", {"model": model_name, "prompt": "x", "max_tokens": 400, "ignore_eos": True, "n": 8})
    next(iter(call))
    call.cancel()
    grpc_cluster.wait_idle()


def test_a_deadline_is_the_requests(grpc_cluster, inference, model_name):
    with pytest.raises(grpc.RpcError) as caught:
        for _ in inference.start("Generate", {"model": model_name, "prompt": "x", "max_tokens": 400, "ignore_eos": True, "n": 8},
                                 timeout=0.3):
            pass
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    grpc_cluster.wait_idle()


def test_many_calls_share_a_connection(inference, model_name):
    answers = [None] * 8

    def ask(i):
        answers[i] = inference.generate(model=model_name, prompt="Once", max_tokens=8, temperature=0)[0][0]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(answers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1 and answers[0]


def grpcurl(target, *arguments):
    done = subprocess.run([GRPCURL, "-plaintext", *arguments[:-1], target, arguments[-1]], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_grpcurl(grpc_cluster, inference, model_name):
    """What README.md shows."""
    code, services, problem = grpcurl(inference.target, "list")
    assert code == 0 and SERVICE in services, problem
    request = json.dumps({"model": model_name, "prompt": "Once upon a time", "max_tokens": 8, "temperature": 0})
    code, out, problem = grpcurl(inference.target, "-d", request, f"{SERVICE}/Generate")
    assert code == 0, problem
    decoder, messages = json.JSONDecoder(), []
    while out.strip():
        message, end = decoder.raw_decode(out.lstrip())
        messages.append(message)
        out = out.lstrip()[end:]
    text = "".join(choice.get("text", "") for message in messages for choice in message.get("choices", []))
    assert text == grpc_cluster.post("/v1/completions", json.loads(request))["choices"][0]["text"]
    assert messages[-1]["usage"]["completion_tokens"] == "8"
    code, _, problem = grpcurl(inference.target, "-d", '{"model": "nobody", "prompt": "x"}', f"{SERVICE}/Generate")
    assert code != 0 and "NotFound" in problem and "model_not_found" in problem


def test_a_drain_lets_calls_end(model):
    """SIGTERM: the stream that runs is finished, the client is told to go elsewhere."""
    with Cluster(model, workers=1, flags=["--router.grpc-port=0"]) as cluster:
        name = cluster.get("/v1/models")["data"][0]["id"]
        client = Inference(grpc_address(cluster))
        call = client.start("Generate", {"model": name, "prompt": "x", "max_tokens": 100, "ignore_eos": True, "temperature": 0})
        next(call)
        cluster.interrupt()
        ids = sum(len(choice.ids) for message in call for choice in message.choices)
        assert call.code() == grpc.StatusCode.OK and ids >= 98
        client.close()
        wait_until(lambda: cluster.process.poll() is not None, 30, "the cluster has stopped")
