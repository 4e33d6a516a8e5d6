#include "recorder/offload.h"

#include <pthread.h>

#include "base/mem.h"

struct offload {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct loop_wake *wake;
	bool busy; // the loop's side
	bool stop;
	void (*job)(void *arg); // taken by the thread
	void (*done)(void *arg);
	void *arg;
};

static void *run(void *arg)
{
	struct offload *o = arg;
	pthread_mutex_lock(&o->lock);
	for (;;) {
		while (o->job == NULL && !o->stop)
			pthread_cond_wait(&o->changed, &o->lock);
		if (o->job == NULL)
			break;
		void (*job)(void *) = o->job;
		pthread_mutex_unlock(&o->lock);
		job(o->arg);
		pthread_mutex_lock(&o->lock);
		o->job = NULL;
		loop_wake(o->wake);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

static void woken(void *arg)
{
	struct offload *o = arg;
	// Taking the lock makes what the job wrote visible here.
	pthread_mutex_lock(&o->lock);
	bool over = o->busy && o->job == NULL;
	pthread_mutex_unlock(&o->lock);
	if (!over)
		return;
	o->busy = false;
	o->done(o->arg);
}

struct offload *offload_start(struct loop *l)
{
	struct offload *o = NEW(struct offload);
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->changed, NULL);
	o->wake = loop_wake_start(l, woken, o);
	// Signals belong to the loop's thread.
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	BUG_ON(pthread_create(&o->thread, NULL, run, o) != 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return o;
}

void offload_run(struct offload *o, void (*job)(void *arg), void (*done)(void *arg), void *arg)
{
	BUG_ON(o->busy);
	o->busy = true;
	pthread_mutex_lock(&o->lock);
	o->done = done;
	o->arg = arg;
	o->job = job;
	pthread_cond_signal(&o->changed);
	pthread_mutex_unlock(&o->lock);
}

bool offload_busy(const struct offload *o)
{
	return o->busy;
}

void offload_stop(struct offload **o)
{
	if (*o == NULL)
		return;
	pthread_mutex_lock(&(*o)->lock);
	(*o)->stop = true;
	pthread_cond_signal(&(*o)->changed);
	pthread_mutex_unlock(&(*o)->lock);
	pthread_join((*o)->thread, NULL);
	loop_wake_cancel(&(*o)->wake);
	pthread_mutex_destroy(&(*o)->lock);
	pthread_cond_destroy(&(*o)->changed);
	free(*o);
	*o = NULL;
}
