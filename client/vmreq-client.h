/* SPDX-License-Identifier: MIT */
/*
 * vmreq-client.h - talk to vmreqd from C: libvmreqclient.
 *
 * PUBLIC.  C11 or C++; the library needs libmsgpackc and nothing else, starts no thread, installs
 * no signal handler and keeps no global state.
 *
 * A client is one connection.  Calls go out under message ids that the library gives, any number at
 * a time, and their answers come back in any order.  Two ways to use it, which may be mixed:
 *
 *   blocking      vmreq_client_call                         one call, one answer
 *   asynchronous  vmreq_client_submit, then                 many calls in flight
 *                 poll vmreq_client_fd for vmreq_client_events,
 *                 vmreq_client_process, vmreq_client_next
 *
 * Values are msgpack: parameters go in and results come out as encoded bytes, made and read with
 * any msgpack library.  What the library hands out has been scanned: it is exactly one well-formed
 * value, at most 28 levels deep, and no container promises more elements than the bytes behind it
 * hold.
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
        VMREQ_CLIENT_E_NOTHING,   /* no answer is there and no call is in flight */
};

/* "TIMEOUT" ...; "UNKNOWN" outside the list.  Never NULL. */
VMREQ_CLIENT_API const char *vmreq_client_outcome_name(int outcome);

/* Flags of a client. */
#define VMREQ_CLIENT_NO_HELLO 0x1u /* send no greeting: for msgpack-RPC servers other than vmreqd  \
                                    */

struct vmreq_client_config {
        size_t size;         /* sizeof(struct vmreq_client_config): versioning */
        const char *name;    /* who is calling, for the server's logs; NULL = "libvmreqclient" */
        const char *version; /* of the caller; NULL = none */
        uint64_t connect_ns; /* limit of connect and greeting together; 0 = 5 s */
        /* The largest frame sent or taken: 1 KiB..256 MiB; 0 = 8 MiB. */
        size_t frame_bytes_max;
        /* Calls accepted but not yet written: frame_bytes_max..1 GiB; 0 = two frames. */
        size_t output_bytes_max;
        /* Answers held until they are taken; once exceeded, reading stops, so that one frame more
         * can be held.  1 KiB..1 GiB; 0 = two frames. */
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
#define VMREQ_CLIENT_REPLY 1u /* the one reply of the call `msgid` */

/* Whether the function behind a failed call ran: only NO may be retried blindly. */
#define VMREQ_CLIENT_RAN_NO    0u
#define VMREQ_CLIENT_RAN_YES   1u
#define VMREQ_CLIENT_RAN_MAYBE 2u /* also: the server did not say */

struct vmreq_client_answer {
        uint32_t kind;
        uint32_t msgid;
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

/* ---- calls ----------------------------------------------------------------------------------- */

/*
 * Accepts a call.  `params` is one msgpack array, copied.  Nothing is written yet: the functions
 * below that process or wait do that.  *ret_msgid is unique among the calls of this client that are
 * not over.  Errors: LOST, PROTOCOL, BUSY (calls_max or output_bytes_max), TOO_LARGE; -EINVAL if
 * `params` is not one array or `method` is longer than 64 bytes; -ENOMEM.
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
 * Takes the oldest answer that nobody has taken, waiting for one if need be.  Errors: TIMEOUT, LOST
 * and PROTOCOL (answers that had arrived come first), NOTHING, -ENOMEM.
 */
VMREQ_CLIENT_API int vmreq_client_next(vmreq_client *client, uint64_t wait_ns,
                                       struct vmreq_client_answer *ret_answer);

/*
 * Takes the answer of one call, waiting for it if need be; others that arrive meanwhile are kept.
 * Errors as vmreq_client_next, UNKNOWN, and BUSY: answer_bytes_max is full of others, take some
 * first.
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

/* Drops a call's answer, now or when it comes; its place is taken until then.  Cancels nothing. */
VMREQ_CLIENT_API int vmreq_client_forget(vmreq_client *client, uint32_t msgid);

/* ---- event loops ----------------------------------------------------------------------------- */

/* The descriptor to poll, borrowed, the same for the life of the client. */
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

/* Messages that were no answers and nobody had asked for, dropped so far. */
VMREQ_CLIENT_API uint64_t vmreq_client_strays(const vmreq_client *client);

#ifdef __cplusplus
}
#endif

#endif
