// Tables of the built-in filters, tests and functions.
#pragma once
#include <span>
#include <string_view>

#include "router/text/jinja/objects.h"

namespace bessemer::jinja {

// Null: there is none of that name.
const Native* find_filter(std::string_view name);
const Native* find_test(std::string_view name);
const Native* find_global(std::string_view name);

// The parts of the tables, by subject.
std::span<const Native> text_filters();
std::span<const Native> sequence_filters();
std::span<const Native> selection_filters();  // map, select, reject, selectattr, rejectattr
std::span<const Native> ordering_filters();   // sort, dictsort, groupby, unique, min, max
std::span<const Native> value_filters();      // numbers, conversions, tojson

}  // namespace bessemer::jinja
