// Durable appends to the audit log: alone and pipelined, by 1 client and by 64, beside F: a plain write and fdatasync of the
// same size on a preallocated file. Interleaved rounds in one run; medians.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/entry.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define ROUNDS 9
#define ALONE 150      // appends one after the other, a round
#define PIPELINED 6000 // appends in a pipelined round, over all clients
#define WINDOW_ONE 256 // in flight by the one client
#define WINDOW_MANY 16 // in flight by each of the 64
#define CLIENTS 64
#define F_SIZE (8u << 20)

struct load {
	struct loop *loop;
	struct audit_client *clients[CLIENTS];
	size_t n_clients;
	unsigned sent, acked, total;
	struct slot *slots;
	size_t n_slots;
};

struct slot {
	struct load *load;
	struct audit_client *client;
	struct audit_pending *pending;
	uint64_t began;
	double *latency; // where the next one is noted, or NULL
};

static unsigned serial;

static void die(const char *what)
{
	fprintf(stderr, "audit_append: %s\n", what);
	exit(1);
}

static void acked(void *arg, const struct err *e);

static void send_one(struct slot *s)
{
	char uid[48];
	snprintf(uid, sizeof(uid), "bench_%d_%u.intent", (int)getpid(), serial++);
	const struct audit_entry a = {.phase = AUDIT_ADMIN,
	                              .uid = span_of(uid),
	                              .operation = SPAN_LIT("tool_call"),
	                              .session = SPAN_LIT("sesn_01K0000000000000000000BENCH"),
	                              .agent = SPAN_LIT("agent_bench"),
	                              .actor = SPAN_LIT("model"),
	                              .object = SPAN_LIT("bash"),
	                              .arguments = SPAN_LIT("{\"command\":\"echo hello\"}")};
	s->load->sent++;
	s->began = clock_mono_us();
	s->pending = audit_record(s->client, &a, acked, s);
}

static void acked(void *arg, const struct err *e)
{
	struct slot *s = arg;
	s->pending = NULL;
	if (e != NULL)
		die(e->msg);
	if (s->latency != NULL)
		*s->latency++ = (double)(clock_mono_us() - s->began);
	if (++s->load->acked == s->load->total)
		loop_stop(s->load->loop);
	else if (s->load->sent < s->load->total)
		send_one(s);
}

// Appends `total` entries by `clients` clients with `window` in flight each; returns appends a second.
static double run_load(struct load *l, size_t clients, size_t window, unsigned total, double *latency)
{
	l->sent = l->acked = 0;
	l->total = total;
	l->n_slots = clients * window;
	l->slots = mem_zero(l->n_slots * sizeof(*l->slots));
	uint64_t began = clock_mono_us();
	for (size_t i = 0; i < l->n_slots; i++) {
		l->slots[i] = (struct slot){.load = l, .client = l->clients[i % clients], .latency = latency};
		send_one(&l->slots[i]);
	}
	loop_run(l->loop);
	double seconds = (double)(clock_mono_us() - began) / 1e6;
	free(l->slots);
	return total / seconds;
}

static void check_ready(void *arg)
{
	struct load *l = arg;
	for (size_t i = 0; i < l->n_clients; i++) {
		if (!audit_client_ready(l->clients[i])) {
			loop_timer_start(l->loop, 5, check_ready, l);
			return;
		}
	}
	loop_stop(l->loop);
}

// F: `n` writes of `size` bytes one after the other, each synced.
static void run_plain(int fd, size_t size, unsigned n, double *latency)
{
	static off_t at;
	static const char bytes[4096] = {1};
	for (unsigned i = 0; i < n; i++) {
		if (at + (off_t)size > F_SIZE)
			at = 0;
		uint64_t began = clock_mono_us();
		if (pwrite(fd, bytes, size, at) != (ssize_t)size || fdatasync(fd) != 0)
			die("plain write failed");
		latency[i] = (double)(clock_mono_us() - began);
		at += (off_t)size;
	}
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double at_rank(double *v, size_t n, double rank)
{
	qsort(v, n, sizeof(*v), ascending);
	return v[(size_t)((double)(n - 1) * rank)];
}

static pid_t run_program(const char *const argv[], int keep_fd)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (keep_fd >= 0)
			fcntl(keep_fd, F_SETFD, 0);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return pid;
}

static pid_t start_recorder(const char *bin, const char *dir, const char *config)
{
	int fds[2];
	char number[16], byte;
	if (waitpid(run_program((const char *[]){bin, "init", dir, "-q", NULL}, -1), NULL, 0) < 0 || pipe2(fds, O_CLOEXEC) != 0)
		die("cannot start");
	snprintf(number, sizeof(number), "%d", fds[1]);
	pid_t pid = run_program((const char *[]){bin, "recorder", "--config", config, "--ready-fd", number, NULL}, fds[1]);
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1)
		die("the recorder did not become ready");
	close(fds[0]);
	return pid;
}

