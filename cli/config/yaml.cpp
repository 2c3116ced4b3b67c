#include "cli/config/yaml.h"

#include <type_traits>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "cli/config/suggest.h"

namespace bessemer {
namespace {

template <typename T>
constexpr const char* type_name() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return "a list of strings";
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
    T value;
    // yaml-cpp reports a wrong type through the return of decode; as<T>() would throw.
    if (!YAML::convert<T>::decode(node, value)) {
      error_ = at(node, fmt::format("{}{} must be {}", where_, name, type_name<T>()));
      return;
    }
    member = std::move(value);
  }

  // A nested map is read by somebody else.
  void skip(const char* name) { known_.push_back(name); }

  Status complain() const {
    RETURN_IF_ERROR(error_);
    if (map_.IsNull() || !map_.IsDefined()) return absl::OkStatus();
    if (!map_.IsMap())
      return at(map_, (where_.empty() ? "the file" : where_) + " must be a map of settings");
    for (const auto& entry : map_) {
      const std::string key = entry.first.Scalar();
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      return at(entry.first, "unknown setting '" + where_ + key + "'" + did_you_mean(key, known_));
    }
    return absl::OkStatus();
  }

 private:
  Status at(const YAML::Node& node, const std::string& what) const {
    return absl::InvalidArgumentError(fmt::format("{}:{}: {}", path_, node.Mark().line + 1, what));
  }

  std::string path_, where_;
  YAML::Node map_;
  std::vector<std::string> known_;
  Status error_;
};

StatusOr<YAML::Node> load(const std::string& path) {
  try {
    return YAML::LoadFile(path);
  } catch (const YAML::BadFile&) {
    return absl::NotFoundError("cannot read the configuration file " + path);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        fmt::format("{}:{}: {}", path, error.mark.line + 1, error.msg));
  }
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
  reader.skip("router");
  reader.skip("worker");
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
