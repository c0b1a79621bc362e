/* SPDX-License-Identifier: MIT */
/*
 * vmreq-client.h - talk to vmreqd from C: libvmreqclient.
 *
 * PUBLIC.  C11 or C++; the library needs libc and nothing else, starts no thread, installs no
 * signal handler and keeps no global state.
 *
 * A client is one connection.  Calls go out under message ids that the library gives, any number at
 * a time, and their answers come back in any order.  Two ways to use it, which may be mixed:
 *
 *   blocking      vmreq_client_call                         one call, one answer
 *   asynchronous  vmreq_client_submit and the like, then    many calls in flight
 *                 poll vmreq_client_fd for vmreq_client_events,
 *                 vmreq_client_process, vmreq_client_next
 *
 * Beside the one reply of each call, a server may send what the client has opted in to: chunks and
 * rows of calls that stream, the completion of requests, events.  They come through
 * vmreq_client_next, in the order in which they were sent.
 *
 * Values are msgpack: parameters go in and results come out as encoded bytes, made and read with
 * any msgpack library.  What the library hands out has been scanned: it is exactly one well-formed
 * value, at most 28 levels deep, and no container promises more elements than the bytes behind it
 * hold.  Text is as the server sent it: clean it before a terminal sees it.
 *
 *     vmreq_client *client;
 *     char why[256];
 *     struct vmreq_client_answer answer;
 *
 *     if (vmreq_client_connect("/run/vmreqd/vm1.sock", NULL, &client, why, sizeof(why)))
 *             errx(2, "%s", why);
 *     if (vmreq_client_call(client, "debug.add", "\x92\x28\x02", 3, VMREQ_CLIENT_FOREVER, &answer))
 *             errx(2, "%s", vmreq_client_reason(client));
 *     if (answer.failed)
 *             errx(3, "%s: %s", answer.name, answer.message);
 *     ... answer.value, answer.value_len: the bytes 0x2a ...
 *     vmreq_client_answer_deinit(&answer);
 *     vmreq_client_free(client);
 *
 * What functions return: 0 for done; a negative errno for a fault of the system or of the caller's
 * own arguments (-EINVAL, -ENOMEM, ...); a positive enum vmreq_client_outcome for what may happen
 * to anybody.
 *
 * Calling context: a client belongs to one thread at a time; different clients are independent.  No
 * function blocks unless it takes a `wait_ns` or says so, and none blocks beyond that, whatever the
 * server does.  A signal does not shorten a wait; whoever wants that polls on the descriptor.
 */
#ifndef VMREQ_CLIENT_H
#define VMREQ_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VMREQ_CLIENT_API __attribute__((visibility("default")))

/* As `wait_ns`: no limit.  Other waits are nanoseconds from now; 0 looks without waiting. */
#define VMREQ_CLIENT_FOREVER UINT64_MAX

typedef struct vmreq_client vmreq_client;

enum vmreq_client_outcome {
        VMREQ_CLIENT_OK = 0,
        VMREQ_CLIENT_E_TIMEOUT,   /* the limit came first; nothing else has changed */
        VMREQ_CLIENT_E_LOST,      /* the connection is gone: vmreq_client_reason */
        VMREQ_CLIENT_E_PROTOCOL,  /* the peer broke the protocol, and was hung up on */
        VMREQ_CLIENT_E_REFUSED,   /* connect: the server answered the greeting with an error */
        VMREQ_CLIENT_E_BUSY,      /* a bound of this client is reached: nothing was accepted */
        VMREQ_CLIENT_E_TOO_LARGE, /* the frame would exceed frame_bytes_max: nothing was accepted */
        VMREQ_CLIENT_E_UNKNOWN,   /* no such message id: never given, forgotten, or answer taken */
        VMREQ_CLIENT_E_NOTHING,   /* no answer is there, and none can come */
};

/* "TIMEOUT" ...; "UNKNOWN" outside the list.  Never NULL. */
VMREQ_CLIENT_API const char *vmreq_client_outcome_name(int outcome);

