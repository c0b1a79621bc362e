/* SPDX-License-Identifier: MIT */
/*
 * One connection of tool-flood: connects, sends its pattern's operations one after the other,
 * takes in answers where the pattern reads, and begins anew when it was closed.
 *
 * A link is in one of three places: in the epoll set with something to wait for, in flood->paced
 * until its next operation is due, or in flood->away until it may connect again.  Each request in
 * flight has a slot, so that an answer nobody is owed, or a second one, is noticed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "flood.h"
#include "proto/codes.h"
#include "proto/limits.h"
#include "proto/message.h"

#define READ_BYTES (64u << 10)

/* A link that was turned away waits so long before it knocks again. */
#define REFUSED_NS 100000000ull

/* Operations in one go, so that one link does not keep the others waiting. */
#define WORK_MAX 64

/* ---- numbers, slots ---- */

uint64_t flood_random(struct flood_link *link)
{
        uint64_t z = link->random += 0x9e3779b97f4a7c15ull; /* splitmix64 */

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        return z ^ z >> 31;
}

uint64_t flood_random_below(struct flood_link *link, uint64_t n)
{
        return flood_random(link) % n;
}

static void free_slots(struct flood_link *link)
{
        for (uint32_t i = 0; i < link->window; i++)
                link->slots[i] = (struct flood_slot){.next_free = i + 1};
        link->first_free = 0;
        link->flood->n_in_flight -= link->n_in_flight;
        link->n_in_flight = 0;
}

static bool has_slot(const struct flood_link *link)
{
        return link->first_free < link->window;
}

uint32_t flood_take_slot(struct flood_link *link)
{
        uint32_t slot = link->first_free;

        if (!has_slot(link))
                return UINT32_MAX; /* of a pattern that counts no answers */
        link->first_free = link->slots[slot].next_free;
        link->slots[slot].asked_ns = link->flood->now_ns;
        link->n_in_flight++;
        link->flood->n_in_flight++;
        return slot;
}

static void give_slot(struct flood_link *link, uint32_t slot)
{
        struct flood_counters *counters = &link->flood->counters;

        if (slot == UINT32_MAX)
                return;
        if (slot >= link->window || !link->slots[slot].asked_ns) {
                counters->unowed++;
                return;
        }
        flood_count_latency(counters, link->flood->now_ns - link->slots[slot].asked_ns);
        link->slots[slot] = (struct flood_slot){.next_free = link->first_free};
        link->first_free = slot;
        link->n_in_flight--;
        link->flood->n_in_flight--;
}

/* ---- life ---- */

int flood_link_init(struct flood_link *link, struct flood *flood, uint32_t number)
{
        const struct flood_options *options = &flood->options;

        link->flood = flood;
        link->number = number;
        link->pattern = flood_pattern_of(options->pattern, number);
        link->random = options->seed + number;
        link->fd = -1;
        link->window = options->window ? options->window : link->pattern->window;
        link->slots = calloc(link->window ? link->window : 1, sizeof(*link->slots));
        if (!link->slots)
                return -ENOMEM;
        free_slots(link);
        proto_builder_init(&link->out, SIZE_MAX / 2);
        TAILQ_INSERT_TAIL(&flood->away, link, wait_link);
        link->is_waiting = true;
        return 0;
}

void flood_link_deinit(struct flood_link *link)
{
        if (link->fd >= 0)
                (void)close(link->fd);
        proto_builder_deinit(&link->out);
        free(link->slots);
        free(link->in);
}

static void begun(struct flood_link *link)
{
        if (link->begun)
                return;
        link->begun = true;
        link->flood->n_begun++;
}

/* In order of due_ns: waits of one kind are equally long, so this is a step or two from the end. */
static void wait_until(struct flood_link_list *list, struct flood_link *link, uint64_t due_ns)
{
        struct flood_link *other = TAILQ_LAST(list, flood_link_list);

        link->due_ns = due_ns;
        link->is_waiting = true;
        while (other && other->due_ns > due_ns)
                other = TAILQ_PREV(other, flood_link_list, wait_link);
        if (other)
                TAILQ_INSERT_AFTER(list, other, link, wait_link);
        else
                TAILQ_INSERT_HEAD(list, link, wait_link);
}

