"""An engine's data folder with the lab's image in it, made once per suite by the engine itself."""

import shutil
import subprocess
from pathlib import Path

from tests.lab.cache import build_once, recipe_key
from tests.lab.roots import layers, progress

IMAGE = "lab"
IMPORT = """
set -e
mkdir -p /tmp/image/bin /tmp/image/etc /tmp/image/tmp
cp "$(command -v busybox)" /tmp/image/bin/busybox
for name in $(/tmp/image/bin/busybox --list | grep -vx busybox); do ln -s busybox "/tmp/image/bin/$name"; done
echo 'root:x:0:0:root:/:/bin/sh' > /tmp/image/etc/passwd
tar -C /tmp/image -c . | docker import --change 'CMD ["sleep", "infinity"]' - lab
systemctl stop docker.socket docker.service containerd.service
"""
DATA_FOLDERS = ("docker", "containerd")


def engine_data(suite: str) -> Path:
    """The folder that holds `docker` and `containerd` as they are copied for each host."""
    key = recipe_key(layers(suite)[-1].name, IMPORT)
    return build_once(f"engine-{suite}", key, lambda folder: import_image(suite, folder))


def import_image(suite: str, folder: Path) -> None:
    # A host makes the template and is made from it.
    from tests.lab.host import LabHost  # noqa: PLC0415

    progress(f"{suite}: importing the image")
    with LabHost(suite, product=False, image=False) as host:
        host.run(IMPORT).expect_success()
        for name in DATA_FOLDERS:
            copy_tree(host.folder / name, folder / name)


def copy_tree(source: Path, target: Path) -> None:
    """With owners, hard links and the xattrs that overlay needs, which shutil does not all keep."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(("cp", "--archive", "--reflink=auto", str(source), str(target)), check=True)
