// Tries to get out. Run inside a sandbox, and by the same self-test outside of one, where each attempt must succeed on what
// was planted for it: an attempt that nobody has ever seen succeed proves nothing.
//
//	probe FILE PORT ABSTRACT PID MARK MEMORY
//
// FILE a file of the host's; PORT a TCP port listening on the host's 127.0.0.1; ABSTRACT the name of an abstract unix socket;
// PID a process of the host's with MARK in its arguments, environment and ours; MEMORY whose memory to open. Prints
// "NAME ERRNO" for each attempt, 0: it succeeded. `probe MARK` waits until it is killed.
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "../init/sys.h"

#define ENOENT 2
#define EBADF 9
#define ENOTTY 25
#define AF_UNIX 1
#define AF_INET 2
#define AF_VSOCK 40
#define SOCK_STREAM 1
#define INHERITED_FD 77

struct given {
	const char *file, *abstract, *mark;
	long port, pid, memory;
	char **env;
};

static char buffer_[65536];

void probe_main(long *stack) __attribute__((noreturn, used));

static size_t length(const char *s)
{
	size_t n = 0;
	while (s[n] != '\0')
		n++;
	return n;
}

static long number(const char *s)
{
	long n = 0;
	for (; *s >= '0' && *s <= '9'; s++)
		n = n * 10 + (*s - '0');
	return n;
}

static char *put(char *to, const char *s)
{
	while (*s != '\0')
		*to++ = *s++;
	*to = '\0';
	return to;
}

static char *put_number(char *to, long n)
{
	char digits[24];
	int len = 0;
	do
		digits[len++] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	while (len > 0)
		*to++ = digits[--len];
	*to = '\0';
	return to;
}

static int contains(const char *in, size_t n, const char *what)
{
	size_t len = length(what);
	for (size_t i = 0; i + len <= n; i++) {
		size_t k = 0;
		while (k < len && in[i + k] == what[k])
			k++;
		if (k == len)
			return 1;
	}
	return 0;
}

static long open_read(const char *path)
{
	return sys4(__NR_openat, AT_FDCWD, path, O_RDONLY, 0);
}

static long try_file(const struct given *g)
{
	return open_read(g->file);
}

// Whether some process's /proc/PID/`what` holds the mark; our own and our parent's do not count.
static long search_proc(const struct given *g, const char *what)
{
	long self = sys0(__NR_getpid), parent = sys0(__NR_getppid);
	for (long pid = 1; pid < 65536; pid++) {
		char path[64];
		if (pid == self || pid == parent)
			continue;
		put(put(put_number(put(path, "/proc/"), pid), "/"), what);
		long fd = open_read(path);
		if (fd < 0)
			continue;
		long n = sys3(__NR_read, fd, buffer_, sizeof(buffer_));
		sys1(__NR_close, fd);
		if (n > 0 && contains(buffer_, (size_t)n, g->mark))
			return 0;
	}
	return -ENOENT;
}

static long try_process(const struct given *g)
{
	return search_proc(g, "cmdline");
}

static long try_environ(const struct given *g)
{
	return search_proc(g, "environ");
}

static long try_environment(const struct given *g)
{
	for (char **e = g->env; *e != NULL; e++) {
		if (contains(*e, length(*e), g->mark))
			return 0;
	}
	return -ENOENT;
}

static long try_descriptor(const struct given *g)
{
	(void)g;
	return sys2(__NR_fcntl, INHERITED_FD, F_GETFD);
}

