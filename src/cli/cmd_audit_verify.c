// sallyport audit verify: whether a log is what was recorded, from its directory and its public key alone.
#include <inttypes.h>
#include <stdio.h>

#include "audit/logdir.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/printable.h"

#define FOUND 5
#define OPEN_SHOWN 20

// The verifier's key: what --vkey gives (a key, or a file that holds one), else the one in the log's own directory.
static struct result read_key(const char *given, const char *dir, struct note_verifier *out, struct err *e)
{
	AUTO_BUF struct buf text;
	struct span line, rest;
	buf_init(&text, 4096);
	if (given == NULL)
		return logdir_vkey(dir, out, e);
	if (!failed(note_vkey_parse(span_of(given), out, e)))
		return OK;
	struct err why;
	if (failed(file_read(given, &text, &why)))
		return why.kind == ERR_NOT_FOUND ? FAIL : err_set(e, why.kind, "%s", why.msg);
	span_cut(buf_span(&text), '\n', &line, &rest);
	return failed(note_vkey_parse(line, out, e)) ? err_prefix(e, "%s", given) : OK;
}

// A checkpoint that was kept elsewhere; `given` NULL: there is none.
static struct result read_kept(const char *given, const struct note_verifier *key, struct checkpoint *out, struct err *e)
{
	AUTO_BUF struct buf note;
	buf_init(&note, NOTE_MAX);
	if (given == NULL)
		return OK;
	TRY(file_read(given, &note, e));
	return failed(checkpoint_open(buf_span(&note), key, out, e)) ? err_prefix(e, "%s", given) : OK;
}

static json_t *open_json(const struct chain_open *o)
{
	char time[CLOCK_RFC3339_LEN];
	clock_format(o->time_ms * 1000, time);
	json_t *j = json_pack("{s:I, s:s, s:s}", "index", (json_int_t)o->index, "time", time, "operation", o->operation);
	json_object_set_new(j, "uid", json_string(o->uid));
	json_object_set_new(j, "object", json_string(o->object));
	json_object_set_new(j, "session", json_string(o->session));
	return j;
}

static void print_json(const char *dir, const struct note_verifier *key, bool own_key, const struct verify_report *r)
{
	char root[HASH_BASE64_LEN] = "", covered[CLOCK_RFC3339_LEN] = "", vkey[NOTE_VKEY_MAX];
	note_vkey_format(key, vkey);
	if (r->has_checkpoint)
		hash_base64(&r->checkpoint.root, root);
	if (r->covered_ms > 0)
		clock_format(r->covered_ms * 1000, covered);
	AUTO_JSON json_t *j = json_pack("{s:b, s:s, s:s, s:s, s:b}", "verified", r->findings.total == 0, "dir", dir, "origin",
	                                key->name, "vkey", vkey, "vkey_from_log", own_key);
	json_object_set_new(j, "size", json_integer((json_int_t)r->checkpoint.size));
	json_object_set_new(j, "root", json_string(root));
	json_object_set_new(j, "covered_until", r->covered_ms > 0 ? json_string(covered) : json_null());
	json_object_set_new(j, "checkpoint_age_s",
	                    r->covered_ms > 0 ? json_integer((clock_utc_us() / 1000 - r->covered_ms) / 1000) : json_null());
	json_object_set_new(j, "entries", json_integer((json_int_t)(r->checkpoint.size + r->uncovered)));
	json_object_set_new(j, "uncovered", json_integer((json_int_t)r->uncovered));
	json_object_set_new(j, "journal", json_boolean(r->journal));
	json_object_set_new(j, "torn_record", json_boolean(r->torn));
	json_object_set_new(j, "writers", json_integer((json_int_t)r->chain.n_writers));
	json_t *open = json_array(), *findings = json_array();
	for (size_t i = 0; i < r->chain.n_open; i++)
		json_array_append_new(open, open_json(&r->chain.open[i]));
	for (size_t i = 0; i < r->findings.n; i++) {
		const struct finding *f = &r->findings.list[i];
		json_t *one = json_object();
		if (f->index != FINDINGS_NO_INDEX)
			json_object_set_new(one, "index", json_integer((json_int_t)f->index));
		if (f->file != NULL)
			json_object_set_new(one, "file", json_string(f->file));
		json_object_set_new(one, "text", json_string_lossy(span_of(f->text)));
		json_array_append_new(findings, one);
	}
	json_object_set_new(j, "open", open);
	json_object_set_new(j, "findings", findings);
	json_object_set_new(j, "findings_total", json_integer((json_int_t)r->findings.total));
	AUTO_FREE char *text = json_text(j, NULL);
	puts(text);
}

static void print_findings(const struct verify_report *r)
{
	for (size_t i = 0; i < r->findings.n; i++) {
		const struct finding *f = &r->findings.list[i];
		AUTO_FREE char *text = printable_line(span_of(f->text), 600);
		printf("✗ ");
		if (f->index != FINDINGS_NO_INDEX)
			printf("entry %" PRIu64 ": ", f->index);
		if (f->file != NULL)
			printf("%s: ", f->file);
		puts(text);
	}
	if (r->findings.total > r->findings.n)
		printf("✗ and %" PRIu64 " more\n", r->findings.total - r->findings.n);
	if (r->findings.total > 0)
		puts("next      leave this directory as it is, and compare it with a backup: sallyport audit verify --dir "
		     "COPY");
}

