/* SPDX-License-Identifier: MIT */
/*
 * What became of a call: results, rows, fates, statuses, faults of the module.  Calls are put
 * together by hand; no loop runs.
 */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "base/macros.h"
#include "rpc/call.h"
#include "rpc/outcome.h"
#include "rpc/server-internal.h"

static struct rpc_server server;
static struct rpc_call call;
static struct vmreq_symbol def;
static struct sym_symbol symbol;
static struct vmreq_row rows[3];
static struct rpc_writer writers[3];
static enum rpc_style style;

static int start(void **state)
{
        (void)state;
        log_init(-1, LOG_L_ERROR);
        memset(&server, 0, sizeof(server));
        memset(&call, 0, sizeof(call));
        def = (struct vmreq_symbol){.name = "m.f", .result = VMREQ_T_ANY};
        symbol = (struct sym_symbol){.def = &def};
        style = RPC_STYLE_TEXT;
        call.server = &server;
        call.symbol = &symbol;
        call.id = 77;
        call.writers = &call.one_writer;
        call.n_writers = 1;
        call.options.timeout_ms = 250;
        rpc_writer_init(&call.one_writer, VMREQ_T_ANY, 4096);
        call.row = (struct vmreq_row){
                .cpu = 1, .fate = VMREQ_FATE_DONE, .queued_ns = 5000999, .run_ns = 7000};
        return 0;
}

static int end(void **state)
{
        (void)state;
        rpc_writer_deinit(&call.one_writer);
        return 0;
}

/* The value, or the error. */
static void assert_outcome(const char *shown)
{
        struct proto_builder out;
        struct rpc_error error;

        proto_builder_init(&out, 65536);
        if (rpc_outcome_failed(&call, &error))
                rpc_error_put(&out, &error, style);
        else
                rpc_outcome_put(&out, &call);
        assert_wire_builder(&out, shown);
        proto_builder_deinit(&out);
}

static void test_results(void **state)
{
        struct vmreq_writer *writer = &call.one_writer.base;

        (void)state;
        writer->ops->put_map(writer, 1);
        writer->ops->put_str(writer, "k", 1);
        writer->ops->put_uint(writer, 5);
        assert_outcome("{'k':5}");
        call.options.timing = true;
        assert_outcome("{'cpu':1,'queued_us':5000,'run_us':7,'value':{'k':5}}");
        call.options.timing = false;
        proto_builder_reset(&call.one_writer.value);
        def.result = call.one_writer.type = VMREQ_T_NIL;
        assert_outcome("nil");
        def.result = call.one_writer.type = VMREQ_T_STATUS;
        call.row.status = 3; /* not a failure, and not a value */
        assert_outcome("nil");
}

static void test_words(void **state)
{
        (void)state;
        call.n_writers = 0;
        def.result = VMREQ_T_I64;
        call.row.value = (uint64_t)-48;
        assert_outcome("-48"); /* a value, however negative */
        def.result = call.one_writer.type = VMREQ_T_STATUS;
        call.row.status = -48;
        assert_outcome("'FAILED: m.f: status -48 (ran: yes)'");
        call.n_writers = 1;
}

static void test_faults_of_the_module(void **state)
{
        struct vmreq_writer *writer = &call.one_writer.base;

        (void)state;
        assert_outcome("'INTERNAL: m.f: the function did not write exactly one result "
                       "(request 77); fault 1 of the log (ran: yes)'");
        writer->ops->put_nil(writer);
        writer->ops->put_nil(writer);
        assert_outcome("'INTERNAL: m.f: the function did not write exactly one result "
                       "(request 77); fault 1 of the log (ran: yes)'");
        proto_builder_reset(&call.one_writer.value);
        call.one_writer.value.error = PROTO_BUILDER_E_BUDGET;
        assert_outcome("'TOO_LARGE: m.f: its result is larger than a frame may be (ran: yes)'");
        call.one_writer.value.error = PROTO_BUILDER_E_MEMORY;
        call.fault = 0; /* another one */
        assert_outcome("'INTERNAL: m.f: out of memory for its result (request 77); fault 2 of "
                       "the log (ran: yes)'");
}

static void test_fates(void **state)
{
        (void)state;
        call.row.fate = VMREQ_FATE_CANCELLED;
        assert_outcome("'CANCELLED: m.f: cancelled by the daemon before it ran (ran: no)'");
        (void)snprintf(call.cancelled_by, sizeof(call.cancelled_by), "its caller");
        assert_outcome("'CANCELLED: m.f: cancelled by its caller before it ran (ran: no)'");
        call.row.fate = VMREQ_FATE_EXPIRED;
        assert_outcome("'TIMEOUT: m.f: its time limit of 250 ms passed while it was queued; "
                       "it never runs (ran: no)'");
        call.row.fate = VMREQ_FATE_KILLED;
        assert_outcome("'KILLED: m.f: the VM goes away; it never ran (ran: no)'");
        style = RPC_STYLE_MAP;
        call.row.fate = VMREQ_FATE_EXPIRED;
        assert_outcome("{'name':'TIMEOUT','code':5,'message':'m.f: its time limit of 250 ms "
                       "passed while it was queued; it never runs','ran':'no',"
                       "'data':{'scope':'request','state':'queued'}}");
}

