// sallyport init DIR: a configuration, keys and the private authority, each made once and never overwritten.
#include <errno.h>
#include <limits.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/note.h"
#include "base/config.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "net/certs.h"

#define CA_DAYS 3650
#define PLAIN_SCALAR "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/:"

struct init {
	char dir[PATH_MAX]; // absolute
	char data_dir[PATH_MAX];
	const char *listen;
	const char *model_url;
	char model_key_file[PATH_MAX]; // "": none
	char environment[ID_MAX];
	char origin[300];
	bool made_dir, made_keys, made_certs, made_config; // by us: what a failure takes away again
};

static char *path_in(const struct init *in, const char *name)
{
	return mem_printf("%s/%s", in->dir, name);
}

static struct result exists(const char *path, struct err *e)
{
	return err_set(e, ERR_CONFLICT,
	               "%s exists already and init never overwrites\n"
	               "choose another directory, or remove what is there yourself",
	               path);
}

static struct result place(const struct init *in, const char *name, struct span content, mode_t mode, struct err *e)
{
	AUTO_FREE char *path = path_in(in, name);
	if (failed(file_create(path, content, mode, e)))
		return e->kind == ERR_CONFLICT ? exists(path, e) : FAIL;
	return OK;
}

// Nothing is written when any of it is there already.
static struct result refuse_existing(const struct init *in, struct err *e)
{
	static const char *const names[] = {"sallyport.yaml", "keys", "certs"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *path = path_in(in, names[i]);
		struct stat st;
		if (lstat(path, &st) == 0)
			return exists(path, e);
	}
	return OK;
}

static struct result make_secret(const struct init *in, const char *name, const char *prefix, struct err *e)
{
	char secret[SECRET_MAX];
	secret_make(secret, prefix);
	AUTO_FREE char *line = mem_printf("%s\n", secret);
	struct result r = place(in, name, span_of(line), 0600, e);
	mem_wipe(secret, sizeof(secret));
	mem_wipe(line, strlen(line));
	return r;
}

static struct result make_authority(const struct init *in, struct err *e)
{
	AUTO_BUF struct buf pem, cert_pem;
	buf_init(&pem, 16384);
	buf_init(&cert_pem, 16384);
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	struct result r = certs_new_p256(&key, e);
	if (!failed(r))
		r = certs_new_ca(key, "Sallyport private authority", CA_DAYS, &cert, e);
	if (!failed(r))
		r = certs_key_pem(key, &pem, e);
	if (!failed(r))
		r = certs_cert_pem(cert, &cert_pem, e);
	X509_free(cert);
	EVP_PKEY_free(key);
	TRY(r);
	TRY(place(in, "keys/ca.pem", buf_span(&pem), 0600, e));
	mem_wipe(pem.mem, pem.cap);
	return place(in, "certs/ca.pem", buf_span(&cert_pem), 0644, e);
}

// The log's key, and the text that verifiers need beside the log.
static struct result make_log_key(const struct init *in, struct err *e)
{
	AUTO_BUF struct buf pem;
	buf_init(&pem, 4096);
	EVP_PKEY *key = NULL;
	struct result r = certs_new_ed25519(&key, e);
	if (!failed(r))
		r = certs_key_pem(key, &pem, e);
	EVP_PKEY_free(key);
	TRY(r);
	TRY(place(in, "keys/audit.pem", buf_span(&pem), 0600, e));
	mem_wipe(pem.mem, pem.cap);
	AUTO_FREE char *path = path_in(in, "keys/audit.pem");
	struct note_signer signer;
	char vkey[NOTE_VKEY_MAX];
	TRY(note_signer_load(&signer, span_of(in->origin), path, e));
	note_vkey_format(&signer.v, vkey);
	note_signer_fini(&signer);
	AUTO_FREE char *line = mem_printf("%s\n", vkey);
	return place(in, "certs/audit.vkey", span_of(line), 0644, e);
}

