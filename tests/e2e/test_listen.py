"""Addresses to bind: both families, and what is none."""
import json
import re
import subprocess
import urllib.request

import pytest

from cluster import BINARY, Cluster, default_model, small_model, wait_until


@pytest.mark.parametrize("host, visited", [("::1", "::1"), ("::", "::1"), ("0.0.0.0", "127.0.0.1"),
                                           ("localhost", "127.0.0.1")])
def test_where_it_can_be_reached_is_printed(model, host, visited):
    with Cluster(model, workers=1, flags=["--host", host, "--worker.host", "::1"]) as cluster:
        assert cluster.host == visited
        assert cluster.status_when_announced == 200
        if default_model():
            result = subprocess.run([BINARY, "run", "--url", cluster.url, "--max-tokens", "4", "Say hello."],
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            assert result.returncode == 0 and result.stdout.strip(), result.stderr


@pytest.mark.parametrize("flag", ["--host", "--worker.host"])
def test_what_is_no_address_is_refused_by_the_name_of_its_flag(model, flag):
    result = subprocess.run([BINARY, "serve", "--model", str(model), "--port", "0", flag, "localhorst"], capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 1
    assert f"{flag} must be an IP address of this machine" in result.stderr and "localhorst" in result.stderr


@pytest.mark.parametrize("command", ["serve", "router", "worker"])
def test_a_log_level_that_is_none(command):
    result = subprocess.run([BINARY, command, "--log-level", "loud"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and 'log_level = "loud" is none of trace, debug, info' in result.stderr


@pytest.mark.parametrize("find_model, endpoint", [(small_model, "completions"), (default_model, "chat/completions")])
def test_the_request_that_is_printed_can_be_answered(find_model, endpoint):
    if find_model() is None:
        pytest.skip("that model is not here")
    with Cluster(find_model(), workers=1) as cluster:
        wait_until(lambda: "openai.OpenAI" in cluster.log(), 10, "the end of what is printed")
        printed = re.search(r"curl (http\S+) -H 'Content-Type: application/json' \\\n *-d '(.*)'", cluster.log())
        assert printed.group(1) == f"{cluster.url}/v1/{endpoint}"
        body = {**json.loads(printed.group(2)), "max_tokens": 2}
        request = urllib.request.Request(printed.group(1), json.dumps(body).encode(), {"Content-Type": "application/json"})
        assert json.load(urllib.request.urlopen(request, timeout=60))["choices"]
