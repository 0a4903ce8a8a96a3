// The sanitizers that the native parts are built with (npm run test:sanitize), and what they are told.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { capture } from './steps.mjs';

const runtimeLibrary = (name) => capture('g++', [`-print-file-name=${name}`]).stdout.trim();

/**
 * What ThreadSanitizer is not to report. httpd, APR and libnode are not instrumented: their own accesses are not seen at all
 * (ignore_noninstrumented_modules is for those that they make by memcpy and the like), but neither is what they order by atomics.
 * An entry for something of ours needs a reason.
 */
const threadSuppressions = [
  '# The event MPM hands the pool of a closed connection on to the next one by a list without a lock (ap_queue_info_push_pool). What the',
  '# thread of the former wrote or read in its memory, and what the next one writes there first, is ordered by that only.',
  'race:nwsgi::httpd_side::make_connection_note',
];

/** @param reports a folder for one file of each process that has something to report */
export const sanitizers = {
  address: {
    title: 'AddressSanitizer and UndefinedBehaviorSanitizer',
    flags: 'address,undefined',
    folder: join(root, 'build-sanitize'),
    libraries: () => ['libasan.so', 'libubsan.so'].map(runtimeLibrary),
    environment: (reports, { leaks }) => ({
      // What httpd's pools, libnode and V8 still hold at exit is no leak of ours, and their memory is not ours to judge.
      ASAN_OPTIONS: [
        `log_path=${join(reports, 'asan')}`,
        `detect_leaks=${leaks ? 1 : 0}`,
        'detect_odr_violation=0',
        'alloc_dealloc_mismatch=0',
        'allow_user_segv_handler=1',
        'abort_on_error=1',
        'disable_coredump=1',
      ].join(':'),
      UBSAN_OPTIONS: `log_path=${join(reports, 'ubsan')}:print_stacktrace=1`,
    }),
  },
  thread: {
    title: 'ThreadSanitizer',
    flags: 'thread',
    folder: join(root, 'build-thread'),
    libraries: () => ['libtsan.so'].map(runtimeLibrary),
    environment(reports) {
      const suppressions = join(reports, 'suppressions');
      // Whoever cannot read it does not start.
      writeFileSync(suppressions, threadSuppressions.map((line) => `${line}\n`).join(''));
      chmodSync(suppressions, 0o644);
      return {
        TSAN_OPTIONS: [
          `log_path=${join(reports, 'tsan')}`,
          `suppressions=${suppressions}`,
          'ignore_noninstrumented_modules=1',
          // Workers of process groups are started by forks of processes with threads.
          'die_after_fork=0',
          'history_size=5',
          'second_deadlock_stack=1',
          'exitcode=0',
        ].join(':'),
      };
    },
  },
};
