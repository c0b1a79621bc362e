/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of a client: its configuration checked, the socket connected, the
 * server greeted; and the same once more, when the caller asks for a new connection.
 *
 * The greeting is an ordinary call through the same functions as everybody's.  It asks for errors
 * as maps, and it is what tells a vmreqd from whatever else may listen at a path.  One deadline
 * covers all of connecting: a stopped server takes a connection into its backlog at once, and then
 * never answers.
 *
 * A new connection is never made behind the caller's back, and what was in flight is answered
 * before anything else happens: as lost, and as not run where the frame cannot have left us whole.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/answer.h"
#include "client/client-internal.h"
#include "proto/builder.h"

#define CALLS_DEFAULT      1024u
#define CONNECT_NS_DEFAULT (UINT64_C(5) * 1000000000)
#define FRAME_BYTES_MIN    1024u
#define HELD_BYTES_MAX     ((size_t)1 << 30)
#define FLAGS_ALL                                                                                  \
        (VMREQ_CLIENT_NO_HELLO | VMREQ_CLIENT_TAKE_STREAMS | VMREQ_CLIENT_TAKE_COMPLETED |         \
         VMREQ_CLIENT_TAKE_EVENTS)

/* A copy with the defaults in place; false if something is out of its range. */
static bool config_read(const struct vmreq_client_config *config, struct vmreq_client_config *ret)
{
        struct vmreq_client_config c = VMREQ_CLIENT_CONFIG_INIT;

        *ret = c;
        if (config && config->size != sizeof(c))
                return false;
        if (config)
                c = *config;
        if (c.connect_ns == 0)
                c.connect_ns = CONNECT_NS_DEFAULT;
        if (c.frame_bytes_max == 0)
                c.frame_bytes_max = PROTO_FRAME_BYTES_DEFAULT;
        if (c.output_bytes_max == 0)
                c.output_bytes_max = 2 * c.frame_bytes_max;
        if (c.answer_bytes_max == 0)
                c.answer_bytes_max = 2 * c.frame_bytes_max;
        if (c.calls_max == 0)
                c.calls_max = CALLS_DEFAULT;
        *ret = c;
        return c.frame_bytes_max >= FRAME_BYTES_MIN && c.frame_bytes_max <= PROTO_FRAME_BYTES_MAX &&
               c.output_bytes_max >= c.frame_bytes_max && c.output_bytes_max <= HELD_BYTES_MAX &&
               c.answer_bytes_max >= FRAME_BYTES_MIN && c.answer_bytes_max <= HELD_BYTES_MAX &&
               c.calls_max <= CLIENT_SLOTS_MAX && (c.flags & ~FLAGS_ALL) == 0;
}

/* Who we are, that errors shall come as maps, and what else was asked for. */
static void put_greeting(struct proto_builder *params, const struct vmreq_client_config *config)
{
        bool completed = config->flags & VMREQ_CLIENT_TAKE_COMPLETED;

        proto_put_array(params, 1);
        proto_put_map(params, 2 + (config->version != NULL) + completed);
        proto_put_text(params, "client");
        proto_put_text(params, config->name);
        if (config->version) {
                proto_put_text(params, "version");
                proto_put_text(params, config->version);
        }
        if (completed) {
                proto_put_text(params, "completed");
                proto_put_bool(params, true);
        }
        proto_put_text(params, "errors");
        proto_put_text(params, "map");
}

static int client_greet(struct vmreq_client *client, uint64_t deadline_ns)
{
        struct vmreq_client_answer answer;
        struct proto_builder params;
        int r;

        proto_builder_init(&params, FRAME_BYTES_MIN - CLIENT_HEAD_BYTES_MAX);
        put_greeting(&params, &client->config);
        if (params.error == PROTO_BUILDER_OK)
                r = vmreq_client_call(client, "vmreq.hello", params.data, params.len,
                                      client_left(deadline_ns), &answer);
        else
                r = params.error == PROTO_BUILDER_E_BUDGET ? -EINVAL : -ENOMEM;
        proto_builder_deinit(&params);
        if (r != 0)
                return r;
        vmreq_client_answer_deinit(&client->greeting);
        client->greeting = answer;
        if (!answer.failed)
                return 0;
        (void)client_end(client, VMREQ_CLIENT_E_LOST, "%s: %s", answer.name, answer.message);
        return VMREQ_CLIENT_E_REFUSED;
}

