// The built-in page, put into the binary at build time from router/page/index.html.
#pragma once
#include <string_view>

namespace bessemer {

std::string_view page_html();

}  // namespace bessemer
