#!/usr/bin/env python3
"""Draws what `bench/run.sh` stored: servers against each other, kernels against the roofline. Needs bench/requirements.txt.

    plot.py bench/results [--cpu NAME] [--commit HASH] [--format svg|png]

Of each row the newest file of the given machine and commit (default: of all) is taken. Writes serve-CPU-COMMIT.svg and
micro-CPU-COMMIT.svg beside the files, where there are figures for them.
"""
import argparse
import json
import pathlib
import sys

import matplotlib

from targets import figure_of, newest

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402: the backend must be chosen first

OURS, PEER, GRID, INK = "#b3541e", "#7d8b99", "#dddddd", "#333333"
# (row, phase, figure, label): what is shown of the rows, latencies apart from rates.
RATES = [("c1", "fixed", "output_tokens_per_s", "1 stream"), ("c4", "fixed", "output_tokens_per_s", "4 streams"),
         ("c16", "fixed", "output_tokens_per_s", "16 streams"), ("c32", "fixed", "output_tokens_per_s", "32 streams")]
TIMES = [("prefill", "fixed", "ttft_ms_p50", "prefill of 512 tokens"), ("c1", "fixed", "tpot_ms_p50", "a token, 1 stream"),
         ("c16", "fixed", "ttft_ms_p50", "TTFT, 16 streams"), ("c16", "fixed", "itl_ms_p99", "gap p99, 16 streams"),
         ("prefix", "cold", "ttft_ms_p50", "TTFT, cold prefix"), ("prefix", "warm", "ttft_ms_p50", "TTFT, warm prefix"),
         ("start", "start", "start_to_first_token_ms", "start to first token")]


def human(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def draw_bars(axis, rows, wanted, title, names, logarithmic):
    found = [(label, figure) for row, phase, name, label in wanted if (figure := figure_of(rows, row, phase, name))]
    places = range(len(found))
    for side, colour, shift in (("a", OURS, -0.2), ("b", PEER, 0.2)):
        values = [figure.get(side) for _, figure in found]
        if any(value is None for value in values):
            continue
        axis.barh([place + shift for place in places], values, 0.38, color=colour, label=names[side])
        for place, value in zip(places, values):
            axis.text(value, place + shift, " " + human(value), va="center", fontsize=8, color=INK)
    labels = [f"{label}\n{figure['ratio']:.2f}x" if "ratio" in figure else label for label, figure in found]
    axis.set_yticks(list(places), labels, fontsize=9)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=10, loc="left")
    if logarithmic:
        axis.set_xscale("log")
    axis.margins(x=0.18)
    axis.xaxis.grid(True, color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def draw_serve(rows, path):
    some = next(iter(rows.values()))
    names = dict(zip("ab", (f"{server['software']}" for server in some["servers"])))
    figure, (rates, times) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    draw_bars(rates, rows, RATES, "output tokens per second, 200 in / 128 out (more is better)", names, False)
    draw_bars(times, rows, TIMES, "milliseconds (less is better, logarithmic)", names, True)
    handles, labels = (rates if rates.patches else times).get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    host = some["host"]
    model, ratios = some["servers"][0]["model"], f" (x: how many times better {names['a']} is)" if "b" in names else ""
    machine = f"{host['cpu']}, {host['processors']} processors"
    figure.suptitle(f"{model} on {machine}, commit {some['commit']}{ratios}", fontsize=11)
    figure.savefig(path)
    plt.close(figure)


def draw_micro(document, path):
    cases = document["cases"]
    figure, axis = plt.subplots(figsize=(9, 0.26 * len(cases) + 1.2), layout="constrained")
    colours = [OURS if case["bound"] == "memory" else PEER for case in cases]
    axis.barh(range(len(cases)), [100 * case["roofline"] for case in cases], 0.7, color=colours)
    axis.set_yticks(range(len(cases)), [case["name"] for case in cases], fontsize=8)
    axis.invert_yaxis()
    axis.margins(y=0.01)
    axis.axvline(100, color=INK, linewidth=0.8)
    axis.set_xlabel("% of the ceiling measured in the same run")
    cpu = document["host"]["cpu"] if "host" in document else document["cpu"]
    axis.set_title(f"kernels on {cpu}, {document['threads']} threads", fontsize=10, loc="left")
    bounds = (("memory", OURS), ("arithmetic", PEER))
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour, label=f"bound by {bound}") for bound, colour in bounds]
    axis.legend(handles=handles, fontsize=8, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--cpu", default="", help="part of the file names")
    parser.add_argument("--commit", default="", help="end of the file names")
    parser.add_argument("--format", default="svg", choices=("svg", "png"))
    options = parser.parse_args()
    name = "-".join(part for part in (options.cpu, options.commit) if part) or "newest"
    drawn = []
    for model, rows in newest(options.folder, options.cpu, options.commit).items():
        drawn.append(options.folder / f"serve-{model + '-' if model else ''}{name}.{options.format}")
        draw_serve(rows, drawn[-1])
    micro = [path for path in options.folder.glob("micro-*.json")
             if options.cpu in path.name and path.stem.endswith(options.commit)]
    if micro:
        drawn.append(options.folder / f"micro-{name}.{options.format}")
        draw_micro(json.loads(max(micro, key=lambda path: path.stat().st_mtime).read_text()), drawn[-1])
    for path in drawn:
        print(f"drew {path}")
    if not drawn:
        print(f"plot: no results of '{options.cpu}' '{options.commit}' in {options.folder}; run bench/run.sh first",
              file=sys.stderr)
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())
