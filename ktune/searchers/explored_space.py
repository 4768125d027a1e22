"""Which parts of a define-by-run space have been tried, and which are left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from ktune.searchers.configuration import Configuration
from ktune.trial import Value

Pick = Callable[[Sequence[Value]], Value]


@dataclass(eq=False)
class _Node:
    """Where a builder stands after some answers.

    Attributes:
        key: The parameter it asks for next; None: it asks for nothing more.
        values: What that parameter can be; None: a continuum.
        children: Where it stands after each answer so far.
        n_left: Below how many values something is left to try.
        is_done: Whether nothing below is left to try.
    """

    key: str | None = None
    values: tuple[Value, ...] | None = ()
    children: dict[Value, "_Node"] = field(default_factory=dict)
    n_left: float = inf
    is_done: bool = False

    def ask(self, key: str, values: tuple[Value, ...] | None) -> None:
        """Learn what the builder asks for here."""
        self.key, self.values = key, values
        self.n_left = inf if values is None else len(set(values))

    def left(self) -> list[Value]:
        """Return the values below which something is left to try."""
        return [v for v in self.values or () if not self._is_done_below(v)]

    def _is_done_below(self, value: Value) -> bool:
        return value in self.children and self.children[value].is_done


class ExploredSpace:
    """The tree of all answers a builder got so far.

    What is asked next may depend on any answer before, so the space is a tree, which
    becomes known as it is walked. That makes it possible to tell exactly when a
    finite space is exhausted, which no number of random collisions can.
    """

    def __init__(self) -> None:
        self._root = _Node()
        self._seen: set[frozenset[tuple[str, Value]]] = set()

    def __contains__(self, path: Configuration) -> bool:
        return _identity(path) in self._seen

    @property
    def is_exhausted(self) -> bool:
        """Whether every configuration has been tried."""
        return self._root.is_done

    def add(self, path: Configuration) -> None:
        """Take note of a trial."""
        self._seen.add(_identity(path))
        nodes = [self._root]
        for step in path:
            if nodes[-1].key is None:  # to list a long range takes its time
                nodes[-1].ask(step.key, step.parameter.values)
            nodes.append(nodes[-1].children.setdefault(step.value, _Node()))
        node = nodes.pop()
        is_done = not node.children
        while is_done and not node.is_done:
            node.is_done = True
            if nodes:
                node = nodes.pop()
                node.n_left -= 1
                is_done = node.n_left == 0

    def unexplored(self, pick: Pick) -> list[tuple[str, Value]] | None:
        """Find something that has not been tried.

        Args:
            pick: Chooses among the values below which something is left.

        Returns:
            The first answers to give, as (key, value). What is asked after them can
            be answered freely, unless it is a continuum, where any new value will
            do. None: nothing is left.
        """
        if self.is_exhausted:
            return None
        answers, node = [], self._root
        while node.key is not None and (left := node.left()):
            value = pick(left)
            answers.append((node.key, value))
            if value not in node.children:
                break
            node = node.children[value]
        return answers


def _identity(path: Configuration) -> frozenset[tuple[str, Value]]:
    return frozenset((step.parameter.name, step.value) for step in path)
