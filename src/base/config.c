#include "base/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/words.h"
#include "base/yaml.h"

#define CONFIG_MAX (1 << 20)

// What the readers below share: the document, and the directory that relative paths start from.
struct reader {
	const struct yaml_doc *doc;
	char dir[PATH_MAX];
};

// What stands here goes into paths, addresses and log lines.
static struct result one_line(struct reader *r, const struct yaml_node *n, const char *key, struct span *out, struct err *e)
{
	TRY(yaml_text(r->doc, n, key, out, e));
	for (size_t i = 0; i < out->len; i++) {
		if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7f)
			return yaml_fail(r->doc, n, e, "%s: expected one line without control characters", key);
	}
	return OK;
}

static struct result read_text(struct reader *r, const struct yaml_node *map, const char *key, char **out, struct err *e)
{
	const struct yaml_node *n = yaml_get(map, key);
	if (n == NULL)
		return OK;
	struct span text;
	TRY(one_line(r, n, key, &text, e));
	free(*out);
	*out = span_dup(text);
	return OK;
}

static char *absolute(const struct reader *r, struct span path)
{
	return path.data[0] == '/' ? span_dup(path) : mem_printf("%s/%.*s", r->dir, SPAN_FMT(path));
}

static struct result read_path(struct reader *r, const struct yaml_node *map, const char *key, char **out, struct err *e)
{
	const struct yaml_node *n = yaml_get(map, key);
	if (n == NULL)
		return OK;
	struct span text;
	TRY(one_line(r, n, key, &text, e));
	free(*out);
	*out = absolute(r, text);
	return OK;
}

static struct result read_u32(struct reader *r, const struct yaml_node *map, const char *key, uint32_t min, uint32_t max,
                              uint32_t *out, struct err *e)
{
	const struct yaml_node *n = yaml_get(map, key);
	uint64_t v = *out;
	if (n != NULL)
		TRY(yaml_uint(r->doc, n, key, min, max, &v, e));
	*out = (uint32_t)v;
	return OK;
}

static struct result read_duration_ms(struct reader *r, const struct yaml_node *map, const char *key, uint64_t *out_ms,
                                      struct err *e)
{
	const struct yaml_node *n = yaml_get(map, key);
	uint64_t us = *out_ms * 1000;
	if (n != NULL)
		TRY(yaml_duration(r->doc, n, key, &us, e));
	*out_ms = us / 1000;
	return OK;
}

// A text that must be one of `words` (NULL-terminated).
static struct result read_word(struct reader *r, const struct yaml_node *map, const char *key, const char *const *words,
                               char **out, struct err *e)
{
	TRY(read_text(r, map, key, out, e));
	const struct yaml_node *n = yaml_get(map, key);
	if (n == NULL)
		return OK;
	for (const char *const *w = words; *w != NULL; w++) {
		if (strcmp(*out, *w) == 0)
			return OK;
	}
	AUTO_FREE char *all = words_joined(words, " or ");
	return yaml_fail(r->doc, n, e, "%s: '%s' is not known; it can be %s", key, *out, all);
}

static struct result required(struct reader *r, const struct yaml_node *at, const char *what, const char *value, struct err *e)
{
	return value != NULL ? OK : yaml_fail(r->doc, at, e, "%s is required here", what);
}

static struct result list_of(struct reader *r, const struct yaml_node *n, const char *key, struct err *e)
{
	return n->kind == YAML_LIST ? OK : yaml_fail(r->doc, n, e, "%s: expected a list", key);
}

static struct result read_url(struct reader *r, const struct yaml_node *map, const char *key, char **out, struct err *e)
{
	TRY(read_text(r, map, key, out, e));
	const struct yaml_node *n = yaml_get(map, key);
	if (n != NULL && !span_starts(n->text, "http://") && !span_starts(n->text, "https://"))
		return yaml_fail(r->doc, n, e, "%s: expected a URL that starts http:// or https://", key);
	return OK;
}

// ADDRESS:PORT
static struct result read_listen(struct reader *r, const struct yaml_node *map, const char *key, char **out, struct err *e)
{
	TRY(read_text(r, map, key, out, e));
	const char *colon = strrchr(*out, ':');
	uint64_t port;
	if (colon == NULL || colon == *out || failed(span_to_u64(span_of(colon + 1), 65535, key, &port, NULL)))
		return yaml_fail(r->doc, yaml_get(map, key), e, "%s: expected ADDRESS:PORT, such as 127.0.0.1:8400", key);
	return OK;
}

