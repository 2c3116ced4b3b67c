"""Writes greedy continuations as llama.cpp gives them, through the PyPI package xllamacpp 2026.10.11549 (AVX2 build).

    python tests/golden/greedy_llama_cpp.py MODEL.gguf OUT.json

Flash attention is off and KV is f32, so that nothing but the weights' own format is rounded. Each case holds the prompt, its
ids and the ids that llama.cpp drew at temperature 0, up to 128 of them or the end of the text.
"""
import json
import sys
import urllib.request

import xllamacpp as xlc

PROMPTS = [
    "Once upon a time",
    "The little dog",
    "One day, Lily and Ben went to the park. They saw a big",
    "Tom had a red ball. He",
    "",
]
TOKENS = 128


def main(model, out):
    params = xlc.CommonParams()
    params.model.path = model
    params.n_ctx = 2048
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cache_type_k = params.cache_type_v = xlc.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xlc.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.warmup = False
    server = xlc.Server(params)

    def post(path, body):
        request = urllib.request.Request(f"{server.listening_address}{path}", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    cases = []
    for prompt in PROMPTS:
        ids = post("/tokenize", {"content": prompt, "add_special": True})["tokens"]
        answer = post("/completion", {"prompt": ids, "n_predict": TOKENS, "temperature": 0, "top_k": 1,
                                      "cache_prompt": False, "return_tokens": True})
        cases.append({"prompt": prompt, "ids": ids, "greedy": answer["tokens"]})
        print(json.dumps(prompt), "->", json.dumps(answer["content"][:60]), len(answer["tokens"]))
    with open(out, "w") as file:
        json.dump({"model": model.rsplit("/", 1)[-1], "made_with": "xllamacpp 2026.10.11549", "cases": cases}, file)
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
