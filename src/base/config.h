// The one configuration file, for all roles. Strict: an unknown or duplicate key, a wrong type, an alias or a tag is an
// error that names file, line, and the nearest valid word.
//
// Every string is owned by the config; relative paths in the file are taken from the file's own directory and come out
// absolute. A role's section is absent when `present` is false.
#ifndef SALLYPORT_BASE_CONFIG_H
#define SALLYPORT_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct config_model {
	char *name;          // a model id, or a prefix ending in '*'
	char *url;           // base URL of a Messages API; "/v1/messages" is appended
	char *key_file;      // NULL: none is sent
	char *sends;         // the id to send instead of the agent's, NULL: the agent's own
	char *ca_file;       // PEM: who vouches for the endpoint, instead of the system's authorities; NULL: those
	uint32_t max_tokens; // of one answer; default 16384
	uint64_t silence_ms; // an answer that brings nothing for so long has failed; default 90 s
	uint32_t retries;    // of a failed request before the turn is given up; default 8
	uint32_t requests;   // under way at once, more of them wait; default 256
};

// An environment that control makes sure exists at start.
struct config_environment {
	char *id;
	char *name;
	char *key_file;
	bool at_least_once; // "calls: at-least-once"; the default is at-most-once (architecture.md, "A call's life")
};

struct config_control {
	bool present;
	char *listen;
	char *store; // "sqlite" (data_dir/control/control.db)
	char *api_key_file;
	struct config_model *models;
	size_t n_models;
	struct config_environment *environments;
	size_t n_environments;
};

struct config_limits {
	uint64_t memory_bytes; // 0: none
	uint32_t cpus_milli;   // thousandths of a CPU; 0: none
	uint32_t processes;
	uint64_t disk_bytes;
	uint32_t files; // RLIMIT_NOFILE inside
};

struct config_worker {
	bool present;
	char *environment;
	char *environment_key_file;
	char *base_url; // of the control plane; default http://<control.listen>, else https://api.anthropic.com
	char *root;     // "host-usr" or a directory
	uint32_t sessions_max;
	uint64_t max_idle_ms;
	char *record; // "disk"
	struct config_limits limits;
};

struct config {
	char *path; // the file itself
	char *data_dir;
	char *region; // NULL: not declared
	struct config_control control;
	struct config_worker worker;
	struct {
		char *dir;      // default data_dir/audit
		char *origin;   // log origin, default "sallyport/<hostname>"
		char *key_file; // Ed25519 private key, PEM; default <config dir>/keys/audit.pem
	} audit;
};

// Loads and checks the file; *out is freed with config_free.
MUST_USE struct result config_load(const char *path, struct config **out, struct err *e);
void config_free(struct config *c);

// The file to use when --config names none: $SALLYPORT_CONFIG, ./sallyport.yaml, /etc/sallyport/sallyport.yaml; the first that
// exists. ERR_NOT_FOUND says what to type.
MUST_USE struct result config_find(char out[4096], struct err *e);

// data_dir/run/ROLE.sock
char *config_socket(const struct config *c, const char *role); // heap

#endif
