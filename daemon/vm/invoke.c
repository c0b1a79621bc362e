/* SPDX-License-Identifier: MIT */
/*
 * From words to a C call: the only function-pointer casts of the project.
 *
 * A callee is called through a prototype of N 64-bit words.  Under the System V AMD64 and the
 * AArch64 ABI an integer or pointer parameter occupies one register or one eight-byte stack slot
 * each, and the callee reads only as much of it as its type has; so one prototype per count serves
 * all.  A narrow result leaves the upper part of the register undefined: it is cut and extended
 * here by the declared kind.
 */
#include "vm/vm-internal.h"

typedef uint64_t W;

#define T1  W
#define T2  T1, W
#define T3  T2, W
#define T4  T3, W
#define T5  T4, W
#define T6  T5, W
#define T7  T6, W
#define T8  T7, W
#define T9  T8, W
#define T10 T9, W
#define T11 T10, W
#define T12 T11, W
#define T13 T12, W
#define T14 T13, W
#define T15 T14, W

#define A1  a[0]
#define A2  A1, a[1]
#define A3  A2, a[2]
#define A4  A3, a[3]
#define A5  A4, a[4]
#define A6  A5, a[5]
#define A7  A6, a[6]
#define A8  A7, a[7]
#define A9  A8, a[8]
#define A10 A9, a[9]
#define A11 A10, a[10]
#define A12 A11, a[11]
#define A13 A12, a[12]
#define A14 A13, a[13]
#define A15 A14, a[14]

#define CALL(n)                                                                                    \
        case n:                                                                                    \
                return ((W(*)(T##n))fn)(A##n)

static W call_words(vmreq_fn fn, const W *a, unsigned argc)
{
        switch (argc) {
        case 0:
                return ((W(*)(void))fn)();
                CALL(1);
                CALL(2);
                CALL(3);
                CALL(4);
                CALL(5);
                CALL(6);
                CALL(7);
                CALL(8);
                CALL(9);
                CALL(10);
                CALL(11);
                CALL(12);
                CALL(13);
                CALL(14);
                CALL(15);
        default:
                CHECK(!"argc was checked at submission");
                return 0;
        }
}

static void invoke_callback(const struct vm *vm, struct req *req, uint32_t cpu)
{
        struct vmreq_reply reply = {.value = 0, .cpu = cpu};

        if (req->has)
                reply.user = req_more(vm, req)->user;
        req->status = req->callback(req->ctx, req_args(vm, req), req->argc, &reply);
        req->value = reply.value;
}

void invoke(const struct vm *vm, struct req *req, uint32_t cpu)
{
        W word;

        if (req->kind == VMREQ_FN_CALLBACK) {
                invoke_callback(vm, req, cpu);
                return;
        }
        word = call_words(req->fn, req_args(vm, req), req->argc);
        req->status = 0;
        req->value = 0;
        switch ((enum vmreq_kind)req->kind) {
        case VMREQ_FN_STATUS:
                req->status = (int32_t)(uint32_t)word;
                break;
        case VMREQ_FN_BOOL:
                req->value = (uint8_t)word != 0;
                break;
        case VMREQ_FN_I32:
                req->value = (uint64_t)(int64_t)(int32_t)(uint32_t)word;
                break;
        case VMREQ_FN_U32:
                req->value = (uint32_t)word;
                break;
        case VMREQ_FN_I64:
        case VMREQ_FN_U64:
                req->value = word;
                break;
        case VMREQ_FN_VOID:
        case VMREQ_FN_CALLBACK:
                break;
        }
}
