// SPDX-License-Identifier: GPL-2.0
/* Asks a name server on this machine. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(53) };
	int socket_ = socket(AF_INET, SOCK_DGRAM, 0);

	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 8; i++) {
		sendto(socket_, "query", 5, 0, (struct sockaddr *)&server, sizeof(server));
		usleep(2000);
	}
	return 0;
}
