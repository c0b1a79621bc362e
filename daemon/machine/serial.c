/* SPDX-License-Identifier: MIT */
/*
 * A 16550A as its data sheet has it, of which the wire is a console: it transmits in no time, so
 * the transmitter is always empty, and receives what is typed.
 *
 * Called by the bus on the accessing vCPU's EMT, several at once; input comes from any EMT.  One
 * lock, held for a register.  Under it the console's lock is taken and set_irq called (an ioctl of
 * the kernel's interrupt controller that does not block).
 *
 * The interrupt line follows one condition, computed anew after each change (update): some enabled
 * source is pending.  Sources, highest first: received data, transmitter empty.  Line status and
 * modem status never change, so they never interrupt.
 */
#include "machine/serial.h"

#include <errno.h>

#include "base/check.h"

enum {
        REG_DATA = 0, /* DLL with DLAB */
        REG_IER = 1,  /* DLM with DLAB */
        REG_IIR = 2,  /* read; FCR when written */
        REG_LCR = 3,
        REG_MCR = 4,
        REG_LSR = 5,
        REG_MSR = 6,
        REG_SCR = 7,
};

#define IER_RECEIVED  0x01u
#define IER_THR_EMPTY 0x02u
#define IER_MASK      0x0fu

#define IIR_NONE      0x01u
#define IIR_THR_EMPTY 0x02u
#define IIR_RECEIVED  0x04u
#define IIR_FIFOS     0xc0u

#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u

#define LCR_DLAB 0x80u

#define MCR_MASK     0x1fu
#define MCR_LOOPBACK 0x10u

#define LSR_DATA_READY 0x01u
#define LSR_THR_EMPTY  0x20u
#define LSR_IDLE       0x40u

#define MSR_CONNECTED 0xb0u /* DCD, DSR, CTS */

static void lock(struct serial *serial)
{
        CHECK(pthread_mutex_lock(&serial->lock) == 0);
}

static void unlock(struct serial *serial)
{
        CHECK(pthread_mutex_unlock(&serial->lock) == 0);
}

static bool has_data(const struct serial *serial)
{
        if (serial->mcr & MCR_LOOPBACK)
                return serial->looped >= 0;
        return console_has_input(serial->console);
}

/* The most urgent source that is enabled and pending, as IIR says it. */
static uint8_t source(const struct serial *serial)
{
        if (serial->ier & IER_RECEIVED && has_data(serial))
                return IIR_RECEIVED;
        if (serial->ier & IER_THR_EMPTY && serial->thr_pending)
                return IIR_THR_EMPTY;
        return IIR_NONE;
}

static void update(struct serial *serial)
{
        bool level = source(serial) != IIR_NONE;

        if (level == serial->level)
                return;
        serial->level = level;
        if (serial->set_irq)
                serial->set_irq(serial->ctx, level);
}

static uint8_t receive(struct serial *serial)
{
        int byte;

        if (serial->mcr & MCR_LOOPBACK) {
                byte = serial->looped;
                serial->looped = -1;
        } else {
                byte = console_take(serial->console);
        }
        return byte < 0 ? 0 : (uint8_t)byte;
}

static void transmit(struct serial *serial, uint8_t byte)
{
        if (serial->mcr & MCR_LOOPBACK)
                serial->looped = byte;
        else
                console_write(serial->console, &byte, 1);
        serial->thr_pending = true;
}

static uint8_t read_iir(struct serial *serial)
{
        uint8_t iir = source(serial);

        /* Reading it takes note of an empty transmitter. */
        if (iir == IIR_THR_EMPTY)
                serial->thr_pending = false;
        return (uint8_t)(iir | (serial->fcr & FCR_ENABLE ? IIR_FIFOS : 0));
}

/* In loopback the outputs of MCR are the inputs of MSR. */
static uint8_t read_msr(const struct serial *serial)
{
        if (!(serial->mcr & MCR_LOOPBACK))
                return MSR_CONNECTED;
        return (uint8_t)((serial->mcr & 0x0c) << 4 | (serial->mcr & 0x02) << 3 |
                         (serial->mcr & 0x01) << 5);
}

