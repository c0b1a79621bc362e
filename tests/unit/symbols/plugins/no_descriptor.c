/* SPDX-License-Identifier: MIT */
/* A library like any other. */
int no_descriptor(void);

int no_descriptor(void)
{
        return 0;
}
