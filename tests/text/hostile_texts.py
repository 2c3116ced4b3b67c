"""Texts that tokenizers get wrong, from a seed: one generator per kind of trouble."""
import unicodedata

SCRIPTS = [(0x20, 0x7E), (0xA1, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x531, 0x587), (0x5D0, 0x5EA), (0x620, 0x64A),
           (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE01, 0xE5B), (0x1000, 0x109F), (0x10A0, 0x10FF),
           (0x1200, 0x137C), (0x13A0, 0x13F5), (0x1780, 0x17F9), (0x1E00, 0x1EFF), (0x1F00, 0x1FFE), (0x3041, 0x3096),
           (0x30A1, 0x30FA), (0x3105, 0x312F), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xFF01, 0xFFEE),
           (0x10400, 0x1044F), (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF)]
SPACES = list("    \t\n\r\n\n") + ["\r\n", "\v", "\f", "\x85", "\xa0", "\u1680", "\u180e", "\u2002", "\u2009", "\u200b",
                                    "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff"]
MARKS = [chr(c) for c in [*range(0x300, 0x36F), 0x483, 0x5B0, 0x64B, 0x94D, 0x9CD, 0xE34, 0x17D2, 0x20DD, 0x3099, 0xFE0F]]
EMOJI = ["😀", "🦙", "👩\u200d💻", "👨\u200d👩\u200d👧\u200d👦", "🏳️\u200d🌈", "👍🏽", "🇩🇪", "🇫🇷", "1️⃣", "❤️", "✅", "🫠"]
DIGITS = list("0123456789") * 3 + list("٠٣۴९൬๓０９") + list("²³¹½Ⅷⅻ①㊿〇一𝟙𝟵")
WORDS = ("the of and Hello World don't it's we've I'M you'LL 'tis o'clock naïve façade Straße Ελλάδα Привет мир नमस्ते สวัสดี "
         "你好 世界 こんにちは 안녕하세요 שלום مرحبا Việt Nam xin chào HTTPServer camelCase snake_case kebab-case x86_64 C++20 "
         "https://example.org/a?b=c&d=%20 user@example.com /usr/local/bin 3.14159 1,000,000 1e-9 0xDEADBEEF v1.2.3 #tag @name "
         "$100 50% (a) [b] {c} <d> \"e\" `f` f(x)=x**2; if(a!=b&&c||!d){return;} \\n \\u0041 // comment /* c */ <!-- x -->").split()
CODE = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n\t}\n", "{\"a\": [1, 2, {\"b\": null}]}\n",
        "SELECT * FROM t WHERE a <> 'b''c';\n", "| a | b |\n|---|---|\n| 1 | 2 |\n", "#include <vector>\r\n\r\nint main() {}\r\n",
        "- item\n  - nested\n    1. deep\n\n\n", "   \n \n  \n\t\n    x\n"]
SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¡§«»¿…‘’“”—–•€£¥°±×÷√∞≈≠≤≥←→↑↓█▓◆★☆♪、。「」『』【】〜・"


def scalar(rng):
    while True:
        code = rng.choice([rng.randrange(0x80), rng.randrange(0x800), rng.randrange(0x10000), rng.randrange(0x110000)])
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


def letter(rng):
    low, high = rng.choice(SCRIPTS)
    return chr(rng.randint(low, high))


def several(rng, most, make, glue=""):
    return glue.join(make() for _ in range(rng.randint(1, most)))


