/* SPDX-License-Identifier: MIT */
/* Maps from strangers: what is missing or of another type is absent. */

#include "client/fields.h"
#include "unit/client/tree.h"

static void test_fields(void **state)
{
        struct tree tree;
        uint64_t u = 9;
        int64_t i = 9;

        (void)state;
        tree_from_json(
                &tree,
                "{\"n\": null, \"t\": \"text\", \"e\": \"\", \"u\": 7, \"i\": -7, \"y\": true,"
                " \"f\": false, \"a\": [1], \"m\": {}}");
        assert_null(field_get(tree.root, "n"));
        assert_null(field_get(tree.root, "missing"));
        assert_null(field_get(NULL, "t"));
        assert_null(field_get(field_array(tree.root, "a"), "t"));
        assert_int_equal(field_text(tree.root, "t").len, 4);
        assert_memory_equal(field_text(tree.root, "t").data, "text", 4);
        assert_int_equal(field_text(tree.root, "e").len, 0);
        assert_int_equal(field_text(tree.root, "u").len, 0);
        assert_non_null(field_text(tree.root, "missing").data);
        assert_true(field_uint(tree.root, "u", &u) && u == 7);
        assert_false(field_uint(tree.root, "i", &u));
        assert_false(field_uint(tree.root, "t", &u));
        assert_true(field_int(tree.root, "u", &i) && i == 7);
        assert_true(field_int(tree.root, "i", &i) && i == -7);
        assert_false(field_int(tree.root, "a", &i));
        assert_true(field_true(tree.root, "y"));
        assert_false(field_true(tree.root, "f"));
        assert_false(field_true(tree.root, "u"));
        assert_non_null(field_array(tree.root, "a"));
        assert_null(field_array(tree.root, "m"));
        tree_deinit(&tree);

        tree_from_bytes(&tree,
                        "\x82\xa1u\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1"
                        "b\xc4\x01z",
                        17);
        assert_false(field_int(tree.root, "u", &i));
        assert_true(field_uint(tree.root, "u", &u) && u == UINT64_MAX);
        assert_int_equal(field_text(tree.root, "b").len, 1);
        tree_deinit(&tree);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fields),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
