"""Of Ansible's long output the operator sees the headlines, the changes, and the first failure."""

import io

from lab import site
from lab.progress import Progress

OUTPUT = """
PLAY [Host layer] **************************************************************

TASK [euconquisto.composer.tls : Install] **************************************
changed: [app1]

RUNNING HANDLER [euconquisto.composer.tls : Reload] ****************************
ok: [app1]

PLAY RECAP *********************************************************************
app1                       : ok=12   changed=3    unreachable=0    failed=0 skipped=2
core1                      : ok=9    changed=0    unreachable=0    failed=0 skipped=2
"""
FAILURE = """
TASK [Fine] ********************************************************************
ok: [app1]

TASK [euconquisto.composer.haproxy : Configure] ********************************
[ERROR]: Task failed: the port is taken
fatal: [edge1]: FAILED! => {"msg": "the port is taken"}

PLAY RECAP *********************************************************************
"""


def test_changes_are_summed_over_hosts():
    outcome = site.Outcome()
    headlines = [found for line in OUTPUT.splitlines() if (found := site.parse(line, outcome))]
    assert outcome.changed == {"app1": 3, "core1": 0} and outcome.total == 3
    assert headlines[0] == ("PLAY", "Host layer")
    assert outcome.tasks == 2


def test_the_failing_task_and_its_message_are_shown_and_not_those_before():
    shown = "\n".join(site.failure(FAILURE.splitlines()))
    assert "haproxy : Configure" in shown and "the port is taken" in shown
    assert "Fine" not in shown


def test_a_phase_is_announced_timed_and_counted():
    screen = io.StringIO()
    progress = Progress(phases=2, stream=screen)
    with progress.phase("images", "the Debian system"):
        progress.say("unchanged")
    assert "[1/2] images: the Debian system" in screen.getvalue()
    assert set(progress.timings) == {"images"}
