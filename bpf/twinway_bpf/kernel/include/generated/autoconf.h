/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* BCC includes this first; the one option its prelude asks for. */
#ifndef _GENERATED_AUTOCONF_H
#define _GENERATED_AUTOCONF_H
#define CONFIG_BPF_SYSCALL 1
#endif
