/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* BCC includes this first; the one option its prelude asks for. */
#ifndef _LINUX_KCONFIG_H
#define _LINUX_KCONFIG_H
#define CONFIG_BPF_SYSCALL 1
#endif
