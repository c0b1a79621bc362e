/* SPDX-License-Identifier: MIT */
/*
 * The bus: who answers where, what may be added, and changes while vCPUs use it: a removed device
 * is released once, after the last call into it, by whoever finds out.
 */
#include "machine/bus.h"

#include <errno.h>

#include "unit/machine/machine-test.h"

#define READERS 3u

struct device {
        uint8_t value;
        _Atomic uint32_t inside, released, calls;
        _Atomic uint64_t offset;
        _Atomic uint32_t len;
        enum bus_outcome outcome;
        struct bus *remove_from; /* removes itself, from inside */
        uint64_t remove_at;
};

static struct bus bus;

static void device_read(void *ctx, uint64_t offset, uint8_t *data, uint32_t len)
{
        struct device *device = ctx;

        atomic_fetch_add(&device->inside, 1);
        CHECK(!atomic_load(&device->released));
        for (uint32_t i = 0; i < len; i++)
                CHECK(data[i] == 0xff);
        data[0] = device->value;
        atomic_store(&device->offset, offset);
        atomic_store(&device->len, len);
        atomic_fetch_add(&device->calls, 1);
        if (device->remove_from) {
                CHECK(bus_remove(device->remove_from, device->remove_at) == 0);
                CHECK(!atomic_load(&device->released));
        }
        atomic_fetch_sub(&device->inside, 1);
}

static enum bus_outcome device_write(void *ctx, uint64_t offset, const uint8_t *data, uint32_t len)
{
        struct device *device = ctx;

        device->offset = offset;
        device->len = len;
        device->value = data[0];
        return device->outcome;
}

static void device_release(void *ctx)
{
        struct device *device = ctx;

        CHECK(!atomic_load(&device->inside));
        CHECK(atomic_fetch_add(&device->released, 1) == 0);
}

static const struct bus_ops ops = {device_read, device_write, device_release};

static int add(uint64_t at, uint64_t size, struct device *device)
{
        struct bus_range range = {"device", at, size, &ops, device};

        return bus_add(&bus, &range);
}

/* The byte that is read there; -1: nobody answers. */
static int read_at(uint64_t address)
{
        uint8_t data[8];
        bool found;

        bus_read(&bus, 0, address, data, 4, &found);
        if (!found)
                assert_memory_equal(data, "\xff\xff\xff\xff", 4);
        return found ? data[0] : -1;
}

static int start(void **state)
{
        (void)state;
        return bus_init(&bus, READERS);
}

static int end(void **state)
{
        (void)state;
        bus_deinit(&bus);
        bus_deinit(&bus);
        return 0;
}

static void test_lookup(void **state)
{
        struct device a = {.value = 1}, b = {.value = 2}, c = {.value = 3};

        (void)state;
        assert_int_equal(read_at(0), -1);
        assert_int_equal(add(0x3f8, 8, &b), 0);
        assert_int_equal(add(0x70, 2, &a), 0);
        assert_int_equal(add(0x400, 1, &c), 0);
        assert_int_equal(read_at(0x6f), -1);
        assert_int_equal(read_at(0x70), 1);
        assert_int_equal(read_at(0x71), 1);
        assert_int_equal(a.offset, 1);
        assert_int_equal(a.len, 4);
        assert_int_equal(read_at(0x72), -1);
        assert_int_equal(read_at(0x3f7), -1);
        assert_int_equal(read_at(0x3f8), 2);
        assert_int_equal(read_at(0x3ff), 2);
        assert_int_equal(read_at(0x400), 3);
        assert_int_equal(read_at(0x401), -1);
        assert_int_equal(read_at(UINT64_MAX), -1);
        bus_deinit(&bus);
        assert_int_equal(
                atomic_load(&a.released) + atomic_load(&b.released) + atomic_load(&c.released), 3);
}

static void test_write(void **state)
{
        struct device device = {.outcome = BUS_POWER_OFF};
        uint8_t data[4] = {9, 8, 7, 6};
        bool found;

        (void)state;
        assert_int_equal(add(0x10, 4, &device), 0);
        assert_int_equal(bus_write(&bus, 1, 0x12, data, 4, &found), BUS_POWER_OFF);
        assert_true(found);
        assert_int_equal(device.value, 9);
        assert_int_equal(device.offset, 2);
        assert_int_equal(bus_write(&bus, 1, 0x14, data, 4, &found), BUS_DONE);
        assert_false(found);
        bus_deinit(&bus); /* before the device goes */
}

