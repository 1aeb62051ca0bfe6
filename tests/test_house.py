"""The house holds what CONTRIBUTING promises of it: sizes, tests beside modules, no circles."""

from __future__ import annotations

from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "src" / "octet"

# Modules without a test file of their own, and what tests them.
TESTED_ELSEWHERE = {
    "errors.py": "each error where it is raised",
    "launcher.py": "tests/integration/test_up.py runs it",
    "api/app.py": "every test of a route asks the whole application",
    "api/health.py": "tests/api/routes/test_health.py asks it",
    "api/published.py": "tests/api/routes/test_songs.py and test_lab.py ask for what it finds",
    "separation/models/demucs/lengths.py": "test_export.py compares the networks with PyTorch's",
    "separation/models/norms.py": "test_export.py compares the networks with PyTorch's",
    "separation/models/recurrent.py": "frameworks/test_export.py compares an LSTM with PyTorch's",
    "separation/models/tracing.py": "both test_export.py write files with it",
    "separation/models/frameworks/published.py": "test_downloads.py builds what it describes",
    "separation/runtimes/network.py": "a protocol alone",
    "worker/compute.py": "tests/worker/test_child.py runs it as a process",
    "worker/failpoints.py": "tests/reliability/test_kills.py dies at each of them",
    "worker/metrics.py": "tests/worker/test_health.py and test_supervisor.py read them",
}
MOST_LINES = 400
SMALL, MOST_SMALL = 60, 12


def _modules() -> list[Path]:
    return [path for path in sorted(HOUSE.rglob("*.py")) if not path.name.startswith("__")]


def test_every_module_has_its_test_file() -> None:
    missing = []
    for path in _modules():
        place = path.relative_to(HOUSE)
        mirrored = ROOT / "tests" / place.with_name(f"test_{place.name}")
        if not mirrored.exists() and str(place) not in TESTED_ELSEWHERE:
            missing.append(str(place))
    assert not missing


def test_no_exception_outlives_its_module_or_its_reason() -> None:
    for place in TESTED_ELSEWHERE:
        assert (HOUSE / place).exists(), place
        path = Path(place)
        assert not (ROOT / "tests" / path.with_name(f"test_{path.name}")).exists(), place


def test_modules_are_neither_large_nor_crumbs() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in _modules()}

    assert not [str(path) for path, count in lines.items() if count > MOST_LINES]
    small = [path.name for path, count in lines.items() if count < SMALL]
    assert len(small) <= MOST_SMALL, small


def test_no_two_modules_import_each_other() -> None:
    graph = grimp.build_graph("octet", exclude_type_checking_imports=False, cache_dir=None)

    circles = [
        (one, other)
        for one in graph.modules
        for other in graph.find_modules_directly_imported_by(one)
        if one < other and one in graph.find_modules_directly_imported_by(other)
    ]
    # The package itself names, for type checkers, what it loads when it is first used.
    assert not [pair for pair in circles if "octet" not in pair]
