"""Random templates over a few variables: expressions of every kind, within random statements. Half of them make sense."""
import random

VARIABLES = {
    "a": 7, "b": -3, "f": 2.5, "s": "Hello, wörld 日", "e": "", "n": None, "t": True,
    "l": [3, 1, 2], "w": ["pear", "Apple", "fig"], "d": {"k": 1, "m": [1, 2], "x": {"y": "z"}},
    "o": [{"r": "user", "c": "hi"}, {"r": "bot", "c": " yo "}, {"r": "user", "c": ""}],
}

STRINGS = ["''", "'a'", "'l'", "', '", "'Hello'", "'%s-%s'", "'{}'", "'k'", "'日'", "'1.5'", "'42'", "' x '", '"q\'s"', "'\\n'"]
NUMBERS = ["0", "1", "2", "-1", "3", "10", "2.5", "0.1", "1e3", "true", "false"]
NAMES = [*VARIABLES, "undef"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean",
         "true", "false", "odd", "even", "lower", "upper", "callable"]
TESTS_WITH = ["divisibleby", "eq", "ne", "lt", "gt", "ge", "in", "sameas", "equalto"]
TEXT_FILTERS = ["upper", "lower", "title", "capitalize", "trim", "length", "list", "first", "last", "string", "int", "float",
                "join", "reverse|list", "sort", "unique|list", "min", "max", "sum", "tojson", "e", "wordcount", "urlencode",
                "default('D')", "default('D', true)", "replace('a', 'b')", "replace('l', 'L', 1)", "indent(2)", "center(9)",
                "truncate(5, true, '..', 0)", "batch(2)|list", "slice(2)|list", "map('upper')|list", "select|list",
                "reject('none')|list", "select('string')|list", "map(attribute='c')|list", "selectattr('c')|list",
                "rejectattr('r', 'eq', 'user')|map(attribute='c')|join('+')", "groupby('r')", "dictsort", "items|list", "round(1)", "round",
                "abs", "join('-')", "tojson(indent=2)", "tojson(sort_keys=true)", "wordwrap(5)", "attr('upper') is defined",
                "sort(reverse=true)", "sort(attribute='c')|length", "format(1, 2)", "d('x')", "count", "pprint", "filesizeformat",
                "map('length')|list", "map('string')|sort|join", "sum(start=10)", "trim('x')", "int(5)", "max|string", "forceescape"]
METHODS = ["upper()", "lower()", "strip()", "split()", "split(',')", "split('l', 1)", "title()", "startswith('H')", "endswith(('d', '日'))",
           "find('l')", "count('l')", "replace('l', 'r')", "items()|list", "keys()|list", "values()|list", "get('k')",
           "get('zz', 5)", "join(w)", "format(1)", "splitlines()", "isdigit()", "isalpha()", "rsplit('l', 1)", "lstrip('H')",
           "capitalize()", "zfill(6)", "center(8, '*')", "partition('l')", "index(1)", "swapcase()", "append(1)", "k", "x.y", "m[1]", "zz"]


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = list(NAMES)

    def pick(self, items):
        return self.random.choice(items)

    def atom(self):
        return self.pick([self.pick(self.names), self.pick(self.names), self.pick(STRINGS), self.pick(NUMBERS), "none"])

    def index(self, depth):
        parts = [self.pick(["", "0", "1", "-1", "2", "a", "n"]) for _ in range(3)]
        return self.pick([parts[1] or "0", "'k'", "'x'", ":".join(parts[:2]), ":".join(parts), self.expression(depth - 2)])

    def expression(self, depth):
        if depth <= 0:
            return self.atom()
        sub = lambda: self.expression(depth - 1)
        kind = self.random.randrange(16)
        if kind < 4:
            return f"{sub()} {self.pick(BINARY)} {sub()}"
        if kind == 4:
            return f"({sub()})"
        if kind == 5:
            return f"{self.pick(['not ', '-', '+'])}{sub()}"
        if kind < 9:
            return f"{self.postfixable(depth)}|{self.pick(TEXT_FILTERS)}"
        if kind == 9:
            return f"{self.postfixable(depth)}.{self.pick(METHODS)}"
        if kind == 10:
            return f"{self.postfixable(depth)}[{self.index(depth)}]"
        if kind == 11:
            return f"{sub()} is {self.pick(['', 'not '])}{self.pick(TESTS)}"
        if kind == 12:
            return f"{sub()} is {self.pick(TESTS_WITH)}({sub()})"
        if kind == 13:
            return f"({sub()} if {sub()}{self.pick([f' else {sub()}', ''])})"
        if kind == 14:
            return f"[{sub()}, {sub()}]" if self.random.random() < 0.6 else f"{{'p': {sub()}, {self.atom()}: {sub()}}}"
        return self.pick([f"range({sub()})|list", f"dict(z={sub()})", f"({sub()}, {sub()})", f"'%s|%r' % ({sub()}, {sub()})",
                          f"'{{}}:{{!r}}'.format({sub()}, {sub()})"])

    def postfixable(self, depth):
        return self.atom() if self.random.random() < 0.6 else f"({self.expression(depth - 1)})"

    def statement(self, depth):
        dash = lambda: self.pick(["", "", "", "-", "+"])
        end = lambda: self.pick(["", "", "", "-"])
        tag = lambda body: f"{{%{dash()} {body} {end()}%}}{self.pick(['', chr(10), ' ', chr(10) + '  '])}"
        expression = lambda: self.expression(self.random.randrange(3))
        if depth <= 0:
            return self.pick([f"{{{{ {expression()} }}}}", f"{{{{- {expression()} -}}}}", " text ", "\n", "{# c #}"])
        inner = lambda: "".join(self.statement(depth - 1) for _ in range(self.random.randrange(1, 3)))
        kind = self.random.randrange(8)
        if kind < 2:
            otherwise = tag("else") + inner() if self.random.random() < 0.5 else ""
            return tag(f"if {expression()}") + inner() + otherwise + tag("endif")
        if kind < 4:
            name = self.pick(["i", "j", "a", "s"])
            self.names.append(name)
            test = f" if {expression()}" if self.random.random() < 0.3 else ""
            extra = self.pick(["", "{{ loop.index }}", "{{ loop.last }}", "{% if loop.index > 1 %}{% break %}{% endif %}", "{{ loop.length }}",
                               "{{ loop.nextitem }}", "{% if i %}{% continue %}{% endif %}"])
            otherwise = tag("else") + inner() if self.random.random() < 0.2 else ""
            return tag(f"for {name} in {self.pick(['l', 'w', 'd', 'o', 's', 'range(3)', expression()])}{test}") + inner() + extra + \
                otherwise + tag("endfor")
        if kind == 4:
            name = self.pick(["v", "a", "s", "l"])
            text = tag(f"set {name} = {expression()}")
            self.names.append(name)
            return text + inner()
        if kind == 5:
            return tag("set v") + inner() + tag("endset") + "{{ v }}"
        if kind == 6:
            return tag("macro m(p, q=a)") + inner() + "{{ p }}{{ q }}" + tag("endmacro") + f"{{{{ m({expression()}) }}}}"
        return self.pick([tag("filter upper") + inner() + tag("endfilter"), tag(f"with a = {expression()}") + inner() + tag("endwith")])


def generate(count, seed):
    for number in range(count):
        generator = Generator(f"{seed}/{number}")
        if number % 2 == 0:
            template = "{{ " + generator.expression(generator.random.randrange(1, 5)) + " }}"
        else:
            template = "".join(generator.statement(generator.random.randrange(1, 4)) for _ in range(3))
        yield f"random {seed}/{number}", template, VARIABLES