static void print_open(const struct verify_report *r)
{
	size_t n = r->chain.n_open;
	if (n > 0)
		printf("open      %zu intent%s without an outcome (running, or never told)\n", n, n == 1 ? "" : "s");
	for (size_t i = 0; i < n && i < OPEN_SHOWN; i++) {
		const struct chain_open *o = &r->chain.open[i];
		char time[CLOCK_RFC3339_LEN];
		clock_format(o->time_ms * 1000, time);
		AUTO_FREE char *what = mem_printf("%s %s  %s  %s", o->operation, o->object, o->session, o->uid);
		AUTO_FREE char *shown = printable_line(span_of(what), 200);
		printf("          #%" PRIu64 "  %.19sZ  %s\n", o->index, time, shown);
	}
	if (n > OPEN_SHOWN)
		printf("          and %zu more; --json lists them all\n", n - OPEN_SHOWN);
}

static void print_text(const char *dir, const struct note_verifier *key, bool own_key, const struct verify_report *r)
{
	char root[HASH_BASE64_LEN], time[CLOCK_RFC3339_LEN];
	AUTO_FREE char *origin = printable_line(span_of(key->name), 200);
	printf("%s  %s · %" PRIu64 " entries by %zu writers", r->findings.total == 0 ? "verified" : "NOT VERIFIED", origin,
	       r->checkpoint.size + r->uncovered, r->chain.n_writers);
	if (r->has_checkpoint) {
		hash_base64(&r->checkpoint.root, root);
		printf(" · checkpoint size %" PRIu64 ", root %s", r->checkpoint.size, root);
	}
	puts("");
	if (r->covered_ms > 0) {
		clock_format(r->covered_ms * 1000, time);
		printf("covered   until %.19sZ, %" PRId64 " s ago · ", time, (clock_utc_us() / 1000 - r->covered_ms) / 1000);
	} else {
		printf("covered   nothing · ");
	}
	if (r->journal)
		printf("%" PRIu64 " entries in no checkpoint yet%s\n", r->uncovered,
		       r->torn ? " · the journal ends in a record that a crash cut off" : "");
	else
		puts("no journal here: what no checkpoint covered is not seen");
	if (own_key)
		printf("key       %s/log.vkey, the log's own; to be sure that it is the right one, give the key you hold: "
		       "--vkey\n",
		       dir);
	print_open(r);
	print_findings(r);
}

static int run(const struct cli_args *a, struct err *e)
{
	const char *given = cli_value(a, "vkey"), *dir_given = cli_value(a, "dir"), *kept_given = cli_value(a, "checkpoint");
	struct config *c = NULL;
	struct note_verifier key;
	struct checkpoint kept;
	struct verify_report report = {0};
	if (dir_given == NULL && failed(cli_config(a, &c, e)))
		return CLI_FAILED;
	AUTO_FREE char *dir = mem_strdup(dir_given != NULL ? dir_given : c->audit.dir);
	config_free(c);
	if (failed(read_key(given, dir, &key, e)) || failed(read_kept(kept_given, &key, &kept, e)))
		return CLI_FAILED;
	int code = CLI_FAILED;
	if (!failed(verify_run(dir, &key, kept_given == NULL ? NULL : &kept, &report, e))) {
		code = report.findings.total == 0 ? 0 : FOUND;
		if (cli_json(a))
			print_json(dir, &key, given == NULL, &report);
		else if (!cli_quiet(a) || code != 0)
			print_text(dir, &key, given == NULL, &report);
	}
	verify_fini(&report);
	return code;
}

static const struct cli_option options[] = {
        {"dir", "DIR", "the log's directory, or a copy of one; default: audit.dir of the configuration"},
        {"vkey", "KEY", "the log's public key, or a file that holds it; default: log.vkey in the directory"},
        {"checkpoint", "FILE", "a checkpoint of this log that you kept elsewhere: the log must go on from it"},
        {0},
};

const struct cli_command cmd_audit_verify = {
        .name = "audit verify",
        .summary = "verify a log: its entries, its tree and its signature",
        .description =
                "Recomputes the log's Merkle tree from its entries, compares it with the tiles and with the signed\n"
                "checkpoint, and follows each writer's numbers and hashes through the journal's tail. Tells how many\n"
                "entries no checkpoint covers yet, and which intents have no outcome; one without for more than 15\n"
                "minutes is a finding. Needs no running Sallyport and no network.\n"
                "\n"
                "A log that was set back to an older copy, or written anew by who has its key, verifies like any other.\n"
                "Keep copies of the file `checkpoint` elsewhere: against one of them it does not.\n"
                "\n"
                "Exit 0: verified. 5: something is wrong with the log, and the first bad entry and file are named.\n"
                "1: it could not be verified.",
        .options = options,
        .run = run,
};
