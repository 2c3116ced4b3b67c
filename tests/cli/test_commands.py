"""Help, errors and exit codes of the command line."""
import http.server
import json
import os
import subprocess
import threading

import pytest

BINARY = os.environ["BESSEMER_BINARY"]


def run(*args, **kwargs):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=60, **kwargs)


@pytest.mark.parametrize("command", ["serve", "router", "worker", "run", "pull", "tokenize", "template", "inspect", "key"])
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
    (["sevre"], "'sevre' is no command (did you mean 'serve'?)"),
    (["frobnicate"], "'frobnicate' is no command\n"),
    (["run", "--seed", "-1", "hi"], "--seed: must be a whole number from 0 on, not '-1'\n"),
    (["run", "--max-tokens", "0", "hi"], "--max-tokens: must be a whole number from 1 on, not '0'\n"),
    (["serve", "--prot", "1"], "did you mean '--port'"),
    (["serve", "--port", "many"], "many"),
    (["serve", "--port", "8001", "--router.port", "8002"], "--port"),
])
def test_misspelt(args, hint):
    result = run(*args)
    assert result.returncode == 2
    assert hint in result.stderr


def test_print_config_writes_numbers_as_they_were_given():
    assert "kv_memory_fraction: 0.3 " in run("worker", "--kv-memory-fraction", "0.3", "--print-config").stdout


def test_print_config_flags_win_over_the_file(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("workers: 3\nrouter:\n  port: 9001\n  policy: round_robin\n")
    result = run("serve", "--config", str(config), "--port", "9002", "--print-config")
    assert result.returncode == 0
    assert "workers: 3" in result.stdout and "port: 9002" in result.stdout and 'policy: "round_robin"' in result.stdout


@pytest.mark.parametrize("args, hint", [
    (["serve", "--workers", "0"], "workers must be from 1 to"),
    (["serve", "--worker.step-tokens", "0"], "step_tokens"),
    (["worker", "--kv-dtype", "f8"], "kv_dtype"),
    (["router", "--policy", "best"], "best"),
    (["router", "--host", "localhorst"], "host must be an IP address of this machine"),
    (["serve", "--worker.kv-dtype", "f8"], "bessemer: worker: kv_dtype"),
    (["router", "--tenants-file", "/nowhere.yaml"], "the tenants file: cannot read /nowhere.yaml"),
    (["router", "--tenants-file", "/dev/null"], "/dev/null:1: there must be one list here"),
])
def test_print_config_refuses_what_the_command_would(args, hint):
    result = run(*args, "--print-config")
    assert result.returncode == 1 and hint in result.stderr and result.stdout == ""


def test_print_config_says_when_nobody_could_read_it():
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([BINARY, "serve", "--print-config"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1 and "No space left on device" in result.stderr


def test_a_setting_at_the_wrong_place_is_told_the_right_one(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("port: 9001\n")
    assert "did you mean 'router.port'?" in run("serve", "--config", str(config), "--print-config").stderr


def test_a_dotted_name_in_the_file_is_told_its_nearest(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("router.polcy: best\n")
    assert "did you mean 'router.policy'?" in run("serve", "--config", str(config), "--print-config").stderr


@pytest.mark.parametrize("host, remedy", [("8.8.8.8", "no interface of this machine has that address")])
def test_an_address_that_cannot_be_bound_has_its_remedy(host, remedy):
    result = run("router", "--host", host, "--workers", "127.0.0.1:1")
    assert result.returncode == 1 and remedy in result.stderr


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


HOSTILE_FILES = {
    "list in a list": b"router:\n  cors_origins: [[a]]\n",
    "list of itself": b"router: &a {cors_origins: [*a]}\n",
    "map of itself": b"&a {router: *a}\n",
    "no such anchor": b"model: *nobody\n",
    "a billion laughs": b"a: &a [x, x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(20)),
    "brackets": b"[" * 100_000,
    "maps": b"{" * 100_000,
    "lists": b"- " * 100_000,
    "not UTF-8": b"model: \xff\xfe\xc3(\n\xff: 1\n",
    "UTF-16": "model: a\n".encode("utf-16"),
    "zeros": b"\0\0\0",
    "no such character": b'model: "\\U00110000"\n',
    "escape at the end": b'model: "\\',
    "quote without end": b'workers: "one\n',
    "stray comma": b",model: a\n",
    "stray bracket": b"model: a\n]\n",
    "tag": b"workers: !!binary abc\n",
    "key is a list": b"? [a, b]\n: 1\n",
    "huge number": b"workers: 99999999999999999999\n",
}


@pytest.mark.parametrize("what", HOSTILE_FILES)
def test_no_config_file_ends_the_program_otherwise_than_by_an_error(tmp_path, what):
    config = tmp_path / "c.yaml"
    config.write_bytes(HOSTILE_FILES[what])
    result = run("serve", "--config", str(config), "--print-config")
    assert result.returncode == 1, result
    assert str(config) in result.stderr and result.stderr.count("\n") == 1


def test_a_folder_is_no_config_file(tmp_path):
    result = run("serve", "--config", str(tmp_path), "--print-config")
    assert result.returncode == 1
    assert f"cannot read {tmp_path}: Is a directory" in result.stderr


def test_an_empty_config_file_sets_nothing(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_bytes(b"")
    assert run("serve", "--config", str(config), "--print-config").stdout == run("serve", "--print-config").stdout


def test_serve_refuses_what_cannot_be(tmp_path):
    assert "no such file" in run("serve", "--model", str(tmp_path / "nothing.gguf")).stderr
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    result = run("serve", "--model", str(broken), "--port", "0")
    assert result.returncode == 1
    assert "broken.gguf" in result.stderr


class Refusing(http.server.BaseHTTPRequestHandler):
    """An API that lists one model and knows none."""

    def answer(self, status, body):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def do_GET(self):
        self.answer(200, {"data": [{"id": "listed"}]})

    def do_POST(self):
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["model"])
        self.answer(400, {"error": {"message": self.server.error}})

    def log_message(self, *_):
        pass


@pytest.fixture
def refusing():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.asked, server.error = [], "no such model"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("flags, asked", [([], "listed"), (["--model", "smollm2"], "smollm2"), (["--model", "m"], "m")])
def test_run_asks_for_the_model_that_was_named(refusing, flags, asked):
    result = run("run", "--url", f"http://127.0.0.1:{refusing.server_port}", *flags, "hi")
    assert result.returncode == 1 and "no such model" in result.stderr
    assert refusing.asked == [asked]


def test_run_says_what_a_model_without_a_chat_template_means(refusing):
    refusing.error = "this model has no chat template; use /v1/completions"
    result = run("run", "--url", f"http://127.0.0.1:{refusing.server_port}", "hi")
    assert "cannot be talked to" in result.stderr and "--model" in result.stderr and "/v1" not in result.stderr


def test_bytes_that_are_no_text_are_not_dropped(tmp_path):
    result = subprocess.run([BINARY, "tokenize", "--model", "smollm2"], input=b"Hello \xff\xfe", capture_output=True, timeout=60)
    assert result.returncode == 1 and b"byte 6 does not belong to UTF-8 text" in result.stderr, result.stderr
