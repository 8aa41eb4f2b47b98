import { DiscoveryError } from '../../model/index.js';

/**
 * The servers of an option, each as it was written: a text has commas between them, and so may an element of a list that
 * holds no credentials; those of one that does may have a comma. Commas that could belong to a password are refused: to guess would send a part of
 * the password to a stranger. What is refused isn't shown, as it may hold a password.
 *
 * @param what begins the message, such as `eureka(): serviceUrls`
 * @throws DiscoveryError `INVALID_OPTION`
 */
export function serverTexts(given: string | readonly string[], what: string, field: string): readonly string[] {
  const refuse = (problem: string): DiscoveryError =>
    new DiscoveryError('INVALID_OPTION', `${what} ${problem}`, { field });
  const list = typeof given !== 'string';
  const texts = (list ? given.flatMap((one) => (one.includes('@') ? [one] : one.split(','))) : given.split(','))
    .map((one) => one.trim())
    .filter((one) => one !== '');
  if (texts.length === 0) throw refuse('names no server');
  for (const [index, text] of texts.entries()) {
    const credentials = text.lastIndexOf('@');
    if (list) {
      if (text.includes(',', credentials + 1) || /,\s*[a-z]+:\/\//.test(text)) {
        throw refuse('holds several servers in one element of a list; give each its own, or one text with commas');
      }
    } else if (credentials !== -1 && index > 0 && !text.includes('://') && texts[index - 1]?.includes('@') === false) {
      throw refuse('has a comma that may be part of a password; write it %2C, or give the servers as a list');
    }
  }
  return texts;
}
