"""The load client against a real cluster: every request is there, and so is every token."""
import json
import os
import pathlib
import subprocess

import pytest

from cluster import BINARY, Cluster, small_model

CLIENT = pathlib.Path(os.environ.get("BESSEMER_BENCH_SERVE") or pathlib.Path(BINARY).parent / "bin/bessemer_bench_serve")


@pytest.fixture(scope="module")
def url():
    if small_model() is None:
        pytest.skip("no model: put stories260K.gguf into ../shared/data/models")
    if not CLIENT.is_file():
        pytest.skip(f"no load client at {CLIENT}: build the target bessemer_bench_serve")
    with Cluster(small_model(), workers=1) as cluster:
        yield cluster.url


def measure(tmp_path, *flags):
    file = tmp_path / "result.json"
    done = subprocess.run([CLIENT, "--json", file, *map(str, flags)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text()), done.stdout


def test_counts_of_a_closed_loop(url, tmp_path):
    result, table = measure(tmp_path, "--url", url, "--requests", 12, "--concurrency", 4, "--input", 50, "--output", 16, "--seed", 1)
    run, = result["runs"]
    assert run["requests"] == run["answered"] == 12 and run["failures"] == {} and run["short_answers"] == 0
    assert run["tokens_counted_by_server"]
    assert run["figures"]["prompt_tokens_each"] == 50 and run["figures"]["output_tokens_each"] == 16
    assert 0 < run["figures"]["ttft_ms_p50"] <= run["figures"]["ttft_ms_p99"] <= run["figures"]["e2e_ms_p99"]
    assert "bessemer" in table and result["host"]["cpu"] in table


def test_two_servers_in_turns(url, tmp_path):
    result, table = measure(tmp_path, "--url", url, "--vs", url, "--repeats", 2, "--requests", 3, "--input", 20, "--output", 4,
                            "--arrivals", "poisson", "--rate", 50)
    assert [(run["server"], run["repeat"]) for run in result["runs"]] == [("A", 0), ("B", 0), ("A", 1), ("B", 1)]
    ratios = {row["name"]: row.get("ratio") for row in result["phases"][0]["figures"]}
    assert ratios["output_tokens_per_s"] > 0 and ratios["wall_s"] is None
    assert "A better" in table


def test_shared_prefix_and_turns(url, tmp_path):
    result, _ = measure(tmp_path, "--url", url, "--workload", "shared-prefix", "--requests", 4, "--concurrency", 4,
                        "--prefix", 100, "--input", 120, "--output", 4)
    assert [run["phase"] for run in result["runs"]] == ["cold", "warm"]
    assert all(run["figures"]["prompt_tokens_each"] == 120 for run in result["runs"])
    result, _ = measure(tmp_path, "--url", url, "--workload", "turns", "--turns", 3, "--requests", 2, "--input", 20, "--output", 8)
    run, = result["runs"]
    assert run["requests"] == run["answered"] == 6 and run["figures"]["later_turns_ttft_ms_p50"] > 0


def test_a_server_of_its_own(tmp_path):
    if small_model() is None or not CLIENT.is_file():
        pytest.skip("no model or no load client")
    command = f"{BINARY} serve --model {small_model()} --workers 1 --port {{port}}"
    result, _ = measure(tmp_path, "--exec", command, "--workload", "start", "--repeats", 2)
    assert len(result["runs"]) == 2
    for run in result["runs"]:
        assert run["figures"]["start_to_first_token_ms"] > 0 and run["figures"]["memory_mib"] > 1


def test_the_key_stays_secret(url, tmp_path):
    for flags in (("--api-key", "hidden-key"), ("--api-key=hidden-key",)):
        result, table = measure(tmp_path, "--url", url, "--requests", 1, "--output", 2, *flags, "--busy", 1)
        assert "***" in result["command"] and "hidden-key" not in json.dumps(result) + table
        assert "1 busy process" in table


def test_what_cannot_be_done_is_said(tmp_path):
    if not CLIENT.is_file():
        pytest.skip("no load client")
    for flags, word in (([], "--url"), (["--url", "https://h"], "https"), (["--url", "127.0.0.1:9"], "connect"),
                        (["--url", "h", "--workload", "start"], "--exec"), (["--url", "h", "--workload", "trace"], "--trace"),
                        (["--url", "h", "--extra", "[]"], "--extra"), (["--url", "h", "--trace", "/no/trace"], "/no/trace")):
        done = subprocess.run([CLIENT, *flags], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and word in done.stderr, (flags, done.stderr)
