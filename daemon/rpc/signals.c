/* SPDX-License-Identifier: MIT */
#include "rpc/signals.h"

#include <signal.h>
#include <uv.h>

#include "base/macros.h"

static uv_signal_t kept[3];

static void on_signal(uv_signal_t *handle, int number)
{
        (void)handle;
        (void)number;
}

int rpc_signals_keep(void)
{
        static const int numbers[ARRAY_SIZE(kept)] = {SIGTERM, SIGINT, SIGHUP};

        for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
                int r = uv_signal_init(uv_default_loop(), &kept[i]);

                r = r ? r : uv_signal_start(&kept[i], on_signal, numbers[i]);
                if (r)
                        return r;
        }
        return 0;
}
