/* SPDX-License-Identifier: MIT */
/* The 16550: registers as drivers use them, its interrupt line, loopback, and every access there
 * is. */
#include "machine/serial.h"

#include "unit/machine/machine-test.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct console console;
static struct serial serial;
static int line, edges;

static void set_irq(void *ctx, bool level)
{
        CHECK(ctx == &line);
        CHECK(line != level);
        line = level;
        edges++;
}

static int start(void **state)
{
        (void)state;
        line = edges = 0;
        if (console_init(&console, NULL, NULL))
                return -1;
        return serial_init(&serial, &console, set_irq, &line);
}

static int end(void **state)
{
        (void)state;
        serial_deinit(&serial);
        console_deinit(&console);
        return 0;
}

static uint8_t in(unsigned reg)
{
        uint8_t byte = 0xff;

        serial_ops.read(&serial, reg, &byte, 1);
        return byte;
}

static void out(unsigned reg, uint8_t value)
{
        assert_int_equal(serial_ops.write(&serial, reg, &value, 1), BUS_DONE);
}

static void type(const char *text)
{
        assert_int_equal(console_type(&console, (const uint8_t *)text, strlen(text)), strlen(text));
        serial_input(&serial);
}

static void test_output(void **state)
{
        uint64_t position = 0, lost;
        char data[16] = "";

        (void)state;
        for (const char *c = "hi\n"; *c; c++) {
                assert_int_equal(in(LSR)&0x60, 0x60);
                out(DATA, (uint8_t)*c);
        }
        assert_int_equal(console_read(&console, &position, data, sizeof(data), &lost), 3);
        assert_string_equal(data, "hi\n");
        assert_int_equal(edges, 0);
}

static void test_input(void **state)
{
        (void)state;
        assert_int_equal(in(LSR)&1, 0);
        assert_int_equal(in(DATA), 0);
        type("ab");
        assert_int_equal(in(LSR)&1, 1);
        assert_int_equal(in(DATA), 'a');
        assert_int_equal(in(LSR)&1, 1);
        assert_int_equal(in(DATA), 'b');
        assert_int_equal(in(LSR)&1, 0);
        assert_int_equal(edges, 0);
}

static void test_receive_interrupt(void **state)
{
        (void)state;
        out(IER, 1);
        assert_int_equal(line, 0);
        assert_int_equal(in(IIR)&0x0f, 1);
        type("xy");
        assert_int_equal(line, 1);
        assert_int_equal(in(IIR)&0x0f, 4);
        assert_int_equal(in(DATA), 'x');
        assert_int_equal(line, 1);
        assert_int_equal(in(DATA), 'y');
        assert_int_equal(line, 0);
        assert_int_equal(in(IIR)&0x0f, 1);
        type("z");
        out(IER, 0);
        assert_int_equal(line, 0);
        out(IER, 1); /* what waits interrupts as soon as it may */
        assert_int_equal(line, 1);
        serial_reset(&serial);
        assert_int_equal(line, 0);
}

static void test_transmit_interrupt(void **state)
{
        (void)state;
        out(IER, 2);
        assert_int_equal(line, 1);
        assert_int_equal(in(IIR)&0x0f, 2);
        assert_int_equal(line, 0); /* noted */
        assert_int_equal(in(IIR)&0x0f, 1);
        out(DATA, 'a');
        assert_int_equal(line, 1);
        out(IER, 3);
        type("b");
        assert_int_equal(in(IIR)&0x0f, 4); /* received data first */
        assert_int_equal(in(DATA), 'b');
        assert_int_equal(in(IIR)&0x0f, 2);
        assert_int_equal(line, 0);
        out(IER, 3); /* it was enabled already */
        assert_int_equal(line, 0);
}

/* How Linux finds out what is there. */
static void test_probe(void **state)
{
        (void)state;
        out(SCR, 0x5a);
        assert_int_equal(in(SCR), 0x5a);
        out(IER, 0xff);
        assert_int_equal(in(IER), 0x0f);
        out(IER, 0);
        assert_int_equal(in(IIR)&0xc0, 0);
        out(IIR, 1);
        assert_int_equal(in(IIR)&0xc0, 0xc0);
        out(LCR, 0x80);
        out(DATA, 1);
        out(IER, 2);
        assert_int_equal(in(DATA), 1);
        assert_int_equal(in(IER), 2);
        out(LCR, 3);
        assert_int_equal(in(LCR), 3);
        assert_int_equal(in(IER), 0);
        assert_int_equal(console_end(&console), 0); /* the divisor is no text */
        out(MCR, 0x1a);
        assert_int_equal(in(MSR)&0xf0, 0x90);
        out(MCR, 0xff);
        assert_int_equal(in(MCR), 0x1f);
        out(MCR, 0);
        assert_int_equal(in(MSR), 0xb0);
}

static void test_loopback(void **state)
{
        (void)state;
        type("t");
        out(MCR, 0x10);
        assert_int_equal(in(LSR)&1, 0);
        out(DATA, 'l');
        assert_int_equal(in(LSR)&1, 1);
        assert_int_equal(in(DATA), 'l');
        assert_int_equal(in(DATA), 0);
        out(DATA, 'l');
        out(IIR, 7); /* clears it */
        assert_int_equal(in(LSR)&1, 0);
        out(MCR, 0);
        assert_int_equal(in(DATA), 't'); /* what was typed is still there */
        assert_int_equal(console_end(&console), 0);
}

/* Every register, width and value; the last register's neighbours are nobody's. */
static void test_any_access(void **state)
{
        (void)state;
        for (unsigned value = 0; value < 256; value++) {
                for (unsigned reg = 0; reg < 8; reg++) {
                        for (uint32_t len = 1; len <= 8; len *= 2) {
                                uint8_t data[8], *copy = malloc(len);

                                assert_non_null(copy);
                                memset(copy, (int)value, len);
                                assert_int_equal(serial_ops.write(&serial, reg, copy, len),
                                                 BUS_DONE);
                                memset(data, 0xff, sizeof(data));
                                serial_ops.read(&serial, reg, data, len);
                                for (uint32_t i = 8 - reg; i < len; i++)
                                        assert_int_equal(data[i], 0xff);
                                free(copy);
                        }
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_output, start, end),
                cmocka_unit_test_setup_teardown(test_input, start, end),
                cmocka_unit_test_setup_teardown(test_receive_interrupt, start, end),
                cmocka_unit_test_setup_teardown(test_transmit_interrupt, start, end),
                cmocka_unit_test_setup_teardown(test_probe, start, end),
                cmocka_unit_test_setup_teardown(test_loopback, start, end),
                cmocka_unit_test_setup_teardown(test_any_access, start, end),
        };

        return RUN_TESTS(tests);
}
