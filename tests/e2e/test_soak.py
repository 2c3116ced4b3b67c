import os

from cluster import Cluster
from soak import SMALL_CACHE, measured_soak


def test_soak(model):
    """64 clients with random disconnects and bad requests; BESSEMER_SOAK_SECONDS sets how long. Their sequences want more blocks
    than there are, so they wait and are preempted too."""
    with Cluster(model, flags=SMALL_CACHE) as cluster:
        problems = measured_soak(cluster, float(os.environ.get("BESSEMER_SOAK_SECONDS", "15")), clients=64)
    assert not problems, "\n".join(problems[:20])
