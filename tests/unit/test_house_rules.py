"""Rules of this code base that no linter checks."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP, TESTS = ROOT / "chat_app", ROOT / "tests"
MAX_LINES = 300
SUPPRESSIONS_PER_1000_LINES = 3

MAY_PAUSE = {
    "tests/support/app_server.py",  # polls a server that starts
    "tests/support/redis_cluster.py",  # polls a cluster that starts
    "tests/integration/test_without_redis.py",  # is a patient client
}
READ_THE_ENVIRONMENT = {"chat_app/config.py"}
SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore|pyright:)", re.IGNORECASE)
WITH_REASON = re.compile(
    r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|pyright: ignore\[[\w, ]+\])\s+(#|-|–)\s*\w"
)
HOME = re.compile(r"/(?:home|Users|work|root)/\w")

Offence = tuple[str, int]


def modules(*folders: Path) -> list[Path]:
    found = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [path for path in found if not {"__pycache__", "external"} & set(path.parts)]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def offences(paths: list[Path], is_one: Callable[[ast.AST], bool]) -> list[Offence]:
    """Return the file and line of every node for which `is_one` is true."""
    return [
        (name(path), getattr(node, "lineno", 0))
        for path in paths
        for node in ast.walk(tree(path))
        if is_one(node)
    ]


def dotted(node: ast.AST) -> str:
    """Return an expression as `a.b.c`; a call counts as its function: `a().b` is `a.b`."""
    if isinstance(node, ast.Call):
        return dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def handles_anything(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or dotted(kind) in {"Exception", "BaseException"} for kind in caught)


def reports_it(handler: ast.AST) -> bool:
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Call):
            method = dotted(node.func).rpartition(".")[2]
            keywords = {keyword.arg for keyword in node.keywords}
            if method in {"exception", "set_exception"} or (
                method == "error" and "exc_info" in keywords
            ):
                return True
    return False


def test_no_test_sleeps() -> None:
    def sleeps(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "sleep"

    assert offences(modules(TESTS), sleeps) == []


def test_no_test_waits_for_an_event_that_nobody_can_set() -> None:
    def pauses(node: ast.AST) -> bool:
        # Event().wait(…): nothing else has a reference to the event, so nothing can set it.
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "wait"
            and isinstance(node.func.value, ast.Call)
            and dotted(node.func.value).rpartition(".")[2] == "Event"
        )

    paths = [path for path in modules(TESTS) if name(path) not in MAY_PAUSE]
    assert offences(paths, pauses) == []


def test_no_test_patches_or_mocks() -> None:
    def patches(node: ast.AST) -> bool:
        if isinstance(node, ast.Attribute):
            return node.attr in {"setattr", "patch"} and dotted(node.value) != ""
        if isinstance(node, ast.ImportFrom):
            return (node.module or "").startswith(("unittest", "mock", "pytest_mock"))
        return isinstance(node, ast.Import) and any(
            alias.name.startswith(("unittest", "mock")) for alias in node.names
        )

    assert offences(modules(TESTS), patches) == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    def skips(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and dotted(node) in {
            "pytest.skip",
            "pytest.xfail",
            "pytest.importorskip",
            "pytest.mark.skip",
            "pytest.mark.skipif",
            "pytest.mark.xfail",
        }

    assert offences(modules(TESTS), skips) == []


def test_no_module_is_too_long() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in modules(APP)}

    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("chat_app/chats/chat_list.py", "ChatList"),
        ("chat_app/chats/repository.py", "ChatRepository"),
        ("chat_app/chats/streams.py", "StreamRepository"),
    ],
)
def test_every_query_is_made_for_an_identity(module: str, kind: str) -> None:
    (repository,) = [
        node
        for node in tree(ROOT / module).body
        if isinstance(node, ast.ClassDef) and node.name == kind
    ]
    methods = [
        node
        for node in repository.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
    ]

    assert methods
    wanted = [("self", None), ("identity", "Identity")]
    assert [
        method.name
        for method in methods
        if [
            (argument.arg, argument.annotation and dotted(argument.annotation))
            for argument in method.args.args[:2]
        ]
        != wanted
    ] == []


def test_only_the_settings_read_the_environment() -> None:
    def reads(node: ast.AST) -> bool:
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            return any(alias.name in {"environ", "getenv", "environb"} for alias in node.names)
        return isinstance(node, ast.Attribute) and dotted(node) in {
            "os.environ",
            "os.environb",
            "os.getenv",
            "os.putenv",
        }

    paths = [path for path in modules(APP) if name(path) not in READ_THE_ENVIRONMENT]
    assert offences(paths, reads) == []


def test_nothing_is_printed() -> None:
    def prints(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and dotted(node.func) in {"print", "pprint.pprint"}

    assert offences(modules(APP), prints) == []


def test_every_catch_all_logs_the_traceback_or_passes_the_exception_on() -> None:
    def swallows(node: ast.AST) -> bool:
        return handles_anything(node) and not reports_it(node)

    assert offences(modules(APP), swallows) == []


def test_a_cancellation_is_never_swallowed() -> None:
    def swallows(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.ExceptHandler)
            and node.type is not None
            and "CancelledError" in ast.unparse(node.type)
            and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        )

    assert offences(modules(APP), swallows) == []


def test_nothing_is_left_to_do() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError|NotImplemented)\b")
    found = [
        (name(path), number)
        for path in modules(APP)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if unfinished.search(line)
    ]

    assert found == []


def test_suppressions_are_few() -> None:
    paths = modules(APP)
    lines = sum(len(path.read_text().splitlines()) for path in paths)
    found = [
        (name(path), number)
        for path in paths
        for number, comment in comments(path)
        if SUPPRESSION.search(comment)
    ]

    assert len(found) * 1000 <= SUPPRESSIONS_PER_1000_LINES * lines, found


def test_every_suppression_names_its_rule_and_its_reason() -> None:
    found = [
        (name(path), number, comment)
        for path in modules(APP)
        for number, comment in comments(path)
        if SUPPRESSION.search(comment) and not WITH_REASON.search(comment)
    ]

    assert found == []


def test_no_type_error_is_ignored_wholesale() -> None:
    found = [
        (name(path), number)
        for path in modules(APP, TESTS)
        for number, comment in comments(path)
        if re.search(r"#\s*type:\s*ignore", comment)
    ]

    assert found == []


def test_the_migrations_do_not_shadow_the_library() -> None:
    assert list((ROOT / "alembic").rglob("__init__.py")) == []


def test_nothing_refers_to_the_machine_of_a_developer() -> None:
    kinds = {".py", ".md", ".toml", ".ini", ".lua", ".js", ".jsx", ".css", ".yml", ".yaml"}
    folders = ["chat_app", "tests", "alembic", "bench", "docs", "scripts"]
    paths = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.suffix in kinds and not {"__pycache__", "node_modules"} & set(path.parts)
    ]
    paths += [path for path in ROOT.iterdir() if path.is_file() and path.suffix in kinds]
    found = [
        (name(path), number)
        for path in paths
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if HOME.search(line)
    ]

    assert found == []
