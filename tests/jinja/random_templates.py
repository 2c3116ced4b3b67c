"""Random templates over a few variables: expressions of every kind, within random statements. Operands mostly have a type
that their operator takes; now and then they have any.

Markup is left out (see router/text/jinja/README.md), and nothing but variables is sliced: Jinja2 folds 2[1:] to nothing, while i[1:] is an error as in Python."""
import random

VARIABLES = {
    "i": 7, "j": -3, "f": 2.5, "s": "Hello, wörld 日", "e": "", "n": None, "t": True,
    "l": [3, 1, 2], "w": ["pear", "Apple", "fig"], "d": {"k": 1, "m": [1, 2], "x": {"y": "z"}},
    "o": [{"r": "user", "c": "hi"}, {"r": "bot", "c": " yo "}, {"r": "user", "c": ""}],
}

ATOMS = {
    "number": ["i", "j", "f", "0", "1", "2", "3", "10", "2.5", "0.1", "1e3", "l[0]", "d.k", "w|length"],
    "text": ["s", "e", "''", "'a'", "'l'", "', '", "'Hello'", "'k'", "'日本'", "'1.5'", "'42'", "' x '", '"q\'s"', "'a\\nb'", "w[1]", "o[0].c"],
    "list": ["l", "w", "o", "[]", "[1, 'x']", "d.m", "s.split()", "d.items()|list", "(1, 2)", "range(4)|list"],
    "dict": ["d", "{}", "{'p': 1, 'q': [2]}", "d.x", "o[0]", "dict(z=1)"],
    "truth": ["t", "true", "false", "n", "undef", "i > 3", "'l' in s"],
}
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean",
         "true", "false", "lower", "upper", "callable"]
