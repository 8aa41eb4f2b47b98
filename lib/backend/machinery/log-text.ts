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
