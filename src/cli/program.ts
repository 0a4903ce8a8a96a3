/** The command line: which commands there are, and how what was typed becomes their options. */
import { Command, CommanderError, Option } from 'commander';
import { CliError, ExitCode, usageError } from './failure.js';
import { ELSEWHERE, groups, optionsHelp } from './serve-options.js';
import type { OptionRow, ServeOptions } from './serve-options.js';
import { BadValue } from './values.js';

export interface Commands {
  serve(script: string, options: ServeOptions): Promise<number>;
  reload(pidFile: string): Promise<number>;
}

/** Runs the command of `argv` (without node and the file) and resolves with its exit code. @throws CliError */
export async function runProgram(argv: readonly string[], version: string, commands: Commands): Promise<number> {
  let exitCode: number = ExitCode.ok;
  const program = new Command('nwsgi')
    .description('JavaScript and TypeScript web applications: in Apache by mod_nwsgi, or by themselves')
    .version(version, '-V, --version', 'prints the version')
    .helpOption('-h, --help', 'prints this text')
    .helpCommand(false);
  addServe(program, async (script, options) => {
    exitCode = await commands.serve(script, options);
  });
  program
    .command('reload')
    .summary('loads the code of a running nwsgi serve anew, without losing a request')
    .requiredOption('--pid-file <file>', 'process file of that server')
    .helpOption('-h, --help', 'prints this text')
    .allowExcessArguments(false)
    .action(async ({ pidFile }: { pidFile: string }) => {
      exitCode = await commands.reload(pidFile);
    });
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ writeErr: () => {} });
    command.showSuggestionAfterError(true);
  }
  try {
    if (argv.length === 0) throw usageError(`no command was given. The commands are: ${program.commands.map((command) => command.name()).join(', ')}. See nwsgi --help`);
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // --help and --version have printed what was asked for.
    if (error.exitCode !== ExitCode.ok) throw usageError(oneLine(error.message));
  }
  return exitCode;
}

/** "error: unknown option '--x'\n(Did you mean --y?)" as a sentence. */
function oneLine(message: string): string {
  const [first = '', ...rest] = message.replace(/^error: /, '').trim().split('\n');
  const hint = rest.join(' ').replace(/^\((.*)\)$/, ' $1');
  const option = /^unknown option '--(?:no-)?([\w-]+)/.exec(first)?.[1];
  const elsewhere = option === undefined ? undefined : ELSEWHERE[option];
  return elsewhere === undefined ? `${first.replace(/\.$/, '')}.${hint}` : `--${option} is for Apache's WSGIDaemonProcess only: ${elsewhere}.`;
}

function addServe(program: Command, run: (script: string, options: ServeOptions) => Promise<void>): void {
  const serve = program
    .command('serve')
    .summary('serves an application by worker processes of its own, for NGINX and others or directly')
    .argument('<script>', 'file of the application')
    .helpOption('-h, --help', 'prints this text')
    .allowExcessArguments(false)
    .action((script: string, options: ServeOptions) => run(script, options));
  for (const { rows } of groups) for (const row of rows) serve.addOption(optionOf(row));
  serve.helpInformation = () =>
    `Usage: nwsgi serve <script> [options]\n\nServes a WSGI, Node or fetch application by pre-forked worker processes.\n\n${optionsHelp()}\n\n` +
    'Signals: TERM graceful stop, INT and QUIT quick stop (Ctrl-C: graceful first), HUP reload, TTIN and TTOU one worker\n' +
    'more or less, USR1 opens the log again, USR2 starts a successor on the same sockets. More: docs/serve.md\n';
}

function optionOf(row: OptionRow): Option {
  const option = new Option(row.flags, row.text);
  if (row.fallback !== undefined) option.default(row.fallback);
  const { parse = (text: string): unknown => text } = row;
  let given: unknown[] = [];
  return option.argParser((text: string): unknown => {
    const value = parsed(option, text, parse);
    if (row.repeat !== true) return value;
    given = given.concat(value);
    return given;
  });
}

function parsed(option: Option, text: string, parse: (text: string) => unknown): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof BadValue) throw usageError(`--${option.name()} ${JSON.stringify(text)} ${error.message}`);
    throw error;
  }
}

/** The line that a failed command ends with. */
export function describeFailure(error: unknown): { text: string; exitCode: number } {
  if (error instanceof CliError) return { text: `nwsgi: ${error.code} ${error.message}`, exitCode: error.exitCode };
  return { text: `nwsgi: NWSGI4300 ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, exitCode: ExitCode.failure };
}
