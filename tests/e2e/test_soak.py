import os

from cluster import Cluster
from soak import measured_soak


def test_soak(model):
    """64 clients with random disconnects and bad requests; BESSEMER_SOAK_SECONDS sets how long."""
    with Cluster(model) as cluster:
        problems = measured_soak(cluster, float(os.environ.get("BESSEMER_SOAK_SECONDS", "15")), clients=64)
    assert not problems, "\n".join(problems[:20])
