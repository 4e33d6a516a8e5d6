"""A disk that fails: each system call by which the recorder writes is made to fail, once or for a while, while entries come in.
What it can't write it refuses; it goes on when the disk does; nothing acknowledged is lost, and nothing stands in the log twice."""
import errno
import json
import mmap
import os
import random
import struct
import subprocess

import pytest

import audit_log
from audit_log import RecorderClient, Refused
from harness import BIN, wait_until

# Interposed between the recorder and libc: the file that FAILING_DISK names says which calls fail.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { FDATASYNC = 1, PWRITE = 2, FSYNC = 4, CREATE = 8, RENAME = 16, MKDIR = 32, SHORT = 64 };
static struct control { atomic_int kinds, error, skip, times, hits; } *control;

__attribute__((constructor)) static void begin(void)
{
	int fd = open(getenv("FAILING_DISK"), O_RDWR | O_CLOEXEC);
	control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
}

static int fails(int kind)
{
	if (control == NULL || (atomic_load(&control->kinds) & kind) == 0)
		return 0;
	if (atomic_fetch_sub(&control->skip, 1) > 0)
		return 0;
	if (atomic_fetch_sub(&control->times, 1) <= 0)
		return 0;
	atomic_fetch_add(&control->hits, 1);
	errno = atomic_load(&control->error);
	return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
int fdatasync(int fd) { return fails(FDATASYNC) ? -1 : REAL(fdatasync)(fd); }
int fsync(int fd) { return fails(FSYNC) ? -1 : REAL(fsync)(fd); }
int rename(const char *a, const char *b) { return fails(RENAME) ? -1 : REAL(rename)(a, b); }
int mkdir(const char *p, mode_t m) { return fails(MKDIR) ? -1 : REAL(mkdir)(p, m); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t at)
{
	if (fails(PWRITE))
		return -1;
	if (n > 1 && fails(SHORT))
		n /= 2;
	return REAL(pwrite)(fd, b, n, at);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off_t at) { return pwrite(fd, b, n, at); }
int open(const char *p, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = va_arg(ap, mode_t);
	va_end(ap);
	return (flags & O_CREAT) != 0 && fails(CREATE) ? -1 : REAL(open)(p, flags, mode);
}
int open64(const char *p, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = va_arg(ap, mode_t);
	va_end(ap);
	return open(p, flags, mode);
}
"""
FDATASYNC, PWRITE, FSYNC, CREATE, RENAME, MKDIR, SHORT = 1, 2, 4, 8, 16, 32, 64
ALL = FDATASYNC | PWRITE | FSYNC | CREATE | RENAME | MKDIR


class Disk:
    """The recorder on a disk that fails on demand."""

    def __init__(self, inst):
        self.inst = inst
        (inst.dir / "shim.c").write_text(SHIM)
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", inst.dir / "shim.so", inst.dir / "shim.c", "-ldl"], check=True)
        (inst.dir / "control").write_bytes(bytes(4096))
        self.file = open(inst.dir / "control", "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)
        self.start()

    def start(self):
        self.inst.write_config()
        self.heal()
        env = {"LD_PRELOAD": str(self.inst.dir / "shim.so"), "FAILING_DISK": str(self.inst.dir / "control")}
        self.p = self.inst.process([BIN, "recorder", "--config", self.inst.config], "recorder", ready=True, env=env)

    def fail(self, kinds, error=errno.EIO, skip=0, times=1 << 30):
        self.map[0:20] = struct.pack("iiiii", 0, error, skip, times, 0)
        self.map[0:4] = struct.pack("i", kinds)

    def heal(self):
        self.map[0:4] = struct.pack("i", 0)

    def hits(self):
        return struct.unpack_from("i", self.map, 16)[0]

    def client(self):
        return RecorderClient(self.inst.dir / "data/run/recorder.sock", role="worker")

    def log(self):
        return self.inst.dir / "data/audit"


@pytest.fixture
def disk(instance):
    return Disk(instance)


def check(sallyport, disk, acknowledged, submitted):
    """Stops it, and compares the log with what was told."""
    disk.heal()
    assert disk.p.stop() == 0, disk.p.tail()
    done = sallyport("audit", "verify", "--dir", disk.log(), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["uncovered"] == 0, report
    stored = [json.loads(e)["metadata"]["uid"] for e in audit_log.verified_entries(disk.log())]
    assert len(set(stored)) == len(stored)
    assert all(stored[index] == uid for uid, index in acknowledged.items())
    assert {u for u in stored if not u.startswith("rec_")} <= submitted


@pytest.mark.parametrize("kind", [FDATASYNC, PWRITE], ids=["fdatasync", "pwrite"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=["EIO", "ENOSPC", "EROFS"])
def test_what_can_not_be_written_is_refused(sallyport, disk, kind, error):
    c, acknowledged = disk.client(), {}
    acknowledged["before"] = c.record(uid="before")
    disk.fail(kind, error)
    for i in range(5):
        with pytest.raises(Refused, match=os.strerror(error)):
            c.record(uid=f"refused{i}")
    disk.heal()
    acknowledged["after"] = c.record(uid="after")
    # Refused, so it was not recorded: handed in again it is, once.
    acknowledged["refused0"] = c.record(uid="refused0")
    check(sallyport, disk, acknowledged, {"before", "after", "refused0"})


@pytest.mark.parametrize("kind", [FSYNC, CREATE, RENAME], ids=["fsync", "create", "rename"])
def test_a_checkpoint_that_can_not_be_written_comes_later(sallyport, disk, kind):
    c, acknowledged = disk.client(), {}
    disk.fail(kind)
    for i in range(50):
        acknowledged[f"e{i}"] = c.record(uid=f"e{i}")  # the journal takes them all the same
    wait_until(lambda: disk.hits() > 0, "the disk has failed")
    disk.heal()
    check(sallyport, disk, acknowledged, set(acknowledged))


def test_each_sync_of_a_checkpoint_fails_once(sallyport, disk):
    """Also the last, of the directory: the checkpoint is then in its place although its writing has failed."""
    c, acknowledged = disk.client(), {}
    for skip in range(12):
        disk.fail(FSYNC, errno.EIO, skip=skip, times=1)

        def record_until_it_fails():
            uid = f"e{len(acknowledged)}"
            acknowledged[uid] = c.record(uid=uid)
            return disk.hits() > 0

        wait_until(record_until_it_fails, "a sync has failed")
        disk.heal()
    check(sallyport, disk, acknowledged, set(acknowledged))


def test_a_new_session_whose_key_can_not_be_kept_is_refused(sallyport, disk):
    c, acknowledged = disk.client(), {}
    disk.fail(CREATE, errno.ENOSPC)
    with pytest.raises(Refused, match="No space left"):
        c.record(uid="s", session="sesn_new", arguments=b"payload")
    acknowledged["none"] = c.record(uid="none")  # what needs no new key goes on
    disk.heal()
    acknowledged["s"] = c.record(uid="s", session="sesn_new", arguments=b"payload")
    check(sallyport, disk, acknowledged, {"none", "s"})


def test_each_call_in_turn_fails_once(sallyport, disk, rounds):
    """The torture run: the first, second, third … call fails, whichever it is; also short writes."""
    c, acknowledged, submitted, rng = disk.client(), {}, set(), random.Random(3)
    for n in range(25 * rounds):
        disk.fail(rng.choice([ALL, ALL | SHORT, FDATASYNC | PWRITE | SHORT, FSYNC | CREATE | RENAME]),
                  rng.choice([errno.EIO, errno.ENOSPC]), skip=rng.randrange(12), times=rng.choice([1, 1, 2, 5]))
        flight = {}
        for k in range(rng.randrange(1, 30)):
            uid = f"n{n}.{k}"
            submitted.add(uid)
            flight[c.submit(uid=uid, session=f"s{rng.randrange(8)}.{n // 10}", arguments=b"p" * rng.randrange(3))] = uid
        for _ in range(len(flight)):
            kind, _, frame_id, text = c.read()
            assert kind in (b"A", b"R"), text
            if kind == b"A":
                acknowledged[flight.pop(frame_id)] = int(text)
    assert len(acknowledged) > 100
    check(sallyport, disk, acknowledged, submitted)


def test_killed_while_the_disk_fails(sallyport, disk, rounds):
    acknowledged, submitted, rng = {}, set(), random.Random(5)
    for n in range(3 * rounds):
        c = disk.client()
        disk.fail(ALL | SHORT, skip=rng.randrange(40), times=rng.choice([1, 3, 1 << 30]))
        flight = {}
        for k in range(60):
            uid = f"k{n}.{k}"
            submitted.add(uid)
            flight[c.submit(uid=uid, reason="r" * rng.randrange(2000))] = uid
        for _ in range(rng.randrange(len(flight))):
            kind, _, frame_id, text = c.read()
            if kind == b"A":
                acknowledged[flight[frame_id]] = int(text)
        disk.p.kill()
        c.close()
        disk.start()
    check(sallyport, disk, acknowledged, submitted)
