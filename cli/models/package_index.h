// The page of a project in a Python package index, in either form that indexes give: JSON (PEP 691)
// or HTML (PEP 503; all that many mirrors have).
#pragma once
#include <string>
#include <string_view>

#include "common/status.h"

namespace bessemer {

// What to ask for.
constexpr std::string_view kIndexAccept =
    "Accept: application/vnd.pypi.simple.v1+json, text/html;q=0.5";

// The absolute address of the listed file whose SHA-256 (hex) is given. `page_url` is where `body`
// came from; addresses in it may be relative. NotFound: the page lists no such file.
StatusOr<std::string> find_in_index(const std::string& page_url, std::string_view body,
                                    std::string_view sha256);

}  // namespace bessemer
