/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The wire's error vocabulary: one list, from which enum, names and meanings are derived.  errno
 * values and engine statuses never cross the wire; daemon/rpc/outcome.c owns the translation.
 */

/* X(name, number, one-line meaning) */
#define PROTO_CODES(X)                                                                             \
        X(NOT_FOUND, 1, "no such symbol or method, or the caller may not call it")                 \
        X(INVALID_ARGUMENT, 2, "an argument has the wrong count, type or range")                   \
        X(INVALID_REQUEST, 3, "the call itself is malformed")                                      \
        X(BUSY, 4, "a bound is reached")                                                           \
        X(TIMEOUT, 5, "a deadline or a wait ended first")                                          \
        X(CANCELLED, 6, "somebody cancelled the call")                                             \
        X(KILLED, 7, "the VM or the daemon goes away")                                             \
        X(VM_STATE, 8, "not legal in the present state of the VM")                                 \
        X(DEADLOCK, 9, "the function waited on an EMT in a way that cannot end")                   \
        X(FAILED, 10, "the function ran and returned a failing status")                            \
        X(TOO_LARGE, 11, "a frame, argument or result is over its cap")                            \
        X(UNSUPPORTED, 12, "this build or backend cannot do that")                                 \
        X(INTERNAL, 13, "a fault of the daemon")

enum proto_code {
        PROTO_OK = 0,
#define X(name, number, meaning) PROTO_##name = number,
        PROTO_CODES(X)
#undef X
                _PROTO_CODE_N
};

/* Whether the function ran: only "no" may be retried blindly. */
enum proto_ran { PROTO_RAN_NO, PROTO_RAN_YES, PROTO_RAN_MAYBE, _PROTO_RAN_N };

/* "NOT_FOUND" …, or "UNKNOWN" for a number outside the list.  Never NULL. */
const char *proto_code_to_string(enum proto_code code);
/* One line on what the code means; "unknown error" outside the list.  Never NULL. */
const char *proto_code_meaning(enum proto_code code);
/* The code whose name is the `len` bytes at `name`; PROTO_OK if there is none. */
enum proto_code proto_code_from_string(const char *name, unsigned long len);
/* "no", "yes" or "maybe". */
const char *proto_ran_to_string(enum proto_ran ran);
