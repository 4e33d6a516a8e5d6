#include "sandbox/etc.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#define FILE_MAX_BYTES (4 << 20)

// What programs from /usr expect to find, and what tells nothing about this machine's people, secrets or network.
const char *const etc_host_files[] = {"ld.so.cache",
                                      "ld.so.conf",
                                      "localtime",
                                      "timezone",
                                      "os-release",
                                      "debian_version",
                                      "redhat-release",
                                      "services",
                                      "protocols",
                                      "rpc",
                                      "ethertypes",
                                      "mime.types",
                                      "magic",
                                      "magic.mime",
                                      "locale.alias",
                                      "locale.conf",
                                      "gai.conf",
                                      "inputrc",
                                      "host.conf",
                                      "ssl/openssl.cnf",
                                      "nanorc",
                                      "bindresvport.blacklist",
                                      NULL};
const char *const etc_host_dirs[] = {
        "alternatives", "ssl/certs",     "ld.so.conf.d",           "java-*",   "fonts",           "perl", "python3*", "maven",
        "texmf",        "pki/tls/certs", "pki/ca-trust/extracted", "pki/java", "crypto-policies", "R",    NULL};

static const struct {
	const char *name, *text;
} ours[] = {
        {"hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 sandbox\n"},
        {"hostname", "sandbox\n"},
        // The name server has no route, so a lookup fails at once and the kernel counts it as an attempt to get out.
        {"resolv.conf",
         "# This sandbox has no network: no address outside can be reached and no name is resolved.\n"
         "nameserver 198.18.0.1\noptions attempts:1 timeout:1\n"},
        {"nsswitch.conf",
         "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nprotocols: files\n"
         "services: files\nethers: files\nrpc: files\n"},
        {"shells", "/bin/sh\n/bin/bash\n/usr/bin/sh\n/usr/bin/bash\n"},
};
static const char passwd_head[] = "root:x:0:0:root:/root:/usr/sbin/nologin\n";
static const char passwd_tools[] = ETC_USER ":x:1000:1000::/home/" ETC_USER ":/bin/bash\n";
static const char passwd_tail[] = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
static const char group_head[] = "root:x:0:\n";
static const char group_tools[] = ETC_USER ":x:1000:\n";
static const char group_tail[] = "tty:x:5:\nnogroup:x:65534:\n";

static struct result write_file(const char *dir, const char *name, struct span text, struct err *e)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(e, "%s", path);
	return fd_write_all(fd, text.data, text.len, e);
}

static struct result write_parts(const char *dir, const char *name, const char *a, const char *b, const char *c, struct err *e)
{
	struct buf AUTO_BUF text;
	buf_init(&text, FILE_MAX_BYTES);
	if (!buf_add_str(&text, a) || !buf_add_str(&text, b) || !buf_add_str(&text, c))
		return err_set(e, ERR_TOO_LARGE, "%s: over %d bytes", name, FILE_MAX_BYTES);
	return write_file(dir, name, buf_span(&text), e);
}

// Copies a file that every user of the host may read; anything else is left out. A link is kept a link: it leads into /usr,
// into /etc, or nowhere.
static struct result copy_file(const char *dir, const char *name, struct err *e)
{
	char from[512], to[512], link[512];
	struct stat st;
	snprintf(from, sizeof(from), "/etc/%s", name);
	snprintf(to, sizeof(to), "%s/%s", dir, name);
	if (lstat(from, &st) != 0)
		return OK;
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(from, link, sizeof(link) - 1);
		if (n <= 0)
			return OK;
		link[n] = '\0';
		return symlink(link, to) == 0 ? OK : err_sys(e, "%s", to);
	}
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0004) == 0)
		return OK;
	struct buf AUTO_BUF text;
	buf_init(&text, FILE_MAX_BYTES);
	if (failed(file_read(from, &text, NULL)))
		return OK;
	return write_file(dir, name, buf_span(&text), e);
}

