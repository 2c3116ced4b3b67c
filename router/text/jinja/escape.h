// HTML escaping, as markupsafe does it.
#pragma once
#include <string_view>

#include "router/text/jinja/runtime.h"

namespace bessemer::jinja {

inline void escape_html(TextBuilder& out, std::string_view text) {
  for (const char character : text) {
    switch (character) {
      case '&':
        out.add("&amp;");
        break;
      case '<':
        out.add("&lt;");
        break;
      case '>':
        out.add("&gt;");
        break;
      case '"':
        out.add("&#34;");
        break;
      case '\'':
        out.add("&#39;");
        break;
      default:
        out.add(character);
    }
  }
}

}  // namespace bessemer::jinja