# What takes a value of one type and gives another: filters begin with a bar, methods with a dot.
STEPS = {
    ("number", "number"): ["|abs", "|round", "|round(1)", "|int", "|float", "|round(1, 'floor')", "|default(3)"],
    ("number", "text"): ["|string", "|filesizeformat", "|tojson", "|center(7)"],
    ("text", "text"): ["|upper", "|lower", "|title", "|capitalize", "|trim", "|reverse", "|replace('l', 'L')", "|replace('l', '', 1)",
                       "|indent(2)", "|center(9)", "|truncate(5, true, '..', 0)", "|truncate(6, leeway=0)", "|wordwrap(5)", "|urlencode",
                       "|tojson", "|string", "|default('D', true)", "|trim('x')", "|pprint", ".upper()", ".strip()", ".title()",
                       ".replace('l', 'r')", ".lstrip('H')", ".rstrip()", ".capitalize()", ".zfill(6)", ".center(8, '*')",
                       ".swapcase()", ".partition('l')[0]", "[0:3]", "[::-1]", "[-2:]", "[:2]", ".removeprefix('He')", "|first|string",
                       ".ljust(4)", ".expandtabs()", "|sort|join", "|unique|join('.')", "|list|pprint"],
    ("text", "number"): ["|length", "|wordcount", "|int", "|float", "|int(5)", ".find('l')", ".count('l')", ".rfind('o')"],
    ("text", "list"): [".split()", ".split(',')", ".split('l', 1)", ".rsplit('l', 1)", ".splitlines()", "|list", "|batch(2)|list",
                       "|slice(2)|list", "|map('upper')|list", ".partition('l')|list"],
    ("text", "truth"): [".startswith('H')", ".endswith(('d', '日'))", ".isdigit()", ".isalpha()", ".islower()", " is lower", ".isspace()"],
    ("list", "list"): ["|reverse|list", "|sort|list", "|sort(reverse=true)|list", "|unique|list", "|batch(2)|list", "|batch(2, 'x')|list",
                       "|slice(2)|list", "|slice(2, 0)|list", "|map('string')|list", "|select|list", "|reject('none')|list",
                       "|select('string')|list", "|map(attribute='c')|list", "|selectattr('c')|list", "|rejectattr('r', 'eq', 'user')|list",
                       "|select('number')|list", "|map('default', 0)|list", "|groupby('r')", "|list", "[1:]", "[::-1]", "[:2]", "[::2]",
                       "|map('length')|list", "|selectattr('r', 'in', ['user'])|list", "|map('upper')|list", "|map(attribute=0)|list"],
    ("list", "text"): ["|join", "|join(', ')", "|join('-', attribute='c')", "|string", "|tojson", "|tojson(indent=2)", "|pprint", "|first|string",
                       "|last|string", "|map('string')|join('/')"],
    ("list", "number"): ["|length", "|count", ".count(1)", "|select('number')|sum"],
    ("list", "truth"): ["|first", "|last", "[0]", "[-1]", "[9]", "|min", "|max"],
    ("dict", "list"): ["|dictsort", "|items|list", ".items()|list", ".keys()|list", ".values()|list", "|list", "|dictsort(by='key', reverse=true)"],
    ("dict", "text"): ["|tojson", "|tojson(sort_keys=true)", "|string", "|pprint", "|tojson(indent=1)", "|join", "|urlencode"],
    ("dict", "number"): ["|length", ".get('k', 5)"],
    ("dict", "truth"): [".get('k')", ".zz", "['m']", ".x", ".k", ".m[0]", ".x.y"],
}
TYPES = list(ATOMS)


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, items):
        return self.random.choice(items)

    def value(self, kind, depth):
        """An expression of the type, in brackets where it needs them."""
        if self.random.random() < 0.04:
            kind = self.pick(TYPES)
        if depth <= 0 or self.random.random() < 0.2:
            return self.pick(ATOMS[kind])
        if self.random.random() < 0.45:
            source, steps = self.pick([(a, steps) for (a, b), steps in STEPS.items() if b == kind] or [("truth", [" is defined"])])
            inner = self.value(source, depth - 1)
            step = self.pick(steps)
            sliced = step.startswith("[") and ":" in step
            return f"({self.pick(['s', 'l', 'w']) if sliced else '(' + inner + ')'}{step})"
        return "(" + getattr(self, kind)(depth - 1) + ")"

    def number(self, depth):
        sub = lambda: self.value("number", depth)
        return self.pick([lambda: f"{sub()} {self.pick(['+', '-', '*', '+', '-', '/', '//', '%'])} {sub()}", lambda: f"-{sub()}",
                          lambda: f"{sub()} ** {self.pick(['0', '1', '2', '3'])}", lambda: self.choice("number", depth)])()

    def text(self, depth):
        sub = lambda: self.value("text", depth)
        anything = lambda: self.value(self.pick(TYPES), depth)
        return self.pick([lambda: f"{sub()} + {sub()}", lambda: f"{anything()} ~ {anything()}", lambda: f"{sub()} * {self.pick('012')}",
                          lambda: f"'%s|%r' % ({anything()}, {anything()})", lambda: f"'{{}}:{{!r}}'.format({anything()}, {sub()})",
                          lambda: f"'{{:>7}}|{{:^6}}'.format({sub()}, {self.value('number', depth)})",
                          lambda: f"'%6.2f|%-5d|' % ({self.value('number', depth)}, {self.value('number', depth)})",
                          lambda: f"{sub()}.join(w)", lambda: self.choice("text", depth)])()

    def list(self, depth):
        sub = lambda: self.value("list", depth)
        anything = lambda: self.value(self.pick(TYPES), depth)
        return self.pick([lambda: f"{sub()} + {sub()}", lambda: f"[{anything()}, {anything()}]", lambda: f"[{anything()}] * 2",
                          lambda: f"range({self.pick('0123')})|list", lambda: self.choice("list", depth)])()

    def dict(self, depth):
        anything = lambda: self.value(self.pick(TYPES), depth)
        key = lambda: self.value(self.pick(["text", "number"]), depth)
        return self.pick([lambda: f"{{'p': {anything()}, {key()}: {anything()}}}", lambda: f"dict(z={anything()}, y={anything()})",
                          lambda: self.choice("dict", depth)])()

    def truth(self, depth):
        sub = lambda kind: self.value(kind, depth)
        kind = self.pick(["number", "text", "list"])
        anything = lambda: sub(self.pick(TYPES))
        return self.pick([lambda: f"{sub(kind)} {self.pick(['<', '<=', '>', '>='])} {sub(kind)}", lambda: f"{anything()} {self.pick(['==', '!='])} {anything()}",
                          lambda: f"{anything()} {self.pick(['and', 'or'])} {anything()}", lambda: f"not {anything()}",
                          lambda: f"{sub('text')} {self.pick(['in', 'not in'])} {sub('text')}", lambda: f"{sub('number')} in {sub('list')}",
                          lambda: f"{sub('text')} in {sub('dict')}", lambda: f"{anything()} is {self.pick(['', 'not '])}{self.pick(TESTS)}",
                          lambda: f"{sub('number')} < {sub('number')} <= {sub('number')}", lambda: f"{sub('number')} is divisibleby 2",
                          lambda: f"{anything()} is {self.pick(['eq', 'ne', 'sameas'])}({anything()})", lambda: f"{sub('number')} is odd"])()

    def choice(self, kind, depth):
        test = self.value("truth", depth)
        return f"{self.value(kind, depth)} if {test} else {self.value(kind, depth)}"

    def expression(self, depth=2):
        return self.value(self.pick(TYPES), self.random.randrange(depth + 1))

    def tag(self, body):
        dash, end = self.pick(["", "", "", "-", "+"]), self.pick(["", "", "", "-"])
        return f"{{%{dash} {body} {end}%}}" + self.pick(["", "\n", " ", "\n  "])

    def body(self, depth):
        return "".join(self.statement(depth - 1) for _ in range(self.random.randrange(1, 3)))

    def statement(self, depth):
        if depth <= 0:
            return self.pick([f"{{{{ {self.expression()} }}}}", f"{{{{- {self.expression()} -}}}}", " text ", "\n", "{# c #}"])
        return self.pick([self.if_else, self.if_else, self.loop, self.loop, self.assignment, self.captured, self.macro, self.scope])(depth)

    def if_else(self, depth):
        otherwise = self.tag("else") + self.body(depth) if self.random.random() < 0.5 else ""
        middle = self.tag(f"elif {self.expression()}") + self.body(depth) if self.random.random() < 0.2 else ""
        return self.tag(f"if {self.value('truth', 1)}") + self.body(depth) + middle + otherwise + self.tag("endif")

    def loop(self, depth):
        name = self.pick(["i", "x", "s"])
        test = f" if {self.value('truth', 1)}" if self.random.random() < 0.3 else ""
        extra = self.pick(["", "{{ loop.index }}", "{{ loop.last }}", "{% if loop.index > 1 %}{% break %}{% endif %}", "{{ loop.length }}",
                           "{{ loop.nextitem }}{{ loop.previtem }}", f"{{% if {name} %}}{{% continue %}}{{% endif %}}", f"{{{{ {name} }}}}"])
        otherwise = self.tag("else") + self.body(depth) if self.random.random() < 0.2 else ""
        source = self.pick(["l", "w", "d", "o", "s", "range(3)", self.value("list", 1), self.value("text", 1)])
        return self.tag(f"for {name} in {source}{test}") + self.body(depth) + extra + otherwise + self.tag("endfor")

    def assignment(self, depth):
        kind, name = self.pick([("number", "i"), ("text", "s"), ("list", "l"), ("text", "v"), ("dict", "d")])
        return self.tag(f"set {name} = {self.value(kind, 2)}") + self.body(depth) + f"{{{{ {name} }}}}"

    def captured(self, depth):
        return self.tag("set v") + self.body(depth) + self.tag("endset") + "[{{ v }}]"

    def macro(self, depth):
        call = self.pick([f"m({self.expression()})", f"m(1, q={self.expression()})", "m()", f"m(q={self.expression()})"])
        return self.tag("macro m(p, q=i)") + self.body(depth) + "{{ p }}{{ q }}" + self.tag("endmacro") + f"{{{{ {call} }}}}"

    def scope(self, depth):
        if self.random.random() < 0.5:
            return self.tag("filter upper") + self.body(depth) + self.tag("endfilter")
        return self.tag(f"with i = {self.value('number', 1)}") + self.body(depth) + self.tag("endwith") + "{{ i }}"


def generate(count, seed):
    for number in range(count):
        generator = Generator(f"{seed}/{number}")
        if number % 2 == 0:
            template = "{{ " + generator.expression(4) + " }}"
        else:
            template = "".join(generator.statement(generator.random.randrange(1, 4)) for _ in range(3))
        yield f"random {seed}/{number}", template, VARIABLES
