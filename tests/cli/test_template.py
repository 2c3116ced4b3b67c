"""`bessemer template`: what it renders, and how it names what is wrong."""
import json
import os
import re
import subprocess
import time

import pytest

BINARY = os.environ["BESSEMER_BINARY"]
CHAT = """{%- for message in messages -%}
<|{{ message.role }}|>{{ message.content }}
{% endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"""
VARIABLES = {"messages": [{"role": "user", "content": "Grüße & 世界"}, {"role": "assistant", "content": "Hi"}],
             "add_generation_prompt": True}


@pytest.fixture
def render(tmp_path):
    """render(template, variables): files of that content through the command; None: no such file, "-" stays as it is."""
    def run(template, variables="{}", stdin=None):
        paths = []
        for name, content in [("t.jinja", template), ("v.json", variables)]:
            paths.append("-" if content == "-" else str(tmp_path / name))
            if content not in ("-", None):
                (tmp_path / name).write_text(content)
        return subprocess.run([BINARY, "template", "--template", paths[0], "--input", paths[1]], input=stdin, capture_output=True,
                              text=True, timeout=60)
    return run


def test_renders_exactly(render):
    result = render(CHAT, json.dumps(VARIABLES))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "<|user|>Grüße & 世界\n<|assistant|>Hi\n<|assistant|>"


def test_variables_from_standard_input(render):
    result = render(CHAT, "-", stdin=json.dumps(VARIABLES))
    assert result.returncode == 0 and result.stdout.startswith("<|user|>Grüße")


def test_knows_the_time(render):
    before = time.time()
    text = render("{{ strftime_now('%Y-%m-%d %H:%M') }}").stdout
    assert text in [time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) for moment in (before, time.time())]


@pytest.mark.parametrize("template, variables, hint", [
    (None, "{}", r"cannot read \S+t\.jinja: No such file or directory"),
    ("x", None, r"cannot read \S+v\.json: No such file or directory"),
    ("x", "{", r"v\.json: .*"),
    ("x", "[1]", r"v\.json: must be a JSON object of variables"),
    ("one\ntwo {% if %}\n", "{}", r"t\.jinja: .*line 2\b"),
    ("one\n\n{{ nothing.at.all }}\n", "{}", r"t\.jinja: .*line 3\b"),
    ("\n{{ raise_exception('roles must alternate') }}", "{}", r"t\.jinja: .*roles must alternate"),
])
def test_errors_name_file_and_line(render, template, variables, hint):
    result = render(template, variables)
    assert result.returncode == 1 and result.stdout == ""
    assert re.search("^bessemer template: .*" + hint, result.stderr), result.stderr


def test_a_folder_is_no_template(tmp_path):
    result = subprocess.run([BINARY, "template", "--template", str(tmp_path), "--input", "-"], input="{}", capture_output=True,
                            text=True, timeout=60)
    assert result.returncode == 1
    assert f"cannot read {tmp_path}: Is a directory" in result.stderr
