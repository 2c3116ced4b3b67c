"""/v1/chat/completions through the official client."""
import uuid

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from cluster import frames

PROMPTS = ["Say hello.", "Write a Python function that adds two numbers.", "日本語で挨拶して、絵文字も使って。"]


def test_whole(chat, name):
    answer = chat("Say hello.")
    ChatCompletion.model_validate(answer.model_dump(), strict=True)
    assert answer.id.startswith("chatcmpl-") and answer.model == name and answer.object == "chat.completion"
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 1 <= answer.usage.completion_tokens <= 16


def assemble(stream):
    """(text by choice, finish reasons by choice, usage, chunks), with the rules for streams checked on the way."""
    texts, reasons, usage, chunks = {}, {}, None, []
    for chunk in stream:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
        chunks.append(chunk)
        assert (chunk.id, chunk.created, chunk.model) == (chunks[0].id, chunks[0].created, chunks[0].model)
        usage = chunk.usage or usage
        for choice in chunk.choices:
            if choice.index not in texts:
                assert choice.index == len(texts), "choices must first appear in order"
                assert (choice.delta.role, choice.delta.content) == ("assistant", "")
                texts[choice.index] = ""
            else:
                assert choice.index not in reasons, "a chunk after the finish reason"
                assert choice.delta.role is None
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                assert choice.delta.content is None, "the finish reason has a chunk of its own"
                reasons[choice.index] = choice.finish_reason
    assert reasons.keys() == texts.keys(), "every choice must finish"
    return texts, reasons, usage, chunks


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_streamed_equals_whole(chat, prompt, temperature):
    options = dict(temperature=temperature, seed=7, max_completion_tokens=48)
    whole = chat(prompt, **options)
    texts, reasons, usage, _ = assemble(chat(prompt, stream=True, stream_options={"include_usage": True}, **options))
    assert texts == {0: whole.choices[0].message.content}
    assert reasons == {0: whole.choices[0].finish_reason}
    assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, whole.usage.completion_tokens)


