"""The harness itself: what goes wrong in a cluster must fail the test that used it."""
import os
import signal

import pytest

from cluster import Cluster, wait_until


def test_a_process_that_ended_by_itself_fails_the_test(model):
    with pytest.raises(AssertionError, match=r"1 processes of the cluster ended, 0 of them(?s:.*)worker \d was killed by signal 6"):
        with Cluster(model) as cluster:
            victim = cluster.children("worker")[0]
            os.kill(victim, signal.SIGABRT)
            wait_until(lambda: victim not in cluster.children("worker"), 10, "the supervisor's notice")


def test_a_process_that_fails_while_it_stops_fails_the_test(model):
    with pytest.raises(AssertionError, match="was killed by signal 6 .* while it stopped"):
        with Cluster(model) as cluster:
            victim = cluster.children("worker")[0]
            os.kill(victim, signal.SIGSTOP)
            cluster.interrupt()
            wait_until(lambda: not cluster.children("router"), 10, "the router's end")
            os.kill(victim, signal.SIGABRT)
            os.kill(victim, signal.SIGCONT)


def test_a_process_killed_on_purpose_does_not(model):
    with Cluster(model) as cluster:
        cluster.kill_child(cluster.children("worker")[0])
