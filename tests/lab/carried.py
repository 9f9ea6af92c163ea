"""The single file, built by each suite's own Python, and the container image, built by a lab host's engine."""

import shutil
from pathlib import Path

from tests.lab.cache import build_once, recipe_key
from tests.lab.host import LabHost
from tests.lab.product import build_wheel, hash_of_sources
from tests.lab.roots import CHECKOUT, VENV, in_layer, layers, progress, run_quietly

PACKAGING = CHECKOUT / "packaging"
IMAGE_PACKAGES = ("python3", "nftables", "iptables", "systemd")
IMAGE_SUITE = "trixie"
TOOLS = "dockerdiag-tools"
RUN = "docker run --rm --privileged --pid=host --network=host -v /:/host:ro"


def single_file(suite: str) -> Path:
    """Built where that suite's Python is, with its pip; the lab hosts that run it have neither pip nor network."""
    recipes = [path.read_text() for path in sorted((PACKAGING / "single_file").glob("*.py"))]
    sources = hash_of_sources()
    wheel = build_once("wheel", sources, build_wheel, keep=8)

    def build(folder: Path) -> None:
        progress(f"{suite}: building the single file")
        upper = folder / "upper"
        parcel = upper / "opt/parcel"
        shutil.copytree(PACKAGING / "single_file", parcel / "single_file")
        shutil.copy(next(wheel.glob("*.whl")), parcel)
        packed = f"/opt/parcel/{next(wheel.glob('*.whl')).name}"
        builder = (f"{VENV}/bin/python", "/opt/parcel/single_file/build.py")
        in_layer(upper, layers(suite), *builder, "--to", "/opt/parcel/dist", "--wheel", packed)
        shutil.move(parcel / "dist", folder / "dist")
        for leftover in (upper, folder / "work", folder / "merged"):
            shutil.rmtree(leftover, ignore_errors=True)

    built = build_once(
        f"single-file-{suite}", recipe_key(layers(suite)[0].parent.name, sources, *recipes), build
    )
    return next(path for path in (built / "dist").iterdir() if path.suffix != ".sha256")


def image_base() -> Path:
    """What the Dockerfile installs, as a tar archive: no lab host reaches a registry."""

    def build(folder: Path) -> None:
        progress("building the base of the container image")
        packages = f"--include={','.join(IMAGE_PACKAGES)}"
        options = (
            '--aptopt=Acquire::Check-Valid-Until "false"',
            "--dpkgopt=force-unsafe-io",
            "--variant=minbase",
        )
        run_quietly("mmdebstrap", *options, packages, IMAGE_SUITE, str(folder / "base.tar"))

    return build_once("image-base", recipe_key(IMAGE_SUITE, *IMAGE_PACKAGES), build) / "base.tar"


def put(host: LabHost, file: Path, target: str) -> None:
    """Copies a file onto a running host."""
    there = Path(f"/proc/{host.pid1}/root", target.lstrip("/"))
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, there)


def build_image(host: LabHost) -> None:
    """Builds `dockerdiag` with the engine's own builder, as the Dockerfile says."""
    put(host, image_base(), "/root/image/base.tar")
    put(host, PACKAGING / "Dockerfile", "/root/image/Dockerfile")
    file = single_file(IMAGE_SUITE)
    put(host, file, f"/root/image/context/{file.name}")
    python = file.name.split("-")[1].removeprefix("py")
    arguments = f"--build-arg BASE={TOOLS} --build-arg PYTHON={python}"
    host.run_all(
        (
            f"docker import /root/image/base.tar {TOOLS}",
            f"DOCKER_BUILDKIT=0 docker build {arguments} -f /root/image/Dockerfile -t dockerdiag /root/image/context",
        )
    )
