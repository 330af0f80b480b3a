// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a thread runs; see affinity.h. */
#include "affinity.h"

#include "task.h"

#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#define RELAX_AFTER 32
/* He mostly stays where he is, and to look for him is a system call. */
#define LOOK_EVERY 8

static cpu_set_t allowed; /* set once, before there are threads */

static __thread struct {
	bool follows;
	int cpu; /* if it follows */
	unsigned int others; /* requests since the last that it followed */
	pid_t client; /* whom it follows, and his requests since a look */
	unsigned int unseen;
} self;

static __thread struct task_file client_stat; /* of the last client */

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

/* The CPU where the thread sleeps; AFFINITY_ANY: it doesn't, or who knows. */
static int cpu_of_sleeper(pid_t tid)
{
	char text[TASK_STAT_BYTES];
	const char *state, *cpu;

	if (tid <= 0 ||
	    task_file_read(&client_stat, tid, "stat", text, sizeof(text)) <= 0)
		return AFFINITY_ANY;
	state = task_stat_field(text, TASK_STAT_STATE);
	cpu = task_stat_field(text, TASK_STAT_PROCESSOR);
	return cpu && *state != 'R' ? atoi(cpu) : AFFINITY_ANY;
}

int affinity_follow(pid_t tid)
{
	int cpu;

	if (self.follows && tid > 0 && tid == self.client &&
	    ++self.unseen < LOOK_EVERY) {
		self.others = 0;
		return self.cpu;
	}
	cpu = cpu_of_sleeper(tid);
	self.client = cpu == AFFINITY_ANY ? 0 : tid;
	self.unseen = 0;
	affinity_join(cpu);
	return cpu;
}

void affinity_join(int cpu)
{
	if (cpu == AFFINITY_ANY) {
		affinity_relax();
		return;
	}
	self.others = 0;
	go_to(cpu);
}

void affinity_relax(void)
{
	if (self.follows && ++self.others > RELAX_AFTER)
		go_to(AFFINITY_ANY);
}