/*
 * Flags of a client.  Without those that begin with TAKE, what the server sends on its own is
 * dropped and counted (vmreq_client_strays), so that nobody has to take what was not asked for.
 */
#define VMREQ_CLIENT_NO_HELLO       0x1u /* no greeting: for servers other than vmreqd */
#define VMREQ_CLIENT_TAKE_STREAMS   0x2u /* chunks and rows of calls with VMREQ_CLIENT_STREAM */
#define VMREQ_CLIENT_TAKE_COMPLETED 0x4u /* the end of each request; the greeting asks for it */
#define VMREQ_CLIENT_TAKE_EVENTS    0x8u /* events of the topics given to vmreq.subscribe */

struct vmreq_client_config {
        size_t size;         /* sizeof(struct vmreq_client_config): versioning */
        const char *name;    /* who is calling, for the server's logs; NULL = "libvmreqclient" */
        const char *version; /* of the caller; NULL = none */
        uint64_t connect_ns; /* limit of connect and greeting together; 0 = 5 s */
        /* The largest frame sent or taken: 1 KiB..256 MiB; 0 = 8 MiB. */
        size_t frame_bytes_max;
        /* Calls accepted but not yet written: frame_bytes_max..1 GiB; 0 = two frames. */
        size_t output_bytes_max;
        /* Answers held until they are taken, with what the library needs to hold them; once
         * exceeded, reading stops, so that one frame more can be held.  1 KiB..1 GiB; 0 = two
         * frames. */
        size_t answer_bytes_max;
        uint32_t calls_max; /* calls in flight and answers held together: 1..65535; 0 = 1024 */
        uint32_t flags;
};

#define VMREQ_CLIENT_CONFIG_INIT                                                                   \
        {                                                                                          \
                sizeof(struct vmreq_client_config), NULL, NULL, 0, 0, 0, 0, 0, 0                   \
        }

/*
 * Connects to the Unix socket at `path` and greets the server.  `config` is copied, NULL means
 * defaults.  Blocks, for connect_ns at most.  On failure reterr_text (`size` bytes, may be NULL)
 * gets one line.  Errors: TIMEOUT, LOST, PROTOCOL, REFUSED; what connect(2) says (-ENOENT,
 * -ECONNREFUSED, -EACCES, ...); -EINVAL for a config out of its ranges, -ENAMETOOLONG, -ENOMEM.
 */
VMREQ_CLIENT_API int vmreq_client_connect(const char *path,
                                          const struct vmreq_client_config *config,
                                          vmreq_client **ret_client, char *reterr_text,
                                          size_t size);

/*
 * The same over a connected stream socket that the caller has.  The descriptor is consumed on
 * success and closed on failure, and made non-blocking and close-on-exec.
 */
VMREQ_CLIENT_API int vmreq_client_adopt(int fd, const struct vmreq_client_config *config,
                                        vmreq_client **ret_client, char *reterr_text, size_t size);

/*
 * Hangs up and frees.  Calls in flight are cancelled by the server.  NULL is legal.  Returns NULL.
 */
VMREQ_CLIENT_API vmreq_client *vmreq_client_free(vmreq_client *client);

/* The server's greeting, a msgpack map, borrowed for the life of the client; NULL with NO_HELLO. */
VMREQ_CLIENT_API const uint8_t *vmreq_client_greeting(const vmreq_client *client, size_t *ret_len);

/* One line on why the connection is of no use any more; "" while it is.  Borrowed.  Never NULL. */
VMREQ_CLIENT_API const char *vmreq_client_reason(const vmreq_client *client);

/* ---- answers --------------------------------------------------------------------------------- */

