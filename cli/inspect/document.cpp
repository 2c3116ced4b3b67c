#include "cli/inspect/document.h"

#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

#include "worker/format/utf8.h"

namespace bessemer {
namespace {

json::string text_value(std::string_view text) {
  json::string out;
  while (!text.empty()) {
    const size_t bytes = decode_code_point(text).bytes;
    out.append(bytes == 0 ? std::string_view("\ufffd") : text.substr(0, bytes));
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

// As short as the number's own precision allows: the float 1e-05 stays 1e-05,
// not 9.999999747378752e-06.
template <typename Float>
json::value float_value(Float number) {
  const std::string text = fmt::format("{}", number);
  if (!std::isfinite(number)) return json::value(text);
  return std::strtod(text.c_str(), nullptr);
}

json::value scalar_value(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> json::value {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::string_view>) {
          return text_value(held);
        } else if constexpr (std::is_same_v<Held, GgufArray>) {
          return nullptr;  // arrays hold no arrays
        } else if constexpr (std::is_floating_point_v<Held>) {
          return float_value(held);
        } else {
          return held;
        }
      },
      value);
}

json::value metadata_value(const GgufValue& value) {
  const GgufArray* array = std::get_if<GgufArray>(&value);
  if (array == nullptr) return scalar_value(value);
  json::array out;
  out.reserve(static_cast<size_t>(array->count));
  for (uint64_t i = 0; i < array->count; ++i) out.push_back(scalar_value(element_at(*array, i)));
  return out;
}

json::object tensor_value(const GgufTensor& tensor) {
  json::array shape;
  for (const int64_t size : tensor.shape) shape.push_back(size);
  return {{"name", text_value(tensor.name)},
          {"type", std::string(traits_of(tensor.type).name)},
          {"shape", std::move(shape)},
          {"file_offset", tensor.file_offset},
          {"size_bytes", tensor.bytes.size()}};
}

}  // namespace

json::value inspect_document(const GgufFile& file) {
  json::object metadata;
  for (const auto& [key, value] : file.metadata()) {
    metadata[text_value(key)] = {{"type", type_name(value)}, {"value", metadata_value(value)}};
  }
  json::array tensors;
  uint64_t parameters = 0, bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    tensors.push_back(tensor_value(tensor));
    parameters += static_cast<uint64_t>(tensor.cols()) * static_cast<uint64_t>(tensor.rows());
    bytes += tensor.bytes.size();
  }
  return json::object{{"file", text_value(file.path())}, {"version", file.version()},
                      {"size_bytes", file.size_bytes()}, {"alignment", file.alignment()},
                      {"metadata", std::move(metadata)}, {"tensors", std::move(tensors)},
                      {"parameters", parameters},        {"tensor_bytes", bytes}};
}

}  // namespace bessemer
