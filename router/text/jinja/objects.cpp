#include "router/text/jinja/objects.h"

#include "router/text/jinja/operators.h"

namespace bessemer::jinja {
namespace {

struct Parameter {
  std::string_view name;
  bool required, positional_only;
};

Parameter parse(std::string_view text) {
  Parameter parameter{text, text.ends_with('!'), text.starts_with('/')};
  if (parameter.required) parameter.name.remove_suffix(1);
  if (parameter.positional_only) parameter.name.remove_prefix(1);
  return parameter;
}

}  // namespace

StatusOr<Value> Native::call(Runtime& runtime, const Value& self,
                             const Arguments& arguments) const {
  if (parameters[0] == "*") return run(runtime, self, arguments);
  std::array<Value, 5> bound;
  size_t count = 0;
  while (count < parameters.size() && !parameters[count].empty()) ++count;
  if (arguments.positional.size() > count) {
    return fail("{}() takes at most {} argument(s), {} given", name, count,
                arguments.positional.size());
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  for (const Arguments::Named& named : arguments.named) {
    size_t at = 0;
    while (at < count &&
           (parse(parameters[at]).name != named.name || parse(parameters[at]).positional_only))
      ++at;
    if (at == count) return fail("{}() has no argument named '{}'", name, named.name);
    if (bound[at].given()) return fail("{}() got two values for argument '{}'", name, named.name);
    bound[at] = named.value;
  }
  for (size_t at = 0; at < count; ++at) {
    const Parameter parameter = parse(parameters[at]);
    if (parameter.required && !bound[at].given())
      return fail("{}() needs argument '{}'", name, parameter.name);
  }
  return run(runtime, self, {std::span(bound).first(count), {}});
}

Value bind(Runtime& runtime, const Native& native, const Value& self) {
  return {.kind = Kind::native, .native = runtime.make(BoundNative{&native, self})};
}

const Value* Namespace::find(std::string_view name) const {
  for (const Attribute& attribute : attributes()) {
    if (attribute.name == name) return &attribute.value;
  }
  return nullptr;
}

Status Namespace::set(Runtime& runtime, std::string_view name, const Value& value) {
  RETURN_IF_ERROR(runtime.charge(1 + size / 16));
  for (Attribute& attribute : room.first(size)) {
    if (attribute.name != name) continue;
    attribute.value = value;
    return {};
  }
  if (size == room.size()) {
    ASSIGN_OR_RETURN(const std::span<Attribute> larger,
                     runtime.array<Attribute>(size == 0 ? 4 : 2 * size));
    std::copy(room.begin(), room.end(), larger.begin());
    room = larger;
  }
  room[size++] = {name, value};
  return {};
}

Status DictBuilder::set(const Value& key, const Value& value) {
  return insert(key, value).status();
}

StatusOr<bool> DictBuilder::insert(const Value& key, const Value& value) {
  RETURN_IF_ERROR(runtime_->charge());
  ASSIGN_OR_RETURN(const size_t known, find_position(*runtime_, Dict{entries_, slots_}, key));
  if (known != kNowhere) {
    entries_[known].value = value;
    return false;
  }
  entries_.push_back({key, value});
  if (entries_.size() <= kScanned) return true;
  if (2 * entries_.size() > slots_.size()) {
    RETURN_IF_ERROR(index_all());
  } else {
    ASSIGN_OR_RETURN(const uint64_t code, hash(key));
    place(code, entries_.size() - 1);
  }
  return true;
}

Status DictBuilder::index_all() {
  RETURN_IF_ERROR(runtime_->reserve(2 * entries_.size() * sizeof(Entry)));
  slots_.assign(std::max<size_t>(4 * kScanned, 2 * slots_.size()), 0);
  for (size_t position = 0; position < entries_.size(); ++position) {
    ASSIGN_OR_RETURN(const uint64_t code, hash(entries_[position].key));
    place(code, position);
  }
  return {};
}

void DictBuilder::place(uint64_t code, size_t position) {
  size_t slot = code & (slots_.size() - 1);
  while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = static_cast<uint32_t>(position + 1);
}

StatusOr<Value> DictBuilder::take() {
  ASSIGN_OR_RETURN(const std::span<Entry> entries, runtime_->array<Entry>(entries_.size()));
  std::copy(entries_.begin(), entries_.end(), entries.begin());
  ASSIGN_OR_RETURN(const std::span<uint32_t> slots, runtime_->array<uint32_t>(slots_.size()));
  std::copy(slots_.begin(), slots_.end(), slots.begin());
  return dict_value(runtime_->make(Dict{entries, slots}));
}

}  // namespace bessemer::jinja
