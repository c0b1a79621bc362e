/* SPDX-License-Identifier: MIT */
/*
 * vmreq-module.h - what an author of a module for vmreqd includes.  PUBLIC, and all there is: a
 * module has no undefined symbol of ours; everything it may call arrives in a table of functions.
 * Build with
 *
 *     cc -shared -fPIC -o example.so example.c
 *
 * A module exports one object, VMREQ_MODULE_SYMBOL.  Modules are trusted code inside the daemon.
 */
#ifndef VMREQ_MODULE_H
#define VMREQ_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever something below changes its meaning.  Structures only grow, and carry their size.
 */
#define VMREQ_MODULE_ABI 1u

/* Types of arguments and results. */
enum vmreq_type {
        VMREQ_T_NIL,    /* results only: nothing */
        VMREQ_T_STATUS, /* results only: int32_t, negative is a failure; the client sees nil or
                           FAILED */
        VMREQ_T_BOOL,
        VMREQ_T_I8,
        VMREQ_T_I16,
        VMREQ_T_I32,
        VMREQ_T_I64,
        VMREQ_T_U8,
        VMREQ_T_U16,
        VMREQ_T_U32,
        VMREQ_T_U64,
        VMREQ_T_X64, /* a register or address: u64, the string "0x…" on the wire */
        VMREQ_T_F64,
        VMREQ_T_STR,
        VMREQ_T_BYTES,
        VMREQ_T_ANY, /* the last three arrive and leave as encoded msgpack */
        VMREQ_T_ARRAY,
        VMREQ_T_MAP,
        _VMREQ_T_N
};

/* One argument as a callback sees it.  Pointees live until the callback returns. */
struct vmreq_value {
        uint32_t type; /* enum vmreq_type, as the parameter declares */
        uint32_t len;  /* STR (without its NUL), BYTES, ANY, ARRAY, MAP: bytes at `data` */
        union {
                uint64_t u;       /* BOOL (0, 1), U8..U64, X64 */
                int64_t i;        /* I8..I64 */
                double f;         /* F64 */
                const char *data; /* STR (a NUL behind it), BYTES, ANY, ARRAY, MAP */
        };
};

/* Parameter flags. */
#define VMREQ_PARAM_OPTIONAL  0x1u /* `fallback` stands for a missing or nil argument */
#define VMREQ_PARAM_RANGE     0x2u /* integers: `min`..`max` is checked */
#define VMREQ_PARAM_SENSITIVE 0x4u /* never shown in logs */

struct vmreq_param {
        const char *name; /* [a-z][a-z0-9_]* */
        uint32_t type;    /* enum vmreq_type */
        uint32_t flags;
        const char *doc;  /* one line */
        int64_t min, max; /* with RANGE; for the unsigned types reinterpreted as uint64_t; STR,
                           * BYTES: of the length */
        struct vmreq_value fallback; /* with OPTIONAL; of the parameter's type */
};

/* Symbol flags. */
#define VMREQ_SYM_READ_ONLY     0x01u /* changes nothing */
#define VMREQ_SYM_IDEMPOTENT    0x02u /* twice is as good as once */
#define VMREQ_SYM_CANCELLABLE   0x04u /* the function looks at cancel_requested, or parks */
#define VMREQ_SYM_CONFIDENTIAL  0x08u /* reveals guest content */
#define VMREQ_SYM_PRIORITY      0x10u /* priority lane unless the caller says otherwise */
#define VMREQ_SYM_POKE          0x20u /* POKE unless the caller says otherwise */
#define VMREQ_SYM_CHANGES_STATE 0x40u /* calls are recorded in the journal */
#define VMREQ_SYM_STREAMING     0x80u /* a generator, see VMREQ_AGAIN */

/* Destinations; 0..n-1 is a vCPU. */
#define VMREQ_DEST_ANY         0xfffffff0u
#define VMREQ_DEST_ANY_QUEUE   0xfffffff1u
#define VMREQ_DEST_ALL         0xfffffff2u
#define VMREQ_DEST_ALL_REVERSE 0xfffffff3u

struct vmreq_writer; /* where a callback's result goes */

