// What the spawner and a sandbox's init say to each other.
//
// The init starts with five descriptors (below), reads one message from INIT_FD_CONTROL, the plan, carries it out and starts
// the nursery, which says EVENT_READY and then takes requests from INIT_FD_NURSERY. Everything the sandbox says comes back
// over the nursery's socket as struct init_event, from the nursery or, when that is dead, from the init.
#ifndef SALLYPORT_SANDBOX_INIT_ABI_H
#define SALLYPORT_SANDBOX_INIT_ABI_H

#include <stdint.h>

#define INIT_FD_CONTROL 3   // its end of file ends the sandbox
#define INIT_FD_NURSERY 4   // requests in, events out
#define INIT_FD_LOCK 5      // the session's lock, held by being open
#define INIT_FD_WORKSPACE 6 // a detached mount
#define INIT_FD_PTS 7       // a detached mount
#define INIT_FD_END 8

#define PLAN_MAGIC 0x53504c31u
#define PLAN_MAX (32 * 1024)

enum plan_op {
	PLAN_MKDIR,    // a: path, n: mode, flags: PLAN_TOOLS
	PLAN_SYMLINK,  // a: target, b: path
	PLAN_WRITE,    // a: path of an existing file, b: text
	PLAN_CREATE,   // a: path of a new empty file, n: mode
	PLAN_MOUNT,    // a: source, b: path, c: type, d: data, flags: MS_*
	PLAN_MOVE,     // n: descriptor of a detached mount, b: path
	PLAN_READONLY, // a: mount point; flags: further MS_* it keeps
	PLAN_PIVOT,    // a: the new root
	PLAN_HOSTNAME, // a: name
	PLAN_LOOPBACK, // sets lo up
};

#define PLAN_TOOLS 1 // owned by the tools' uid

struct plan_step {
	uint16_t op;
	uint16_t a, b, c, d; // offsets into the plan's strings; 0: NULL
	uint16_t unused;
	uint32_t n;
	uint64_t flags;
};

struct plan_rule { // Landlock: what is allowed beneath a path
	uint16_t path;
	uint16_t unused[3];
	uint64_t access;
};

struct plan_limit {
	uint32_t resource;
	uint32_t unused;
	uint64_t max; // soft and hard
};

struct plan {
	uint32_t magic;
	uint32_t size;                // of the whole message
	uint32_t init_uid, tools_uid; // inside; equal when there is no range
	uint32_t setgroups;           // 1: supplementary groups can be (and are) set to none
	uint32_t landlock_abi;        // 0: none
	uint64_t landlock_handled;
	uint64_t landlock_scoped;
	uint32_t last_cap;
	uint16_t n_steps, n_rules, n_limits, unused;
	// then the steps, the rules, the limits, and the strings (the first byte is NUL)
};

// A program to start, with its descriptors attached: stdin, stdout, stderr, then the channel and the program where flagged.
#define EXEC_PROGRAM 1  // run this descriptor
#define EXEC_CHANNEL 2  // descriptor 3 of the program
#define EXEC_TERMINAL 4 // stdin becomes its controlling terminal
#define EXEC_MESSAGE_MAX (160 * 1024)

enum init_request { REQUEST_EXEC = 1, REQUEST_SIGNAL };

struct init_exec {
	uint32_t kind; // REQUEST_EXEC
	uint32_t id;   // never 0
	uint32_t flags;
	uint32_t argc, envc;
	uint32_t len; // of the strings: cwd, argv, env, each with its NUL
};

struct init_signal {
	uint32_t kind; // REQUEST_SIGNAL
	uint32_t id;
	uint32_t signo;
};

enum init_event_kind {
	EVENT_READY = 1,
	EVENT_SETUP_FAILED, // id: the step's number or a stage, status: errno
	EVENT_STARTED,      // id, status: pid inside
	EVENT_FAILED,       // id, status: errno: it never ran
	EVENT_EXITED,       // id, code: CLD_*, status
};

struct init_event {
	uint32_t kind;
	uint32_t id;
	int32_t code;
	int32_t status;
};

// Where set-up can fail beside a step of the plan.
enum init_stage {
	STAGE_PLAN = 0x1000,
	STAGE_FORK,
	STAGE_LIMITS,
	STAGE_IDS,
	STAGE_CAPS,
	STAGE_LANDLOCK,
	STAGE_SECCOMP,
};

#endif
