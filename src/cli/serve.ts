/** `nwsgi serve`: opens the sockets, becomes the user that was asked for, and runs the supervisor in this process. */
import { chownSync } from 'node:fs';
import os from 'node:os';
import { resolve } from 'node:path';
import { writeLog } from '../daemon-log.js';
import { LogLevel } from '../native.js';
import { takeActivation } from './activation.js';
import type { Activation } from './activation.js';
import { CliError, usageError } from './failure.js';
import { become, groupId, startWithoutIoUring, userId, wantedIdentity } from './identity.js';
import type { Identity } from './identity.js';
import { Listeners } from './listeners.js';
import type { Wanted } from './listeners.js';
import { ServiceManager } from './notify.js';
import { PidFile } from './pid-file.js';
import { planServe, supervisorConfig } from './serve-config.js';
import type { ServeOptions } from './serve-options.js';
import { ServeProcess } from './serve-process.js';
import { SignalQueue } from './signals.js';
import { startDirectory, takeLegacy } from './succession.js';
import { errorName, loadSupport } from './support.js';
import type { SocketDescription, Support } from './support.js';
import { terminal } from './terminal.js';

const USUAL: Wanted = { protocol: 'http', address: { kind: 'tcp', host: '127.0.0.1', port: 8000 } };

/** Resolves with the exit code when the server has stopped. @throws CliError when it cannot start. */
export async function serve(script: string, options: ServeOptions, version: string): Promise<number> {
  const { env } = process;
  // Before anything that takes time: a signal that arrives early would end the process.
  const signals = new SignalQueue();
  const support = loadSupport();
  if (options.user !== undefined || options.group !== undefined) startWithoutIoUring(support, env);
  const legacy = takeLegacy(env);
  const activation = takeActivation(env, process.pid);
  const activated = legacy?.activated ?? activation.sockets;
  const directory = startDirectory(env);
  const plan = planServe(script, options, env, directory);
  const identity = wantedIdentity(options);
  const manager = new ServiceManager(support, env, process.pid, (text) => writeLog(LogLevel.warning, `NWSGI4320 ${text}`));

  const listeners = new Listeners(support, socketSettings(options, identity));
  await listeners.openAll(plan.wanted.length > 0 ? plan.wanted : unnamed(activated, support), activated, legacy?.sockets ?? []);
  let pidFile: PidFile | undefined;
  try {
    const pidPath = options.pidFile === undefined ? '' : resolve(directory, options.pidFile);
    if (pidPath !== '') pidFile = new PidFile(legacy === undefined ? pidPath : `${pidPath}.2`, identity);
    const errorLog = options.errorLog === undefined ? '' : resolve(directory, options.errorLog);
    if (errorLog !== '') openLog(support, errorLog, identity);
    prepareProcess(support, options, identity);
    warn(activation, identity);
    const config = supervisorConfig(plan, options, listeners.all, version, errorLog);
    const server = new ServeProcess({ config, development: options.errorPage === 'development', signals, listeners, activated, directory, manager, pidFile, pidPath, version, succeeds: legacy !== undefined });
    return await server.run();
  } catch (error) {
    if (legacy === undefined) listeners.removeFiles();
    pidFile?.remove();
    throw error;
  }
}

/** Where to listen when the command line does not say it: what systemd opened, by name or kind; else the usual address. */
function unnamed(activated: Activation['sockets'], support: Support): Wanted[] {
  if (activated.length === 0) return [USUAL];
  return activated.map(({ fd, name }) => {
    const isUnix = (support.describeSocket(fd) as SocketDescription).family === 'unix';
    const fastcgi = /fastcgi|fcgi/i.test(name) || (isUnix && !/http/i.test(name));
    return { protocol: fastcgi ? 'fastcgi' : 'http', address: { kind: 'fd', fd } };
  });
}

/** Sockets belong to the user that this process becomes, who can remove them at the end. */
function socketSettings(options: ServeOptions, identity: Identity | undefined): ConstructorParameters<typeof Listeners>[1] {
  return {
    mode: options.socketMode,
    uid: options.socketUser === undefined ? (identity?.uid ?? -1) : userId(options.socketUser, 'socket-user'),
    gid: options.socketGroup === undefined ? (identity?.gid ?? -1) : groupId(options.socketGroup, 'socket-group'),
    backlog: options.listenBacklog,
    sendBuffer: options.sendBufferSize,
    receiveBuffer: options.receiveBufferSize,
  };
}

/** From now on the standard streams lead to the log. */
function openLog(support: Support, file: string, identity: Identity | undefined): void {
  const result = terminal.redirect(support, file);
  if (result < 0) throw new CliError('NWSGI4307', `the log ${file} cannot be written (${errorName(result)})`);
  // It is opened again by the user that this process becomes.
  if (identity !== undefined) chownSync(file, identity.uid, identity.gid);
}

function prepareProcess(support: Support, { umask, cpuPriority }: ServeOptions, identity: Identity | undefined): void {
  try {
    if (cpuPriority !== 0 && os.getPriority(0) !== cpuPriority) os.setPriority(0, cpuPriority);
  } catch {
    throw usageError(`--cpu-priority ${cpuPriority}: only root may raise the priority; others can lower it (0 to 19)`);
  }
  if (umask !== undefined) process.umask(umask);
  if (identity !== undefined) become(support, identity, process.env);
}

function warn({ warning }: Activation, identity: Identity | undefined): void {
  if (warning !== undefined) writeLog(LogLevel.warning, `NWSGI4321 ${warning}`);
  if (identity === undefined && process.getuid?.() === 0) {
    writeLog(LogLevel.warning, 'NWSGI4322 the application runs as root: a fault in it is a fault with all rights. Add --user NAME, or start nwsgi as another user');
  }
}