/* The texts become our own: a reconnect needs them when the caller's are gone.  False: no memory.
 */
static bool keep_texts(struct vmreq_client *client, const struct vmreq_client_config *config,
                       const char *path)
{
        client->config = *config;
        client->config.name = strdup(config->name ? config->name : "libvmreqclient");
        client->config.version = config->version ? strdup(config->version) : NULL;
        client->path = path ? strdup(path) : NULL;
        return client->config.name && (client->config.version || !config->version) &&
               (client->path || !path);
}

static void drop_texts(struct vmreq_client *client)
{
        /* They came from strdup: const is the public struct's. */
        free((char *)(uintptr_t)client->config.name);
        free((char *)(uintptr_t)client->config.version);
        free(client->path);
}

static int client_new(int fd, const struct vmreq_client_config *config, const char *path,
                      vmreq_client **ret_client)
{
        vmreq_client *client = calloc(1, sizeof(*client));
        int r;

        if (!client)
                return -ENOMEM;
        client->link.fd = -1;
        r = keep_texts(client, config, path) ? 0 : -ENOMEM;
        if (r == 0)
                r = client_table_init(&client->table, config->calls_max);
        if (r == 0)
                r = client_link_init(&client->link, fd, config->frame_bytes_max,
                                     config->output_bytes_max);
        if (r < 0) {
                client_table_deinit(&client->table);
                drop_texts(client);
                free(client);
                return r;
        }
        *ret_client = client;
        return 0;
}

/* One line for people on why connecting failed. */
static void describe_failure(int r, const vmreq_client *client, char *reterr_text, size_t size)
{
        const char *text;

        if (r == 0 || !reterr_text || size == 0)
                return;
        if (client && client->reason[0] != '\0')
                text = client->reason;
        else if (r == VMREQ_CLIENT_E_TIMEOUT)
                text = client ? "the server did not answer in time"
                              : "the server did not take the connection in time";
        else if (r == VMREQ_CLIENT_E_BUSY)
                text = "answers have to be taken before a new connection is made";
        else
                text = strerror(r < 0 ? -r : EPROTO);
        (void)snprintf(reterr_text, size, "%s", text); /* may be cut */
}

static int adopt(int fd, const struct vmreq_client_config *config, const char *path,
                 uint64_t deadline_ns, vmreq_client **ret_client, char *reterr_text, size_t size)
{
        vmreq_client *client = NULL;
        int r;

        r = client_new(fd, config, path, &client);
        if (r < 0) {
                describe_failure(r, NULL, reterr_text, size);
                (void)close(fd);
                return r;
        }
        if (!(config->flags & VMREQ_CLIENT_NO_HELLO))
                r = client_greet(client, deadline_ns);
        if (r != 0) {
                describe_failure(r, client, reterr_text, size);
                (void)vmreq_client_free(client);
                return r;
        }
        *ret_client = client;
        return 0;
}

int vmreq_client_adopt(int fd, const struct vmreq_client_config *config, vmreq_client **ret_client,
                       char *reterr_text, size_t size)
{
        struct vmreq_client_config c;

        if (!config_read(config, &c)) {
                describe_failure(-EINVAL, NULL, reterr_text, size);
                (void)close(fd);
                return -EINVAL;
        }
        return adopt(fd, &c, NULL, client_deadline(c.connect_ns), ret_client, reterr_text, size);
}

static int open_path(const char *path, uint64_t deadline_ns, int *ret_fd)
{
        int r = client_link_open(path, deadline_ns, ret_fd);

        return r == -ETIMEDOUT ? VMREQ_CLIENT_E_TIMEOUT : r;
}

int vmreq_client_connect(const char *path, const struct vmreq_client_config *config,
                         vmreq_client **ret_client, char *reterr_text, size_t size)
{
        struct vmreq_client_config c;
        uint64_t deadline_ns;
        int fd, r;

        r = config_read(config, &c) ? 0 : -EINVAL;
        deadline_ns = client_deadline(c.connect_ns);
        if (r == 0)
                r = open_path(path, deadline_ns, &fd);
        if (r != 0) {
                describe_failure(r, NULL, reterr_text, size);
                return r;
        }
        return adopt(fd, &c, path, deadline_ns, ret_client, reterr_text, size);
}

