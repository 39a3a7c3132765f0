"""A node's part, as far as one machine has it without a kubelet: a pod's volumes laid out, and its containers run in them.

A container has a root of its own, read-only, with nothing of this machine's but programs and libraries; its volumes where they are mounted; its user, no
capabilities, no new privileges; and its environment alone. It has this machine's network, and no image: `ml-secrets` is the one under test.
"""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[4]
PROGRAM_PLACES = dict.fromkeys(
    ("/usr", "/proc", "/dev", sys.base_prefix, str(SOURCE), sys.prefix, str(Path(sys.executable).parent))
)
PROGRAMS = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin"


def possible():
    """Skip where no mount namespace can be made."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("a pod's mounts need root and setpriv (util-linux)")
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine allows no mount namespace")


def atomic(folder, files):
    """Files as a kubelet lays them out: name -> ..data/name, ..data -> a folder with a date, which a change replaces."""
    dated = Path(tempfile.mkdtemp(prefix="..2026_11_30_", dir=folder))
    dated.chmod(0o755)
    for name, text in files.items():
        (dated / name).write_text(text)
        (dated / name).chmod(0o444)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..tmp").symlink_to(dated.name)
    (folder / "..tmp").rename(folder / "..data")


class Pod:
    """A pod's volumes. `secrets`, `configmaps`: the objects of its namespace, by name, with their keys."""

    def __init__(self, pod, room, *, secrets=None, configmaps=None):
        self.pod = pod
        self.room = room
        self.secrets = secrets or {}
        self.configmaps = configmaps or {}
        self.processes = []
        for volume in pod["spec"]["volumes"]:
            self._lay(volume)

    def _lay(self, volume):
        folder = self.room / volume["name"]
        if "hostPath" in volume:
            folder.symlink_to(volume["hostPath"]["path"])
            return
        folder.mkdir()
        if "emptyDir" in volume:
            group = self.pod["spec"].get("securityContext", {}).get("fsGroup")
            os.chown(folder, -1, group or 0)
            folder.chmod(0o2777 if group else 0o777)
        elif "downwardAPI" in volume:
            annotations = self.pod["metadata"]["annotations"]
            paths = {one["path"]: one["fieldRef"]["fieldPath"] for one in volume["downwardAPI"]["items"]}
            atomic(folder, {name: annotations[path[22:-2]] for name, path in paths.items()})
        elif "secret" in volume:
            atomic(folder, self.secrets[volume["secret"]["secretName"]])
        elif "configMap" in volume:
            atomic(folder, self.configmaps[volume["configMap"]["name"]])

    def change(self, volume, files):
        """A Secret or ConfigMap has changed, and the kubelet sees it."""
        atomic(self.room / volume, files)
        return files

    def container(self, name):
        """The container of that name, of either kind."""
        spec = self.pod["spec"]
        return next(
            one
            for kind in ("initContainers", "containers")
            for one in spec.get(kind) or []
            if one["name"] == name
        )

    def start(self, container, command=None):
        """Start a container, or a command in it."""
        words = command or [*container["command"], *self._expanded(container)]
        context = {**self.pod["spec"].get("securityContext", {}), **container.get("securityContext", {})}
        made = subprocess.Popen(
            [
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "bash",
                "-ec",
                self._script(container, words, context),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(made)
        return made

    def run(self, container, command=None):
        """Run it to its end: exit code and output."""
        made = self.start(container, command)
        out, _ = made.communicate(timeout=60)
        return made.returncode, out

    def stop(self):
        """End what still runs."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate()

    def _environment(self, container):
        found = {"PATH": PROGRAMS, "PYTHONPATH": f"{SOURCE}/src", "PYTHONDONTWRITEBYTECODE": "1"}
        for one in container.get("env") or []:
            source = one.get("valueFrom", {}).get("secretKeyRef")
            found[one["name"]] = self.secrets[source["name"]][source["key"]] if source else one["value"]
        return found

    def _expanded(self, container):
        """$(NAME) is the kubelet's to replace."""
        names = self._environment(container)
        return [re.sub(r"\$\(([A-Z_]+)\)", lambda found: names[found[1]], word) for word in container["args"]]

    def _script(self, container, words, context):
        root = "/mnt"
        lines = [f"mount -t tmpfs -o mode=0755 root {root}"]
        for link in (top for top in Path("/").iterdir() if top.is_symlink()):
            lines.append(f"ln -s {link.readlink()} {root}{link}")
        for place in PROGRAM_PLACES:
            lines.append(f"mkdir -p {root}{place}; mount --rbind {place} {root}{place}")
        lines.append(f"mkdir -p {root}/etc/ssl {root}/run; mount --rbind /etc/ssl {root}/etc/ssl")
        for mount in container.get("volumeMounts") or []:
            source, at = self.room / mount["name"] / mount.get("subPath", ""), f"{root}{mount['mountPath']}"
            lines.append(f"mkdir -p -m 0777 {source}; mkdir -p {at}; mount --bind {source} {at}")
            if mount.get("readOnly"):
                lines.append(f"mount -o remount,bind,ro {at}")
        lines.append(f"mount -o remount,ro {root}")
        user, group = context["runAsUser"], context.get("runAsGroup", 0)
        groups = f"--groups={context['fsGroup']}" if "fsGroup" in context else "--clear-groups"
        dropped = "--no-new-privs --bounding-set=-all --inh-caps=-all" if context.get("capabilities") else ""
        environment = " ".join(
            shlex.quote(f"{name}={value}") for name, value in self._environment(container).items()
        )
        enter = f"exec env -i {environment} chroot {root} setpriv --reuid={user} --regid={group} {groups} {dropped}"
        return "\n".join([*lines, f"{enter} {shlex.join(words)}"])
