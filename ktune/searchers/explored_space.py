"""The tried and untried parts of a define-by-run space."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from ktune.searchers.configuration import Configuration
from ktune.trial import Value

Pick = Callable[[Sequence[Value]], Value]


@dataclass(eq=False)
class _Node:
    """State of a builder after some assignments.

    Attributes:
        key: The parameter it requests next; None if it requests no more.
        values: Possible values of that parameter; None for a continuous range.
        children: The next node for each value so far.
        n_untried: Number of values whose subtree is not exhausted.
        is_exhausted: Whether the whole subtree has been tried.
    """

    key: str | None = None
    values: tuple[Value, ...] | None = ()
    children: dict[Value, "_Node"] = field(default_factory=dict)
    n_untried: float = inf
    is_exhausted: bool = False

    def ask(self, key: str, values: tuple[Value, ...] | None) -> None:
        """Set the parameter that the builder requests at this node."""
        self.key, self.values = key, values
        self.n_untried = inf if values is None else len(set(values))

    def untried(self) -> list[Value]:
        """Return the values whose subtrees are not exhausted."""
        return [v for v in self.values or () if not self._is_exhausted_below(v)]

    def _is_exhausted_below(self, value: Value) -> bool:
        return value in self.children and self.children[value].is_exhausted


class ExploredSpace:
    """Tree of all configurations so far.

    The next parameter may depend on any value before, so the space is a tree, which
    is discovered trial by trial. The tree determines exactly whether a finite space is
    exhausted; the number of random collisions does not.
    """

    def __init__(self) -> None:
        self._root = _Node()
        self._seen: set[frozenset[tuple[str, Value]]] = set()

    def __contains__(self, configuration: Configuration) -> bool:
        return _identity(configuration) in self._seen

    @property
    def is_exhausted(self) -> bool:
        """Whether every configuration has been tried."""
        return self._root.is_exhausted

    def add(self, configuration: Configuration) -> None:
        """Add the configuration of a trial."""
        self._seen.add(_identity(configuration))
        nodes = [self._root]
        for assignment in configuration:
            if nodes[-1].key is None:  # once: listing a long range is slow
                nodes[-1].ask(assignment.key, assignment.parameter.values)
            nodes.append(nodes[-1].children.setdefault(assignment.value, _Node()))
        node = nodes.pop()
        is_exhausted = not node.children
        while is_exhausted and not node.is_exhausted:
            node.is_exhausted = True
            if nodes:
                node = nodes.pop()
                node.n_untried -= 1
                is_exhausted = node.n_untried == 0

    def unexplored(self, pick: Pick) -> list[tuple[str, Value]] | None:
        """Find the beginning of an untried configuration.

        Args:
            pick: Chooses among the values whose subtrees are not exhausted.

        Returns:
            The first assignments, as (key, value). All later values are free, except
            that a continuous parameter needs a new value. None if the space is
            exhausted.
        """
        if self.is_exhausted:
            return None
        prefix, node = [], self._root
        while node.key is not None and (untried := node.untried()):
            value = pick(untried)
            prefix.append((node.key, value))
            if value not in node.children:
                break
            node = node.children[value]
        return prefix


def _identity(configuration: Configuration) -> frozenset[tuple[str, Value]]:
    return frozenset(
        (assignment.parameter.name, assignment.value) for assignment in configuration
    )