static struct result read_models(struct reader *r, const struct yaml_node *list, struct config_control *c, struct err *e)
{
	static const char *const keys[] = {"name",       "url",     "key_file", "sends",    "ca_file",
	                                   "max_tokens", "silence", "retries",  "requests", NULL};
	if (list == NULL)
		return OK;
	TRY(list_of(r, list, "models", e));
	c->models = mem_zero(list->count * sizeof(*c->models));
	for (size_t i = 0; i < list->count; i++) {
		const struct yaml_node *n = list->items[i];
		struct config_model *m = &c->models[c->n_models++];
		*m = (struct config_model){.max_tokens = 16384, .silence_ms = 90000, .retries = 8, .requests = 256};
		TRY(yaml_check_keys(r->doc, n, "a model", keys, e));
		TRY(read_text(r, n, "name", &m->name, e));
		TRY(read_url(r, n, "url", &m->url, e));
		TRY(read_path(r, n, "key_file", &m->key_file, e));
		TRY(read_text(r, n, "sends", &m->sends, e));
		TRY(read_path(r, n, "ca_file", &m->ca_file, e));
		TRY(read_u32(r, n, "max_tokens", 1, 1000000, &m->max_tokens, e));
		TRY(read_duration_ms(r, n, "silence", &m->silence_ms, e));
		TRY(read_u32(r, n, "retries", 0, 100, &m->retries, e));
		TRY(read_u32(r, n, "requests", 1, 10000, &m->requests, e));
		TRY(required(r, n, "name", m->name, e));
		TRY(required(r, n, "url", m->url, e));
	}
	return OK;
}

static struct result read_environments(struct reader *r, const struct yaml_node *list, struct config_control *c, struct err *e)
{
	static const char *const keys[] = {"id", "name", "key_file", "calls", NULL};
	static const char *const calls[] = {"at-most-once", "at-least-once", NULL};
	if (list == NULL)
		return OK;
	TRY(list_of(r, list, "environments", e));
	c->environments = mem_zero(list->count * sizeof(*c->environments));
	for (size_t i = 0; i < list->count; i++) {
		const struct yaml_node *n = list->items[i];
		struct config_environment *env = &c->environments[c->n_environments++];
		AUTO_FREE char *how = NULL;
		TRY(yaml_check_keys(r->doc, n, "an environment", keys, e));
		TRY(read_text(r, n, "id", &env->id, e));
		TRY(read_text(r, n, "name", &env->name, e));
		TRY(read_path(r, n, "key_file", &env->key_file, e));
		TRY(read_word(r, n, "calls", calls, &how, e));
		env->at_least_once = how != NULL && strcmp(how, "at-least-once") == 0;
		TRY(required(r, n, "id", env->id, e));
		TRY(required(r, n, "name", env->name, e));
		if (strncmp(env->id, "env_", 4) != 0 || strlen(env->id) > 40)
			return yaml_fail(r->doc, n, e,
			                 "id: an environment's id starts with env_ and has at most 40 characters");
		for (size_t k = 0; k < i; k++) {
			if (strcmp(c->environments[k].id, env->id) == 0)
				return yaml_fail(r->doc, n, e, "id: %s stands in this list twice", env->id);
		}
	}
	return OK;
}

static struct result read_control(struct reader *r, const struct yaml_node *n, struct config *c, struct err *e)
{
	static const char *const keys[] = {"listen", "store", "api_key_file", "models", "environments", NULL};
	static const char *const stores[] = {"sqlite", NULL};
	if (n == NULL)
		return OK;
	c->control.present = true;
	c->control.listen = mem_strdup("127.0.0.1:8400");
	c->control.store = mem_strdup("sqlite");
	TRY(yaml_check_keys(r->doc, n, "control", keys, e));
	TRY(read_listen(r, n, "listen", &c->control.listen, e));
	TRY(read_word(r, n, "store", stores, &c->control.store, e));
	TRY(read_path(r, n, "api_key_file", &c->control.api_key_file, e));
	TRY(required(r, n, "api_key_file", c->control.api_key_file, e));
	TRY(read_models(r, yaml_get(n, "models"), &c->control, e));
	return read_environments(r, yaml_get(n, "environments"), &c->control, e);
}

