/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* BCC's own copy of bpf.h includes this for classic instruction codes, which no program here uses. */
#ifndef _LINUX_BPF_COMMON_H
#define _LINUX_BPF_COMMON_H
#endif
