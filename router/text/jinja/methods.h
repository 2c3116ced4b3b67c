// The methods that values have, under Python's names. Those that would change a list or dict are
// refused, as in Jinja2's immutable sandbox.
#pragma once
#include <vector>

#include "router/text/jinja/objects.h"

namespace bessemer::jinja {

// Null: no such method.
const Native* find_text_method(std::string_view name);
const Native* find_list_method(std::string_view name);
const Native* find_sequence_method(std::string_view name);  // of lists and tuples
const Native* find_dict_method(std::string_view name);
const Native* find_loop_method(std::string_view name);
const Native* find_cycler_method(std::string_view name);

// Methods of Python's list and dict that change them.
bool changes_object(const Value& object, std::string_view name);

// Where `needle` begins in `text` at or behind `from`; npos: nowhere. Linear in both.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);
// Python's str.replace(); count < 0: all of them.
Status replace_text(Runtime& runtime, TextBuilder& out, std::string_view text,
                    std::string_view old_text, std::string_view new_text, Int count);
// Python's str.splitlines().
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
// Padded to `width` characters as str.center() does.
StatusOr<Value> center(Runtime& runtime, std::string_view text, Int width, char32_t fill);

}  // namespace bessemer::jinja