def test_usage_only_when_asked_for(chat):
    *_, chunks = assemble(chat("Hi", stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    *_, chunks = assemble(chat("Hi", stream=True, stream_options={"include_usage": True}))
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].usage and chunks[-1].choices == []


def test_running_usage_counts_up(chat):
    options = {"include_usage": True, "continuous_usage_stats": True}
    *_, usage, chunks = assemble(chat("Count to five.", stream=True, stream_options=options))
    counts = [chunk.usage.completion_tokens for chunk in chunks]
    assert counts == sorted(counts) and counts[0] == 0 and counts[-1] == usage.completion_tokens > 0


def test_several_choices(chat):
    options = dict(n=3, temperature=1.0, seed=5, max_completion_tokens=12)
    whole = chat("Tell me a story.", **options)
    texts, *_ = assemble(chat("Tell me a story.", stream=True, **options))
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert len(set(texts.values())) > 1, "choices must not share their noise"
    single = chat("Tell me a story.", **{**options, "n": 1})
    assert single.choices[0].message.content == texts[0], "the first choice does not depend on n"
    assert whole.usage.prompt_tokens == single.usage.prompt_tokens


def test_seed_repeats_and_no_seed_does_not(chat):
    options = dict(temperature=1.0, max_completion_tokens=24)
    texts = [chat("Invent a name.", seed=seed, **options).choices[0].message.content for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert len({chat("Invent a name.", **options).choices[0].message.content for _ in range(4)}) > 1


def test_logprobs(chat):
    answer = chat("Say hello.", logprobs=True, top_logprobs=3, temperature=0)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == answer.usage.completion_tokens
    for token in tokens:
        assert len(token.top_logprobs) == 3
        values = [top.logprob for top in token.top_logprobs]
        assert values == sorted(values, reverse=True) and values[0] <= 0
        assert token.token == token.top_logprobs[0].token, "greedy takes the most likely"
        assert abs(token.logprob - values[0]) < 1e-6
    ended = answer.choices[0].finish_reason == "stop"  # the token that ends the turn is counted, but is no text
    text = b"".join(bytes(token.bytes) for token in tokens[:len(tokens) - ended]).decode()
    assert text == answer.choices[0].message.content


def test_logprobs_do_not_depend_on_temperature(chat):
    options = dict(logprobs=True, top_logprobs=2, max_completion_tokens=1)
    cold = chat("Say hello.", temperature=0, **options).choices[0].logprobs.content[0].top_logprobs
    warm = chat("Say hello.", temperature=2, seed=1, **options).choices[0].logprobs.content[0].top_logprobs
    assert cold == warm


def test_streamed_logprobs_equal_whole(chat):
    options = dict(logprobs=True, top_logprobs=2, temperature=0)
    whole = chat("List three colours.", **options).choices[0].logprobs.content
    streamed = [token for chunk in chat("List three colours.", stream=True, **options) for choice in chunk.choices
                if choice.logprobs for token in choice.logprobs.content]
    assert streamed == whole


def test_max_tokens_ends_with_length(chat):
    answer = chat("Count from one to one hundred.", max_completion_tokens=3, extra_body={"ignore_eos": True})
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 3


def test_stop_strings_over_token_borders(chat):
    free = chat("Count from one to ten in words.", temperature=0, max_completion_tokens=40).choices[0].message.content
    middle = len(free) // 2
    for length in (1, 3, 9):  # the last is longer than most tokens
        stop = free[middle:middle + length]
        wanted = free[:free.index(stop)]
        whole = chat("Count from one to ten in words.", temperature=0, max_completion_tokens=40, stop=[stop, "never said"])
        assert whole.choices[0].message.content == wanted
        assert whole.choices[0].finish_reason == "stop" and whole.choices[0].stop_reason == stop
        texts, reasons, *_ = assemble(
            chat("Count from one to ten in words.", temperature=0, max_completion_tokens=40, stop=stop, stream=True))
        assert (texts[0], reasons[0]) == (wanted, "stop")
        kept = chat("Count from one to ten in words.", temperature=0, max_completion_tokens=40, stop=stop,
                    extra_body={"include_stop_str_in_output": True})
        assert kept.choices[0].message.content == wanted + stop


def test_logit_bias_bans_and_forces(cluster, chat):
    free = chat("Say hello.", temperature=0, logprobs=True, max_completion_tokens=1)
    first = free.choices[0].logprobs.content[0].token
    [token] = cluster.post("/tokenize", {"prompt": first, "add_special_tokens": False})["tokens"]
    banned = chat("Say hello.", temperature=0, max_completion_tokens=1, logit_bias={str(token): -100})
    assert banned.choices[0].message.content != first
    [forced] = cluster.post("/tokenize", {"prompt": " banana", "add_special_tokens": False})["tokens"][:1]
    only = chat("Say hello.", max_completion_tokens=3, extra_body={"allowed_token_ids": [forced]}, logprobs=True)
    assert len({token.token for token in only.choices[0].logprobs.content}) == 1


def test_token_ids_come_along(cluster, chat):
    answer = chat("Say hello.", temperature=0, extra_body={"return_token_ids": True})
    ids = answer.choices[0].token_ids
    assert len(answer.prompt_token_ids) == answer.usage.prompt_tokens and len(ids) == answer.usage.completion_tokens
    text = cluster.post("/detokenize", {"tokens": ids})["prompt"]
    assert text.startswith(answer.choices[0].message.content)


def test_continuing_the_last_message(cluster, client, chat, name):
    def go_on(beginning):
        return client.chat.completions.create(
            model=name, temperature=0, max_completion_tokens=12, extra_body={"continue_final_message": True},
            messages=[{"role": "user", "content": "Say hello."}, {"role": "assistant", "content": beginning}])

    free = chat("Say hello.", temperature=0, max_completion_tokens=12).choices[0].message.content
    assert go_on("The opposite of hot is").choices[0].message.content != free


def test_prompts_that_begin_alike_are_computed_once(chat):
    """Which worker answers is the router's choice, so one that has the prefix may come late; a salt of one's own finds nothing."""
    secret = uuid.uuid4().hex
    prompt = f"{secret}: " + "the quick brown fox jumps over the lazy dog. " * 20

    def cached(**options):
        usage = chat(prompt, max_completion_tokens=1, **options).usage
        assert usage.prompt_tokens > 200
        return usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens

    found = [cached()[0] for _ in range(6)]
    assert found[0] < 100 and max(found) >= cached()[1] - 17, found
    assert cached(extra_body={"cache_salt": secret})[0] == 0


def test_a_conversation(client, chat, name):
    messages = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Hi"}]
    for turn in ("And again?", "Once more."):
        answer = client.chat.completions.create(model=name, messages=messages, max_completion_tokens=8)
        messages += [answer.choices[0].message, {"role": "user", "content": [{"type": "text", "text": turn}]}]
    assert client.chat.completions.create(model=name, messages=messages, max_completion_tokens=8).usage.prompt_tokens > 40


def test_no_chunk_has_half_a_character(cluster, chat, name):
    """High temperature makes byte tokens of all kinds; frames() decodes strictly."""
    body = {"model": name, "messages": [{"role": "user", "content": "表情😀" * 5}], "temperature": 2, "seed": 3,
            "max_completion_tokens": 64, "stream": True, "ignore_eos": True}
    chunks = frames(cluster.request("POST", "/v1/chat/completions", body)[2])
    assert len(chunks) > 10
