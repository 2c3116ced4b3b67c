"""E5: on the CPU the same request gives the same tokens, whatever runs beside it, however its prompt was cut, on any worker."""
import concurrent.futures

import pytest

from cluster import Cluster, default_model
from conftest import make_client

PROMPTS = ["Once upon a time", "def main():", "The three laws of thermodynamics are", "日本の首都は",
           "A list of fruits: apple,", "1 2 3 4 5", "Dear Sir or Madam,", "In 1856 Henry Bessemer"]
OPTIONS = dict(max_tokens=24, extra_body={"ignore_eos": True, "return_token_ids": True})


def ids(client, name, prompt, **options):
    return client.completions.create(model=name, prompt=prompt, **{**OPTIONS, **options}).choices[0].token_ids


@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 1.0, "seed": 11}], ids=["greedy", "seeded"])
def test_alone_and_together_first_and_second_time(client, name, options):
    alone = [ids(client, name, prompt, **options) for prompt in PROMPTS]
    with concurrent.futures.ThreadPoolExecutor(len(PROMPTS)) as pool:
        together = list(pool.map(lambda prompt: ids(client, name, prompt, **options), PROMPTS))
    assert together == alone
    assert [ids(client, name, prompt, **options) for prompt in PROMPTS] == alone


def test_whole_and_chunked_prefill(model):
    """A prompt that takes many steps against one that takes a single step."""
    if default_model() is None:
        pytest.skip("the small model's context is too short to cut")
    prompt = "The quick brown fox jumps over the lazy dog. " * 40
    answers = []
    for step_tokens in (2048, 64):
        with Cluster(model, workers=1, flags=[f"--worker.step-tokens={step_tokens}"]) as cluster, make_client(cluster) as client:
            name = cluster.get("/v1/models")["data"][0]["id"]
            answers.append(ids(client, name, prompt, temperature=0))
    assert answers[0] == answers[1]
