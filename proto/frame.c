/* SPDX-License-Identifier: MIT */
/*
 * The frame scanner: where does this message end, and may it be decoded at all?
 *
 * Second step of a call's walk.  The byte pump of a connection (the daemon's loop thread; in the
 * client, whichever thread reads) hands over what has arrived so far; a complete frame goes on to
 * value.c.  Nothing here allocates, blocks or keeps a pointer.
 *
 * Why not let msgpack-c find the end: its decoder acts on the promise of a header (reserves memory
 * for 2^32 elements on five bytes) and starts a torn value again.  This scanner looks only at
 * headers, never at the bytes of strings, and refuses what cannot become a frame as soon as a
 * header says so.
 *
 * Invariants, at each return that is no error:
 *   1. `pos` is the border of a value.  What is before it is never read again, so each call costs
 *      O(1) plus O(1) per value completed by the new bytes; a partially received string is one
 *      header.
 *   2. pos + owed <= bytes_max: each promised element takes at least one byte.  The difference is
 *      the "slack", the bytes that are not spoken for.  A value of n bytes spends n - 1 of it (its
 *      first byte was promised by its container), a container of n elements n more.
 *   3. `owed` is the sum of left[0..depth), of which the innermost is > 0.
 *   4. MORE is only said while the frame can still end within bytes_max, so a caller that buffers
 *      bytes_max bytes always gets a verdict.
 * An error leaves `pos` before the value at fault, and its header is judged the same way again:
 * errors are final without being stored.
 *
 * Strings are not checked for UTF-8, and map keys for nothing: that is the business of who uses
 * them.
 */
#include "proto/frame.h"

/*
 * What a first byte says, in one byte: the size of the whole value (FIXED) or of its header, and
 * what follows the header.
 */
enum {
        FIXED = 0x00,     /* nothing */
        BODY = 0x40,      /* as many bytes as the header counts */
        CONTAINER = 0x80, /* as many elements as the header counts */
        UNDEFINED = 0xc0,
        KIND_MASK = 0xc0,
        SIZE_MASK = 0x3f,
};

#define X4(x)  x, x, x, x
#define X16(x) X4(x), X4(x), X4(x), X4(x)
#define X64(x) X16(x), X16(x), X16(x), X16(x)
#define STR(n) (n) + 1, (n) + 2, (n) + 3, (n) + 4

static const uint8_t heads[] = {
        X64(FIXED + 1),
        X64(FIXED + 1), /* 00 fixint */
        X16(CONTAINER + 1),
        X16(CONTAINER + 1), /* 80 map, array */
        STR(0),
        STR(4),
        STR(8),
        STR(12),
        STR(16),
        STR(20),
        STR(24),
        STR(28), /* a0 fixstr */
        FIXED + 1,
        UNDEFINED,
        FIXED + 1,
        FIXED + 1, /* c0 nil, bool */
        BODY + 2,
        BODY + 3,
        BODY + 5, /* c4 bin */
        BODY + 3,
        BODY + 4,
        BODY + 6, /* c7 ext */
        FIXED + 5,
        FIXED + 9, /* ca float */
        FIXED + 2,
        FIXED + 3,
        FIXED + 5,
        FIXED + 9, /* cc uint */
        FIXED + 2,
        FIXED + 3,
        FIXED + 5,
        FIXED + 9, /* d0 int */
        FIXED + 3,
        FIXED + 4,
        FIXED + 6,
        FIXED + 10,
        FIXED + 18, /* d4 fixext */
        BODY + 2,
        BODY + 3,
        BODY + 5, /* d9 str */
        CONTAINER + 3,
        CONTAINER + 5,
        CONTAINER + 3,
        CONTAINER + 5, /* dc array, map */
        X16(FIXED + 1),
        X16(FIXED + 1), /* e0 fixint < 0 */
};

static_assert(sizeof(heads) == 256, "one entry per first byte");

