/* Workers: threads with a Lua state each, which take messages and send messages
 * (crossing.h). What they do is a Lua module's; DataLoader's is
 * lua/lampad/utils/data/worker.lua.
 *
 *   pool = core.worker_pool(n, module, names, ...)   starts n workers: each calls
 * require(module)(channel, ...) pool:post(id, ...)            values for worker id, from
 * 0 kind, id, ... = pool:take(s)  the next message of any worker; nothing after s
 * seconds. "values": what it sent; "missing": see renew; "dead": it ended, and why
 *   pool:renew(...)               gives the workers the values of worker_pool once more
 *   pool:close()                  ends the workers and waits for their threads; also
 * __close and __gc channel:receive()             the values posted, or nothing when the
 * worker is to end channel:send(...) channel:id()
 *
 * Note [Stopping a worker]. A worker that waits for a message ends at once. One that
 * computes looks at the pool's flag wherever an op asks for an interrupt. One that still
 * runs after a few milliseconds gets SIGURG, which does nothing to threads that are no
 * workers (nor to a program that has no use for it): the handler sets a debug hook on the
 * thread's own state, which raises an error at the next Lua instruction, and a system
 * call that waits gives up. lua_sethook is made to be called by signal handlers, on the
 * thread that runs the state. */
#define _GNU_SOURCE
#include <errno.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/parallel.h"
#include "core/thread.h"
#include "crossing.h"
#include "lampad/autocast.h"
#include "lampad/random.h"
#include "state.h"
#include "types.h"

int luaopen_lampad_core(lua_State *L);

enum { MESSAGE_VALUES, MESSAGE_MISSING, MESSAGE_DEAD };
static const char *const message_kinds[] = {"values", "missing", "dead"};

#define MAX_WORKERS 4096
#define PATIENCE_MS                                                                      \
  20 /* before a worker that is to end gets a signal, and between two of them */
#define GIVE_UP_MS                                                                       \
  10000 /* then its thread is left to itself: it sits in a call that nothing can end */
#define STACK_BYTES (16 << 20)
#define MANY_WORKERS                                                                     \
  32 /* from here on a new pool first looks for pools that nobody holds any more */

typedef struct Queue {
  LpvmMessage *first, *last;
} Queue;

struct Pool;

typedef struct Worker {
  struct Pool *pool;
  int id;
  pthread_t thread;
  bool has_ended; /* under the pool's lock */
  Queue inbox;    /* under the pool's lock */
  LpThread own;
  lua_State *volatile running;    /* the coroutine that executes; this thread's alone */
  volatile sig_atomic_t is_armed; /* the hook was set */
} Worker;

typedef struct Pool {
  struct Pool *next, *prev; /* of those that are open */
  atomic_int refcount;      /* the box, and each thread */
  atomic_bool stop;
  pthread_mutex_t lock;
  pthread_cond_t for_worker, for_owner;
  Queue outbox;
  LpvmMessage *prelude, *setup; /* read by every worker */
  LpvmMessage *old_setups;      /* a worker may still read them */
  int setup_version, n_ready;
  int n_workers, n_running;
  bool is_closed;
  char *module;
  Worker workers[];
} Pool;

static atomic_int live_workers;

static const LpvmClass pool_class = {"lampad.worker_pool"},
                       channel_class = {"lampad.worker_channel"};
static const char origins_key = 0;

/* The worker whose thread this is; NULL elsewhere. */
static Worker *self(void) {
  return lp_tls_thread ? lp_tls_thread->host : NULL;
}

/* --- queues
 * --------------------------------------------------------------------------------------
 */

static void enqueue(Queue *q, LpvmMessage *m) {
  m->next = NULL;
  if (q->last)
    q->last->next = m;
  else
    q->first = m;
  q->last = m;
}

static LpvmMessage *dequeue(Queue *q) {
  LpvmMessage *m = q->first;
  if (m && !(q->first = m->next)) q->last = NULL;
  return m;
}

static void free_queue(Queue *q) {
  for (LpvmMessage *m; (m = dequeue(q));) lpvm_message_free(m);
}

static struct timespec after_ms(int64_t ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_sec += ms / 1000;
  t.tv_nsec += ms % 1000 * 1000000;
  if (t.tv_nsec >= 1000000000) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000;
  }
  return t;
}