static uint8_t read_register(struct serial *serial, unsigned reg)
{
        bool dlab = serial->lcr & LCR_DLAB;

        switch (reg) {
        case REG_DATA:
                return dlab ? serial->dll : receive(serial);
        case REG_IER:
                return dlab ? serial->dlm : serial->ier;
        case REG_IIR:
                return read_iir(serial);
        case REG_LCR:
                return serial->lcr;
        case REG_MCR:
                return serial->mcr;
        case REG_LSR:
                return (uint8_t)(LSR_THR_EMPTY | LSR_IDLE |
                                 (has_data(serial) ? LSR_DATA_READY : 0));
        case REG_MSR:
                return read_msr(serial);
        default:
                return serial->scr;
        }
}

static void write_ier(struct serial *serial, uint8_t value)
{
        /* Enabling it while the transmitter is empty interrupts, as drivers expect. */
        if (value & ~serial->ier & IER_THR_EMPTY)
                serial->thr_pending = true;
        serial->ier = value & IER_MASK;
}

static void write_fcr(struct serial *serial, uint8_t value)
{
        serial->fcr = value;
        /* What was typed is still on the wire until it is read: a driver that clears the FIFO as it
         * starts loses nothing of it. */
        if (value & FCR_CLEAR_RX)
                serial->looped = -1;
}

static void write_register(struct serial *serial, unsigned reg, uint8_t value)
{
        bool dlab = serial->lcr & LCR_DLAB;

        switch (reg) {
        case REG_DATA:
                if (dlab)
                        serial->dll = value;
                else
                        transmit(serial, value);
                break;
        case REG_IER:
                if (dlab)
                        serial->dlm = value;
                else
                        write_ier(serial, value);
                break;
        case REG_IIR:
                write_fcr(serial, value);
                break;
        case REG_LCR:
                serial->lcr = value;
                break;
        case REG_MCR:
                serial->mcr = value & MCR_MASK;
                break;
        case REG_SCR:
                serial->scr = value;
                break;
        default:
                break; /* LSR and MSR are read-only */
        }
}

/* Wider accesses are as many of a byte, at ascending registers, as on an 8-bit bus. */
static void serial_read(void *ctx, uint64_t offset, uint8_t *data, uint32_t len)
{
        struct serial *serial = ctx;

        lock(serial);
        for (uint32_t i = 0; i < len && offset + i < SERIAL_SIZE; i++)
                data[i] = read_register(serial, (unsigned)(offset + i));
        update(serial);
        unlock(serial);
}

static enum bus_outcome serial_write(void *ctx, uint64_t offset, const uint8_t *data, uint32_t len)
{
        struct serial *serial = ctx;

        lock(serial);
        for (uint32_t i = 0; i < len && offset + i < SERIAL_SIZE; i++)
                write_register(serial, (unsigned)(offset + i), data[i]);
        update(serial);
        unlock(serial);
        return BUS_DONE;
}

const struct bus_ops serial_ops = {
        .read = serial_read,
        .write = serial_write,
};

void serial_input(struct serial *serial)
{
        lock(serial);
        update(serial);
        unlock(serial);
}

void serial_reset(struct serial *serial)
{
        lock(serial);
        serial->ier = serial->lcr = serial->mcr = serial->scr = serial->fcr = 0;
        serial->dll = 12; /* 9600 baud */
        serial->dlm = 0;
        serial->thr_pending = false;
        serial->looped = -1;
        update(serial);
        unlock(serial);
}

int serial_init(struct serial *serial, struct console *console,
                void (*set_irq)(void *ctx, bool level), void *ctx)
{
        *serial = (struct serial){.console = console, .set_irq = set_irq, .ctx = ctx};
        if (pthread_mutex_init(&serial->lock, NULL))
                return -ENOMEM;
        serial_reset(serial);
        return 0;
}

void serial_deinit(struct serial *serial)
{
        (void)pthread_mutex_destroy(&serial->lock);
}
