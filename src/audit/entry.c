#include "audit/entry.h"

#include <sys/utsname.h>

#include "base/json.h"
#include "base/mem.h"

#define OCSF_VERSION "1.9.0"

// How operations map to OCSF classes (reference, section 8). The last part of a dotted operation is its verb.
static const struct verb {
	const char *word;
	int api;    // API Activity 6003
	int entity; // Entity Management 3004
} verbs[] = {
        {"create", 1, 1}, {"read", 2, 2},   {"get", 2, 2},     {"list", 2, 2},     {"update", 3, 3},
        {"delete", 4, 4}, {"revoke", 4, 4}, {"enable", 99, 8}, {"disable", 99, 9},
};

static const char *const entities[] = {"agent.", "environment.", "key.", "policy."};

struct ocsf_class {
	int uid;
	int activity;
};

static struct ocsf_class classify(const struct audit_entry *a)
{
	struct span op = a->operation;
	if (span_starts(op, "recorder."))
		return (struct ocsf_class){1008, span_is(op, "recorder.start") ? 6 : span_is(op, "recorder.stop") ? 7 : 99};
	bool entity = false;
	for (size_t i = 0; i < ARRAY_LEN(entities); i++)
		entity = entity || span_starts(op, entities[i]);
	struct ocsf_class c = {entity ? 3004 : 6003, 99};
	const char *dot = memrchr(op.data, '.', op.len);
	struct span word = dot == NULL ? span_from(op.data, 0) : span_skip(op, (size_t)(dot + 1 - op.data));
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (span_is(word, verbs[i].word))
			c.activity = entity ? verbs[i].entity : verbs[i].api;
	}
	return c;
}

static json_t *string_of(struct span s)
{
	return json_stringn(s.data, s.len);
}

static void set_span(json_t *o, const char *name, struct span s)
{
	if (s.len > 0)
		json_object_set_new(o, name, string_of(s));
}

static void set_str(json_t *o, const char *name, const char *s)
{
	json_object_set_new(o, name, json_string(s));
}

static void set_int(json_t *o, const char *name, int64_t n)
{
	json_object_set_new(o, name, json_integer(n));
}

// {name: value} as a member of its own
static void set_object(json_t *o, const char *name, const char *inner, struct span value)
{
	json_t *v = json_object();
	set_span(v, inner, value);
	json_object_set_new(o, name, v);
}

static json_t *metadata(const struct audit_entry *a, const struct entry_stamp *s, int class_uid)
{
	json_t *m = json_object(), *product = json_object(), *profiles = json_array();
	json_array_append_new(profiles, json_string("security_control"));
	if (class_uid == 6003) {
		json_array_append_new(profiles, json_string("ai_operation"));
		json_array_append_new(profiles, json_string("trace"));
	}
	set_str(product, "name", "sallyport");
	set_str(product, "vendor_name", "Sallyport");
	set_str(product, "version", SALLYPORT_VERSION);
	set_str(m, "version", OCSF_VERSION);
	set_span(m, "uid", a->uid);
	set_span(m, "correlation_uid", a->trace);
	set_int(m, "sequence", (int64_t)s->seq);
	json_object_set_new(m, "product", product);
	json_object_set_new(m, "profiles", profiles);
	return m;
}

static json_t *actor(const struct audit_entry *a, const struct entry_stamp *s)
{
	json_t *o = json_object();
	set_str(o, "app_name", s->role);
	if (a->actor.len > 0)
		set_object(o, "user", "uid", a->actor);
	if (a->session.len > 0)
		set_object(o, "session", "uid", a->session);
	return o;
}