static void release_pool(Pool *p) {
  if (atomic_fetch_sub(&p->refcount, 1) != 1) return;
  free_queue(&p->outbox);
  for (int i = 0; i < p->n_workers; i++) free_queue(&p->workers[i].inbox);
  lpvm_message_free(p->prelude);
  lpvm_message_free(p->setup);
  for (LpvmMessage *m = p->old_setups, *next; m; m = next) {
    next = m->next;
    lpvm_message_free(m);
  }
  pthread_cond_destroy(&p->for_worker);
  pthread_cond_destroy(&p->for_owner);
  pthread_mutex_destroy(&p->lock);
  free(p->module);
  free(p);
}

/* Owned message to the pool's owner; NULL (no memory for it) is dropped. */
static void send_out(Worker *w, LpvmMessage *m, int kind) {
  if (!m) return;
  m->from = w->id;
  m->kind = kind;
  pthread_mutex_lock(&w->pool->lock);
  enqueue(&w->pool->outbox, m);
  pthread_cond_broadcast(&w->pool->for_owner);
  pthread_mutex_unlock(&w->pool->lock);
}

/* --- being stopped
 * --------------------------------------------------------------------------------- */

static bool is_stopped(const Pool *p) {
  return atomic_load_explicit(&p->stop, memory_order_relaxed);
}

/* Keeps raising: a pcall in a loop cannot swallow it. */
static void stop_hook(lua_State *L, lua_Debug *debug) {
  (void)debug;
  luaL_error(L, "the worker was interrupted: its loader is closed");
}

static struct sigaction former;

static void on_signal(int number, siginfo_t *info, void *context) {
  Worker *w = self();
  if (w) {
    const int saved = errno;
    lua_State *L = w->running;
    w->is_armed = 1;
    if (L) lua_sethook(L, stop_hook, LUA_MASKCOUNT, 1);
    errno = saved;
  } else if (former.sa_flags & SA_SIGINFO) {
    if (former.sa_sigaction) former.sa_sigaction(number, info, context);
  } else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN) {
    former.sa_handler(number);
  }
}

static void install_handler(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal; /* no SA_RESTART: a call that waits gives up */
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGURG, &action, &former);
}

/* The pools that are open: a program that ends without closing its state ends them too,
 * for their threads use what exit takes apart. */
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static Pool *open_pools;

static void note_open(Pool *p) {
  pthread_mutex_lock(&open_lock);
  p->next = open_pools;
  if (p->next) p->next->prev = p;
  open_pools = p;
  pthread_mutex_unlock(&open_lock);
  p->is_closed = false;
}

static void note_closed(Pool *p) {
  pthread_mutex_lock(&open_lock);
  if (p->prev)
    p->prev->next = p->next;
  else
    open_pools = p->next;
  if (p->next) p->next->prev = p->prev;
  pthread_mutex_unlock(&open_lock);
  p->is_closed = true;
}

/* Ends the threads and waits for them. */
static void close_pool(Pool *p) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (p->is_closed) return;
  note_closed(p);
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->stop, true);
  pthread_cond_broadcast(&p->for_worker);
  for (int waited_ms = 0; p->n_running > 0 && waited_ms < GIVE_UP_MS;
       waited_ms += PATIENCE_MS) {
    const struct timespec until = after_ms(PATIENCE_MS);
    int status = 0;
    while (p->n_running > 0 && status != ETIMEDOUT)
      status = pthread_cond_timedwait(&p->for_owner, &p->lock, &until);
    if (p->n_running == 0) break;
    pthread_once(&once, install_handler);
    for (int i = 0; i < p->n_workers; i++)
      if (!p->workers[i].has_ended) pthread_kill(p->workers[i].thread, SIGURG);
  }
  for (int i = 0; i < p->n_workers; i++) {
    const bool has_ended = p->workers[i].has_ended;
    pthread_mutex_unlock(&p->lock);
    if (has_ended)
      pthread_join(p->workers[i].thread, NULL);
    else
      pthread_detach(p->workers[i].thread);
    pthread_mutex_lock(&p->lock);
  }
  free_queue(&p->outbox);
  pthread_mutex_unlock(&p->lock);
}

static void close_all(void) {
  while (open_pools) close_pool(open_pools);
}

static void close_at_exit(void) {
  atexit(close_all);
}

/* os.exit of a program that has had workers. atexit alone would come too late: what other
 * libraries registered after it, when a worker first used them, is taken apart before.
 * Upvalue: Lua's own. */
