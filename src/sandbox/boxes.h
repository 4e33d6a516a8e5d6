// All sandboxes of one spawner, and the clients that drive them.
#ifndef SALLYPORT_SANDBOX_BOXES_H
#define SALLYPORT_SANDBOX_BOXES_H

#include "base/buf.h"
#include "net/loop.h"
#include "sandbox/cgroup.h"
#include "sandbox/idspace.h"
#include "sandbox/stage.h"

struct box;
struct client;

struct boxes {
	struct loop *loop;
	struct idspace ids;
	struct stage stage;
	struct cgroup cgroup;
	struct buf plan;
	int image; // the init
	bool memfd;
	int sessions; // directory
	char *report; // JSON
	struct box *first;
	struct client *clients;
	uint64_t next_client;
	struct client *starter;
	bool closing; // ends when the last sandbox has
};

// Serves the starter's socket `fd`, whose end is the spawner's, and the clients that come over it.
void boxes_serve(struct boxes *b, int fd);

#endif