// "2" or "0.5" CPUs as thousandths.
static struct result read_cpus(struct reader *r, const struct yaml_node *n, uint32_t *out, struct err *e)
{
	struct span whole, part;
	uint64_t w = 0, p = 0;
	if (n == NULL)
		return OK;
	bool dot = n->kind == YAML_SCALAR && span_cut(n->text, '.', &whole, &part);
	bool ok = n->kind == YAML_SCALAR && !failed(span_to_u64(whole, 4096, "cpus", &w, NULL)) &&
	          (!dot || (part.len <= 3 && !failed(span_to_u64(part, 999, "cpus", &p, NULL))));
	for (size_t i = dot && ok ? part.len : 3; i < 3; i++)
		p *= 10;
	if (!ok || w * 1000 + p == 0)
		return yaml_fail(r->doc, n, e, "cpus: expected a number of CPUs such as 2 or 0.5");
	*out = (uint32_t)(w * 1000 + p);
	return OK;
}

static struct result read_limits(struct reader *r, const struct yaml_node *n, struct config_limits *l, struct err *e)
{
	static const char *const keys[] = {"memory", "cpus", "processes", "disk", "files", NULL};
	if (n == NULL)
		return OK;
	TRY(yaml_check_keys(r->doc, n, "limits", keys, e));
	const struct yaml_node *memory = yaml_get(n, "memory"), *disk = yaml_get(n, "disk");
	if (memory != NULL)
		TRY(yaml_bytes(r->doc, memory, "memory", &l->memory_bytes, e));
	if (disk != NULL)
		TRY(yaml_bytes(r->doc, disk, "disk", &l->disk_bytes, e));
	TRY(read_cpus(r, yaml_get(n, "cpus"), &l->cpus_milli, e));
	TRY(read_u32(r, n, "processes", 8, 1000000, &l->processes, e));
	return read_u32(r, n, "files", 32, 1000000, &l->files, e);
}

static struct result read_worker(struct reader *r, const struct yaml_node *n, struct config *c, struct err *e)
{
	static const char *const keys[] = {
	        "environment", "environment_key_file", "base_url", "root", "sessions", "max_idle", "record", "limits", NULL};
	static const char *const records[] = {"disk", NULL};
	if (n == NULL)
		return OK;
	struct config_worker *w = &c->worker;
	w->present = true;
	TRY(yaml_check_keys(r->doc, n, "worker", keys, e));
	TRY(read_text(r, n, "environment", &w->environment, e));
	TRY(read_path(r, n, "environment_key_file", &w->environment_key_file, e));
	TRY(read_url(r, n, "base_url", &w->base_url, e));
	TRY(read_text(r, n, "root", &w->root, e));
	if (strcmp(w->root, "host-usr") != 0 && w->root[0] != '/')
		return yaml_fail(r->doc, yaml_get(n, "root"), e, "root: expected host-usr or the absolute path of a directory");
	TRY(read_u32(r, n, "sessions", 1, 10000, &w->sessions_max, e));
	TRY(read_duration_ms(r, n, "max_idle", &w->max_idle_ms, e));
	TRY(read_word(r, n, "record", records, &w->record, e));
	return read_limits(r, yaml_get(n, "limits"), &w->limits, e);
}

static struct result read_audit(struct reader *r, const struct yaml_node *n, struct config *c, struct err *e)
{
	static const char *const keys[] = {"dir", "origin", "key_file", NULL};
	if (n == NULL)
		return OK;
	TRY(yaml_check_keys(r->doc, n, "audit", keys, e));
	TRY(read_path(r, n, "dir", &c->audit.dir, e));
	TRY(read_text(r, n, "origin", &c->audit.origin, e));
	if (strpbrk(c->audit.origin, " +\t\r\n") != NULL)
		return yaml_fail(r->doc, yaml_get(n, "origin"), e, "origin: must hold neither spaces nor '+'");
	return read_path(r, n, "key_file", &c->audit.key_file, e);
}