static int exit_program(lua_State *L) {
  close_all();
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 0);
  return 0;
}

static void guard_exit(lua_State *L) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, close_at_exit);
  const int top = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_OSLIBNAME) == LUA_TTABLE &&
      lua_getfield(L, -1, "exit") == LUA_TFUNCTION &&
      lua_tocfunction(L, -1) != exit_program) {
    lua_pushcclosure(L, exit_program, 1);
    lua_setfield(L, -2, "exit");
  }
  lua_settop(L, top);
}

/* --- coroutines in a worker: which one runs
 * ----------------------------------------------------------- */

/* After a coroutine that was stopped, the one that resumed it goes on, and stops too. */
static void come_back(lua_State *L) {
  self()->running = L;
  if (self()->is_armed) lua_sethook(L, stop_hook, LUA_MASKCOUNT, 1);
}

/* Upvalue: Lua's own coroutine.resume. */
static int tracked_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  self()->running = co;
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  come_back(L);
  return lua_gettop(L);
}

/* Upvalues: Lua's own resume, the coroutine. */
static int call_wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_rotate(L, 1, 2);
  self()->running = co;
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  come_back(L);
  if (lua_toboolean(L, 1)) return lua_gettop(L) - 1;
  const int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD)
    lua_resetthread(co); /* runs its pending closers */
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int tracked_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, call_wrapped, 2);
  return 1;
}

static void track_coroutines(lua_State *L) {
  lua_getglobal(L, LUA_COLIBNAME);
  lua_getfield(L, -1, "resume");
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, tracked_resume, 1);
  lua_setfield(L, -3, "resume");
  lua_pushcclosure(L, tracked_wrap, 1);
  lua_setfield(L, -2, "wrap");
  lua_pop(L, 1);
}

/* --- the worker's side
 * -------------------------------------------------------------------------------- */

static Worker *check_channel(lua_State *L) {
  Worker **w = lpvm_test_class(L, 1, &channel_class);
  if (!w) lpvm_error(L, NULL, "expected a worker's channel (call its methods with ':')");
  return *w;
}

/* channel:receive() */
static int channel_receive(lua_State *L) {
  Worker *w = check_channel(L);
  Pool *p = w->pool;
  lpvm_collect_pressure(L);
  pthread_mutex_lock(&p->lock);
  while (!w->inbox.first && !is_stopped(p)) pthread_cond_wait(&p->for_worker, &p->lock);
  LpvmMessage *m = is_stopped(p) ? NULL : dequeue(&w->inbox);
  pthread_mutex_unlock(&p->lock);
  if (!m) return 0;
  lua_settop(L, 0);
  lpvm_message_hold(L, m);
  return lpvm_message_read(L, m, &(LpvmReading){0});
}

/* channel:send(...) */
static int channel_send(lua_State *L) {
  Worker *w = check_channel(L);
  const int n = lua_gettop(L) - 1;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &origins_key);
  lua_replace(L, 1);
  static const char *const names[] = {
      "the epoch",           "the task",           "the kind", "the batch's value 1",
      "the batch's value 2", "the batch's value 3"};
  lpvm_message_write(L, n,
                     &(LpvmWriting){.origins_index = 1, .names = names, .n_names = 6});
  send_out(w, lpvm_message_take(L, -1), MESSAGE_VALUES);
  return 0;
}

static int channel_id(lua_State *L) {
  lua_pushinteger(L, check_channel(L)->id);
  return 1;
}

