/* SPDX-License-Identifier: MIT */
/* The reference: golden output, and text that would be markup. */

#include "client/markdown.h"
#include "unit/client/tree.h"

static void test_symbol(void **state)
{
        (void)state;
        expect_json_render(
                markdown_symbol,
                "{\"name\": \"a.b\", \"signature\": \"a.b(n: i32 = 5) -> any\","
                " \"doc\": \"First line.\\n\\nMore *of* it <b>.\", \"result\": \"any\","
                " \"flags\": [\"read-only\"], \"cpu\": \"all\", \"timeout_ms\": 1500, \"module\": \"m\","
                " \"params\": [{\"name\": \"n\", \"type\": \"i32\", \"default\": 5, \"min\": 0, \"max\": 9,"
                " \"doc\": \"How | many.\", \"sensitive\": true}]}",
                "\n## `a.b(n: i32 = 5) -> any`\n\nFirst line.\n\nMore \\*of\\* it \\<b\\>.\n"
                "\n| argument | type | default | range | |\n|---|---|---|---|---|\n"
                "| `n` | `i32` | `5` | `0..9` | How \\| many. (sensitive) |\n"
                "\n- result: `any`\n- flags: `[read-only]`\n- cpu: `all`\n- time limit: 1.5 s\n"
                "- module: `m`\n");
}

static void test_hostile(void **state)
{
        (void)state;
        expect_json_render(
                markdown_symbol,
                "{\"name\": \"a`b``c\", \"doc\": \"\\u001b[2J\\u0000 `x\", \"params\": [7]}",
                "\n## ``` a`b``c ```\n\n\\x1b\\[2J\\x00 \\`x\n"
                "\n| argument | type | default | range | |\n|---|---|---|---|---|\n"
                "| `` | `` |  |  |  |\n\n");
        expect_json_render(markdown_symbol, "null", "\n## ``\n\n\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_symbol),
                cmocka_unit_test(test_hostile),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
