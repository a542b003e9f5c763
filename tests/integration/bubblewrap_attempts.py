"""Tries every way out of the sandbox it runs in, and writes what came of each into report.json.

Standard library only: it runs as a job. Each attempt returns what it got hold of, or nothing; an OSError means it was
refused. Those marked harmless are run on the host as well, to show that they would work without a sandbox.
"""

import ctypes
import errno
import glob
import json
import os
import platform
import socket
import stat
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
ATTEMPTS = {}
HARMLESS = set()
FACTS = {}

# Numbers of x86-64, for calls that the C library does not offer.
CALLS = {
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "keyctl": 250, "add_key": 248, "request_key": 249, "kexec_load": 246,
    "kexec_file_load": 320, "init_module": 175, "finit_module": 313, "delete_module": 176, "mount": 165, "umount2": 166,
    "pivot_root": 155, "chroot": 161, "fsopen": 430, "fsmount": 432, "move_mount": 429, "open_tree": 428,
    "mount_setattr": 442, "setns": 308, "unshare": 272, "ptrace": 101, "process_vm_readv": 310,
    "process_vm_writev": 311, "pidfd_getfd": 438, "kcmp": 312, "open_by_handle_at": 304, "name_to_handle_at": 303,
    "quotactl": 179, "swapon": 167, "swapoff": 168, "acct": 163, "syslog": 103, "settimeofday": 164,
    "clock_settime": 227, "iopl": 172, "ioperm": 173, "personality": 135, "fanotify_init": 300, "memfd_secret": 447,
    "modify_ldt": 154, "mbind": 237, "move_pages": 279,
}  # fmt: skip


def attempt(function=None, *, harmless=False):
    """Register a way out; its docstring is its name."""
    if function is None:
        return lambda wrapped: attempt(wrapped, harmless=harmless)
    name = function.__doc__.rstrip(".")
    ATTEMPTS[name] = function
    if harmless:
        HARMLESS.add(name)
    return function


def call(name, *arguments):
    """Make a system call by number; raise what went wrong."""
    result = LIBC.syscall(ctypes.c_long(CALLS.get(name, name)), *(ctypes.c_long(word) for word in arguments))
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def function(name, *arguments):
    """Call the C library; raise what went wrong."""
    if getattr(LIBC, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)
    return name


def found_in(*patterns, mode="rb"):
    """Find the canary in any file that matches."""
    for path in (path for pattern in patterns for path in glob.glob(pattern)):
        try:
            with open(path, mode) as file:
                if FACTS["canary"].encode() in file.read(1 << 20):
                    return path
        except OSError:
            continue
    return None


def first(paths, reach):
    """Reach for each of the paths; the first that does not refuse."""
    for path in paths:
        try:
            return f"{path}: {reach(path)}"
        except OSError:
            continue
    return None


def connected(family, address):
    with socket.socket(family) as client:
        client.settimeout(2)
        client.connect(address)
        return f"connected to {address}"


# Files


@attempt(harmless=True)
def read_a_secret():
    """read a secret file of the agent's user."""
    return found_in(FACTS["secret"])


@attempt(harmless=True)
def see_folders_of_the_host():
    """see the home folder, the repository or the agent's working folder."""
    places = {"/root", "/home", "/var", "/run", "/srv", "/mnt", "/boot", "/usr/local", "/usr/share/doc"}
    places |= {FACTS["home"], FACTS["repository"], FACTS["cwd"]}
    return first(sorted(places), os.listdir)


@attempt(harmless=True)
def read_files_of_the_host():
    """read account, host and key files."""
    for path in ("/etc/passwd", "/etc/group"):
        with open(path) as file:
            if "root" in file.read():
                return path
    return first(["/etc/shadow", "/etc/hostname", "/etc/machine-id", "/etc/resolv.conf", "/etc/ssh"], os.stat)


@attempt
def climb_out():
    """climb above the working folder or through a link of /proc."""
    return found_in(
        "../" * 20 + FACTS["secret"].lstrip("/"), *(f"/proc/*/{way}{FACTS['secret']}" for way in ("root", "cwd"))
    )


