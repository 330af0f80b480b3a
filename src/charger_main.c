// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of a charger; see charger_main.h.
 *
 * All threads are up, their stacks touched, before the process enters the
 * host: what it takes for itself stays charged where it was born.
 */
#include "charger_main.h"

#include "affinity.h"
#include "arena.h"
#include "charger_ops.h"
#include "residency.h"
#include "ring.h"
#include "sandbox.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#define CHARGER_THREADS 16
#define STACK_BYTES (256 * 1024)
#define TOUCHED_STACK_BYTES (32 * 1024)

/* The process's state; all threads read it. */
struct charger_self {
	struct ring *ring;
	struct charger_context context; /* each thread takes a copy */
	sem_t threads_up;
	sem_t in_host;
};

static __attribute__((noinline)) void touch_stack(void)
{
	char stack[TOUCHED_STACK_BYTES];

	memset(stack, 0, sizeof(stack));
	__asm__ volatile("" : : "r"(stack) : "memory");
}

static void *thread_main(void *arg)
{
	struct charger_self *self = arg;
	struct charger_context context = self->context;
	struct ring *ring = self->ring;
	unsigned int slot;

	touch_stack();
	sem_post(&self->threads_up);
	while (sem_wait(&self->in_host) < 0)
		;
	for (;;) {
		slot = ring_take(ring);
		affinity_join(ring_slot_call(ring, slot)->cpu);
		charger_perform(&context, ring_slot_call(ring, slot));
		ring_done(ring, slot);
	}
	return NULL;
}

static int start_threads(struct charger_self *self)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (int i = 0; i < CHARGER_THREADS && r == 0; i++)
		r = pthread_create(&thread, &attr, thread_main, self);
	pthread_attr_destroy(&attr);
	if (r)
		return -r;
	for (int i = 0; i < CHARGER_THREADS; i++)
		while (sem_wait(&self->threads_up) < 0)
			;
	return 0;
}

static int enter_host(int procs_fd)
{
	return write(procs_fd, "0", 1) < 0 ? -errno : 0;
}

_Noreturn void charger_main(const struct charger_birth *birth)
{
	static struct charger_self self;
	int r;

	self.context.memcg_ino = birth->memcg_ino;
	self.context.kpagecgroup_fd = birth->kpagecgroup_fd;
	self.context.kpageflags_fd = birth->kpageflags_fd;
	sem_init(&self.threads_up, 0, 0);
	sem_init(&self.in_host, 0, 0);
	r = ring_attach(birth->ring_fd, &self.ring);
	self.context.arena = arena_attach(birth->arena_fd);
	self.context.pins = pins_new();
	if (r < 0 || !self.context.arena || !self.context.pins)
		_exit(1);
	residency_catch_sigbus();
	r = sandbox_drop_charger_capabilities();
	if (r == 0)
		r = start_threads(&self);
	if (r == 0)
		r = sandbox_filter_calls(birth->procs_fd);
	if (r == 0)
		r = enter_host(birth->procs_fd);
	ring_set_ready(self.ring, r);
	if (r < 0)
		_exit(1);
	for (int i = 0; i < CHARGER_THREADS; i++)
		sem_post(&self.in_host);
	for (;;)
		pause();
}
