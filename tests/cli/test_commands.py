"""Help, errors and exit codes of the command line."""
import json
import os
import subprocess

import pytest

BINARY = os.environ["BESSEMER_BINARY"]


def run(*args, **kwargs):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=60, **kwargs)


@pytest.mark.parametrize("command", ["serve", "router", "worker", "run", "pull", "tokenize", "template", "inspect"])
def test_every_command_has_help_with_an_example(command):
    result = run(command, "--help")
    assert result.returncode == 0
    assert f"bessemer {command}" in result.stdout and "Example" in result.stdout


def test_no_command():
    result = run()
    assert result.returncode == 2 and "--help" in result.stderr


def test_version_names_the_backends():
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("bessemer ") and "cpu" in result.stdout


@pytest.mark.parametrize("args, hint", [
    (["sevre"], "did you mean 'serve'"),
    (["serve", "--prot", "1"], "did you mean '--port'"),
    (["serve", "--port", "many"], "many"),
])
def test_misspelt(args, hint):
    result = run(*args)
    assert result.returncode == 2
    assert hint in result.stderr


def test_print_config_flags_win_over_the_file(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("workers: 3\nrouter:\n  port: 9001\n  policy: round_robin\n")
    result = run("serve", "--config", str(config), "--port", "9002", "--print-config")
    assert result.returncode == 0
    assert "workers: 3" in result.stdout and "port: 9002" in result.stdout and 'policy: "round_robin"' in result.stdout


def test_json_log_lines_are_json(tmp_path):
    missing = tmp_path / 'no "such"\nmodel.gguf'
    result = run("worker", "--model", str(missing), "--log-json")
    assert result.returncode == 1
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert lines[-1]["level"] == "error" and str(missing) in lines[-1]["message"]


def test_unknown_key_in_the_file(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("router:\n  prot: 9001\n")
    result = run("serve", "--config", str(config))
    assert result.returncode == 1
    assert "c.yaml:2" in result.stderr and "did you mean 'port'" in result.stderr


def test_serve_refuses_what_cannot_be(tmp_path):
    assert "no such file" in run("serve", "--model", str(tmp_path / "nothing.gguf")).stderr
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    result = run("serve", "--model", str(broken), "--port", "0")
    assert result.returncode == 1
    assert "broken.gguf" in result.stderr