@attempt(harmless=True)
def import_the_hosts_packages():
    """import a package of the agent or of the host's Python."""
    script = "import importlib.util as u; print([m for m in ('psutil','web3','pip','apt_pkg') if u.find_spec(m)])"
    for python in (*glob.glob("/usr/bin/python3*"), *glob.glob("/opt/*/bin/python"), sys.executable):
        try:
            ran = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if "'" in ran.stdout:
            return f"{python}: {ran.stdout}"
    return first(["/usr/lib/python3", "/usr/lib/python3/dist-packages", "/usr/lib/python3.11"], os.listdir)


@attempt
def write_to_the_system():
    """write outside the job's own folders."""
    places = [
        "/",
        "/dev",
        "/etc",
        "/job",
        "/opt",
        "/opt/python",
        "/opt/runtime",
        "/opt/runtime/lib",
        "/usr",
        "/usr/bin",
    ]
    places += ["/proc/sys/kernel", "/usr/lib", "/proc"]
    return first(places, lambda place: open(f"{place}/planted", "w"))


@attempt
def link_a_file_of_the_host():
    """hard link a file from outside into the outputs."""
    os.link("/etc/passwd", "/job/out/linked")
    return "linked"


@attempt
def use_open_handles():
    """use a handle that was left open."""
    own = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd") if int(number) > 2]
    handles = [path for path in (*own, *glob.glob("/proc/1/fd/*")) if os.path.exists(path)]
    targets = {path: os.readlink(path) for path in handles}
    expected = ("/dev/null", "/job/in/report.json")
    return {path: target for path, target in targets.items() if target[0] == "/" and target not in expected} or None


@attempt
def make_a_device():
    """make or open a device of the host."""
    for kind in (stat.S_IFBLK, stat.S_IFCHR):
        try:
            os.mknod("/job/out/device", kind | 0o666, os.makedev(1, 1))
            return "made one"
        except OSError:
            pass
    names = ("mem", "kmem", "port", "kvm", "fuse", "vda", "sda", "nvme0n1", "loop-control", "net/tun", "vsock", "kmsg")
    return first([f"/dev/{name}" for name in names], lambda path: os.open(path, os.O_RDONLY))


# Processes


@attempt(harmless=True)
def read_environments():
    """read another process's environment."""
    return found_in("/proc/*/environ")


@attempt(harmless=True)
def read_the_first_environment():
    """read anything in the environment of process 1."""
    return first(["/proc/1/environ", f"/proc/{FACTS['pid']}/environ"], lambda path: open(path).read() or os.stat("/no"))


@attempt(harmless=True)
def see_processes_of_the_host():
    """see a process of the host, or its paths on a command line."""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with open(path) as file:
            words = file.read()
        if words.startswith("sleep\x00600") or FACTS["secret"].rsplit("/", 2)[0] in words:
            return words
    return None


@attempt(harmless=True)
def signal_a_process_of_the_host():
    """signal a process of the host."""
    os.kill(FACTS["pid"], 0)
    return "signalled"


@attempt
def trace_a_process():
    """trace or read the memory of process 1."""
    return function("ptrace", 16, 1, 0, 0)


@attempt
def leave_the_limits():
    """raise its own limits, priority or user."""
    import resource

    for reach in (
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)),
        lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
        lambda: os.nice(-1),
        lambda: os.setuid(0),
        lambda: os.setgroups([0]),
        lambda: os.setresuid(1000, 1000, 1000),
    ):
        try:
            reach()
            return "raised"
        except (OSError, ValueError):
            continue
    return None


@attempt
def be_spared_when_memory_is_short():
    """lower its own oom_score_adj, so that the kernel takes the agent first."""
    for value in ("999", "0", "-1000"):
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write(value)
            return value
        except OSError:
            continue
    return None


@attempt
def write_into_proc():
    """write to any of its own files in /proc, which set what it is to the kernel."""
    names = ("oom_score_adj", "oom_adj", "loginuid", "uid_map", "gid_map", "setgroups", "coredump_filter", "clear_refs")
    return first([f"/proc/self/{name}" for name in names], lambda path: os.open(path, os.O_WRONLY))


