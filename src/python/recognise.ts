/** Tells which scripts are Python's. */

const PYTHON_SCRIPT = /\.(?:py|wsgi)$/;

export function isPythonScript(path: string): boolean {
  return PYTHON_SCRIPT.test(path);
}