static void disconnect(struct flood_link *link, bool by_daemon)
{
        struct flood *flood = link->flood;
        bool turned_away = by_daemon && !link->heard && link->operations <= 1;
        bool ending = link->state == LINK_ENDING;

        if (by_daemon || ending)
                flood->counters.lost += link->n_in_flight;

        (void)close(link->fd); /* leaves the epoll set with it */
        if (link->is_waiting)
                TAILQ_REMOVE(&flood->paced, link, wait_link);
        link->fd = -1;
        link->state = LINK_AWAY;
        link->in_len = 0;
        link->has_operation = link->is_text = link->heard = false;
        link->operations = 0;
        free_slots(link);
        flood->n_open--;
        flood->n_ending -= ending;
        flood->counters.closed_by_daemon += by_daemon;
        begun(link);
        wait_until(&flood->away, link, turned_away ? flood->now_ns + REFUSED_NS : flood->now_ns);
}

static bool reads(const struct flood_link *link)
{
        return link->state == LINK_ENDING ||
               ((link->pattern->traits & FLOOD_READS) && !link->flood->options.no_read);
}

static void set_events(struct flood_link *link, bool writes)
{
        uint32_t events = EPOLLRDHUP;
        struct epoll_event event = {.data.ptr = link};

        if (reads(link))
                events = EPOLLIN;
        if (writes)
                events |= EPOLLOUT;
        if (events == link->events)
                return;
        link->events = event.events = events;
        (void)epoll_ctl(link->flood->epoll, EPOLL_CTL_MOD, link->fd, &event);
}

bool flood_link_connect(struct flood_link *link)
{
        struct flood *flood = link->flood;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct epoll_event event = {.events = EPOLLRDHUP, .data.ptr = link};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        memcpy(address.sun_path, flood->options.socket, strlen(flood->options.socket));
        if (fd < 0)
                return false;
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
            epoll_ctl(flood->epoll, EPOLL_CTL_ADD, fd, &event)) {
                bool later = errno == EAGAIN;

                (void)close(fd);
                if (later)
                        return false;
                flood->counters.refused++;
                begun(link);
                TAILQ_REMOVE(&flood->away, link, wait_link);
                wait_until(&flood->away, link, flood->now_ns + REFUSED_NS);
                return true;
        }
        TAILQ_REMOVE(&flood->away, link, wait_link);
        link->is_waiting = false;
        link->fd = fd;
        link->events = EPOLLRDHUP;
        link->state = LINK_OPEN;
        proto_frame_init(&link->frame, PROTO_FRAME_BYTES_MAX);
        flood->counters.connected++;
        flood->n_open++;
        flood_link_work(link);
        return true;
}

/* ---- out ---- */

/* Has it an operation to send?  Makes the next one when that is due and allowed. */
static bool next_operation(struct flood_link *link)
{
        struct flood *flood = link->flood;

        if (link->has_operation)
                return true;
        if (flood->finishing || flood->operations_left == 0)
                return false;
        if ((link->pattern->traits & FLOOD_ANSWERED) && !has_slot(link))
                return false;
        proto_builder_reset(&link->out);
        link->sent = 0;
        link->after = link->pattern->make(link, &link->out);
        link->has_operation = true;
        if (flood->operations_left != UINT64_MAX)
                flood->operations_left--;
        return true;
}

enum step { STEP_DONE, STEP_MORE, STEP_FULL, STEP_GONE };

static enum step send_some(struct flood_link *link)
{
        bool bytewise = link->pattern->traits & FLOOD_BYTEWISE;
        size_t left = link->out.len - link->sent;
        ssize_t n;

        if (left == 0)
                return STEP_DONE;
        n = send(link->fd, link->out.data + link->sent, bytewise ? 1 : left,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? STEP_FULL : STEP_GONE;
        link->sent += (size_t)n;
        link->flood->counters.bytes_sent += (uint64_t)n;
        return link->sent == link->out.len ? STEP_DONE : STEP_MORE;
}

/* The operation is sent.  False: the link is not to go on now. */
static bool operation_done(struct flood_link *link)
{
        link->has_operation = false;
        link->operations++;
        link->flood->counters.operations++;
        begun(link);
        switch (link->after) {
        case FLOOD_CLOSE:
                disconnect(link, false);
                return false;
        case FLOOD_END:
                (void)shutdown(link->fd, SHUT_WR);
                link->state = LINK_ENDING;
                link->flood->n_ending++;
                set_events(link, false);
                return false;
        case FLOOD_STAY:
                link->state = LINK_STAYING;
                set_events(link, false);
                return false;
        case FLOOD_GO_ON:
                break;
        }
        return true;
}

static void pace(struct flood_link *link)
{
        struct flood *flood = link->flood;

        set_events(link, false);
        wait_until(&flood->paced, link, flood->now_ns + flood->period_ns);
}

void flood_link_work(struct flood_link *link)
{
        bool paced = link->flood->period_ns > 0;

        for (int i = 0; i < WORK_MAX; i++) {
                enum step step;

                if (link->state != LINK_OPEN || link->is_waiting)
                        return;
                if (!next_operation(link)) {
                        set_events(link, false); /* an answer frees a slot */
                        return;
                }
                step = send_some(link);
                if (step == STEP_GONE) {
                        disconnect(link, true);
                        return;
                }
                if (step == STEP_FULL) {
                        begun(link);
                        break;
                }
                if (step == STEP_DONE && !operation_done(link))
                        return;
                if (paced && (step == STEP_DONE || (link->pattern->traits & FLOOD_BYTEWISE))) {
                        pace(link);
                        return;
                }
        }
        set_events(link, true);
}

/* ---- in ---- */

static enum proto_code code_of(const struct proto_value *error)
{
        const struct proto_value *name = error;
        size_t n = 0;

