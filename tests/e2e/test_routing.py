"""Placement by prefix: conversations stay where their keys and values are, and what that saves."""
import concurrent.futures
import json
import re
import time

import pytest

from cluster import Cluster, wait_until

SESSIONS, TURNS = 6, 4
HEADER = "x-bessemer-decision"


def metric(cluster, name):
    """The sum over all labels."""
    text = cluster.request("GET", "/metrics")[2].decode()
    return sum(float(value) for value in re.findall(rf"^bessemer_router_{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))


def routed_cluster(model, policy):
    return Cluster(model, workers=2, flags=["--router.policy", policy, "--router.decision-headers"])


def fields(header):
    return dict(field.split("=", 1) for field in header.split(" "))


def first_turn(session, sentences):
    """Different from the first word on, so that sessions share nothing."""
    return f"{session} is the number of this story. " + " ".join(f"Then {session} saw {i + session} trees." for i in range(sentences))


def sentences_for(cluster):
    """So long that no queue of this few costs as much as computing it anew, where the context has room for it."""
    return 120 if cluster.get("/v1/models")["data"][0]["max_model_len"] >= 4096 else 12


def talk(cluster, sessions=SESSIONS, turns=TURNS):
    """Every session's turns, in rounds of all at once: each prompt is the one before, its answer, and a sentence more. Returns the
    header fields of every turn, by session, and what the workers had of the prompts."""
    name = cluster.get("/v1/models")["data"][0]["id"]
    sentences = sentences_for(cluster)
    prompts = [first_turn(session, sentences) for session in range(sessions)]
    decisions, cached, asked = [[] for _ in prompts], 0, 0

    def ask(prompt):
        body = {"model": name, "prompt": prompt, "temperature": 0, "max_tokens": 8}
        status, headers, answer = cluster.request("POST", "/v1/completions", body, {HEADER: "1"})
        assert status == 200, answer
        return fields(headers[HEADER]), json.loads(answer)

    for turn in range(turns):
        with concurrent.futures.ThreadPoolExecutor(sessions) as pool:
            answers = list(pool.map(ask, prompts))
        for session, (decision, answer) in enumerate(answers):
            decisions[session].append(decision)
            usage = answer["usage"]
            asked += usage["prompt_tokens"]
            cached += (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
            prompts[session] += answer["choices"][0]["text"] + f" In part {turn + 2} they went on."
        settle(cluster)
    return decisions, cached, asked


def settle(cluster):
    """Until the router knows what the workers' caches have: their updates come ten times a second."""
    def quiet():
        before = metric(cluster, "kv_updates_total")
        time.sleep(0.25)
        return metric(cluster, "kv_updates_total") == before
    wait_until(quiet, 10, "the index has caught up")


def test_a_conversation_stays_where_its_prefix_is(model):
    with routed_cluster(model, "cache_aware") as cluster:
        decisions, cached, asked = talk(cluster)
        for turns in decisions:
            assert len({turn["worker"] for turn in turns}) == 1, decisions
            assert all(int(turn["matched_tokens"]) > 0 for turn in turns[1:]), decisions
        assert any(turn["reason"] == "prefix" for turns in decisions for turn in turns), decisions
        assert len({turns[0]["worker"] for turns in decisions}) == 2, "what came at once was spread"
        assert cached > asked / 2
        assert metric(cluster, "recomputed_tokens_total") == 0
        assert metric(cluster, "predicted_cached_tokens_total") == metric(cluster, "found_cached_tokens_total") == cached
        assert metric(cluster, "kv_workers_exact") == 2
        assert metric(cluster, "kv_resyncs_total") == 0
        assert metric(cluster, "kv_index_pairs") > 0


def test_taking_turns_computes_more(model):
    with routed_cluster(model, "cache_aware") as cluster:
        _, cached, asked = talk(cluster)
    with routed_cluster(model, "round_robin") as cluster:
        # An odd number of sessions, so that each changes its worker from turn to turn.
        _, cached_in_turns, asked_in_turns = talk(cluster, sessions=SESSIONS + 1)
        assert metric(cluster, "recomputed_tokens_total") > 0, "another worker had them"
    assert (asked - cached) / asked < 0.8 * (asked_in_turns - cached_in_turns) / asked_in_turns


def test_a_restarted_worker_has_nothing_and_is_followed_again(model):
    with routed_cluster(model, "cache_aware") as cluster:
        talk(cluster, turns=2)
        pairs = metric(cluster, "kv_index_pairs")
        cluster.kill_child(cluster.children("worker")[0])
        wait_until(lambda: metric(cluster, "kv_index_pairs") < pairs, 5, "its blocks are forgotten")
        cluster.wait_ready()
        wait_until(lambda: metric(cluster, "kv_workers_exact") == 2, 5, "both are known again")
        decisions, _, _ = talk(cluster)
        for turns in decisions:
            # A worker that a neighbour slows down may have refused for its time.
            assert all(int(turn["matched_tokens"]) > 0 or turn["bounces"] != "0" for turn in turns[1:]), decisions
        assert metric(cluster, "missed_cached_tokens_total") == 0


def test_the_header_is_for_those_who_ask_where_it_is_configured(model, cluster, name):
    body = {"model": name, "prompt": "Once upon a time", "max_tokens": 2}
    _, headers, _ = cluster.request("POST", "/v1/completions", body, {HEADER: "1"})
    assert HEADER not in headers, "off by default"
    with routed_cluster(model, "least_loaded") as other:
        _, headers, _ = other.request("POST", "/v1/completions", body)
        assert HEADER not in headers
        for stream in (False, True):
            _, headers, _ = other.request("POST", "/v1/completions", {**body, "stream": stream}, {HEADER: "1"})
            said = fields(headers[HEADER])
            assert said["worker"] in {worker["address"] for worker in other.state()["workers"]}
            assert said["reason"] in ("load", "tie")


@pytest.mark.parametrize("policy", ["power_of_two", "consistent_hash"])
def test_other_policies_serve(model, policy):
    with routed_cluster(model, policy) as cluster:
        talk(cluster, sessions=2, turns=1)
        assert metric(cluster, "decisions_total") == 2
