"""Find what `module:object` or `file.py:object` names, for `gradcheck` and `audit`."""

import contextlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tinyvae import checks

_loaded: set[str] = set()  # names of the modules that were loaded from files


def load(target: str, *, module_too: bool = False) -> tuple[ModuleType, Any, str]:
    """Return the module, the object that the target names in it, and the object's name.

    Parameters
    ----------
    target : "module:object" or "path/to/file.py:object"
        The object may be an attribute of another: `module:object.method`.
    module_too : bool
        Whether a module alone will do; it is then the object.

    Raises
    ------
    ValueError
        There is no such module or object, or the module cannot be imported.
    FileNotFoundError
        There is no such file.
    """
    place, colon, name = target.rpartition(":")
    if module_too and (not colon or not name):
        place, name = target.rstrip(":"), ""
    elif not place or not name:
        problem = f"{target!r} names no class"
        raise ValueError(f"{problem}: write module:Layer or path/to/file.py:Layer")
    if not place:
        raise ValueError(f"{target!r} names no module: write module:object, or file.py:object")
    module = _import(place)
    if not name:
        return module, module, place
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{place} has no {part!r}; {_contents(module, module_too)}")
        found = getattr(found, part)
    return module, found, name


def told(error: BaseException) -> str:
    """Return an exception's class, message and, outside of tinyvae, its place in one phrase."""
    kind, message = type(error).__name__, checks.first_line(error)
    phrase = kind if message == kind else f"{kind}: {message}"
    own = str(Path(__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    places = [f for f in frames if not f.filename.startswith((own, "<"))]
    if not places or isinstance(error, SyntaxError):  # whose message tells its place
        return phrase
    return f"{phrase} ({Path(places[-1].filename).name}, line {places[-1].lineno})"


def _contents(module: ModuleType, all_names: bool) -> str:
    if all_names:
        return f"it has {', '.join([n for n in vars(module) if not n.startswith('_')][:12])}"
    here = [k for k, v in vars(module).items() if inspect.isclass(v)]
    own = [k for k in here if vars(module)[k].__module__ == module.__name__]
    return f"its classes: {', '.join(own) or 'none'}"


def _import(place: str) -> ModuleType:
    """Import a module by its name, from the current folder too, or by its file."""
    path = Path(place)
    by_file = place.endswith(".py")
    if by_file and not path.is_file():
        raise FileNotFoundError(f"there is no file {place}")
    folder = str(path.resolve().parent if by_file else Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with _as_a_script(place):
            return _run(path) if by_file else importlib.import_module(place)
    except SystemExit as end:
        problem = f"{place} ends itself with sys.exit({end.code!r}) where it is imported"
        raise ValueError(f"{problem}: put that under if __name__ == '__main__'") from None
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (place, place.split(".")[0]):
            problem = f"importing {place} raised ModuleNotFoundError"
            raise ValueError(f"{problem}: there is no module {place!r} here or installed") from None
        raise ValueError(f"{place} cannot be imported: {told(error)}") from None


@contextlib.contextmanager
def _as_a_script(place: str) -> Iterator[None]:
    """Let a module see a command line of its own, without options, and print on stderr."""
    before, sys.argv = sys.argv, [place]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.argv = before


def _in_package(path: Path) -> str:
    """Return the name under which a file of a package is imported, "" for a file on its own."""
    folder, parts = path.resolve().parent, [path.stem]
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    if len(parts) > 1 and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return ".".join(parts) if len(parts) > 1 else ""


def _run(path: Path) -> ModuleType:
    """Run a file as a module, which is known by its name meanwhile, as a dataclass needs it."""
    packaged = _in_package(path)
    if packaged:
        return importlib.import_module(packaged)
    taken = path.stem in sys.modules and path.stem not in _loaded
    name = path.name if taken else path.stem  # a file called json.py leaves json as it is
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    _loaded.add(name)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