/* ---- a new connection ------------------------------------------------------------------------ */

/* What is in flight ends here.  -ENOMEM leaves the rest as it is, for the next attempt. */
static int answer_lost(struct vmreq_client *client)
{
        struct client_table *table = &client->table;
        struct vmreq_client_answer answer;
        int r;

        for (uint32_t i = 0; i < table->n_slots; i++) {
                const struct client_slot *slot = &table->slots[i];

                if (slot->state == CLIENT_SLOT_FORGOTTEN)
                        client_table_release(table, i);
                if (slot->state != CLIENT_SLOT_PENDING)
                        continue;
                r = client_answer_lost(&answer, client_table_msgid(table, i),
                                       slot->sent_at > client->link.sent ? VMREQ_CLIENT_RAN_NO
                                                                         : VMREQ_CLIENT_RAN_MAYBE);
                if (r < 0)
                        return r;
                client_table_complete(table, i, &answer, 0);
        }
        return 0;
}

/* Puts the new descriptor in the old one's place, as a client that has sent nothing. */
static int replace_link(struct vmreq_client *client, int fd)
{
        struct client_link link;
        int r;

        r = client_link_init(&link, fd, client->config.frame_bytes_max,
                             client->config.output_bytes_max);
        if (r < 0)
                return r;
        client_link_deinit(&client->link);
        client->link = link;
        client->outcome = 0;
        client->reason[0] = '\0';
        return 0;
}

/* A connected descriptor: the caller's, or a new one to the path. */
static int reopen(struct vmreq_client *client, uint64_t deadline_ns, int *fd)
{
        int r = *fd < 0 ? open_path(client->path, deadline_ns, fd) : 0;

        if (r == VMREQ_CLIENT_E_TIMEOUT)
                (void)client_end(client, VMREQ_CLIENT_E_LOST,
                                 "the server did not take the connection in time");
        else if (r != 0)
                (void)client_end(client, VMREQ_CLIENT_E_LOST, "%s", strerror(-r));
        return r;
}

/* Consumes `fd`. */
static int reconnect(struct vmreq_client *client, int fd)
{
        uint64_t deadline_ns = client_deadline(client->config.connect_ns);
        int r;

        r = reopen(client, deadline_ns, &fd);
        if (r != 0)
                return r;
        r = replace_link(client, fd);
        if (r < 0) {
                (void)close(fd);
                (void)client_end(client, VMREQ_CLIENT_E_LOST, "%s", strerror(-r));
                return r;
        }
        if (client->config.flags & VMREQ_CLIENT_NO_HELLO)
                return 0;
        r = client_greet(client, deadline_ns);
        if (r != 0 && client->outcome == 0)
                (void)client_end(client, VMREQ_CLIENT_E_LOST, "%s",
                                 r == VMREQ_CLIENT_E_TIMEOUT ? "the server did not answer in time"
                                                             : "the greeting failed");
        return r;
}

int vmreq_client_reconnect(vmreq_client *client, int fd, char *reterr_text, size_t size)
{
        int r;

        if (fd < 0 && !client->path)
                return -EINVAL;
        if (client->outcome == 0)
                (void)client_end(client, VMREQ_CLIENT_E_LOST, "hung up, for a new connection");
        r = answer_lost(client);
        if (r == 0 && (client_is_full(client) || client->table.free_first == CLIENT_SLOT_NONE))
                r = VMREQ_CLIENT_E_BUSY;
        if (r == 0) {
                r = reconnect(client, fd);
                describe_failure(r, client, reterr_text, size);
                return r;
        }
        if (fd >= 0)
                (void)close(fd); /* nothing was done with it */
        describe_failure(r, NULL, reterr_text, size);
        return r;
}

vmreq_client *vmreq_client_free(vmreq_client *client)
{
        if (!client)
                return NULL;
        client_table_deinit(&client->table);
        vmreq_client_answer_deinit(&client->greeting);
        client_link_deinit(&client->link);
        proto_arena_deinit(&client->arena);
        drop_texts(client);
        free(client);
        return NULL;
}
