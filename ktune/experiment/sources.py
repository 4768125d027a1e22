"""The source code of an experiment: its file and the local modules it imports."""

import ast
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

_LARGEST = 1_000_000  # bytes; a larger file is not a module


def find_sources(path: Path) -> dict[str, Path]:
    """Return an experiment file and the local modules it has imported.

    Local modules lie in the folder of the file or below, or are imported by a local
    module and are neither installed nor part of Python or ktune.

    Args:
        path: The experiment file, already loaded and run.

    Returns:
        Name to path. The name is the relative path from which Python imports the
        module if all files are copied into one folder.
    """
    path = path.resolve()
    sources = {path.name: path}
    for name, file in _below(path.parent):
        sources.setdefault(name, file)
    for name, file in imported_files(list(sources.values())):
        sources.setdefault(name, file)
    return _readable(sources)


def local_sources() -> dict[str, Path]:
    """Return all loaded local modules, with names as in `find_sources`."""
    sources: dict[str, Path] = {}
    for module in list(sys.modules):
        file = local_file(module)
        if file is not None:
            sources.setdefault(import_path(module, file), file)
    return _readable(sources)


def _readable(sources: Mapping[str, Path]) -> dict[str, Path]:
    return {
        name: file
        for name, file in sorted(sources.items())
        if file.is_file() and file.stat().st_size < _LARGEST
    }


def read_sources(files: Mapping[str, Path]) -> dict[str, bytes]:
    """Return the content of each file."""
    return {name: file.read_bytes() for name, file in files.items()}


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield all loaded modules in a folder or below."""
    for module in list(sys.modules):
        file = local_file(module)
        if file is not None and file.is_relative_to(folder):
            yield str(file.relative_to(folder)), file


def imported_files(
    files: list[Path], texts: Mapping[Path, bytes] | None = None
) -> Iterator[tuple[str, Path]]:
    """Yield the local modules that files import, directly or indirectly.

    Args:
        files: The files to begin with.
        texts: File to the text that replaces its content.
    """
    texts = texts or {}
    seen = set(files)
    while files:
        file = files.pop()
        for module in _named_in(file, texts.get(file)):
            found = local_file(module)
            if found is not None and found not in seen:
                seen.add(found)
                files.append(found)
                yield import_path(module, found), found


def _named_in(file: Path, text: bytes | None = None) -> Iterator[str]:
    """Yield the modules in the import statements of a file, and their packages."""
    try:
        tree = ast.parse(file.read_bytes() if text is None else text)
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, file)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:n]) for n in range(1, len(parts) + 1))


def _absolute(node: ast.ImportFrom, file: Path) -> str:
    """Return the absolute module of an import, also of a relative one."""
    if not node.level:
        return node.module or ""
    for name in list(sys.modules):
        if local_file(name) == file:
            parts = name.split(".")
            up = node.level - (file.name == "__init__.py")
            base = parts[: len(parts) - up]
            return ".".join([*base, *([node.module] if node.module else [])])
    return ""


def import_path(module: str, file: Path) -> str:
    """Return the path of a module relative to its folder in ``sys.path``."""
    depth = module.count(".") + 1 + (file.name == "__init__.py")
    return str(Path(*file.parts[-depth:]))


def local_file(module: str) -> Path | None:
    """Return the file of a loaded module; None if installed or part of Python."""
    if module.partition(".")[0] in ("ktune", "__main__"):
        return None
    named = getattr(sys.modules.get(module), "__file__", None)
    if not named or not named.endswith(".py"):
        return None
    if "site-packages" in named or "dist-packages" in named:
        return None
    file = Path(named).resolve()
    return None if file.is_relative_to(_PYTHON) else file


_PYTHON = Path(sysconfig.get_path("stdlib")).resolve()