// The members that only one class has.
static void set_class_members(json_t *o, const struct audit_entry *a, const struct entry_stamp *s, int class_uid)
{
	if (class_uid == 1008) {
		json_t *device = json_object();
		struct utsname host;
		set_int(device, "type_id", 1); // a server
		set_str(device, "hostname", uname(&host) == 0 ? host.nodename : "unknown");
		json_object_set_new(o, "device", device);
		set_str(o, "log_name", "sallyport-audit");
		return;
	}
	if (class_uid == 3004) {
		json_t *entity = json_object();
		const char *dot = memchr(a->operation.data, '.', a->operation.len);
		set_span(entity, "uid", a->object.len > 0 ? a->object : SPAN_LIT("unnamed"));
		set_int(entity, "type_id", span_starts(a->operation, "policy.") ? 5 : 99);
		set_span(entity, "type", span_head(a->operation, (size_t)(dot - a->operation.data)));
		json_object_set_new(o, "entity", entity);
		return;
	}
	set_object(o, "api", "operation", a->operation);
	set_object(o, "src_endpoint", "svc_name", span_of(s->role));
	if (a->agent.len > 0)
		set_object(o, "ai_agent", "uid", a->agent);
	if (a->trace.len > 0)
		set_object(o, "trace", "uid", a->trace);
	if (a->object.len > 0) {
		json_t *list = json_array(), *resource = json_object();
		set_span(resource, "name", a->object);
		json_array_append_new(list, resource);
		json_object_set_new(o, "resources", list);
	}
}

static void set_payload(json_t *o, const char *len, const char *mac, const struct entry_payload *p)
{
	if (p->len == 0)
		return;
	char hex[HASH_HEX_LEN];
	hash_hex(&p->mac, hex);
	set_int(o, len, (int64_t)p->len);
	set_str(o, mac, hex);
}

static const char *const phases[] = {[AUDIT_INTENT] = "intent", [AUDIT_OUTCOME] = "outcome", [AUDIT_ADMIN] = "admin"};

static json_t *perimeter(const struct audit_entry *a, const struct entry_stamp *s)
{
	json_t *p = json_object();
	char seq[24], prev[HASH_HEX_LEN];
	snprintf(seq, sizeof(seq), "%llu", (unsigned long long)s->seq);
	set_str(p, "writer", s->writer);
	set_str(p, "seq", seq);
	if (s->prev != NULL) {
		hash_hex(s->prev, prev);
		set_str(p, "prev", prev);
	}
	set_str(p, "boot_id", s->boot_id);
	set_int(p, "pid", s->pid);
	set_str(p, "phase", phases[a->phase]);
	set_span(p, "pair", a->pair);
	set_span(p, "operation", a->operation);
	set_span(p, "session", a->session);
	set_span(p, "agent", a->agent);
	set_span(p, "object", a->object);
	set_span(p, "rule", a->rule);
	if (a->duration_us > 0)
		set_int(p, "duration_us", (int64_t)a->duration_us);
	set_payload(p, "args_len", "args_mac", &s->arguments);
	set_payload(p, "result_len", "result_mac", &s->result);
	return p;
}

struct result entry_write(const struct audit_entry *a, const struct entry_stamp *s, struct buf *out, struct err *e)
{
	struct ocsf_class c = classify(a);
	AUTO_JSON json_t *o = json_object();
	AUTO_JSON json_t *inner = json_object();
	set_int(o, "activity_id", c.activity);
	if (c.activity == 99)
		set_span(o, "activity_name", a->operation);
	set_int(o, "category_uid", c.uid / 1000);
	set_int(o, "class_uid", c.uid);
	set_int(o, "type_uid", c.uid * 100 + c.activity);
	set_int(o, "severity_id", a->denied ? 3 : a->failed ? 2 : 1);
	set_int(o, "time", s->time_ms);
	set_int(o, "action_id", a->denied ? 2 : 1);
	set_int(o, "disposition_id", a->denied ? 2 : 1);
	if (a->phase != AUDIT_INTENT)
		set_int(o, "status_id", a->denied || a->failed ? 2 : 1);
	set_span(o, "status_detail", a->reason);
	if (a->duration_us > 0)
		set_int(o, "duration", (int64_t)(a->duration_us / 1000));
	json_object_set_new(o, "metadata", metadata(a, s, c.uid));
	json_object_set_new(o, "actor", actor(a, s));
	set_class_members(o, a, s, c.uid);
	json_object_set_new(inner, "perimeter", perimeter(a, s));
	json_object_set(o, "unmapped", inner);
	size_t before = buf_len(out);
	struct result r = json_canonical(o, out, e);
	if (!failed(r) && buf_len(out) - before > ENTRY_MAX)
		r = err_set(e, ERR_TOO_LARGE, "audit entry: more than %d bytes", ENTRY_MAX);
	if (failed(r))
		out->end = out->start + before; // other entries stand there already
	return r;
}

