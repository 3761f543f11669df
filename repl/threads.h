/* How OpenMP's idle threads wait; threads.c. */
#ifndef LP_REPL_THREADS_H
#define LP_REPL_THREADS_H

/* Starts the process anew with a short spin, unless the environment says how threads wait.
 * Call first in main; returns when nothing is to be done or the start fails. */
void repl_shorten_spin(char **argv);

#endif