/* What an answer is.  Kinds are added only for what a caller has opted in to. */
#define VMREQ_CLIENT_REPLY     1u /* the one reply of the call `msgid` */
#define VMREQ_CLIENT_CHUNK     2u /* a piece of its result: `id` counts 0, 1, 2 ... without a gap */
#define VMREQ_CLIENT_ROW       3u /* one vCPU's row of the broadcast `msgid` */
#define VMREQ_CLIENT_COMPLETED 4u /* the end of the request `id` */
#define VMREQ_CLIENT_EVENT     5u /* `name` is the topic */

/* Whether the function behind a failed call ran: only NO may be retried blindly. */
#define VMREQ_CLIENT_RAN_NO    0u
#define VMREQ_CLIENT_RAN_YES   1u
#define VMREQ_CLIENT_RAN_MAYBE 2u /* also: the server did not say */

struct vmreq_client_answer {
        uint32_t kind;
        uint32_t msgid;  /* REPLY, CHUNK, ROW; else 0 */
        uint64_t id;     /* CHUNK, COMPLETED; else 0 */
        uint32_t failed; /* 0: `value` is the result.  1: it is the error's data, or nil */
        uint32_t code;   /* failed: the error's number; 0 if it is not in vmreqd's table */
        uint32_t ran;    /* failed: VMREQ_CLIENT_RAN_* */
        uint32_t reserved;
        const char *name;     /* failed: "NOT_FOUND" ..., "" if the server gave none; else "" */
        const char *message;  /* failed: for people, not checked for UTF-8; else "" */
        const uint8_t *value; /* one msgpack value */
        size_t value_len;
        void *memory; /* what the pointers above point into */
};

/* Frees what a taken answer holds, and empties it.  Idempotent; legal on a zeroed one. */
VMREQ_CLIENT_API void vmreq_client_answer_deinit(struct vmreq_client_answer *answer);

/* The value as an unsigned integer, such as a request's id.  0, or -EINVAL if it is none. */
VMREQ_CLIENT_API int vmreq_client_answer_uint(const struct vmreq_client_answer *answer,
                                              uint64_t *ret_value);

/* What became of a cancel. */
enum vmreq_client_verdict {
        VMREQ_CLIENT_UNKNOWN = 0, /* no such request, or not the caller's to see */
        VMREQ_CLIENT_REMOVED,     /* it was queued, and never runs */
        VMREQ_CLIENT_ASKED,       /* it runs, and has been asked to end */
        VMREQ_CLIENT_RUNNING,     /* it runs, and cannot be asked */
        VMREQ_CLIENT_FINISHED,    /* it was over */
};

/* The verdict in the answer of a cancel; UNKNOWN for whatever else an answer says. */
VMREQ_CLIENT_API int vmreq_client_answer_verdict(const struct vmreq_client_answer *answer);

/* ---- calls ----------------------------------------------------------------------------------- */

/*
 * Accepts a call.  `params` is one msgpack array, copied.  Nothing is written yet: the functions
 * below that process or wait do that.  *ret_msgid is unique among the calls of this client that are
 * not over.  Errors: LOST, PROTOCOL, BUSY (calls_max or output_bytes_max), TOO_LARGE; -EINVAL if
 * `params` is not one array, or one nested deeper than 27 levels (the frame around it is the 28th,
 * and a server hangs up on more), or `method` is longer than 64 bytes; -ENOMEM.
 */
VMREQ_CLIENT_API int vmreq_client_submit(vmreq_client *client, const char *method,
                                         const void *params, size_t params_len,
                                         uint32_t *ret_msgid);

/*
 * The same without an answer: a notification.  Whether the server took it is not told to anybody.
 */
VMREQ_CLIENT_API int vmreq_client_notify(vmreq_client *client, const char *method,
                                         const void *params, size_t params_len);

/*
 * Takes the oldest answer that nobody has taken, of any kind, waiting for one if need be.  Errors:
 * TIMEOUT, LOST and PROTOCOL (answers that had arrived come first), -ENOMEM; NOTHING if no call is
 * in flight, unless the client takes events or completions.
 */
