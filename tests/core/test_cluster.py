"""What starts a cluster, as far as it can be seen without one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from segship.core.cluster import _groups_of_their_own

_GROUP = [sys.executable, "-c", "import os; print(os.getpgrp())"]


def started() -> int:
    """The group of a process that is started as Ray starts its own."""
    return int(subprocess.check_output(_GROUP, preexec_fn=lambda: None))


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="this system does not fork")
def test_a_cluster_of_ones_own_does_not_hear_the_signals_of_a_group() -> None:
    with _groups_of_their_own():
        assert started() != os.getpgrp()
    assert started() == os.getpgrp()
