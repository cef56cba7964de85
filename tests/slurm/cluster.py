"""A SLURM cluster on one machine: a controller with accounting, two nodes without GPUs and one with two.

The GPUs are device files that lead nowhere: SLURM hands them out, and jobs see CUDA_VISIBLE_DEVICES, as on a real node. Memory
limits, time limits and dead nodes are SLURM's own doing.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ACCOUNT = "proj"
NODES = {"c1": 17001, "c2": 17002, "g1": 17003}
_HOST = socket.gethostname()

_SLURM = """\
ClusterName=bedsieve
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool.%n
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd.%n.pid
SlurmctldLogFile={base}/slurmctld.log
SlurmdLogFile={base}/slurmd.%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MessageTimeout=30
SlurmdTimeout=60
BatchStartTimeout=300
KillWait=3
OverTimeLimit=0
MinJobAge=300
GresTypes=gpu
DefMemPerCPU=200
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
{nodes}
PartitionName=cpu Nodes=c1,c2 Default=YES MaxTime=1-0 State=UP
PartitionName=gpu Nodes=g1 MaxTime=1-0 State=UP
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=16000{gres}"
_GRES = "NodeName=g1 Name=gpu File={base}/nvidia[0-1] Flags=nvidia_gpu_env\n"
_ACCOUNTING = """\
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
SlurmUser=root
LogFile={base}/slurmdbd.log
PidFile={base}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=3306
StorageUser=slurm
StorageLoc=slurm
"""


class Cluster:
    """Daemons below a folder, in the namespaces that `run` made.

    Parameters
    ----------
    base : Path
        A folder for their state and logs, with a short name.
    """

    def __init__(self, base: Path) -> None:
        self.base = base

    def start(self) -> None:
        """Bring everything up, until all nodes take jobs."""
        self._write_configuration()
        self._start_munge()
        self._start_database()
        self._daemon("slurmdbd")
        wait(lambda: succeeds("sacctmgr", "-n", "show", "cluster"), "the accounting daemon", 60)
        for words in (
            ("cluster", "bedsieve"),
            ("account", ACCOUNT, "Description=tests", "Organization=tests"),
            ("user", "root", f"Account={ACCOUNT}"),
        ):
            output("sacctmgr", "-i", "add", *words)
        self._daemon("slurmctld")
        wait(lambda: succeeds("scontrol", "ping"), "the controller", 60)
        for name in NODES:
            self.start_node(name)
        self.wait_for_nodes()

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        self._daemon("slurmd", "-N", name)

    def wait_for_nodes(self) -> None:
        """Wait until all nodes take jobs."""
        ready = {"idle", "mixed", "allocated", "completing"}
        wait(lambda: set(output("sinfo", "-hN", "-o", "%T").split()) <= ready, "the nodes", 90)

    def kill_node(self, name: str) -> None:
        """Take a node away as a power cut would: its daemon and all that runs on it."""
        os.kill(self.pid_of(f"slurmd.{name}"), signal.SIGKILL)
        jobs = output("squeue", "-h", "-w", name, "-o", "%A").split()
        for pid in processes():
            if any(title(pid).startswith(f"slurmstepd: [{job}.") for job in jobs):
                kill(pid)
        for pid in processes():
            if environment_of(pid).get("SLURMD_NODENAME") == name:
                kill(pid)

    def restart_controller(self, pause: float) -> None:
        """Stop the controller, leave the cluster without one for some seconds, start it again.

        It is told to stop, as an upgrade of SLURM does it. One that is killed forgets the jobs of its last seconds and gives
        their numbers to others: no run can make up for that.
        """
        old = self.pid_of("slurmctld")
        os.kill(old, signal.SIGTERM)
        wait(lambda: not title(old), "the controller to stop", 60)
        time.sleep(pause)
        self._daemon("slurmctld")
        wait(lambda: succeeds("scontrol", "ping"), "the controller", 60)

    def pid_of(self, daemon: str) -> int:
        """Process of a daemon."""
        return int((self.base / f"{daemon}.pid").read_text())

    def stop(self) -> None:
        """End all daemons."""
        names = [f"slurmd.{name}" for name in NODES]
        for daemon in (*names, "slurmctld", "slurmdbd", "mariadbd", "munged"):
            path = self.base / f"{daemon}.pid"
            if path.exists() and path.read_text().strip():
                kill(int(path.read_text()), signal.SIGTERM)

    def _write_configuration(self) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        for folder in ("state", *(f"spool.{name}" for name in NODES)):
            (self.base / folder).mkdir(exist_ok=True)
        gpus = {"g1": " Gres=gpu:2"}
        nodes = "\n".join(
            _NODE.format(name=name, host=_HOST, port=port, gres=gpus.get(name, ""))
            for name, port in NODES.items()
        )
        # Jobs look where SLURM looks by itself: Snakemake's job step forgets SLURM_CONF.
        etc = Path("/etc/slurm")
        (etc / "slurm.conf").write_text(_SLURM.format(host=_HOST, base=self.base, nodes=nodes))
        (etc / "gres.conf").write_text(_GRES.format(base=self.base))
        (etc / "slurmdbd.conf").write_text(_ACCOUNTING.format(base=self.base))
        (etc / "slurmdbd.conf").chmod(0o600)
        for number in (0, 1):
            os.mknod(self.base / f"nvidia{number}", 0o020666, os.makedev(1, 3))

    def _start_munge(self) -> None:
        key = self.base / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        here = {
            "key-file": key,
            "pid-file": self.base / "munged.pid",
            "log-file": self.base / "munged.log",
            "seed-file": self.base / "munged.seed",
        }
        output("munged", "--force", *(f"--{name}={path}" for name, path in here.items()))

    def _start_database(self) -> None:
        data = f"--datadir={self.base}/db"
        output("mariadb-install-db", "--no-defaults", "--user=root", data, "--skip-test-db")
        with open(self.base / "mariadbd.log", "wb") as log:
            subprocess.Popen(
                [
                    *("mariadbd", "--no-defaults", "--user=root", data, "--skip-grant-tables"),
                    *("--bind-address=127.0.0.1", f"--socket={self.base}/mariadb.socket"),
                    *(f"--pid-file={self.base}/mariadbd.pid", "--innodb-buffer-pool-size=64M"),
                    *("--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        query = ("mariadb", "--no-defaults", f"--socket={self.base}/mariadb.socket", "-e")
        wait(lambda: succeeds(*query, "select 1"), "the database", 60)
        output(*query, "create database slurm")

    def _daemon(self, *command: str) -> None:
        output(*command)


def wait(holds: Callable[[], object], what: str, seconds: float) -> None:
    """Wait until something holds.

    Raises
    ------
    TimeoutError
        If it does not in so many seconds.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)


def succeeds(*command: str) -> bool:
    """Whether a command ends well."""
    return not subprocess.run(command, capture_output=True, check=False).returncode


def output(*command: str) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
    return done.stdout


def kill(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to a process, which may have ended by itself."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return


def processes() -> Iterable[int]:
    """Processes of the namespace but the first and this one."""
    found = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in found if pid not in (1, os.getpid())]


def title(pid: int) -> str:
    """Command line of a process; blank if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def environment_of(pid: int) -> dict[str, str]:
    """Environment of a process; empty if it has ended."""
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)
