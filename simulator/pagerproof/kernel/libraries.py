"""What is changed in libraries once imported in a governed process: order of sets, identifiers made in Rust."""

from __future__ import annotations

import asyncio
import importlib.abc
import importlib.machinery
import platform
import sys
import uuid  # noqa: TID251  # the class only: what is drawn is given
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class UuidMaker:
    """Makes identifiers of versions 1, 4, 6 and 7 from a clock in nanoseconds and a source of bytes."""

    def __init__(self, now_ns: Callable[[], int], read: Callable[[int], bytes]) -> None:
        self._now_ns = now_ns
        self._read = read

    def uuid1(self, node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
        """Return a version 1 identifier; node and clock sequence are drawn unless given, so no state is kept."""
        ticks = self._now_ns() // 100 + 0x01B21DD213814000
        sequence = int.from_bytes(self._read(2), "big") & 0x3FFF if clock_seq is None else clock_seq
        node = int.from_bytes(self._read(6), "big") | 1 << 40 if node is None else node
        fields = (ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF, sequence >> 8, sequence & 0xFF, node)
        return uuid.UUID(fields=fields, version=1)

    def uuid4(self) -> uuid.UUID:
        """Return a version 4 identifier."""
        return uuid.UUID(bytes=self._read(16), version=4)

    def uuid6(self, node: int | None = None, timestamp: int | None = None) -> uuid.UUID:
        """Return a version 6 identifier: the ticks of version 1, highest first."""
        ticks = self._now_ns() // 100 + 0x01B21DD213814000 if timestamp is None else timestamp
        drawn = int.from_bytes(self._read(8), "big")
        low = drawn & ~(0xFFFFFFFFFFFF) & (1 << 62) - 1 | (drawn & 0xFFFFFFFFFFFF if node is None else node)
        return uuid.UUID(int=ticks >> 12 << 80 | 6 << 76 | (ticks & 0xFFF) << 64 | 2 << 62 | low)

    def uuid7(self, timestamp: int | None = None, nanos: int | None = None) -> uuid.UUID:
        """Return a version 7 identifier: 48 bits of milliseconds and 74 drawn bits."""
        del nanos
        milliseconds = self._now_ns() // 1_000_000 if timestamp is None else timestamp * 1_000
        drawn = int.from_bytes(self._read(10), "big")
        high, low = drawn >> 68 & 0xFFF, drawn & (1 << 62) - 1
        return uuid.UUID(int=milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low)


class OrderedSet(dict[Any, None]):
    """A set that iterates in the order of insertion, for what hashes by address."""

    def __init__(self, items: Any = ()) -> None:
        super().__init__(dict.fromkeys(items))

    def add(self, item: object) -> None:
        """Put in one item."""
        self[item] = None

    def remove(self, item: object) -> None:
        """Take out one item. Raises KeyError where it is not in."""
        del self[item]

    def discard(self, item: object) -> None:
        """Take out one item if it is in."""
        super().pop(item, None)

    def update(self, *others: Any) -> None:  # type: ignore[override]  # a set's, not a mapping's
        """Put in all items of others."""
        for other in others:
            super().update(dict.fromkeys(other))

    def copy(self) -> OrderedSet:
        """Return a set of the same items."""
        return OrderedSet(self)


def _order_anyio(module: ModuleType) -> None:
    # Its cancel scopes keep their children, and its groups their tasks, in sets; the module's own name `set` reaches
    # every place that makes one.
    vars(module)["set"] = OrderedSet
    backend = module.AsyncIOBackend
    real = backend.run_sync_in_worker_thread

    async def run_sync_in_worker_thread(
        cls: Any, func: Any, args: Any, abandon_on_cancel: bool = False, limiter: Any = None
    ) -> Any:
        loop = asyncio.get_running_loop()
        if getattr(loop, "batons", None) is None:
            return await real(func, args, abandon_on_cancel, limiter)
        await cls.checkpoint()
        async with limiter or cls.current_default_thread_limiter():
            with module.CancelScope(shield=not abandon_on_cancel) as scope:
                worker_scope = scope if abandon_on_cancel or scope._parent_scope is None else scope._parent_scope
                return await loop.run_in_executor(None, _as_worker, module, loop, worker_scope, func, args)

    backend.run_sync_in_worker_thread = classmethod(run_sync_in_worker_thread)


def _as_worker(module: ModuleType, loop: Any, scope: Any, func: Any, args: Any) -> Any:
    """Run a function where `anyio.from_thread` knows the loop and the scope that it came from, as in its threads."""
    module.set_current_async_library(None)
    with module.claim_worker_thread(module.AsyncIOBackend, loop):
        module.threadlocals.current_cancel_scope = scope
        try:
            return func(*args)
        finally:
            del module.threadlocals.current_cancel_scope


@contextmanager
def patching_libraries(uuids: UuidMaker, stands: Callable[[], bool]) -> Iterator[None]:
    """Change what is imported already, and what will be while this is open; what is changed stays so, and is inert."""

    def identify(module: ModuleType) -> None:
        kind = getattr(module, "UUID", uuid.UUID)
        for name in ("uuid1", "uuid4", "uuid6", "uuid7"):
            real = getattr(module, name, None)
            if real is not None and not isinstance(real, _Identifiers):
                setattr(module, name, _Identifiers(real, getattr(uuids, name), stands, kind))

    def seed_numpy(module: ModuleType) -> None:
        if stands():
            module.seed(0)  # its hidden generator; generators of one's own are seeded from the stream

    numpy_random = sys.modules.get("numpy.random")
    numpy_state = None if numpy_random is None else numpy_random.get_state()
    # The openai client asks what machine this is; the answer is kept, and finding it starts a process.
    platform.platform()
    platform.processor()
    patches: dict[str, Callable[[ModuleType], None]] = {
        "anyio._backends._asyncio": _order_anyio,
        "numpy.random": seed_numpy,
        "uuid_utils": identify,
        "uuid_utils.compat": identify,
    }
    for name, patch in patches.items():
        if name in sys.modules:
            patch(sys.modules[name])
    finder = _Finder(patches)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)


class _Identifiers:
    """A function of `uuid_utils` that is served where governed."""

    def __init__(
        self, real: Callable[..., Any], served: Callable[..., uuid.UUID], stands: Callable[[], bool], kind: Any
    ) -> None:
        self._real, self._served, self._stands, self._kind = real, served, stands, kind

    def __call__(self, *args: Any, **options: Any) -> Any:
        if not self._stands():
            return self._real(*args, **options)
        made = self._served(*args, **options)
        return made if self._kind is uuid.UUID else self._kind(str(made))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules as the finders after it do, and has some of them patched once they have been executed."""

    def __init__(self, patches: dict[str, Callable[[ModuleType], None]]) -> None:
        self._patches = patches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        patch = self._patches.get(fullname)
        if patch is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Patching(spec.loader, patch)
                return spec
        return None


class _Patching(importlib.abc.Loader):
    """A loader that patches what it has loaded."""

    def __init__(self, loader: Any, patch: Callable[[ModuleType], None]) -> None:
        self._loader, self._patch = loader, patch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._patch(module)
