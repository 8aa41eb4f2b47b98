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
