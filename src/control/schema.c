#include "control/schema.h"

#include <stddef.h>

// Times are microseconds since the epoch, UTC. An event's position holds its session's number and its own: see schema.h.
static const char first[] =
        "CREATE TABLE environments("
        " id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, config TEXT NOT NULL, description TEXT,"
        " metadata TEXT NOT NULL, scope TEXT, at_least_once INTEGER NOT NULL,"
        " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, archived_at INTEGER) STRICT;"
        "CREATE UNIQUE INDEX environments_name ON environments(name) WHERE archived_at IS NULL;"

        "CREATE TABLE keys("
        " hash BLOB NOT NULL PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, environment TEXT, name TEXT NOT NULL,"
        " created_at INTEGER NOT NULL, revoked_at INTEGER) STRICT;"

        "CREATE TABLE agents("
        " id TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, created_at INTEGER NOT NULL, archived_at INTEGER) STRICT;"
        "CREATE TABLE agent_versions("
        " agent TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(agent, version)) STRICT;"

        "CREATE TABLE sessions("
        " num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, environment TEXT NOT NULL,"
        " agent_id TEXT NOT NULL, agent_version INTEGER NOT NULL, agent TEXT NOT NULL,"
        " title TEXT, metadata TEXT NOT NULL, resources TEXT NOT NULL,"
        " status INTEGER NOT NULL, next_seq INTEGER NOT NULL, waiting INTEGER NOT NULL, open_span TEXT NOT NULL,"
        " up_to_seq INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,"
        " cache_read INTEGER NOT NULL, cache_creation INTEGER NOT NULL, running_since INTEGER, active_us INTEGER NOT NULL,"
        " created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, archived_at INTEGER) STRICT;"
        "CREATE INDEX sessions_agent ON sessions(agent_id);"
        "CREATE INDEX sessions_busy ON sessions(status) WHERE status IN (1, 2);"

        "CREATE TABLE events("
        " pos INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, processed_at INTEGER, body TEXT NOT NULL, kept TEXT) "
        "STRICT;"

        "CREATE INDEX events_waiting ON events(pos) WHERE processed_at IS NULL;"

        "CREATE TABLE calls("
        " session INTEGER NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL, ask INTEGER NOT NULL,"
        " open INTEGER NOT NULL, epoch TEXT, journal TEXT, hold_until INTEGER, answer_hash BLOB, answer_id TEXT,"
        " PRIMARY KEY(session, id)) STRICT, WITHOUT ROWID;"
        "CREATE INDEX calls_open ON calls(session, seq) WHERE open = 1;"
        "CREATE INDEX calls_held ON calls(hold_until) WHERE hold_until IS NOT NULL;"

        "CREATE TABLE posts("
        " session INTEGER NOT NULL, hash BLOB NOT NULL, at INTEGER NOT NULL, ids TEXT NOT NULL,"
        " PRIMARY KEY(session, hash)) STRICT, WITHOUT ROWID;"
        "CREATE INDEX posts_at ON posts(at);"

        "CREATE TABLE work("
        " num INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, environment TEXT NOT NULL, session INTEGER NOT NULL,"
        " session_id TEXT NOT NULL, state INTEGER NOT NULL, epoch INTEGER NOT NULL, claimed_at INTEGER, worker TEXT,"
        " journal TEXT, created_at INTEGER NOT NULL, acknowledged_at INTEGER, started_at INTEGER, heartbeat_at INTEGER,"
        " ttl INTEGER NOT NULL, lease_until INTEGER, stop_requested_at INTEGER, stopped_at INTEGER,"
        " metadata TEXT NOT NULL) STRICT;"
        "CREATE INDEX work_queued ON work(environment, num) WHERE state = 0;"
        "CREATE INDEX work_live ON work(session) WHERE state < 4;"
        "CREATE INDEX work_lease ON work(lease_until) WHERE lease_until IS NOT NULL;"
        "CREATE INDEX work_environment ON work(environment, num);"

        "CREATE TABLE tokens("
        " hash BLOB NOT NULL PRIMARY KEY, work TEXT NOT NULL, epoch INTEGER NOT NULL, environment TEXT NOT NULL,"
        " session_id TEXT NOT NULL) STRICT;"
        "CREATE INDEX tokens_work ON tokens(work);";

const char *const schema_migrations[] = {first, NULL};
