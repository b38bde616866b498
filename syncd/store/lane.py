"""The short way of a named query to the server: prepared once for a connection, then sent as it is.

A cursor costs a query of one row more than the server does: it looks at the text, finds out how to read
each column, and builds itself, each time.  What a session runs hundreds of times a second (a claim, a
completion) has the same text and the same columns every time, so a lane keeps both.  Values are turned
into text and back by psycopg's own adapters.  One statement at a time, in autocommit mode, on a
connection that is nobody else's meanwhile.  May import the store's own modules.
"""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg import Error, errors, pq
from psycopg.adapt import PyFormat, Transformer

from syncd.store.link import Link
from syncd.store.probe import SLICE_S
from syncd.store.queries import query
from syncd.store.rows import Row
from syncd.store.silence import ServerHangs

_PARAMETER: Final = re.compile(r"%\((\w+)\)s")
_LOOK_UP_MS: Final = SLICE_S * 1000
"""How often a wait looks up for a signal that another thread took, and counts that the server says nothing."""

_DONE: Final = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class Lane:
    """Prepared queries of one connection.

    Args:
        text_of: where a query's text comes from: ``queries.sql``.
    """

    def __init__(self, link: Link, text_of: Callable[[str], str] = query) -> None:
        self.link = link
        self._text_of = text_of
        self._statements: dict[str, _Statement] = {}
        self._poll = select.poll()
        self._poll.register(link.fileno(), select.POLLIN)

    def fetch(self, name: str, parameters: dict[str, Any]) -> list[Row]:
        """Run the query of this name and return its rows.

        Raises: psycopg's errors, as a cursor does.  Effects: a wait that is interrupted closes the
        connection, because nobody would take the answer.
        """
        try:
            return self._fetch(name, parameters)
        except errors.InvalidSqlStatementName:
            # psycopg forgets everything prepared when a transaction is rolled back, ours too; what was prepared
            # since stands, and would not be prepared twice.
            del self._statements[name]
            return self._fetch(name, parameters)

    def _fetch(self, name: str, parameters: dict[str, Any]) -> list[Row]:
        statement = self._statements.get(name)
        if statement is None:
            statement = _Statement(name, self._text_of(name), self.link)
            self._answer(lambda: self.link.pgconn.send_prepare(statement.name, statement.text))
            self._statements[name] = statement
        values = statement.values(parameters)
        return statement.rows(self._answer(lambda: self.link.pgconn.send_query_prepared(statement.name, values)))

    @property
    def is_quiet(self) -> bool:
        """Return whether the connection stands, and the server says nothing that nobody asked for.

        An idle server has nothing to say but that it closes (and, rarely, that its configuration was
        reloaded: then the connection is replaced for nothing, which is harmless).
        """
        return not (self.link.closed or self._poll.poll(0))

    def _answer(self, send: Callable[[], None]) -> pq.abc.PGresult:
        pgconn = self.link.pgconn
        result, silence = None, None
        try:
            send()
            while pgconn.flush():
                self._poll.modify(self.link.fileno(), select.POLLIN | select.POLLOUT)
                is_heard = self._poll.poll(_LOOK_UP_MS)
                self._poll.modify(self.link.fileno(), select.POLLIN)
                if not is_heard:
                    silence = silence or self.link.silence()
                    silence.lasts()
                pgconn.consume_input()
            while True:
                while pgconn.is_busy():
                    if self._poll.poll(_LOOK_UP_MS):
                        pgconn.consume_input()
                    else:
                        silence = silence or self.link.silence()
                        silence.lasts()
                following = pgconn.get_result()
                if following is None:
                    break
                result = following
        except ServerHangs:
            self.link.cut()
            raise
        except Error:
            raise
        except BaseException:
            self.link.close()
            raise
        if result is None:
            raise errors.OperationalError("the server gave no answer")
        if result.status not in _DONE:
            raise errors.error_from_result(result, self.link.info.encoding)
        return result


class _Statement:
    """A query with numbered parameters, and how its values and columns are read."""

    def __init__(self, name: str, text: str, link: Link) -> None:
        self._parameters: Final = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        self._formats: Final = [PyFormat.TEXT] * len(self._parameters)
        self._transformer: Final = Transformer(link)
        self._reads = False
        self.name: Final = f"syncd_{name}".encode()
        numbers = {each: f"${place}" for place, each in enumerate(self._parameters, 1)}
        self.text: Final = _PARAMETER.sub(lambda found: numbers[found[1]], text).encode()

    def values(self, parameters: dict[str, Any]) -> Sequence[Any]:
        return self._transformer.dump_sequence([parameters[each] for each in self._parameters], self._formats)

    def rows(self, result: pq.abc.PGresult) -> list[Row]:
        self._transformer.set_pgresult(result, set_loaders=not self._reads, format=pq.Format.TEXT)
        self._reads = True
        return self._transformer.load_rows(0, result.ntuples, tuple)
