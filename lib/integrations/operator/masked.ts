import { isSecretKey, MASK } from '../../config/index.js';

/** User and password of a URL within a text, wherever it stands. */
const CREDENTIALS = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/?#@'"]*@/gi;

/** Parameters of a URL or of a connection text that are secrets by their names. */
const PARAMETERS =
  /((?:^|[?&;,\s])[\w.-]*(?:pass(?:word|wd)?|pwd|secret|token|api[_-]?key|access[_-]?key)=)[^&;,\s'"]*/gi;

/** A text without the passwords that it holds: those of URLs and of connection texts. */
export function withoutCredentials(text: string): string {
  return text.replace(CREDENTIALS, `$1${MASK}@`).replace(PARAMETERS, `$1${MASK}`);
}

/** A value of the configuration as it is shown: what is below it too. */
export function maskedValue(value: unknown): unknown {
  return typeof value === 'string' ? withoutCredentials(value) : value;
}

/** Metadata as it is shown: secrets by their names are masked, `user.password` of Spring Boot Admin among them. */
export function maskedMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  // Without a prototype, as what it is copied from: the names are somebody else's.
  const shown: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [key, value] of Object.entries(metadata)) shown[key] = isSecretKey(key) ? MASK : withoutCredentials(value);
  return shown;
}