static void test_refused(void **state)
{
        struct device device = {0};

        (void)state;
        assert_int_equal(add(5, 0, &device), -EINVAL);
        assert_int_equal(add(UINT64_MAX, 2, &device), -EINVAL);
        assert_int_equal(add(UINT64_MAX, 1, &device), 0);
        assert_int_equal(read_at(UINT64_MAX), 0);
        assert_int_equal(add(0x100, 0x10, &device), 0);
        assert_int_equal(add(0x100, 1, &device), -EEXIST);
        assert_int_equal(add(0x10f, 1, &device), -EEXIST);
        assert_int_equal(add(0xff, 2, &device), -EEXIST);
        assert_int_equal(add(0, UINT64_MAX, &device), -EEXIST);
        assert_int_equal(add(0xf0, 0x10, &device), 0);
        assert_int_equal(add(0x110, 1, &device), 0);
        assert_int_equal(bus_remove(&bus, 0x101), -ENOENT);
        assert_int_equal(bus_remove(&bus, 0x111), -ENOENT);
        assert_int_equal(atomic_load(&device.released), 0);
        atomic_store(&device.released, 0);
        assert_int_equal(bus_list(&bus, NULL, 0), 4);
        /* One device in four places: its release would be counted four times. */
        for (uint64_t at = 0xf0; at <= 0x110; at += 0x10) {
                assert_int_equal(bus_remove(&bus, at), 0);
                assert_int_equal(atomic_exchange(&device.released, 0), 1);
        }
        assert_int_equal(bus_remove(&bus, UINT64_MAX), 0);
        assert_int_equal(bus_list(&bus, NULL, 0), 0);
}

static void test_full(void **state)
{
        static struct device devices[BUS_RANGES_MAX];
        struct bus_range list[BUS_RANGES_MAX];
        struct device more = {0};

        (void)state;
        for (unsigned i = 0; i < BUS_RANGES_MAX; i++) {
                devices[i].value = (uint8_t)i;
                assert_int_equal(add((i * 37 % BUS_RANGES_MAX) * 16, 16, &devices[i]), 0);
        }
        assert_int_equal(add(1u << 20, 1, &more), -ENOSPC);
        assert_int_equal(bus_list(&bus, list, BUS_RANGES_MAX), BUS_RANGES_MAX);
        for (unsigned i = 0; i < BUS_RANGES_MAX; i++) {
                assert_int_equal(list[i].start, i * 16);
                assert_int_equal(read_at((i * 37 % BUS_RANGES_MAX) * 16 + 15), i);
        }
        assert_int_equal(bus_remove(&bus, 0), 0);
        assert_int_equal(atomic_load(&devices[0].released), 1);
        assert_int_equal(add(1u << 20, 1, &more), 0);
        bus_deinit(&bus);
}

static void test_removes_itself(void **state)
{
        struct device device = {.value = 5, .remove_from = &bus, .remove_at = 0x20};

        (void)state;
        assert_int_equal(add(0x20, 1, &device), 0);
        assert_int_equal(read_at(0x20), 5);
        assert_int_equal(atomic_load(&device.released), 1);
        assert_int_equal(read_at(0x20), -1);
}

/* ---- changes under use ---- */

#define ROUNDS 20000u

static _Atomic bool stop;

static void *use(void *arg)
{
        uint32_t reader = (uint32_t)(uintptr_t)arg;

        while (!atomic_load(&stop)) {
                uint8_t data[8];
                bool found;

                bus_read(&bus, reader, 0x40, data, 1, &found);
                bus_read(&bus, reader, 0x50, data, 1, &found);
                CHECK(found && data[0] == 77);
        }
        return NULL;
}

/* Two vCPUs that never stop, and a third thread that plugs a device in and out. */
static void test_changes_under_use(void **state)
{
        struct device stays = {.value = 77}, comes = {.value = 1};
        pthread_t threads[READERS - 1];

        (void)state;
        atomic_store(&stop, false);
        assert_int_equal(add(0x50, 1, &stays), 0);
        for (uintptr_t i = 0; i < READERS - 1; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)i), 0);
        UNTIL(atomic_load(&stays.calls) > 100);
        for (uint32_t i = 0; i < ROUNDS; i++) {
                assert_int_equal(add(0x40, 1, &comes), 0);
                assert_int_equal(bus_remove(&bus, 0x40), 0);
                /* Perhaps by a vCPU that is on its way out. */
                UNTIL(atomic_load(&comes.released) == 1);
                atomic_store(&comes.released, 0);
        }
        atomic_store(&stop, true);
        for (unsigned i = 0; i < READERS - 1; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(atomic_load(&bus.n_retired), 0);
        bus_deinit(&bus);
        assert_int_equal(atomic_load(&stays.released), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_lookup, start, end),
                cmocka_unit_test_setup_teardown(test_write, start, end),
                cmocka_unit_test_setup_teardown(test_refused, start, end),
                cmocka_unit_test_setup_teardown(test_full, start, end),
                cmocka_unit_test_setup_teardown(test_removes_itself, start, end),
                cmocka_unit_test_setup_teardown(test_changes_under_use, start, end),
        };

        return RUN_TESTS(tests);
}
