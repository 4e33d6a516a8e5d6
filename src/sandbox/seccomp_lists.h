// Which system calls: the lists from which seccomp_gen makes the filters.
#ifndef SALLYPORT_SANDBOX_SECCOMP_LISTS_H
#define SALLYPORT_SANDBOX_SECCOMP_LISTS_H

#include <linux/prctl.h>
#include <sys/ioctl.h>

// What the programs of a sandbox may call. Everything that is in no list answers ENOSYS, as on an older kernel, so that
// programs fall back (clone3, io_uring, and all that is newer than this list).
static const char *const lists_tools_allowed[] = {
        // files
        "read", "write", "open", "openat", "close", "close_range", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs",
        "fstatfs", "lseek", "pread64", "pwrite64", "readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2", "access",
        "faccessat", "faccessat2", "pipe", "pipe2", "dup", "dup2", "dup3", "fcntl", "flock", "fsync", "fdatasync", "syncfs",
        "sync", "sync_file_range", "truncate", "ftruncate", "fallocate", "fadvise64", "readahead", "getdents", "getdents64",
        "getcwd", "chdir", "fchdir", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "creat", "link", "linkat",
        "unlink", "unlinkat", "symlink", "symlinkat", "readlink", "readlinkat", "chmod", "fchmod", "fchmodat", "chown",
        "fchown", "lchown", "fchownat", "umask", "utime", "utimes", "futimesat", "utimensat", "mknod", "mknodat", "getxattr",
        "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
        "lremovexattr", "fremovexattr", "sendfile", "splice", "tee", "vmsplice", "copy_file_range", "ioctl", "inotify_init",
        "inotify_init1", "inotify_add_watch", "inotify_rm_watch", "memfd_create", "name_to_handle_at",
        // waiting
        "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
        "epoll_pwait2", "eventfd", "eventfd2", "signalfd", "signalfd4", "timerfd_create", "timerfd_settime", "timerfd_gettime",
        "io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents",
        // memory
        "mmap", "mprotect", "munmap", "brk", "mremap", "msync", "mincore", "madvise", "mlock", "mlock2", "munlock", "mlockall",
        "munlockall", "pkey_alloc", "pkey_free", "pkey_mprotect", "membarrier", "shmget", "shmat", "shmdt", "shmctl", "semget",
        "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", "mq_timedsend",
        "mq_timedreceive", "mq_notify", "mq_getsetattr", "get_mempolicy", "getcpu",
        // processes and threads
        "clone", "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "getpid", "getppid", "gettid",
        "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "unshare", "futex", "set_robust_list", "get_robust_list",
        "set_tid_address", "rseq", "arch_prctl", "set_thread_area", "get_thread_area", "sched_yield", "sched_getaffinity",
        "sched_setaffinity", "sched_getparam", "sched_setparam", "sched_getscheduler", "sched_setscheduler", "sched_getattr",
        "sched_setattr", "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", "getpriority",
        "setpriority", "ioprio_get", "ioprio_set", "getrlimit", "setrlimit", "getrusage", "pidfd_open", "pidfd_send_signal",
        "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self",
        // signals and time
        "kill", "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend",
        "rt_sigtimedwait", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sigaltstack", "pause", "alarm", "getitimer", "setitimer",
        "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete", "nanosleep", "clock_nanosleep",
        "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "restart_syscall",
        // identity
        "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid", "setgid", "setreuid",
        "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capget", "capset",
        // sockets that exist
        "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername", "setsockopt", "getsockopt",
        "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg",
        // the machine, as far as programs ask
        "uname", "sysinfo", "getrandom", NULL};

// Refused to everybody: EPERM, so that who tries sees a refusal and not an old kernel.
static const char *const lists_refused[] = {"ptrace",
                                            "process_vm_readv",
                                            "process_vm_writev",
                                            "process_madvise",
                                            "pidfd_getfd",
                                            "kcmp",
                                            "bpf",
                                            "perf_event_open",
                                            "userfaultfd",
                                            "keyctl",
                                            "add_key",
                                            "request_key",
                                            "mount",
                                            "umount2",
                                            "pivot_root",
                                            "chroot",
                                            "move_mount",
                                            "open_tree",
                                            "fsopen",
                                            "fsconfig",
                                            "fsmount",
                                            "fspick",
                                            "mount_setattr",
                                            "setns",
                                            "init_module",
                                            "finit_module",
                                            "delete_module",
                                            "kexec_load",
                                            "kexec_file_load",
                                            "reboot",
                                            "swapon",
                                            "swapoff",
                                            "acct",
                                            "quotactl",
                                            "quotactl_fd",
                                            "settimeofday",
                                            "clock_settime",
                                            "clock_adjtime",
                                            "adjtimex",
                                            "sethostname",
                                            "setdomainname",
                                            "syslog",
                                            "vhangup",
                                            "iopl",
                                            "ioperm",
                                            "open_by_handle_at",
                                            "fanotify_init",
                                            "fanotify_mark",
                                            "lookup_dcookie",
                                            "nfsservctl",
                                            "io_uring_setup",
                                            "io_uring_enter",
                                            "io_uring_register",
                                            "modify_ldt",
                                            "uselib",
                                            "ustat",
                                            "sysfs",
                                            "migrate_pages",
                                            "move_pages",
                                            NULL};

static const char *const lists_tools_refused[] = {"personality", NULL};

// Refused to a role after lock-down, beside the above.
static const char *const lists_roles_refused[] = {"bind",        "listen",   "execve",   "execveat",  "unshare",   "setuid",
                                                  "setgid",      "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
                                                  "personality", "mknod",    "mknodat",  NULL};
static const char *const lists_roles_fork[] = {"fork", "vfork", NULL};

static const int lists_tools_prctl[] = {PR_SET_PDEATHSIG,
                                        PR_GET_PDEATHSIG,
                                        PR_GET_DUMPABLE,
                                        PR_SET_DUMPABLE,
                                        PR_GET_KEEPCAPS,
                                        PR_SET_NAME,
                                        PR_GET_NAME,
                                        PR_GET_SECCOMP,
                                        PR_SET_SECCOMP,
                                        PR_CAPBSET_READ,
                                        PR_GET_TSC,
                                        PR_GET_SECUREBITS,
                                        PR_SET_TIMERSLACK,
                                        PR_GET_TIMERSLACK,
                                        PR_SET_CHILD_SUBREAPER,
                                        PR_GET_CHILD_SUBREAPER,
                                        PR_SET_NO_NEW_PRIVS,
                                        PR_GET_NO_NEW_PRIVS,
                                        PR_GET_TID_ADDRESS,
                                        PR_SET_THP_DISABLE,
                                        PR_GET_THP_DISABLE,
                                        PR_CAP_AMBIENT,
                                        PR_GET_SPECULATION_CTRL,
                                        PR_SET_SPECULATION_CTRL,
                                        PR_PAC_RESET_KEYS,
                                        PR_SET_TAGGED_ADDR_CTRL,
                                        PR_GET_TAGGED_ADDR_CTRL,
                                        0x53564d41 /* PR_SET_VMA */,
                                        0x59616d61 /* PR_SET_PTRACER */,
                                        0};

// Refused ioctls: pushing input into a terminal, changing its line discipline, taking the console.
static const unsigned long lists_tools_ioctl[] = {0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */, 0x5423 /* TIOCSETD */,
                                                  0x541d /* TIOCCONS */, 0};

#endif