static void test_statuses(void **state)
{
        static const struct {
                int32_t status;
                const char *shown;
        } of_the_engine[] = {
                {VMREQ_E_STATE, "'VM_STATE: m.f: why (ran: yes)'"},
                {VMREQ_E_DEADLOCK, "'DEADLOCK: m.f: why (ran: yes)'"},
                {VMREQ_E_TIMEOUT, "'TIMEOUT: m.f: why (ran: yes)'"},
                {VMREQ_E_INVALID, "'INVALID_ARGUMENT: m.f: why (ran: yes)'"},
        };
        struct vmreq_writer *writer = &call.one_writer.base;

        (void)state;
        def.result = call.one_writer.type = VMREQ_T_STATUS;
        call.row.status = -5;
        assert_outcome("'FAILED: m.f: status -5 (ran: yes)'");
        writer->ops->put_failure(writer, "E_NAME", NULL);
        assert_outcome("'FAILED: m.f: status -5 (E_NAME) (ran: yes)'");
        writer->ops->put_failure(writer, "E_NAME", "why");
        assert_outcome("'FAILED: m.f: status -5 (E_NAME): why (ran: yes)'");
        style = RPC_STYLE_MAP;
        assert_outcome("{'name':'FAILED','code':10,'message':'m.f: status -5 (E_NAME): why',"
                       "'ran':'yes','data':{'status':-5,'status_name':'E_NAME'}}");
        style = RPC_STYLE_TEXT;
        writer->ops->put_failure(writer, NULL, "why");
        for (size_t i = 0; i < ARRAY_SIZE(of_the_engine); i++) {
                call.row.status = of_the_engine[i].status;
                assert_outcome(of_the_engine[i].shown);
        }
        call.row.status = INT32_MIN;
        assert_outcome("'FAILED: m.f: status -2147483648: why (ran: yes)'");
}

static void make_rows(uint32_t n)
{
        call.rows = rows;
        call.n_rows = n;
        call.n_writers = n;
        call.writers = writers;
        for (uint32_t i = 0; i < n; i++) {
                rows[i] = (struct vmreq_row){
                        .cpu = i, .fate = VMREQ_FATE_DONE, .queued_ns = 1000 * i, .run_ns = 2000};
                rpc_writer_init(&writers[i], VMREQ_T_ANY, 4096);
                writers[i].base.ops->put_uint(&writers[i].base, 10 + i);
        }
}

static void drop_rows(void)
{
        for (uint32_t i = 0; i < call.n_rows; i++)
                rpc_writer_deinit(&writers[i]);
        call.n_rows = 0;
        call.n_writers = 1;
        call.writers = &call.one_writer;
}

static void test_rows(void **state)
{
        (void)state;
        make_rows(3);
        call.options.cpu = VMREQ_CPU_ALL;
        assert_outcome("[{'cpu':0,'fate':'DONE','status':0,'value':10,'queued_us':0,"
                       "'run_us':2},{'cpu':1,'fate':'DONE','status':0,'value':11,"
                       "'queued_us':1,'run_us':2},{'cpu':2,'fate':'DONE','status':0,"
                       "'value':12,'queued_us':2,'run_us':2}]");
        call.options.cpu = VMREQ_CPU_ALL_REVERSE;
        rows[0].fate = VMREQ_FATE_RUNNING;
        rows[1].status = -7;
        writers[1].base.ops->put_failure(&writers[1].base, "E", "why");
        rows[2].fate = VMREQ_FATE_SKIPPED;
        assert_outcome("[{'cpu':2,'fate':'SKIPPED','status':0,'value':nil,'queued_us':2,"
                       "'run_us':2},{'cpu':1,'fate':'DONE','status':-7,'value':nil,"
                       "'queued_us':1,'run_us':2,'error':'why'},{'cpu':0,'fate':'RUNNING',"
                       "'status':0,'value':nil,'queued_us':0,'run_us':2}]");
        drop_rows();
}

/* A row whose module wrote nonsense says so instead of a value; the frame stays whole. */
static void test_rows_with_nonsense(void **state)
{
        (void)state;
        make_rows(2);
        call.options.cpu = VMREQ_CPU_ALL;
        writers[0].base.ops->put_array(&writers[0].base, 5);
        assert_outcome("[{'cpu':0,'fate':'DONE','status':0,'value':nil,'queued_us':0,"
                       "'run_us':2,'error':'the function did not write exactly one result'},"
                       "{'cpu':1,'fate':'DONE','status':0,'value':11,'queued_us':1,"
                       "'run_us':2}]");
        drop_rows();
}

static void test_one_cpu(void **state)
{
        (void)state;
        call.rows = rows;
        call.n_rows = 1;
        rows[0] = (struct vmreq_row){.cpu = 0, .fate = VMREQ_FATE_DONE};
        call.one_writer.base.ops->put_nil(&call.one_writer.base);
        assert_outcome("[{'cpu':0,'fate':'DONE','status':0,'value':nil,'queued_us':0,'run_us':0}]");
        call.n_rows = 0;
}

static void test_dropped_results_are_said_to_be(void **state)
{
        (void)state;
        call.dropped = true;
        assert_outcome("'BUSY: m.f: the result was dropped: it was over this connection's "
                       "share of bytes when it came (ran: yes)'");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_results),
                TEST(test_words),
                TEST(test_faults_of_the_module),
                TEST(test_fates),
                TEST(test_statuses),
                TEST(test_rows),
                TEST(test_rows_with_nonsense),
                TEST(test_one_cpu),
                TEST(test_dropped_results_are_said_to_be),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
