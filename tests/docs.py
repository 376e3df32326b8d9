"""Pages of the documentation that are drawn from the code: ``python -m tests.docs`` rewrites them.

A test compares them, so that a page never tells of yesterday's tables.
"""

from pathlib import Path

from shared.model.job import EXECUTION_TRANSITIONS, TASK_TRANSITIONS

DOCS = Path(__file__).parent.parent / "docs"


def states_page() -> str:
    """Return docs/states.md: both state tables as diagrams and as tables."""
    return "\n".join(
        [
            "# States",
            "",
            "Drawn from `shared/model/job.py` by `python -m tests.docs`; do not edit by hand.",
            "",
            "## Task: one execution on one device, on the agent",
            "",
            *_diagram(TASK_TRANSITIONS),
            "",
            "## Execution: one job on one agent, a pure fold of its tasks",
            "",
            *_table(EXECUTION_TRANSITIONS),
            "",
        ]
    )


def _diagram(table: object) -> list[str]:
    assert isinstance(table, dict)
    lines = ["```mermaid", "stateDiagram-v2"]
    for before, after in table.items():
        lines += [f"    {before.name} --> {one.name}" for one in sorted(after)]
        if not after:
            lines.append(f"    {before.name} --> [*]")
    return [*lines, "```"]


def _table(table: object) -> list[str]:
    assert isinstance(table, dict)
    lines = ["| from | to |", "|---|---|"]
    for before, after in table.items():
        names = ", ".join(one.name for one in sorted(after)) or "terminal"
        lines.append(f"| {before.name} | {names} |")
    return lines


PAGES = {"states.md": states_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