// A scalar in which nothing means anything: JSON's strings are YAML's. Plain where that is the same, for it is read by people.
static char *quoted(const char *text)
{
	AUTO_JSON json_t *j = json_string_lossy(span_of(text));
	return text[strspn(text, PLAIN_SCALAR)] == '\0' ? mem_strdup(text) : json_dumps(j, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
}

static struct result write_config(struct init *in, struct err *e)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 65536);
	bool any_model = in->model_url != NULL;
	AUTO_FREE char *data_dir = quoted(in->data_dir), *listen = quoted(in->listen);
	AUTO_FREE char *model_url = quoted(any_model ? in->model_url : "https://api.anthropic.com");
	AUTO_FREE char *model_key_file = quoted(in->model_key_file), *origin = quoted(in->origin);
	bool ok = buf_printf(&b,
	                     "# Sallyport's configuration, one file for every role. An unknown key is an error.\n"
	                     "# Relative paths start from this file's directory.\n"
	                     "version: 1\n"
	                     "data_dir: %s\n"
	                     "# region: eu-central              # where this machine stands; declared, not measured\n"
	                     "\n"
	                     "# control: the Managed Agents API, the agent loop, the work queue.\n"
	                     "control:\n"
	                     "  listen: %s\n"
	                     "  api_key_file: keys/api          # for your applications: ANTHROPIC_API_KEY\n"
	                     "  models:                         # the first whose name fits an agent's model is used\n"
	                     "    - name: \"%s\"\n"
	                     "      url: %s\n",
	                     data_dir, listen, any_model ? "*" : "claude-*", model_url);
	if (*in->model_key_file != '\0')
		ok = ok && buf_printf(&b, "      key_file: %s\n", model_key_file);
	else
		ok = ok &&
		     buf_printf(&b, "      %skey_file: keys/model         # the key of that endpoint, on one line, mode 0600\n",
		                any_model ? "# " : "");
	ok = ok && buf_printf(&b,
	                      "  environments:                   # made at start; a worker serves one\n"
	                      "    - id: %s\n"
	                      "      name: local\n"
	                      "      key_file: keys/environment\n"
	                      "      # calls: at-least-once       # looser: a call whose worker died may run again\n"
	                      "\n"
	                      "# worker: runs the tools, each session in a sandbox of its own. Listens on nothing.\n"
	                      "worker:\n"
	                      "  environment: %s\n"
	                      "  environment_key_file: keys/environment\n"
	                      "  # base_url: https://api.anthropic.com   # serve the hosted service instead of this control\n"
	                      "  root: host-usr                  # or the absolute path of a root directory\n"
	                      "  sessions: 64                    # at once\n"
	                      "  limits: { processes: 256, files: 1024 }   # also memory: 2GiB, cpus: 2, disk: 4GiB\n"
	                      "\n"
	                      "# The tamper-evident log, kept by the recorder.\n"
	                      "audit:\n"
	                      "  origin: %s\n"
	                      "  key_file: keys/audit.pem\n",
	                      in->environment, in->environment, origin);
	BUG_ON(!ok);
	TRY(place(in, "sallyport.yaml", buf_span(&b), 0644, e));
	in->made_config = true;
	// What was given on the command line stands in it unchecked.
	AUTO_FREE char *path = path_in(in, "sallyport.yaml");
	struct config *c;
	TRY(config_load(path, &c, e));
	config_free(c);
	return OK;
}

static struct result make_dir(const struct init *in, const char *name, mode_t mode, bool *made, struct err *e)
{
	AUTO_FREE char *path = path_in(in, name);
	*made = mkdir(path, mode) == 0;
	if (*made)
		return OK;
	return errno == EEXIST ? exists(path, e) : err_sys(e, "%s: create directory", path);
}

static struct result fill(struct init *in, struct err *e)
{
	TRY(refuse_existing(in, e));
	TRY(make_dir(in, "keys", 0700, &in->made_keys, e));
	TRY(make_dir(in, "certs", 0755, &in->made_certs, e));
	TRY(make_secret(in, "keys/api", "sp-api", e));
	TRY(make_secret(in, "keys/environment", "sp-env", e));
	TRY(make_authority(in, e));
	TRY(make_log_key(in, e));
	return write_config(in, e);
}

// Nothing half made stays. What can't be removed either is seen by the next init.
static void unmake(const struct init *in)
{
	AUTO_FREE char *keys = path_in(in, "keys"), *certs = path_in(in, "certs"), *config = path_in(in, "sallyport.yaml");
	if (in->made_config)
		unlink(config);
	if ((in->made_certs && failed(file_remove_tree(certs, NULL))) ||
	    (in->made_keys && failed(file_remove_tree(keys, NULL))))
		return;
	if (in->made_dir)
		rmdir(in->dir);
}

static struct result make_all(struct init *in, struct err *e)
{
	struct stat st;
	in->made_dir = lstat(in->dir, &st) != 0;
	TRY(file_mkdirs(in->dir, 0755, e));
	struct result r = fill(in, e);
	if (failed(r))
		unmake(in);
	return r;
}

