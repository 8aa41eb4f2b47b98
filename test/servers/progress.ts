/** Says on stderr what takes long: stdout belongs to `--json`. */
export function progress(message: string): void {
  process.stderr.write(`[servers] ${message}\n`);
}

/** Repeats a line every half minute while something long runs, so that a build never looks hung. */
export async function whileShowing<T>(what: string, work: Promise<T>): Promise<T> {
  const begin = Date.now();
  const seconds = () => Math.round((Date.now() - begin) / 1000);
  progress(`${what} ...`);
  const timer = setInterval(() => progress(`${what}: ${seconds()} s so far`), 30_000);
  try {
    const result = await work;
    progress(`${what}: done in ${seconds()} s`);
    return result;
  } finally {
    clearInterval(timer);
  }
}
