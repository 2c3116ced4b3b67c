// Serialised vocabularies on disk, by content hash, so that a restarted router does not fetch them
// again.
#pragma once
#include <optional>
#include <string>

#include "common/status.h"

namespace bessemer {

class VocabularyCache {
 public:
  // `folder` is made when it is first written to; empty: nothing is kept.
  explicit VocabularyCache(std::string folder) : folder_(std::move(folder)) {}

  // nullopt: not there, or what is there does not have that hash any more.
  std::optional<std::string> load(const std::string& hash) const;
  // Atomic: a reader sees all of it or none. Errors name the file.
  Status store(const std::string& hash, const std::string& bytes) const;

 private:
  std::string path_of(const std::string& hash) const;
  const std::string folder_;
};

}  // namespace bessemer
