#include "cli/config/yaml.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <type_traits>

#include <fmt/format.h>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "cli/config/suggest.h"
#include "common/file.h"
#include "router/text/unicode.h"

namespace bessemer {
namespace {

// A file that sets everything there is, with a thousand workers by name, has 50 KB.
constexpr size_t kMaxFileBytes = size_t{1} << 20;

Status error_at(const std::string& path, const YAML::Mark& mark, const std::string& what) {
  const int line = std::max(mark.line, 0) + 1;  // an empty file has no mark
  return absl::InvalidArgumentError(fmt::format("{}:{}: {}", path, line, what));
}

template <typename T>
constexpr const char* type_name() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (std::is_integral_v<T>) return "a whole number";
  return "a number";
}

// One map of the file: fields are offered one by one, then complain() names what is left.
class MapReader {
 public:
  MapReader(std::string path, std::string where, const YAML::Node& map)
      : path_(std::move(path)), where_(std::move(where)), map_(map) {}

  template <typename T>
  void operator()(const char* name, T& member, const char*) {
    known_.push_back(name);
    const YAML::Node node = map_.IsMap() ? map_[name] : YAML::Node(YAML::NodeType::Undefined);
    if (!node.IsDefined() || !error_.ok()) return;
    T value{};
    error_ = decode(node, where_ + name, value);
    if (error_.ok()) member = std::move(value);
  }

  // A nested map is read by somebody else; a setting of its that stands here is told where it goes.
  template <typename Config>
  void skip(const char* name, Config& config) {
    known_.push_back(name);
    visit_fields(config, [&](const char* field, auto&, const char*) {
      elsewhere_.push_back(std::string(name) + "." + field);
    });
  }

  Status complain() const {
    RETURN_IF_ERROR(error_);
    if (map_.IsNull() || !map_.IsDefined()) return absl::OkStatus();
    if (!map_.IsMap()) return at(map_, title() + " must be a map of settings");
    std::set<std::string> seen;
    for (const auto& entry : map_) RETURN_IF_ERROR(check_key(entry.first, seen));
    return absl::OkStatus();
  }

 private:
  // "the file", "router".
  std::string title() const {
    return where_.empty() ? "the file" : where_.substr(0, where_.size() - 1);
  }

  Status check_key(const YAML::Node& node, std::set<std::string>& seen) const {
    if (!node.IsScalar()) return at(node, "the name of a setting must be plain text");
    const std::string& key = node.Scalar();
    if (std::find(known_.begin(), known_.end(), key) == known_.end())
      return at(node, "unknown setting '" + where_ + key + "'" + hint(key));
    if (!seen.insert(key).second) return at(node, where_ + key + " is set twice");
    return absl::OkStatus();
  }

  std::string hint(const std::string& key) const {
    const auto same = std::ranges::find_if(
        elsewhere_, [&](const std::string& field) { return field.ends_with("." + key); });
    if (same != elsewhere_.end()) return " (did you mean '" + *same + "'?)";
    std::vector<std::string> all = known_;
    all.insert(all.end(), elsewhere_.begin(), elsewhere_.end());
    return did_you_mean(key, all);
  }

  template <typename T>
  Status decode(const YAML::Node& node, const std::string& name, T& value) const {
    // yaml-cpp reports a wrong type through the return of decode; as<T>() would throw.
    if (YAML::convert<T>::decode(node, value)) return absl::OkStatus();
    return at(node, fmt::format("{} must be {}", name, type_name<T>()));
  }
  // One by one: yaml-cpp's decode of a list calls as<T>() for its items, which throws.
  Status decode(const YAML::Node& node, const std::string& name,
                std::vector<std::string>& list) const {
    if (!node.IsSequence()) return at(node, name + " must be a list of strings");
    for (const YAML::Node& item : node)
      RETURN_IF_ERROR(decode(item, fmt::format("{}[{}]", name, list.size()), list.emplace_back()));
    return absl::OkStatus();
  }

  Status at(const YAML::Node& node, const std::string& what) const {
    return error_at(path_, node.Mark(), what);
  }

  std::string path_, where_;
  YAML::Node map_;
  std::vector<std::string> known_;
  std::vector<std::string> elsewhere_;  // "router.port"
  Status error_;
};

// UTF-8, and of the control characters only those that YAML has in text: yaml-cpp takes others for
// its own marks (4 is its end of file), and would end there without a word.
Status check_characters(const std::string& path, const std::string& text) {
  const auto is_control = [](char byte) {
    return static_cast<unsigned char>(byte) < ' ' && byte != '\n' && byte != '\r' && byte != '\t';
  };
  const auto control = std::find_if(text.begin(), text.end(), is_control);
  const size_t good =
      std::min(valid_utf8_prefix(text), static_cast<size_t>(std::distance(text.begin(), control)));
  if (good == text.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "{}:{}: byte 0x{:02x} cannot be here: a configuration file is text in UTF-8", path,
      std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(good), '\n') + 1,
      static_cast<unsigned char>(text[good])));
}

// Where the last document that was handed to it starts.
class DocumentStart final : public YAML::EventHandler {
 public:
  YAML::Mark mark;

