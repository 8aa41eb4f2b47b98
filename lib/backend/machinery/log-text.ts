/** A URL or address without user, password, query and fragment, fit for logs and error messages. */
export function withoutSecrets(url: string): string {
  return url
    .replace(/[?#][^]*$/, '')
    .replace(/\/\/[^/\s]*@/g, '//')
    .replace(/^[^/\s]*@/, '');
}

/** Any text with the URLs in it as {@link withoutSecrets} leaves them: for the messages of other libraries' errors. */
export function withoutSecretUrls(text: string): string {
  // No scheme is longer; without a bound, a long word without an end would be looked through once for each of its letters.
  return text.replace(/[A-Za-z][A-Za-z0-9+.-]{0,30}:\/\/[^\s'"`<>]+/g, (url) => withoutSecrets(url));
}

/** A time that has passed, for people. */
export function durationOf(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = seconds / 60;
  return minutes < 120 ? `${Math.round(minutes)} min` : `${Math.round(minutes / 60)} h`;
}
