"""An engine that is a swarm of one: what of overlay networks and docker_gwbridge one host shows."""

from tests.lab.scenario import Cause, Container, Fault, Hit, Scenario

INIT = "docker swarm init --advertise-addr 198.51.100.2"
MESH = "docker network create --driver overlay --attachable mesh"
TASK = Container(name="task", network="mesh")

SCENARIOS = (
    Fault(
        name="swarm-gwbridge-untranslated",
        setup=(INIT, MESH),
        containers=(TASK,),
        break_=("iptables -t nat -D POSTROUTING -s 172.18.0.0/16 ! -o docker_gwbridge -j MASQUERADE",),
        mend=("iptables -t nat -A POSTROUTING -s 172.18.0.0/16 ! -o docker_gwbridge -j MASQUERADE",),
        cause=Cause("masquerade", "network:docker_gwbridge"),
    ),
    Fault(
        name="swarm-overlay-on-the-lan",
        hits=Hit.NOTHING,
        setup=(INIT, "ip route add 10.7.0.0/24 via 198.51.100.1"),
        containers=(Container(),),
        break_=("docker network create --driver overlay --attachable --subnet 10.7.0.0/24 mesh",),
        mend=("docker network rm mesh",),
        verdict="degraded",
        exit_code=1,
        cause=Cause("swarm", "network:mesh", ("10.7.0.0/24",)),
        remedy=False,
    ),
    Scenario(
        name="swarm-with-service",
        setup=(
            INIT,
            MESH,
            "docker service create --no-resolve-image --name shop --network mesh --publish 8080:80 lab httpd -f -p 80",
        ),
        containers=(Container(), TASK),
    ),
)