 private:
  void OnDocumentStart(const YAML::Mark& start) override { mark = start; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// YAML::Load reads the first document and is silent about what follows; a stray sign ends a
// document too. (LoadAll does not come back from such a sign.)
Status check_one_document(const std::string& path, const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStart document;
  if (!parser.HandleNextDocument(document) || !parser.HandleNextDocument(document))
    return absl::OkStatus();
  return error_at(path, document.mark,
                  "this does not belong to the settings before it: a stray sign, or a second "
                  "document");
}

StatusOr<YAML::Node> parse(const std::string& path, const std::string& text) {
  try {
    RETURN_IF_ERROR(check_one_document(path, text));
    return YAML::Load(text);
  } catch (const YAML::DeepRecursion& error) {
    return error_at(path, error.mark, "maps and lists are nested too deeply");
  } catch (const YAML::Exception& error) {
    return error_at(path, error.mark, error.msg);
  }
}

// `what` the file is, where it cannot be read.
StatusOr<YAML::Node> load(const std::string& path, const char* what = "the configuration file") {
  StatusOr<std::string> text = read_file(path, kMaxFileBytes);
  if (!text.ok()) return annotate(text.status(), what);
  RETURN_IF_ERROR(check_characters(path, *text));
  return parse(path, *text);
}

template <typename Config>
Status read_flat(const std::string& path, Config& config, LogConfig& log) {
  ASSIGN_OR_RETURN(const YAML::Node root, load(path));
  MapReader reader(path, "", root);
  visit_fields(config, reader);
  visit_fields(log, reader);
  return reader.complain();
}

template <typename Config>
Status read_nested(const std::string& path, const YAML::Node& root, const char* name,
                   Config& config) {
  const YAML::Node map = root.IsMap() ? root[name] : YAML::Node(YAML::NodeType::Undefined);
  if (!map.IsDefined()) return absl::OkStatus();
  MapReader reader(path, std::string(name) + ".", map);
  visit_fields(config, reader);
  return reader.complain();
}

class MapWriter {
 public:
  explicit MapWriter(YAML::Emitter& out) : out_(&out) {}
  template <typename T>
  void operator()(const char* name, const T& member, const char* help) {
    *out_ << YAML::Key << name << YAML::Value;
    if constexpr (std::is_same_v<T, std::string>) {
      *out_ << YAML::DoubleQuoted << member;
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      *out_ << YAML::Flow << member;
    } else if constexpr (std::is_same_v<T, double>) {
      *out_ << fmt::format("{}", member);  // as short as it can be read back
    } else {
      *out_ << member;
    }
    *out_ << YAML::Comment(help);
  }

 private:
  YAML::Emitter* out_;
};

template <typename Config>
std::string print_flat(Config config, LogConfig log) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  visit_fields(config, MapWriter(out));
  visit_fields(log, MapWriter(out));
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace

Status read_yaml(const std::string& path, ServeConfig& config) {
  ASSIGN_OR_RETURN(const YAML::Node root, load(path));
  MapReader reader(path, "", root);
  reader("model", config.model, "");
  reader("workers", config.workers, "");
  visit_fields(config.log, reader);
  reader.skip("router", config.router);
  reader.skip("worker", config.worker);
  RETURN_IF_ERROR(reader.complain());
  RETURN_IF_ERROR(read_nested(path, root, "router", config.router));
  return read_nested(path, root, "worker", config.worker);
}

Status read_yaml(const std::string& path, RouterConfig& config, LogConfig& log) {
  return read_flat(path, config, log);
}
Status read_yaml(const std::string& path, WorkerConfig& config, LogConfig& log) {
  return read_flat(path, config, log);
}

StatusOr<std::vector<TenantConfig>> read_tenants(const std::string& path) {
  ASSIGN_OR_RETURN(const YAML::Node root, load(path, "the tenants file"));
  const YAML::Node list = root.IsMap() ? root["tenants"] : YAML::Node(YAML::NodeType::Undefined);
  if (!list.IsDefined() || !list.IsSequence() || root.size() != 1)
    return error_at(path, root.Mark(), "there must be one list here, under the name 'tenants'");
  std::vector<TenantConfig> tenants;
  for (const YAML::Node& item : list) {
    MapReader reader(path, fmt::format("tenants[{}].", tenants.size()), item);
    visit_fields(tenants.emplace_back(), reader);
    RETURN_IF_ERROR(reader.complain());
  }
  return tenants;
}

std::string print_yaml(const ServeConfig& config) {
  ServeConfig copy = config;
  YAML::Emitter out;
  out << YAML::BeginMap;
  MapWriter writer(out);
  writer("model", copy.model, "alias or path of a GGUF file");
  writer("workers", copy.workers, "worker processes on this machine");
  visit_fields(copy.log, writer);
  out << YAML::Key << "router" << YAML::Value << YAML::BeginMap;
  visit_fields(copy.router, writer);
  out << YAML::EndMap << YAML::Key << "worker" << YAML::Value << YAML::BeginMap;
  visit_fields(copy.worker, writer);
  out << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

std::string print_yaml(const RouterConfig& config, const LogConfig& log) {
  return print_flat(config, log);
}
std::string print_yaml(const WorkerConfig& config, const LogConfig& log) {
  return print_flat(config, log);
}

}  // namespace bessemer
