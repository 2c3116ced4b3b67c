#include "cli/inspect/table.h"

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include <fmt/format.h>

#include "worker/format/printable.h"

namespace bessemer {
namespace {

constexpr size_t kShownText = 60;       // bytes of a string
constexpr size_t kShownElement = 24;    // bytes of a string in an array
constexpr uint64_t kShownElements = 6;  // of an array
constexpr size_t kShownName = 80;       // bytes of a key or name

// Columns as wide as their widest cell; the last one is not padded.
class Table {
 public:
  enum class Align { left, right };
  explicit Table(std::vector<Align> columns) : columns_(std::move(columns)) {}

  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  std::string text() const {
    std::vector<size_t> widths(columns_.size());
    for (const auto& cells : rows_) {
      for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], width_of(cells[i]));
    }
    std::string out;
    for (const auto& cells : rows_) out += line(cells, widths);
    return out;
  }

 private:
  // Code points: as wide as the cell is on a terminal, but for wide scripts.
  static size_t width_of(const std::string& cell) {
    return static_cast<size_t>(
        std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xc0) != 0x80; }));
  }

  std::string line(const std::vector<std::string>& cells, const std::vector<size_t>& widths) const {
    std::string out;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - width_of(cells[i]), ' ');
      out += "  " + (columns_[i] == Align::right ? padding + cells[i] : cells[i] + padding);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  }

  std::vector<Align> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string quoted(std::string_view text, size_t shown) {
  return "\"" + printable(text, shown) + "\"";
}

std::string scalar_text(const GgufValue& value, size_t shown) {
  return std::visit(
      [shown](const auto& held) -> std::string {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, std::string_view>) {
          return quoted(held, shown);
        } else if constexpr (std::is_same_v<Held, GgufArray>) {
          return "";  // arrays hold no arrays
        } else {
          return fmt::format("{}", held);
        }
      },
      value);
}

std::string array_text(const GgufArray& array) {
  std::string out = "[";
  for (uint64_t i = 0; i < std::min(array.count, kShownElements); ++i) {
    out += (i == 0 ? "" : ", ") + scalar_text(element_at(array, i), kShownElement);
  }
  return out + (array.count > kShownElements ? ", …]" : "]");
}

std::string metadata_table(const GgufFile& file) {
  Table table({Table::Align::left, Table::Align::left, Table::Align::left});
  for (const auto& [key, value] : file.metadata()) {
    const GgufArray* array = std::get_if<GgufArray>(&value);
    const std::string type = array != nullptr
                                 ? fmt::format("{}[{}]", type_name(array->element), array->count)
                                 : type_name(value);
    table.row({printable(key, kShownName), type,
               array != nullptr ? array_text(*array) : scalar_text(value, kShownText)});
  }
  return fmt::format("Metadata: {} keys\n", file.metadata().size()) + table.text();
}

std::string shape_text(const GgufTensor& tensor) {
  std::string out;
  for (const int64_t size : tensor.shape) out += (out.empty() ? "" : " x ") + std::to_string(size);
  return out.empty() ? "1" : out;
}

std::string type_label(TensorType type) {
  return std::string(traits_of(type).name);
}

uint64_t values_in(const GgufTensor& tensor) {
  return static_cast<uint64_t>(tensor.cols()) * static_cast<uint64_t>(tensor.rows());
}

std::string tensor_table(const GgufFile& file) {
  using enum Table::Align;
  Table table({left, left, left, right, right, right});
  table.row({"name", "type", "shape", "values", "size", "at byte"});
  for (const GgufTensor& tensor : file.tensors()) {
    table.row({printable(tensor.name, kShownName), type_label(tensor.type), shape_text(tensor),
               humanize_count(values_in(tensor)), humanize_bytes(tensor.bytes.size()),
               std::to_string(tensor.file_offset)});
  }
  return fmt::format("Tensors: {}\n", file.tensors().size()) + table.text();
}

struct Sum {
  uint64_t tensors = 0, values = 0, bytes = 0;
  void add(const GgufTensor& tensor) {
    ++tensors;
    values += values_in(tensor);
    bytes += tensor.bytes.size();
  }
  std::vector<std::string> cells(const std::string& name) const {
    const double bits = static_cast<double>(bytes) * 8 / static_cast<double>(values);
    return {name, std::to_string(tensors), humanize_count(values), humanize_bytes(bytes),
            fmt::format("{:.2f}", bits)};
  }
};

std::string totals_table(const GgufFile& file) {
  using enum Table::Align;
  std::map<TensorType, Sum> by_type;
  Sum total;
  for (const GgufTensor& tensor : file.tensors()) {
    by_type[tensor.type].add(tensor);
    total.add(tensor);
  }
  Table table({left, right, right, right, right});
  table.row({"type", "tensors", "parameters", "size", "bits each"});
  for (const auto& [type, sum] : by_type) table.row(sum.cells(type_label(type)));
  table.row(total.cells("total"));
  return fmt::format("Parameters: {}\n", total.values) + table.text();
}

// `value` in steps of a thousand with three significant digits.
std::string humanize(uint64_t value, const std::array<const char*, 6>& units) {
  if (value < 1000) return std::to_string(value) + units[0];
  double scaled = static_cast<double>(value);
  size_t unit = 0;
  while (scaled >= 999.5 && unit + 1 < units.size()) {
    scaled /= 1000;
    ++unit;
  }
  const int decimals = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", scaled, decimals, units[unit]);
}

}  // namespace

std::string humanize_bytes(uint64_t bytes) {
  return humanize(bytes, {" B", " kB", " MB", " GB", " TB", " PB"});
}

std::string humanize_count(uint64_t count) {
  return humanize(count, {"", "K", "M", "B", "T", "Q"});
}

std::string inspect_table(const GgufFile& file) {
  std::string out =
      fmt::format("{}: GGUF v{}, {}, alignment {}\n\n", printable(file.path(), 4096),
                  file.version(), humanize_bytes(file.size_bytes()), file.alignment());
  out += metadata_table(file);
  if (file.tensors().empty()) return out + "\nTensors: none; a vocabulary-only file\n";
  return out + "\n" + tensor_table(file) + "\n" + totals_table(file);
}

}  // namespace bessemer
