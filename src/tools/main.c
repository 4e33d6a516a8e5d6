// sallyport-tools DIR [no-network]: the agent toolset, serving descriptor 3. See tools/tools.h.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/server.h"

#ifdef __SANITIZE_ADDRESS__
// The leak checker attaches with ptrace, which a process that is not dumpable does not allow.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

// What runs inside the sandbox has our uid: it must not be able to read our memory or take our descriptors, and what it is
// started with must be its own.
static bool lock_down(struct err *e)
{
	struct rlimit none = {0, 0};
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return !failed(err_sys(e, "become not dumpable"));
	if (close_range(SERVER_CHANNEL + 1, ~0U, 0) < 0 || fcntl(SERVER_CHANNEL, F_SETFD, FD_CLOEXEC) < 0)
		return !failed(err_sys(e, "descriptor %d is not open: it must be the channel", SERVER_CHANNEL));
	int type = 0;
	socklen_t len = sizeof(type);
	if (getsockopt(SERVER_CHANNEL, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return !failed(err_set(e, ERR_INVALID, "descriptor %d must be a SOCK_SEQPACKET socket", SERVER_CHANNEL));
	signal(SIGPIPE, SIG_IGN);
	return true;
}

int main(int argc, char **argv)
{
	struct err e = {0};
	bool no_network = argc == 3 && strcmp(argv[2], "no-network") == 0;
	if ((argc != 2 && !no_network) || argv[1][0] != '/') {
		fprintf(stderr, "usage: sallyport-tools DIR [no-network] (DIR absolute), with its channel as descriptor %d\n",
		        SERVER_CHANNEL);
		return 2;
	}
	// File tools look up names relative to it, and the official toolset is at home in its working directory.
	if (chdir(argv[1]) < 0) {
		fprintf(stderr, "sallyport-tools: can't enter %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	if (!lock_down(&e) || failed(server_run(argv[1], no_network, &e))) {
		fprintf(stderr, "sallyport-tools: %s\n", e.msg);
		return 1;
	}
	return 0;
}