static inline uint32_t load_be16(const uint8_t *bytes)
{
        return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t load_be32(const uint8_t *bytes)
{
        return load_be16(bytes) << 16 | load_be16(bytes + 2);
}

static inline uint64_t load_be64(const uint8_t *bytes)
{
        return (uint64_t)load_be32(bytes) << 32 | load_be32(bytes + 4);
}

static inline bool is_container(uint8_t head)
{
        return (heads[head] & KIND_MASK) == CONTAINER;
}

static inline bool is_array_head(uint8_t head)
{
        return (head & 0xf0) == 0x90 || head == 0xdc || head == 0xdd;
}

static inline bool is_map_head(uint8_t head)
{
        return (head & 0xf0) == 0x80 || head == 0xde || head == 0xdf;
}

/* The count in the header of a BODY or CONTAINER that is there as a whole: bytes, or elements. */
static inline uint64_t head_count(const uint8_t *value)
{
        uint64_t count;

        switch (value[0]) {
        case 0xc4: /* bin, ext and str, 8 bits */
        case 0xc7:
        case 0xd9:
                return value[1];
        case 0xc5:
        case 0xc8:
        case 0xda:
        case 0xdc: /* array and map, 16 bits */
        case 0xde:
                count = load_be16(value + 1);
                break;
        case 0xc6:
        case 0xc9:
        case 0xdb:
        case 0xdd:
        case 0xdf:
                count = load_be32(value + 1);
                break;
        default:
                count = value[0] & 0x0f;
                break;
        }
        return is_map_head(value[0]) ? 2 * count : count;
}

/*
 * An integer >= 0 in any of its encodings (the signed ones too: some libraries write small ids so).
 * The value is there as a whole.
 */
static bool load_uint(const uint8_t *value, uint64_t *ret_number)
{
        uint8_t head = value[0];

        if (head < 0x80) {
                *ret_number = head;
                return true;
        }
        if (head < 0xcc || head > 0xd3 || (head >= 0xd0 && (value[1] & 0x80)))
                return false;
        switch (head & 3) {
        case 0:
                *ret_number = value[1];
                break;
        case 1:
                *ret_number = load_be16(value + 1);
                break;
        case 2:
                *ret_number = load_be32(value + 1);
                break;
        default:
                *ret_number = load_be64(value + 1);
                break;
        }
        return true;
}

/* Element 0 or 1 of the outer array is complete: is it the type or the msgid of a message? */
static void note_id(struct proto_frame *frame, uint32_t element, const uint8_t *value)
{
        uint64_t number;

        if (!load_uint(value, &number))
                return;
        if (element == 0) {
                frame->has_type = true;
                frame->type = number;
        } else if (frame->has_type && frame->type != 2 && number <= UINT32_MAX) {
                /*
                 * A notification (type 2) has no msgid, and more than 32 bits could not be
                 * answered.
                 */
                frame->has_msgid = true;
                frame->msgid = number;
        }
}

void proto_frame_init(struct proto_frame *frame, size_t bytes_max)
{
        /*
         * `left` needs no zeroes (invariant 3), and clearing it would cost more than a short scan.
         */
        frame->bytes_max = bytes_max < PROTO_FRAME_BYTES_MAX ? bytes_max : PROTO_FRAME_BYTES_MAX;
        frame->depth_max = PROTO_DEPTH_MAX;
        frame->pos = 0;
        frame->values = 0;
        frame->owed = 0;
        frame->depth = 0;
        frame->done = false;
        frame->passing = 0;
        frame->is_array = false;
        frame->n_elements = 0;
        frame->n_seen = 0;
        frame->has_type = false;
        frame->has_msgid = false;
        frame->type = 0;
        frame->msgid = 0;
}

/* The header of the outer array. */
static enum proto_frame_result scan_outer(struct proto_frame *frame, const uint8_t *data,
                                          size_t len)
{
        size_t size;
        uint64_t count;

        if (len == 0)
                return PROTO_FRAME_MORE;
        if (!is_array_head(data[0]))
                return PROTO_FRAME_E_NOT_ARRAY;
        size = heads[data[0]] & SIZE_MASK;
        if (size > frame->bytes_max)
                return PROTO_FRAME_E_BYTES;
        if (len < size)
                return PROTO_FRAME_MORE;
        count = head_count(data);
        if (count > frame->bytes_max - size)
                return PROTO_FRAME_E_BYTES;

        frame->is_array = true;
        frame->n_elements = (uint32_t)count;
        frame->owed = count;
        frame->left[0] = (uint32_t)count;
        frame->pos = size;
        frame->values = 1;
        frame->depth = 1;
        return PROTO_FRAME_MORE;
}

/*
 * One value whose head is not FIXED: `avail` bytes of it are there, `slack` may be spent.  DONE
 * stores the bytes to step over and the elements to go down into; MORE means that the rest has not
 * arrived.
 */
static enum proto_frame_result scan_counted(const uint8_t *value, size_t avail, size_t slack,
                                            size_t *ret_size, uint32_t *ret_children)
{
        unsigned kind = heads[value[0]] & KIND_MASK;
        size_t size = heads[value[0]] & SIZE_MASK;
        uint64_t count;

        if (kind == UNDEFINED)
                return PROTO_FRAME_E_MALFORMED;
        if (size > slack + 1)
                return PROTO_FRAME_E_BYTES;
        if (avail < size)
                return PROTO_FRAME_MORE;
        count = head_count(value);
        if (count > slack + 1 - size)
                return PROTO_FRAME_E_BYTES;
        if (kind == CONTAINER) {
                *ret_children = (uint32_t)count;
        } else {
                size += (size_t)count;
                *ret_children = 0;
        }
        *ret_size = size;
        return avail < size ? PROTO_FRAME_MORE : PROTO_FRAME_DONE;
}

/* The same for any value. */
static inline enum proto_frame_result scan_value(const uint8_t *value, size_t avail, size_t slack,
                                                 size_t *ret_size, uint32_t *ret_children)
{
        size_t size = heads[value[0]];

        if (size >= BODY)
                return scan_counted(value, avail, slack, ret_size, ret_children);
        if (size > slack + 1)
                return PROTO_FRAME_E_BYTES;
        *ret_size = size;
        *ret_children = 0;
        return avail < size ? PROTO_FRAME_MORE : PROTO_FRAME_DONE;
}

/* Marks the element of the outer array that starts at `pos`, `left` with it still to come. */
static inline uint32_t begin_element(struct proto_frame *frame, size_t pos, uint32_t left)
{
        uint32_t element = frame->n_elements - left;

        if (element < PROTO_FRAME_ELEMENTS)
                frame->start[element] = pos;
        frame->n_seen = element + 1;
        return element;
}

/*
 * The content of the outer array, values as they come, nesting on left[].  This loop is the cost of
 * a scan: the counters of the innermost container and of the whole live in locals and go back to
 * the frame at the one exit, and what concerns the outer array alone is done on its level alone.
 */
static enum proto_frame_result scan_content(struct proto_frame *frame, const uint8_t *data,
                                            size_t len)
{
        enum proto_frame_result r = PROTO_FRAME_DONE;
        size_t pos = frame->pos, values = frame->values, size;
        size_t slack = frame->bytes_max - pos - (size_t)frame->owed;
        unsigned depth = frame->depth;
        uint32_t left = frame->left[depth - 1], children, element = 0;

        for (;;) {
                /*
                 * The fast path, below the outer array: values that end where their first byte
                 * says.
                 */
                if (depth > 1) {
                        for (; left > 0 && pos < len; left--, values++) {
                                size = heads[data[pos]];
                                if (size >= BODY || size > slack + 1 || size > len - pos)
                                        break; /* judged below */
                                pos += size;
                                slack -= size - 1;
                        }
                }
                while (left == 0 && --depth > 0)
                        left = frame->left[depth - 1];
                if (depth == 0)
                        break;
                r = PROTO_FRAME_MORE;
                if (pos >= len)
                        break;
                if (depth >= frame->depth_max && is_container(data[pos])) {
                        r = PROTO_FRAME_E_DEPTH;
                        break;
                }
                if (depth == 1)
                        element = begin_element(frame, pos, left);
                r = scan_value(data + pos, len - pos, slack, &size, &children);
                if (r != PROTO_FRAME_DONE)
                        break;
                if (depth == 1 && element < 2)
                        note_id(frame, element, data + pos);
                pos += size;
                slack -= size - 1 + children;
                values++;
                left--;
                if (children > 0) {
                        frame->left[depth - 1] = left;
                        depth++;
                        left = children;
                }
        }

        frame->pos = pos;
        frame->values = values;
        frame->owed = frame->bytes_max - pos - slack;
        frame->depth = depth;
        if (depth > 0)
                frame->left[depth - 1] = left;
        return r;
}

enum proto_frame_result proto_frame_scan(struct proto_frame *frame, const uint8_t *data, size_t len)
{
        enum proto_frame_result r;

        if (frame->done)
                return PROTO_FRAME_DONE;
        if (frame->depth == 0) {
                r = scan_outer(frame, data, len);
                if (r != PROTO_FRAME_MORE || frame->depth == 0)
                        return r;
        }
        r = scan_content(frame, data, len);
        frame->done = r == PROTO_FRAME_DONE;
        return r;
}

/* What is before `pos` is gone for good: positions count from here on. */
static size_t forget(struct proto_frame *frame)
{
        size_t n = frame->pos;

        frame->bytes_max -= n;
        frame->pos = 0;
        return n;
}

/*
 * A scan has stopped at the value at data[0]; if that is for want of its body, the body is promised
 * to be passed over when it comes.  Its header was found good.  True: data[0..len) is done with.
 */
static bool pass_body(struct proto_frame *frame, const uint8_t *data, size_t len)
{
        size_t size;

        if (len == 0 || frame->depth == 0 || (heads[data[0]] & KIND_MASK) != BODY)
                return false;
        size = heads[data[0]] & SIZE_MASK;
        if (len < size)
                return false;
        size += (size_t)head_count(data);
        frame->bytes_max -= size;
        frame->owed--;
        frame->left[frame->depth - 1]--;
        frame->values++;
        frame->passing = size - len;
        return true;
}

enum proto_frame_result proto_frame_pass(struct proto_frame *frame, const uint8_t *data, size_t len,
                                         size_t *ret_used)
{
        size_t used = len < frame->passing ? len : frame->passing;
        enum proto_frame_result r;

        *ret_used = used;
        frame->passing -= used;
        if (frame->passing > 0)
                return PROTO_FRAME_MORE;
        (void)forget(frame);
        r = proto_frame_scan(frame, data + used, len - used);
        used += forget(frame);
        if (r == PROTO_FRAME_MORE && pass_body(frame, data + used, len - used))
                used = len;
        *ret_used = used;
        return r;
}

size_t proto_frame_skip(const uint8_t *data, size_t len, size_t offset)
{
        uint64_t owed = 1;
        uint32_t children;
        size_t size;

        /*
         * No stack: only how many values are still to come matters, and they must fit in the rest.
         */
        while (owed > 0) {
                if (offset >= len || owed > len - offset)
                        return 0;
                if (scan_value(data + offset, len - offset, len - offset - (size_t)owed, &size,
                               &children) != PROTO_FRAME_DONE)
                        return 0;
                offset += size;
                owed += children;
                owed--;
        }
        return offset;
}

size_t proto_frame_enter(const uint8_t *data, size_t len, size_t offset, uint32_t *ret_count)
{
        size_t size;
        uint64_t count;

        if (offset >= len || !is_container(data[offset]))
                return 0;
        size = heads[data[offset]] & SIZE_MASK;
        if (size > len - offset)
                return 0;
        count = head_count(data + offset);
        if (count > len - offset - size)
                return 0;
        *ret_count = (uint32_t)count;
        return offset + size;
}

enum proto_type proto_frame_type(const uint8_t *data, size_t len, size_t offset)
{
        /* By first byte: the last one of each range. */
        static const struct {
                uint8_t last;
                uint8_t type;
        } ranges[] = {
                {0x7f, PROTO_UINT}, {0x8f, PROTO_MAP},     {0x9f, PROTO_ARRAY}, {0xbf, PROTO_STR},
                {0xc0, PROTO_NIL},  {0xc1, _PROTO_TYPE_N}, {0xc3, PROTO_BOOL},  {0xc6, PROTO_BIN},
                {0xc9, PROTO_EXT},  {0xcb, PROTO_FLOAT},   {0xd3, PROTO_UINT},  {0xd8, PROTO_EXT},
                {0xdb, PROTO_STR},  {0xdd, PROTO_ARRAY},   {0xdf, PROTO_MAP},   {0xff, PROTO_UINT},
        };
        size_t i = 0;

        if (offset >= len)
                return _PROTO_TYPE_N;
        while (data[offset] > ranges[i].last)
                i++;
        return ranges[i].type;
}