@attempt(harmless=True)
def have_capabilities():
    """hold or regain a capability."""
    with open("/proc/self/status") as file:
        status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
    held = {name: status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    lacks = status["NoNewPrivs"].strip() != "1" or status["Seccomp"].strip() != "2"
    return held if lacks or any(int(mask, 16) for mask in held.values()) else None


@attempt
def gain_by_setuid():
    """gain rights from a setuid program."""
    script = "cp /usr/bin/id /job/out/id && chmod 4755 /job/out/id && /job/out/id -u; su -c id; sudo -n id"
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return None if ran.stdout.strip() in ("", "65534") else ran.stdout


# Namespaces and mounts


@attempt
def mount_something():
    """mount a file system."""
    for kind in (b"tmpfs", b"proc", b"cgroup", b"sysfs", b"overlay"):
        try:
            return function("mount", b"none", b"/tmp", kind, 0, None)
        except OSError:
            continue
    return None


@attempt
def remount_writable():
    """make a read-only mount writable."""
    return first([b"/", b"/usr/bin", b"/opt/python"], lambda place: function("mount", None, place, None, 32, None))


@attempt
def make_namespaces():
    """make a namespace by unshare, clone or clone3."""
    flags = (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000)
    for flag in flags:
        try:
            return function("unshare", flag)
        except OSError:
            pass
        try:
            child = call(56, flag | 17, 0, 0, 0, 0)  # clone
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            return f"clone {flag:#x}"
        except OSError:
            pass
        words = (ctypes.c_uint64 * 8)(flag, 0, 0, 0, 17)
        try:
            child = call(435, ctypes.addressof(words), 64)  # clone3
            if child == 0:
                os._exit(0)
            return f"clone3 {flag:#x}"
        except OSError:
            pass
    return None


@attempt
def enter_namespaces():
    """enter a namespace of another process."""
    return first(glob.glob("/proc/*/ns/*"), lambda path: function("setns", os.open(path, os.O_RDONLY), 0))


@attempt(harmless=True)
def find_shared_memory():
    """find a System V segment or a message queue of the host."""
    found = []
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}") as file:
            found += file.readlines()[1:]
    return found or None


@attempt
def use_cgroups():
    """reach a control group, its limits or its release agent."""
    for pattern in ("/sys/fs/cgroup/*", "/sys/*", "/**/release_agent"):
        if glob.glob(pattern):
            return glob.glob(pattern)[0]
    with open("/proc/self/cgroup") as file:
        return next((line for line in file if "bourse" in line or "process" in line), None)


@attempt
def use_kernel_files():
    """read or write the kernel's own files."""
    readable = ["/proc/kcore", "/dev/mem", "/proc/kmsg", "/sys/kernel/debug", "/proc/1/mem"]
    readable += ["/proc/1/task/1/mem", "/proc/1/maps", "/proc/2/root/proc/1/mem"]
    writable = ["/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/1/mem"]
    writable += ["/proc/sys/vm/drop_caches", "/proc/self/uid_map", "/sys/kernel/uevent_helper"]
    return first(readable, lambda path: open(path, "rb").read(1)) or first(
        writable, lambda path: path if os.write(os.open(path, os.O_WRONLY), b"") is None else None
    )


@attempt
def find_keys():
    """find a key of the host's in the kernel."""
    with open("/proc/keys") as file:
        return [line for line in file if FACTS["canary"][:16] in line] or None


# Network


@attempt(harmless=True)
def connect_to_the_host():
    """connect to a listener on the host's 127.0.0.1."""
    return connected(socket.AF_INET, ("127.0.0.1", FACTS["port"]))


@attempt
def connect_elsewhere():
    """connect to the metadata service, the local network or the world."""
    v4 = [("169.254.169.254", 80), ("10.0.0.1", 80), ("192.168.0.1", 80), ("172.17.0.1", 2375), ("1.1.1.1", 53)]
    v6 = [("fd00:ec2::254", 80), ("2606:4700:4700::1111", 53), ("fe80::1", 80)]
    return first(v4, lambda address: connected(socket.AF_INET, address)) or first(
        v6, lambda address: connected(socket.AF_INET6, address)
    )


