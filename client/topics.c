/* SPDX-License-Identifier: MIT */
#include "client/report.h"
#include "client/topics.h"

static int ask(struct ctl *ctl, const char *method, const char *const *names, size_t n,
               struct ctl_value *value)
{
        struct proto_builder params;
        uint32_t msgid;
        int r;

        proto_builder_init(&params, CTL_PARAMS_MAX);
        proto_put_array(&params, (uint32_t)n);
        for (size_t i = 0; i < n; i++)
                proto_put_text(&params, names[i]);
        r = ctl_submit(ctl, method, &params, &msgid);
        if (r == CTL_DONE)
                r = ctl_wait(ctl, msgid, value);
        proto_builder_deinit(&params);
        return r;
}

int topics_subscribe(struct ctl *ctl, const char *const *names, size_t n)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r = ask(ctl, "vmreq.subscribe", names, n, &value);

        if (r == CTL_DONE && value.answer.failed)
                r = report_answer(&value.answer, NULL);
        ctl_value_deinit(&value);
        return r;
}

int topics_try(struct ctl *ctl, const char *name)
{
        struct ctl_value value = CTL_VALUE_NULL;
        int r = ask(ctl, "vmreq.subscribe", &name, 1, &value);

        ctl_value_deinit(&value);
        return r;
}

void topics_unsubscribe(struct ctl *ctl)
{
        struct ctl_value value = CTL_VALUE_NULL;
        struct vmreq_client_answer answer;
        int r;

        /* With a lost connection they are gone anyway, and that has been said. */
        if (!ctl->shell || vmreq_client_reason(ctl->client)[0] != '\0')
                return;
        ctl_set_limit(ctl, TOPICS_MS);
        r = ask(ctl, "vmreq.unsubscribe", NULL, 0, &value);
        ctl_value_deinit(&value);
        if (r != CTL_DONE)
                return;
        while (vmreq_client_next(ctl->client, 0, &answer) == 0)
                vmreq_client_answer_deinit(&answer);
}
