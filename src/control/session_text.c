#include "control/session_text.h"

#include "control/text.h"

static const char *const statuses[] = {"idle", "running", "rescheduling", "terminated"};

static double active_seconds(const struct store_row *row, int64_t now)
{
	int64_t since = store_int(row, 11), active = store_int(row, 12);
	return (double)(since != 0 && now > since ? active + now - since : active) / 1e6;
}

static bool put_stats(struct buf *out, const struct store_row *row, int64_t now)
{
	int64_t created = store_int(row, 13);
	int64_t end = store_null(row, 15) ? now : store_int(row, 15);
	return buf_printf(out, "{\"active_seconds\":%.3f,\"duration_seconds\":%.3f}", active_seconds(row, now),
	                  end > created ? (double)(end - created) / 1e6 : 0.0);
}

static bool put_usage(struct buf *out, const struct store_row *row, int64_t now)
{
	return buf_printf(
	        out,
	        "{\"active_seconds\":%.3f,\"input_tokens\":%lld,\"output_tokens\":%lld,\"cache_read_input_tokens\":%lld,"
	        "\"cache_creation\":{\"ephemeral_5m_input_tokens\":%lld,\"ephemeral_1h_input_tokens\":0}}",
	        active_seconds(row, now), (long long)store_int(row, 7), (long long)store_int(row, 8),
	        (long long)store_int(row, 9), (long long)store_int(row, 10));
}

static bool put_times(struct buf *out, const struct store_row *row)
{
	return buf_add_str(out, ",\"archived_at\":") && text_time(out, store_int(row, 15)) &&
	       buf_add_str(out, ",\"created_at\":") && text_time(out, store_int(row, 13)) &&
	       buf_add_str(out, ",\"updated_at\":") && text_time(out, store_int(row, 14));
}

bool session_text_put(struct buf *out, const struct store_row *row, int64_t now)
{
	struct span id = store_text(row, 0), environment = store_text(row, 3);
	return buf_printf(out, "{\"id\":\"%.*s\",\"type\":\"session\",\"status\":\"%s\",\"agent\":", SPAN_FMT(id),
	                  statuses[store_int(row, 1) & 3]) &&
	       buf_add(out, store_text(row, 2)) &&
	       buf_printf(out, ",\"environment_id\":\"%.*s\",\"title\":", SPAN_FMT(environment)) &&
	       buf_add(out, store_null(row, 4) ? SPAN_LIT("null") : store_text(row, 4)) && buf_add_str(out, ",\"metadata\":") &&
	       buf_add(out, store_text(row, 5)) && buf_add_str(out, ",\"resources\":") && buf_add(out, store_text(row, 6)) &&
	       buf_add_str(out,
	                   ",\"vault_ids\":[],\"outcome_evaluations\":[],\"budget\":null,\"deployment_id\":null,\"usage\":") &&
	       put_usage(out, row, now) && buf_add_str(out, ",\"stats\":") && put_stats(out, row, now) && put_times(out, row) &&
	       buf_add_str(out, "}");
}

static struct span tail_of(struct span session)
{
	struct span head, tail;
	return span_cut(session, '_', &head, &tail) ? tail : session;
}

bool session_text_is_thread(const char *session, const char *thread)
{
	struct span t = span_of(thread);
	return span_starts(t, "sthr_") && span_eq(span_skip(t, 5), tail_of(span_of(session)));
}

bool session_text_thread(struct buf *out, const struct store_row *row, int64_t now)
{
	struct span id = store_text(row, 0), tail = tail_of(id);
	return buf_printf(
	               out,
	               "{\"id\":\"sthr_%.*s\",\"type\":\"session_thread\",\"session_id\":\"%.*s\",\"parent_thread_id\":null,",
	               SPAN_FMT(tail), SPAN_FMT(id)) &&
	       buf_printf(out, "\"workflow_run_id\":null,\"status\":\"%s\",\"agent\":", statuses[store_int(row, 1) & 3]) &&
	       buf_add(out, store_text(row, 2)) && buf_add_str(out, ",\"usage\":") && put_usage(out, row, now) &&
	       buf_add_str(out, ",\"stats\":") && put_stats(out, row, now) && put_times(out, row) && buf_add_str(out, "}");
}
