// SPDX-License-Identifier: MIT
/* TCP_INFO by the kernel's header: it has more than the C library's and cannot stand beside it. */
#include "session.h"

#include <linux/tcp.h>
#include <netinet/in.h>

void load_traffic_read(int fd, struct load_traffic *t)
{
	struct tcp_info i = { 0 };
	socklen_t len = sizeof(i);

	if (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len))
		*t = (struct load_traffic){ i.tcpi_bytes_sent, i.tcpi_bytes_received,
					    i.tcpi_segs_out, i.tcpi_segs_in };
}
