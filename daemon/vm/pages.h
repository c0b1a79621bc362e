/* SPDX-License-Identifier: MIT */
#pragma once
/* Memory by the page: zeroed, and paged in where it is touched. */

#include <stddef.h>

/* From so many bytes on, pages come in large ones where the system has them: a slab of a million
 * packets is touched once a request, and each first touch of a page costs more than the request. */
#define PAGES_HUGE_FROM ((size_t)16 << 20)

/* NULL: there is none. */
void *pages_map(size_t bytes);
/* NULL is allowed. */
void pages_unmap(void *pages, size_t bytes);