/* A word function's address, its type dropped: at most 15 parameters of BOOL, I8..X64, and a result
 * of NIL, STATUS, BOOL, I32, U32, I64, U64 or X64. */
typedef void (*vmreq_words)(void);

/* Anything else.  Runs on the EMT; returns a status, negative is a failure.  `ctx` as registered.
 */
typedef int32_t (*vmreq_function)(void *ctx, const struct vmreq_value *args, uint32_t argc,
                                  struct vmreq_writer *reply);

/*
 * Generators.  A function whose symbol has VMREQ_SYM_STREAMING makes a sequence of values instead
 * of one.  Each run writes one of them, the chunk, of the symbol's result type and at most
 * VMREQ_CHUNK_BYTES_MAX encoded, or none; and returns VMREQ_AGAIN to be run again, 0 when there is
 * nothing more, a negative status for a failure.  In between its EMT serves others, and runs stop
 * while the client does not read: a generator never waits for a client.  A client that asked for
 * `stream` is sent each chunk as it comes, any other one array of all of them.
 *
 * Each run gets the same arguments.  What a generator has to remember from run to run is its state,
 * one pointer that is the call's own: state() gives it, NULL at the first run, set_state() sets it.
 * A number fits as it is.  `release` (NULL: nothing to do) gets the state when the call has ended
 * and no run of it is under way or to come: after the last run, and also where there is no last
 * run, because the call was cancelled, its time limit passed or its client went between two runs.
 * That happens exactly once, on a thread of the daemon's that is no EMT and may not be held up:
 * free memory there, and close what does not block.  A state that is replaced is the function's own
 * to release.
 *
 * A generator is cancellable between any two runs, without doing anything for it.  In a broadcast
 * each vCPU has a generator of its own, with its own state, which there runs to its end in one go.
 */
#define VMREQ_AGAIN           1
#define VMREQ_CHUNK_BYTES_MAX (256u << 10)

/*
 * Failing statuses that clients see as an error of that name, instead of FAILED with the number.
 * put_failure's text says the rest: which argument, which state and what it would have to be, what
 * is missing.
 */
#define VMREQ_FAIL_INVALID     (-20001) /* INVALID_ARGUMENT: found out only while running */
#define VMREQ_FAIL_TIMEOUT     (-20004) /* TIMEOUT */
#define VMREQ_FAIL_STATE       (-20009) /* VM_STATE */
#define VMREQ_FAIL_DEADLOCK    (-20010) /* DEADLOCK */
#define VMREQ_FAIL_UNSUPPORTED (-20101) /* UNSUPPORTED: this build or backend cannot */

/* As a symbol's timeout_ms: no limit, unless the caller asks for one. */
#define VMREQ_TIMEOUT_NONE UINT32_MAX

struct vmreq_symbol {
        uint32_t size; /* sizeof(struct vmreq_symbol) */
        uint32_t flags;
        const char *name;  /* "module.verb", [a-z][a-z0-9_]*(\.[a-z0-9_]+)+, at most 64 bytes */
        const char *doc;   /* one line first; more may follow */
        const char *since; /* version that brought it; NULL = the module's first */
        const char *deprecated; /* what to use instead; NULL = not deprecated */
        const struct vmreq_param *params;
        uint32_t n_params;   /* at most 15; the optional ones last */
        uint32_t result;     /* enum vmreq_type; STREAMING: of each chunk, neither NIL nor STATUS */
        uint32_t dest;       /* default destination */
        uint32_t timeout_ms; /* default time limit; 0 = none of its own, so the connection's */
        vmreq_words words;   /* exactly one of the two */
        vmreq_function function;
        void *ctx; /* of `function` */

        uint32_t timeout_max_ms; /* longest time limit a caller may ask for, and what "none" means
                                  * then; 0 = no such cap */
};

/* Levels of `log`, as syslog's. */
#define VMREQ_LOG_ERROR   3
#define VMREQ_LOG_WARNING 4
#define VMREQ_LOG_NOTICE  5
#define VMREQ_LOG_INFO    6
#define VMREQ_LOG_DEBUG   7

/* What the host does for a module.  `host` is the table itself, given back. */
struct vmreq_host {
        uint32_t size;
        uint32_t abi;

