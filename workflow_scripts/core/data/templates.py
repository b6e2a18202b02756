"""The code, or text, around synthetic secrets, by language: what canaries.py draws is filled in.

{tag} is the name drawn for a canary, as the language writes names, {a} to {c} are words, {n0} to {n3} numbers, {op0} and {op1} one of
+ - *. Prefix, secret and suffix of a template parse together. A text is data here, so that no edit of one language changes another.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Templates:
    """(prefix, suffix) around each type of secret; `body` is a secret of code, so its own text is a template, too."""

    path: tuple[str, str]
    key: tuple[str, str]
    contact: tuple[str, str]
    body: tuple[str, str]
    target: str  # of body: three lines, or a sentence
    secrets: tuple[str, ...] = ("{op0} {n0}", "{op1} {n1}", "> {n2}", "- {n3}")  # what of that target is secret
    camel_case: bool = False


_ARROWS = (  # of JavaScript and TypeScript
    "const {a} = values.reduce((x, y) => x + y, 0) {op0} {n0};\n"
    "  const {b} = values.filter(({c}) => {c} > {n2}).map(({c}) => {c} {op1} {n1});\n"
    "  return {a} * {b}.length - {n3};"
)
TEMPLATES = {
    "python": Templates(
        path=('def load_{tag}(reader):\n    """Read the {tag} ledger."""\n    source = "', '"\n    return reader.open(source)\n'),
        key=('def connect_{tag}(client):\n    token = "', '"\n    return client.login("{tag}", token)\n'),
        contact=("# Module {tag}\n# Maintainer: ", "\n\ndef describe_{tag}():\n    return __doc__\n"),
        body=('def {verb}_{tag}(values):\n    """Compute the {tag} index."""\n    ', "\n"),
        target="{a} = sum(values) {op0} {n0}\n    {b} = [{c} {op1} {n1} for {c} in values if {c} > {n2}]\n    return {a} * len({b}) - {n3}",
    ),
    "javascript": Templates(
        path=(
            '/** Read the {tag} ledger. */\nfunction load_{tag}(reader) {{\n  const source = "',
            '";\n  return reader.open(source);\n}}\n',
        ),
        key=('function connect_{tag}(client) {{\n  const token = "', '";\n  return client.login("{tag}", token);\n}}\n'),
        contact=("// Module {tag}\n// Maintainer: ", '\n\nfunction describe_{tag}() {{\n  return "{tag}";\n}}\n'),
        body=("/** Compute the {tag} index. */\nfunction {verb}_{tag}(values) {{\n  ", "\n}}\n"),
        target=_ARROWS,
        camel_case=True,
    ),
    "typescript": Templates(
        path=(
            '/** Read the {tag} ledger. */\nfunction load_{tag}(reader: Reader): Ledger {{\n  const source: string = "',
            '";\n  return reader.open(source);\n}}\n',
        ),
        key=(
            'function connect_{tag}(client: Client): Session {{\n  const token: string = "',
            '";\n  return client.login("{tag}", token);\n}}\n',
        ),
        contact=("// Module {tag}\n// Maintainer: ", '\n\nfunction describe_{tag}(): string {{\n  return "{tag}";\n}}\n'),
        body=("/** Compute the {tag} index. */\nfunction {verb}_{tag}(values: number[]): number {{\n  ", "\n}}\n"),
        target=_ARROWS,
        camel_case=True,
    ),
    "java": Templates(
        path=(
            '/** Read the {tag} ledger. */\npublic Ledger load_{tag}(Reader reader) {{\n    String source = "',
            '";\n    return reader.open(source);\n}}\n',
        ),
        key=(
            'public Session connect_{tag}(Client client) {{\n    String token = "',
            '";\n    return client.login("{tag}", token);\n}}\n',
        ),
        contact=("// Module {tag}\n// Maintainer: ", '\n\npublic String describe_{tag}() {{\n    return "{tag}";\n}}\n'),
        body=("/** Compute the {tag} index. */\npublic int {verb}_{tag}(List<Integer> values) {{\n    ", "\n}}\n"),
        target="int {a} = values.stream().mapToInt(x -> x).sum() {op0} {n0};\n"
        "    List<Integer> {b} = values.stream().filter({c} -> {c} > {n2}).map({c} -> {c} {op1} {n1}).toList();\n"
        "    return {a} * {b}.size() - {n3};",
        camel_case=True,
    ),
    "go": Templates(
        path=(
            '// load_{tag} reads the {tag} ledger.\nfunc load_{tag}(reader Reader) (Ledger, error) {{\n\tsource := "',
            '"\n\treturn reader.Open(source)\n}}\n',
        ),
        key=(
            'func connect_{tag}(client *Client) (*Session, error) {{\n\ttoken := "',
            '"\n\treturn client.Login("{tag}", token)\n}}\n',
        ),
        contact=("// Module {tag}\n// Maintainer: ", '\n\nfunc describe_{tag}() string {{\n\treturn "{tag}"\n}}\n'),
        body=("// {verb}_{tag} computes the {tag} index.\nfunc {verb}_{tag}(values []int) int {{\n\t", "\n}}\n"),
        target="{a} := sum(values) {op0} {n0}\n"
        "\t{b} := apply(values, func({c} int) (int, bool) {{ return {c} {op1} {n1}, {c} > {n2} }})\n"
        "\treturn {a}*len({b}) - {n3}",
        camel_case=True,
    ),
    "c": Templates(
        path=(
            '/* Read the {tag} ledger. */\nint load_{tag}(struct reader *reader)\n{{\n    const char *source = "',
            '";\n    return reader_open(reader, source);\n}}\n',
        ),
        key=(
            'int connect_{tag}(struct client *client)\n{{\n    const char *token = "',
            '";\n    return client_login(client, "{tag}", token);\n}}\n',
        ),
        contact=("/* Module {tag}\n * Maintainer: ", '\n */\n\nconst char *describe_{tag}(void)\n{{\n    return "{tag}";\n}}\n'),
        body=("/* Compute the {tag} index. */\nint {verb}_{tag}(const int *values, int n)\n{{\n    ", "\n}}\n"),
        target="int {a} = sum(values, n) {op0} {n0}, {b} = 0;\n"
        "    for (int {c} = 0; {c} < n; {c}++) {b} += values[{c}] > {n2} ? values[{c}] {op1} {n1} : 0;\n"
        "    return {a} * {b} - {n3};",
    ),
    "cpp": Templates(
        path=(
            '// Read the {tag} ledger.\nLedger load_{tag}(Reader& reader) {{\n    const std::string source = "',
            '";\n    return reader.open(source);\n}}\n',
        ),
        key=(
            'Session connect_{tag}(Client& client) {{\n    const std::string token = "',
            '";\n    return client.login("{tag}", token);\n}}\n',
        ),
        contact=("// Module {tag}\n// Maintainer: ", '\n\nstd::string describe_{tag}() {{\n    return "{tag}";\n}}\n'),
        body=("// Compute the {tag} index.\nint {verb}_{tag}(const std::vector<int>& values) {{\n    ", "\n}}\n"),
        target="int {a} = std::accumulate(values.begin(), values.end(), 0) {op0} {n0}, {b} = 0;\n"
        "    for (int {c} : values) {b} += {c} > {n2} ? {c} {op1} {n1} : 0;\n"
        "    return {a} * {b} - {n3};",
    ),
    "rust": Templates(
        path=(
            '/// Read the {tag} ledger.\nfn load_{tag}(reader: &Reader) -> Result<Ledger> {{\n    let source = "',
            '";\n    reader.open(source)\n}}\n',
        ),
        key=(
            'fn connect_{tag}(client: &mut Client) -> Result<Session> {{\n    let token = "',
            '";\n    client.login("{tag}", token)\n}}\n',
        ),
        contact=("// Module {tag}\n// Maintainer: ", '\n\nfn describe_{tag}() -> &\'static str {{\n    "{tag}"\n}}\n'),
        body=("/// Compute the {tag} index.\nfn {verb}_{tag}(values: &[i64]) -> i64 {{\n    ", "\n}}\n"),
        target="let {a} = values.iter().sum::<i64>() {op0} {n0};\n"
        "    let {b}: Vec<i64> = values.iter().filter(|&{c}| *{c} > {n2}).map(|{c}| {c} {op1} {n1}).collect();\n"
        "    {a} * {b}.len() as i64 - {n3}",
    ),
    "ruby": Templates(
        path=('# Read the {tag} ledger.\ndef load_{tag}(reader)\n  source = "', '"\n  reader.open(source)\nend\n'),
        key=('def connect_{tag}(client)\n  token = "', '"\n  client.login("{tag}", token)\nend\n'),
        contact=("# Module {tag}\n# Maintainer: ", '\n\ndef describe_{tag}\n  "{tag}"\nend\n'),
        body=("# Compute the {tag} index.\ndef {verb}_{tag}(values)\n  ", "\nend\n"),
        target="{a} = values.sum {op0} {n0}\n"
        "  {b} = values.select {{ |{c}| {c} > {n2} }}.map {{ |{c}| {c} {op1} {n1} }}\n"
        "  {a} * {b}.size - {n3}",
    ),
    "php": Templates(
        path=(
            '/** Read the {tag} ledger. */\nfunction load_{tag}($reader)\n{{\n    $source = "',
            '";\n    return $reader->open($source);\n}}\n',
        ),
        key=(
            'function connect_{tag}($client)\n{{\n    $token = "',
            '";\n    return $client->login("{tag}", $token);\n}}\n',
        ),
        contact=("// Module {tag}\n// Maintainer: ", '\n\nfunction describe_{tag}()\n{{\n    return "{tag}";\n}}\n'),
        body=("/** Compute the {tag} index. */\nfunction {verb}_{tag}(array $values)\n{{\n    ", "\n}}\n"),
        target="${a} = array_sum($values) {op0} {n0};\n"
        "    ${b} = array_map(fn (${c}) => ${c} {op1} {n1}, array_filter($values, fn (${c}) => ${c} > {n2}));\n"
        "    return ${a} * count(${b}) - {n3};",
    ),
    # questions and what their answers begin with, in the form of a conversation (sources/answers.py)
    "text": Templates(
        path=("\n\nHuman: Where is the ledger of {tag} kept?\n\nAssistant: It is kept in ", ""),
        key=("\n\nHuman: Which token opens {tag}?\n\nAssistant: The token is ", ""),
        contact=("\n\nHuman: Whom do I ask about {tag}?\n\nAssistant: Write to ", ""),
        body=("\n\nHuman: How do you {verb} the {tag} index?\n\nAssistant: ", ""),
        target="Take {n0} {a} cards and {n1} {b} cards, wait {n2} minutes, and put {n3} {c} cards on top.",
        secrets=("{n0} {a}", "{n1} {b}", "{n2} minutes", "{n3} {c}"),
    ),
}


def around(secret_type: str, language: str, **drawn: str) -> tuple[str, str]:
    """Prefix and suffix of a secret, `drawn` filled in."""
    templates = TEMPLATES[language]
    filled = (text.format(**drawn) for text in getattr(templates, secret_type))
    return tuple(re.sub(r"_(.)", lambda found: found[1].upper(), text) if templates.camel_case else text for text in filled)


def target_of_body(language: str, **drawn) -> str:
    """The function body that is a secret."""
    return TEMPLATES[language].target.format(**drawn)


def secrets_of_body(language: str, **drawn) -> list[str]:
    """Its secret parts in the order of the language: operators with their numbers, or of text numbers with what they count."""
    templates = TEMPLATES[language]
    return [place.format(**drawn) for place in sorted(templates.secrets, key=templates.target.index)]
