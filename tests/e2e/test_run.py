"""`bessemer run` at a terminal: the keys and commands that /help names."""
import json
import os
import signal
import subprocess

import pytest

from cluster import BINARY, default_model, wait_until
from terminal import CTRL_C, CTRL_D, Terminal

PROMPT = "> "
UP, LEFT, HOME = "\x1b[A", "\x1b[D", "\x1b[1~"


def ask_for_much(terminal, cluster):
    cluster.wait_idle()  # or the answer before, just stopped, would be taken for this one, and keys typed too early
    enter(terminal, "Write a very long story about a dragon.")
    # Not "running": while nobody reads this terminal, the answer pauses.
    wait_until(lambda: sum(load["from_this_router"] for load in cluster.loads()) == 1, 30, "the answer")


@pytest.fixture
def terminal(cluster, tmp_path):
    """A chat with the shared cluster, at its first prompt."""
    if default_model() is None:
        pytest.skip("no chat model: run `bessemer pull smollm2`")
    command = [BINARY, "run", "--url", cluster.url, "--temperature", "0"]  # so that long answers are long each time
    with Terminal(command, {"BESSEMER_CACHE": str(tmp_path)}) as terminal:
        terminal.expect("/help lists the commands, ctrl-D leaves.")
        at_prompt(terminal)
        yield terminal


def history(tmp_path):
    """The lines of the history file, as the editor writes them: blanks and newlines in octal."""
    path = tmp_path / "history"
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    return [line.replace("\\040", " ").replace("\\012", "\n") for line in lines]


def at_prompt(terminal, before=""):
    """What came before the next prompt, when it takes keys."""
    between = terminal.expect(before + PROMPT)
    wait_until(terminal.edits_a_line, 10, "editing")
    return between


def enter(terminal, line):
    terminal.type(line + "\r")


def ask(terminal, question, tokens=8):
    """The text between the question and the next prompt."""
    enter(terminal, f"/set max_tokens {tokens}")
    at_prompt(terminal)
    enter(terminal, question)
    terminal.expect(question)
    return at_prompt(terminal, "\n")


def saved(terminal, path):
    enter(terminal, f"/save {path}")
    terminal.expect(f"saved {path}")
    at_prompt(terminal)
    return json.loads(path.read_text())


def test_a_conversation_and_its_end(terminal, tmp_path):
    answer = ask(terminal, "Say hello.")
    messages = saved(terminal, tmp_path / "chat.json")
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert messages[0]["content"] == "Say hello."
    assert messages[1]["content"].split()[0] in answer
    enter(terminal, "/help")
    terminal.expect("ctrl-C             stop the answer (at the prompt: forget the line)")
    at_prompt(terminal)
    terminal.type(CTRL_D)
    assert terminal.exit_code() == 0
    assert history(tmp_path) == ["/set max_tokens 8", "Say hello.", f"/save {tmp_path}/chat.json", "/help"]


def test_an_answer_is_seen_while_it_comes(terminal, cluster):
    ask_for_much(terminal, cluster)
    for _ in range(20):
        terminal.expect(" ")
    assert sum(load["running"] for load in cluster.loads()) == 1, "it was all written at the end"
    terminal.type(CTRL_C)
    terminal.expect("(stopped)")


def test_ctrl_c_stops_the_answer_only(terminal, cluster, tmp_path):
    ask_for_much(terminal, cluster)
    terminal.type(CTRL_C)
    terminal.expect("(stopped)")
    at_prompt(terminal)
    cluster.wait_idle(2)
    assert ask(terminal, "Say hello.").strip()
    messages = saved(terminal, tmp_path / "chat.json")
    assert [message["role"] for message in messages] == ["user", "assistant"] * 2, "what had come stays in the conversation"
    enter(terminal, "/exit")
    assert terminal.exit_code() == 0


def test_impatient_ctrl_c(terminal, cluster):
    """The second one comes between the answer and the prompt, or at the prompt: neither ends the program or the next answer."""
    for _ in range(3):
        ask_for_much(terminal, cluster)
        for _ in range(5):
            terminal.type(CTRL_C)
        terminal.expect("(stopped)")
        terminal.settle()  # those that came at the prompt have each made a new one, which forgets what was typed before it
        at_prompt(terminal)
    assert "(stopped)" not in ask(terminal, "Say hello.", tokens=4)
    terminal.type(CTRL_D)
    assert terminal.exit_code() == 0


@pytest.mark.parametrize("keys", ["", HOME, LEFT * 3], ids=["at the end", "at the beginning", "in the middle"])
def test_ctrl_c_at_the_prompt_forgets_the_line(terminal, tmp_path, keys):
    terminal.type("nobody should hear of this" + keys)
    terminal.expect("of this")
    terminal.type(CTRL_C)
    assert "nobody" not in terminal.expect("^C\r\n"), "the line was written over"
    at_prompt(terminal)
    terminal.type(CTRL_C)
    at_prompt(terminal, "^C\r\n")
    enter(terminal, "/history")
    terminal.expect("/history\r\n")
    assert at_prompt(terminal) == ""
    terminal.type(CTRL_D)
    assert terminal.exit_code() == 0
    assert history(tmp_path) == ["/history"]