static void connect_all(struct load *l, const char *dir)
{
	struct err e;
	AUTO_FREE char *sock = mem_printf("%s/data/run/recorder.sock", dir);
	if (failed(loop_new(&l->loop, &e)))
		die(e.msg);
	for (l->n_clients = 0; l->n_clients < CLIENTS; l->n_clients++) {
		if (failed(audit_client_start(l->loop, sock, "test", &l->clients[l->n_clients], &e)))
			die(e.msg);
	}
	loop_timer_start(l->loop, 0, check_ready, l);
	loop_run(l->loop);
}

static int open_plain(const char *dir)
{
	AUTO_FREE char *path = mem_printf("%s/plain", dir);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	AUTO_FREE char *zeros = mem_zero(F_SIZE);
	struct err e;
	if (fd < 0 || failed(fd_write_all(fd, zeros, F_SIZE, &e)) || fsync(fd) != 0)
		die("cannot preallocate");
	return fd;
}

// What one append costs on disk: the log's journal grows by this.
#define RECORD 1024

static void measure(struct load *l, int plain)
{
	static double alone[ROUNDS * ALONE], f[ROUNDS * ALONE];
	double one[ROUNDS], many[ROUNDS], plain_rate[ROUNDS];
	const int rounds = getenv("SALLYPORT_BENCH_QUICK") != NULL ? 1 : ROUNDS;
	for (int r = 0; r < rounds; r++) {
		run_plain(plain, RECORD, ALONE, &f[r * ALONE]);
		uint64_t began = clock_mono_us();
		run_load(l, 1, 1, ALONE, &alone[r * ALONE]);
		one[r] = run_load(l, 1, WINDOW_ONE, PIPELINED, NULL);
		many[r] = run_load(l, CLIENTS, WINDOW_MANY, PIPELINED, NULL);
		double sum = 0;
		for (int i = 0; i < ALONE; i++)
			sum += f[r * ALONE + i];
		plain_rate[r] = ALONE / (sum / 1e6);
		fprintf(stderr, "round %d: %.0f/s by one, %.0f/s by %d (%.1f s)\n", r, one[r], many[r], CLIENTS,
		        (double)(clock_mono_us() - began) / 1e6);
	}
	double f_us = at_rank(f, rounds * ALONE, 0.5), f_rate = at_rank(plain_rate, rounds, 0.5);
	printf("{\"name\":\"audit.append.alone\",\"unit\":\"us\",\"ours\":%.0f,\"peers\":{\"F\":%.0f},\"note\":\"one client, "
	       "one at a "
	       "time, until acknowledged; p99 %.0f, F's %.0f\"}\n",
	       at_rank(alone, rounds * ALONE, 0.5), f_us, at_rank(alone, rounds * ALONE, 0.99),
	       at_rank(f, rounds * ALONE, 0.99));
	printf("{\"name\":\"audit.append.1\",\"unit\":\"/"
	       "s\",\"better\":\"higher\",\"ours\":%.0f,\"peers\":{\"F\":%.0f},\"note\":\"one "
	       "client, %d in flight\"}\n",
	       at_rank(one, rounds, 0.5), f_rate, WINDOW_ONE);
	printf("{\"name\":\"audit.append.64\",\"unit\":\"/"
	       "s\",\"better\":\"higher\",\"ours\":%.0f,\"peers\":{\"F\":%.0f},\"note\":\"%d "
	       "clients, %d in flight each\"}\n",
	       at_rank(many, rounds, 0.5), f_rate, CLIENTS, WINDOW_MANY);
}

int main(void)
{
	char dir[] = "/var/tmp/sp-bench-XXXXXX";
	const char *bin = getenv("SALLYPORT_BIN");
	struct load l = {0};
	struct err e;
	if (mkdtemp(dir) == NULL)
		die("no directory");
	AUTO_FREE char *home = mem_printf("%s/i", dir), *config = mem_printf("%s/i/sallyport.yaml", dir);
	pid_t recorder = start_recorder(bin == NULL ? "build/release/sallyport" : bin, home, config);
	int plain = open_plain(dir);
	connect_all(&l, home);
	measure(&l, plain);
	for (size_t i = 0; i < l.n_clients; i++)
		audit_client_stop(&l.clients[i]);
	loop_free(l.loop);
	close(plain);
	kill(recorder, SIGTERM);
	waitpid(recorder, NULL, 0);
	if (getenv("KEEP") != NULL)
		fprintf(stderr, "%s\n", dir);
	else if (failed(file_remove_tree(dir, &e)))
		die(e.msg);
	return 0;
}
