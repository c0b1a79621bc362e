/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * libuv gives a signal back its default, which is to end the process, when the last of its handles
 * is closed; and a service manager, or a person, may well send one more while the server is being
 * freed.
 */

/*
 * From here to the end of the process SIGTERM, SIGINT and SIGHUP do nothing but what a server does
 * about them.  For the main program, once, while its server is there: what comes earlier must not
 * be lost.  Any one thread.  0, or libuv's error: then they end a process whose server is gone.
 */
int rpc_signals_keep(void);
