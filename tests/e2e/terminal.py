"""A program in a terminal of its own, typed to and read like a person would."""
import contextlib
import os
import pty
import select
import signal
import termios
import time

CTRL_C, CTRL_D = "\x03", "\x04"


class Terminal:
    """`with Terminal([program, ...], {"NAME": "value"}) as terminal:`; whoever has not waited for its end kills it."""

    def __init__(self, command, environment=None):
        self.command, self.environment = command, {**os.environ, "TERM": "xterm", **(environment or {})}
        self.screen = ""  # all that was written so far
        self.seen = 0  # how much of it the last expect() took

    def __enter__(self):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execve(self.command[0], self.command, self.environment)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.descriptor)

    def type(self, keys):
        os.write(self.descriptor, keys.encode())

    def expect(self, text, seconds=60):
        """Waits until `text` is written behind what was expected before; returns what came in between."""
        deadline = time.monotonic() + seconds
        while (found := self.screen.find(text, self.seen)) < 0:
            assert time.monotonic() < deadline, f"no {text!r} after {seconds} s in {self.screen[self.seen:]!r}"
            assert self._read(), f"the program ended without {text!r}: {self.screen[self.seen:]!r}"
        between, self.seen = self.screen[self.seen:found], found + len(text)
        return between

    def settle(self, seconds=0.3):
        """Until nothing has been written for so long."""
        length, until = len(self.screen), time.monotonic() + seconds
        while time.monotonic() < until and self._read():
            if len(self.screen) != length:
                length, until = len(self.screen), time.monotonic() + seconds

    def edits_a_line(self):
        """Keys go to the program as they are. A prompt is on the screen a moment before that."""
        return not termios.tcgetattr(self.descriptor)[3] & termios.ICANON

    def exit_code(self, seconds=60):
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, f"still running after {seconds} s: {self.screen[self.seen:]!r}"
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self):
        """False: the program has closed the terminal."""
        if not select.select([self.descriptor], [], [], 0.05)[0]:
            return True
        with contextlib.suppress(OSError):
            data = os.read(self.descriptor, 65536)
            self.screen += data.decode(errors="replace")
            return bool(data)
        return False
