/* SPDX-License-Identifier: MIT */
#pragma once
/* A verb against the test's `handler`: what it asks, what it writes, how it ends. */

#include "client/render.h"
#include "unit/client/server.h"

/* The last question that was noted, as text; written by the server's thread, read after it has
 * stopped. */
static char asked[1024];

static inline void note(const struct proto_message *message)
{
        FILE *out = fmemopen(asked, sizeof(asked), "w");

        assert_non_null(out);
        fprintf(out, "%.*s ", (int)message->method_len, message->method);
        render_inline(out, message->params);
        fclose(out);
}

/* The test's own, which notes what it is asked. */
static bool handler(struct server *server, const struct proto_message *message,
                    struct proto_builder *out);

/* `err`: a part of it; "": nothing was said there. */
static inline void expect_verb(const char *words, int status, const char *question, const char *out,
                               const char *err)
{
        struct server server;
        struct run run;

        asked[0] = '\0';
        server_start(&server, handler);
        run_verb(&run, server.path, NULL, words);
        server_stop(&server);
        if (run.status != status || strcmp(asked, question) != 0 || strcmp(run.out, out) != 0 ||
            !strstr(run.err, err) || (*err == '\0' && run.err[0] != '\0'))
                fail_msg("%s: %d, asked '%s', out '%s', err '%s'", words, run.status, asked,
                         run.out, run.err);
}
