#include "common/sse.h"

namespace bessemer {

bool SseParser::feed(std::string_view bytes, const Sink& on_event) {
  while (!bytes.empty()) {
    if (after_return_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_return_ = false;
    const size_t end = bytes.find_first_of("\r\n");
    line_ += bytes.substr(0, end);
    if (line_.size() + data_.size() > kMaxEventBytes) return false;
    if (end == std::string_view::npos) return true;
    after_return_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    take_line(on_event);
    line_.clear();
  }
  return true;
}

void SseParser::take_line(const Sink& on_event) {
  if (line_.empty()) {  // the end of an event
    if (has_data_) on_event(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  const size_t colon = line_.find(':');  // at 0: a comment, a field without a name
  if (std::string_view(line_).substr(0, colon) != "data") return;
  std::string_view value =
      colon == std::string::npos ? "" : std::string_view(line_).substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_ += value;
  has_data_ = true;
}

}  // namespace bessemer
