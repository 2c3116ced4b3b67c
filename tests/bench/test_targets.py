"""The table of measured figures beside the targets."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import targets  # noqa: E402: its folder must be known first


def store(folder, row, name, phase, a, b=None, ratio=None):
    figure = {"name": name, "a": a} | ({} if b is None else {"b": b}) | ({} if ratio is None else {"ratio": ratio})
    (folder / f"serve-{row}-Example-abc.json").write_text(json.dumps({"phases": [{"phase": phase, "figures": [figure]}]}))


def table(folder, **select):
    models = targets.newest(folder, select.get("cpu", ""), select.get("commit", ""))
    return {line[0]: line[1:] for line in targets.lines(models[select.get("model", "")])}


def test_ratios_and_own_limits(tmp_path):
    store(tmp_path, "c1", "output_tokens_per_s", "fixed", 150, 100, 1.5)
    store(tmp_path, "c4", "output_tokens_per_s", "fixed", 150, 100, 1.5)
    store(tmp_path, "start", "start_to_first_token_ms", "start", 260, 900, 3.5)
    found = table(tmp_path)
    assert found["output tokens/s, 1 stream"] == ["150", "100", "1.50x", ">= 1.3x", "met"]
    assert found["output tokens/s, 4 streams"][-1] == "missed", "1.5 is less than 2"
    assert found["process start to first token, ms"][-1] == "missed", "an own limit, whatever the peer does"
    assert found["output tokens/s, 16 streams"][0] == "not measured"


def test_without_a_peer_nothing_is_met(tmp_path):
    store(tmp_path, "c1", "output_tokens_per_s", "fixed", 150)
    assert table(tmp_path)["output tokens/s, 1 stream"] == ["150", "-", "", ">= 1.3x", ""]


def test_what_a_busy_machine_leaves(tmp_path):
    store(tmp_path, "c1", "output_tokens_per_s", "fixed", 100, 50, 2)
    store(tmp_path, "busy", "output_tokens_per_s", "fixed", 45, 5, 9)
    found = table(tmp_path)["kept of 1 stream with a busy process per core"]
    assert found == ["45%", "10%", "", ">= 40%", "met"]


def test_machines_and_commits_are_kept_apart(tmp_path):
    store(tmp_path, "c1", "output_tokens_per_s", "fixed", 150)
    assert targets.newest(tmp_path, "Example", "abc") and not targets.newest(tmp_path, "Other", "")
    assert not targets.newest(tmp_path, "", "abd")


def test_models_are_kept_apart(tmp_path):
    store(tmp_path, "c1", "output_tokens_per_s", "fixed", 150)
    store(tmp_path, "1b_q4_k_m.c1", "output_tokens_per_s", "fixed", 20)
    assert table(tmp_path)["output tokens/s, 1 stream"][0] == "150"
    assert table(tmp_path, model="1b_q4_k_m")["output tokens/s, 1 stream"][0] == "20.00"


def test_a_machine_with_amx_has_targets_of_its_own():
    document = {"host": {"features": ["amx_int8"]},
                "phases": [{"phase": "fixed", "figures": [{"name": "ttft_ms_p50", "a": 100, "b": 250, "ratio": 2.5}]}]}
    found = {line[0]: line[1:] for line in targets.lines({"prefill": document})}
    assert found["prefill of 512 tokens, ms"][-2:] == [">= 3x", "missed"]