/* package.path, package.cpath and what package.preload has and this state has not. */
static void read_prelude(lua_State *L, LpvmMessage *m) {
  const int top = lua_gettop(L);
  lpvm_message_read(L, m, &(LpvmReading){.share = true});
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_pushvalue(L, top + 1);
  lua_setfield(L, -2, "path");
  lua_pushvalue(L, top + 2);
  lua_setfield(L, -2, "cpath");
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (lua_pushnil(L); lua_next(L, top + 3);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_settop(L, top);
}

/* Pushes the setup's values, once the owner has given one that can be read here. Their
 * number; -1: stopped. */
static int read_setup(lua_State *L, Worker *w) {
  Pool *p = w->pool;
  const int top = lua_gettop(L);
  for (int version = 0;;) {
    pthread_mutex_lock(&p->lock);
    while (p->setup_version == version && !is_stopped(p))
      pthread_cond_wait(&p->for_worker, &p->lock);
    LpvmMessage *m = p->setup;
    version = p->setup_version;
    pthread_mutex_unlock(&p->lock);
    if (is_stopped(p)) return -1;
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &origins_key);
    lua_newtable(L);
    lua_gc(L, LUA_GCSTOP); /* all of it stays */
    const int n = lpvm_message_read(L, m,
                                    &(LpvmReading){.share = true,
                                                   .is_setup = true,
                                                   .origins_index = top + 1,
                                                   .missing_index = top + 2});
    lua_gc(L, LUA_GCRESTART);
    if (lua_rawlen(L, top + 2) == 0) {
      lua_rotate(L, top + 1, -2);
      lua_settop(L, top + n);
      pthread_mutex_lock(&p->lock);
      if (++p->n_ready == p->n_workers && p->setup == m) {
        p->setup = NULL;
        pthread_mutex_unlock(&p->lock);
        lpvm_message_free(m);
      } else {
        pthread_mutex_unlock(&p->lock);
      }
      return n;
    }
    lua_settop(L, top + 2);
    lua_pushinteger(L, version);
    lua_pushvalue(L, top + 2);
    lpvm_message_write(L, 2, &(LpvmWriting){0});
    send_out(w, lpvm_message_take(L, -1), MESSAGE_MISSING);
    lua_settop(L, top);
  }
}

static int run_protected(lua_State *L) {
  Worker *w = lua_touserdata(L, 1);
  luaL_openlibs(L);
  lua_pushcfunction(L, luaopen_lampad_core);
  lua_call(L, 0, 0);
  track_coroutines(L);
  read_prelude(L, w->pool->prelude);
  lua_settop(L, 0);
  lua_getglobal(L, "require"); /* what crosses may use all that the Lua files add to the core */
  lua_pushliteral(L, "lampad");
  lua_call(L, 1, 0);
  lua_getglobal(L, "require");
  lua_pushstring(L, w->pool->module);
  lua_call(L, 1, 1);
  static const luaL_Reg methods[] = {{"receive", channel_receive},
                                     {"send", channel_send},
                                     {"id", channel_id},
                                     {NULL, NULL}};
  Worker **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = w;
  lpvm_push_class(L, &channel_class);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  const int n = read_setup(L, w);
  if (n >= 0) lua_call(L, n + 1, 0);
  return 0;
}

static int traceback(lua_State *L) {
  const char *text = lua_tostring(L, 1);
  if (text)
    luaL_traceback(L, L, text, 1);
  else
    luaL_tolstring(L, 1, NULL);
  return 1;
}

static void *run_worker(void *arg) {
  Worker *w = arg;
  Pool *p = w->pool;
  w->own.host = w;
  w->own.n_threads = 1;
  w->own.stop = &p->stop;
  w->own.generator = lp_generator_new(0);
  lp_thread_enter(&w->own);
  lp_set_num_threads(1); /* tells OpenMP, which BLAS and oneDNN ask */
  lua_State *L = w->own.generator ? luaL_newstate() : NULL;
  if (!L) {
    send_out(w, lpvm_message_of_text("not enough memory for the worker's Lua state"),
             MESSAGE_DEAD);
  } else {
    w->running = L;
    lua_pushcfunction(L, traceback); /* neither needs memory */
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, w);
    const int status = lua_pcall(L, 1, 0, 1);
    w->running = NULL;
    lua_sethook(L, NULL, 0, 0);
    if (status != LUA_OK && !is_stopped(p)) {
      const char *text = lua_tostring(L, -1);
      send_out(w, lpvm_message_of_text(text ? text : "an error that is no text"),
               MESSAGE_DEAD);
    }
    lua_close(L);
  }
  lp_autocast_clear_cache(); /* of a region that was left open */
  lp_thread_leave();
  lp_generator_release(w->own.generator);
  atomic_fetch_sub(&live_workers, 1);
  pthread_mutex_lock(&p->lock);
  w->has_ended = true;
  p->n_running--;
  pthread_cond_broadcast(&p->for_owner);
  pthread_mutex_unlock(&p->lock);
  release_pool(p);
  return NULL;
}

/* --- the owner's side
 * ------------------------------------------------------------------------------------ */

typedef struct PoolBox {
  Pool *pool; /* NULL before it is made, and once collected */
} PoolBox;

