/* server-process CPUS COMMAND...: runs a server for a benchmark. It stays on CPUS (a list such as "0,1,5"), ends with the
 * benchmark even when that is killed, may open as many files as the system allows, and processes that its own processes
 * leave behind become its children, so that their CPU time and memory are found. */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int stay_on(char *cpus) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (char *cpu = strtok(cpus, ","); cpu != NULL; cpu = strtok(NULL, ",")) CPU_SET((unsigned) atoi(cpu), &set);
    return sched_setaffinity(0, sizeof set, &set);
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    if (geteuid() == 0 && files.rlim_max < 200000) files.rlim_max = 200000;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (stay_on(argv[1]) != 0) perror("sched_setaffinity");
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
