#!/usr/bin/env python3
"""Writes prompts.json: the prompts that parity.py compares logits on, as text and as SmolLM2 token ids, and the ids of prose.txt.

The ids come from Hugging Face's `tokenizers` over the vocabulary in the model file, so they depend on no code of this project.

    prompts.py MODEL.gguf            writes prompts.json beside this script
    prompts.py MODEL.gguf --check    exits 1 if the committed file differs
"""
import json
import sys
from pathlib import Path

from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

HERE = Path(__file__).parent
PROSE = (HERE / "prose.txt").read_text(encoding="utf-8")
CONTROL = 3  # token type


def chat(*turns, system=None, answer=""):
    """ChatML: user and assistant take turns; the last word is the start of the assistant's."""
    out = "" if system is None else f"<|im_start|>system\n{system}<|im_end|>\n"
    for i, turn in enumerate(turns):
        out += f"<|im_start|>{'assistant' if i % 2 else 'user'}\n{turn}<|im_end|>\n"
    return out + "<|im_start|>assistant\n" + answer


PROMPTS = {
    "plain_short": "The weather in the mountains changes quickly, so always carry",
    "plain_digits": "Count upwards: 1, 2, 3, 10, 100, 1000, 31415926535897932384626433, 0.5772156649, -273.15, 1e-9, 0x7fff,",
    "plain_list": "Things to pack for a week by the sea:\n- towels\n- sun cream\n- a book that can get wet\n-",
    "chat_hello": chat("Hello!"),
    "chat_system": chat("Who are you, and what can you do for me?", system="You are a helpful AI assistant named SmolLM, trained by Hugging Face"),
    "chat_reason": chat("A train leaves at 9:40 and takes 2 hours and 35 minutes. When does it arrive? Explain step by step."),
    "chat_turns": chat(
        "I want to bake bread but I have no yeast. What can I do?",
        "You can make soda bread. You need flour, salt, baking soda and something sour, such as buttermilk or yogurt.",
        "I have milk and a lemon. Does that work?",
        "Yes. Stir a tablespoon of lemon juice into a cup of milk and wait ten minutes.",
        "And how long does it stay in the oven?",
    ),
    "chat_answer": chat("Write a haiku about the sea at night.", answer="Black water breathing,\n"),
    "chat_rewrite": chat(
        "Rewrite the following so that it is polite:\n\n\"You never sent me the file. I asked twice. Send it today or we are done.\"",
        system="You rewrite messages. Answer with the new message only.",
    ),
    "code_python": '''def merge(left: list[int], right: list[int]) -> list[int]:
    """Merges two sorted lists into one sorted list."""
    out, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            out.append(left[i])
            i += 1
        else:
''',
    "code_cpp": '''#include <cstdint>
#include <vector>

// The n smallest primes, by trial division.
std::vector<uint32_t> primes(size_t n) {
  std::vector<uint32_t> found;
  for (uint32_t candidate = 2; found.size() < n; ++candidate) {
    bool prime = true;
    for (const uint32_t divisor : found) {
      if (divisor * divisor > candidate) break;
''',
    "code_sql": '''SELECT c.name, COUNT(*) AS orders, SUM(o.total) AS spent
FROM customers AS c
JOIN orders AS o ON o.customer_id = c.id
WHERE o.placed_at >= DATE '2024-01-01'
GROUP BY c.name
HAVING''',
    "code_json": '''{"id": "a1b2", "tags": ["new", "sale"], "price": {"amount": 19.99, "currency": "EUR"}, "stock": null, "variants": [{"size": "M",''',
    "code_tabs": "func main() {\n\tfor i := 0; i < 10; i++ {\n\t\tif i%2 == 0 {\n\t\t\tfmt.Println(i)\n\t\t}\n\t}\n}\n\n// The same with a while loop:\n",
    "unicode_chinese": chat("请用三句话介绍一下长城的历史。"),
    "unicode_arabic": "كان يا ما كان، في قديم الزمان، ملك عظيم يعيش في قصر على شاطئ البحر، وكان له ثلاث بنات",
    "unicode_hindi": "एक समय की बात है, एक छोटे से गाँव में एक किसान रहता था जिसके पास",
    "unicode_emoji": "🌞 good morning 👩‍🚀👨‍👩‍👧‍👦 🇫🇷🇯🇵 ✨ mood today: 🙂🙃😶‍🌫️ — and tomorrow: ",
    "unicode_accents": "Příliš žluťoučký kůň úpěl ďábelské ódy. Żółw, façade, naïve, Ångström, smørrebrød, e\u0301 versus é, ﬁ, ½,",
    "unicode_math": "∀ε>0 ∃δ>0: |x−x₀|<δ ⇒ |f(x)−f(x₀)|<ε. Therefore ∑ₙ 1/n² = π²⁄6 and ∫₀^∞ e^(−x²) dx =",
    "spaces": "a  b   c    d     e\n\n\n   indented\n\t\ttabbed \n trailing   \n",
    "repetition": "the cat sat on the mat and " * 24,
    "prose_250": 250,
    "prose_500": 500,
    "prose_1000": 1000,
    "summary_700": 700,
}


def tokenizer_of(path):
    reader = GGUFReader(path)
    value = lambda key: reader.get_field(f"tokenizer.ggml.{key}").contents()
    tokens = value("tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in value("merges")]
    out = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    # "smollm": every digit by itself, then GPT-2's words.
    out.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    out.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, value("token_type")) if kind == CONTROL]
    out.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return out


def document(tokenizer):
    prose = tokenizer.encode(PROSE).ids
    head = lambda count: tokenizer.decode(prose[:count])
    prompts = []
    for name, text in PROMPTS.items():
        if name.startswith("summary"):
            text = chat(f"Summarize this story in two sentences.\n\n{head(text - 20)}")
        elif isinstance(text, int):
            text = head(text)
        prompts.append({"name": name, "text": text, "ids": tokenizer.encode(text).ids})
    return {"prompts": prompts, "prose": prose}


def render(document):
    lines = ",\n".join(json.dumps(prompt, ensure_ascii=False) for prompt in document["prompts"])
    return f'{{"prompts": [\n{lines}\n],\n"prose": {json.dumps(document["prose"])}}}\n'


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    text = render(document(tokenizer_of(sys.argv[1])))
    path = HERE / "prompts.json"
    if "--check" not in sys.argv[2:]:
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        sys.exit(f"{path} differs; run {Path(__file__).name} and look at the change")


if __name__ == "__main__":
    main()
