// All sandboxes of one spawner, and the clients that drive them.
#ifndef SALLYPORT_SANDBOX_BOXES_H
#define SALLYPORT_SANDBOX_BOXES_H

#include "base/buf.h"
#include "net/loop.h"
#include "sandbox/cgroup.h"
#include "sandbox/idspace.h"
#include "sandbox/stage.h"
#include "sandbox/workspace.h"

struct box;
struct client;

struct boxes {
	struct loop *loop;
	struct idspace ids;
	struct stage stage;
	bool has_workspace; // of `sandbox run --workspace`
	struct workspace workspace;
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