VMREQ_CLIENT_API int vmreq_client_next(vmreq_client *client, uint64_t wait_ns,
                                       struct vmreq_client_answer *ret_answer);

/*
 * Takes the reply of one call, waiting for it if need be; whatever else arrives meanwhile is kept,
 * the chunks and rows of this call too.  Errors as vmreq_client_next, UNKNOWN, and BUSY:
 * answer_bytes_max is full of others, take some first.
 */
VMREQ_CLIENT_API int vmreq_client_wait(vmreq_client *client, uint32_t msgid, uint64_t wait_ns,
                                       struct vmreq_client_answer *ret_answer);

/*
 * submit, wait, and on TIMEOUT or BUSY forget.  Errors as both.  With TIMEOUT the call may have
 * run, or may yet: the limit is the caller's patience, not the request's deadline, which goes into
 * vmreq.call's options.
 */
VMREQ_CLIENT_API int vmreq_client_call(vmreq_client *client, const char *method, const void *params,
                                       size_t params_len, uint64_t wait_ns,
                                       struct vmreq_client_answer *ret_answer);

/*
 * Drops a call's reply, now or when it comes, and the chunks and rows that come before it; its
 * place is taken until then.  Cancels nothing.  0 or UNKNOWN.
 */
VMREQ_CLIENT_API int vmreq_client_forget(vmreq_client *client, uint32_t msgid);

/* ---- calls of symbols, and requests ---------------------------------------------------------- */

/*
 * Where and how a symbol runs.  What is left at its initial value is as the symbol is registered.
 */
#define VMREQ_CLIENT_CPU_REGISTERED  (-1)
#define VMREQ_CLIENT_CPU_ANY         (-2)
#define VMREQ_CLIENT_CPU_ANY_QUEUE   (-3)
#define VMREQ_CLIENT_CPU_ALL         (-4)
#define VMREQ_CLIENT_CPU_ALL_REVERSE (-5)

#define VMREQ_CLIENT_PRIORITY  0x01u  /* ahead of requests without it */
#define VMREQ_CLIENT_POKE      0x02u  /* interrupt the guest at once */
#define VMREQ_CLIENT_PARALLEL  0x04u  /* broadcast: to all vCPUs at once */
#define VMREQ_CLIENT_CONTINUE  0x08u  /* broadcast: go on behind a row that failed */
#define VMREQ_CLIENT_STREAM    0x10u  /* chunks and rows as they come */
#define VMREQ_CLIENT_NO_STREAM 0x20u  /* not so, although the greeting asked for it */
#define VMREQ_CLIENT_DETACH    0x40u  /* goes on when this connection ends */
#define VMREQ_CLIENT_NO_WAIT   0x80u  /* requests only: nobody collects the result */
#define VMREQ_CLIENT_TIMING    0x100u /* the result becomes {value, cpu, queued_us, run_us} */

struct vmreq_client_options {
        size_t size;        /* sizeof(struct vmreq_client_options): versioning */
        int32_t cpu;        /* 0.., or VMREQ_CLIENT_CPU_* */
        uint32_t flags;     /* of those above */
        int64_t timeout_ms; /* the request's deadline; 0 = none, -1 = as registered */
        const char *key; /* NULL = none.  A repeat under the same key answers with the first one's
                            result, so that a call may be tried again */
};

#define VMREQ_CLIENT_OPTIONS_INIT                                                                  \
        {                                                                                          \
                sizeof(struct vmreq_client_options), VMREQ_CLIENT_CPU_REGISTERED, 0, -1, NULL      \
        }

