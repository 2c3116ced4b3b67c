#!/usr/bin/env python3
"""Each type and each inline function of a namespace is defined in one file only.

Router and worker are linked into one program: two types of one name in one namespace would share their vectors' code, since a
linker keeps one copy of an inline function and never compares them. No compiler or linker says so.

    check_names.py [ROOT]
"""
import pathlib
import re
import subprocess
import sys

TYPE = re.compile(r"^(?:struct|class|union|enum(?: class)?) (\w+(?:::\w+)*)[^;()]*(?:\{|$)")
# Return type, name, parameters; at the start of a line, as everything at namespace scope is.
INLINE = re.compile(r"^(?:template <.*> )?(?:\[\[\w+\]\] )?(?:inline|constexpr|consteval)\b[^=;({]*?(\w+)(\(.*?)(?:\{|$)")
INLINE_VALUE = re.compile(r"^inline constexpr [^=;(]*?(\w+)(?: =|\{)")
OPENS = re.compile(r"^(?:inline )?namespace ?([\w:]*) ?\{")
OWN_PROGRAMS = ("tests/", "bench/")
CLOSES = re.compile(r"^\}\s+// namespace")


def definitions(lines):
    """(name, line number) of what other files could define as well: not what stands in an unnamed namespace."""
    stack = []
    for number, line in enumerate(lines, 1):
        if match := OPENS.match(line):
            if not line.rstrip().endswith("}"):
                stack.append(match.group(1))
        elif CLOSES.match(line):
            stack.pop()
        elif "" in stack:
            continue
        elif match := TYPE.match(line):
            yield "::".join([*stack, match.group(1)]), number
        elif match := INLINE.match(line):
            yield "::".join([*stack, match.group(1)]) + re.sub(r"\s+", "", match.group(2)), number
        elif match := INLINE_VALUE.match(line):
            yield "::".join([*stack, match.group(1)]), number


def collisions(sources):
    """sources: [(file, lines)]. Tests and benchmarks are programs of their own: only the product's names are kept from them."""
    seen = {}
    for file, lines in sorted(sources, key=lambda source: source[0].startswith(OWN_PROGRAMS)):
        for name, number in definitions(lines):
            other = seen.get(name, f"{file}:{number}")
            if not other.startswith(file + ":"):
                yield f"{file}:{number}: {name} is defined in {other} too; rename one, or put it into an unnamed namespace"
            elif not file.startswith(OWN_PROGRAMS):
                seen[name] = other


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    files = subprocess.run(["git", "-C", root, "ls-files", "*.h", "*.cpp"], check=True, capture_output=True, text=True).stdout.split()
    wrong = list(collisions([(file, (root / file).read_text(encoding="utf-8").splitlines()) for file in files]))
    print("\n".join(wrong) if wrong else f"{len(files)} files, every name defined once")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
