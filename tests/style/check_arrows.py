#!/usr/bin/env python3
"""Checks the directions of #include against cmake/arrows.txt.

    check_arrows.py [ROOT]

Every quoted #include must name a file of the project by its path from the root, and the including file's folder must be
allowed to include it. Prints one line per forbidden arrow with the rule and the remedy; exits 1 if there is any.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def read_rules(path):
    rules = {}
    for line in path.read_text().splitlines():
        line = line.split("#", 1)[0].strip()
        if line:
            folder, allowed = line.split(":", 1)
            rules[folder.strip()] = allowed.split()
    return rules


def within(path, prefix):
    return path == prefix or path.startswith(prefix + "/")


def rule_of(path, rules):
    matches = [folder for folder in rules if within(path, folder)]
    return max(matches, key=len) if matches else None


def check(root):
    rules = read_rules(root / "cmake" / "arrows.txt")
    problems = []
    files = [p for top in {f.split("/")[0] for f in rules} for p in (root / top).rglob("*") if p.suffix in (".h", ".cpp", ".cu", ".cuh")]
    for file in sorted(files):
        path = file.relative_to(root).as_posix()
        rule = rule_of(path, rules)
        for number, line in enumerate(file.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(1)
            if target.startswith("bessemer/v1/"):
                target = "proto/" + target
            elif not (root / target).is_file():
                problems.append(f"{path}:{number}: \"{target}\" is no file of the project; include by the path from the root")
                continue
            allowed = rules[rule]
            if "*" in allowed or rule_of(target, rules) == rule or any(within(target, a) for a in allowed):
                continue
            problems.append(f"{path}:{number}: {rule} must not include {target} (allowed: {' '.join(allowed) or 'itself only'}); "
                            "move the code, or change cmake/arrows.txt with a reason in the commit")
    return len(files), problems


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    count, problems = check(root)
    print("\n".join(problems))
    print(f"{count} files, {len(problems)} forbidden includes")
    return 1 if problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
