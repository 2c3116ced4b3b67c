#!/usr/bin/env python3
"""Sets what `bench/run.sh serve` stored beside the targets, a table for each model.

    targets.py bench/results [--cpu NAME] [--commit HASH]

Of each row the newest file of the given machine and commit (default: of all) is taken. A row without a file says so.
"""
import argparse
import json
import pathlib
import sys
from dataclasses import dataclass


@dataclass
class Target:
    what: str
    row: str
    phase: str
    figure: str
    ratio: float = None  # least, against the peer
    amx: float = None  # the same where the machine has AMX, if it is another
    most: float = None  # of our own figure


def targets(large):
    """Of the default model, or of one of a billion parameters."""
    return [
        Target("prefill of 512 tokens, ms", "prefill", "fixed", "ttft_ms_p50", 1.3, 2.5 if large else 3),
        Target("time per token, 1 stream, ms", "c1", "fixed", "tpot_ms_p50", 1.05 if large else 1.1, 1.5 if large else 2),
        Target("output tokens/s, 1 stream", "c1", "fixed", "output_tokens_per_s", 1.3),
        Target("output tokens/s, 4 streams", "c4", "fixed", "output_tokens_per_s", 2.5 if large else 2),
        Target("output tokens/s, 16 streams", "c16", "fixed", "output_tokens_per_s", 4 if large else 3),
        Target("output tokens/s, 32 streams", "c32", "fixed", "output_tokens_per_s", 4 if large else 3),
        Target("TTFT p50, 16 with one cold prefix, ms", "prefix", "cold", "ttft_ms_p50", 10),
        Target("TTFT p50, 16 with one warm prefix, ms", "prefix", "warm", "ttft_ms_p50", 4),
        Target("process start to first token, ms", "start", "start", "start_to_first_token_ms", most=600 if large else 250),
        Target("memory after 16 streams, MiB", "c16", "fixed", "memory_mib"),
        Target("of that not mapped from files, MiB", "c16", "fixed", "anonymous_memory_mib"),
    ]


STREAM_STEP_MS = 50  # the worker's stream_step_ms: what a chunk may make a step with streams last
KEPT_UNDER_LOAD = 0.40  # share of an undisturbed stream's tokens/s with one busy process per core


def newest(folder, cpu, commit):
    """{model: {row: document}} of the files serve-[MODEL.]ROW-CPU-COMMIT.json; of several of a row the newest. The default model
    has no name."""
    models = {}
    for path in sorted(folder.glob("serve-*.json"), key=lambda path: path.stat().st_mtime):
        if cpu in path.name and path.stem.endswith(commit):
            model, _, row = path.stem.split("-")[1].rpartition(".")
            models.setdefault(model, {})[row] = json.loads(path.read_text())
    return models


def figure_of(rows, row, phase, name):
    """The compared figure, or None."""
    for one in rows.get(row, {}).get("phases", []):
        if one["phase"] == phase:
            return next((figure for figure in one["figures"] if figure["name"] == name), None)
    return None


def number(value):
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def lines(rows, large=False):
    """[what, ours, peer's, ratio, target, verdict], one list a target."""
    amx = any("amx_int8" in document.get("host", {}).get("features", []) for document in rows.values())
    for each in targets(large):
        figure = figure_of(rows, each.row, each.phase, each.figure)
        if figure is None:
            yield [each.what, "not measured", "", "", "", ""]
            continue
        ratio = figure.get("ratio")
        least = each.amx if amx and each.amx else each.ratio
        met = figure["a"] <= each.most if each.most else ratio >= least if least and ratio else None
        target = f"<= {each.most}" if each.most else f">= {least}x" if least else ""
        yield [each.what, number(figure["a"]), number(figure.get("b")), f"{ratio:.2f}x" if ratio else "", target,
               "" if met is None else "met" if met else "missed"]
    quiet, beside = (figure_of(rows, "long", phase, "itl_ms_p99") for phase in ("alone", "beside"))
    if quiet and beside:
        most = max(2 * quiet["a"], STREAM_STEP_MS)
        yield ["inter-token p99 beside a 7,900-token prompt, ms", number(beside["a"]), number(beside.get("b")),
               f"{beside['ratio']:.2f}x" if beside.get("ratio") else "", f"<= {most:.0f}",
               "met" if beside["a"] <= most else "missed"]
    alone, shared = (figure_of(rows, row, "fixed", "output_tokens_per_s") for row in ("c1", "busy"))
    if alone and shared:
        kept = [f"{shared[side] / alone[side]:.0%}" if alone.get(side) and shared.get(side) else "-" for side in "ab"]
        yield ["kept of 1 stream with a busy process per core", *kept, "", f">= {KEPT_UNDER_LOAD:.0%}",
               "met" if shared["a"] >= KEPT_UNDER_LOAD * alone["a"] else "missed"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--cpu", default="", help="part of the file names")
    parser.add_argument("--commit", default="", help="end of the file names")
    options = parser.parse_args()
    models = newest(options.folder, options.cpu, options.commit)
    if not models:
        print(f"targets: no results of '{options.cpu}' '{options.commit}' in {options.folder}; run bench/run.sh first",
              file=sys.stderr)
        return 1
    for model, rows in sorted(models.items()):
        print_table(rows, model.startswith("1b"))
    return 0


def print_table(rows, large):
    some = next(iter(rows.values()))
    servers = [server["software"] for server in some["servers"]]
    print(f"{some['servers'][0]['model']} on {some['host']['cpu']}, {some['host']['processors']} processors: "
          f"{' '.join(some['host']['features'])}")
    head = ["", servers[0], servers[1] if len(servers) > 1 else "", "ratio", "target", ""]
    table = [head, *lines(rows, large)]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        print("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))]).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
