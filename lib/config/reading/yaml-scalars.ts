import type { ConfigData } from './config-entry.js';

/**
 * What a plain scalar means, by the rules of YAML 1.1 as SnakeYAML has them, which Spring, Nacos's console and most that write
 * such documents read by: `on` is true, `010` is eight, `1:30` is ninety, `1_000` is a thousand. Dates stay texts, as in Spring
 * Boot. An integer that a number can't hold exactly stays a text too.
 */
export function resolvePlain(text: string): ConfigData {
  if (text === '') return null;
  const first = text.charCodeAt(0);
  // Letters other than those that words for true, false and nothing begin with: most texts.
  if (first > 0x39 && !WORDS_BEGIN.has(text[0] as string)) return text;
  const word = WORDS.get(text);
  if (word !== undefined) return word;
  if (INTEGER.test(text)) return integerOf(text);
  if (FLOAT.test(text)) return floatOf(text);
  return text;
}

/**
 * The value of a scalar with one of YAML's own tags, or undefined when the text isn't of that kind.
 * @param tag without its prefix: `int`, `binary` …
 */
export function resolveTagged(tag: string, text: string): ConfigData | undefined {
  switch (tag) {
    case 'str':
    case 'timestamp':
      return text;
    case 'null':
      return null;
    case 'bool': {
      const word = WORDS.get(text);
      return typeof word === 'boolean' ? word : undefined;
    }
    case 'int':
      return INTEGER.test(text) ? integerOf(text) : undefined;
    case 'float':
      if (FLOAT.test(text)) return floatOf(text);
      return INTEGER.test(text) ? Number(integerOf(text)) : undefined;
    case 'binary':
      return /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text) ? new Uint8Array(Buffer.from(text, 'base64')) : undefined;
    default:
      return undefined;
  }
}

const WORDS: ReadonlyMap<string, boolean | null> = new Map([
  ...['yes', 'true', 'on'].flatMap(spellings).map((word) => [word, true] as const),
  ...['no', 'false', 'off'].flatMap(spellings).map((word) => [word, false] as const),
  ...['null'].flatMap(spellings).map((word) => [word, null] as const),
  ['~', null],
]);

const WORDS_BEGIN: ReadonlySet<string> = new Set([...WORDS.keys()].map((word) => word[0] as string));

const INTEGER =
  /^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/;

const FLOAT =
  /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

function integerOf(text: string): number | string {
  const negative = text.startsWith('-');
  const digits = text.replace(/^[-+]/, '').replaceAll('_', '');
  let value: number;
  if (digits.includes(':')) value = sexagesimal(digits);
  else if (digits.startsWith('0b')) value = Number.parseInt(digits.slice(2), 2);
  else if (digits.startsWith('0x')) value = Number.parseInt(digits.slice(2), 16);
  else if (digits.length > 1 && digits.startsWith('0')) value = Number.parseInt(digits, 8);
  else value = Number(digits);
  // No digit at all: SnakeYAML refuses `0x_` too, where others see a text.
  if (Number.isNaN(value) || !Number.isSafeInteger(value)) return text.replace(/^\+/, '').replaceAll('_', '');
  return negative && value !== 0 ? -value : value;
}

function floatOf(text: string): number {
  const negative = text.startsWith('-');
  const digits = text.replace(/^[-+]/, '').replaceAll('_', '').toLowerCase();
  let value: number;
  if (digits === '.inf') value = Infinity;
  else if (digits === '.nan') value = NaN;
  else if (digits.includes(':')) value = sexagesimal(digits);
  else value = Number(digits);
  return negative ? -value : value;
}

/** Hours, minutes and seconds, and whatever else is counted by sixties. */
function sexagesimal(digits: string): number {
  return digits.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}

function spellings(word: string): readonly string[] {
  return [word, `${word[0]?.toUpperCase()}${word.slice(1)}`, word.toUpperCase()];
}
