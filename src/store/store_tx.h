// What a job's transaction is inside the folder.
#ifndef SALLYPORT_STORE_STORE_TX_H
#define SALLYPORT_STORE_STORE_TX_H

#include "store/sqlite_conn.h"
#include "store/store.h"

struct store_tx {
	struct sqlite_conn *conn;
};

#endif