static struct result read_unsigned(const json_t *o, const char *name, uint64_t *out, struct err *e)
{
	int64_t n;
	TRY(json_opt_int(o, "unmapped.perimeter", name, 0, &n, e));
	if (n < 0)
		return err_set(e, ERR_INVALID, "unmapped.perimeter.%s is negative", name);
	*out = (uint64_t)n;
	return OK;
}

static struct result read_perimeter(const json_t *p, struct entry *out, struct err *e)
{
	const char *at = "unmapped.perimeter";
	struct span seq, prev = {NULL, 0};
	TRY(json_get_string(p, at, "writer", &out->writer, e));
	TRY(json_get_string(p, at, "phase", &out->phase, e));
	TRY(json_get_string(p, at, "operation", &out->operation, e));
	TRY(json_get_string(p, at, "seq", &seq, e));
	TRY(span_to_u64(seq, INT64_MAX, "unmapped.perimeter.seq", &out->seq, e));
	TRY(json_opt_string(p, at, "boot_id", &out->boot_id, e));
	TRY(json_opt_int(p, at, "pid", 0, &out->pid, e));
	TRY(json_opt_string(p, at, "prev", &prev, e));
	out->has_prev = prev.data != NULL;
	if (out->has_prev)
		TRY(hash_from_hex(prev, &out->prev, e));
	TRY(json_opt_string(p, at, "pair", &out->pair, e));
	TRY(json_opt_string(p, at, "session", &out->session, e));
	TRY(json_opt_string(p, at, "agent", &out->agent, e));
	TRY(json_opt_string(p, at, "object", &out->object, e));
	TRY(json_opt_string(p, at, "rule", &out->rule, e));
	TRY(json_opt_string(p, at, "args_mac", &out->args_mac, e));
	TRY(json_opt_string(p, at, "result_mac", &out->result_mac, e));
	TRY(read_unsigned(p, "duration_us", &out->duration_us, e));
	TRY(read_unsigned(p, "args_len", &out->args_len, e));
	return read_unsigned(p, "result_len", &out->result_len, e);
}

static struct result read_event(const json_t *o, struct entry *out, struct err *e)
{
	json_t *inner, *user;
	int64_t action, status;
	TRY(json_get_int(o, "", "time", &out->time_ms, e));
	TRY(json_opt_int(o, "", "action_id", 1, &action, e));
	TRY(json_opt_int(o, "", "status_id", 1, &status, e));
	TRY(json_opt_string(o, "", "status_detail", &out->reason, e));
	out->denied = action == 2;
	out->failed = status == 2;
	TRY(json_get_object(o, "", "metadata", &inner, e));
	TRY(json_get_string(inner, "metadata", "uid", &out->uid, e));
	TRY(json_opt_object(o, "", "actor", &inner, e));
	TRY(json_opt_object(inner, "actor", "user", &user, e));
	TRY(json_opt_string(user, "actor.user", "uid", &out->actor, e));
	TRY(json_get_object(o, "", "unmapped", &inner, e));
	TRY(json_get_object(inner, "unmapped", "perimeter", &inner, e));
	return read_perimeter(inner, out, e);
}

struct result entry_read(struct span bytes, struct entry *out, struct err *e)
{
	*out = (struct entry){0};
	if (!failed(json_parse_object(bytes, "the entry", &out->json, e)) && !failed(read_event(out->json, out, e)))
		return OK;
	if (e != NULL)
		e->kind = ERR_CORRUPT;
	entry_fini(out);
	return FAIL;
}

void entry_fini(struct entry *e)
{
	json_decref(e->json);
	*e = (struct entry){0};
}