static struct result make_parents(char *path, size_t skip, struct err *e)
{
	for (char *slash = strchr(path + skip, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int rc = mkdir(path, 0755), saved = errno;
		*slash = '/';
		if (rc != 0 && saved != EEXIST)
			return err_sys(e, "%s", path);
	}
	return OK;
}

static struct result bind_dir(const char *dir, const char *from, struct err *e)
{
	char to[512];
	struct stat st;
	snprintf(to, sizeof(to), "%s/%s", dir, from + strlen("/etc/"));
	if (stat(from, &st) != 0 || !S_ISDIR(st.st_mode) || (st.st_mode & 0005) != 0005)
		return OK;
	TRY(make_parents(to, strlen(dir) + 1, e));
	if (mkdir(to, 0755) != 0 && errno != EEXIST)
		return err_sys(e, "%s", to);
	AUTO_FD int fd = open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) != 0 ||
	    move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) != 0)
		return err_sys(e, "%s", from);
	return OK;
}

static struct result bind_dirs(const char *dir, struct err *e)
{
	for (size_t i = 0; etc_host_dirs[i] != NULL; i++) {
		char pattern[128];
		glob_t found;
		snprintf(pattern, sizeof(pattern), "/etc/%s", etc_host_dirs[i]);
		if (glob(pattern, 0, NULL, &found) != 0)
			continue;
		struct result r = OK;
		for (size_t k = 0; k < found.gl_pathc && !failed(r); k++)
			r = bind_dir(dir, found.gl_pathv[k], e);
		globfree(&found);
		if (failed(r))
			return FAIL;
	}
	return OK;
}

static struct result write_ours(const char *dir, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		TRY(write_file(dir, ours[i].name, span_of(ours[i].text), e));
	return OK;
}

struct result etc_build(const char *dir, struct err *e)
{
	if (mkdir(dir, 0755) != 0)
		return err_sys(e, "%s", dir);
	TRY(write_ours(dir, e));
	TRY(write_parts(dir, "passwd", passwd_head, passwd_tools, passwd_tail, e));
	TRY(write_parts(dir, "group", group_head, group_tools, group_tail, e));
	TRY(bind_dirs(dir, e));
	for (size_t i = 0; etc_host_files[i] != NULL; i++) {
		char path[512];
		snprintf(path, sizeof(path), "%s/%s", dir, etc_host_files[i]);
		TRY(make_parents(path, strlen(dir) + 1, e));
		TRY(copy_file(dir, etc_host_files[i], e));
	}
	char mtab[512];
	snprintf(mtab, sizeof(mtab), "%s/mtab", dir);
	return symlink("/proc/self/mounts", mtab) == 0 ? OK : err_sys(e, "%s", mtab);
}

// A link in the root must not lead to a file of the host's.
static bool read_in_root(const char *root, const char *name, struct buf *out)
{
	char path[64];
	struct stat st;
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	snprintf(path, sizeof(path), "etc/%s", name);
	AUTO_FD int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int fd = dir < 0 ? -1 : (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES / 2)
		return false;
	char *p = buf_reserve(out, (size_t)st.st_size);
	ssize_t n = p == NULL ? -1 : read(fd, p, (size_t)st.st_size);
	if (n > 0)
		buf_commit(out, (size_t)n);
	return n > 0;
}

// The root's own file, with our line first: of two lines for one id the first is found.
static struct result with_tools(const char *dir, const char *root, const char *name, const char *tools, const char *rest,
                                struct err *e)
{
	struct buf AUTO_BUF own;
	buf_init(&own, FILE_MAX_BYTES);
	bool there = read_in_root(root, name, &own);
	return write_parts(dir, name, tools, there ? buf_str(&own) : rest, "", e);
}

struct result etc_build_over(const char *dir, const char *root, struct err *e)
{
	for (size_t i = 0; i < 4; i++) // hosts, hostname, resolv.conf, nsswitch.conf
		TRY(write_file(dir, ours[i].name, span_of(ours[i].text), e));
	TRY(with_tools(dir, root, "passwd", passwd_tools, passwd_head, e));
	return with_tools(dir, root, "group", group_tools, group_head, e);
}
