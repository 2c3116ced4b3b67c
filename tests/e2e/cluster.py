"""A real cluster of this machine, as a user starts it: `bessemer serve` and its children."""
import contextlib
import json
import os
import pathlib
import queue
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("BESSEMER_BINARY", str(ROOT / "build/release/bessemer"))
START_SECONDS = 120  # sanitizer builds on a busy machine
DEATH = re.compile(r"(router|worker \d+) (was killed by signal|exited with code) \d+")  # what the supervisor says of a child
MAX_IDLE_CPU = 0.01  # of one core, for all processes of a cluster together
LAST_WORDS = 60  # lines of output before a death: a sanitizer's report of one thread


def default_model():
    cache = os.environ.get("BESSEMER_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bessemer")
    path = pathlib.Path(cache) / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
    return path if path.is_file() else None


def small_model():
    path = ROOT / "../shared/data/models/stories260K.gguf"
    return path if path.is_file() else None


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.02)


def counter_in(metrics, name, **labels):
    """The sum of a router's counter over all that has these labels, from the text of its /metrics."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines()
               if re.match(rf"bessemer_router_{name}[{{ ]", line) and all(f'{key}="{value}"' in line for key, value in labels.items()))


def rss_kb(pid):
    """Resident memory that is the process's own: the weights are a mapped file and come and go with the page cache."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return sum(int(re.search(rf"{field}:\s+(\d+) kB", status).group(1)) for field in ("RssAnon", "RssShmem"))


def cpu_seconds(pid):
    """Time on a CPU, of all threads that live. Nanoseconds from the scheduler: /proc/PID/stat counts ticks, and a program that
    a timer wakes is charged whole ones."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def idle_cpu_share(cluster, seconds):
    """The share of one core that all processes of a cluster take together."""
    pids = [cluster.process.pid, *cluster.children("router"), *cluster.children("worker")]
    assert len(pids) == cluster.workers + 2
    before, began = sum(map(cpu_seconds, pids)), time.monotonic()
    time.sleep(seconds)
    return (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - began)


class Cluster:
    """`with Cluster(model, workers=2) as cluster:`; stopped by ctrl-C, which must end it cleanly. A process of it that ends
    without having been told to fails the test, with its last words: the supervisor restarts it, so that nothing else might show.
    Who wants a death says so: kill_child, kill_supervisor."""

    def __init__(self, model, workers=2, flags=()):
        self.command = [BINARY, "serve", "--model", str(model), "--workers", str(workers), "--port", "0", *flags]
        self.workers = workers
        self.output = []
        self.expected_deaths = 0
        self.expected_exit_code = 0
        self._deaths = []  # for each, how many lines of output there were with the line that tells of it
        self._lines = queue.Queue()

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        errors="replace", start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._wait_for_start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.interrupt()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("ctrl-C did not end the cluster in 60 s:\n" + self.log())
        self._reader.join(10)
        self.check_deaths()
        code = self.process.returncode
        assert code == self.expected_exit_code, f"the cluster ended with exit code {code}:\n" + self.log()

    def _read(self):
        for line in self.process.stdout:
            self.output.append(line)
            if DEATH.search(line):
                self._deaths.append(len(self.output))
            self._lines.put(line)

    def check_deaths(self):
        """Nobody died but those who were killed by kill_child."""
        if len(self._deaths) > self.expected_deaths:
            end = self._deaths[-1]
            raise AssertionError(f"{len(self._deaths)} processes of the cluster ended, {self.expected_deaths} of them on purpose; "
                                 "the last words:\n" + "".join(self.output[max(0, end - LAST_WORDS):end]))

    def kill_child(self, pid):
        self.expected_deaths += 1
        os.kill(pid, signal.SIGKILL)

    def kill_supervisor(self):
        self.expected_exit_code = -signal.SIGKILL
        self.process.kill()
        self.process.wait()

    def _wait_for_start(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(queue.Empty):
                found = re.search(r"bessemer serves .* at http://\[?([0-9a-f.:]+?)\]?:(\d+) ", self._lines.get(timeout=0.1))
                if found:
                    break
            assert self.process.poll() is None, "the cluster ended while starting:\n" + self.log()
            assert time.monotonic() < deadline, "the cluster did not start:\n" + self.log()
        self.host, self.port = found.group(1), int(found.group(2))
        self.url = f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"
        self.status_when_announced = self.request("GET", "/health")[0]
        self.wait_ready()

    def wait_ready(self, seconds=START_SECONDS):
        wait_until(lambda: all(w["state"] == "ready" for w in self.state()["workers"]), seconds, "all workers ready")

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def interrupt(self):
        """What ctrl-C in a terminal does: SIGINT to the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def log(self):
        return "".join(self.output[-80:])

    def children(self, kind):
        """Process ids of the children that run `bessemer <kind>`, oldest first."""
        found = []
        for pid in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2] == [kind.encode()]:
                    found.append(int(pid))
        return sorted(found)

    # --- HTTP by hand ---

    def request(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, body bytes); `body` may be bytes or something for JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        if data is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def get(self, path):
        status, _, body = self.request("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path, body):
        status, _, answer = self.request("POST", path, body)
        assert status == 200, answer
        return json.loads(answer)

    def connect(self):
        connection = socket.create_connection((self.host, self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    # --- What the workers say of themselves ---

    def state(self):
        return self.get("/bessemer/state")

    def loads(self):
        return [worker["load"] for worker in self.state()["workers"]]

    def is_idle(self):
        """Nothing runs or waits anywhere, and every block is free again or only cached (E2)."""
        state = self.state()
        return (state["router"]["waiting"] == 0 and state["router"]["requests"] <= 1 and all(
            load["running"] == 0 and load["waiting"] == 0 and load["from_this_router"] == 0
            and load["kv_blocks_free"] == load["kv_blocks_total"] for load in self.loads()))

    def wait_idle(self, seconds=5):
        wait_until(self.is_idle, seconds, "idle with all blocks free: " + json.dumps(self.state()["workers"]))


def frames(response):
    """The parsed chunks of a text/event-stream body, checked for its form: [DONE] comes last, and only once."""
    chunks, done = [], False
    for line in response.decode("utf-8").split("\n"):
        if not line or line.startswith(":"):
            continue
        assert line.startswith("data: ") and not done, line
        if line == "data: [DONE]":
            done = True
        else:
            chunks.append(json.loads(line[len("data: "):]))
    assert done, "the stream just stopped"
    return chunks
