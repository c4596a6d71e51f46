"""Who may import whom: the table that keeps plug-ins, stages and the outbox apart."""

import ast
from collections.abc import Container, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from msgspec import Struct

import pipeline

_ROOT = Path(pipeline.__file__).parent

#: What plug-ins are made of: things and pure functions, nothing that knows the outbox or the time.
_PLUGIN_KIT = (
    "pipeline.catalogue",
    "pipeline.clock",
    "pipeline.consent",
    "pipeline.contact",
    "pipeline.drift",
    "pipeline.errors",
    "pipeline.flight",
    "pipeline.findings",
    "pipeline.model",
    "pipeline.money",
    "pipeline.notice",
    "pipeline.plugin",
    "pipeline.redact",
    "pipeline.reports",
    "pipeline.settings",
    "pipeline.subscription",  # what a source says of its webhooks
    "pipeline.visit",
)
_PURE = (
    "pipeline.clock",
    "pipeline.consent",
    "pipeline.contact",
    "pipeline.errors",
    "pipeline.guest",
    "pipeline.model",
    "pipeline.money",
    "pipeline.plugin",
    "pipeline.seal",
    "pipeline.sendable",
    "pipeline.settings",
    "pipeline.tags",
    "pipeline.visit",
)
_DATABASES = ("aiosqlite", "sqlite3")
_HTTP = ("aiohttp",)
_EVERYTHING = ("pipeline",)


class Only(Struct, frozen=True, kw_only=True):
    """Of `among`, these modules import `allowed` and nothing else."""

    who: tuple[str, ...]
    among: tuple[str, ...]
    allowed: tuple[str, ...]
    why: str


class OnlyBy(Struct, frozen=True, kw_only=True):
    """These modules are imported by nobody but `allowed`."""

    whom: tuple[str, ...]
    allowed: tuple[str, ...]
    why: str


_ONLY = [
    Only(
        who=("pipeline.sources.roller",),
        among=_EVERYTHING,
        allowed=(*_PLUGIN_KIT, "pipeline.sources.roller"),
        why="a plug-in knows no outbox, no stage and no other plug-in",
    ),
    Only(
        who=("pipeline.destinations.stampede",),
        among=_EVERYTHING,
        allowed=(*_PLUGIN_KIT, "pipeline.destinations.stampede"),
        why="a plug-in knows no outbox, no stage and no other plug-in",
    ),
    Only(
        who=("pipeline.sources", "pipeline.destinations"),
        among=(*_DATABASES, *_HTTP),
        allowed=(),
        why="a plug-in reaches its peer through Session, where every request is recorded",
    ),
    Only(
        who=("pipeline.sandbox",),
        among=_EVERYTHING,
        allowed=("pipeline.sandbox",),
        why="the simulated vendors must not share our mistakes",
    ),
    Only(
        who=(
            "pipeline.transform",
            "pipeline.guest",
            "pipeline.tags",
            "pipeline.sendable",
            "pipeline.visit",
            "pipeline.contact",
            "pipeline.consent",
        ),
        among=(*_EVERYTHING, *_DATABASES, *_HTTP, "asyncio", "time", "random", "os"),
        allowed=_PURE,
        why="transform is one pure function, and what it uses is as pure",
    ),
    Only(
        who=("pipeline.preview", "pipeline.mask"),
        among=(*_EVERYTHING, *_DATABASES, *_HTTP, "asyncio", "time", "random", "os"),
        allowed=(*_PURE, "pipeline.mask", "pipeline.transform"),
        why="a preview decides nothing by itself: it plays the daemon's own pure function",
    ),
    Only(
        who=("pipeline.estimate", "pipeline.turn"),
        among=(*_EVERYTHING, *_DATABASES, *_HTTP, "asyncio", "time", "random", "os"),
        allowed=("pipeline.model", "pipeline.outbox"),
        why="what goes first and when it will be done is reckoned, and not looked up",
    ),
    Only(
        who=(
            "pipeline.money",
            "pipeline.model",
            "pipeline.errors",
            "pipeline.findings",
            "pipeline.seal",
        ),
        among=(*_EVERYTHING, *_DATABASES, *_HTTP, "asyncio"),
        allowed=("pipeline.errors",),
        why="everything rests on these",
    ),
    Only(
        who=("pipeline.outbox",),
        among=_EVERYTHING,
        allowed=(
            "pipeline.clock",
            "pipeline.errors",
            "pipeline.model",
            "pipeline.outbox",
            "pipeline.plugin",
            # what a sweep reads next
            "pipeline.reports",
            "pipeline.seal",
        ),
        why="the outbox serves the stages and knows none of them",
    ),
    Only(
        who=("pipeline.probe",),
        among=(*_EVERYTHING, *_DATABASES, *_HTTP, "asyncio"),
        allowed=("pipeline.config", "pipeline.findings", "pipeline.outbox.version"),
        why="it looks at the machine, and opens no outbox",
    ),
]
_ONLY_BY = [
    OnlyBy(
        whom=("pipeline.sources", "pipeline.destinations"),
        allowed=("pipeline.plugins", "pipeline.sources", "pipeline.destinations"),
        why="the core never imports a plug-in: a new one is a folder and a line",
    ),
    OnlyBy(
        whom=("pipeline.sandbox",),
        allowed=("pipeline.sandbox", "pipeline.demo", "pipeline.cli", "pipeline.simulation"),
        why="nothing of the daemon depends on the simulated vendors",
    ),
    OnlyBy(
        whom=_DATABASES,
        # The simulation runs nothing on a connection by itself, but cuts those that it hands in.
        allowed=("pipeline.outbox", "pipeline.simulation.power"),
        why="a PostgreSQL outbox will come, and one connection writes",
    ),
    OnlyBy(
        whom=("pipeline.outbox.sqlite", "pipeline.outbox.backup"),
        allowed=(
            "pipeline.outbox",
            "pipeline.daemon",
            "pipeline.inquire",
            "pipeline.cli",
            "pipeline.simulation",
        ),
        why="the stages know the protocols in pipeline.outbox and not who keeps them",
    ),
    OnlyBy(
        whom=tuple(
            f"pipeline.outbox.{name}"
            for name in (
                "deliveries",
                "events",
                "facts",
                "file",
                "intake",
                "ledger",
                "told",
                "restored",
                "sweeps",
                "times",
                "webhooks",
                "writer",
            )
        ),
        allowed=("pipeline.outbox",),
        why="the same",
    ),
    OnlyBy(
        whom=tuple(f"pipeline.{stage}" for stage in ("receive", "enrich", "intend", "deliver")),
        allowed=("pipeline.assembly", "pipeline.report"),
        why="stages meet in the queues, and are put together in one place",
    ),
    OnlyBy(
        whom=("pipeline.probe",),
        allowed=("pipeline.cli",),
        why="the daemon does its work, and looks at nothing else",
    ),
    OnlyBy(
        whom=("pipeline.simulation",),
        allowed=("pipeline.simulation", "pipeline.cli.simulate"),
        why="nothing of the daemon depends on how it is simulated",
    ),
    OnlyBy(
        whom=("pipeline.cli",),
        allowed=("pipeline.cli", "pipeline.__main__"),
        why="the command line is a way in and not a part",
    ),
]


