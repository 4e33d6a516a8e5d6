// The strict YAML loader and the configuration: what is accepted, and that every refusal names the place and the remedy.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/config.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/words.h"
#include "base/yaml.h"
#include "unit/unit.h"

static void refuses_yaml(const char *text, const char *place, const char *says)
{
	struct yaml_doc *d = NULL;
	struct err e = {0};
	if (!failed(yaml_parse(span_of(text), "f", &d, &e)))
		fail_msg("accepted: %s", text);
	if (strncmp(e.msg, place, strlen(place)) != 0 || strstr(e.msg, says) == NULL)
		fail_msg("for %s\n said: %s", text, e.msg);
}

static void yaml_refusals(void **state)
{
	(void)state;
	refuses_yaml("", "f: ", "empty");
	refuses_yaml("a: 1\na: 2\n", "f:2:1", "twice");
	refuses_yaml("a: &x 1\nb: 2\n", "f:1:4", "anchors");
	refuses_yaml("a: *x\n", "f:1:4", "aliases");
	refuses_yaml("a: !!str 1\n", "f:1:4", "tags");
	refuses_yaml("<<: {a: 1}\n", "f:1:1", "merge");
	refuses_yaml("[1, 2]: x\n", "f:1:", "plain word");
	refuses_yaml("a: 1\n---\nb: 2\n", "f:2:1", "second document");
	refuses_yaml("a: [1\n", "f:", "not valid YAML");
	refuses_yaml("a: \"x\\0y\"\n", "f:1:4", "NUL");
	refuses_yaml("\xff\xfe", "f:", "");
	char deep[200];
	memset(deep, '[', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	refuses_yaml(deep, "f:1:", "deep");
}

static void yaml_cut_at_every_byte(void **state)
{
	(void)state;
	static const char text[] = "a: 1\nb: [x, 'y', {c: \"d\\n\"}]\ne:\n  f: |\n    block\n  g: null\n";
	for (size_t n = 0; n < sizeof(text); n++) {
		struct yaml_doc *d = NULL;
		struct err e = {0};
		if (!failed(yaml_parse(span_from(text, n), "f", &d, &e)))
			yaml_doc_free(d);
		else
			assert_true(e.msg[0] != '\0');
	}
}

static void yaml_values(void **state)
{
	(void)state;
	struct yaml_doc *d;
	struct err e;
	assert_false(failed(
	        yaml_parse(SPAN_LIT("s: 2GiB\nn: -5\nt: true\nq: 'true'\nu: ~\nd: 90s\nbig: 99999999999TiB\n"), "f", &d, &e)));
	uint64_t v;
	assert_false(failed(yaml_bytes(d, yaml_get(d->root, "s"), "s", &v, &e)));
	assert_int_equal(v, 2ULL << 30);
	assert_true(failed(yaml_bytes(d, yaml_get(d->root, "big"), "big", &v, &e)));
	assert_true(failed(yaml_uint(d, yaml_get(d->root, "n"), "n", 0, 9, &v, &e)));
	assert_string_equal(e.msg, "f:2:4: n: expected a whole number from 0 to 9");
	assert_false(failed(yaml_duration(d, yaml_get(d->root, "d"), "d", &v, &e)));
	assert_int_equal(v, 90000000);
	AUTO_JSON json_t *j = yaml_to_json(d->root);
	assert_int_equal(json_integer_value(json_object_get(j, "n")), -5);
	assert_true(json_is_true(json_object_get(j, "t")));
	assert_true(json_is_string(json_object_get(j, "q")));
	assert_true(json_is_null(json_object_get(j, "u")));
	yaml_doc_free(d);
}

static void nearest_words(void **state)
{
	(void)state;
	static const char *const known[] = {"listen", "store", "models", "environments", NULL};
	assert_string_equal(words_nearest(SPAN_LIT("lisen"), known), "listen");
	assert_string_equal(words_nearest(SPAN_LIT("enviroments"), known), "environments");
	assert_string_equal(words_nearest(SPAN_LIT("moedls"), known), "models");
	assert_null(words_nearest(SPAN_LIT("zebra"), known));
	assert_null(words_nearest(SPAN_LIT(""), known));
}

// Writes `text` as a configuration and loads it; the caller frees *c.
static struct result load(const char *text, struct config **c, struct err *e)
{
	char dir[] = "/tmp/sallyport-config-XXXXXX";
	assert_non_null(mkdtemp(dir));
	AUTO_FREE char *path = mem_printf("%s/sallyport.yaml", dir);
	assert_false(failed(file_write_atomic(path, span_of(text), 0600, e)));
	struct result r = config_load(path, c, e);
	assert_false(failed(file_remove_tree(dir, NULL)));
	return r;
}

static void refuses_config(const char *text, const char *says)
{
	struct config *c;
	struct err e = {0};
	if (!failed(load(text, &c, &e)))
		fail_msg("accepted: %s", text);
	if (strstr(e.msg, says) == NULL)
		fail_msg("for %s\n said: %s", text, e.msg);
}

static void config_refusals(void **state)
{
	(void)state;
	refuses_config("data_dir: d\n", ":1:1: version is required");
	refuses_config("version: 2\ndata_dir: d\n", ":1:10: version: expected a whole number from 1 to 1");
	refuses_config("version: 1\n", "data_dir is required");
	refuses_config("version: 1\ndata_dir: d\ncontroll:\n  listen: x\n",
	               ":3:1: unknown key 'controll' in the configuration; did you mean 'control'?");
	refuses_config("version: 1\ndata_dir: d\ncontrol:\n  lisen: x\n",
	               ":4:3: unknown key 'lisen' in control; did you mean 'listen'?");
	refuses_config("version: 1\ndata_dir: d\ncontrol:\n  listen: 127.0.0.1:1\n", "api_key_file is required");
	refuses_config("version: 1\ndata_dir: d\ncontrol:\n  api_key_file: k\n  models:\n    - {name: x, url: ftp://h}\n",
	               "http:// or https://");
	refuses_config("version: 1\ndata_dir: d\nworker:\n  limits: {memory: lots}\n", "expected a size such as");
	refuses_config("version: 1\ndata_dir: d\nworker:\n  limits: {cpus: 0}\n", "expected a number of CPUs");
	refuses_config("version: 1\ndata_dir: d\nworker:\n  root: relative/dir\n", "root: expected host-usr");
	refuses_config("version: 1\ndata_dir: d\ncontrol:\n  api_key_file: k\n  environments:\n    - {id: x, name: n}\n",
	               "starts with env_");
	refuses_config(
	        "version: 1\ndata_dir: d\ncontrol:\n  api_key_file: k\n  environments:\n"
	        "    - {id: env_1, name: a}\n    - {id: env_1, name: b}\n",
	        ":7:7: id: env_1 stands in this list twice");
	refuses_config(
	        "version: 1\ndata_dir: d\ncontrol:\n  api_key_file: k\n  environments:\n"
	        "    - {id: env_1, name: a, calls: once}\n",
	        "calls: 'once' is not known; it can be at-most-once or at-least-once");
	refuses_config("version: 1\ndata_dir: d\ncontrol:\n  listen: localhost\n", ":4:11: listen: expected ADDRESS:PORT");
	refuses_config("version: 1\ndata_dir: d\ncontrol:\n  listen: ':80'\n", "expected ADDRESS:PORT");
	refuses_config("version: 1\ndata_dir: d\ncontrol:\n  listen: h:65536\n", "expected ADDRESS:PORT");
	refuses_config("version: 1\ndata_dir: \"d\\nx\"\n", ":2:11: data_dir: expected one line");
	refuses_config("version: 1\ndata_dir: d\naudit:\n  origin: \"o\\x1b[1m\"\n", "origin: expected one line");
	refuses_config("version: 1\r\ndata_dir: d\r\nx: 1\r\n", ":3:1: unknown key 'x'");
	refuses_config("version: 1\ndata_dir: d\n\tregion: x\n", "not valid YAML");
	AUTO_BUF struct buf many;
	buf_init(&many, 1 << 20);
	for (int i = 0; i < 1001; i++)
		assert_true(buf_printf(&many, "k%d: x\n", i));
	refuses_config(buf_str(&many), ":1001:1: too many keys");
}

static void config_files(void **state)
{
	(void)state;
	struct config *c;
	struct err e = {0};
	assert_true(failed(config_load("/nowhere/sallyport.yaml", &c, &e)));
	assert_non_null(strstr(e.msg, "no such configuration file"));
	assert_true(failed(config_load("/", &c, &e)));
	assert_string_equal(e.msg, "/: not a regular file");
	char loop[] = "/tmp/sallyport-loop-XXXXXX";
	assert_non_null(mkdtemp(loop));
	AUTO_FREE char *link = mem_printf("%s/link", loop);
	assert_int_equal(symlink(link, link), 0);
	assert_true(failed(config_load(link, &c, &e)));
	assert_non_null(strstr(e.msg, "Too many levels of symbolic links"));
	assert_false(failed(file_remove_tree(loop, NULL)));
}

static void config_values(void **state)
{
	(void)state;
	struct config *c;
	struct err e = {0};
	assert_false(failed(
	        load("version: 1\ndata_dir: data\nregion: eu\n"
	             "control:\n  listen: 127.0.0.1:9000\n  api_key_file: keys/api\n"
	             "  models:\n    - {name: 'claude-*', url: 'http://127.0.0.1:1', sends: m, ca_file: c.pem, requests: 3}\n"
	             "  environments:\n    - {id: env_1, name: local, key_file: /k, calls: at-least-once}\n"
	             "worker:\n  environment: env_1\n  max_idle: 500ms\n  limits: {cpus: 1.5, memory: 1GiB, processes: 64}\n",
	             &c, &e)));
	assert_string_equal(c->control.listen, "127.0.0.1:9000");
	assert_string_equal(c->worker.base_url, "http://127.0.0.1:9000");
	assert_true(c->data_dir[0] == '/' && strstr(c->data_dir, "/data") != NULL);
	assert_true(c->control.environments[0].at_least_once);
	assert_string_equal(c->control.environments[0].key_file, "/k");
	assert_string_equal(c->control.models[0].sends, "m");
	assert_true(c->control.models[0].ca_file[0] == '/' && strstr(c->control.models[0].ca_file, "/c.pem") != NULL);
	assert_int_equal(c->control.models[0].requests, 3);
	assert_int_equal(c->control.models[0].retries, 8);
	assert_int_equal(c->worker.max_idle_ms, 500);
	assert_int_equal(c->worker.limits.cpus_milli, 1500);
	assert_int_equal(c->worker.limits.memory_bytes, 1 << 30);
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(yaml_refusals), cmocka_unit_test(yaml_cut_at_every_byte), cmocka_unit_test(yaml_values),
	        cmocka_unit_test(nearest_words), cmocka_unit_test(config_refusals),        cmocka_unit_test(config_values),
	        cmocka_unit_test(config_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
