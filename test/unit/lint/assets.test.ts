import { Script } from 'node:vm';
import { expect, it } from 'vitest';
import * as compiled from '../../../lib/integrations/operator/page/page.asset.js';
import { assets } from './assets.js';

const { PAGE_HTML, PAGE_SCRIPT, PAGE_STYLE } = compiled;

it("the operator's page is compiled in as its files are (npm run assets)", () => {
  expect({ ...compiled }).toEqual(assets());
});

it('the page needs nothing that its content security policy forbids, and nothing from elsewhere', () => {
  expect(PAGE_HTML).not.toMatch(/\son\w+=|\sstyle=|<style|javascript:|<script(?! src="page\.js" defer>)/i);
  for (const text of [PAGE_HTML, PAGE_STYLE]) expect(text).not.toMatch(/https?:|\/\/\w|url\(|@import/);
  expect(PAGE_SCRIPT.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:/);
  expect(PAGE_SCRIPT).not.toMatch(/^(?:import|export) /m);
  expect(() => new Script(PAGE_SCRIPT)).not.toThrow();
});

it('no name becomes markup: texts are put on the page as texts', () => {
  expect(PAGE_SCRIPT).not.toMatch(
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|srcdoc|\.style\b/,
  );
});

/** A colour's luminance, as WCAG 2 has it. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

it.each(['light', 'dark'])('can be read in the %s: every text has a contrast of 4.5 to its ground', (theme) => {
  const [light = '', dark = ''] = [...PAGE_STYLE.matchAll(/:root \{([^}]*)\}/g)].map(([, body]) => body);
  const colours = new Map(
    [...(theme === 'dark' ? dark : light).matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map(
      ([, name = '', value = '']) => [name, value],
    ),
  );
  const pairs = [
    ...['text', 'dim', 'link', 'bad', 'good', 'warn'].map((text) => [text, 'card']),
    ...['text', 'dim'].map((text) => [text, 'ground']),
    ...['good', 'warn', 'bad', 'info'].map((text) => [text, `${text}-ground`]),
    ['text', 'info-ground'],
  ];
  const low = pairs.filter(([text = '', ground = '']) => {
    const [one, other] = [luminance(colours.get(text) ?? ''), luminance(colours.get(ground) ?? '')];
    return !((Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05) >= 4.5);
  });
  expect(low).toEqual([]);
});
