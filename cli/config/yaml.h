// The configuration file: YAML whose keys are the field names of cli/config/fields.h.
#pragma once
#include <string>
#include <vector>

#include "cli/config/fields.h"
#include "common/status.h"

namespace bessemer {

// Each reads `path` over the values already in `config`. Errors name file, line, key and what was
// expected; an unknown key is an error with a suggestion. A serve file has the keys model, workers,
// log_level, log_json and the maps router and worker.
Status read_yaml(const std::string& path, ServeConfig& config);
Status read_yaml(const std::string& path, RouterConfig& config, LogConfig& log);
Status read_yaml(const std::string& path, WorkerConfig& config, LogConfig& log);

// The file of tenants: one list `tenants` of maps.
StatusOr<std::vector<TenantConfig>> read_tenants(const std::string& path);

// The same, as read_yaml takes it.
std::string print_yaml(const ServeConfig& config);
std::string print_yaml(const RouterConfig& config, const LogConfig& log);
std::string print_yaml(const WorkerConfig& config, const LogConfig& log);

}  // namespace bessemer
