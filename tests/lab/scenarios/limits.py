"""What is used up: pools of subnets, a network's addresses."""

from tests.lab.scenario import DAEMON_JSON, RESTART, Cause, Container, Fault, Hit, Scenario, write

TWO_POOLS = write(DAEMON_JSON, '{"default-address-pools": [{"base": "10.200.0.0/24", "size": 25}]}')
FILL = "docker network create second"

SCENARIOS = (
    Fault(
        name="address-pools-exhausted",
        # The first is the default bridge's.
        setup=("ip link delete docker0; rm -rf /var/lib/docker/network", TWO_POOLS, RESTART, FILL),
        break_=("! docker network create third",),
        hits=Hit.NOTHING,
        mend=("docker network prune --force",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("limits", "engine:*", ("pool",)),
    ),
    Fault(
        name="network-addresses-exhausted",
        setup=("docker network create --subnet 10.9.0.0/30 small",),
        containers=(Container(network="small"),),
        break_=("! docker run --detach --network small lab sleep 1000",),
        hits=Hit.NOTHING,
        mend=("docker rm --force $(docker ps --all --quiet --filter status=created)",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("limits", "network:small", ("10.9.0.0/30",)),
        remedy=False,
    ),
    Scenario(
        name="network-fully-used",
        setup=("docker network create --subnet 10.9.0.0/29 small",),
        containers=tuple(Container(name=f"web{number}", network="small") for number in range(5)),
    ),
)
