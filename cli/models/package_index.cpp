#include "cli/models/package_index.h"

#include <optional>

#include "common/json.h"

namespace bessemer {
namespace {

// `address` as a link on the page at `page_url` (RFC 3986, section 5.2; dots in the path are left to
// the downloader).
std::string absolute(const std::string& page_url, const std::string& address) {
  if (address.find("://") != std::string::npos) return address;
  const size_t scheme = page_url.find("://");
  if (address.starts_with("//")) return page_url.substr(0, scheme + 1) + address;
  if (address.starts_with('/')) return page_url.substr(0, page_url.find('/', scheme + 3)) + address;
  return page_url.substr(0, page_url.rfind('/') + 1) + address;
}

std::optional<std::string> find_in_json(const json::value& index, std::string_view sha256) {
  const json::object* page = index.if_object();
  const json::value* list = page == nullptr ? nullptr : page->if_contains("files");
  const json::array* files = list == nullptr ? nullptr : list->if_array();
  if (files == nullptr) return std::nullopt;
  for (const json::value& file : *files) {
    const json::object* fields = file.if_object();
    if (fields == nullptr) continue;
    const json::value *url = fields->if_contains("url"), *hashes = fields->if_contains("hashes");
    const json::object* known = hashes == nullptr ? nullptr : hashes->if_object();
    const json::value* hash = known == nullptr ? nullptr : known->if_contains("sha256");
    if (url == nullptr || !url->is_string() || hash == nullptr || !hash->is_string()) continue;
    if (std::string_view(hash->get_string()) == sha256) return std::string(url->get_string());
  }
  return std::nullopt;
}

// The only character that addresses have and HTML escapes.
std::string unescape(std::string text) {
  constexpr std::string_view kEscaped = "&amp;";
  for (size_t at = 0; (at = text.find(kEscaped, at)) != std::string::npos; ++at)
    text.replace(at, kEscaped.size(), "&");
  return text;
}

// PEP 503: each file is an anchor whose address ends with "#sha256=<hash>".
std::optional<std::string> find_in_html(std::string_view body, std::string_view sha256) {
  const std::string fragment = "#sha256=" + std::string(sha256);
  const size_t end = body.find(fragment);
  if (end == std::string_view::npos) return std::nullopt;
  const size_t begin = body.find_last_of("\"'", end);
  if (begin == std::string_view::npos) return std::nullopt;
  return unescape(std::string(body.substr(begin + 1, end - begin - 1)));
}

}  // namespace

StatusOr<std::string> find_in_index(const std::string& page_url, std::string_view body,
                                    std::string_view sha256) {
  std::optional<std::string> address;
  const size_t first = body.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && body[first] == '<') {
    address = find_in_html(body, sha256);
  } else {
    const StatusOr<json::value> index = parse_json(body);
    if (!index.ok()) {
      return absl::FailedPreconditionError(page_url +
                                           " is no page of a Python package index: neither JSON "
                                           "(PEP 691) nor HTML (PEP 503)");
    }
    address = find_in_json(*index, sha256);
  }
  if (!address) {
    return absl::NotFoundError(page_url + " lists no file with SHA-256 " + std::string(sha256));
  }
  return absolute(page_url, *address);
}

}  // namespace bessemer