static Pool *check_pool(lua_State *L) {
  PoolBox *box = lpvm_test_class(L, 1, &pool_class);
  if (!box || !box->pool) lpvm_error(L, NULL, "expected a pool of workers");
  return box->pool;
}

static int pool_close(lua_State *L) {
  close_pool(check_pool(L));
  return 0;
}

static int pool_is_closed(lua_State *L) {
  lua_pushboolean(L, check_pool(L)->is_closed);
  return 1;
}

static int pool_gc(lua_State *L) {
  PoolBox *box = lua_touserdata(L, 1);
  if (!box->pool) return 0;
  close_pool(box->pool);
  release_pool(box->pool);
  box->pool = NULL;
  return 0;
}

/* pool:post(id, ...) */
static int pool_post(lua_State *L) {
  Pool *p = check_pool(L);
  const lua_Integer id = luaL_checkinteger(L, 2);
  luaL_argcheck(L, id >= 0 && id < p->n_workers, 2, "no such worker");
  lpvm_message_write(L, lua_gettop(L) - 2, &(LpvmWriting){.what = "DataLoader"});
  LpvmMessage *m = lpvm_message_take(L, -1);
  pthread_mutex_lock(&p->lock);
  enqueue(&p->workers[id].inbox, m);
  pthread_cond_broadcast(&p->for_worker);
  pthread_mutex_unlock(&p->lock);
  return 0;
}

/* pool:take(seconds) */
static int pool_take(lua_State *L) {
  Pool *p = check_pool(L);
  const lua_Number seconds = luaL_checknumber(L, 2);
  const struct timespec until = after_ms((int64_t)(seconds * 1000));
  int status = 0;
  lpvm_collect_pressure(L); /* a loop that only takes batches calls no op */
  pthread_mutex_lock(&p->lock);
  while (!p->outbox.first && status != ETIMEDOUT)
    status = pthread_cond_timedwait(&p->for_owner, &p->lock, &until);
  LpvmMessage *m = dequeue(&p->outbox);
  pthread_mutex_unlock(&p->lock);
  if (!m) {
    if (!lp_interrupt_pending()) return 0;
    close_pool(p);
    lp_interrupt_take();
    return lpvm_error(L, NULL, "interrupted");
  }
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1); /* what the setup kept */
  lua_pushstring(L, message_kinds[m->kind]);
  lua_pushinteger(L, m->from);
  lpvm_message_hold(L, m);
  lua_insert(L, 2);
  return 2 + lpvm_message_read(L, m, &(LpvmReading){.kept_index = 3});
}

/* Writes the values from stack index `first` on as the setup. The pool's box is at 1. */
static LpvmMessage *write_setup(lua_State *L, int first, int names) {
  const char *texts[16];
  const int n = lua_gettop(L) - first + 1;
  for (int i = 0; i < 16; i++) {
    lua_rawgeti(L, names, i + 1);
    texts[i] = lua_isstring(L, -1) ? lua_tostring(L, -1)
                                   : "a value"; /* the list keeps the text */
    lua_pop(L, 1);
  }
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, 1);
  lua_insert(L, first);
  lpvm_message_write(L, n,
                     &(LpvmWriting){.what = "DataLoader",
                                    .is_setup = true,
                                    .kept_index = first,
                                    .names = texts,
                                    .n_names = 16});
  return lpvm_message_take(L, -1);
}

/* pool:renew(...) */
static int pool_renew(lua_State *L) {
  Pool *p = check_pool(L);
  lua_getiuservalue(L, 1, 2); /* the names */
  lua_insert(L, 2);
  LpvmMessage *m = write_setup(L, 3, 2);
  pthread_mutex_lock(&p->lock);
  if (p->setup) {
    p->setup->next = p->old_setups;
    p->old_setups = p->setup;
  }
  p->setup = m;
  p->setup_version++;
  p->n_ready = 0;
  pthread_cond_broadcast(&p->for_worker);
  pthread_mutex_unlock(&p->lock);
  return 0;
}

static LpvmMessage *write_prelude(lua_State *L) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "path");
  lua_getfield(L, -2, "cpath");
  lua_newtable(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  bool is_plain = true;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_isfunction(L, -1)) continue;
    is_plain = is_plain && lua_iscfunction(L, -1);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -6);
  }
  lua_pop(L, 1);
  static const char *const names[] = {"package.path", "package.cpath", "package.preload"};
  lpvm_message_write(
      L, 3,
      &(LpvmWriting){
          .what = "DataLoader", .names = names, .n_names = 3, .is_plain = is_plain});
  LpvmMessage *m = lpvm_message_take(L, -1);
  lua_pop(L, 2);
  return m;
}

