#include "worker/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "provider/local.h"
#include "worker/room.h"

#define KEEP_DAYS 30
#define EVERY_MS 3600000
#define MOST 16 // at a time: each one is a process of the spawner's

struct sweep {
	struct worker *w;
	const char *data_dir;
	struct loop_timer *next;
};

// The lock is written whenever a sandbox of the session is made.
static bool is_old(int sessions, const char *session)
{
	struct stat st;
	AUTO_FREE char *lock = mem_printf("%s/lock", session);
	int64_t oldest = clock_utc_us() / 1000000 - (int64_t)KEEP_DAYS * 86400;
	return fstatat(sessions, lock, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < oldest;
}

static bool is_unused(const struct sweep *s, const char *session)
{
	struct err e;
	bool dead = false;
	return !failed(provider_local_session_is_dead(s->data_dir, session, &dead, &e)) && dead;
}

static void sweep_now(void *arg)
{
	struct sweep *s = arg;
	AUTO_FREE char *path = mem_printf("%s/worker/sessions", s->data_dir);
	DIR *d = opendir(path);
	int removed = 0;
	s->next = loop_timer_start(s->w->loop, EVERY_MS, sweep_now, s);
	for (const struct dirent *ent; d != NULL && removed < MOST && (ent = readdir(d)) != NULL;) {
		if (ent->d_name[0] == '.' || !is_old(dirfd(d), ent->d_name) || !is_unused(s, ent->d_name))
			continue;
		struct room *x = room_hold(s->w->rooms, ent->d_name);
		room_remove(x, "no sandbox of its session was made for 30 days");
		room_release(&x);
		removed++;
	}
	if (d != NULL)
		closedir(d);
}

struct sweep *sweep_start(struct worker *w, const char *data_dir)
{
	struct sweep *s = NEW(struct sweep);
	*s = (struct sweep){.w = w, .data_dir = data_dir};
	s->next = loop_timer_start(w->loop, 0, sweep_now, s);
	return s;
}

void sweep_drop(struct sweep **s)
{
	if (*s != NULL)
		loop_timer_cancel(&(*s)->next);
	free(*s);
	*s = NULL;
}
