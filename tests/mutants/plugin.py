"""Loaded into pytest by the runner: hypothesis repeats itself, and finds without explaining.

A mutant is noticed or not, the same way each time; shrinking the example that noticed it would
take longer than finding it.
"""

from hypothesis import HealthCheck, Phase, settings


def pytest_configure() -> None:
    settings.register_profile(
        "mutants",
        deadline=None,
        max_examples=150,
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
