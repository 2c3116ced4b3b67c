// Splits a stream of server-sent events into the payloads of their data lines.
#pragma once
#include <functional>
#include <string>
#include <string_view>

namespace bessemer {

class SseReader {
 public:
  // Calls `on_payload` for each whole "data:" line so far; comments and other fields are skipped.
  void push(std::string_view bytes,
            const std::function<void(std::string_view payload)>& on_payload) {
    pending_ += bytes;
    size_t at = 0;
    while (true) {
      const size_t end = pending_.find('\n', at);
      if (end == std::string::npos) break;
      std::string_view line(pending_.data() + at, end - at);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.starts_with("data:")) {
        line.remove_prefix(5);
        if (line.starts_with(' ')) line.remove_prefix(1);
        on_payload(line);
      }
      at = end + 1;
    }
    pending_.erase(0, at);
  }

 private:
  std::string pending_;
};

}  // namespace bessemer