static void init_locks(Pool *p) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->for_worker, &attributes);
  pthread_cond_init(&p->for_owner, &attributes);
  pthread_condattr_destroy(&attributes);
}

/* Signals are for the program's own threads; faults and SIGURG for everybody. The former
 * mask in *old. */
static void block_signals(sigset_t *old) {
  static const int open[] = {SIGURG, SIGSEGV, SIGBUS,  SIGFPE,
                             SIGILL, SIGTRAP, SIGABRT, SIGSYS};
  sigset_t set;
  sigfillset(&set);
  for (size_t i = 0; i < sizeof open / sizeof *open; i++) sigdelset(&set, open[i]);
  pthread_sigmask(SIG_SETMASK, &set, old);
}

static void start_threads(lua_State *L, Pool *p) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigset_t old;
  block_signals(&old);
  int failed = 0;
  for (int i = 0; i < p->n_workers && !failed; i++) {
    Worker *w = &p->workers[i];
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->refcount, 1);
    atomic_fetch_add(&live_workers, 1);
    failed = pthread_create(&w->thread, &attributes, run_worker, w);
    if (!failed) {
      p->n_running++;
    } else {
      atomic_fetch_sub(&p->refcount, 1);
      atomic_fetch_sub(&live_workers, 1);
      p->n_workers = i; /* those that run */
    }
    pthread_mutex_unlock(&p->lock);
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  pthread_attr_destroy(&attributes);
  if (!failed) return;
  const int started = p->n_workers;
  close_pool(p);
  lpvm_error(L, "DataLoader", "worker %d could not be started: %s", started,
             strerror(failed));
}

/* core.worker_pool(n, module, names, ...): names are what the values are called in
 * errors. */
static int worker_pool(lua_State *L) {
  const lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n > 0 && n <= MAX_WORKERS, 1, "the number of workers is out of range");
  const char *module = luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  if (atomic_load(&live_workers) + n > MANY_WORKERS) lua_gc(L, LUA_GCCOLLECT);
  PoolBox *box = lua_newuserdatauv(L, sizeof *box, 2);
  box->pool = NULL;
  static const luaL_Reg methods[] = {{"post", pool_post},
                                     {"take", pool_take},
                                     {"renew", pool_renew},
                                     {"close", pool_close},
                                     {"is_closed", pool_is_closed},
                                     {"__close", pool_close},
                                     {"__gc", pool_gc},
                                     {NULL, NULL}};
  lpvm_push_class(L, &pool_class);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, 2);
  lua_insert(L, 1); /* the box, n, module, names, ... */
  Pool *p = calloc(1, sizeof *p + (size_t)n * sizeof *p->workers);
  if (!p)
    return lpvm_error(L, "DataLoader", "not enough memory for %lld workers",
                      (long long)n);
  atomic_init(&p->refcount, 1);
  init_locks(p);
  box->pool = p;
  p->is_closed = true; /* nothing to close yet */
  if (!(p->module = strdup(module)))
    return lpvm_error(L, "DataLoader", "not enough memory for a name");
  p->prelude = write_prelude(L);
  p->n_workers = (int)n;
  for (int i = 0; i < n; i++) {
    p->workers[i].pool = p;
    p->workers[i].id = i;
  }
  guard_exit(L);
  note_open(p);
  start_threads(L, p);
  /* While they open their states, the values are written. */
  lua_pushcfunction(L, pool_renew);
  lua_replace(L, 3);
  lua_pushvalue(L, 1);
  lua_replace(L, 4);
  if (lua_pcall(L, lua_gettop(L) - 3, 0, 0) != LUA_OK) {
    close_pool(p);
    return lua_error(L);
  }
  lua_settop(L, 1);
  return 1;
}

static int count_workers(lua_State *L) {
  lua_pushinteger(L, atomic_load(&live_workers));
  return 1;
}

void lpvm_open_worker(lua_State *L, int core_index) {
  static const luaL_Reg functions[] = {
      {"worker_pool", worker_pool}, {"live_workers", count_workers}, {NULL, NULL}};
  lua_pushvalue(L, core_index);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
