"""A domain's database as a simulated service: its tools are the operations, every change is an entry in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pagerproof.domains.records import Kept, Records, Tables
from pagerproof.domains.tau2 import Domain, details_of
from pagerproof.domains.toolset import Tool
from pagerproof.errors import UsageError
from pagerproof.model import Answer, Operation
from pagerproof.protocols import World
from pagerproof.services.base import ServiceParameters, SimulatedService
from pagerproof.services.job import Job, Refused
from pagerproof.services.operation import Plan


class DomainService(SimulatedService):
    """One domain of tau2-bench, or of a user's in its form.

    With isolated state each request sees the database as the folder has it and what it has written itself; with
    `shared` it sees what every request of the run has written. A refusal (ValueError) is answered with 409, a record
    that is not there (LookupError) with 404, whatever else a tool raises with 500; a tool that changes records without
    being marked to stops the run.
    """

    document_prefixes: ClassVar[Mapping[str, str]] = {}
    remembers_keys = True

    def __init__(self, domain: Domain, parameters: ServiceParameters | None = None, *, shared: bool = False) -> None:
        self.name = domain.name
        self._tables: Tables = domain.tables
        self._tools = domain.toolset.tools
        self._shared = shared
        self._operations = domain.toolset.operations(domain.name)
        super().__init__(parameters)

    def operation_table(self) -> Mapping[str, Operation]:
        """Return the tools as operations."""
        return self._operations

    def handler_of(self, operation: Operation) -> Callable[[Job], Answer]:
        """Return what calls an operation's tool."""
        tool = self._tools[operation.name]
        return lambda job: self._carry_out(tool, job)

    def open(self, world: World) -> None:
        """Begin a run with the database as the folder has it."""
        super().open(world)
        self._kept_by_all: Kept = {}

    def neighbours(self, arguments: Mapping[str, Any], places: int) -> Mapping[str, Any]:
        """Return the arguments with each key of a record replaced by the key so many records on, round the end."""
        moved = dict(arguments)
        for name, value in arguments.items():
            for rows in self._tables.values():
                if isinstance(value, str) and value in rows:
                    keys = list(rows)
                    moved[name] = keys[(keys.index(value) + places) % len(keys)]
                    break
        return moved

    def _carry_out(self, tool: Tool, job: Job) -> Answer:
        kept = self._kept(job)
        stale = job.disturbed.stale and not tool.entity
        records = Records(self._tables, {} if stale else kept)
        try:
            answer = tool.function(records, **job.arguments)
        except LookupError as missing:
            raise Refused(self.problem(404, "not_found", _said(missing))) from None
        except ValueError as refusal:
            raise Refused(self.problem(409, "refused", _said(refusal))) from None
        except Exception as error:  # a tool that a strange argument breaks is an error of the server's
            raise Refused(self.problem(500, "tool_failed", f"{type(error).__name__}: {_said(error)}")) from None
        if tool.entity:
            self.commit(job, str(job.arguments[tool.entity]), self._whose(records), details=details_of(records))
            if job.applies:
                records.keep()
        elif records.touched():
            raise UsageError(
                f"the tool {tool.name!r} of {self.name!r} changes records and is not marked with @writes "
                f"(request {job.call.case.index}, seed {self.seed})"
            )
        return self.answer(answer if isinstance(answer, dict) else {"result": answer})

    def _kept(self, job: Job) -> Kept:
        """Return the changes that this call sees and adds to."""
        if self._shared:
            return self._kept_by_all
        case = job.call.case
        if case.own_records is None:
            case.own_records = {}
        return case.own_records.setdefault(self.name, {})

    def _whose(self, records: Records) -> str:
        """Return the user to whom the first changed record belongs, or the empty text."""
        for table, key in records.touched():
            if table == "users":
                return key
            record = records.get(table, key)
            owner = None if record is None else record.get("user_id")
            if isinstance(owner, str):
                return owner
        return ""

    def _plan(self, operation: Operation) -> Plan:
        # Where every request has a database of its own, nobody else can be writing.
        return replace(super()._plan(operation), lock=self._tools[operation.name].entity if self._shared else "")


def _said(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
