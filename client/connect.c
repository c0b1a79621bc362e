/* SPDX-License-Identifier: MIT */
/*
 * The beginning and the end of a client: its configuration checked, the socket connected, the
 * server greeted.
 *
 * The greeting is an ordinary call through the same functions as everybody's.  It asks for errors
 * as maps, and it is what tells a vmreqd from whatever else may listen at a path.  One deadline
 * covers all of connecting: a stopped server takes a connection into its backlog at once, and then
 * never answers.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client-internal.h"
#include "proto/builder.h"

#define CALLS_DEFAULT      1024u
#define CONNECT_NS_DEFAULT (UINT64_C(5) * 1000000000)
#define FRAME_BYTES_MIN    1024u
#define HELD_BYTES_MAX     ((size_t)1 << 30)

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
               c.calls_max <= CLIENT_SLOTS_MAX && (c.flags & ~VMREQ_CLIENT_NO_HELLO) == 0;
}

/* Who we are, and that errors shall come as maps. */
static int client_greet(struct vmreq_client *client, const struct vmreq_client_config *config,
                        uint64_t deadline_ns)
{
        struct proto_builder params;
        int r;

        proto_builder_init(&params, FRAME_BYTES_MIN - CLIENT_HEAD_BYTES_MAX);
        proto_put_array(&params, 1);
        proto_put_map(&params, config->version ? 3 : 2);
        proto_put_text(&params, "client");
        proto_put_text(&params, config->name ? config->name : "libvmreqclient");
        if (config->version) {
                proto_put_text(&params, "version");
                proto_put_text(&params, config->version);
        }
        proto_put_text(&params, "errors");
        proto_put_text(&params, "map");
        if (params.error == PROTO_BUILDER_OK)
                r = vmreq_client_call(client, "vmreq.hello", params.data, params.len,
                                      client_left(deadline_ns), &client->greeting);
        else
                r = params.error == PROTO_BUILDER_E_BUDGET ? -EINVAL : -ENOMEM;
        proto_builder_deinit(&params);
        if (r != 0 || !client->greeting.failed)
                return r;
        (void)snprintf(client->reason, sizeof(client->reason), "%s: %s", client->greeting.name,
                       client->greeting.message); /* may be cut */
        return VMREQ_CLIENT_E_REFUSED;
}

static int client_new(int fd, const struct vmreq_client_config *config, vmreq_client **ret_client)
{
        vmreq_client *client = calloc(1, sizeof(*client));
        int r;

        if (!client)
                return -ENOMEM;
        r = client_table_init(&client->table, config->calls_max);
        if (r == 0)
                r = client_link_init(&client->link, fd, config->frame_bytes_max,
                                     config->output_bytes_max);
        if (r < 0) {
                client_table_deinit(&client->table);
                free(client);
                return r;
        }
        client->answer_bytes_max = config->answer_bytes_max;
        *ret_client = client;
        return 0;
}

/* One line for people on why connecting failed. */
static void describe_failure(int r, const vmreq_client *client, char *reterr_text, size_t size)
{
        const char *text;

        if (!reterr_text || size == 0)
                return;
        if (client && client->reason[0] != '\0')
                text = client->reason;
        else if (r == VMREQ_CLIENT_E_TIMEOUT)
                text = client ? "the server did not answer in time"
                              : "the server did not take the connection in time";
        else
                text = strerror(r < 0 ? -r : EPROTO);
        (void)snprintf(reterr_text, size, "%s", text); /* may be cut */
}

static int adopt(int fd, const struct vmreq_client_config *config, uint64_t deadline_ns,
                 vmreq_client **ret_client, char *reterr_text, size_t size)
{
        vmreq_client *client = NULL;
        int r;

        r = client_new(fd, config, &client);
        if (r < 0) {
                describe_failure(r, NULL, reterr_text, size);
                (void)close(fd);
                return r;
        }
        if (!(config->flags & VMREQ_CLIENT_NO_HELLO))
                r = client_greet(client, config, deadline_ns);
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
        return adopt(fd, &c, client_deadline(c.connect_ns), ret_client, reterr_text, size);
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
                r = client_link_open(path, deadline_ns, &fd);
        if (r == -ETIMEDOUT)
                r = VMREQ_CLIENT_E_TIMEOUT;
        if (r != 0) {
                describe_failure(r, NULL, reterr_text, size);
                return r;
        }
        return adopt(fd, &c, deadline_ns, ret_client, reterr_text, size);
}

vmreq_client *vmreq_client_free(vmreq_client *client)
{
        if (!client)
                return NULL;
        client_table_deinit(&client->table);
        vmreq_client_answer_deinit(&client->greeting);
        client_link_deinit(&client->link);
        proto_arena_deinit(&client->arena);
        free(client);
        return NULL;
}
