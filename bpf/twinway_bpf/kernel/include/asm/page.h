/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef _ASM_PAGE_H
#define _ASM_PAGE_H
#define PAGE_SIZE 4096
#endif
