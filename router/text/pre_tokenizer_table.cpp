// The pre-tokenizers by name. The expressions are those that the models' publishers ship in
// tokenizer.json; which name means which is a convention of the converters that write GGUF files.
#include "router/text/pre_tokenizer.h"

namespace bessemer {
namespace {

using Regexes = std::string_view[];

// GPT-2 (Radford et al. 2019, encoder.py).
#define BESSEMER_GPT2 R"('(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"
constexpr Regexes kGpt2{BESSEMER_GPT2};
constexpr Regexes kDigitsThenGpt2{R"(\p{N})", BESSEMER_GPT2};
constexpr Regexes kFalcon{R"([\p{P}$+<=>^~|`]+)", BESSEMER_GPT2, R"([0-9][0-9][0-9])"};
constexpr Regexes kDefault{R"([\p{P}$+<=>^~|]+)", BESSEMER_GPT2, R"(\p{N}+)", R"([0-9][0-9][0-9])"};
constexpr Regexes kChameleon{R"(<sentinel:[0-9]+>)",    R"(IMGIMG[A-I]{1,4}Z)",
                             R"([\t\n]|    |  )",       R"(\p{N})",
                             R"([\p{P}!-/:-@\[-`{-~])", BESSEMER_GPT2};

// The cl100k family: contractions in either case, a letter run may take one sign in front, digits
// in groups.
#define BESSEMER_CONTRACTION R"((?i:'s|'t|'re|'ve|'m|'ll|'d))"
#define BESSEMER_WORD R"([^\r\n\p{L}\p{N}]?\p{L}+)"
#define BESSEMER_SIGNS R"( ?[^\s\p{L}\p{N}]+[\r\n]*)"
#define BESSEMER_SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
constexpr Regexes kLlama3{BESSEMER_CONTRACTION "|" BESSEMER_WORD R"(|\p{N}{1,3}|)" BESSEMER_SIGNS
                                               "|" BESSEMER_SPACES};
#define BESSEMER_QWEN2 \
  BESSEMER_CONTRACTION "|" BESSEMER_WORD R"(|\p{N}|)" BESSEMER_SIGNS "|" BESSEMER_SPACES
constexpr Regexes kQwen2{BESSEMER_QWEN2};
constexpr Regexes kLaguna{R"([^\n]+|\n+)", BESSEMER_QWEN2};
constexpr Regexes kQwen35{
    BESSEMER_CONTRACTION
    R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" BESSEMER_SPACES};
constexpr Regexes kMinicpm5{R"(\p{N}{1,3})", BESSEMER_CONTRACTION
                            "|" BESSEMER_WORD R"(|\p{N}+|)" BESSEMER_SIGNS "|" BESSEMER_SPACES};
constexpr Regexes kSeedCoder{BESSEMER_CONTRACTION
                             "|" BESSEMER_WORD R"(|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" BESSEMER_SPACES};
constexpr Regexes kBailing{
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr Regexes kJais2{
    BESSEMER_CONTRACTION
    "|" BESSEMER_WORD R"(|\p{N}{1,3}|)" BESSEMER_SIGNS
    R"(|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s)"};

// The o200k family: a change from lower to upper case begins a new piece.
#define BESSEMER_UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define BESSEMER_LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define BESSEMER_SIGNS_SLASH R"( ?[^\s\p{L}\p{N}]+[\r\n/]*)"
#define BESSEMER_CASED(tail)                                         \
  R"([^\r\n\p{L}\p{N}]?)" BESSEMER_UPPER "*" BESSEMER_LOWER "+" tail \
  R"(|[^\r\n\p{L}\p{N}]?)" BESSEMER_UPPER "+" BESSEMER_LOWER "*" tail
constexpr Regexes kGpt4o{BESSEMER_CASED(
    BESSEMER_CONTRACTION "?") R"(|\p{N}{1,3}|)" BESSEMER_SIGNS_SLASH "|" BESSEMER_SPACES};
constexpr Regexes kTekken{BESSEMER_CASED("") R"(|\p{N}|)" BESSEMER_SIGNS_SLASH "|" BESSEMER_SPACES};
constexpr Regexes kYoutu{
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|[！…“”‘’—：；，\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|[\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    BESSEMER_CASED(BESSEMER_CONTRACTION "?") R"(|\p{N}|)" BESSEMER_SIGNS_SLASH "|" BESSEMER_SPACES};

// DeepSeek. The last range of kDeepseekCjk wraps three scripts' blocks: U+0800-U+4E00 and Hangul.
#define BESSEMER_DEEPSEEK_CJK R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)"
constexpr Regexes kDeepseekCoder{R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", BESSEMER_DEEPSEEK_CJK,
                                 R"(\p{N})"};
constexpr Regexes kDeepseekLlm{
    R"([\r\n])",
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1})"
    R"(\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77})"
    R"(\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE})"
    R"(\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC})"
    R"(\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E})"
    R"(\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D})"
    R"(\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF})"
    R"(\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F})"
    R"(\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF})"
    R"(\x{1E900}-\x{1E943}]+)",
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
    // \s+$ of the original, which looks at each tail of a run of spaces again and so takes squared
    // time.
    R"((?<!\s)\s+\z)", BESSEMER_DEEPSEEK_CJK, R"(\p{N}+)"};
constexpr Regexes kDeepseekV3{
    R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)" BESSEMER_SPACES};

// Everything but white space and the punctuation of some scripts; the parentheses and the bar are
// members of the class.
#define BESSEMER_BLOOM R"( ?[^(\s|.,!?…。，、।۔،)]+)"
constexpr Regexes kBloom{BESSEMER_BLOOM};
constexpr Regexes kViking{BESSEMER_BLOOM, R"(\p{N})"};

constexpr PreTokenizerSpec kTable[] = {
    {"default", kDefault},
    {"gpt-2", kGpt2},
    {"phi-2", kGpt2},
    {"mpt", kGpt2},
    {"olmo", kGpt2},
    {"jais", kGpt2},
    {"mellum", kGpt2},
    {"exaone4", kGpt2},
    {"trillion", kGpt2},
    {"granite-docling", kGpt2},
    {"gigachat", kGpt2},
    {"a.x-4.0", kGpt2},
    {"modern-bert", kGpt2},
    {"smollm", kDigitsThenGpt2},
    {"starcoder", kDigitsThenGpt2},
    {"refact", kDigitsThenGpt2},
    {"command-r", kDigitsThenGpt2},
    {"codeshell", kDigitsThenGpt2},
    {"exaone", kDigitsThenGpt2},
    {"minerva-7b", kDigitsThenGpt2},
    {"mellum2", kDigitsThenGpt2},
    {"falcon", kFalcon},
    {"chameleon", kChameleon, false, true},
    {"llama-bpe", kLlama3, true, true},
    {"llama3", kLlama3, true, true},
    {"llama-v3", kLlama3, true, true},
    {"falcon3", kLlama3, true, true},
    {"falcon-h1", kLlama3, true, true},
    {"pixtral", kLlama3, true, true},
    {"midm-2.0", kLlama3, true, true},
    {"lfm2", kLlama3, true, true},
    {"dbrx", kLlama3},
    {"smaug-bpe", kLlama3},
    {"chatglm-bpe", kLlama3},
    {"glm4", kLlama3},
    {"jais-2", kJais2},
    {"qwen2", kQwen2},
    {"deepseek-r1-qwen", kQwen2},
    {"stablelm2", kQwen2},
    {"megrez", kQwen2},
    {"hunyuan", kQwen2},
    {"kormo", kQwen2},
    {"solar-open", kQwen2},
    {"grok-2", kQwen2},
    {"qwen35", kQwen35},
    {"laguna", kLaguna},
    {"minicpm5", kMinicpm5, true},
    {"seed-coder", kSeedCoder},
    {"bailingmoe", kBailing},
    {"bailingmoe2", kBailing},
    {"llada-moe", kBailing},
    {"gpt-4o", kGpt4o},
    {"llama4", kGpt4o},
    {"kanana2", kGpt4o},
    {"minimax-m2", kGpt4o},
    {"tekken", kTekken, true, true},
    {"youtu", kYoutu, true},
    {"deepseek-coder", kDeepseekCoder},
    {"deepseek-llm", kDeepseekLlm},
    {"deepseek-v3", kDeepseekV3},
    {"hunyuan-dense", kDeepseekV3},
    {"joyai-llm", kDeepseekV3},
    {"bloom", kBloom},
    {"poro-chat", kBloom},
    {"gpt3-finnish", kBloom},
    {"viking", kViking},
};

}  // namespace

std::span<const PreTokenizerSpec> known_pre_tokenizers() {
  return kTable;
}

}  // namespace bessemer
