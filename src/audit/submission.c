#include "audit/submission.h"

#include <stddef.h>

#include "base/mem.h"

enum form {
	FORM_TEXT,  // for people: cut when too long
	FORM_ID,    // an identifier: any UTF-8 without controls
	FORM_NAME,  // letters, digits, '.', '_', '-', not starting with '.': also safe as a file name
	FORM_TRACE, // 32 lowercase hex digits
};

static const struct field {
	const char *name;
	size_t offset;
	size_t max;
	enum form form;
} fields[] = {
        {"uid", offsetof(struct audit_entry, uid), SUBMISSION_UID_MAX, FORM_ID},
        {"pair", offsetof(struct audit_entry, pair), SUBMISSION_UID_MAX, FORM_ID},
        {"operation", offsetof(struct audit_entry, operation), 64, FORM_NAME},
        {"session", offsetof(struct audit_entry, session), SUBMISSION_SESSION_MAX, FORM_NAME},
        {"agent", offsetof(struct audit_entry, agent), 128, FORM_ID},
        {"actor", offsetof(struct audit_entry, actor), 256, FORM_TEXT},
        {"object", offsetof(struct audit_entry, object), 1024, FORM_TEXT},
        {"rule", offsetof(struct audit_entry, rule), 256, FORM_TEXT},
        {"reason", offsetof(struct audit_entry, reason), 2048, FORM_TEXT},
        {"trace", offsetof(struct audit_entry, trace), 32, FORM_TRACE},
};

static const char *const phases[] = {[AUDIT_INTENT] = "intent", [AUDIT_OUTCOME] = "outcome", [AUDIT_ADMIN] = "admin"};

static struct span *field_of(struct audit_entry *a, const struct field *f)
{
	return (struct span *)(void *)((char *)a + f->offset);
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static bool form_ok(enum form form, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];
		if ((form == FORM_ID && ((unsigned char)c < 0x20 || c == 0x7f)) || (form == FORM_NAME && !name_char(c)) ||
		    (form == FORM_TRACE && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')))
			return false;
	}
	if (form == FORM_TRACE && s.len != 32)
		return false;
	return (form != FORM_NAME || s.data[0] != '.') && span_is_utf8(s);
}

static struct result check_field(const struct field *f, struct span s, struct err *e)
{
	if (s.len == 0)
		return OK;
	if (s.len > f->max)
		return err_set(e, ERR_INVALID, "audit entry: %s has %zu bytes, at most %zu are allowed", f->name, s.len,
		               f->max);
	if (!form_ok(f->form, s))
		return err_set(e, ERR_INVALID, "audit entry: %s holds characters that are not allowed there", f->name);
	return OK;
}

static struct result check(const struct audit_entry *a, struct err *e)
{
	struct audit_entry copy = *a;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		TRY(check_field(&fields[i], *field_of(&copy, &fields[i]), e));
	if (a->uid.len == 0 || a->operation.len == 0)
		return err_set(e, ERR_INVALID, "audit entry: uid and operation are required");
	if (a->pair.len != 0 && a->phase != AUDIT_OUTCOME)
		return err_set(e, ERR_INVALID, "audit entry: only an outcome has a pair");
	return OK;
}

// A text for people, made to fit: cut at `max` bytes of whole characters, with an ellipsis for what is missing.
static json_t *fitted(struct span s, size_t max)
{
	json_t *whole = json_string_lossy(span_head(s, max + 4));
	struct span w = json_span(whole);
	if (w.len <= max && s.len <= max)
		return whole;
	size_t n = max - 3 < w.len ? max - 3 : w.len;
	while (n > 0 && ((unsigned char)w.data[n] & 0xc0) == 0x80)
		n--;
	AUTO_FREE char *cut = mem_printf("%.*s\xe2\x80\xa6", (int)n, w.data);
	json_decref(whole);
	return json_string(cut);
}

struct result submission_write(const struct audit_entry *a, struct buf *out, struct err *e)
{
	struct audit_entry copy = *a;
	AUTO_JSON json_t *j = json_object();
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct span *s = field_of(&copy, &fields[i]);
		if (s->len == 0)
			continue;
		if (fields[i].form == FORM_TEXT) {
			json_t *text = fitted(*s, fields[i].max);
			json_object_set_new(j, fields[i].name, text);
			*s = json_span(text);
		} else if (span_is_utf8(*s)) {
			json_object_set_new(j, fields[i].name, json_stringn(s->data, s->len));
		}
	}
	TRY(check(&copy, e));
	json_object_set_new(j, "phase", json_string(phases[a->phase]));
	if (a->denied)
		json_object_set_new(j, "denied", json_true());
	if (a->failed)
		json_object_set_new(j, "failed", json_true());
	if (a->duration_us > 0)
		json_object_set_new(j, "duration_us", json_integer((json_int_t)(a->duration_us & INT64_MAX)));
	size_t n;
	AUTO_FREE char *text = json_text(j, &n);
	if (n > SUBMISSION_MAX || !buf_add(out, span_from(text, n)))
		return err_set(e, ERR_TOO_LARGE, "audit entry: more than %d bytes", SUBMISSION_MAX);
	return OK;
}

static struct result read_member(const char *name, const json_t *value, struct audit_entry *out, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (strcmp(name, fields[i].name) != 0)
			continue;
		*field_of(out, &fields[i]) = json_span(value);
		return json_is_string(value) ? OK : err_set(e, ERR_INVALID, "audit entry: %s must be a string", name);
	}
	if (strcmp(name, "phase") == 0) {
		for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
			out->phase = (enum audit_phase)i;
			if (span_is(json_span(value), phases[i]))
				return OK;
		}
		return err_set(e, ERR_INVALID, "audit entry: unknown phase");
	}
	bool *flag = strcmp(name, "denied") == 0 ? &out->denied : strcmp(name, "failed") == 0 ? &out->failed : NULL;
	if (flag != NULL && json_is_true(value)) {
		*flag = true;
		return OK;
	}
	json_int_t us = json_integer_value(value);
	if (strcmp(name, "duration_us") == 0 && us > 0 && us <= (json_int_t)1 << 53) {
		out->duration_us = (uint64_t)us;
		return OK;
	}
	return err_set(e, ERR_INVALID, "audit entry: unknown member or wrong type");
}

struct result submission_read(struct span text, json_t **hold, struct audit_entry *out, struct err *e)
{
	AUTO_JSON json_t *j = NULL;
	if (text.len > SUBMISSION_MAX)
		return err_set(e, ERR_TOO_LARGE, "audit entry: more than %d bytes", SUBMISSION_MAX);
	TRY(json_parse_object(text, "audit entry", &j, e));
	*out = (struct audit_entry){.phase = AUDIT_ADMIN};
	if (json_object_get(j, "phase") == NULL)
		return err_set(e, ERR_INVALID, "audit entry: phase is required");
	const char *name;
	json_t *value;
	json_object_foreach (j, name, value) {
		TRY(read_member(name, value, out, e));
	}
	TRY(check(out, e));
	*hold = STEAL(j);
	return OK;
}
