/** The part of a supervisor's configuration that is about Python; it only passes through to the workers. */
import type { PythonConfig } from '../native.js';
import { ConfigError } from './config.js';

type Kind = 'string' | 'number' | 'boolean' | 'texts';

const FIELDS: Readonly<Record<keyof PythonConfig, Kind>> = {
  home: 'string', path: 'texts', eggs: 'string', optimize: 'number', dontWriteBytecode: 'boolean', warnings: 'texts', hashSeed: 'string', switchInterval: 'number',
  restrictStdin: 'boolean', restrictStdout: 'boolean', restrictSignal: 'boolean', perInterpreterGil: 'boolean', destroyInterpreter: 'boolean',
  threads: 'number', processes: 'number', interruptTimeout: 'number', addons: 'string',
};

/** Fields that are not known are left out. @throws ConfigError for one of the wrong type */
export function pythonConfig(given: Readonly<Record<string, unknown>>): Partial<PythonConfig> {
  const config: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(FIELDS)) {
    const value = given[name];
    if (value === undefined) continue;
    const fits = kind === 'texts' ? Array.isArray(value) && value.every((text) => typeof text === 'string') : typeof value === kind;
    if (!fits) throw new ConfigError(`python.${name} has the wrong type`);
    config[name] = value;
  }
  return config as Partial<PythonConfig>;
}
