"""/v1/completions through the official client."""
import pytest
from openai.types import Completion


@pytest.fixture
def complete(client, name):
    def ask(prompt, **options):
        return client.completions.create(model=name, prompt=prompt, **options)

    return ask


def test_whole(complete, name):
    answer = complete("Once upon a time", temperature=0)
    Completion.model_validate(answer.model_dump(), strict=True)
    assert answer.id.startswith("cmpl-") and answer.object == "text_completion" and answer.model == name
    assert answer.usage.completion_tokens <= 16, "the default"
    assert answer.choices[0].text


def test_streamed_equals_whole(complete):
    options = dict(temperature=0.9, seed=3, max_tokens=32, n=2)
    whole = complete("Once upon a time", **options)
    texts, reasons = {0: "", 1: ""}, {}
    for chunk in complete("Once upon a time", stream=True, **options):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
    assert texts == {choice.index: choice.text for choice in whole.choices}
    assert reasons == {choice.index: choice.finish_reason for choice in whole.choices}


def test_many_prompts_and_choices(complete):
    prompts = ["Once upon a time", "The sky is", "In the beginning"]
    answer = complete(prompts, n=2, temperature=0, max_tokens=6)
    assert [choice.index for choice in answer.choices] == list(range(6))
    for i, prompt in enumerate(prompts):
        alone = complete(prompt, temperature=0, max_tokens=6).choices[0].text
        assert [answer.choices[2 * i + j].text for j in range(2)] == [alone, alone]


def test_ids_are_as_good_as_text(cluster, complete):
    ids = cluster.post("/tokenize", {"prompt": "Once upon a time"})["tokens"]
    options = dict(temperature=0, max_tokens=8)
    text = complete("Once upon a time", **options)
    assert complete(ids, **options).choices[0].text == text.choices[0].text
    both = complete([ids, ids], **options)
    assert [choice.text for choice in both.choices] == [text.choices[0].text] * 2
    assert text.usage.prompt_tokens == len(ids)


def test_echo_with_logprobs_scores_the_prompt(cluster, complete):
    """What evaluation harnesses do: the log-likelihood of a given continuation."""
    prompt = "Once upon a time there was"
    answer = complete(prompt, echo=True, logprobs=2, max_tokens=0, temperature=0)
    scores = answer.choices[0].logprobs
    ids = cluster.post("/tokenize", {"prompt": prompt})["tokens"]
    assert answer.choices[0].text == prompt and answer.usage.completion_tokens == 0
    assert len(scores.tokens) == len(scores.token_logprobs) == len(scores.top_logprobs) == len(scores.text_offset) == len(ids)
    assert scores.token_logprobs[0] is None and scores.top_logprobs[0] is None
    assert all(value <= 0 for value in scores.token_logprobs[1:])
    for token, value, top in list(zip(scores.tokens, scores.token_logprobs, scores.top_logprobs))[1:]:
        assert abs(top[token] - value) < 1e-6 and len(top) in (2, 3)
    assert scores.text_offset == sorted(scores.text_offset)


def test_echo_stands_in_front_of_the_answer(complete):
    plain = complete("The sky is", temperature=0, max_tokens=5, logprobs=1).choices[0]
    echoed = complete("The sky is", temperature=0, max_tokens=5, logprobs=1, echo=True).choices[0]
    assert echoed.text == "The sky is" + plain.text
    assert echoed.logprobs.tokens[-len(plain.logprobs.tokens):] == plain.logprobs.tokens
    for ours, theirs in zip(plain.logprobs.token_logprobs, echoed.logprobs.token_logprobs[-len(plain.logprobs.tokens):]):
        assert abs(ours - theirs) < 1e-4


def test_prompt_logprobs(complete):
    answer = complete("The sky is blue", max_tokens=1, extra_body={"prompt_logprobs": 1})
    scores = answer.choices[0].prompt_logprobs
    assert len(scores) == answer.usage.prompt_tokens and scores[0] is None
    for position in scores[1:]:
        assert 1 <= len(position) <= 2
        assert all(entry["logprob"] <= 0 and entry["rank"] >= 1 for entry in position.values())


def test_penalties_and_min_p_change_the_text(complete):
    plain = complete("a a a a a a a a", temperature=0, max_tokens=12).choices[0].text
    punished = complete("a a a a a a a a", temperature=0, max_tokens=12, extra_body={"repetition_penalty": 5.0}).choices[0].text
    assert plain != punished
    sharp = complete("The sky is", temperature=2, seed=1, max_tokens=8, extra_body={"min_p": 1.0}).choices[0].text
    assert sharp == complete("The sky is", temperature=0, max_tokens=8).choices[0].text, "min_p 1 leaves the most likely"
    top_k = complete("The sky is", temperature=2, seed=1, max_tokens=8, extra_body={"top_k": 1}).choices[0].text
    assert top_k == sharp


def test_min_tokens_and_stop_ids(cluster, complete):
    options = dict(temperature=0, max_tokens=12)
    answer = complete("The sky is", **options, extra_body={"return_token_ids": True, "ignore_eos": True})
    ids = answer.choices[0].token_ids
    third = ids[2]
    stopped = complete("The sky is", **options, extra_body={"stop_token_ids": [third], "return_token_ids": True})
    assert stopped.choices[0].finish_reason == "stop" and stopped.choices[0].stop_reason == third
    assert stopped.usage.completion_tokens <= 3
    longer = complete("The sky is", **options, extra_body={"stop_token_ids": [third], "min_tokens": 10})
    assert longer.usage.completion_tokens >= 10


def test_bad_words_are_not_said(complete):
    free = complete("Once upon a time there was a", temperature=0, max_tokens=12).choices[0].text
    word = free.split()[0].strip(".,")
    without = complete("Once upon a time there was a", temperature=0, max_tokens=12, extra_body={"bad_words": [word]})
    assert word not in without.choices[0].text.split()


def test_truncated_prompt(complete):
    answer = complete("one two three four five six seven eight nine ten", max_tokens=1, extra_body={"truncate_prompt_tokens": 4})
    assert answer.usage.prompt_tokens == 4
