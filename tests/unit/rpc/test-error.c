/* SPDX-License-Identifier: MIT */
/* Errors: every code in every style, data, and what is too long. */
#include "unit/rpc/wire.h"

#include <unistd.h>

#include "proto/frame.h"
#include "rpc/error.h"
#include "rpc/server-internal.h"

static struct proto_builder out;

static int start(void **state)
{
        (void)state;
        log_init(-1, LOG_L_ERROR);
        proto_builder_init(&out, 65536);
        return 0;
}

static int end(void **state)
{
        (void)state;
        proto_builder_deinit(&out);
        return 0;
}

static void assert_put(const struct rpc_error *error, enum rpc_style style, const char *shown)
{
        proto_builder_reset(&out);
        rpc_error_put(&out, error, style);
        assert_wire_builder(&out, shown);
}

static void test_every_code_in_every_style(void **state)
{
        static const char *const rans[] = {"no", "yes", "maybe"};
        struct rpc_error error;
        char shown[512];

        (void)state;
        for (int code = 1; code < _PROTO_CODE_N; code++) {
                for (int ran = 0; ran < _PROTO_RAN_N; ran++) {
                        const char *name = proto_code_to_string(code);

                        rpc_error_set(&error, code, ran, "text %d", 5);
                        (void)snprintf(shown, sizeof(shown), "'%s: text 5 (ran: %s)'", name,
                                       rans[ran]);
                        assert_put(&error, RPC_STYLE_TEXT, shown);
                        (void)snprintf(shown, sizeof(shown), "[%d,'%s: text 5 (ran: %s)']",
                                       code == PROTO_INVALID_ARGUMENT ||
                                               code == PROTO_INVALID_REQUEST,
                                       name, rans[ran]);
                        assert_put(&error, RPC_STYLE_PAIR, shown);
                        (void)snprintf(
                                shown, sizeof(shown),
                                "{'name':'%s','code':%d,'message':'text 5','ran':'%s','data':{}}",
                                name, code, rans[ran]);
                        assert_put(&error, RPC_STYLE_MAP, shown);
                }
        }
}

static void test_data(void **state)
{
        char word[] = "calls";
        struct rpc_error error;

        (void)state;
        rpc_error_set(&error, PROTO_BUSY, PROTO_RAN_NO, "full");
        rpc_error_add_word(&error, "limit", word);
        rpc_error_add_number(&error, "usage", -5);
        word[0] = 'x'; /* it was copied */
        assert_put(
                &error, RPC_STYLE_MAP,
                "{'name':'BUSY','code':4,'message':'full','ran':'no','data':{'limit':'calls','usage':-5}}");
        /* More than there is room for is left out, not written elsewhere. */
        for (int i = 0; i < 2 * RPC_ERROR_DATA_MAX; i++)
                rpc_error_add_number(&error, "n", i);
        assert_int_equal(error.n_data, RPC_ERROR_DATA_MAX);
}

static void test_long_words_are_cut(void **state)
{
        char word[2 * RPC_ERROR_WORDS_MAX];
        struct rpc_error error;

        (void)state;
        memset(word, 'w', sizeof(word) - 1);
        word[sizeof(word) - 1] = '\0';
        rpc_error_set(&error, PROTO_BUSY, PROTO_RAN_NO, "full");
        rpc_error_add_word(&error, "a", "short");
        rpc_error_add_word(&error, "b", word);
        rpc_error_add_word(&error, "c", "no room");
        assert_int_equal(error.n_data, 2);
        assert_int_equal(error.n_words, RPC_ERROR_WORDS_MAX);
        assert_string_equal(error.words + error.data[0].word, "short");
        assert_int_equal(strlen(error.words + error.data[1].word), RPC_ERROR_WORDS_MAX - 7);
}

static void test_long_texts_are_cut(void **state)
{
        static char text[8192];
        struct proto_frame frame;
        struct rpc_error error;

        (void)state;
        memset(text, 'x', sizeof(text) - 1);
        rpc_error_set(&error, PROTO_INTERNAL, PROTO_RAN_NO, "%s", text);
        for (int style = 0; style < 3; style++) {
                proto_builder_reset(&out);
                proto_put_array(&out, 1);
                rpc_error_put(&out, &error, style);
                proto_frame_init(&frame, 65536);
                assert_int_equal(proto_frame_scan(&frame, out.data, out.len), PROTO_FRAME_DONE);
                assert_int_equal(frame.pos, out.len);
                if (style != RPC_STYLE_MAP) /* the ending is what tells whether to retry */
                        assert_non_null(memmem(out.data, out.len, " (ran: no)", 10));
        }
}

/* The number in the message is the one in the log. */
static void test_faults_are_numbered_and_logged(void **state)
{
        struct rpc_server *server = calloc(1, sizeof(*server));
        struct rpc_error error;
        char line[512];
        int pipe_fds[2];
        ssize_t n;

        (void)state;
        assert_non_null(server);
        assert_int_equal(pipe(pipe_fds), 0);
        log_init(pipe_fds[1], LOG_L_ERROR);
        rpc_error_fault(&error, server, PROTO_RAN_YES, "m.f: %s", "odd");
        log_init(-1, LOG_L_ERROR);
        n = read(pipe_fds[0], line, sizeof(line) - 1);
        assert_true(n > 0);
        line[n] = '\0';
        assert_non_null(strstr(line, "fault 1: m.f: odd"));
        assert_put(
                &error, RPC_STYLE_MAP,
                "{'name':'INTERNAL','code':13,'message':'m.f: odd; fault 1 of the log','ran':'yes',"
                "'data':{'fault':1}}");
        rpc_error_fault(&error, server, PROTO_RAN_NO, "again");
        assert_string_equal(error.text, "again; fault 2 of the log");
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        free(server);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
        const struct CMUnitTest tests[] = {
                TEST(test_every_code_in_every_style),
                TEST(test_data),
                TEST(test_long_words_are_cut),
                TEST(test_long_texts_are_cut),
                TEST(test_faults_are_numbered_and_logged),
        };

        (void)alarm(50);
        return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