def _modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(_ROOT.rglob("*.py")):
        parts = path.relative_to(_ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def _imported(tree: ast.Module, modules: Container[str]) -> Iterator[str]:
    """Name all that is imported, within functions too; `from a import b` may mean a module a.b."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (one.name for one in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                known = [one.name for one in node.names if f"{module}.{one.name}" in modules]
                yield from (f"{module}.{name}" for name in known)
                if len(known) < len(node.names):
                    yield module
            case ast.ImportFrom():
                raise AssertionError("relative imports are not read here, and not used")
            case _:
                pass


@cache
def _imports() -> Mapping[str, set[str]]:
    """Tell what each module imports; read when it is asked for, not by whoever collects tests."""
    trees = _modules()
    return {name: set(_imported(tree, trees)) for name, tree in trees.items()}


def _is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


def test_all_of_the_package_is_read() -> None:
    """A table that looks at nothing is always right."""
    assert len(_imports()) > 50
    assert "pipeline.errors" in _imports()["pipeline.money"]
    assert "pipeline.breaker" in _imports()["pipeline.lane"]
    assert "pipeline.backoff" in _imports()["pipeline.lane"], "from pipeline import backoff"


@pytest.mark.parametrize("rule", _ONLY, ids=lambda rule: ", ".join(rule.who))
def test_a_module_imports_what_it_may(rule: Only) -> None:
    """The table says why."""
    members = [name for name in _imports() if _is_within(name, rule.who)]
    assert {one for one in rule.who if one in members} == set(rule.who), "it names who is there"
    wrong = {
        name: bad
        for name in members
        if (
            bad := {
                one
                for one in _imports()[name]
                if one != "pipeline"
                and _is_within(one, rule.among)
                and not _is_within(one, rule.allowed)
            }
        )
    }
    assert not wrong, rule.why


@pytest.mark.parametrize("rule", _ONLY_BY, ids=lambda rule: ", ".join(rule.whom))
def test_a_module_is_imported_by_whom_it_may(rule: OnlyBy) -> None:
    """The table says why."""
    users = {
        name
        for name, imported in _imports().items()
        if any(_is_within(one, rule.whom) for one in imported)
    }
    assert users, "it names who is used"
    assert not {name for name in users if not _is_within(name, rule.allowed)}, rule.why


def test_every_plugin_has_its_row() -> None:
    """A new one must be as ignorant as the others."""
    plugins = {
        f"pipeline.{side}.{folder.name}"
        for side in ("sources", "destinations")
        for folder in (_ROOT / side).iterdir()
        if (folder / "__init__.py").exists()
    }
    assert plugins == {
        who
        for rule in _ONLY
        for who in rule.who
        if who.count(".") == 2 and _is_within(who, ("pipeline.sources", "pipeline.destinations"))
    }