static long try_tcp(const struct given *g)
{
	unsigned char a[16] = {AF_INET, 0, (unsigned char)(g->port >> 8), (unsigned char)g->port, 127, 0, 0, 1};
	long fd = sys3(__NR_socket, AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? fd : sys3(__NR_connect, fd, a, sizeof(a));
}

static long try_abstract(const struct given *g)
{
	char a[110] = {AF_UNIX, 0, 0};
	size_t n = length(g->abstract);
	for (size_t i = 0; i < n && i < 100; i++)
		a[3 + i] = g->abstract[i];
	long fd = sys3(__NR_socket, AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 ? fd : sys3(__NR_connect, fd, a, 3 + n);
}

static long try_signal(const struct given *g)
{
	return sys2(__NR_kill, g->pid, 0);
}

static long try_ptrace(const struct given *g)
{
	(void)g;
	return sys4(__NR_ptrace, 0 /* PTRACE_TRACEME */, 0, 0, 0);
}

static long try_memory(const struct given *g)
{
	char path[64];
	put(put_number(put(path, "/proc/"), g->memory), "/mem");
	return open_read(path);
}

static long try_namespace(const struct given *g)
{
	(void)g;
	return sys1(__NR_unshare, CLONE_NEWUSER);
}

// Outside, namespaces of one's own make this possible to everybody.
static long try_mount(const struct given *g)
{
	(void)g;
	sys1(__NR_unshare, CLONE_NEWUSER | CLONE_NEWNS);
	return sys5(__NR_mount, "tmpfs", "/tmp", "tmpfs", 0, 0);
}

static long try_sysctl(const struct given *g)
{
	(void)g;
	sys1(__NR_unshare, CLONE_NEWUSER);
	return sys4(__NR_openat, AT_FDCWD, "/proc/sys/user/max_user_namespaces", O_WRONLY, 0);
}

// Pushes input into a terminal of our own. The kernel looks at the request's low 32 bits only.
static long try_terminal(const struct given *g)
{
	(void)g;
	int unlock = 0, index = 0;
	char path[32];
	sys0(__NR_setsid);
	long master = sys4(__NR_openat, AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY, 0);
	if (master < 0)
		return -ENOTTY;
	sys3(__NR_ioctl, master, TIOCSPTLCK, &unlock);
	sys3(__NR_ioctl, master, TIOCGPTN, &index);
	put_number(put(path, "/dev/pts/"), index);
	long slave = sys4(__NR_openat, AT_FDCWD, path, O_RDWR, 0);
	if (slave < 0)
		return -ENOTTY;
	long err = sys3(__NR_ioctl, slave, TIOCSTI, "x");
	return err < 0 ? sys3(__NR_ioctl, slave, TIOCSTI | 1ul << 32, "x") : err;
}

static long try_vsock(const struct given *g)
{
	(void)g;
	return sys3(__NR_socket, AF_VSOCK, SOCK_STREAM, 0);
}

static long try_keyring(const struct given *g)
{
	(void)g;
	return sys5(__NR_add_key, "user", "sallyport-probe", "x", 1, -2 /* the process's own keyring */);
}

static long try_io_uring(const struct given *g)
{
	static char params[120];
	(void)g;
	return sys2(__NR_io_uring_setup, 1, params);
}

// A setuid program, if it were honoured, would make its owner's uid our own: owner and mode are the file's, so it is enough
// that new privileges are not switched off.
static long try_privileges(const struct given *g)
{
	(void)g;
	return sys5(__NR_prctl, 39 /* PR_GET_NO_NEW_PRIVS */, 0, 0, 0, 0) == 0 ? 0 : -1;
}

static const struct {
	const char *name;
	long (*run)(const struct given *g);
} attempts[] = {
        {"file", try_file},
        {"process", try_process},
        {"environ", try_environ},
        {"environment", try_environment},
        {"descriptor", try_descriptor},
        {"tcp", try_tcp},
        {"abstract", try_abstract},
        {"signal", try_signal},
        {"ptrace", try_ptrace},
        {"memory", try_memory},
        {"namespace", try_namespace},
        {"mount", try_mount},
        {"sysctl", try_sysctl},
        {"terminal", try_terminal},
        {"vsock", try_vsock},
        {"keyring", try_keyring},
        {"io_uring", try_io_uring},
        {"privileges", try_privileges},
};

// Each in a process of its own, so that none spoils the next.
static long attempt(unsigned i, const struct given *g)
{
	int status = 0;
	long pid = sys5(__NR_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		long err = attempts[i].run(g);
		sys_exit(err < 0 ? (int)-err : 0);
	}
	while (sys4(__NR_wait4, pid, &status, 0, 0) == -4)
		;
	return (status & 0x7f) != 0 ? 255 : status >> 8 & 0xff;
}

void probe_main(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1);
	if (argc == 2) { // what is planted: a process that has the mark and waits for its end
		sys2(__NR_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL);
		for (;;)
			sys5(__NR_ppoll, 0, 0, 0, 0, 0);
	}
	if (argc != 7)
		sys_exit(2);
	struct given g = {.file = argv[1],
	                  .port = number(argv[2]),
	                  .abstract = argv[3],
	                  .pid = number(argv[4]),
	                  .mark = argv[5],
	                  .memory = number(argv[6]),
	                  .env = argv + argc + 1};
	for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		char line[64];
		char *end = put(put_number(put(put(line, attempts[i].name), " "), attempt(i, &g)), "\n");
		sys3(__NR_write, 1, line, end - line);
	}
	sys_exit(0);
}
