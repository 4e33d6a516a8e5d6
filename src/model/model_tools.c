#include "model/model_tools.h"

#include "base/mem.h"

#define TOOLSET "agent_toolset_20260401"

struct tool {
	const char *name, *description, *schema;
};

#define STRING(what) "{\"type\":\"string\",\"description\":\"" what "\"}"
#define OBJECT(properties, required) \
	"{\"type\":\"object\",\"properties\":{" properties "},\"required\":[" required "],\"additionalProperties\":false}"

// What the worker's tools take (managed-agents-api.md 4), told to the model in our words.
static const struct tool toolset[] = {
        {"bash",
         "Runs a command in a bash shell that stays alive between calls: the working directory, variables, functions and "
         "background jobs remain. Standard output and standard error come back together, at most the last 100 KiB of them. "
         "Commands that read standard input see its end at once. A command that takes longer than its timeout is killed and "
         "the next call gets a new shell.",
         OBJECT("\"command\":" STRING(
                        "the command, possibly several lines") ","
                                                               "\"restart\":{\"type\":\"boolean\",\"description\":\"start with "
                                                               "a new shell first\"},"
                                                               "\"timeout_ms\":{\"type\":\"integer\",\"description\":\"in "
                                                               "milliseconds; 120000 if not given\"}",
                "")},
        {"read", "Reads a text file, all of it or a range of its lines. Files over 256 KiB need a range.",
         OBJECT("\"file_path\":" STRING(
                        "absolute, or relative to the working directory") ","
                                                                          "\"view_range\":{\"type\":\"array\",\"items\":{"
                                                                          "\"type\":\"integer\"},\"minItems\":2,\"maxItems\":2,"
                                                                          "\"description\":\"first and last line, counted from "
                                                                          "1; -1 as the last means to the end\"}",
                "\"file_path\"")},
        {"write", "Writes a file: creates it, and the directories it needs, or replaces what it holds.",
         OBJECT("\"file_path\":" STRING("absolute, or relative to the working directory") ","
                                                                                          "\"content\":" STRING(
                                                                                                  "the whole new content"),
                "\"file_path\",\"content\"")},
        {"edit",
         "Replaces a text in a file by another, literally. The text must occur exactly once, unless every occurrence is to be "
         "replaced.",
         OBJECT("\"file_path\":" STRING(
                        "absolute, or relative to the working directory") ","
                                                                          "\"old_string\":" STRING(
                                                                                  "the text to replace, with enough around it "
                                                                                  "to be unique") ","
                                                                                                  "\"new_string\":" STRING(
                                                                                                          "what stands there "
                                                                                                          "afterwards") ","
                                                                                                                        "\"repl"
                                                                                                                        "ace_"
                                                                                                                        "all\":"
                                                                                                                        "{\"typ"
                                                                                                                        "e\":"
                                                                                                                        "\"bool"
                                                                                                                        "ean\","
                                                                                                                        "\"desc"
                                                                                                                        "riptio"
                                                                                                                        "n\":"
                                                                                                                        "\"repl"
                                                                                                                        "ace "
                                                                                                                        "every "
                                                                                                                        "occurr"
                                                                                                                        "ence\""
                                                                                                                        "}",
                "\"file_path\",\"old_string\",\"new_string\"")},
        {"glob", "Finds files by a pattern such as src/**/*.c; the most recently changed come first, at most 200.",
         OBJECT("\"pattern\":" STRING(
                        "relative; * within a name, ** across directories") ","
                                                                            "\"path\":" STRING(
                                                                                    "the directory to search in; the working "
                                                                                    "directory if not given"),
                "\"pattern\"")},
        {"grep", "Searches files' content for a regular expression and gives each matching line with its file and number.",
         OBJECT("\"pattern\":" STRING(
                        "a regular expression") ","
                                                "\"path\":" STRING(
                                                        "the file or directory to search; the working directory if not given"),
                "\"pattern\"")},
};

static bool is_type(const json_t *tool, const char *type)
{
	return span_is(json_span(json_object_get(tool, "type")), type);
}

static const struct tool *toolset_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(toolset); i++)
		if (span_is(name, toolset[i].name))
			return &toolset[i];
	return NULL;
}

// What holds for a tool of the toolset: its own configuration, else the default's; `member` is enabled or permission_policy.
static const json_t *setting(const json_t *set, struct span name, const char *member)
{
	size_t i;
	json_t *config;
	json_array_foreach (json_object_get(set, "configs"), i, config) {
		const json_t *value = json_object_get(config, member);
		if (span_eq(json_span(json_object_get(config, "name")), name) && value != NULL && !json_is_null(value))
			return value;
	}
	return json_object_get(json_object_get(set, "default_config"), member);
}

static bool enabled(const json_t *set, struct span name)
{
	return !json_is_false(setting(set, name, "enabled"));
}

// Anything but a plain always_allow asks: a policy that is not understood must not loosen.
static enum model_policy policy_of(const json_t *set, struct span name)
{
	const json_t *policy = setting(set, name, "permission_policy");
	if (policy == NULL || json_is_null(policy) || is_type(policy, "always_allow"))
		return MODEL_POLICY_ALLOW;
	return is_type(policy, "auto") ? MODEL_POLICY_AUTO : MODEL_POLICY_ASK;
}

enum model_tool model_tools_find(const json_t *tools, struct span name, enum model_policy *policy)
{
	size_t i;
	json_t *tool;
	*policy = MODEL_POLICY_ALLOW;
	json_array_foreach (tools, i, tool) {
		if (is_type(tool, "custom") && span_eq(json_span(json_object_get(tool, "name")), name))
			return MODEL_TOOL_CUSTOM;
		if (!is_type(tool, TOOLSET) || toolset_find(name) == NULL)
			continue;
		*policy = policy_of(tool, name);
		return enabled(tool, name) ? MODEL_TOOL_WORKER : MODEL_TOOL_DISABLED;
	}
	return MODEL_TOOL_UNKNOWN;
}

static void offer_toolset(const json_t *set, json_t *offer)
{
	for (size_t i = 0; i < ARRAY_LEN(toolset); i++) {
		const struct tool *t = &toolset[i];
		if (!enabled(set, span_of(t->name)))
			continue;
		json_t *schema = NULL;
		struct err e;
		BUG_ON(failed(json_parse_object(span_of(t->schema), t->name, &schema, &e)));
		json_array_append_new(offer, json_pack("{s:s, s:s, s:o}", "name", t->name, "description", t->description,
		                                       "input_schema", schema));
	}
}

json_t *model_tools_offer(const json_t *tools)
{
	json_t *offer = json_array(), *tool;
	size_t i;
	json_array_foreach (tools, i, tool) {
		if (is_type(tool, TOOLSET))
			offer_toolset(tool, offer);
	}
	json_array_foreach (tools, i, tool) {
		if (is_type(tool, "custom"))
			json_array_append_new(offer, json_pack("{s:O, s:O*, s:O}", "name", json_object_get(tool, "name"),
			                                       "description", json_object_get(tool, "description"),
			                                       "input_schema", json_object_get(tool, "input_schema")));
	}
	return offer;
}
