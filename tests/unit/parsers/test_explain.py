"""What `syncd parse --explain` is made of."""

from __future__ import annotations

from syncd.parsers.dialects import DIALECTS
from syncd.parsers.explain import explained
from syncd.parsers.tasks_md import parse

TEXT = """\
# Plan

| id | title |
|----|-------|
| A1 | no status here |

- [ ] T1 a task
- plain

```
- [ ] T3
```

### T-2 Heading

- status: todo
"""


def test_every_block_says_why() -> None:
    """Each block names the dialect that took it, or none, and why each other one did not."""
    found = {each.line: each for each in explained(parse(TEXT.encode()))}
    assert [(line, each.dialect, each.cards) for line, each in found.items()] == [
        (1, None, 0),
        (3, None, 0),
        (7, "checklist", 1),
        (10, None, 0),
        (14, "heading", 1),
    ]
    names = {dialect.name for dialect in DIALECTS}
    for each in found.values():
        assert {name for name, _ in each.others} == names - {each.dialect}
    assert dict(found[3].others)["table"] == "no status column"
    assert dict(found[3].others)["checklist"].startswith("reads a list")
    assert dict(found[1].others)["heading"] == "no `key: value` at once below it"
