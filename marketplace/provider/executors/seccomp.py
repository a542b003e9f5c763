"""Which system calls jobs may not make, as a program that the kernel runs before each call.

A deny list on top of a sandbox that has no capability, no network and no further user namespace: what is denied here
would mostly be refused by the kernel anyway. The list is for the day on which it would not be, because those calls are
where most ways out of containers were found. Ordinary programs (numpy with OpenMP, joblib's processes) never notice.
"""

from __future__ import annotations

import errno
import importlib
import os
from typing import Any, Final

from marketplace.domain.errors import ToolMissing

DENIED: Final = (
    # another view of the file system
    *("mount", "umount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount"),
    *(
        "open_tree",
        "mount_setattr",
        "name_to_handle_at",
        "open_by_handle_at",
        "quotactl",
        "quotactl_fd",
        "fanotify_init",
    ),
    # other namespaces
    *("unshare", "setns"),
    # other processes' memory and files
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp"),
    # programs in the kernel, and interfaces that run calls past this filter
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_secret"),
    # keys, which are kept by user and not by namespace
    *("keyctl", "add_key", "request_key"),
    # the machine itself
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff"),
    *("acct", "syslog", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "iopl", "ioperm", "vhangup"),
    *("modify_ldt", "personality", "uselib", "ustat", "sysfs", "_sysctl", "lookup_dcookie", "nfsservctl"),
    # where memory lies on the machine
    *("mbind", "set_mempolicy", "get_mempolicy", "migrate_pages", "move_pages"),
)

_NEW_NAMESPACE: Final = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWNS, …CGROUP, …UTS, …IPC, …USER, …PID, …NET."""
_TYPE_AHEAD: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: typing into the terminal from which somebody started the agent."""
_FAMILIES: Final = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK end in the job's own network. AF_VSOCK, say, reaches a virtual machine's host."""


def seccomp_program() -> bytes:
    """Compile the filter; raise ToolMissing when libseccomp is not on this machine."""
    try:
        # Imported here because pyseccomp looks for the C library when it is imported.
        seccomp: Any = importlib.import_module("pyseccomp")
    except RuntimeError as exc:
        raise ToolMissing("libseccomp", "install it (Debian: apt install libseccomp2)") from exc
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    denied = seccomp.ERRNO(errno.EPERM)
    for name in DENIED:
        # A negative number stands for a call that this architecture, or this libseccomp, does not have.
        if seccomp.resolve_syscall(seccomp.system_arch(), name) >= 0:
            rules.add_rule(denied, name)
    # The arguments of clone3 are out of a filter's sight. "No such call" makes C libraries fall back to clone.
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in _NEW_NAMESPACE:
        rules.add_rule(denied, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, flag, flag))
    for request in _TYPE_AHEAD:
        # The kernel looks at the lower 32 bits only, so the filter must, too.
        rules.add_rule(denied, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    for family in sorted(set(range(_FAMILIES[-1])) - set(_FAMILIES)):
        rules.add_rule(denied, "socket", seccomp.Arg(0, seccomp.MASKED_EQ, 0xFFFFFFFF, family))
    rules.add_rule(denied, "socket", seccomp.Arg(0, seccomp.GT, _FAMILIES[-1]))
    return _exported(rules)


def _exported(rules: Any) -> bytes:
    with open(os.memfd_create("seccomp"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