/*
 * Each of these accepts one call of a method of vmreqd's, as vmreq_client_submit does, with its
 * errors; its reply is taken by next, wait or finish.  `args` is one msgpack array of positional
 * arguments, or one map of named ones; `options` may be NULL.
 *
 *   submit_call     vmreq.call: the reply is the symbol's result, or a broadcast's rows
 *   submit_request  vmreq.submit: the reply is the id of a request (vmreq_client_answer_uint)
 *   submit_wait     vmreq.wait: the request's result, or TIMEOUT after limit_ms; UINT64_MAX = none
 *   submit_release  vmreq.release: drops the request's result
 *   submit_cancel   vmreq.cancel of the call `msgid` of this client
 *   submit_cancel_request  vmreq.cancel of a request
 *
 * The answer of a cancel is read by vmreq_client_answer_verdict; what was cancelled still has its
 * own one reply.
 */
VMREQ_CLIENT_API int vmreq_client_submit_call(vmreq_client *client, const char *symbol,
                                              const void *args, size_t args_len,
                                              const struct vmreq_client_options *options,
                                              uint32_t *ret_msgid);
VMREQ_CLIENT_API int vmreq_client_submit_request(vmreq_client *client, const char *symbol,
                                                 const void *args, size_t args_len,
                                                 const struct vmreq_client_options *options,
                                                 uint32_t *ret_msgid);
VMREQ_CLIENT_API int vmreq_client_submit_wait(vmreq_client *client, uint64_t id, uint64_t limit_ms,
                                              uint32_t *ret_msgid);
VMREQ_CLIENT_API int vmreq_client_submit_release(vmreq_client *client, uint64_t id,
                                                 uint32_t *ret_msgid);
VMREQ_CLIENT_API int vmreq_client_submit_cancel(vmreq_client *client, uint32_t msgid,
                                                uint32_t *ret_msgid);
VMREQ_CLIENT_API int vmreq_client_submit_cancel_request(vmreq_client *client, uint64_t id,
                                                        uint32_t *ret_msgid);

/* The second half of vmreq_client_call: wait, and on TIMEOUT or BUSY forget. */
VMREQ_CLIENT_API int vmreq_client_finish(vmreq_client *client, uint32_t msgid, uint64_t wait_ns,
                                         struct vmreq_client_answer *ret_answer);

/* ---- event loops ----------------------------------------------------------------------------- */

/* The descriptor to poll, borrowed; the same until vmreq_client_reconnect. */
VMREQ_CLIENT_API int vmreq_client_fd(const vmreq_client *client);

/*
 * What to poll for now: POLLIN, POLLOUT, both, or 0 when only taking answers helps.  Ask again
 * after each other function.  Once the connection is lost: 0, and the descriptor has no more to
 * say.
 */
VMREQ_CLIENT_API short vmreq_client_events(const vmreq_client *client);

/*
 * Writes and reads what goes without waiting, a bounded amount, so that a flood does not keep the
 * caller here. Errors: LOST, PROTOCOL (for good, and again at each call); -ENOMEM.
 */
VMREQ_CLIENT_API int vmreq_client_process(vmreq_client *client);

/* Messages that were no replies and nobody had asked for, dropped so far. */
VMREQ_CLIENT_API uint64_t vmreq_client_strays(const vmreq_client *client);

/* ---- a new connection ------------------------------------------------------------------------ */

/*
 * Hangs up, if that has not happened, connects anew and greets; nothing does this by itself, and
 * nothing is sent again.  Each call that was in flight gets a reply that failed under the name
 * "LOST", with VMREQ_CLIENT_RAN_NO if the server cannot have got it whole.  Subscriptions, and
 * requests that were not detached, are gone; the greeting is another one.
 *
 * `fd`: -1 for the path that was connected to, else a connected socket as for vmreq_client_adopt.
 * Blocks for connect_ns at most.  Errors as vmreq_client_connect, and BUSY if answer_bytes_max or
 * calls_max is taken up by answers: take some first.  The client is then as after a lost
 * connection, and this can be called again.  -EINVAL, and nothing has changed, without fd for an
 * adopted client.
 */
VMREQ_CLIENT_API int vmreq_client_reconnect(vmreq_client *client, int fd, char *reterr_text,
                                            size_t size);

#ifdef __cplusplus
}
#endif

#endif