// What is typed is meant from where one stands; in the file it would start from the file's own directory.
static struct result from_here(const char *typed, char out[PATH_MAX], struct err *e)
{
	char cwd[PATH_MAX] = "";
	if (typed[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
		return err_sys(e, "current directory");
	int n = snprintf(out, PATH_MAX, "%s%s%s", cwd, *cwd == '\0' ? "" : "/", typed);
	if (*typed == '\0' || n >= PATH_MAX || !span_is_utf8(span_of(out)) || strpbrk(out, "\n\r") != NULL)
		return err_set(e, ERR_MISUSED, "'%.200s' is not usable as a path here", typed);
	return OK;
}

static struct result choose(const struct cli_args *a, struct init *in, struct err *e)
{
	const char *const *rest, *data_dir = cli_value(a, "data-dir"), *key_file = cli_value(a, "model-key-file");
	cli_rest(a, &rest);
	TRY(from_here(rest[0], in->dir, e));
	// A system-wide configuration keeps its data where the system keeps data.
	bool system_wide = strncmp(in->dir, "/etc/", 5) == 0;
	snprintf(in->data_dir, PATH_MAX, "%s", system_wide ? "/var/lib/sallyport" : "data");
	if (data_dir != NULL)
		TRY(from_here(data_dir, in->data_dir, e));
	if (key_file != NULL)
		TRY(from_here(key_file, in->model_key_file, e));
	in->listen = cli_value(a, "listen") ?: "127.0.0.1:8400";
	in->model_url = cli_value(a, "model-url");
	if (in->model_url != NULL && strncmp(in->model_url, "http://", 7) != 0 && strncmp(in->model_url, "https://", 8) != 0)
		return err_set(e, ERR_MISUSED, "--model-url '%.200s' does not start with http:// or https://", in->model_url);
	id_make(in->environment, "env");
	char host[256] = "localhost";
	gethostname(host, sizeof(host) - 1);
	snprintf(in->origin, sizeof(in->origin), "sallyport/%s", host);
	return OK;
}

static void report(const struct cli_args *a, const struct init *in)
{
	if (cli_json(a)) {
		AUTO_FREE char *config = path_in(in, "sallyport.yaml"), *api = path_in(in, "keys/api"),
		               *env_key = path_in(in, "keys/environment"), *vkey = path_in(in, "certs/audit.vkey"),
		               *ca = path_in(in, "certs/ca.pem");
		AUTO_JSON json_t *j =
		        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "config", config, "environment", in->environment,
		                  "api_key_file", api, "environment_key_file", env_key, "audit_vkey_file", vkey, "ca_file", ca);
		AUTO_FREE char *text = json_text(j, NULL);
		puts(text);
	} else if (!cli_quiet(a)) {
		printf("wrote  %s/sallyport.yaml · keys/ (0700) · certs/ca.pem · certs/audit.vkey\n", in->dir);
		if (in->model_url == NULL && *in->model_key_file == '\0')
			printf("next   put the model's key into %s/keys/model (one line, mode 0600), then\n"
			       "       sallyport up --config %s/sallyport.yaml\n",
			       in->dir, in->dir);
		else
			printf("next   sallyport up --config %s/sallyport.yaml\n", in->dir);
	}
}

static int run_init(const struct cli_args *a, struct err *e)
{
	struct init in = {0};
	if (failed(choose(a, &in, e)) || failed(make_all(&in, e)))
		return CLI_FAILED;
	report(a, &in);
	return 0;
}

static const struct cli_option options[] = {
        {"listen", "ADDRESS", "where control listens (127.0.0.1:8400)"},
        {"data-dir", "DIR", "where the data goes (DIR/data, or /var/lib/sallyport below /etc)"},
        {"model-url", "URL", "any Messages API to use for every model"},
        {"model-key-file", "FILE", "the file with that endpoint's key"},
        {NULL, NULL, NULL},
};

const struct cli_command cmd_init = {
        .name = "init",
        .synopsis = "DIR",
        .summary = "write a configuration with keys and a private authority",
        .description =
                "Writes DIR/sallyport.yaml, DIR/keys (an API key, an environment key, the audit log's key, the private "
                "authority's key) and DIR/certs. It refuses to overwrite anything.",
        .options = options,
        .rest_min = 1,
        .rest_max = 1,
        .run = run_init,
};
