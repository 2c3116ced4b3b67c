#include "router/text/jinja/iterate.h"

#include <vector>

#include "router/text/jinja/loop.h"
#include "router/text/jinja/unicode.h"

namespace bessemer::jinja {
namespace {

class ItemIterator final : public Iterator {
 public:
  explicit ItemIterator(std::span<const Value> items) : items_(items) {}
  StatusOr<bool> next(Runtime& runtime, Value& out) override {
    RETURN_IF_ERROR(runtime.charge());
    if (items_.empty()) return false;
    out = items_.front();
    items_ = items_.subspan(1);
    return true;
  }

 private:
  std::span<const Value> items_;
};

class CharacterIterator final : public Iterator {
 public:
  explicit CharacterIterator(std::string_view text) : text_(text) {}
  StatusOr<bool> next(Runtime& runtime, Value& out) override {
    RETURN_IF_ERROR(runtime.charge());
    if (offset_ == text_.size()) return false;
    const size_t begin = offset_;
    unicode::next(text_, offset_);
    out = text_value(text_.substr(begin, offset_ - begin));
    return true;
  }

 private:
  std::string_view text_;
  size_t offset_ = 0;
};

class RangeIterator final : public Iterator {
 public:
  explicit RangeIterator(const Range& range) : range_(range), size_(range.size()) {}
  StatusOr<bool> next(Runtime& runtime, Value& out) override {
    RETURN_IF_ERROR(runtime.charge());
    if (index_ == size_) return false;
    out = int_value(range_.at(index_++));
    return true;
  }

 private:
  Range range_;
  Int size_, index_ = 0;
};

class DictIterator final : public Iterator {
 public:
  DictIterator(const Dict& dict, uint8_t what) : entries_(dict.entries), what_(what) {}
  StatusOr<bool> next(Runtime& runtime, Value& out) override {
    RETURN_IF_ERROR(runtime.charge());
    if (entries_.empty()) return false;
    const Entry& entry = entries_.front();
    entries_ = entries_.subspan(1);
    if (what_ != Value::kItems) {
      out = what_ == Value::kKeys ? entry.key : entry.value;
      return true;
    }
    const Value pair[] = {entry.key, entry.value};
    ASSIGN_OR_RETURN(out, runtime.tuple(pair));
    return true;
  }

 private:
  std::span<const Entry> entries_;
  uint8_t what_;
};

}  // namespace

Value iterator_value(Runtime& runtime, std::span<const Value> items) {
  return iterator_value(runtime.make(ItemIterator(items)));
}

bool is_iterable(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::range:
    case Kind::view:
    case Kind::iterator:
    case Kind::loop:
      return true;
    default:
      return false;
  }
}

StatusOr<Iterator*> iterate(Runtime& runtime, const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return runtime.make(ItemIterator({}));
    case Kind::string:
      return runtime.make(CharacterIterator(value.text()));
    case Kind::list:
    case Kind::tuple:
      return runtime.make(ItemIterator(value.elements()));
    case Kind::dict:
      return runtime.make(DictIterator(*value.dict, Value::kKeys));
    case Kind::view:
      return runtime.make(DictIterator(*value.dict, value.flavour));
    case Kind::range:
      return runtime.make(RangeIterator(*value.range));
    case Kind::iterator:
      return value.iterator;
    default:
      return fail("'{}' object is not iterable", type_name(value));
  }
}

StatusOr<std::span<const Value>> to_items(Runtime& runtime, const Value& value) {
  if (value.is_sequence()) return value.elements();
  ASSIGN_OR_RETURN(Iterator* const iterator, iterate(runtime, value));
  std::vector<Value> items;
  for (Value item;;) {
    ASSIGN_OR_RETURN(const bool more, iterator->next(runtime, item));
    if (!more) break;
    if (items.size() == items.capacity()) {
      RETURN_IF_ERROR(runtime.reserve(2 * items.size() * sizeof(Value)));
    }
    items.push_back(item);
  }
  ASSIGN_OR_RETURN(const Value list, runtime.list(items));
  return list.elements();
}

std::optional<Int> size_of(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return 0;
    case Kind::string:
      return static_cast<Int>(unicode::length(value.text()));
    case Kind::list:
    case Kind::tuple:
      return value.size;
    case Kind::dict:
    case Kind::view:
      return static_cast<Int>(value.dict->entries.size());
    case Kind::range:
      return value.range->size();
    default:
      return std::nullopt;
  }
}

StatusOr<Int> length(const Value& value) {
  if (const std::optional<Int> size = size_of(value)) return *size;
  return fail("object of type '{}' has no len()", type_name(value));
}

}  // namespace bessemer::jinja
