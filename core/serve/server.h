/* A small web server that shows a runs folder, to this machine alone and to read alone.
 *
 * One thread, one poll(2) loop, one request a connection. Every connection has a time
 * by which it must be done, so that slow clients cost a place for a while and no more;
 * when all places are taken, others wait in the system's queue. */
#ifndef IL_SERVE_SERVER_H
#define IL_SERVE_SERVER_H

#include <stdint.h>
#include "interloop/status.h"

enum { IL_SERVER_CONNECTIONS = 64 };

typedef struct il_server il_server;

/* Listens on 127.0.0.1 at `port`, or at one that the system picks for 0. A folder that
 * cannot be opened is IL_ERR_INPUT, a port that cannot be had IL_ERR_IO. */
il_status il_server_open(il_server **out, const char *runs, uint16_t port,
                         il_error *err);
void il_server_close(il_server *s); /* takes NULL */
uint16_t il_server_port(const il_server *s);
/* Answers until `stop`, a descriptor, can be read or is closed at its other end. */
il_status il_server_run(il_server *s, int stop, il_error *err);

#endif
