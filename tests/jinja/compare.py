"""Renders the same templates with Python's Jinja2 and with ours: equal bytes, or both refuse.

compare.py TOOL              the cases of cases/ and families/
compare.py TOOL --random N   N random templates; --seed S begins elsewhere
compare.py TOOL --time       microseconds of one rendering of a chat of 20 messages, ours and Jinja2's
"""
import argparse
import copy
import json
import pathlib
import re
import subprocess
import sys
import timeit

import random_templates
import reference

HERE = pathlib.Path(__file__).parent


def shared_variables():
    return json.loads((HERE / "cases" / "variables.json").read_text())


def line_cases():
    """cases/*.txt: one template a line; a comment begins with "## ". Each {{ expression }} of a line is a case of its
    own, so that one that is refused does not hide the others."""
    variables = shared_variables()
    for path in sorted((HERE / "cases").glob("*.txt")):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if not line or line.startswith("## "):
                continue
            for part in re.split(r"(?<=\}\})(?=[ |]*\{\{)", line):
                yield f"{path.name}:{number}", part, variables


def block_cases():
    """cases/*.jinja: templates of several lines, separated by lines of "=====" and more."""
    variables = shared_variables()
    for path in sorted((HERE / "cases").glob("*.jinja")):
        for number, block in enumerate(path.read_text().split("\n=====\n"), 1):
            yield f"{path.name}#{number}", block, variables


def newline_cases():
    """White space that an editor would not keep."""
    variables = shared_variables()
    pieces = ["a\r\nb", "a\r\n{% if true %}\r\n b\r\n{% endif %}\r\nc\r\n", "\r", "\n", "\n\n", "x\n", "x\n\n", "  ", "",
              "{{ 'a\r\nb' }}", "{% raw %}\r\n{{ x }}\r\n{% endraw %}\r\n", "\ufeffa", "a\u2028{%- if true %}b{% endif %}",
              "a \u00a0{%- if true -%}\u3000 b{% endif %}", "{{ 'x'\u00a0}}", "\t{% if true %}\n\tx\n\t{% endif %}\t\n y",
              "{{ 1 }}\n", "{{ 1 }}\r\n", "{% if true %}\n\n{% endif %}\n", "{# c #}\n", "{#- c -#}\n x", "a {#- c #} b",
              "a\x0b{%- if true %}b{% endif %}", "\x1c{% if true %}b{% endif %}", "{{ x }}\n\n\n{{- 1 }}"]
    for number, piece in enumerate(pieces, 1):
        yield f"newlines#{number}", piece, variables


def family_cases():
    conversations = json.loads((HERE / "families" / "conversations.json").read_text())
    for path in sorted((HERE / "families").glob("*.jinja")):
        for name, variables in conversations.items():
            yield f"{path.stem}/{name}", path.read_text(), variables


def render_ours(tool, cases):
    jobs = "".join(json.dumps({"template": t, "variables": v}) + "\n" for _, t, v in cases)
    run = subprocess.run([tool], input=jobs.encode(), capture_output=True, check=False)
    lines = run.stdout.decode().split("\n")[:-1]
    if run.returncode != 0 or len(lines) != len(cases):
        sys.exit(f"{tool} stopped with {run.returncode} behind {len(lines)} of {len(cases)} cases: "
                 f"{cases[min(len(lines), len(cases) - 1)]}\n{run.stderr.decode()[-2000:]}")
    return [json.loads(line) for line in lines]


def compare(tool, cases):
    """The number of cases in which the two differ; each is printed."""
    differences = refused = 0
    for (name, template, variables), ours in zip(cases, render_ours(tool, cases)):
        output, error = reference.render(template, copy.deepcopy(variables))  # indent changes lists
        refused += error is not None
        if ours.get("output") == output and ("error" in ours) == (error is not None):
            continue
        differences += 1
        print(f"--- {name}\n{template}\n  Jinja2: {output!r} {error or ''}\n  ours:   {ours}")
    print(f"{len(cases)} cases, {refused} of them refused by Jinja2: {differences} differ")
    return differences


def time_both(tool):
    template = (HERE / "families" / "chatml.jinja").read_text()
    messages = [{"role": "user" if i % 2 == 0 else "assistant", "content": f"Message {i}: " + "lorem ipsum " * 20}
                for i in range(20)]
    variables = {"messages": messages, "add_generation_prompt": True}
    job = json.dumps({"template": template, "variables": variables}) + "\n"
    run = subprocess.run([tool, "--time", "20000"], input=job.encode(), capture_output=True, check=True)
    ours, size = run.stdout.split()
    compiled = reference.ENVIRONMENT.from_string(template)
    assert len(compiled.render(**variables).encode()) == int(size)
    theirs = min(timeit.repeat(lambda: compiled.render(**variables), number=2000, repeat=5)) / 2000 * 1e6
    print(f"20 messages, {int(size)} bytes: ours {float(ours):.2f} us, Jinja2 {theirs:.2f} us")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--time", action="store_true")
    arguments = parser.parse_args()
    if arguments.time:
        return time_both(arguments.tool)
    if arguments.random:
        cases = list(random_templates.generate(arguments.random, arguments.seed))
    else:
        cases = [*line_cases(), *block_cases(), *newline_cases(), *family_cases()]
    return compare(arguments.tool, cases) != 0


if __name__ == "__main__":
    sys.exit(main())
