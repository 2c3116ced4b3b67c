"""Every answer must be what the official client's pydantic models say, with strict types: no string where a number belongs."""
import collections
import os
import subprocess

import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

MODELS = {"chat": ChatCompletion, "chat_chunk": ChatCompletionChunk, "completion": Completion}


@pytest.fixture(scope="module")
def samples():
    output = subprocess.run([os.environ["BESSEMER_OPENAI_SAMPLES"]], capture_output=True, check=True, timeout=60).stdout
    by_kind = collections.defaultdict(list)
    for line in output.decode("utf-8").split("\n")[:-1]:  # not splitlines, which splits at U+2028 too
        kind, text = line.split("\t", 1)
        by_kind[kind].append(text)
    return by_kind


@pytest.mark.parametrize("kind", MODELS)
def test_official_models_take_every_answer(samples, kind):
    assert len(samples[kind]) >= 300
    for text in samples[kind]:
        MODELS[kind].model_validate_json(text, strict=True)


def test_completion_chunks_have_the_shape_of_completions(samples):
    """The client's model demands a finish_reason even where the API sends null, so null is filled in before it looks."""
    assert len(samples["completion_chunk"]) >= 300
    for text in samples["completion_chunk"]:
        Completion.model_validate_json(text.replace('"finish_reason":null', '"finish_reason":"stop"'), strict=True)


def test_logprobs_bytes_are_utf8_of_the_text_or_explain_its_replacement(samples):
    seen = 0
    for text in samples["chat"]:
        for choice in ChatCompletion.model_validate_json(text).choices:
            for token in (choice.logprobs.content if choice.logprobs else None) or []:
                seen += 1
                assert token.token == bytes(token.bytes).decode("utf-8", errors="replace")
    assert seen > 100
