#include "tools/network.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/span.h"

#define TABLE_MAX 8192

// The start of a /proc file: one read holds all that is looked at here.
static struct span read_table(const char *path, char text[TABLE_MAX])
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, TABLE_MAX);
	return span_from(text, n < 0 ? 0 : (size_t)n);
}

static uint64_t number(struct span text)
{
	uint64_t v;
	return failed(span_to_u64(span_trim(text), UINT64_MAX, "", &v, NULL)) ? 0 : v;
}

// snmp has a line of names and, below it, one of values.
static uint64_t refused_ipv4(void)
{
	char text[TABLE_MAX];
	struct span names, values, name, value, rest = read_table("/proc/net/snmp", text);
	span_cut(rest, '\n', &names, &rest);
	span_cut(rest, '\n', &values, &rest);
	while (names.len > 0 && values.len > 0) {
		span_cut(names, ' ', &name, &names);
		span_cut(values, ' ', &value, &values);
		if (span_is(name, "OutNoRoutes"))
			return number(value);
	}
	return 0;
}

// snmp6 has a name and a value a line.
static uint64_t refused_ipv6(void)
{
	char text[TABLE_MAX];
	struct span line, rest = read_table("/proc/net/snmp6", text);
	while (rest.len > 0) {
		span_cut(rest, '\n', &line, &rest);
		if (span_starts(line, "Ip6OutNoRoutes"))
			return number(span_skip(line, sizeof("Ip6OutNoRoutes") - 1));
	}
	return 0;
}

uint64_t network_refused(void)
{
	return refused_ipv4() + refused_ipv6();
}
