// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a thread runs; see affinity.h. */
#include "affinity.h"

#include "util.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STAT_MAX 1024
/* Where in /proc/TID/stat, behind the name, proc_pid_stat(5) has them. */
#define STAT_STATE 3
#define STAT_PROCESSOR 39
#define RELAX_AFTER 32

static cpu_set_t allowed; /* set once, before there are threads */

static __thread struct {
	bool follows;
	int cpu; /* if it follows */
	unsigned int small; /* requests since the last large one */
} self;

/* /proc/TID/stat of the last client; its fd names one thread for ever. */
static __thread struct {
	pid_t tid;
	int fd;
} client;

void affinity_init(void)
{
	sched_getaffinity(0, sizeof(allowed), &allowed);
}

void affinity_init_thread(void)
{
	sched_setaffinity(0, sizeof(allowed), &allowed);
	self.follows = false;
}

int affinity_cpu(void)
{
	return self.follows ? self.cpu : AFFINITY_ANY;
}

static void go_to(int cpu)
{
	cpu_set_t only;

	if (cpu == affinity_cpu())
		return;
	if (cpu == AFFINITY_ANY) {
		affinity_init_thread();
		return;
	}
	if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
		return;
	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	if (sched_setaffinity(0, sizeof(only), &only) < 0)
		return;
	self.follows = true;
	self.cpu = cpu;
}

static ssize_t read_stat(pid_t tid, char *text, size_t size)
{
	char name[64];
	ssize_t n;

	if (client.tid == tid) {
		n = pread(client.fd, text, size - 1, 0);
		if (n > 0)
			return n;
	}
	if (client.tid)
		close_fd(client.fd);
	snprintf(name, sizeof(name), "/proc/%d/stat", (int)tid);
	client.fd = open(name, O_RDONLY | O_CLOEXEC);
	client.tid = client.fd >= 0 ? tid : 0;
	return client.fd >= 0 ? pread(client.fd, text, size - 1, 0) : -1;
}

/* The CPU where the thread sleeps; AFFINITY_ANY: it doesn't, or who knows. */
static int cpu_of_sleeper(pid_t tid)
{
	char text[STAT_MAX];
	const char *at;
	ssize_t n;

	n = tid > 0 ? read_stat(tid, text, sizeof(text)) : -1;
	if (n <= 0)
		return AFFINITY_ANY;
	text[n] = '\0';
	at = strrchr(text, ')'); /* the name may have anything in it */
	for (int field = 2; at && field < STAT_PROCESSOR; field++) {
		if (field == STAT_STATE && *at == 'R')
			return AFFINITY_ANY;
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? atoi(at) : AFFINITY_ANY;
}

void affinity_follow(pid_t tid)
{
	affinity_join(cpu_of_sleeper(tid));
}

void affinity_join(int cpu)
{
	if (cpu == AFFINITY_ANY) {
		affinity_relax();
		return;
	}
	self.small = 0;
	go_to(cpu);
}

void affinity_relax(void)
{
	if (self.follows && ++self.small > RELAX_AFTER)
		go_to(AFFINITY_ANY);
}
