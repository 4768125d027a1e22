"""The Python code that a model needs to be loaded: extracted, not copied whole.

An experiment file reads data and makes experiments when it is imported. A model needs
its classes and functions alone, so the file is reduced to the statements that define
them and to the statements these use. Local modules travel whole.
"""

import ast
import symtable
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ktune.experiment.loading import MODULE_PREFIX
from ktune.experiment.sources import import_path, imported_files, local_file

MAIN = "ktune_main"
"""Module name of code from a script or a notebook, which Python calls ``__main__``."""


@dataclass(frozen=True)
class ModelCode:
    """Files that make some classes and functions importable.

    Attributes:
        files: Path below one folder to content.
        missing: Why names cannot be imported from there, a sentence each.
        wanted: Module to the names in it.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    wanted: Mapping[str, set[str]] = field(default_factory=dict)

    @property
    def needs_ktune(self) -> bool:
        """Whether a file imports ktune."""
        return any(_imports(text, "ktune") for text in self.files.values())

    def including(self, more: Mapping[str, set[str]]) -> "ModelCode":
        """Return the code that also defines further names of modules."""
        modules = {*self.wanted, *more}
        return collect_code(
            {m: self.wanted.get(m, set()) | more.get(m, set()) for m in modules}
        )

    def write(self, folder: Path) -> None:
        """Write the files below a folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def import_name(module: str) -> str:
    """Return the name under which a module of this process is imported later."""
    return MAIN if module == "__main__" else module


def collect_code(wanted: Mapping[str, set[str]]) -> ModelCode:
    """Return the code that defines names of modules.

    Args:
        wanted: Module of this process to names in it, which may have dots.
    """
    files: dict[str, bytes] = {}
    missing: list[str] = []
    for module, names in wanted.items():
        missing += [_why_not(module, name) for name in names if "<" in name]
        if is_entry(module):
            text = source_of(module)
            if text is None:
                missing.append(f"module {module} has no file, so its code is unknown")
                continue
            part = needed_part(text, {name.partition(".")[0] for name in names})
            files[f"{import_name(module)}.py"] = part.encode()
            here = Path(f"{module}.py")
            files |= _read(imported_files([here], {here: part.encode()}))
        elif (file := local_file(module)) is not None:
            found = [(import_path(module, file), file), *imported_files([file])]
            files |= _read(iter(found))
    return ModelCode(files, tuple(missing), wanted)


def is_entry(module: str) -> bool:
    """Whether a module is an experiment file, a script or a notebook."""
    return module == "__main__" or module.startswith(MODULE_PREFIX)


def source_of(module: str) -> str | None:
    """Return the text of a module; of a notebook, its cells; None: unknown."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if file and Path(file).is_file():
        return Path(file).read_text("utf-8")
    cells = getattr(loaded, "In", None)  # of IPython
    if not cells:
        return None
    return "\n".join(cell for cell in cells if _parses(cell))


def needed_part(source: str, wanted: set[str]) -> str:
    """Return the statements of a module that define names, and those they use.

    Args:
        source: Text of the module.
        wanted: Names at its top level.

    Example:
        >>> needed_part("import re; A = 1; B = 2; C = A", {"C"}).split()
        ['A', '=', '1', 'C', '=', 'A']
    """
    body = ast.parse(source).body
    known, kept = set(wanted), set[int]()
    while True:
        found = {
            place
            for place, statement in enumerate(body)
            if place not in kept and _is_needed(statement, known)
        }
        if not found:
            break
        kept |= found
        for place in found:
            known |= set(_used_by(body[place]))
    return "\n\n".join(ast.unparse(body[place]) for place in sorted(kept))


def _is_needed(statement: ast.stmt, known: set[str]) -> bool:
    if isinstance(statement, ast.ImportFrom):
        is_whole = statement.names[0].name == "*" or statement.module == "__future__"
        return is_whole or bool(known.intersection(_bound_by(statement)))
    if isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test):
        return False  # guarded against import
    return bool(known.intersection(_bound_by(statement)))


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement defines or changes at the top level."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (a.asname or a.name.partition(".")[0] for a in node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute | ast.Subscript) and _is_set(node):
            yield _root(node)


def _used_by(statement: ast.stmt) -> Iterator[str]:
    """Yield the names of the module that a statement reads."""
    table = symtable.symtable(ast.unparse(statement), "<code>", "exec")
    yield from table.get_identifiers()
    inner = list(table.get_children())
    while inner:
        scope = inner.pop()
        yield from (s.get_name() for s in scope.get_symbols() if s.is_global())
        inner += scope.get_children()


def _is_set(node: ast.Attribute | ast.Subscript) -> bool:
    return isinstance(node.ctx, ast.Store)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _read(found: Iterator[tuple[str, Path]]) -> dict[str, bytes]:
    """Return path to content, with the packages that the paths lead through."""
    files: dict[str, bytes] = {}
    for name, file in found:
        files[name] = file.read_bytes()
        for depth, parent in enumerate(Path(name).parents):
            package = file.parents[depth] / "__init__.py"
            if parent != Path() and package.is_file():
                files[str(parent / "__init__.py")] = package.read_bytes()
    return files


def _why_not(module: str, name: str) -> str:
    short = name.rpartition(".")[2]
    return (
        f"{short} is defined inside the function "
        f"{name.partition('.<locals>')[0]}, where no import finds it"
    )


def _imports(text: bytes, package: str) -> bool:
    return any(
        package in (alias.name.partition(".")[0] for alias in node.names)
        or getattr(node, "module", None) == package
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    )


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False  # a line for the notebook itself, as %matplotlib
    return True
