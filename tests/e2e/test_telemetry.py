"""The access log and the traces of a real cluster."""
import contextlib
import http.server
import json
import os
import re
import signal
import threading

import pytest

from cluster import Cluster, frames, wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Collector:
    """An OpenTelemetry collector: takes OTLP/HTTP's JSON and keeps the spans."""

    def __enter__(self):
        self.spans, self.resources, collector = [], [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json"
                for resource in body["resourceSpans"]:
                    collector.resources.append({a["key"]: a["value"] for a in resource["resource"]["attributes"]})
                    for scope in resource["scopeSpans"]:
                        collector.spans.extend(scope["spans"])
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def trace(self, trace_id):
        return [span for span in self.spans if span["traceId"] == trace_id]


def attributes(span):
    return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}


@pytest.fixture(scope="module")
def collector():
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(model, collector, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "access.log"
    flags = [f"--router.access-log={log}", f"--router.otlp-endpoint={collector.url}"]
    with Cluster(model, workers=1, flags=flags) as cluster:
        cluster.access_log = log
        yield cluster


@pytest.fixture(scope="module")
def model_name(traced):
    return traced.get("/v1/models")["data"][0]["id"]


def lines(path):
    with contextlib.suppress(FileNotFoundError):
        return [json.loads(line) for line in path.read_text().splitlines()]
    return []


def line_of(cluster, request_id):
    found = wait_until(lambda: [line for line in lines(cluster.access_log) if line["request_id"] == request_id], 5,
                       f"a line of {request_id}")
    assert len(found) == 1
    return found[0]


def ask(cluster, name, request_id, traceparent=None, **more):
    headers = {"X-Request-Id": request_id, **({"traceparent": traceparent} if traceparent else {})}
    body = {"model": name, "prompt": "Once upon a time", "max_tokens": 8, "user": "ada", **more}
    return cluster.request("POST", "/v1/completions", body, headers)


def test_one_line_a_request(traced, model_name):
    status, _, body = ask(traced, model_name, "line-1", stream=True, stream_options={"include_usage": True})
    assert status == 200
    usage = frames(body)[-1]["usage"]
    line = line_of(traced, "line-1")
    assert line["status"] == 200 and line["endpoint"] == "/v1/completions" and line["front"] == "http"
    assert line["model"] == model_name and line["user"] == "ada"
    assert line["prompt_tokens"] == usage["prompt_tokens"] and line["completion_tokens"] == usage["completion_tokens"]
    assert line["cached_tokens"] == usage["prompt_tokens_details"]["cached_tokens"]
    assert 0 <= line["queued_ms"] <= line["ttft_ms"] <= line["total_ms"]
    assert line["worker"] == traced.state()["workers"][0]["address"] and line["decision"] == "only"
    assert line["attempts"] == 1 and line["bounces"] == 0 and line["error"] is None


def test_refusals_have_their_line(traced, model_name):
    status, _, answer = ask(traced, model_name, "line-2", top_p=7)
    line = line_of(traced, "line-2")
    assert status == line["status"] == 400 and line["error"] == json.loads(answer)["error"]["message"]
    assert line["error_code"] == "invalid_value" and line["worker"] is None and line["ttft_ms"] is None
    assert line["model"] == model_name and line["user"] == "ada", "whose it was"
    ask(traced, "nobody-has-this", "line-3")
    line = line_of(traced, "line-3")
    assert line["status"] == 404 and line["model"] == "nobody-has-this" and line["user"] == "ada"


def test_what_is_no_request_has_its_line_too(traced):
    with traced.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nno colon here\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    line = wait_until(lambda: [one for one in lines(traced.access_log) if one["endpoint"] == "none"], 5, "its line")[0]
    assert line["status"] == 400 and line["method"] is None and line["error"]


def test_a_rotation_loses_nothing(traced, model_name):
    """logrotate's way: move, then SIGHUP."""
    ask(traced, model_name, "rotate-1")
    line_of(traced, "rotate-1")
    old = traced.access_log.with_suffix(".old")
    traced.access_log.rename(old)
    os.kill(traced.children("router")[0], signal.SIGHUP)
    wait_until(lambda: ask(traced, model_name, "rotate-2")[0] == 200 and traced.access_log.exists(), 5, "a new file")
    assert any(line["request_id"] == "rotate-1" for line in lines(old))
    wait_until(lambda: any(line["request_id"] == "rotate-2" for line in lines(traced.access_log)), 5, "lines in the new file")


def test_a_trace_goes_on_through_router_and_worker(traced, collector, model_name):
    status, headers, _ = ask(traced, model_name, "trace-1", TRACEPARENT)
    assert status == 200
    mine = re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-01", headers["traceresponse"]).group(1)
    names = {"POST /v1/completions", "prepare", "place", "attempt", "queue", "prefill", "decode"}
    wait_until(lambda: {span["name"] for span in collector.trace(TRACE)} >= names, 10, "all spans")
    spans = {span["name"]: span for span in collector.trace(TRACE)}
    root = spans["POST /v1/completions"]
    assert root["spanId"] == mine and root["parentSpanId"] == PARENT
    for name, parent in (("prepare", root), ("place", root), ("attempt", root), ("queue", spans["attempt"]),
                         ("prefill", spans["attempt"]), ("decode", spans["attempt"])):
        span = spans[name]
        assert span["parentSpanId"] == parent["spanId"], name
        assert int(parent["startTimeUnixNano"]) <= int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"]), name
        assert int(span["endTimeUnixNano"]) <= int(parent["endTimeUnixNano"]), name
    known = attributes(root)
    assert known["gen_ai.request.model"] == model_name and known["http.response.status_code"] == "200"
    assert attributes(spans["attempt"])["server.address"] == traced.state()["workers"][0]["address"]
    assert collector.resources[0]["service.name"] == {"stringValue": "bessemer-router"}
    assert line_of(traced, "trace-1")["trace_id"] == TRACE


def test_a_trace_begins_where_none_came(traced, collector, model_name):
    for sent in (None, "00-" + "0" * 32 + f"-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01", "nonsense"):
        _, headers, _ = ask(traced, model_name, "trace-2", sent)
        trace_id = headers["traceresponse"].split("-")[1]
        assert trace_id != TRACE and len(trace_id) == 32
    roots = wait_until(lambda: [s for s in collector.trace(trace_id) if s["name"].startswith("POST ")], 10, "its root")
    assert "parentSpanId" not in roots[0]


def test_a_client_that_wants_no_trace_gets_none(traced, collector, model_name):
    quiet = "1" * 32
    _, headers, _ = ask(traced, model_name, "trace-3", f"00-{quiet}-{PARENT}-00")
    assert headers["traceresponse"].startswith(f"00-{quiet}-") and headers["traceresponse"].endswith("-00")
    _, headers, _ = ask(traced, model_name, "trace-4")
    later = headers["traceresponse"].split("-")[1]
    wait_until(lambda: collector.trace(later), 10, "a later trace")
    assert not collector.trace(quiet)


def test_metrics_count_what_is_lost(traced):
    text = traced.request("GET", "/metrics")[2].decode()
    assert re.search(r"^bessemer_router_access_log_dropped_total 0$", text, re.M)
    assert re.search(r"^bessemer_router_spans_dropped_total 0$", text, re.M)
    assert float(re.search(r"^bessemer_router_spans_exported_total (\S+)$", text, re.M).group(1)) > 0
