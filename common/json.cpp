#include "common/json.h"

#include <string>

#include <boost/json/src.hpp>

namespace bessemer {

StatusOr<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::stream_parser parser({}, options);
  boost::system::error_code error;
  const size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && parser.done()) {
    const size_t rest = text.find_first_not_of(" \t\r\n", used);
    if (rest == std::string_view::npos) return parser.release();
    return absl::InvalidArgumentError("invalid JSON at byte " + std::to_string(rest) +
                                      ": extra data after the value");
  }
  if (!error) parser.finish(error);
  if (!error) return parser.release();
  return absl::InvalidArgumentError("invalid JSON at byte " + std::to_string(used) + ": " +
                                    error.message());
}

}  // namespace bessemer
