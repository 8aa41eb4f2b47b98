import { isWritten, type Logger, type LogLevel } from '../../../backend/index.js';
import { messageOf, printable } from '../../../model/index.js';

type Severity = Exclude<LogLevel, 'silent'>;

/** Writes one line a message to the standard error output. */
export const consoleLogger: Logger = {
  error: (message) => writeLine('ERROR', message),
  warn: (message) => writeLine('WARN', message),
  log: (message) => writeLine('LOG', message),
  debug: (message) => writeLine('DEBUG', message),
};

function writeLine(level: string, message: string): void {
  process.stderr.write(`[${new Date().toISOString()}] ${level} [eureka] ${message.replace(/[\r\n]+/g, ' ')}\n`);
}

/**
 * The log of one client: any number of outputs behind one level. Messages are queued and written after the caller has
 * gone on, whole and in their order, so that a slow output delays no heartbeat.
 */
export class ClientLogger implements Logger {
  private readonly queue: { readonly severity: Severity; readonly message: string }[] = [];
  private outputs: readonly Logger[];
  private scheduled = false;

  constructor(
    outputs: readonly Logger[],
    private level: LogLevel,
  ) {
    this.outputs = outputs;
  }

  /** From now on writes messages of this severity and above. */
  setLevel(level: LogLevel): void {
    this.level = level;
  }

  /** Writes there instead of wherever it wrote. */
  setOutput(output: Logger): void {
    this.flush();
    this.outputs = [output];
  }

  /** Writes there too. */
  addOutput(output: Logger): void {
    this.flush();
    this.outputs = [...this.outputs, output];
  }

  /** Writes there no more. */
  removeOutput(output: Logger): void {
    this.flush();
    this.outputs = this.outputs.filter((one) => one !== output);
  }

  /** A line of the severity `error`. */
  error(message: string): void {
    this.add('error', message);
  }

  /** A line of the severity `warn`. */
  warn(message: string): void {
    this.add('warn', message);
  }

  /** A line of the severity `log`. */
  log(message: string): void {
    this.add('log', message);
  }

  /** A line of the severity `debug`. */
  debug(message: string): void {
    this.add('debug', message);
  }

  /** Writes what waits. */
  flush(): void {
    for (const { severity, message } of this.queue.splice(0)) {
      for (const output of this.outputs) {
        try {
          output[severity](message);
        } catch (error) {
          // There is no better place to say it, and the others must still get theirs.
          if (output !== consoleLogger) consoleLogger.error(`a log output failed: ${messageOf(error)}`);
        }
      }
    }
  }

  private add(severity: Severity, message: string): void {
    if (!isWritten(severity, this.level)) return;
    this.queue.push({ severity, message: printable(message) });
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.flush();
    });
  }
}