        if (error->type == PROTO_ARRAY && error->count == 2)
                name = &error->items[1];
        if (error->type == PROTO_MAP)
                name = proto_value_map_get(error, "name");
        if (!name || name->type != PROTO_STR)
                return PROTO_OK;
        while (n < name->count && name->data[n] != ':')
                n++;
        return proto_code_from_string(name->data, n);
}

/* False: that is nothing a server of ours may send. */
static bool take_frame(struct flood_link *link, const uint8_t *data)
{
        struct flood_counters *counters = &link->flood->counters;
        const struct proto_value *root;
        struct proto_message message;

        if (proto_value_decode(&link->flood->arena, data, link->frame.pos, link->frame.values,
                               &root) != PROTO_VALUE_OK ||
            proto_message_parse(root, &message) != PROTO_MESSAGE_OK ||
            message.type == PROTO_REQUEST)
                return false;
        if (message.type == PROTO_NOTIFY) {
                counters->notifications++;
                return true;
        }
        if (message.error->type == PROTO_NIL)
                counters->answers++;
        else
                counters->errors[code_of(message.error)]++;
        if (link->pattern->traits & FLOOD_ANSWERED)
                give_slot(link, message.msgid);
        return true;
}

/* Takes whole frames off data[0..len); returns how many bytes they had. */
static size_t take_frames(struct flood_link *link, const uint8_t *data, size_t len)
{
        size_t at = 0;

        while (at < len && !link->is_text) {
                enum proto_frame_result result =
                        proto_frame_scan(&link->frame, data + at, len - at);

                if (result == PROTO_FRAME_MORE)
                        return at;
                if (result == PROTO_FRAME_E_NOT_ARRAY && at == 0 && link->in_len == 0) {
                        link->is_text = true;
                        link->flood->counters.text_answers++;
                        break;
                }
                if (result != PROTO_FRAME_DONE || !take_frame(link, data + at)) {
                        link->flood->counters.malformed++;
                        link->is_text = true;
                        break;
                }
                at += link->frame.pos;
                proto_frame_init(&link->frame, PROTO_FRAME_BYTES_MAX);
        }
        return len;
}

static bool keep(struct flood_link *link, const uint8_t *data, size_t len)
{
        if (!len)
                return true; /* there may be no buffer yet */
        if (link->in_len + len > link->in_cap) {
                size_t cap = 2 * (link->in_len + len);
                uint8_t *in = realloc(link->in, cap);

                if (!in)
                        return false;
                link->in = in;
                link->in_cap = cap;
        }
        if (len) /* else there may be no buffer yet */
                memcpy(link->in + link->in_len, data, len);
        link->in_len += len;
        return true;
}

/* False: end of file, or an error. */
static bool read_some(struct flood_link *link)
{
        static uint8_t buffer[READ_BYTES];
        ssize_t n = recv(link->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        size_t used;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        if (n == 0)
                return false;
        link->heard = true;
        link->flood->counters.bytes_received += (uint64_t)n;
        if (link->in_len == 0) {
                used = take_frames(link, buffer, (size_t)n);
                return keep(link, buffer + used, (size_t)n - used);
        }
        if (!keep(link, buffer, (size_t)n))
                return false;
        used = take_frames(link, link->in, link->in_len);
        memmove(link->in, link->in + used, link->in_len - used);
        link->in_len -= used;
        return true;
}

void flood_link_on_event(struct flood_link *link, uint32_t events)
{
        if (reads(link)) {
                if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !read_some(link)) {
                        disconnect(link, link->state != LINK_ENDING);
                        return;
                }
        } else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
                disconnect(link, true);
                return;
        }
        flood_link_work(link);
}
