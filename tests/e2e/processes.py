"""Routers and workers started one by one, as across machines."""
import json
import signal
import subprocess
import threading
import urllib.request

from cluster import BINARY, START_SECONDS, small_model, wait_until


class Process:
    """`with Process("router", "--port", "0") as router:`; ended by SIGTERM, which must end it cleanly."""

    def __init__(self, kind, *flags):
        self.kind = kind
        self.command = [BINARY, kind, *map(str, flags)]
        if "--config" not in self.command:
            self.command += ["--log-level", "debug"]
        self.expected_exit_codes = (0,)
        self.output = []
        self.key = None  # for a router with tenants

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        self._reader = threading.Thread(target=lambda: self.output.extend(self.process.stderr), daemon=True)
        self._reader.start()
        alarm = threading.Timer(START_SECONDS, self.process.kill)
        alarm.start()
        line = self.process.stdout.readline()
        alarm.cancel()
        if not line.startswith("READY "):
            self.process.kill()
            self.process.wait()
            self._reader.join(10)
            raise AssertionError(f"the {self.kind} did not start:\n" + self.log())
        self.address = line.split()[1]
        self.host, _, port = self.address.rpartition(":")
        self.port = int(port)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"SIGTERM did not end the {self.kind} in 60 s:\n" + self.log())
        self._reader.join(10)
        assert self.process.returncode in self.expected_exit_codes, f"exit code {self.process.returncode}:\n" + self.log()

    def kill(self):
        self.expected_exit_codes = (-signal.SIGKILL,)
        self.process.kill()
        self.process.wait()

    def log(self):
        return "".join(self.output[-80:])

    def wait_for_log(self, text, seconds=20):
        wait_until(lambda: any(text in line for line in self.output), seconds, f"'{text}' in the log of the {self.kind}")

    # --- a router's ---

    def url(self, path):
        return f"http://{self.address}{path}"

    def get(self, path):
        request = urllib.request.Request(self.url(path), headers={"Authorization": f"Bearer {self.key}"} if self.key else {})
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read())

    def post(self, path, body):
        request = urllib.request.Request(self.url(path), json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.loads(response.read())

    def workers(self):
        """{address: state}"""
        return {worker["address"]: worker["state"] for worker in self.get("/bessemer/state")["workers"]}

    def wait_workers(self, expected, seconds=30):
        wait_until(lambda: self.workers() == expected, seconds, f"workers {expected}; they are {self.workers()}")


def start_worker(stack, *flags, host="127.0.0.1"):
    """A worker with the small model, for as long as the ExitStack lasts."""
    return stack.enter_context(Process("worker", "--model", small_model(), "--name", "small", "--threads", 1, "--kv-cache-mb", 16,
                                       "--max-sequences", 8, "--host", host, *flags))


def start_router(stack, *flags, port=0):
    return stack.enter_context(Process("router", "--port", port, "--threads", 2, *flags))


def refused_start(kind, *flags):
    """What a process says that must not start."""
    ended = subprocess.run([BINARY, kind, *map(str, flags)], capture_output=True, text=True, timeout=START_SECONDS)
    assert ended.returncode != 0 and "READY" not in ended.stdout, ended
    return ended.stderr
