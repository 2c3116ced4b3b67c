"""HTTPS at the front, mutual TLS between router and worker, and certificates that are replaced while both run."""
import contextlib
import http.client
import json
import shutil
import ssl
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from certificates import Authority
from cluster import small_model, wait_until
from processes import refused_start, start_router, start_worker


@pytest.fixture
def stack():
    if small_model() is None:
        pytest.skip("no model: put stories260K.gguf into ../shared/data/models")
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


def https(router, authority, timeout=60):
    context = ssl.create_default_context(cafile=authority.cert)
    context.set_alpn_protocols(["http/1.1"])
    return http.client.HTTPSConnection("127.0.0.1", router.port, timeout=timeout, context=context)


def get(router, authority, path):
    connection = https(router, authority)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def subject(connection):
    connection.connect()
    return dict(pair[0] for pair in connection.sock.getpeercert()["subject"])["commonName"]


def test_https_with_a_certificate_that_is_replaced(stack, authority):
    worker = start_worker(stack)
    cert, key = authority.issue("front", "IP:127.0.0.1")
    router = start_router(stack, "--workers", worker.address, "--tls-cert", cert, "--tls-key", key)
    wait_until(lambda: get(router, authority, "/health")[0] == 200, 30, "a worker over HTTPS")

    # A stream goes on over the old certificate while new connections get the new one.
    old = https(router, authority)
    assert subject(old) == "front"
    assert old.sock.selected_alpn_protocol() == "http/1.1" and old.sock.version() in ("TLSv1.2", "TLSv1.3")
    body = {"model": "small", "prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True, "stream": True}
    old.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    stream = old.getresponse()
    first = stream.readline()
    assert first.startswith(b"data: {")

    cert.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    router.wait_for_log("the certificate before stays in force")
    assert subject(https(router, authority)) == "front"
    newer = authority.issue("newer", "IP:127.0.0.1")
    shutil.copy(newer[1], key)
    shutil.copy(newer[0], cert)
    wait_until(lambda: subject(https(router, authority)) == "newer", 10, "the new certificate")
    assert stream.read().rstrip().endswith(b"data: [DONE]")

    plain = http.client.HTTPConnection("127.0.0.1", router.port, timeout=30)
    plain.request("GET", "/health")
    answer = plain.getresponse()
    assert answer.status == 400 and "https://" in json.loads(answer.read())["error"]["message"]


def test_grpc_clients_get_tls_too(stack, authority):
    cert, key = authority.issue("front", "IP:127.0.0.1")
    router = start_router(stack, "--grpc-port", 0, "--tls-cert", cert, "--tls-key", key)
    router.wait_for_log("gRPC clients on ")
    target = next(line for line in router.output if "gRPC clients on " in line).split()[-1]
    trusted = grpc.ssl_channel_credentials(authority.cert.read_bytes())
    with grpc.secure_channel(target, trusted) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError) as refused:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_routers_and_workers_know_each_other(stack, authority, tmp_path):
    worker = start_worker(stack, *authority.issue_role("worker"))
    router = start_router(stack, "--workers", worker.address, *authority.issue_role("router"))
    router.wait_workers({worker.address: "ready"})
    assert router.post("/v1/completions", {"model": "small", "prompt": "Once", "max_tokens": 4})["usage"]["completion_tokens"]

    # Strangers: one without a certificate, one of another authority.
    plain = start_router(stack, "--workers", worker.address)
    other = Authority(tmp_path / "other", "somebody else")
    stranger = start_router(stack, "--workers", worker.address, *other.issue_role("router"))
    time.sleep(1.5)
    assert plain.workers() == stranger.workers() == {worker.address: "down"}
    assert router.workers() == {worker.address: "ready"}


def test_peers_certificates_are_replaced(stack, tmp_path):
    here = Authority(tmp_path / "here")
    worker_files, router_files = here.issue_role("worker"), here.issue_role("router")
    worker = start_worker(stack, *worker_files)
    router = start_router(stack, "--workers", worker.address, *router_files)
    router.wait_workers({worker.address: "ready"})
    answers = []
    body = {"model": "small", "prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True}
    running = threading.Thread(target=lambda: answers.append(router.post("/v1/completions", body)))
    running.start()

    following = Authority(tmp_path / "following", "the next")
    following.issue_role("worker")
    following.issue_role("router")
    for name in ("worker.key", "worker.crt", "router.key", "router.crt", "ca.crt"):
        shutil.copy(following.folder / name, here.folder / name)
    newcomer = start_router(stack, "--workers", worker.address, *router_files)
    newcomer.wait_workers({worker.address: "ready"})
    running.join(60)
    assert answers[0]["usage"]["completion_tokens"] == 400
    assert router.workers() == {worker.address: "ready"}


def test_what_cannot_be_is_refused_by_name(stack, authority):
    cert, key = authority.issue("front", "IP:127.0.0.1")
    other = authority.issue("other", "IP:127.0.0.1")[1]
    said = refused_start("router", "--port", 0, "--tls-cert", cert, "--tls-key", other)
    assert f"tls_key {other} is not the key of tls_cert {cert}" in said
    assert "tls_cert and tls_key go together" in refused_start("router", "--port", 0, "--tls-cert", cert)
    assert "peer_cert, peer_key and peer_ca go together" in refused_start("worker", "--model", small_model(), "--peer-ca", cert)
    said = refused_start("router", "--port", 0, *authority.issue_role("worker"))
    assert "does not say that this is a router" in said and "spiffe://test/bessemer/worker" in said


def test_an_open_worker_is_warned_of(stack, authority):
    start_worker(stack, host="0.0.0.0").wait_for_log("0.0.0.0 is open to the network and peer_cert is not set")
    quiet = start_worker(stack, *authority.issue_role("worker"), host="0.0.0.0")
    assert not any("open to the network" in line for line in quiet.output)