class HostileTexts:
    """`specials`: spellings of control tokens; `pieces`: texts of tokens. Iterating never ends."""

    def __init__(self, rng, specials, pieces):
        self.rng = rng
        self.specials = specials or ["<|endoftext|>"]
        self.pieces = pieces

    def __iter__(self):
        kinds = [self.any_unicode, self.scripts, self.words, self.combining, self.emoji, self.digits, self.spaces,
                 self.contractions, self.special, self.near_special, self.long_run, self.code, self.signs, self.control,
                 self.token_salad, self.alphabet, self.mixture]
        while True:
            for kind in kinds:
                yield kind()

    def any_unicode(self):
        return several(self.rng, 30, lambda: scalar(self.rng))

    def scripts(self):
        def word():
            low, high = self.rng.choice(SCRIPTS)
            return several(self.rng, 8, lambda: chr(self.rng.randint(low, high)))
        return several(self.rng, 8, word, self.rng.choice(["", " ", " ", "  "]))

    def words(self):
        return several(self.rng, 20, lambda: self.rng.choice(WORDS) + self.rng.choice(["", " ", " ", " ", "  ", "\n"]))

    def combining(self):
        text = several(self.rng, 12, lambda: letter(self.rng) + several(self.rng, 4, lambda: self.rng.choice(MARKS)))
        return unicodedata.normalize(self.rng.choice(["NFC", "NFD", "NFKC"]), text) if self.rng.random() < 0.5 else text

    def emoji(self):
        return several(self.rng, 12, lambda: self.rng.choice(EMOJI) + self.rng.choice(["", "", " ", "\u200d", "\ufe0f"]))

    def digits(self):
        return several(self.rng, 6, lambda: several(self.rng, 14, lambda: self.rng.choice(DIGITS)),
                       self.rng.choice([" ", "  ", ".", ",", "a", "\n", "-", ""]))

    def spaces(self):
        return several(self.rng, 8, lambda: several(self.rng, 6, lambda: self.rng.choice(SPACES))
                       + self.rng.choice(["", "a", "Word", "7", "!", "é", "中"]))

    def contractions(self):
        ends = ["s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "Ve", "M", "lL", "D", "x", "", "1"]
        return several(self.rng, 8, lambda: self.rng.choice(["", "I", "we", "a", "Ö", "3", " ", "''"])
                       + self.rng.choice(["'", "'", "'", "’", "`", " '"]) + self.rng.choice(ends) + self.rng.choice(["", " "]))

    def special(self):
        return several(self.rng, 6, lambda: self.rng.choice(["", " ", "\n", "a", "user\n", "  x", "é"]) + self.rng.choice(self.specials))

    def near_special(self):
        text = several(self.rng, 3, lambda: self.rng.choice(self.specials))
        at = self.rng.randrange(len(text))
        return self.rng.choice([text[:at] + text[at + 1:], text[:at] + self.rng.choice(SIGNS + " ab") + text[at:], text[at:] + text[:at]])

    def long_run(self):
        unit = self.rng.choice([" ", "\n", "\t", "a", "A", "é", "中", "1", "!", "=", "-", "\u3000", "\xa0", " a", "\r\n", "😀", "ab", "'s", "\u0301"])
        return self.rng.choice(["", "x", " "]) + unit * self.rng.randint(20, 400) + self.rng.choice(["", "x", " ", "\n", "7"])

    def code(self):
        return several(self.rng, 4, lambda: self.rng.choice(CODE))

    def signs(self):
        return several(self.rng, 25, lambda: self.rng.choice(SIGNS) * self.rng.choice([1, 1, 1, 2, 3, 7]) + self.rng.choice(["", "", " ", "a", "\n"]))

    def control(self):
        return several(self.rng, 12, lambda: chr(self.rng.choice([*range(32), *range(0x7F, 0xA0)])) + self.rng.choice(["", "a", " "]))

    def token_salad(self):
        return several(self.rng, 12, lambda: self.rng.choice(self.pieces)) if self.pieces else self.words()

    def alphabet(self):
        """Letters of the byte alphabet and SentencePiece's marks, typed out."""
        return several(self.rng, 10, lambda: self.rng.choice(["Ġ", "Ċ", "ĉ", "▁", "▁▁", "Ã¼", "<0x0A>", "<0x41>", "##ing", "[UNK]", "</s>", "<unk>", "a", " "]))

    def mixture(self):
        kinds = [self.any_unicode, self.words, self.combining, self.emoji, self.digits, self.spaces, self.contractions, self.code, self.signs]
        return several(self.rng, 4, lambda: self.rng.choice(kinds)())
