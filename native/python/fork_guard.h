// What a process that Python code forks off inherits: this process's blocked signals and the server's handlers, neither of
// which it should have.
#pragma once

namespace nwsgi::python {

// From now on the child of a fork() by a thread that runs Python code starts with no signal blocked, and with the default action
// for every signal that has a handler here. Once for each process, before CPython starts.
void install_fork_guard();

// This process was forked off one with a host: there are no other threads, and their locks may be held for ever. Exchanges and
// observers must not be touched. Any thread.
bool in_forked_child();

}  // namespace nwsgi::python