@attempt
def send_datagrams():
    """send a datagram anywhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"x", ("1.1.1.1", 53))


@attempt
def resolve_names():
    """resolve a name."""
    return socket.getaddrinfo("example.com", 80)


@attempt
def have_interfaces():
    """have a network interface besides loopback, or a route."""
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    with open("/proc/net/route") as file:
        return others or file.readlines()[1:] or None


@attempt(harmless=True)
def use_unix_sockets():
    """connect to a unix socket of the host by its path."""
    others = ["/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket"]
    return first([FACTS["socket"], *others], lambda path: connected(socket.AF_UNIX, path))


@attempt(harmless=True)
def use_abstract_sockets():
    """connect to an abstract unix socket of the host."""
    return connected(socket.AF_UNIX, "\0" + FACTS["abstract"])


@attempt
def use_other_sockets():
    """open a socket of a family that has no namespace, or a raw one."""
    families = [family for family in range(46) if family not in (1, 2, 10, 16)]
    tries = [(family, kind) for family in families for kind in (1, 2, 3, 5)] + [(2, 3), (10, 3), (40 | 1 << 32, 1)]
    return first(tries, lambda pair: call(41, pair[0], pair[1], 0))


# The kernel's other doors


@attempt
def make_denied_calls():
    """make any of the system calls that are denied."""
    got = []
    for name in CALLS:
        try:
            call(name, -1, 0, 0, 0, 0)
            got.append(name)
        except OSError as refused:
            # Only EPERM comes from the filter; any other error means that the kernel had a look at the arguments.
            if refused.errno != errno.EPERM:
                got.append(f"{name}: {errno.errorcode[refused.errno]}")
    return [name for name in got if name.split(":")[0] in FACTS["denied"]] or None


@attempt
def call_by_another_table():
    """make a denied call by its number of another architecture."""
    child = os.fork()
    if child == 0:
        # x32's number of keyctl(KEYCTL_GET_KEYRING_ID, @u, 0)
        os._exit(0 if LIBC.syscall(0x40000000 | 250, 0, -4, 0) >= 0 else 1)
    return None if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) else "keyctl through x32"


@attempt
def type_into_the_terminal():
    """type into the terminal the agent was started from."""
    for request in (0x5412, 0x5412 | 1 << 32):
        for path in ("/dev/tty", "/proc/self/fd/0", "/dev/pts/0", "/dev/console"):
            try:
                handle = os.open(path, os.O_RDONLY | os.O_NOCTTY)
            except OSError:
                continue
            if LIBC.ioctl(handle, ctypes.c_ulong(request), b"x") == 0:
                return path
    _, follower = os.openpty()
    os.setsid()
    LIBC.ioctl(follower, ctypes.c_ulong(0x540E), 0)  # make it our own: for a stranger's the kernel itself says EPERM
    for request in (0x5412, 0x5412 | 1 << 32):
        if LIBC.ioctl(follower, ctypes.c_ulong(request), b"x") == 0 or ctypes.get_errno() != errno.EPERM:
            return f"ioctl {request:#x} got past the filter"
    return None


@attempt(harmless=True)
def learn_the_hosts_name():
    """learn the host's name."""
    return None if platform.node() == "job" else platform.node()


def report(names):
    """Make the attempts, each in a child of its own so that none changes what the next one finds."""
    found = {}
    for name in names:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                got = ATTEMPTS[name]()
            except OSError:
                got = None
            os.write(writing, json.dumps(None if got is None else str(got)[:500]).encode())
            os._exit(0)
        os.close(writing)
        with open(reading, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
        found[name] = json.loads(said) if said else "the attempt broke off"
    return found


if __name__ == "__main__":
    word = sys.argv[1] if len(sys.argv) > 1 else "all"
    chosen = [name for name in ATTEMPTS if "harmless" not in word or name in HARMLESS]
    if word.startswith("list"):
        print("\n".join(chosen))
    else:
        with open("facts.json") as file:
            FACTS.update(json.load(file))
        with open("report.json", "w") as file:
            json.dump(report(chosen), file)
