// Server-sent events as their bytes arrive (WHATWG HTML, section 9.2).
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace bessemer {

// A chunk of an answer takes a few hundred bytes; a thousand times that is no event stream.
constexpr size_t kMaxEventBytes = 1u << 20;

class SseParser {
 public:
  using Sink = std::function<void(std::string_view data)>;

  // Calls `on_event` with the data of each event that `bytes` completes: the lines of its data
  // fields, joined by newlines. Comments and other fields are passed over. False: an event is
  // longer than kMaxEventBytes; feed nothing more.
  bool feed(std::string_view bytes, const Sink& on_event);

 private:
  void take_line(const Sink& on_event);

  std::string line_, data_;
  bool has_data_ = false;
  bool after_return_ = false;  // a line ended in CR; an LF that follows belongs to it
};

}  // namespace bessemer
