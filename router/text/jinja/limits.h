// Every bound of the template engine. A template comes with a model, messages come from anybody:
// both are kept in bounds.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bessemer::jinja {

// The largest published templates have 30 KiB.
constexpr size_t kMaxSourceBytes = size_t{1} << 20;
// Depth of expressions and blocks within each other; the deepest published template reaches 20.
// Bounds the recursion of parser and resolver.
constexpr int kMaxSyntaxDepth = 100;
// Expressions and statements under evaluation at once, macro calls included: as many macro calls
// within each other (about 200) as Python's own stack allows. A level takes below 2 KiB of stack, 4
// KiB with sanitizers.
constexpr int kMaxEvaluationDepth = 1000;
// Lists in lists, when values are compared, printed or hashed. JSON input has at most 64 levels.
constexpr int kMaxValueDepth = 200;
// What Jinja2's sandbox allows.
constexpr size_t kMaxRange = 100'000;
// Width and precision in format strings, padding of center() and the like.
constexpr size_t kMaxPadding = size_t{1} << 20;

struct Limits {
  // One step is a node of the template evaluated, or 64 bytes of text worked through. A
  // conversation of 1,000 messages takes about 100,000; ten million take below a second.
  uint64_t steps = 10'000'000;
  // Values made while rendering; they live until its end. A prompt is copied two or three times on
  // its way.
  size_t memory_bytes = size_t{128} << 20;
  // A million tokens are about 5 MiB.
  size_t output_bytes = size_t{32} << 20;
};

}  // namespace bessemer::jinja