def test_ctrl_c_forgets_the_lines_before_it_too(terminal, tmp_path):
    enter(terminal, "one \\")
    terminal.expect("| ")
    wait_until(terminal.edits_a_line, 10, "editing")
    terminal.type("two" + CTRL_C)
    at_prompt(terminal, "^C\r\n")
    enter(terminal, "/set max_tokens 2")
    at_prompt(terminal)
    enter(terminal, "three \\")
    terminal.expect("| ")
    wait_until(terminal.edits_a_line, 10, "editing")
    enter(terminal, "four")
    at_prompt(terminal, "\n")
    assert saved(terminal, tmp_path / "chat.json")[0]["content"] == "three \nfour"


def test_the_history_is_there_next_time(terminal, cluster, tmp_path):
    enter(terminal, "/stats")
    terminal.expect("speed figures are on")
    at_prompt(terminal)
    os.kill(terminal.pid, signal.SIGTERM)  # a window that is closed, in effect
    assert terminal.exit_code() == -signal.SIGTERM
    with Terminal([BINARY, "run", "--url", cluster.url], {"BESSEMER_CACHE": str(tmp_path)}) as again:
        at_prompt(again)
        again.type(UP + "\r")
        again.expect("speed figures are on")


def test_more_than_ascii(terminal, tmp_path):
    ask(terminal, "Grüße, 世界!", tokens=2)
    assert saved(terminal, tmp_path / "chat.json")[0]["content"] == "Grüße, 世界!"


def test_commands(terminal):
    for line, reply in [("/nonsense", "unknown command /nonsense; /help lists them"),
                        ("/set temperature hot", "usage: /set temperature"), ("/set colour 1", "'colour' is no setting"),
                        ("/retry", "there is no answer to ask for again"), ("/save /nonexistent/x", "cannot write '/nonexistent/x'"),
                        ("/stats", "speed figures are on")]:
        enter(terminal, line)
        terminal.expect(reply)
        at_prompt(terminal)
    answer = ask(terminal, "Say hello.")
    assert "tokens/s)" in answer
    enter(terminal, "/retry")
    terminal.expect("tokens/s)")
    at_prompt(terminal)
    enter(terminal, "/history")
    terminal.expect("[user] Say hello.")
    terminal.expect("[assistant] ")
    at_prompt(terminal)
    enter(terminal, "/clear")
    at_prompt(terminal)
    enter(terminal, "/history")
    terminal.expect("/history\r\n")
    assert at_prompt(terminal) == ""


def test_a_cluster_of_its_own(model, tmp_path):
    with Terminal([BINARY, "run", "--model", str(model)], {"BESSEMER_CACHE": str(tmp_path)}) as terminal:
        at_prompt(terminal)
        children = open(f"/proc/{terminal.pid}/task/{terminal.pid}/children").read().split()
        assert len(children) == 2
        terminal.type("forget this" + CTRL_C)
        at_prompt(terminal, "^C\r\n")
        terminal.type(CTRL_D)
        assert terminal.exit_code() == 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in children)


def run(*args, **options):
    return subprocess.run([BINARY, "run", *args], capture_output=True, text=True, timeout=60, **options)


def test_the_speed_of_one_answer(cluster):
    if default_model() is None:
        pytest.skip("no chat model: run `bessemer pull smollm2`")
    result = run("--url", cluster.url, "--stats", "--max-tokens", "4", "--temperature", "0", "Write a long story.")
    assert result.returncode == 0 and "(4 tokens, first after" in result.stderr and "tokens/s" not in result.stdout


def test_one_question(cluster):
    if default_model() is None:
        pytest.skip("no chat model: run `bessemer pull smollm2`")
    flags = ["--url", cluster.url, "--max-tokens", "8", "--temperature", "0"]
    from_words = run(*flags, "Say", "hello.", stdin=subprocess.DEVNULL)
    from_input = run(*flags, input="Say hello.")
    assert from_words.returncode == from_input.returncode == 0
    assert from_words.stdout == from_input.stdout and from_words.stdout.strip()


@pytest.mark.parametrize("args, hint", [
    (["--url", "http://127.0.0.1:9"], "cannot connect to http://127.0.0.1:9"),
    (["--url", "https://127.0.0.1:9"], "https is not spoken here"),
    (["--model", "/nonexistent.gguf"], "/nonexistent.gguf"),
])
def test_what_cannot_be(args, hint):
    result = run(*args, "hello")
    assert result.returncode == 1 and hint in result.stderr
    assert "hello" not in result.stdout