        /* --- during init only --- */

        /* Registers a symbol.  The structure and all it points to must live until fini.  Returns 0,
         * or a negative number and logs why: bad name, bad signature, name taken. */
        int (*add_symbol)(const struct vmreq_host *host, const struct vmreq_symbol *symbol);

        /* --- any time, any thread --- */

        void (*log)(const struct vmreq_host *host, int level, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
        uint32_t (*cpus)(const struct vmreq_host *host);
        /* Lets the park() of the function that runs on `cpu` return, or its next one. */
        void (*unpark)(const struct vmreq_host *host, uint32_t cpu);

        /* --- inside a function, on its EMT --- */

        uint32_t (*cpu)(const struct vmreq_host *host);
        /* 1 when somebody wants this call to end early. */
        int (*cancel_requested)(const struct vmreq_host *host);
        /* Waits on the EMT for unpark (returns 0), for a wish to end early (1) or for the end of
         * `timeout_ns` nanoseconds (2; UINT64_MAX = no limit).  May also return 0 for an unpark
         * that was meant for an earlier function.  Not on an EMT: 1, at once. */
        int (*park)(const struct vmreq_host *host, uint64_t timeout_ns);

        /* --- inside a function: its result.  One value in all; containers are followed by their
         * elements (maps: key, value, …).  Writing too much or too little is reported as INTERNAL.
         * --- */

        void (*put_nil)(struct vmreq_writer *reply);
        void (*put_bool)(struct vmreq_writer *reply, int value);
        void (*put_int)(struct vmreq_writer *reply, int64_t value);
        void (*put_uint)(struct vmreq_writer *reply, uint64_t value);
        void (*put_x64)(struct vmreq_writer *reply, uint64_t value);
        void (*put_float)(struct vmreq_writer *reply, double value);
        void (*put_str)(struct vmreq_writer *reply, const char *data, size_t len);
        void (*put_bytes)(struct vmreq_writer *reply, const void *data, size_t len);
        void (*put_array)(struct vmreq_writer *reply, uint32_t count);
        void (*put_map)(struct vmreq_writer *reply, uint32_t pairs);
        /* Bytes that are one msgpack value already, such as an argument of type ANY. */
        void (*put_raw)(struct vmreq_writer *reply, const void *data, size_t len);
        /* What the client shall read beside the number if the function returns a failing status.
         * Both are copied; either may be NULL. */
        void (*put_failure)(struct vmreq_writer *reply, const char *name, const char *text);

        /* --- inside a generator: its state, see VMREQ_AGAIN --- */

        void *(*state)(struct vmreq_writer *reply);
        void (*set_state)(struct vmreq_writer *reply, void *state, void (*release)(void *state));
};

struct vmreq_setting {
        const char *key, *value;
};

/* Module flags. */
#define VMREQ_MODULE_UNMAPPABLE 0x1u /* nothing of it is in use once fini has returned 0 */

struct vmreq_module {
        uint32_t size;    /* sizeof(struct vmreq_module) */
        uint32_t abi;     /* VMREQ_MODULE_ABI */
        const char *name; /* [a-z][a-z0-9_]{0,31}; the first part of its symbols' names */
        const char *version;
        const char *doc; /* one line */
        uint32_t flags;
        /* Registers symbols.  Returns 0, or a negative number: the module is refused as a whole.
         * The table stays valid until fini has returned. */
        int (*init)(const struct vmreq_host *host, uint32_t abi,
                    const struct vmreq_setting *settings, size_t n_settings);
        /* Stops whatever the module started.  None of its functions runs any more.  NULL: nothing
         * to do. */
        int (*fini)(const struct vmreq_host *host);
};

/* The name under which a module exports its `const struct vmreq_module`. */
#define VMREQ_MODULE_SYMBOL vmreq_module_v1
#define VMREQ_MODULE_EXPORT                                                                        \
        extern const struct vmreq_module VMREQ_MODULE_SYMBOL;                                      \
        __attribute__((visibility("default"))) const struct vmreq_module VMREQ_MODULE_SYMBOL

#ifdef __cplusplus
}
#endif

#endif
