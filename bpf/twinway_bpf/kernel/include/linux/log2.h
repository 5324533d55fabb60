/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Included by the prelude of BCC, which brings the contents itself. */
#ifndef _LINUX_LOG2_H
#define _LINUX_LOG2_H
#endif
