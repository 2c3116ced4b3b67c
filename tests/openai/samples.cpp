// Prints answers of random events, one per line: kind, a tab, a whole body or one chunk of a
// stream. test_client_models.py validates each with the official client's own models.
#include <cstdio>
#include <string>
#include <string_view>

#include "tests/openai/events.h"

namespace {

void print_chunks(const char* kind, std::string_view frames) {
  constexpr std::string_view kData = "data: ";
  while (!frames.empty()) {
    const size_t end = frames.find("\n\n");
    const std::string data(frames.substr(kData.size(), end - kData.size()));
    frames.remove_prefix(end + 2);
    if (data != "[DONE]") std::printf("%s\t%s\n", kind, data.c_str());
  }
}

}  // namespace

int main() {
  constexpr uint64_t kScripts = 300;
  for (uint64_t seed = 0; seed < kScripts; ++seed) {
    const bessemer::AnswerScript chat = bessemer::random_script(seed, bessemer::ApiKind::chat);
    std::printf("chat\t%s\n", bessemer::play(chat, false).c_str());
    print_chunks("chat_chunk", bessemer::play(chat, true));
    const bessemer::AnswerScript completion =
        bessemer::random_script(seed, bessemer::ApiKind::completion);
    std::printf("completion\t%s\n", bessemer::play(completion, false).c_str());
    print_chunks("completion_chunk", bessemer::play(completion, true));
  }
}
