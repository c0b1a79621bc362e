/* SPDX-License-Identifier: MIT */
/* A client of vmreqd: one call, many at a time, a broadcast row by row, a request, a cancel.
 * cc -o calls calls.c $(pkg-config --cflags --libs vmreqclient)
 * Run as: calls SOCKET, where a vmreqd with two EMTs and the module debug listens. */
#include <stdio.h>
#include <stdlib.h>
#include <vmreq-client.h>

/* Values are msgpack.  The few that this needs are written by hand: 0x92 begins an array of two, a
 * byte below 0x80 is that number. */
#define NO_ARGS "\x90", 1

static vmreq_client *client;

static void check(const char *what, int r)
{
        if (r == 0)
                return;
        fprintf(stderr, "%s: %s %s\n", what, vmreq_client_outcome_name(r),
                client ? vmreq_client_reason(client) : "");
        exit(1);
}

static void one_call(void)
{
        struct vmreq_client_answer answer;

        check("call", vmreq_client_call(client, "debug.add", "\x92\x28\x02", 3,
                                        VMREQ_CLIENT_FOREVER, &answer));
        printf("40 + 2 = %u\n", answer.value[0]);
        vmreq_client_answer_deinit(&answer);

        check("call",
              vmreq_client_call(client, "no.such_symbol", NO_ARGS, VMREQ_CLIENT_FOREVER, &answer));
        printf("no.such_symbol: %s, %s\n", answer.name,
               answer.ran == VMREQ_CLIENT_RAN_NO ? "did not run" : "may have run");
        vmreq_client_answer_deinit(&answer);
}

/* One is blocked, the others overtake it: answers come as calls finish. */
static void many_calls(void)
{
        struct vmreq_client_options options = VMREQ_CLIENT_OPTIONS_INIT;
        struct vmreq_client_answer answer;
        uint32_t blocked, cancel, msgid, sum = 0;

        options.cpu = 0;
        check("submit", vmreq_client_submit_call(client, "debug.sleep", "\x91\xcd\xff\xff", 4,
                                                 &options, &blocked));
        options.cpu = 1;
        for (int i = 0; i < 100; i++)
                check("submit", vmreq_client_submit_call(client, "debug.add", "\x92\x01\x02", 3,
                                                         &options, &msgid));
        for (int i = 0; i < 100; i++) {
                check("next", vmreq_client_next(client, VMREQ_CLIENT_FOREVER, &answer));
                sum += answer.value[0];
                vmreq_client_answer_deinit(&answer);
        }
        printf("100 calls overtook it: %u\n", sum);

        check("cancel", vmreq_client_submit_cancel(client, blocked, &cancel));
        check("wait", vmreq_client_wait(client, cancel, VMREQ_CLIENT_FOREVER, &answer));
        switch (vmreq_client_answer_verdict(&answer)) {
        case VMREQ_CLIENT_REMOVED: /* from its queue */
        case VMREQ_CLIENT_ASKED:   /* to end, while it runs */
                printf("cancelled: yes\n");
                break;
        default:
                printf("cancelled: too late\n");
        }
        vmreq_client_answer_deinit(&answer);
        check("wait", vmreq_client_wait(client, blocked, VMREQ_CLIENT_FOREVER, &answer));
        printf("and so it ended: %s\n", answer.name);
        vmreq_client_answer_deinit(&answer);
}

static void a_request(void)
{
        struct vmreq_client_answer answer;
        uint32_t msgid;
        uint64_t id;

        check("submit",
              vmreq_client_submit_request(client, "debug.add", "\x92\x14\x03", 3, NULL, &msgid));
        check("finish", vmreq_client_finish(client, msgid, VMREQ_CLIENT_FOREVER, &answer));
        check("id", vmreq_client_answer_uint(&answer, &id));
        vmreq_client_answer_deinit(&answer);
        check("submit", vmreq_client_submit_wait(client, id, UINT64_MAX, &msgid));
        check("finish", vmreq_client_finish(client, msgid, VMREQ_CLIENT_FOREVER, &answer));
        printf("the request's result: %u\n", answer.value[0]);
        vmreq_client_answer_deinit(&answer);
        check("submit", vmreq_client_submit_release(client, id, &msgid));
        check("finish", vmreq_client_finish(client, msgid, VMREQ_CLIENT_FOREVER, &answer));
        vmreq_client_answer_deinit(&answer);
}

/* A new connection is the program's own decision, and the calls in flight learn of it. */
static void a_new_connection(void)
{
        struct vmreq_client_answer answer;
        char why[256];
        uint32_t msgid;

        check("submit", vmreq_client_submit(client, "vmreq.ping", NO_ARGS, &msgid));
        check("reconnect", vmreq_client_reconnect(client, -1, why, sizeof(why)));
        check("wait", vmreq_client_wait(client, msgid, VMREQ_CLIENT_FOREVER, &answer));
        printf("in flight before: %s, %s\n", answer.name,
               answer.ran == VMREQ_CLIENT_RAN_NO ? "did not run" : "may have run");
        vmreq_client_answer_deinit(&answer);
        one_call();
}

int main(int argc, char **argv)
{
        char why[256];

        if (argc != 2 || vmreq_client_connect(argv[1], NULL, &client, why, sizeof(why)) != 0) {
                fprintf(stderr, "usage: calls SOCKET: %s\n", argc == 2 ? why : "which socket?");
                return 1;
        }
        one_call();
        many_calls();
        a_request();
        a_new_connection();
        client = vmreq_client_free(client);
        return 0;
}