static void defaults(struct config *c, const struct reader *r)
{
	char host[256] = "localhost";
	gethostname(host, sizeof(host) - 1);
	c->audit.origin = mem_printf("sallyport/%s", host);
	c->audit.key_file = mem_printf("%s/keys/audit.pem", r->dir);
	c->worker.root = mem_strdup("host-usr");
	c->worker.record = mem_strdup("disk");
	c->worker.sessions_max = 64;
	c->worker.max_idle_ms = 60000;
	c->worker.limits = (struct config_limits){.processes = 256, .files = 1024};
}

static struct result read_root(struct reader *r, struct config *c, struct err *e)
{
	static const char *const keys[] = {"version", "data_dir", "region", "control", "worker", "audit", NULL};
	const struct yaml_node *root = r->doc->root;
	uint64_t version = 0;
	TRY(yaml_check_keys(r->doc, root, "the configuration", keys, e));
	if (yaml_get(root, "version") == NULL)
		return yaml_fail(r->doc, root, e, "version is required here: write 'version: 1'");
	TRY(yaml_uint(r->doc, yaml_get(root, "version"), "version", 1, 1, &version, e));
	TRY(read_path(r, root, "data_dir", &c->data_dir, e));
	TRY(required(r, root, "data_dir", c->data_dir, e));
	TRY(read_text(r, root, "region", &c->region, e));
	c->audit.dir = mem_printf("%s/audit", c->data_dir);
	TRY(read_control(r, yaml_get(root, "control"), c, e));
	TRY(read_worker(r, yaml_get(root, "worker"), c, e));
	TRY(read_audit(r, yaml_get(root, "audit"), c, e));
	if (c->worker.base_url == NULL)
		c->worker.base_url = c->control.present ? mem_printf("http://%s", c->control.listen)
		                                        : mem_strdup("https://api.anthropic.com");
	return OK;
}

struct result config_load(const char *path, struct config **out, struct err *e)
{
	struct yaml_doc *doc;
	struct reader r;
	AUTO_FREE char *real = realpath(path, NULL);
	if (real == NULL && errno != ENOENT && errno != ENOTDIR)
		return err_sys(e, "%s", path);
	if (real == NULL)
		return err_set(e, ERR_NOT_FOUND, "%s: no such configuration file; 'sallyport init DIR' writes one", path);
	TRY(yaml_load(path, CONFIG_MAX, &doc, e));
	snprintf(r.dir, sizeof(r.dir), "%s", real);
	char *slash = strrchr(r.dir, '/');
	slash[slash == r.dir ? 1 : 0] = '\0';
	r.doc = doc;
	struct config *c = NEW(struct config);
	c->path = STEAL(real);
	defaults(c, &r);
	struct result done = read_root(&r, c, e);
	yaml_doc_free(doc);
	if (failed(done)) {
		config_free(c);
		return FAIL;
	}
	*out = c;
	return OK;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->control.n_models; i++) {
		struct config_model *m = &c->control.models[i];
		free(m->name);
		free(m->url);
		free(m->key_file);
		free(m->sends);
		free(m->ca_file);
	}
	for (size_t i = 0; i < c->control.n_environments; i++) {
		struct config_environment *env = &c->control.environments[i];
		free(env->id);
		free(env->name);
		free(env->key_file);
	}
	free(c->control.models);
	free(c->control.environments);
	free(c->control.listen);
	free(c->control.store);
	free(c->control.api_key_file);
	free(c->worker.environment);
	free(c->worker.environment_key_file);
	free(c->worker.base_url);
	free(c->worker.root);
	free(c->worker.record);
	free(c->audit.dir);
	free(c->audit.origin);
	free(c->audit.key_file);
	free(c->path);
	free(c->data_dir);
	free(c->region);
	free(c);
}

struct result config_find(char out[4096], struct err *e)
{
	const char *named = getenv("SALLYPORT_CONFIG");
	const char *const places[] = {named, "sallyport.yaml", "/etc/sallyport/sallyport.yaml"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (places[i] == NULL || *places[i] == '\0')
			continue;
		if (i == 0 || access(places[i], F_OK) == 0) {
			snprintf(out, 4096, "%s", places[i]);
			return OK;
		}
	}
	return err_set(e, ERR_NOT_FOUND,
	               "no configuration: neither ./sallyport.yaml nor /etc/sallyport/sallyport.yaml is there\n"
	               "write one with: sallyport init DIR, or name one with --config FILE");
}

char *config_socket(const struct config *c, const char *role)
{
	return mem_printf("%s/run/%s.sock", c->data_dir, role);
}
